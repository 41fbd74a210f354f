/*
 * An entry per name:
 *
 *   UNKNOWN --asked--> RESOLVING --answer--> FRESH --90 s unasked--> stale (asked again when used)
 *                          +--error--> stays as it was: old addresses, or none
 *
 * One timer looks every few seconds at entries that were used in the last five minutes and renews
 * those that are a minute old, give or take a fifth. The request that is in the pool belongs to
 * nobody: it finds its entry by name when it returns, and nothing when the cache was closed
 * meanwhile.
 */
#include "lb/names.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/timer.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#define RENEW_MS   60000
#define FRESH_MS   90000
#define IN_USE_MS  (5 * 60000)
#define FORGET_MS  (60 * 60000)
#define TICK_MS    5000
#define RETRY_MS   5000  /* between renewals that fail */
#define SILENT_MS  60000 /* that a silent address is not believed because it takes a connection */
#define SILENT_MAX 32
#define HOST_BYTES 260

struct request {
    uv_work_t work;
    struct lb_names *names; /* NULL: closed meanwhile */
    struct list link;
    lb_resolve_fn resolve;
    char *address;
    char host[HOST_BYTES], port[6];
    struct lb_addrs found;
    struct err err;
};

struct entry {
    struct lb_addrs addrs;
    struct list waiting;
    struct request *req; /* NULL: none under way */
    uint64_t resolved_ms, used_ms, renew_ms;
};

struct silent {
    struct lb_addr addr;
    uint64_t until_ms;
};

struct lb_names {
    uv_loop_t *loop;
    lb_resolve_fn resolve;
    struct silent silent[SILENT_MAX]; /* the oldest is overwritten */
    size_t n_silent;
    struct map *entries;
    struct list requests;
    struct timer timer;
    void (*done)(void *arg);
    void *done_arg;
};

bool lb_addr_eq(const struct lb_addr *a, const struct lb_addr *b)
{
    if (a->u.any.sa_family != b->u.any.sa_family)
        return false;
    if (a->u.any.sa_family == AF_INET)
        return a->u.v4.sin_port == b->u.v4.sin_port &&
               a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
    return a->u.v6.sin6_port == b->u.v6.sin6_port &&
           a->u.v6.sin6_scope_id == b->u.v6.sin6_scope_id &&
           memcmp(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr, sizeof a->u.v6.sin6_addr) == 0;
}

bool lb_addr_of_peer(struct lb_addr *out, int fd)
{
    struct lb_addr a = { .n = sizeof a.u };

    if (getpeername(fd, &a.u.any, &a.n))
        return false;
    *out = a;
    return true;
}

bool lb_address_split(const char *address, char *host, size_t host_bytes, char port[6])
{
    const char *colon = strrchr(address, ':');
    struct str h, p;
    uint64_t number;

    if (!colon)
        return false;
    h = str_n(address, (size_t)(colon - address));
    p = str_of(colon + 1);
    if (h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_n(h.p + 1, h.n - 2);
    if (!h.n || h.n >= host_bytes || p.n > 5 || !str_to_u64(p, &number) || number > 65535)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    memcpy(port, p.p, p.n);
    port[p.n] = '\0';
    return true;
}

bool lb_addr_parse(struct lb_addr *out, const char *address)
{
    struct lb_addr a = { 0 };
    char host[HOST_BYTES], port[6];
    uint64_t number;

    if (!lb_address_split(address, host, sizeof host, port) || !str_to_u64(str_of(port), &number))
        return false;
    if (inet_pton(AF_INET, host, &a.u.v4.sin_addr) == 1) {
        a.u.v4.sin_family = AF_INET;
        a.u.v4.sin_port = htons((uint16_t)number);
        a.n = sizeof a.u.v4;
    } else if (inet_pton(AF_INET6, host, &a.u.v6.sin6_addr) == 1) {
        a.u.v6.sin6_family = AF_INET6;
        a.u.v6.sin6_port = htons((uint16_t)number);
        a.n = sizeof a.u.v6;
    } else {
        return false; /* a link-local address with its zone goes through the resolver too */
    }
    *out = a;
    return true;
}

/* ---- the pool's end ----------------------------------------------------------------------------
 */

static int ask_system(const char *host, const char *port, struct lb_addrs *out, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, port, &hints, &found);

    if (status)
        return err_set(e, status == EAI_AGAIN ? ERR_AGAIN : ERR_NOT_FOUND, "resolve %s: %s", host,
                       gai_strerror(status));
    out->n = 0;
    for (const struct addrinfo *ai = found; ai && out->n < LB_ADDRS_MAX; ai = ai->ai_next) {
        struct lb_addr *a = &out->v[out->n];
        if (ai->ai_addrlen > sizeof a->u)
            continue;
        memcpy(&a->u, ai->ai_addr, ai->ai_addrlen);
        a->n = ai->ai_addrlen;
        out->n++;
    }
    freeaddrinfo(found);
    return out->n ? 0 : err_set(e, ERR_NOT_FOUND, "resolve %s: the name has no address", host);
}

