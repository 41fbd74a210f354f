#include "agent/boot/reporter.h"

#include "agent/boot/history.h"
#include "agent/boot/join.h"
#include "base/core/clock.h"
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/io/backoff.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "base/io/tls.h"
#include "lb/dial.h"

#include <stdio.h>
#include <stdlib.h>

#define REPORT_TARGET     "/v1-coracle/report"
#define REPORT_TIMEOUT_MS 10000 /* the server takes differences above it for the clock's */
#define ANSWER_MAX_BYTES  4096
#define DELAY_MIN_MS      200 /* random: servers that start again hear of all nodes at once */
#define DELAY_MAX_MS      2000
#define RETRY_MIN_MS      5000
#define RETRY_MAX_MS      60000
#define INTERVAL_MS       5000 /* between reports, for what flaps */
#define CLOCK_CHECK_MS    60000
#define CLOCK_JUMP_S      5

struct server { /* there is a coracle.v1 tunnel to it */
    struct list in;
    char *address;
    uint64_t told; /* the version of the history it has */
    bool refuses;  /* it does not know the path */
};

struct reporter {
    struct reporter_config c;
    struct history history;
    uint64_t version; /* grows with each change that servers should hear of */
    struct list servers;
    struct timer send_timer, clock_timer;
    struct backoff backoff;
    uint64_t not_before_ms; /* the next report, unless a tunnel came */
    int64_t clock_s;        /* wall minus monotonic, as last told */
    /* the report under way */
    char *address; /* NULL: there is none */
    char *host;
    uint16_t port;
    uint64_t telling;
    bool failed;
    struct tls_client_config *tls;
    struct http_endpoint *ep;
    struct http_call *call;
    bool closing;
    unsigned n_open; /* the timers, and the endpoint */
    void (*done)(void *arg);
    void *done_arg;
};

static void maybe_gone(struct reporter *r)
{
    void (*done)(void *) = r->done;
    void *arg = r->done_arg;

    if (!r->closing || r->n_open)
        return;
    free(r);
    if (done)
        done(arg);
}

static struct server *server_of(struct reporter *r, const char *address)
{
    list_each (s, &r->servers, struct server, in)
        if (strcmp(s->address, address) == 0)
            return s;
    return NULL;
}

static void server_free(struct server *s)
{
    if (!s)
        return;
    list_remove(&s->in);
    free(s->address);
    free(s);
}

/* ---- sending ---- */

static void send_next(void *arg);

static void schedule(struct reporter *r, uint64_t wait_ms)
{
    if (r->closing || r->address || timer_is_running(&r->send_timer))
        return;
    list_each (s, &r->servers, struct server, in)
        if (!s->refuses && s->told != r->version) {
            timer_start_ms(&r->send_timer, wait_ms, send_next, r);
            return;
        }
}

static void soon(struct reporter *r)
{
    uint64_t now_ms = uv_now(r->c.loop);
    uint64_t wait_ms = r->c.delay_min_ms + rand_below(r->c.delay_max_ms - r->c.delay_min_ms + 1);

    if (r->not_before_ms > now_ms + wait_ms)
        wait_ms = r->not_before_ms - now_ms;
    schedule(r, wait_ms);
}

static void on_endpoint_closed(void *arg)
{
    struct reporter *r = arg;

    tls_client_config_free(STEAL(r->tls));
    free(STEAL(r->host));
    free(STEAL(r->address));
    r->n_open--;
    if (!r->failed)
        backoff_reset(&r->backoff);
    r->not_before_ms =
        uv_now(r->c.loop) + (r->failed ? backoff_next_ms(&r->backoff) : r->c.interval_ms);
    soon(r);
    maybe_gone(r);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct reporter *r = arg;
    struct server *s = server_of(r, r->address); /* its tunnel may have gone meanwhile */

    (void)h;
    (void)body;
    r->call = NULL;
    r->failed = false;
    if (!e && status / 100 == 2) {
        if (s)
            s->told = r->telling;
    } else if (!e && (status == 403 || status == 404 || status == 405)) {
        log_debug("server takes no reports", kv("server", r->address), kv("status", status));
        if (s)
            s->refuses = true;
    } else {
        r->failed = true;
        log_debug("report not delivered, will retry", kv("server", r->address),
                  kv("status", status), kv("err", e ? e->text : ""));
    }
    http_endpoint_close(r->ep, on_endpoint_closed, r);
}

