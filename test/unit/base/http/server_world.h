#pragma once
/* The world of the server's tests: one server whose handlers are chosen by path, and one raw client
 * end. Include it behind cmocka.h. */
#include <stdio.h>

#include "base/http/server.h"
#include "test/unit/base/http/pipe_stream.h"

/* One server, one raw client end; handlers are chosen by path. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct stream *client; /* NULL once closed */
    struct buf got;        /* what the client read */
    bool client_ended;
    unsigned n_requests, n_done, n_bodies_ended;
    int done_code; /* of the last on_done */
    bool server_gone;
    struct buf body;    /* collected by on_body */
    struct http_req *r; /* the last that was not answered at once */
    struct stream *raw; /* after an upgrade */
    struct buf raw_got;
    bool raw_closed;
    size_t n_to_write; /* of /bulk */
    unsigned n_drains;
    unsigned n_released; /* of /peer: what was known of a peer */
};

static inline void spin(struct world *w)
{
    for (int i = 0; i < 50; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* ---- the handlers ---- */

static inline void on_body(struct http_req *r, void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    (void)r;
    assert_int_equal(buf_add(&w->body, p, n), 0);
}

static inline void on_body_end(struct http_req *r, void *arg)
{
    struct world *w = arg;
    w->n_bodies_ended++;
    if (str_is(http_req_path(r), "/count")) {
        char text[32];
        snprintf(text, sizeof text, "%zu", w->body.n);
        http_reply(r, 200, "text/plain", str_of(text), NULL, 0);
    }
}

static inline void write_bulk(struct world *w, struct http_req *r)
{
    static char piece[16 * 1024];

    while (w->n_to_write > 0 && http_reply_queued(r) < STREAM_HIGH_BYTES) {
        size_t n = MIN(w->n_to_write, sizeof piece);
        http_reply_write(r, piece, n);
        w->n_to_write -= n;
    }
    if (w->n_to_write == 0)
        http_reply_end(r);
}

static inline void on_drain(struct http_req *r, void *arg)
{
    struct world *w = arg;
    w->n_drains++;
    write_bulk(w, r);
}

static inline void on_done(struct http_req *r, void *arg, const struct err *e)
{
    struct world *w = arg;
    w->n_done++;
    w->done_code = e ? (int)e->code : 0;
    if (w->r == r)
        w->r = NULL;
}

static const struct http_req_events events = { on_body, on_body_end, on_drain, on_done };
static const struct http_req_events only_done = { .on_done = on_done };

static inline void echo(struct http_req *r, void *arg, struct str body)
{
    (void)arg;
    http_reply(r, 200, "text/plain", body, NULL, 0);
}

static inline void raw_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    assert_int_equal(buf_add(&w->raw_got, p, n), 0);
}

static inline void raw_closed(void *arg)
{
    ((struct world *)arg)->raw_closed = true;
}

static const struct stream_events raw_events = { .on_data = raw_data, .on_closed = raw_closed };

static inline void upgrade(struct world *w, struct http_req *r)
{
    const struct http_header h[] = { { STR("Connection"), STR("Upgrade") },
                                     { STR("Upgrade"), STR("raw") } };
    bool connect = str_is(http_req_method(r), "CONNECT");
    struct buf left = { 0 };
    struct err e = { 0 };

    if (http_upgrade(r, connect ? 200 : 101, h, connect ? 0 : 2, &w->raw, &left, &e)) {
        http_reply(r, 400, "text/plain", str_of(e.text), NULL, 0);
        return;
    }
    stream_handover(w->raw, &raw_events, w, buf_str(&left));
    stream_write(w->raw, "hello", 5);
    buf_deinit(&left);
}

static inline void peer_released(void *data)
{
    ++*(unsigned *)data;
}

static inline void on_request(struct http_req *r, void *arg)
{
    struct world *w = arg;
    struct str path = http_req_path(r);
    const struct http_header h[] = { { STR("X-A"), STR("b") } };
    const struct http_header bad[] = { { STR("X-A"), STR("b\r\nc: d") } };

    w->n_requests++;
    http_req_accept(r, &only_done, w);
    if (str_is(path, "/hello")) {
        http_reply(r, 200, "text/plain", STR("hi"), h, 1);
    } else if (str_is(path, "/echo")) {
        http_req_read_body(r, 10, echo);
    } else if (str_is(path, "/count") || str_is(path, "/listen")) {
        http_req_accept(r, &events, w);
    } else if (str_is(path, "/stream") || str_is(path, "/cut")) {
        http_reply_start(r, 200, h, 1, -1);
        http_reply_write(r, "abc", 3);
        http_reply_write(r, "", 0);
        http_reply_write(r, "defg", 4);
        if (str_is(path, "/cut"))
            http_reply_abort(r);
        else
            http_reply_end(r);
    } else if (str_is(path, "/length")) {
        http_reply_start(r, 200, NULL, 0, 3);
        http_reply_write(r, "abc", 3);
        http_reply_end(r);
    } else if (str_is(path, "/short")) {
        http_reply_start(r, 200, NULL, 0, 3);
        http_reply_end(r);
    } else if (str_is(path, "/peer")) {
        http_reply(r, 200, "text/plain", http_req_peer_data(r) ? STR("known") : STR("new"), NULL,
                   0);
        http_req_set_peer_data(r, &w->n_released, peer_released);
    } else if (str_is(path, "/reserved")) {
        http_reply(r, 200, "text/plain", http_req_is_reserved(r) ? STR("yes") : STR("no"), NULL, 0);
    } else if (str_is(path, "/close")) {
        http_req_set_close(r);
        http_reply(r, 200, "text/plain", STR("bye"), NULL, 0);
    } else if (str_is(path, "/none")) {
        http_reply(r, 204, NULL, STR(""), NULL, 0);
    } else if (str_is(path, "/badhead")) {
        http_reply(r, 200, "text/plain", STR("x"), bad, 1);
    } else if (str_is(path, "/up") || str_is(http_req_method(r), "CONNECT")) {
        upgrade(w, r);
    } else if (str_is(path, "/bulk")) {
        http_req_accept(r, &events, w);
        http_reply_start(r, 200, NULL, 0, -1);
        write_bulk(w, r);
    } else if (str_is(path, "/paused")) {
        http_req_accept(r, &events, w);
        http_req_pause(r);
        w->r = r;
    } else if (str_is(path, "/later")) {
        w->r = r;
    } else {
        http_reply(r, 404, "text/plain", http_req_target(r), NULL, 0);
    }
}

/* ---- the world ---- */

static inline void client_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    assert_int_equal(buf_add(&w->got, p, n), 0);
}

