#include "server/boot/node_why.h"

#include "base/core/clock.h"
#include "base/core/list.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"
#include "server/api/local.h"
#include "server/boot/node_claim.h"
#include "server/boot/node_trail.h"
#include "tunnel/server.h"

#include <assert.h>
#include <stdio.h>

#define KUBELET_PORT     10250
/* Somebody sits and waits, but a tunnel that is dead must be known to be dead before (10 s), else
 * its kubelet port is blamed. */
#define PROBE_TIMEOUT_MS 10000
#define PROBE_MAX_BYTES  4096
#define CLAIMS_PER_S     20 /* certificates that are looked at; the rest is not even parsed */

struct node_why {
    struct node_why_config c;
    struct node_trail *trail;
    struct node_why_ways ways;
    struct local_watch *nodes;
    struct list questions;
    size_t n_probes;
    int64_t claims_unix_s; /* this second's claims */
    unsigned n_claims;
    bool stopping;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- reading ---- */

static void judge(const struct node_why *w, const char *node, struct node_verdict *v)
{
    struct node_setting s = {
        .needs_tunnel = !w->c.disabled && strcmp(node, w->c.own_node) != 0,
        .started_unix_s = node_trail_started_unix_s(w->trail),
    };

    node_verdict(v, node, node_trail_facts(w->trail, node), &s);
}

void node_why_reason(void *arg, const char *node, char *out, size_t n_bytes)
{
    struct node_verdict v;

    judge(arg, node, &v);
    snprintf(out, n_bytes, "%s", v.known && !v.reachable ? v.reason : "");
}

static json_t *verdict_json(const char *node, const struct node_verdict *v)
{
    return json_pack("{s:s, s:b, s:b, s:s, s:s, s:s, s:s}", "node", node, "known", (int)v->known,
                     "reachable", (int)v->reachable, "cause", cause_name(v->cause), "reason",
                     v->reason, "line", v->line, "advice", cause_advice(v->cause));
}

static json_t *event_json(const struct trail_event *ev)
{
    char at[TIME_TEXT_BYTES], until[TIME_TEXT_BYTES];
    json_t *d;

    time_text_s(at, ev->at_unix_s);
    d = json_pack("{s:s, s:s, s:b, s:s, s:s, s:I}", "time", at, "from", trail_from_name(ev->from),
                  "up", (int)ev->up, "cause", cause_name(ev->cause), "text", ev->text, "times",
                  (json_int_t)ev->n_times);
    if (ev->until_unix_s) {
        time_text_s(until, ev->until_unix_s);
        json_object_set_new(d, "until", json_string(until));
    }
    return d;
}

static json_t *node_json(const struct node_why *w, const char *node)
{
    struct trail_event events[TRAIL_EVENTS_MAX];
    const struct node_facts *f = node_trail_facts(w->trail, node);
    size_t n = node_trail_events(w->trail, node, events, ARRAY_LEN(events));
    json_t *list = json_array(), *d;
    struct node_verdict v;

    judge(w, node, &v);
    d = verdict_json(node, &v);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, event_json(&events[i]));
    json_object_set_new(d, "transitions", list);
    if (f && f->clock_known)
        json_object_set_new(d, "clockAheadSeconds", json_integer(f->clock_ahead_s));
    return d;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *all_json(const struct node_why *w)
{
    auto_free const char **names = mem_calloc(TRAIL_NODES_MAX + TRAIL_CLAIMED_MAX, sizeof *names);
    json_t *list = json_array();
    char started[TIME_TEXT_BYTES];
    const char *name;
    size_t n = 0;

    for (size_t i = 0; node_trail_next(w->trail, &i, &name);)
        names[n++] = name;
    qsort(names, n, sizeof names[0], by_name);
    for (size_t i = 0; i < n; i++) {
        struct node_verdict v;

        judge(w, names[i], &v);
        json_array_append_new(list, verdict_json(names[i], &v));
    }
    time_text_s(started, node_trail_started_unix_s(w->trail));
    return json_pack("{s:s, s:o}", "serverStarted", started, "nodes", list);
}

/* ---- learning ---- */

static void news(struct node_why *w, const char *node)
{
    const struct node_facts *f = node_trail_facts(w->trail, node);

    if (f && f->lease_stale && w->c.on_news)
        w->c.on_news(w->c.news_arg, node);
}

void node_why_on_tunnel(void *arg, const char *node, bool connected)
{
    struct node_why *w = arg;
    struct tunnel_node_state st;
    char text[256];

    if (!tunnel_server_node(w->ways.tunnels, node, &st)) /* forgotten with its Node */
        snprintf(text, sizeof text, "the node was deleted");
    else if (connected)
        snprintf(text, sizeof text, "%s (%s)", st.remote,
                 st.own_protocol ? "coracle.v1" : "remotedialer");
    else
        snprintf(text, sizeof text, "%s", st.last_error);
    node_trail_tunnel(w->trail, node, connected, text, clock_wall_s());
    news(w, node);
}

void node_why_on_lease(void *arg, const char *node, bool stale, uint64_t silent_ms)
{
    struct node_why *w = arg;
    int64_t now = clock_wall_s();

    node_trail_lease(w->trail, node, stale ? now - (int64_t)(silent_ms / 1000) : 0, now);
}

/* The text without the names of node and port that layers have put before it: the reader knows. */
static const char *without_names(const char *text, const char *node, uint16_t port)
{
    char prefix[300];

    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < 3; i++) {
            snprintf(prefix, sizeof prefix,
                     i == 0   ? "dial %s:%u: "
                     : i == 1 ? "%s:%u: "
                              : "node %s: ",
                     node, port);
            if (strncmp(text, prefix, strlen(prefix)) != 0)
                continue;
            text += strlen(prefix);
            again = true;
        }
    }
    return text;
}

