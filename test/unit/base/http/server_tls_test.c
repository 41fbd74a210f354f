/* The server over TLS and TCP on the loopback, against our own client and raw streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/mem.h"
#include "base/http/client.h"
#include "base/http/server.h"
#include "base/http/ws.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "test/unit/base/io/certs.h"

#define BULK_BYTES (5u * 1024 * 1024)

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *server;
    struct tls_server_config *server_tls;
    struct tls_client_config *client_tls;
    struct cert ca, leaf;
    char authority[64];
    char *bulk;
    size_t n_left; /* of a streamed answer */
    unsigned n_done, n_requests_done;
    /* websocket */
    struct stream *client, *server_end;
    struct ws *ws;
    struct buf got;
    bool client_closed, server_end_closed;
};

/* ---- handlers ---- */

static void echo_length(struct http_req *r, void *arg, struct str body)
{
    struct world *w = arg;
    char text[32];

    assert_memory_equal(body.p, w->bulk, body.n);
    snprintf(text, sizeof text, "%zu", body.n);
    http_reply(r, 200, "text/plain", str_of(text), NULL, 0);
}

static void write_some(struct http_req *r, void *arg)
{
    struct world *w = arg;

    while (w->n_left > 0 && http_reply_queued(r) < STREAM_HIGH_BYTES) {
        size_t n = MIN(w->n_left, (size_t)10000);
        http_reply_write(r, w->bulk + (BULK_BYTES - w->n_left), n);
        w->n_left -= n;
    }
    if (w->n_left == 0)
        http_reply_end(r);
}

static void on_request_done(struct http_req *r, void *arg, const struct err *e)
{
    struct world *w = arg;

    (void)r;
    assert_null(e);
    w->n_requests_done++;
}

static const struct http_req_events events = { .on_drain = write_some, .on_done = on_request_done };

static void ws_flush(struct world *w)
{
    auto_buf out = BUF(1 << 20);
    struct err e = { 0 };

    assert_int_equal(ws_pull(w->ws, &out, 1 << 16, &e), 0);
    stream_write(w->server_end, out.p, out.n);
    if (ws_is_over(w->ws))
        stream_close_flushed(w->server_end, 5000);
}

static void ws_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    struct err e = { 0 };

    assert_int_equal(ws_feed(w->ws, p, n, &e), 0);
    ws_flush(w);
}

static void ws_gone(void *arg)
{
    ((struct world *)arg)->server_end_closed = true;
}

static const struct stream_events ws_stream_events = { .on_data = ws_data, .on_closed = ws_gone };

static void ws_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    (void)first;
    (void)last;
    struct world *w = arg;

    ws_send(w->ws, text, p, n);
    ws_close(w->ws, WS_NORMAL, "");
}

static void ws_closed(void *arg, int code, struct str reason)
{
    (void)arg;
    (void)reason;
    assert_int_equal(code, WS_NORMAL);
}

static const struct ws_events ws_events = { .on_message = ws_message, .on_close = ws_closed };

static void on_request(struct http_req *r, void *arg)
{
    static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
    struct world *w = arg;
    struct err e = { 0 };

    http_req_accept(r, &events, w);
    if (str_is(http_req_path(r), "/up")) {
        http_req_read_body(r, BULK_BYTES, echo_length);
    } else if (str_is(http_req_path(r), "/down")) {
        http_reply_start(r, 200, NULL, 0, -1);
        write_some(r, w);
    } else if (str_is(http_req_path(r), "/whole")) {
        http_reply(r, 200, "text/plain", str_n(w->bulk, BULK_BYTES), NULL, 0);
    } else {
        auto_buf left = BUF(1 << 20);
        const char *chosen = NULL;
        if (ws_upgrade(r, protocols, &chosen, &w->server_end, &left, &e))
            return;
        assert_string_equal(chosen, "v4.channel.k8s.io");
        w->ws = ws_new(&(struct ws_config){
            .role = WS_SERVER, .message_max_bytes = 1000, .events = &ws_events, .arg = w });
        stream_handover(w->server_end, &ws_stream_events, w, buf_str(&left));
    }
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->server, tls_server_wrap(w->server_tls, s));
}

/* ---- the world ---- */

static const char *const both[] = { "h2", "http/1.1", NULL };
static const char *const only_h1[] = { "http/1.1", NULL };

static void open_world(struct world *w, const char *const *alpn, uint64_t header_timeout_ms)
{
    const struct http_server_config sc = { .on_request = on_request,
                                           .arg = w,
                                           .header_timeout_ms = header_timeout_ms };
    struct tls_client_options o = { .alpn = alpn };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->got = BUF(1 << 20);
    w->bulk = mem_alloc(BULK_BYTES);
    for (size_t i = 0; i < BULK_BYTES; i++)
        w->bulk[i] = (char)(i * 7 + i / 1000);
    cert_make(&w->ca, NULL, "ca", NULL, NULL, 3600);
    cert_make(&w->leaf, &w->ca, "server", "IP:127.0.0.1", "serverAuth", 3600);
    o.ca_pem = str_of(w->ca.cert_pem);
    if (tls_server_config_new(&w->server_tls, str_of(w->leaf.cert_pem), str_of(w->leaf.key_pem),
                              STR(""), both, &e) ||
        tls_client_config_new(&w->client_tls, &o, &e))
        fail_msg("%s", e.text);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(w->authority, sizeof w->authority, "127.0.0.1:%u", listener_port(w->listener));
}