static void on_work(uv_work_t *work)
{
    struct request *r = container_of(work, struct request, work);

    if (r->resolve(r->host, r->port, &r->found, &r->err) == 0)
        r->err.code = ERR_OK;
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static bool has(const struct lb_addrs *set, const struct lb_addr *a)
{
    for (size_t i = 0; i < set->n; i++)
        if (lb_addr_eq(&set->v[i], a))
            return true;
    return false;
}

static void append(struct lb_addrs *set, const struct lb_addr *a)
{
    if (!has(set, a) && set->n < LB_ADDRS_MAX)
        set->v[set->n++] = *a;
}

/* What is new comes first: who asks again has reason to doubt the others. Those keep their order,
 * for what worked is first in it and what was silent last. True: something changed. */
static bool take_found(struct lb_addrs *now, const struct lb_addrs *found)
{
    struct lb_addrs before = *now;
    bool changed = false;

    now->n = 0;
    for (size_t i = 0; i < found->n; i++)
        if (!has(&before, &found->v[i])) {
            append(now, &found->v[i]);
            changed = true;
        }
    for (size_t i = 0; i < before.n; i++)
        if (has(found, &before.v[i]))
            append(now, &before.v[i]);
        else
            changed = true;
    return changed && before.n;
}

static void tell(struct entry *en, const struct err *e)
{
    struct list now = LIST(now), *l;
    struct lb_addrs addrs = en->addrs; /* whoever is told may change the entry */

    list_move_all(&now, &en->waiting);
    while ((l = list_pop(&now))) {
        struct lb_name_wait *w = container_of(l, struct lb_name_wait, link);
        w->fn(w->arg, &addrs, addrs.n ? NULL : e);
    }
}

static void on_resolved(uv_work_t *work, int status)
{
    struct request *r = container_of(work, struct request, work);
    struct lb_names *n = r->names;
    struct entry *en = n ? map_get(n->entries, str_of(r->address)) : NULL;

    if (n)
        list_remove(&r->link);
    if (en) {
        uint64_t now_ms = uv_now(n->loop);
        en->req = NULL;
        if (status)
            err_sys(&r->err, status, "resolve %s", r->host);
        if (r->err.code) {
            en->renew_ms = now_ms + rand_jitter_ms(RETRY_MS, 20);
            if (en->addrs.n)
                log_debug("a server's name does not resolve, its last addresses stay",
                          kv("name", r->host), kv("err", r->err.text));
        } else {
            if (take_found(&en->addrs, &r->found))
                log_info("a server's name has other addresses now", kv("name", r->host),
                         kv("count", r->found.n));
            en->resolved_ms = now_ms;
            en->renew_ms = now_ms + rand_jitter_ms(RENEW_MS, 20);
        }
        tell(en, &r->err);
    }
    free(r->address);
    free(r);
}

static void on_tick(void *arg);

static struct entry *entry_of(struct lb_names *n, const char *address)
{
    struct entry *en = map_get(n->entries, str_of(address));

    if (!en) {
        en = mem_alloc(sizeof *en);
        list_init(&en->waiting);
        map_set(n->entries, str_of(address), en);
        if (!timer_is_running(&n->timer)) /* a literal never comes here, so most have no timer */
            timer_start_ms(&n->timer, TICK_MS, on_tick, n);
    }
    return en;
}

/* False: address is not host:port, or the pool is not there. */
static bool start(struct lb_names *n, struct entry *en, const char *address)
{
    struct request *r;

    if (en->req)
        return true;
    r = mem_alloc(sizeof *r);
    r->names = n;
    r->resolve = n->resolve;
    r->address = mem_strdup(address);
    if (!lb_address_split(address, r->host, sizeof r->host, r->port) ||
        uv_queue_work(n->loop, &r->work, on_work, on_resolved)) {
        free(r->address);
        free(r);
        return false;
    }
    list_push(&n->requests, &r->link);
    en->req = r;
    return true;
}

bool lb_names_get(struct lb_names *n, const char *address, struct lb_addrs *out)
{
    struct entry *en;

    if (lb_addr_parse(&out->v[0], address)) {
        out->n = 1;
        return true;
    }
    en = map_get(n->entries, str_of(address));
    if (!en || !en->addrs.n || uv_now(n->loop) - en->resolved_ms > FRESH_MS)
        return false;
    en->used_ms = uv_now(n->loop);
    *out = en->addrs;
    return true;
}

bool lb_names_known(const struct lb_names *n, const char *address, struct lb_addrs *out)
{
    const struct entry *en = map_get(n->entries, str_of(address));

    if (!en || !en->addrs.n)
        return false;
    *out = en->addrs;
    return true;
}

void lb_names_resolve(struct lb_names *n, const char *address, struct lb_name_wait *w,
                      void (*fn)(void *arg, const struct lb_addrs *addrs, const struct err *e),
                      void *arg)
{
    struct entry *en = entry_of(n, address);

    lb_name_wait_cancel(w);
    w->fn = fn;
    w->arg = arg;
    list_push(&en->waiting, &w->link);
    en->used_ms = uv_now(n->loop);
    err_ignore(
        !start(n, en, address)); /* not host:port: nobody answers, the caller has a deadline */
}

void lb_name_wait_cancel(struct lb_name_wait *w)
{
    if (w->link.next)
        list_remove(&w->link);
}

/* ---- what answers, and what only takes connections
 * -------------------------------------------------
 */

static struct silent *find_silent(struct lb_names *n, const struct lb_addr *which)
{
    for (size_t i = 0; i < MIN(n->n_silent, (size_t)SILENT_MAX); i++)
        if (lb_addr_eq(&n->silent[i].addr, which))
            return &n->silent[i];
    return NULL;
}

static void note_silent(struct lb_names *n, const struct lb_addr *which)
{
    struct silent *s = find_silent(n, which);

    if (!s)
        s = &n->silent[n->n_silent++ % SILENT_MAX];
    *s = (struct silent){ *which, uv_now(n->loop) + SILENT_MS };
}

void lb_names_heard(struct lb_names *n, const struct lb_addr *which)
{
    struct silent *s = find_silent(n, which);

    if (s)
        s->until_ms = 0;
}

void lb_names_worked(struct lb_names *n, const char *address, const struct lb_addr *which)
{
    struct entry *en = map_get(n->entries, str_of(address));
    const struct silent *s = find_silent(n, which);

    if (s && uv_now(n->loop) < s->until_ms)
        return;
    for (size_t i = 1; en && i < en->addrs.n; i++)
        if (lb_addr_eq(&en->addrs.v[i], which)) {
            struct lb_addr best = en->addrs.v[i];
            memmove(&en->addrs.v[1], &en->addrs.v[0], i * sizeof best);
            en->addrs.v[0] = best;
            return;
        }
}

/* True: there are others. */
static bool put_last(struct entry *en, const struct lb_addr *which)
{
    size_t last = en->addrs.n - 1, i = 0;

    while (i < en->addrs.n && !lb_addr_eq(&en->addrs.v[i], which))
        i++;
    if (i >= en->addrs.n) /* it was one of an earlier time */
        return en->addrs.n > 0;
    memmove(&en->addrs.v[i], &en->addrs.v[i + 1], (last - i) * sizeof *which);
    en->addrs.v[last] = *which;
    return last > 0;
}

bool lb_names_silent(struct lb_names *n, const char *address, const struct lb_addr *which)
{
    struct lb_addr addr = *which; /* it may lie in an entry */
    bool has_other = false;
    struct str key;
    void *value;

    note_silent(n, &addr);
    for (size_t i = 0; map_next(n->entries, &i, &key, &value);) {
        struct entry *en = value;
        auto_free char *name = str_dup(key);
        bool others = put_last(en, &addr);

        if (strcmp(name, address) == 0)
            has_other = others;
        err_ignore(!start(n, en, name)); /* perhaps the server has moved */
    }
    return has_other;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void on_tick(void *arg)
{
    struct lb_names *n = arg;
    uint64_t now_ms = uv_now(n->loop);
    struct str key;
    void *value;

    for (size_t i = 0; map_next(n->entries, &i, &key, &value);) {
        struct entry *en = value;
        uint64_t idle_ms = now_ms - en->used_ms;

        if (idle_ms > FORGET_MS && !en->req && list_empty(&en->waiting)) {
            free(map_remove(n->entries, key));
        } else if (idle_ms < IN_USE_MS && now_ms >= en->renew_ms && !en->req) {
            auto_free char *address = str_dup(key);
            err_ignore(!start(n, en, address)); /* tried again at the next tick */
        }
    }
    if (map_len(n->entries))
        timer_start_ms(&n->timer, TICK_MS, on_tick, n);
}

struct lb_names *lb_names_new(uv_loop_t *loop, lb_resolve_fn resolve)
{
    struct lb_names *n = mem_alloc(sizeof *n);

    n->loop = loop;
    n->resolve = resolve ? resolve : ask_system;
    n->entries = map_new();
    list_init(&n->requests);
    timer_init(&n->timer, loop);
    return n;
}

static void on_timer_closed(void *arg)
{
    struct lb_names *n = arg;
    void (*done)(void *) = n->done;
    void *done_arg = n->done_arg;

    free(n);
    if (done)
        done(done_arg);
}

void lb_names_close(struct lb_names *n, void (*done)(void *arg), void *arg)
{
    struct str key;
    void *value;

    list_each (r, &n->requests, struct request, link) {
        list_remove(&r->link);
        r->names = NULL;
        uv_cancel((uv_req_t *)&r->work); /* it calls back either way */
    }
    for (size_t i = 0; map_next(n->entries, &i, &key, &value);)
        free(value);
    map_free(n->entries);
    n->done = done;
    n->done_arg = arg;
    timer_close(&n->timer, on_timer_closed, n);
}