/* What a failure says of the kubelet port; NONE: nothing (no tunnel, our own limits). */
static enum cause cause_of_failure(const struct err *e, const char *text)
{
    switch (e->code) {
    case ERR_CANCELED:
    case ERR_LIMIT:
    case ERR_AGAIN:
    case ERR_NOT_FOUND: /* "failed to find Session for client X" */
        return CAUSE_NONE;
    case ERR_DENIED:
        return strstr(text, "not allowed") ? CAUSE_CONFIG : CAUSE_TLS;
    default:
        break;
    }
    if (strstr(text, "TLS"))
        return CAUSE_TLS;
    return strstr(text, "tunnel") ? CAUSE_NONE : CAUSE_KUBELET;
}

void node_why_on_outcome(void *arg, const char *node, uint16_t port, const struct err *e, char *why,
                         size_t why_bytes)
{
    struct node_why *w = arg;
    const struct node_facts *f = node_trail_facts(w->trail, node);
    bool is_kubelet = port == (f && f->kubelet_port ? f->kubelet_port : KUBELET_PORT);
    struct node_verdict v;
    enum cause c;

    if (!e) {
        if (is_kubelet)
            node_trail_kubelet(w->trail, node, CAUSE_NONE, "", clock_wall_s());
        return;
    }
    const char *text = without_names(e->text, node, port);
    c = cause_of_failure(e, text);
    if (is_kubelet && c != CAUSE_NONE && f && f->has_object)
        node_trail_kubelet(w->trail, node, c, text, clock_wall_s());
    judge(w, node, &v);
    if (!v.known || (!is_kubelet && e->code != ERR_NOT_FOUND))
        return; /* the error as it is says most */
    if (v.reachable)
        snprintf(why, why_bytes, "%s", text);
    else /* callers match K3s' words */
        snprintf(why, why_bytes, "%s%s%s", e->code == ERR_NOT_FOUND ? text : "",
                 e->code == ERR_NOT_FOUND ? ": " : "", v.reason);
    news(w, node);
}