static void close_world(struct world *w)
{
    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, NULL, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    tls_server_config_free(w->server_tls);
    tls_client_config_free(w->client_tls);
    cert_deinit(&w->ca);
    cert_deinit(&w->leaf);
    ws_free(w->ws);
    buf_deinit(&w->got);
    free(w->bulk);
}

static void on_uploaded(void *arg, int status, const struct http_headers *h, struct str body,
                        const struct err *e)
{
    struct world *w = arg;

    (void)h;
    if (e)
        fail_msg("%s", e->text);
    assert_int_equal(status, 200);
    assert_true(str_is(body, "5242880"));
    w->n_done++;
}

static void on_downloaded(void *arg, int status, const struct http_headers *h, struct str body,
                          const struct err *e)
{
    struct world *w = arg;

    (void)h;
    if (e)
        fail_msg("%s", e->text);
    assert_int_equal(status, 200);
    assert_int_equal(body.n, BULK_BYTES);
    assert_memory_equal(body.p, w->bulk, BULK_BYTES);
    w->n_done++;
}

static void bulk_passes_both_ways_over_both_protocols(void **state)
{
    (void)state;

    for (int h2 = 0; h2 < 2; h2++) {
        struct world w;
        struct http_endpoint *ep;
        struct http_endpoint_config c = { .proto = h2 ? HTTP_H2 : HTTP_H1 };
        struct http_call_config call = { .method = "PUT", .target = "/up", .timeout_ms = 100000 };

        open_world(&w, h2 ? both : only_h1, 0);
        w.n_left = BULK_BYTES;
        c.authority = w.authority;
        c.tls = w.client_tls;
        http_endpoint_new(&ep, &w.loop, &c);
        call.body = str_n(w.bulk, BULK_BYTES);
        http_fetch(ep, &call, 1000, on_uploaded, &w);
        call =
            (struct http_call_config){ .method = "GET", .target = "/down", .timeout_ms = 100000 };
        http_fetch(ep, &call, 2 * BULK_BYTES, on_downloaded, &w);
        call.target = "/whole";
        http_fetch(ep, &call, 2 * BULK_BYTES, on_downloaded, &w);
        while (w.n_done < 3)
            uv_run(&w.loop, UV_RUN_ONCE);
        http_endpoint_close(ep, NULL, NULL);
        close_world(&w);
        assert_int_equal(w.n_requests_done, 3);
    }
}

/* ---- raw clients ---- */

static void client_data(void *arg, const char *p, size_t n)
{
    assert_int_equal(buf_add(&((struct world *)arg)->got, p, n), 0);
}

/* Echoes the server's Close once it is there. */
static void client_ws_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;

    client_data(arg, p, n);
    if (w->got.n > 4 && memcmp(w->got.p + w->got.n - 4, "\x88\x02\x03\xe8", 4) == 0)
        stream_write(w->client, "\x88\x82\0\0\0\0\x03\xe8", 8);
}

static void client_end(void *arg)
{
    stream_close(((struct world *)arg)->client);
}

static void client_error(void *arg, const struct err *e)
{
    (void)e;
    client_end(arg);
}

static void client_closed(void *arg)
{
    ((struct world *)arg)->client_closed = true;
}

static const struct stream_events client_events = { .on_data = client_data,
                                                    .on_end = client_end,
                                                    .on_error = client_error,
                                                    .on_closed = client_closed };

static const struct stream_events client_ws_events = { .on_data = client_ws_data,
                                                       .on_end = client_end,
                                                       .on_error = client_error,
                                                       .on_closed = client_closed };

static void tls_done(void *arg, struct stream *s, const struct err *e)
{
    struct world *w = arg;
    static const char request[] = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: v4.channel.k8s.io, channel.k8s.io\r\n"
                                  "\r\n\x81\x85\0\0\0\0hello"; /* in the same write */

    if (e)
        fail_msg("%s", e->text);
    w->client = s;
    stream_open(s, &client_ws_events, w);
    stream_write(s, request, sizeof request - 1);
}

static void tcp_done(void *arg, struct stream *s, const struct err *e)
{
    struct world *w = arg;

    if (e)
        fail_msg("%s", e->text);
    tls_client_wrap(w->client_tls, s, "127.0.0.1", 60000, tls_done, w);
}

static void a_websocket_speaks_over_tls(void **state)
{
    static const char want[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n";
    struct world w;
    (void)state;

    open_world(&w, only_h1, 0);
    tcp_dial(NULL, &w.loop, "127.0.0.1", listener_port(w.listener), 60000, tcp_done, &w);
    while (!w.client_closed || !w.server_end_closed)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(w.got.n > sizeof want);
    assert_memory_equal(w.got.p, want, sizeof want - 1);
    assert_int_equal(w.got.n, sizeof want - 1 + 7 + 4);
    assert_memory_equal(w.got.p + sizeof want - 1, "\x81\x05hello\x88\x02\x03\xe8", 11);
    close_world(&w);
}

static void mute_done(void *arg, struct stream *s, const struct err *e)
{
    struct world *w = arg;

    if (e)
        fail_msg("%s", e->text);
    w->client = s;
    stream_open(s, &client_events, w);
}

static void the_header_deadline_covers_the_tls_handshake(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, both, 20);
    tcp_dial(NULL, &w.loop, "127.0.0.1", listener_port(w.listener), 60000, mute_done, &w);
    while (!w.client_closed)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.got.n, 0);
    assert_int_equal(http_server_n_connections(w.server), 0);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_passes_both_ways_over_both_protocols),
        cmocka_unit_test(a_websocket_speaks_over_tls),
        cmocka_unit_test(the_header_deadline_covers_the_tls_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