static void dial_server(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct reporter *r = dial_arg;

    if (r->c.balancer)
        lb_dial_start(NULL, r->c.balancer, r->host, r->port, timeout_ms, done, arg);
    else
        tcp_dial(NULL, r->c.loop, r->host, r->port, timeout_ms, done, arg);
}

static int write_body(struct reporter *r, struct buf *body)
{
    struct node_report report;
    uint64_t now_ms = uv_now(r->c.loop);

    history_report(&r->history, &report, now_ms, clock_machine_s());
    return node_report_write(body, &report);
}

static int start_report(struct reporter *r, const struct server *s, struct err *e)
{
    const struct pair *kubelet = &r->c.credentials->pairs[CRED_KUBELET];
    struct tls_client_options o = { .ca_pem = buf_str(&r->c.credentials->server_ca),
                                    .cert_chain_pem = buf_str(&kubelet->cert_pem),
                                    .key_pem = buf_str(&kubelet->key_pem) };
    struct http_endpoint_config ec = { .authority = JOIN_SERVER_NAME,
                                       .dial = dial_server,
                                       .dial_arg = r,
                                       .proto = HTTP_H1,
                                       .no_keep_alive = true,
                                       .dial_timeout_ms = REPORT_TIMEOUT_MS };
    struct http_header json = { STR("Content-Type"), STR("application/json") };
    struct http_call_config cc = { .method = "POST",
                                   .target = REPORT_TARGET,
                                   .headers = &json,
                                   .n_headers = 1,
                                   .timeout_ms = REPORT_TIMEOUT_MS };
    auto_buf body = BUF(NODE_REPORT_MAX_BYTES);
    struct str host;

    if (url_split_host_port(&host, &r->port, str_of(s->address), 0, e) ||
        tls_client_config_new(&r->tls, &o, e))
        return (int)e->code;
    if (write_body(r, &body)) {
        tls_client_config_free(STEAL(r->tls));
        return err_set(e, ERR_LIMIT, "the report is too long");
    }
    ec.tls = r->tls;
    cc.body = buf_str(&body);
    r->host = str_dup(host);
    r->address = mem_strdup(s->address);
    r->telling = r->version;
    r->n_open++;
    http_endpoint_new(&r->ep, r->c.loop, &ec);
    r->call = http_fetch(r->ep, &cc, ANSWER_MAX_BYTES, on_answer, r);
    return 0;
}

static void send_next(void *arg)
{
    struct reporter *r = arg;
    struct err e;

    list_each (s, &r->servers, struct server, in) {
        if (s->refuses || s->told == r->version)
            continue;
        if (!start_report(r, s, &e)) {
            list_remove(&s->in); /* the others first, should it fail */
            list_push(&r->servers, &s->in);
            return;
        }
        log_warn("no report can be made", kv("server", s->address), kv("err", e.text));
        s->refuses = true;
    }
}

/* ---- what there is to tell ---- */

static void changed(struct reporter *r)
{
    r->version++;
    soon(r);
}

void reporter_note(struct reporter *r, const char *about, enum cause c, const char *text)
{
    if (history_note(&r->history, about, c, text, uv_now(r->c.loop)))
        changed(r);
}

static enum cause cause_of_tunnel(const struct tunnel_client_status *st)
{
    struct err e;