static bool claims_over(struct node_why *w, int64_t now_unix_s)
{
    if (w->claims_unix_s != now_unix_s) {
        w->claims_unix_s = now_unix_s;
        w->n_claims = 0;
    }
    return ++w->n_claims > CLAIMS_PER_S;
}

void node_why_refused(struct node_why *w, const struct node_why_caller *caller)
{
    int64_t now = clock_wall_s();
    struct node_claim_input in = {
        .leaf_der = caller->leaf_der,
        .name = caller->name_header,
        .has_authorization = caller->authorization.n > 0,
        .client_ca_pem = str_of(w->c.client_ca_pem),
        .now_unix_s = now,
    };
    struct node_claim c;
    char text[256];

    if (claims_over(w, now) || !node_claim_of(&c, &in))
        return;
    snprintf(text, sizeof text, "%s, from %s", c.text, caller->address);
    if (c.is_proved)
        node_trail_refused(w->trail, c.node, c.cause, text, now);
    else
        node_trail_claim(w->trail, c.node, c.cause, text, false, now);
    news(w, c.node);
}

void node_why_password(struct node_why *w, const char *node, const char *address)
{
    char text[128];

    snprintf(text, sizeof text, "the node password is not the one this name joined with, from %s",
             address);
    node_trail_claim(w->trail, node, CAUSE_PASSWORD, text, true, clock_wall_s());
    news(w, node);
}

void node_why_report(struct node_why *w, const char *node, const struct node_report *r)
{
    node_trail_report(w->trail, node, r, clock_wall_s());
}

/* ---- Nodes ---- */

