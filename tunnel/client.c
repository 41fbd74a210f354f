/*
 * Tunnel client: CONNECTING, CONNECTED, WAITING in turn, for ever (the picture is in the header).
 *
 * The attempt (tunnel/connect.h) and the link (tunnel/link.h) are never there both. An ended link
 * closes by itself while we already wait for the next attempt; n_open counts what must be gone
 * before the client is.
 */
#include "tunnel/client.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/http/url.h"
#include "base/io/timer.h"
#include "tunnel/connect.h"
#include "tunnel/link.h"
#include "tunnel/pump.h"

#include <stdio.h>

/* The way there failed: usable again soon after it is back, and the agents of a cut network do not
 * come in one moment. */
#define PATH_MIN_MS 500
#define PATH_MAX_MS 2500
/* The server refused, or ended a session at once: each attempt costs it a handshake. */
#define REFUSED_MIN_MS 1000
#define REFUSED_MAX_MS 4000
#define LIVED_MS       1000
/* What has been gone for long is not back in a moment; a try each second for days is traffic that
 * somebody pays for, and a radio that never sleeps. */
#define LONG_DOWN_MS      (2u * 60 * 1000)
#define VERY_LONG_DOWN_MS (10u * 60 * 1000)

struct tunnel_client {
    uv_loop_t *loop;
    struct tunnel_client_options o;
    struct tls_client_config *tls;
    char *host;
    uint16_t port;
    char id[TUNNEL_CLIENT_ID_BYTES];
    struct tunnel_client_status st;
    struct timer timer;
    struct tunnel_connect *attempt; /* CONNECTING */
    struct tunnel_link *link;       /* CONNECTED */
    uint64_t began_ms;              /* the attempt, or the link */
    uint64_t down_ms;               /* since then it is not connected */
    size_t n_open;                  /* the timer, the attempt, and links until they are gone */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static const char *const alpn[] = { "http/1.1", NULL };

const char *tunnel_failure_name(enum tunnel_failure f)
{
    static const char *const names[] = { "",     "dns",    "tcp",    "tls",
                                         "http", "closed", "silent", "protocol" };

    return names[f];
}

static struct tls_client_options tls_options(struct str ca, struct str chain, struct str key)
{
    return (struct tls_client_options){
        .ca_pem = ca, .cert_chain_pem = chain, .key_pem = key, .alpn = alpn
    };
}

int tunnel_client_check(struct str ca_pem, struct str cert_chain_pem, struct str key_pem,
                        struct err *e)
{
    struct tls_client_options o = tls_options(ca_pem, cert_chain_pem, key_pem);
    struct tls_client_config *tls;

    if (tls_client_config_new(&tls, &o, e))
        return err_wrap(e, "credentials of the tunnel");
    tls_client_config_free(tls);
    return 0;
}

/* ---- states --------------------------------------------------------------------------------- */

static void attempt_start(void *arg);

static void gone_one(void *arg)
{
    struct tunnel_client *c = arg;
    void (*closed)(void *arg) = c->closed;
    void *closed_arg = c->closed_arg;

    if (--c->n_open)
        return;
    tls_client_config_free(c->tls);
    free(c->host);
    free(c);
    if (closed)
        closed(closed_arg);
}

/* The only writer of st.state. The owner is told last. */
static void client_move(struct tunnel_client *c, enum tunnel_client_state state,
                        enum tunnel_failure failure, int http_status, const char *error)
{
    struct tunnel_client_status st;

