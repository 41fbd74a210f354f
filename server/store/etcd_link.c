#include "server/store/etcd_link.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"
#include "server/store/etcd_fault.h"

#include <assert.h>

enum {
    DIAL_MS = 3000,        /* TCP and TLS */
    PROBE_MS = 3000,       /* a member that needs longer for one read is of no use to us */
    PROBE_AFTER_MS = 3000, /* of silence */
    TICK_MS = 1000,
    RETRY_MIN_MS = 100, /* after a round of all endpoints; the most is what a return may cost */
    RETRY_MAX_MS = 1000,
    PING_MS = 10000, /* etcd allows one each 5 s: its --grpc-keepalive-min-time */
    TOKEN_MAX = 4096,
    MESSAGE_MAX_BYTES = 48 << 20, /* one event: an object of VALUE_MAX, and what it was before */
};

enum link_state { LINK_TRYING, LINK_UP, LINK_WAITING, LINK_CLOSING };

struct etcd_link {
    uv_loop_t *loop;
    const struct etcd_endpoints *endpoints;
    const struct tls_client_config *tls;
    struct buf probe; /* the request */
    void (*on_up)(void *arg);
    void *arg;

    enum link_state state;
    size_t at, n_failed; /* the endpoint; how many failed in this round */
    struct http_endpoint *calls, *streams;
    unsigned check_seq; /* of the last token's call or probe; older ones are forgotten */
    bool checking;      /* it runs */
    struct buf token;
    uint64_t heard_ms, down_since_ms;
    struct err why;
    struct backoff backoff;
    struct timer timer; /* UP: tick; WAITING: backoff; else: what was put off to the next turn */
    bool was_up;

    size_t n_closing; /* endpoints, and the timer */
    void (*closed)(void *arg);
    void *closed_arg;
};

struct etcd_call {
    struct etcd_link *link;
    struct grpc_call *grpc;
    enum etcd_answer_kind kind;
    etcd_reply_fn done;
    void *arg;
};

static void try_endpoint(void *arg);
static void on_tick(void *arg);

static void link_move(struct etcd_link *l, enum link_state to)
{
    static const unsigned next[] = {
        [LINK_TRYING] = 1u << LINK_UP | 1u << LINK_TRYING | 1u << LINK_WAITING | 1u << LINK_CLOSING,
        [LINK_UP] = 1u << LINK_TRYING | 1u << LINK_CLOSING,
        [LINK_WAITING] = 1u << LINK_TRYING | 1u << LINK_CLOSING,
        [LINK_CLOSING] = 0,
    };

    assert(next[l->state] & 1u << to);
    l->state = to;
}

static const char *endpoint_name(const struct etcd_link *l)
{
    return l->endpoints->v[l->at].authority;
}

/* ---- connections ---- */

static void maybe_closed(struct etcd_link *l)
{
    void (*done)(void *arg) = l->closed;
    void *arg = l->closed_arg;

    if (l->state != LINK_CLOSING || l->n_closing)
        return;
    buf_deinit(&l->probe);
    buf_deinit(&l->token);
    free(l);
    done(arg);
}

static void on_closed(void *arg)
{
    struct etcd_link *l = arg;

    l->n_closing--;
    maybe_closed(l);
}

static void hang_up(struct etcd_link *l)
{
    if (!l->calls)
        return;
    l->n_closing += 2;
    l->checking = false;
    l->check_seq++;
    http_endpoint_close(STEAL(l->calls), on_closed, l);
    http_endpoint_close(STEAL(l->streams), on_closed, l);
}

static void connect_endpoint(struct etcd_link *l)
{
    const struct etcd_endpoint *ep = &l->endpoints->v[l->at];
    struct http_endpoint_config c = {
        .authority = ep->authority,
        .tls = ep->tls ? l->tls : NULL,
        .proto = HTTP_H2,
        .dial_timeout_ms = DIAL_MS,
    };

    http_endpoint_new(&l->calls, l->loop, &c);
    c.ping_ms = PING_MS;
    http_endpoint_new(&l->streams, l->loop, &c);
}

/* ---- calls ---- */

static struct grpc_call_config config_of(const struct etcd_link *l, struct http_header md[2],
                                         const char *path)
{
    struct grpc_call_config c = {
        .path = path, .metadata = md, .n_metadata = 1, .message_max_bytes = MESSAGE_MAX_BYTES
    };

    md[0] = (struct http_header){ STR("hasleader"), STR("true") }; /* else: fail at once */
    if (l->token.n)
        md[c.n_metadata++] = (struct http_header){ STR("token"), buf_str(&l->token) };
    return c;
}

