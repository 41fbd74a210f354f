/*
 * Connect: the HTTP client does the exchange; its dial function is ours, so that a failure can be
 * told apart by where it happened.
 *
 *   DIALING (name, TCP) --> TLS --> HTTP --101--> done(stream), the endpoint goes by itself
 *      +--------------------+--------+--(failed, canceled)--> endpoint closes --> done(error)
 */
#include "tunnel/connect.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/http/ws.h"
#include "base/io/tcp.h"

#include <stdio.h>

#define TARGET     "/v1-k3s/connect"
#define USER_AGENT "Go-http-client/1.1" /* what K3s' agents say; some proxies have lists */

struct tunnel_connect {
    uv_loop_t *loop;
    struct http_endpoint *ep;
    struct http_call *call;
    struct tunnel_dialer dialer;
    void *dial; /* the dialer's, while it runs */
    struct tls *handshake;
    struct tls_client_config *tls;
    char *host, *tls_name;
    uint16_t port;
    uint64_t dial_until_ms;
    http_dialed_fn dialed; /* the endpoint's, while it waits for our dial */
    void *dialed_arg;
    enum tunnel_failure stage; /* where a failure would have happened */
    int http_status;
    bool canceled, finished, remotedialer;
    const struct tunnel_framing *framing;
    struct err err;
    char key[25]; /* Sec-WebSocket-Key: 16 bytes in base64 */
    tunnel_connect_fn done;
    void *arg;
};

/* ---- dialing: name, TCP, TLS ---------------------------------------------------------------- */

static void dial_end(struct tunnel_connect *c, struct stream *s, const struct err *e)
{
    http_dialed_fn dialed = c->dialed;

    c->dialed = NULL;
    if (s)
        c->stage = TUNNEL_FAIL_HTTP;
    dialed(c->dialed_arg, s, e);
}

static void on_tls(void *arg, struct stream *s, const struct err *e)
{
    struct tunnel_connect *c = arg;

    c->handshake = NULL;
    dial_end(c, s, e);
}

/* A name server's silence is a timeout, as a server's is: then the words tell (base/io/tcp.c and
 * lb/connect.c). */
static bool is_about_the_name(const struct err *e)
{
    return e->code == ERR_NOT_FOUND || e->code == ERR_AGAIN || strstr(e->text, ": resolve ") ||
           strstr(e->text, ": its name does not resolve");
}

static void on_tcp(void *arg, struct stream *s, const struct err *e)
{
    struct tunnel_connect *c = arg;
    uint64_t now_ms = uv_now(c->loop);

    c->dial = NULL;
    if (e) {
        c->stage = is_about_the_name(e) ? TUNNEL_FAIL_DNS : TUNNEL_FAIL_TCP;
        dial_end(c, NULL, e);
        return;
    }
    c->stage = TUNNEL_FAIL_TLS;
    c->handshake =
        tls_client_wrap(c->tls, s, c->tls_name,
                        c->dial_until_ms > now_ms ? c->dial_until_ms - now_ms : 1, on_tls, c);
}

static void *dial_tcp(void *arg, const char *host, uint16_t port, uint64_t timeout_ms,
                      http_dialed_fn done, void *done_arg)
{
    struct tcp_dial *d;

    tcp_dial(&d, arg, host, port, timeout_ms, done, done_arg);
    return d;
}

static void cancel_tcp(void *d)
{
    tcp_dial_cancel(d);
}

static void dial(void *arg, uint64_t timeout_ms, http_dialed_fn done, void *done_arg)
{
    struct tunnel_connect *c = arg;

    c->dialed = done;
    c->dialed_arg = done_arg;
    c->dial_until_ms = uv_now(c->loop) + timeout_ms;
    c->dial = c->dialer.dial(c->dialer.arg, c->host, c->port, timeout_ms, on_tcp, c);
}

/* ---- the exchange --------------------------------------------------------------------------- */

static void make_key(char out[25])
{
    auto_buf text = BUF(64);
    char bytes[16];

    rand_bytes(bytes, sizeof bytes);
    err_ignore(base64_add(&text, str_n(bytes, sizeof bytes))); /* always 24 characters */
    snprintf(out, 25, "%s", buf_cstr(&text));
}

/* RFC 6455 4.1, the client's checks of the answer; we asked for no extension. */
static bool is_websocket(struct tunnel_connect *c, const struct http_headers *h)
{
    struct str protocol = http_headers_get(h, "sec-websocket-protocol");
    char accept[29];

    if (protocol.p && (c->remotedialer || !str_is(str_trim(protocol), TUNNEL_SUBPROTOCOL)))
        return false;
    c->framing = protocol.p ? &tunnel_mux : &tunnel_remotedialer;

    ws_accept_key(accept, str_of(c->key));
    return http_headers_has_token(h, "upgrade", "websocket") &&
           http_headers_has_token(h, "connection", "upgrade") &&
           str_is(http_headers_get(h, "sec-websocket-accept"), accept) &&
           !http_headers_get(h, "sec-websocket-extensions").p;
}