    if (state == TUNNEL_CLIENT_WAITING) {
        if (c->st.state == TUNNEL_CLIENT_CONNECTED || c->st.failure != failure)
            log_warn("tunnel is down, will connect again", kv("server", c->st.address),
                     kv("reason", tunnel_failure_name(failure)), kv("err", error));
        else /* the same again: every few seconds for as long as the server is away */
            log_debug("tunnel is still down", kv("server", c->st.address), kv("err", error));
    }
    if (c->st.state == TUNNEL_CLIENT_CONNECTED)
        c->down_ms = uv_now(c->loop);
    c->st.state = state;
    c->st.since_unix_s = clock_wall_s();
    if (state != TUNNEL_CLIENT_CONNECTING) { /* while connecting, the last failure stands */
        c->st.failure = failure;
        c->st.http_status = http_status;
        snprintf(c->st.error, sizeof c->st.error, "%s", error);
    }
    tunnel_client_status(c, &st);
    if (c->o.on_state)
        c->o.on_state(c->o.arg, &st);
}

void tunnel_client_wait_range(uint64_t *min_ms, uint64_t *max_ms, bool refused, uint64_t down_ms)
{
    uint64_t factor = down_ms >= VERY_LONG_DOWN_MS ? 6 : down_ms >= LONG_DOWN_MS ? 2 : 1;

    *min_ms = factor * (refused ? REFUSED_MIN_MS : PATH_MIN_MS);
    *max_ms = factor * (refused ? REFUSED_MAX_MS : PATH_MAX_MS);
}

/* An attempt that took long has waited already. */
static uint64_t wait_ms(const struct tunnel_client *c, bool refused)
{
    uint64_t min_ms, max_ms, took_ms = 0, ms;

    tunnel_client_wait_range(&min_ms, &max_ms, refused,
                             c->st.state == TUNNEL_CLIENT_CONNECTED ? 0
                                                                    : uv_now(c->loop) - c->down_ms);
    if (c->o.reconnect_max_ms) {
        min_ms = c->o.reconnect_min_ms;
        max_ms = c->o.reconnect_max_ms;
    }
    if (c->st.state == TUNNEL_CLIENT_CONNECTING)
        took_ms = uv_now(c->loop) - c->began_ms;
    ms = min_ms + rand_below(max_ms - min_ms + 1);
    return MAX(min_ms, ms > took_ms ? ms - took_ms : 0);
}

static void wait_and_retry(struct tunnel_client *c, bool refused, enum tunnel_failure failure,
                           int http_status, const char *error)
{
    timer_start_ms(&c->timer, wait_ms(c, refused), attempt_start, c);
    client_move(c, TUNNEL_CLIENT_WAITING, failure, http_status, error);
}

/* Somebody was there and said no; everything else may be the network's. */
static bool is_refusal(const struct tunnel_connect_result *r)
{
    return r->http_status || r->failure == TUNNEL_FAIL_PROTOCOL ||
           (r->failure == TUNNEL_FAIL_TLS && r->err.code == ERR_DENIED);
}

/* ---- connected ------------------------------------------------------------------------------ */

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    struct tunnel_client *c = arg;
    struct tunnel_target target;
    struct err e;

    if (!tunnel_authorizer_check(c->o.authorizer, proto, address, &target, &e)) {
        tunnel_pump_start(c->loop, f, &target);
        return;
    }
    if (log_allowed(&limit))
        log_warn("refused to dial for the server", kv("server", c->st.address), kv("err", e.text));
    tunnel_flow_fail(f, &e, false, uv_now(c->loop));
}

static void on_dead(void *arg, const struct err *e)
{
    struct tunnel_client *c = arg;
    struct err why = *e;
    bool at_once = uv_now(c->loop) - c->began_ms < LIVED_MS;

    tunnel_link_close(STEAL(c->link), why.text);
    wait_and_retry(c, why.code == ERR_PROTOCOL || at_once,
                   why.code == ERR_TIMEOUT    ? TUNNEL_FAIL_SILENT
                   : why.code == ERR_PROTOCOL ? TUNNEL_FAIL_PROTOCOL
                                              : TUNNEL_FAIL_CLOSED,
                   0, why.text);
}