static void on_reply(void *arg, struct str reply, const struct err *failure)
{
    struct etcd_call *c = arg;
    struct err e = failure ? *failure : (struct err){ 0 };
    struct etcd_answer a = { .n = 0 };

    if (!failure) {
        c->link->heard_ms = uv_now(c->link->loop);
        err_ignore(etcd_answer_read(&a, c->kind, reply, &e)); /* told below */
    }
    if (e.code)
        err_wrap(&e, "etcd");
    c->done(c->arg, e.code ? NULL : &a, e.code ? &e : NULL);
    etcd_answer_deinit(&a);
    free(c);
}

struct etcd_call *etcd_link_call(struct etcd_link *l, const char *path, enum etcd_answer_kind kind,
                                 struct str message, uint64_t timeout_ms, etcd_reply_fn done,
                                 void *arg)
{
    struct etcd_call *c = mem_alloc(sizeof *c);
    struct http_header md[2];
    struct grpc_call_config cfg = config_of(l, md, path);

    assert(l->calls);
    cfg.timeout_ms = timeout_ms;
    *c = (struct etcd_call){ .link = l, .kind = kind, .done = done, .arg = arg };
    c->grpc = grpc_unary_with(l->calls, &cfg, message, on_reply, c);
    return c;
}

void etcd_call_cancel(struct etcd_call *c)
{
    grpc_cancel(c->grpc);
}

struct grpc_call *etcd_link_stream(struct etcd_link *l, const char *path,
                                   const struct grpc_call_events *events, void *arg)
{
    struct http_header md[2];
    struct grpc_call_config cfg = config_of(l, md, path);
    struct grpc_call *g;

    assert(l->streams);
    grpc_call_start(&g, l->streams, &cfg, events, arg);
    return g;
}

/* ---- up and down ---- */

static void go_down(struct etcd_link *l)
{
    l->down_since_ms = uv_now(l->loop);
    log_warn("etcd is not in reach", kv("err", l->why.text));
}

/* The member is of no use: why says so. */
static void give_up_on(struct etcd_link *l, const struct err *why)
{
    bool fell = l->state == LINK_UP || (l->state == LINK_TRYING && !l->down_since_ms);

    l->why = *why;
    l->why.code = ERR_CLOSED;
    hang_up(l);
    l->at = (l->at + 1) % l->endpoints->n;
    if (++l->n_failed >= l->endpoints->n) {
        l->n_failed = 0;
        if (l->state == LINK_UP)
            link_move(l, LINK_TRYING);
        link_move(l, LINK_WAITING);
        timer_start_ms(&l->timer, backoff_next_ms(&l->backoff), try_endpoint, l);
    } else {
        link_move(l, LINK_TRYING);
        timer_start_ms(&l->timer, 0, try_endpoint, l);
    }
    if (fell)
        go_down(l);
}

static void go_up(struct etcd_link *l)
{
    uint64_t down_ms = uv_now(l->loop) - l->down_since_ms;

    if (l->was_up && l->down_since_ms)
        log_info("etcd is in reach again", kv("endpoint", endpoint_name(l)),
                 kv("after_ms", down_ms));
    l->was_up = true;
    l->down_since_ms = 0;
    l->n_failed = 0;
    backoff_reset(&l->backoff);
    link_move(l, LINK_UP);
    timer_start_ms(&l->timer, TICK_MS, on_tick, l);
    l->on_up(l->arg);
}

struct check {
    struct etcd_link *link;
    unsigned seq;
};

static struct check *check_new(struct etcd_link *l)
{
    struct check *k = mem_alloc(sizeof *k);

    l->checking = true;
    *k = (struct check){ l, ++l->check_seq };
    return k;
}

/* Frees it. False: it was given up, its end does not matter. */
static bool check_ended(struct check *k)
{
    struct etcd_link *l = k->link;
    bool counts = l->checking && k->seq == l->check_seq;

    free(k);
    if (counts)
        l->checking = false;
    return counts;
}

static void on_probed(void *arg, struct str reply, const struct err *failure)
{
    struct check *k = arg;
    struct etcd_link *l = k->link;
    struct err e = failure ? *failure : (struct err){ 0 };
    struct etcd_answer a = { .n = 0 };

    if (!check_ended(k))
        return;
    if (!failure && !etcd_answer_read(&a, ETCD_ANSWER_RANGE, reply, &e))
        etcd_answer_deinit(&a);
    if (e.code) {
        struct etcd_fault f = etcd_fault_of(&e);
        if (f.token && l->state == LINK_UP) {
            etcd_link_renew_token(l);
            return;
        }
        err_wrap(&e, "etcd at %s", endpoint_name(l));
        give_up_on(l, &e);
        return;
    }
    l->heard_ms = uv_now(l->loop);
    if (l->state == LINK_TRYING)
        go_up(l);
}