    if (cause_is_clock(st->error))
        return CAUSE_CLOCK;
    switch (st->failure) {
    case TUNNEL_OK:
        return CAUSE_NONE;
    case TUNNEL_FAIL_DNS:
        return CAUSE_DNS;
    case TUNNEL_FAIL_TCP:
        return CAUSE_TCP;
    case TUNNEL_FAIL_TLS:
        return CAUSE_TLS;
    case TUNNEL_FAIL_HTTP:
        err_set(&e, ERR_PROTOCOL, "%.200s", st->error);
        /* only a certificate was shown */
        return st->http_status == 401 || st->http_status == 403 ? CAUSE_TLS
                                                                : cause_of(&e, st->http_status);
    case TUNNEL_FAIL_CLOSED:
    case TUNNEL_FAIL_SILENT:
        return CAUSE_SESSION;
    case TUNNEL_FAIL_PROTOCOL:
        break;
    }
    return CAUSE_PROTOCOL;
}

void reporter_on_tunnel(void *arg, const struct tunnel_client_status *st)
{
    struct reporter *r = arg;
    struct server *s = server_of(r, st->address);
    char about[HISTORY_ABOUT_BYTES];

    if (st->state == TUNNEL_CLIENT_CONNECTING)
        return;
    snprintf(about, sizeof about, "tunnel to %.80s", st->address);
    server_free(s);
    if (st->state == TUNNEL_CLIENT_CONNECTED && st->own_protocol) {
        s = mem_alloc(sizeof *s);
        s->address = mem_strdup(st->address);
        s->told = UINT64_MAX; /* nothing yet; the clock alone is worth a word */
        list_push(&r->servers, &s->in);
        r->not_before_ms = 0; /* the way is new, and so is what kept us from it */
        timer_stop(&r->send_timer);
    }
    reporter_note(r, about, st->state == TUNNEL_CLIENT_CONNECTED ? CAUSE_NONE : cause_of_tunnel(st),
                  st->error);
    soon(r);
}

static int64_t clock_offset_s(void)
{
    return clock_machine_s() - (int64_t)(clock_mono_ms() / 1000);
}

static void on_clock_timer(void *arg)
{
    struct reporter *r = arg;
    int64_t now_s = clock_offset_s();

    if (llabs(now_s - r->clock_s) > CLOCK_JUMP_S) {
        r->clock_s = now_s;
        changed(r);
    }
    timer_start_ms(&r->clock_timer, CLOCK_CHECK_MS, on_clock_timer, r);
}

/* ---- life ---- */

void reporter_new(struct reporter **out, const struct reporter_config *c)
{
    struct reporter *r = mem_alloc(sizeof *r);

    r->c = *c;
    r->c.delay_min_ms = c->delay_min_ms ? c->delay_min_ms : DELAY_MIN_MS;
    r->c.delay_max_ms = MAX(c->delay_max_ms ? c->delay_max_ms : DELAY_MAX_MS, r->c.delay_min_ms);
    r->c.interval_ms = c->interval_ms ? c->interval_ms : INTERVAL_MS;
    history_init(&r->history);
    list_init(&r->servers);
    r->backoff = (struct backoff)BACKOFF(RETRY_MIN_MS, RETRY_MAX_MS);
    timer_init(&r->send_timer, c->loop);
    timer_init(&r->clock_timer, c->loop);
    r->n_open = 2;
    r->clock_s = clock_offset_s();
    timer_start_ms(&r->clock_timer, CLOCK_CHECK_MS, on_clock_timer, r);
    *out = r;
}

static void on_timer_closed(void *arg)
{
    struct reporter *r = arg;

    r->n_open--;
    maybe_gone(r);
}

void reporter_close(struct reporter *r, void (*done)(void *arg), void *arg)
{
    r->closing = true;
    r->done = done;
    r->done_arg = arg;
    list_each (s, &r->servers, struct server, in)
        server_free(s);
    if (r->call)
        http_call_cancel(r->call);
    timer_close(&r->send_timer, on_timer_closed, r);
    timer_close(&r->clock_timer, on_timer_closed, r);
}