static void on_connected(void *arg, const struct tunnel_connect_result *r)
{
    struct tunnel_client *c = arg;
    struct tunnel_link_config lc = { .role = TUNNEL_CLIENT,
                                     .framing = r->framing,
                                     .key = c->st.address,
                                     .n_flows_max = c->o.n_streams_max,
                                     .on_open = on_open,
                                     .on_dead = on_dead,
                                     .on_closed = gone_one,
                                     .arg = c };

    c->attempt = NULL;
    if (c->closing || !r->stream) {
        if (r->stream)
            stream_close(r->stream);
        if (!c->closing)
            wait_and_retry(c, is_refusal(r), r->failure, r->http_status, r->err.text);
        gone_one(c);
        return;
    }
    tunnel_link_new(&c->link, r->stream, r->leftover, &lc); /* takes the attempt's place */
    c->began_ms = uv_now(c->loop);
    c->st.n_connects++;
    c->st.own_protocol = r->framing == &tunnel_mux;
    log_info("tunnel connected", kv("server", c->st.address),
             kv("protocol", c->st.own_protocol ? TUNNEL_SUBPROTOCOL : "remotedialer"));
    client_move(c, TUNNEL_CLIENT_CONNECTED, TUNNEL_OK, 0, "");
}

static void attempt_start(void *arg)
{
    struct tunnel_client *c = arg;
    struct tunnel_connect_config cfg = { .loop = c->loop,
                                         .host = c->host,
                                         .port = c->port,
                                         .tls_name = c->o.tls_name,
                                         .tls = c->tls,
                                         .dialer = c->o.dialer,
                                         .client_id = c->o.remotedialer ? NULL : c->id };

    c->n_open++;
    c->began_ms = uv_now(c->loop);
    tunnel_connect_start(&c->attempt, &cfg, on_connected, c);
    client_move(c, TUNNEL_CLIENT_CONNECTING, TUNNEL_OK, 0, "");
}

/* ---- life ----------------------------------------------------------------------------------- */

int tunnel_client_new(struct tunnel_client **out, uv_loop_t *loop, const char *address,
                      const struct tunnel_client_options *o, struct err *e)
{
    struct tls_client_options to = tls_options(o->ca_pem, o->cert_chain_pem, o->key_pem);
    struct tls_client_config *tls;
    struct tunnel_client *c;
    struct str host;
    uint16_t port;

    if (strlen(address) >= sizeof c->st.address)
        return err_set(e, ERR_INVALID, "tunnel: the server's address is too long");
    if (url_split_host_port(&host, &port, str_of(address), 0, e) ||
        tls_client_config_new(&tls, &to, e))
        return err_wrap(e, "tunnel to %s", address);
    c = mem_alloc(sizeof *c);
    c->loop = loop;
    c->o = *o;
    /* the credentials are in tls now */
    c->o.ca_pem = c->o.cert_chain_pem = c->o.key_pem = str_n(NULL, 0);
    c->tls = tls;
    rand_hex(c->id, sizeof c->id / 2);
    c->host = str_dup(host);
    c->port = port;
    snprintf(c->st.address, sizeof c->st.address, "%s", address);
    c->st.since_unix_s = clock_wall_s();
    c->down_ms = uv_now(loop);
    timer_init(&c->timer, loop);
    c->n_open = 1;
    timer_start_ms(&c->timer, 0, attempt_start, c);
    *out = c;
    return 0;
}

int tunnel_client_reload(struct tunnel_client *c, struct str ca_pem, struct str cert_chain_pem,
                         struct str key_pem, struct err *e)
{
    struct tls_client_options o = tls_options(ca_pem, cert_chain_pem, key_pem);

    if (tls_client_config_reload(c->tls, &o, e))
        return err_wrap(e, "tunnel to %s", c->st.address);
    return 0;
}

void tunnel_client_doubt(struct tunnel_client *c)
{
    if (c->link)
        tunnel_link_doubt(c->link);
}

void tunnel_client_status(const struct tunnel_client *c, struct tunnel_client_status *out)
{
    *out = c->st;
    if (!c->link)
        return;
    out->n_streams = tunnel_session_n_flows(tunnel_link_session(c->link));
    out->rtt_ms = tunnel_session_rtt_ms(tunnel_link_session(c->link));
}

void tunnel_client_close(struct tunnel_client *c, void (*done)(void *arg), void *arg)
{
    c->closing = true;
    c->closed = done;
    c->closed_arg = arg;
    if (c->attempt)
        tunnel_connect_cancel(c->attempt);
    if (c->link)
        tunnel_link_close(STEAL(c->link), "the agent closes the tunnel");
    timer_close(&c->timer, gone_one, c);
}
