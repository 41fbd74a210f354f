#include "server/boot/loops.h"

#include "base/core/mem.h"
#include "server/boot/announce.h"
#include "server/boot/election.h"
#include "server/boot/peers.h"
#include "server/scheduler/scheduler.h"

struct loops {
    struct controllers_config config; /* texts are copied below */
    char *texts[6], *ca_pem;
    bool shared, no_scheduler;
    struct controllers *controllers; /* those that run on one server */
    struct controllers *each;        /* those that run on each; NULL when there is one server */
    struct scheduler *scheduler;
    struct election *election;
    struct peers *peers;
    struct announce *announce;
    bool demoting, closing;
    void (*done)(void *arg);
    void *arg;
};

static size_t live_servers(void *arg, const char **ips, size_t max)
{
    const struct loops *l = arg;

    return peers_live(l->peers, ips, max);
}

static void run(struct loops *l, int part)
{
    l->config.part = part;
    controllers_start(&l->controllers, &l->config);
    if (!l->no_scheduler)
        scheduler_start(&l->scheduler, l->config.loop, l->config.api);
}

/* ---- elected and lost ---- */

static void close_step(void *arg);

static void on_elected(void *arg)
{
    struct loops *l = arg;

    if (!l->demoting && !l->closing) /* else demote_step starts them */
        run(l, CONTROLLERS_ONCE);
}

static void demote_step(void *arg)
{
    struct loops *l = arg;

    if (l->scheduler) {
        scheduler_close(STEAL(l->scheduler), demote_step, l);
    } else if (l->controllers) {
        controllers_close(STEAL(l->controllers), demote_step, l);
    } else {
        l->demoting = false;
        if (l->closing)
            close_step(l);
        else if (election_is_leader(l->election))
            run(l, CONTROLLERS_ONCE);
    }
}

static void on_lost(void *arg)
{
    struct loops *l = arg;

    if (l->demoting || l->closing)
        return;
    l->demoting = true;
    demote_step(l);
}

static void on_peers_changed(void *arg)
{
    struct loops *l = arg;

    if (l->controllers)
        controllers_servers_changed(l->controllers);
}

void loops_node_news(struct loops *l, const char *node)
{
    if (l->controllers)
        controllers_node_news(l->controllers, node);
}

/* ---- life ---- */

static void keep_texts(struct loops *l)
{
    struct controllers_config *c = &l->config;
    const char **fields[] = { &c->advertise_ip, &c->cluster_cidr,   &c->service_ip,
                              &c->cluster_dns,  &c->cluster_domain, &c->own_node };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        l->texts[i] = mem_strdup(*fields[i] ? *fields[i] : "");
        *fields[i] = l->texts[i];
    }
    l->ca_pem = str_dup(c->server_ca_pem);
    c->server_ca_pem.p = l->ca_pem;
}

void loops_start(struct loops **out, const struct loops_config *c)
{
    struct loops *l = mem_alloc(sizeof *l);

    l->config = c->controllers;
    l->shared = c->shared;
    l->no_scheduler = c->no_scheduler;
    keep_texts(l);
    *out = l;
    if (!l->shared) {
        run(l, CONTROLLERS_ALL);
        return;
    }
    peers_start(&l->peers, &(struct peers_config){ .loop = l->config.loop,
                                                   .api = l->config.api,
                                                   .own_ip = l->config.advertise_ip,
                                                   .on_change = on_peers_changed,
                                                   .arg = l });
    l->config.live_servers = live_servers;
    l->config.live_arg = l;
    election_start(&l->election, &(struct election_config){ .loop = l->config.loop,
                                                            .api = l->config.api,
                                                            .node = c->node,
                                                            .id = c->server_id,
                                                            .on_elected = on_elected,
                                                            .on_lost = on_lost,
                                                            .arg = l });
    announce_start(&l->announce, &(struct announce_config){ .loop = l->config.loop,
                                                            .api = l->config.api,
                                                            .ip = l->config.advertise_ip,
                                                            .port = l->config.advertise_port });
    if (*l->config.own_node) {
        l->config.part = CONTROLLERS_EACH;
        controllers_start(&l->each, &l->config);
    }
}

static void close_step(void *arg)
{
    struct loops *l = arg;
    void (*done)(void *) = l->done;
    void *done_arg = l->arg;

    if (l->scheduler) {
        scheduler_close(STEAL(l->scheduler), close_step, l);
    } else if (l->controllers) {
        controllers_close(STEAL(l->controllers), close_step, l);
    } else if (l->each) {
        controllers_close(STEAL(l->each), close_step, l);
    } else if (l->announce) {
        announce_close(STEAL(l->announce), close_step, l);
    } else if (l->election) { /* nothing runs here any more: another may begin */
        election_close(STEAL(l->election), close_step, l);
    } else if (l->peers) {
        peers_close(STEAL(l->peers), close_step, l);
    } else {
        for (size_t i = 0; i < ARRAY_LEN(l->texts); i++)
            free(l->texts[i]);
        free(l->ca_pem);
        free(l);
        done(done_arg);
    }
}

void loops_close(struct loops *l, void (*done)(void *arg), void *arg)
{
    l->closing = true;
    l->done = done;
    l->arg = arg;
    if (!l->demoting)
        close_step(l);
}