static void probe(struct etcd_link *l)
{
    struct http_header md[2];
    struct grpc_call_config cfg = config_of(l, md, ETCD_RANGE);

    if (l->checking)
        return;
    cfg.timeout_ms = PROBE_MS;
    grpc_unary_with(l->calls, &cfg, buf_str(&l->probe), on_probed, check_new(l));
}

static void on_authenticated(void *arg, struct str reply, const struct err *failure)
{
    struct check *k = arg;
    struct etcd_link *l = k->link;
    struct err e = failure ? *failure : (struct err){ 0 };
    struct etcd_answer a = { .n = 0 };

    if (!check_ended(k))
        return;
    buf_deinit(&l->token);
    if (failure && strstr(failure->text, "authentication is not enabled")) {
        e.code = ERR_OK; /* then nobody asks for a token */
    } else if (!failure && !etcd_answer_read(&a, ETCD_ANSWER_AUTHENTICATE, reply, &e)) {
        if (buf_adds(&l->token, a.text))
            err_set(&e, ERR_LIMIT, "a token of more than %d bytes", TOKEN_MAX);
        etcd_answer_deinit(&a);
    }
    if (e.code) {
        err_wrap(&e, "etcd at %s", endpoint_name(l));
        give_up_on(l, &e);
        return;
    }
    probe(l);
}

/* The token first, where there is a user, then the probe. */
static void prove(struct etcd_link *l)
{
    auto_buf b = BUF_SECRET(8192);
    struct grpc_call_config cfg = { .path = ETCD_AUTHENTICATE, .timeout_ms = PROBE_MS };

    if (!l->endpoints->user ||
        etcd_pack_authenticate(&b, l->endpoints->user, l->endpoints->password)) {
        probe(l);
        return;
    }
    grpc_unary_with(l->calls, &cfg, buf_str(&b), on_authenticated, check_new(l));
}

static void try_endpoint(void *arg)
{
    struct etcd_link *l = arg;

    if (l->state == LINK_WAITING)
        link_move(l, LINK_TRYING);
    connect_endpoint(l);
    prove(l);
}

static void on_tick(void *arg)
{
    struct etcd_link *l = arg;

    timer_start_ms(&l->timer, TICK_MS, on_tick, l);
    if (uv_now(l->loop) - l->heard_ms >= PROBE_AFTER_MS)
        probe(l);
}

void etcd_link_suspect(struct etcd_link *l)
{
    if (l->state == LINK_UP)
        probe(l);
}

void etcd_link_renew_token(struct etcd_link *l)
{
    if (l->state != LINK_UP || !l->endpoints->user) {
        etcd_link_suspect(l);
        return;
    }
    l->checking = false; /* a probe that runs has the old token */
    link_move(l, LINK_TRYING);
    timer_stop(&l->timer);
    prove(l);
}

/* ---- life ---- */

bool etcd_link_is_up(const struct etcd_link *l)
{
    return l->state == LINK_UP;
}

const struct err *etcd_link_why(const struct etcd_link *l)
{
    return &l->why;
}

uint64_t etcd_link_down_ms(const struct etcd_link *l)
{
    return l->down_since_ms ? uv_now(l->loop) - l->down_since_ms : 0;
}

void etcd_link_new(struct etcd_link **out, const struct etcd_link_config *c)
{
    struct etcd_link *l = mem_alloc(sizeof *l);

    l->loop = c->loop;
    l->endpoints = c->endpoints;
    l->tls = c->tls;
    l->on_up = c->on_up;
    l->arg = c->arg;
    l->probe = BUF(8192);
    l->token = BUF_SECRET(TOKEN_MAX);
    l->backoff = (struct backoff)BACKOFF(RETRY_MIN_MS, RETRY_MAX_MS);
    l->at = rand_below(c->endpoints->n); /* servers spread over the members */
    l->down_since_ms = MAX(uv_now(c->loop), (uint64_t)1);
    err_set(&l->why, ERR_CLOSED, "etcd at %s: no answer yet", endpoint_name(l));
    err_ignore(etcd_pack_range(
        &l->probe,
        &(struct etcd_range){ .key = c->probe_key, .keys_only = true, .limit = 1 })); /* fits */
    timer_init(&l->timer, c->loop);
    timer_start_ms(&l->timer, 0, try_endpoint, l);
    *out = l;
}

void etcd_link_close(struct etcd_link *l, void (*done)(void *arg), void *arg)
{
    l->closed = done;
    l->closed_arg = arg;
    link_move(l, LINK_CLOSING);
    l->n_closing++;
    hang_up(l);
    timer_close(&l->timer, on_closed, l);
}