static void on_head(struct http_call *call, void *arg, int status, const struct http_headers *h)
{
    struct tunnel_connect *c = arg;
    struct tunnel_connect_result r = { .failure = TUNNEL_OK };
    auto_buf leftover = BUF(HTTP_HEADERS_MAX_BYTES);

    c->http_status = status;
    if (status != 101) {
        err_set(&c->err, ERR_PROTOCOL, "the server answered %d %s", status,
                http_status_text(status));
        http_call_cancel(call);
        return;
    }
    if (!is_websocket(c, h)) {
        err_set(&c->err, ERR_PROTOCOL, "the server's answer is no websocket handshake");
        c->stage = TUNNEL_FAIL_PROTOCOL;
        http_call_cancel(call);
        return;
    }
    if (c->canceled)
        return;
    r.stream = http_call_take_stream(call, &leftover);
    r.leftover = buf_str(&leftover);
    r.framing = c->framing;
    c->finished = true;
    c->done(c->arg, &r);
}

static void on_endpoint_closed(void *arg)
{
    struct tunnel_connect *c = arg;
    struct tunnel_connect_result r = { .failure = c->stage,
                                       .http_status = c->http_status,
                                       .err = c->err };
    tunnel_connect_fn done = c->finished ? NULL : c->done;
    void *done_arg = c->arg;

    free(c->host);
    free(c->tls_name);
    free(c);
    if (done)
        done(done_arg, &r);
}

static void on_done(struct http_call *call, void *arg, const struct err *e)
{
    struct tunnel_connect *c = arg;

    (void)call;
    c->call = NULL;
    if (c->canceled)
        err_set(&c->err, ERR_CANCELED, "connecting was canceled");
    else if (!c->err.code && e)
        c->err = *e;
    else if (!c->err.code)
        err_set(&c->err, ERR_CLOSED, "the connection ended without a websocket");
    http_endpoint_close(c->ep, on_endpoint_closed, c);
}

static const struct http_call_events events = { .on_head = on_head, .on_done = on_done };

void tunnel_connect_start(struct tunnel_connect **out, const struct tunnel_connect_config *cfg,
                          tunnel_connect_fn done, void *arg)
{
    struct tunnel_connect *c = mem_alloc(sizeof *c);
    auto_buf authority = BUF(512);
    struct http_endpoint_config ec = { .dial = dial,
                                       .dial_arg = c,
                                       .proto = HTTP_H1,
                                       .no_keep_alive = true,
                                       .dial_timeout_ms = TUNNEL_CONNECT_MS };
    struct http_header headers[] = { { STR("Upgrade"), STR("websocket") },
                                     { STR("Connection"), STR("Upgrade") },
                                     { STR("Sec-WebSocket-Version"), STR("13") },
                                     { STR("Sec-WebSocket-Key"), { 0 } },
                                     { STR("User-Agent"), STR(USER_AGENT) },
                                     { STR("Sec-WebSocket-Protocol"), STR(TUNNEL_SUBPROTOCOL) },
                                     { STR(TUNNEL_CLIENT_ID_HEADER), str_of(cfg->client_id) } };
    struct http_call_config cc = { .method = "GET",
                                   .target = TARGET,
                                   .headers = headers,
                                   .n_headers = ARRAY_LEN(headers) - (cfg->client_id ? 0 : 2),
                                   .timeout_ms = 2 * TUNNEL_CONNECT_MS,
                                   .upgrade = true };

    c->loop = cfg->loop;
    c->host = mem_strdup(cfg->host);
    c->tls_name = mem_strdup(cfg->tls_name ? cfg->tls_name : cfg->host);
    c->port = cfg->port;
    c->tls = cfg->tls;
    c->dialer =
        cfg->dialer ? *cfg->dialer : (struct tunnel_dialer){ dial_tcp, cancel_tcp, cfg->loop };
    c->stage = TUNNEL_FAIL_TCP;
    c->remotedialer = !cfg->client_id;
    c->done = done;
    c->arg = arg;
    err_ignore(
        url_join_host_port(&authority, str_of(c->host), c->port)); /* a name that was split fits */
    ec.authority = buf_cstr(&authority);
    make_key(c->key);
    headers[3].value = str_of(c->key);
    *out = c;
    http_endpoint_new(&c->ep, c->loop, &ec);
    http_call_start(&c->call, c->ep, &cc, &events, c);
}

void tunnel_connect_cancel(struct tunnel_connect *c)
{
    c->canceled = true;
    if (c->dial)
        c->dialer.cancel(c->dial);
    if (c->handshake)
        tls_client_cancel(c->handshake);
    if (c->call)
        http_call_cancel(c->call);
}