static void on_node(void *arg, enum local_event ev, const json_t *obj)
{
    struct node_why *w = arg;
    const char *name = meta_name(obj);
    struct trail_object o = {
        .kubelet_port =
            (uint16_t)json_i64_at(obj, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT),
        .not_ready = "it has told no status yet",
        .is_news = ev == LOCAL_ADDED && local_watch_is_synced(w->nodes),
    };
    const json_t *c;
    size_t i;

    json_array_foreach(json_at(obj, "status.conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), "Ready") != 0)
            continue;
        o.not_ready = strcmp(json_str_at(c, "status", ""), "True") == 0
                          ? NULL
                          : json_str_at(c, "message", "");
    }
    node_trail_object(w->trail, name, ev == LOCAL_DELETED ? NULL : &o, clock_wall_s());
}

void node_why_start(struct node_why *w, struct api *api)
{
    static const struct local_watch_events events = { .on_event = on_node, .no_cache = true };
    struct local_ref ref = { .resource = "nodes" };

    local_watch_start(&w->nodes, api, &ref, NULL, &events, w);
}

/* ---- questions ---- */

/*  PROBE --> TELL --> gone      sleeps in PROBE (the kubelet's answer) and TELL (the next turn, a
 *                               timer of 0 ms, for done never comes from inside node_why_tell) */
struct question {
    struct list in;
    struct node_why *w;
    char *node, *authority, *host_port;
    uint16_t port;
    node_why_fn done;
    void *arg;
    struct http_endpoint *ep;
    struct http_call *call;
    struct timer timer;
};

static void maybe_stopped(struct node_why *w)
{
    void (*done)(void *) = w->done;

    if (!w->stopping || !list_empty(&w->questions))
        return;
    w->done = NULL;
    if (done)
        done(w->done_arg);
}

static void on_timer_closed(void *arg)
{
    struct question *q = arg;
    struct node_why *w = q->w;

    list_remove(&q->in);
    free(q->node);
    free(q->authority);
    free(q->host_port);
    free(q);
    maybe_stopped(w);
}

static void tell(void *arg)
{
    struct question *q = arg;
    json_t *doc = q->node ? node_json(q->w, q->node) : all_json(q->w);
    node_why_fn done = q->done;
    void *done_arg = q->arg;

    timer_close(&q->timer, on_timer_closed, q);
    done(done_arg, doc);
}

static void on_endpoint_closed(void *arg)
{
    struct question *q = arg;

    q->w->n_probes--;
    tell(q);
}

static void on_probed(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct question *q = arg;
    struct err refused;
    char why[NODE_REASON_BYTES];

    (void)h;
    (void)body;
    q->call = NULL;
    if (!e && status != 200) {
        err_set(&refused, ERR_PROTOCOL, "it answers HTTP %d to /healthz", status);
        e = &refused;
    }
    node_why_on_outcome(q->w, q->node, q->port, e, why, sizeof why);
    http_endpoint_close(q->ep, on_endpoint_closed, q);
}

static void dial_node(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct question *q = dial_arg;

    q->w->ways.dial(q->w->ways.dial_arg, q->node, q->host_port, timeout_ms, done, arg);
}

static void probe(struct question *q)
{
    struct node_why *w = q->w;
    struct http_call_config call = { .method = "GET",
                                     .target = "/healthz",
                                     .timeout_ms = PROBE_TIMEOUT_MS };

    q->authority = mem_printf("%s:%u", q->node, q->port);
    q->host_port = mem_printf("127.0.0.1:%u", q->port);
    struct http_endpoint_config ec = { .authority = q->authority,
                                       .dial = dial_node,
                                       .dial_arg = q,
                                       .tls = w->ways.kubelet_tls,
                                       .proto = HTTP_H1,
                                       .dial_timeout_ms = PROBE_TIMEOUT_MS,
                                       .no_keep_alive = true };
    w->n_probes++;
    http_endpoint_new(&q->ep, w->c.loop, &ec);
    q->call = http_fetch(q->ep, &call, PROBE_MAX_BYTES, on_probed, q);
}

void node_why_tell(struct node_why *w, const char *node, node_why_fn done, void *arg)
{
    const struct node_facts *f = node ? node_trail_facts(w->trail, node) : NULL;
    struct question *q = mem_alloc(sizeof *q);
    bool has_way =
        f && f->has_object && (f->connected || w->c.disabled || strcmp(node, w->c.own_node) == 0);

    q->w = w;
    q->node = node ? mem_strdup(node) : NULL;
    q->port = f && f->kubelet_port ? f->kubelet_port : KUBELET_PORT;
    q->done = done;
    q->arg = arg;
    list_push(&w->questions, &q->in);
    timer_init(&q->timer, w->c.loop);
    if (has_way && w->ways.kubelet_tls && w->n_probes < NODE_PROBES_MAX && !w->stopping)
        probe(q);
    else
        timer_start_ms(&q->timer, 0, tell, q);
}

/* ---- life ---- */

void node_why_new(struct node_why **out, const struct node_why_config *c)
{
    struct node_why *w = mem_alloc(sizeof *w);

    w->c = *c;
    w->c.own_node = mem_strdup(c->own_node);
    w->c.client_ca_pem = mem_strdup(c->client_ca_pem);
    node_trail_new(&w->trail, clock_wall_s());
    list_init(&w->questions);
    *out = w;
}

void node_why_set_ways(struct node_why *w, const struct node_why_ways *ways)
{
    w->ways = *ways;
}

void node_why_stop(struct node_why *w, void (*done)(void *arg), void *arg)
{
    if (w->nodes)
        local_watch_stop(STEAL(w->nodes));
    w->stopping = true;
    w->done = done;
    w->done_arg = arg;
    list_each (q, &w->questions, struct question, in)
        if (q->call)
            http_call_cancel(q->call);
    maybe_stopped(w);
}

void node_why_free(struct node_why *w)
{
    assert(list_empty(&w->questions));
    node_trail_free(w->trail);
    free((char *)w->c.own_node);
    free((char *)w->c.client_ca_pem);
    free(w);
}