static inline void client_end(void *arg)
{
    ((struct world *)arg)->client_ended = true;
}

static inline void client_closed(void *arg)
{
    ((struct world *)arg)->client = NULL;
}

static const struct stream_events client_events = { .on_data = client_data,
                                                    .on_end = client_end,
                                                    .on_closed = client_closed };

static inline void connect_client(struct world *w)
{
    struct stream *theirs;

    pipe_new(&w->loop, &w->client, &theirs);
    w->client_ended = false;
    http_server_serve(w->server, theirs);
    stream_open(w->client, &client_events, w);
}

static inline void open_world(struct world *w, uint64_t timeout_ms)
{
    struct http_server_config config = { .on_request = on_request, .arg = w };

    *w = (struct world){ .got = BUF(64 << 20), .body = BUF(64 << 20), .raw_got = BUF(1 << 20) };
    config.header_timeout_ms = config.idle_timeout_ms = timeout_ms;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &config);
    connect_client(w);
}

static inline void server_closed(void *arg)
{
    ((struct world *)arg)->server_gone = true;
}

static inline void close_world(struct world *w)
{
    if (w->client)
        stream_close(w->client);
    if (w->raw)
        stream_close(w->raw);
    if (w->server)
        http_server_close(w->server, server_closed, w);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(w->server_gone);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    buf_deinit(&w->got);
    buf_deinit(&w->body);
    buf_deinit(&w->raw_got);
}

static inline void drop_client(struct world *w)
{
    stream_close(w->client);
    spin(w);
    assert_null(w->client);
    buf_clear(&w->got);
}

static inline void send_text(struct world *w, const char *s)
{
    stream_write(w->client, s, strlen(s));
    spin(w);
}

/* What came, without the Date lines. */
static inline const char *got(struct world *w)
{
    static char text[100000];
    struct str rest = buf_str(&w->got), line;
    size_t n = 0;

    while (rest.n > 0) {
        bool cut = str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, STR("Date: ")))
            continue;
        assert_true(n + line.n + 2 < sizeof text);
        memcpy(text + n, line.p, line.n);
        n += line.n;
        if (cut)
            text[n++] = '\n';
    }
    text[n] = '\0';
    return text;
}

static inline void await_end(struct world *w)
{
    for (int i = 0; i < 10000 && !w->client_ended; i++) {
        uv_sleep(1);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    assert_true(w->client_ended);
}

#define HOST "Host: h\r\n"
