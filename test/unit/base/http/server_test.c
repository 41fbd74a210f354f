#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/http/h2.h"
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
};

static void spin(struct world *w)
{
    for (int i = 0; i < 50; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* ---- the handlers ---- */

static void on_body(struct http_req *r, void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    (void)r;
    assert_int_equal(buf_add(&w->body, p, n), 0);
}

static void on_body_end(struct http_req *r, void *arg)
{
    struct world *w = arg;
    w->n_bodies_ended++;
    if (str_is(http_req_path(r), "/count")) {
        char text[32];
        snprintf(text, sizeof text, "%zu", w->body.n);
        http_reply(r, 200, "text/plain", str_of(text), NULL, 0);
    }
}

static void write_bulk(struct world *w, struct http_req *r)
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

static void on_drain(struct http_req *r, void *arg)
{
    struct world *w = arg;
    w->n_drains++;
    write_bulk(w, r);
}

static void on_done(struct http_req *r, void *arg, const struct err *e)
{
    struct world *w = arg;
    w->n_done++;
    w->done_code = e ? (int)e->code : 0;
    if (w->r == r)
        w->r = NULL;
}

static const struct http_req_events events = { on_body, on_body_end, on_drain, on_done };
static const struct http_req_events only_done = { .on_done = on_done };

static void echo(struct http_req *r, void *arg, struct str body)
{
    (void)arg;
    http_reply(r, 200, "text/plain", body, NULL, 0);
}

static void raw_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    assert_int_equal(buf_add(&w->raw_got, p, n), 0);
}

static void raw_closed(void *arg)
{
    ((struct world *)arg)->raw_closed = true;
}

static const struct stream_events raw_events = { .on_data = raw_data, .on_closed = raw_closed };

static void upgrade(struct world *w, struct http_req *r)
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

static void on_request(struct http_req *r, void *arg)
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

static void client_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;
    assert_int_equal(buf_add(&w->got, p, n), 0);
}

static void client_end(void *arg)
{
    ((struct world *)arg)->client_ended = true;
}

static void client_closed(void *arg)
{
    ((struct world *)arg)->client = NULL;
}

static const struct stream_events client_events = { .on_data = client_data,
                                                    .on_end = client_end,
                                                    .on_closed = client_closed };

static void connect_client(struct world *w)
{
    struct stream *theirs;

    pipe_new(&w->loop, &w->client, &theirs);
    w->client_ended = false;
    http_server_serve(w->server, theirs);
    stream_open(w->client, &client_events, w);
}

static void open_world(struct world *w, uint64_t timeout_ms)
{
    struct http_server_config config = { .on_request = on_request, .arg = w };

    *w = (struct world){ .got = BUF(64 << 20), .body = BUF(64 << 20), .raw_got = BUF(1 << 20) };
    config.header_timeout_ms = config.idle_timeout_ms = timeout_ms;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &config);
    connect_client(w);
}

static void server_closed(void *arg)
{
    ((struct world *)arg)->server_gone = true;
}

static void close_world(struct world *w)
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

static void drop_client(struct world *w)
{
    stream_close(w->client);
    spin(w);
    assert_null(w->client);
    buf_clear(&w->got);
}

static void send_text(struct world *w, const char *s)
{
    stream_write(w->client, s, strlen(s));
    spin(w);
}

/* What came, without the Date lines. */
static const char *got(struct world *w)
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

static void await_end(struct world *w)
{
    for (int i = 0; i < 10000 && !w->client_ended; i++) {
        uv_sleep(1);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    assert_true(w->client_ended);
}

#define HOST "Host: h\r\n"

static void requests_get_their_answers(void **state)
{
    static const struct {
        const char *in, *out;
        bool closed;
    } rows[] = {
        { "GET /hello HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi",
          false },
        { "HEAD /hello HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: 2\r\n\r\n",
          false },
        { "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nConnection: "
          "close\r\nContent-Length: 2\r\n\r\nhi",
          true },
        { "GET /hello HTTP/1.0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nConnection: "
          "close\r\nContent-Length: 2\r\n\r\nhi",
          true },
        { "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nConnection: "
          "keep-alive\r\nContent-Length: 2\r\n\r\nhi",
          false },
        { "GET /no?a=b HTTP/1.1\r\n" HOST "\r\nGET /no2 HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: "
          "7\r\n\r\n/no?a=bHTTP/1.1 404 Not Found\r\nContent-Type: "
          "text/plain\r\nContent-Length: 4\r\n\r\n/no2",
          false },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcdePOST /echo "
          "HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nabcde"
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nxyz",
          false },
        { "GET /echo HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", false },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n",
          "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; "
          "charset=utf-8\r\nConnection: close\r\nContent-Length: 67\r\n\r\n413 Content Too "
          "Large: the body of the request is too large\n",
          true },
        { "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n",
          "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; "
          "charset=utf-8\r\nContent-Length: 67\r\n\r\n413 Content Too "
          "Large: the body of the request is too large\n",
          false },
        { "POST /count HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcde",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n5", false },
        { "GET /stream HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: "
          "chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
          false },
        { "HEAD /stream HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n", false },
        { "GET /stream HTTP/1.0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: close\r\n\r\nabcdefg", true },
        { "GET /length HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
          false },
        { "GET /short HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
          true },
        { "GET /cut HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: "
          "chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n",
          true },
        { "GET /none HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false },
        { "GET /badhead HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: "
          "close\r\n\r\n",
          true },
        { "GET /hello HTTP/1.1\r\n\r\n",
          "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; "
          "charset=utf-8\r\nConnection: close\r\nContent-Length: 50\r\n\r\n400 Bad Request: "
          "bad HTTP/1.1 request: no Host\n",
          true },
        { "GET /hello HTTP/3.0\r\n\r\n", NULL, true },
        { "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.1 100 Continue\r\n\r\n", false },
        { "POST /no HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: "
          "close\r\nContent-Length: 3\r\n\r\n/no",
          true },
        { "GET /up HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: "
          "42\r\n\r\nthe request does not ask for an upgrade",
          false },
        /* an upgrade nobody wants is an ordinary request */
        { "GET /hello HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
          "GET /none HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi"
          "HTTP/1.1 204 No Content\r\n\r\n",
          false },
    };
    struct world w;
    (void)state;

    open_world(&w, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (i > 0)
            connect_client(&w);
        send_text(&w, rows[i].in);
        /* lengths of texts are not what is tested here */
        if (rows[i].out && strcmp(got(&w), rows[i].out) != 0 &&
            !strstr(rows[i].out, "Bad Request") && !strstr(rows[i].out, "413"))
            fail_msg("%s\n%s\nnot\n%s", rows[i].in, got(&w), rows[i].out);
        if (rows[i].out && strncmp(got(&w), rows[i].out, 15) != 0)
            fail_msg("%s\n%s\nnot\n%s", rows[i].in, got(&w), rows[i].out);
        if (w.client_ended != rows[i].closed)
            fail_msg("%s\n%s\nclosed: %d", rows[i].in, got(&w), w.client_ended);
        drop_client(&w);
    }
    assert_int_equal(w.n_requests, w.n_done);
    close_world(&w);
}

static void pieces_of_a_byte_make_the_same_answers(void **state)
{
    static const char in[] =
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcde"
        "GET /hello HTTP/1.1\r\n" HOST "\r\n"
        "POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
    struct world w;
    (void)state;

    open_world(&w, 0);
    for (size_t i = 0; i + 1 < sizeof in; i++) {
        stream_write(w.client, in + i, 1);
        uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    spin(&w);
    assert_string_equal(
        got(&w), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nabcde"
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: "
                 "2\r\n\r\nhi"
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n3");
    assert_int_equal(w.n_done, 3);
    close_world(&w);
}

static void a_late_answer_goes_out_before_the_pipelined_one(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /none HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(w.n_requests, 1);
    assert_string_equal(got(&w), "");
    http_reply(w.r, 200, NULL, STR("x"), NULL, 0);
    spin(&w);
    assert_string_equal(got(&w), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 204 No "
                                 "Content\r\n\r\n");
    assert_int_equal(w.n_done, 2);
    close_world(&w);
}

static void a_body_is_held_until_the_handler_asks_for_it(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "PUT /later HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc");
    send_text(&w, "def");
    assert_int_equal(w.n_requests, 1);
    http_req_read_body(w.r, 6, echo);
    assert_string_equal(got(&w), "");
    spin(&w);
    assert_string_equal(got(&w), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                                 "6\r\n\r\nabcdef");
    close_world(&w);
}

static void a_paused_request_holds_the_peer_back(void **state)
{
    struct world w;
    static char bulk[4 << 20];
    (void)state;

    open_world(&w, 0);
    send_text(&w, "PUT /paused HTTP/1.1\r\n" HOST "Content-Length: 4194304\r\n\r\n");
    stream_write(w.client, bulk, sizeof bulk);
    spin(&w);
    assert_int_equal(w.body.n, 0);
    assert_true(stream_queued(w.client) > sizeof bulk - (1 << 20)); /* it did not go anywhere */
    http_req_resume(w.r);
    for (int i = 0; i < 10; i++)
        spin(&w);
    assert_int_equal(w.body.n, sizeof bulk);
    assert_int_equal(w.n_bodies_ended, 1);
    http_reply(w.r, 200, NULL, STR(""), NULL, 0);
    spin(&w);
    assert_int_equal(w.done_code, 0);
    close_world(&w);
}

static void a_streamed_answer_waits_for_a_slow_reader(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    w.n_to_write = 8 << 20;
    stream_pause(w.client);
    send_text(&w, "GET /bulk HTTP/1.1\r\n" HOST "\r\n");
    assert_true(w.n_to_write > 7 << 20);
    stream_resume(w.client);
    for (int i = 0; i < 40; i++)
        spin(&w);
    assert_int_equal(w.n_to_write, 0);
    assert_true(w.n_drains > 0);
    assert_true(w.got.n > 8 << 20);
    assert_int_equal(w.n_done, 1);
    close_world(&w);
}

static void a_peer_that_leaves_ends_its_request_once(void **state)
{
    static const char *const requests[] = {
        "GET /later HTTP/1.1\r\n" HOST "\r\n",
        "PUT /listen HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc",
        "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc",
        "PUT /paused HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct world w;
        open_world(&w, 0);
        send_text(&w, requests[i]);
        assert_int_equal(w.n_done, 0);
        drop_client(&w);
        assert_int_equal(w.n_done, 1);
        assert_int_equal(w.done_code, ERR_CLOSED);
        assert_int_equal(http_server_n_connections(w.server), 0);
        close_world(&w);
        assert_int_equal(w.n_done, 1);
    }
}

static void closing_the_server_cancels_requests(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    http_server_close(w.server, server_closed, &w);
    assert_int_equal(w.n_done, 0); /* not from inside the call */
    w.server = NULL;
    spin(&w);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.done_code, ERR_CANCELED);
    close_world(&w);
}

static void an_upgrade_hands_over_stream_and_leftover(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "GET /up HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: raw\r\n\r\nmore",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhello" },
        { "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\nmore", "HTTP/1.1 200 OK\r\n\r\nhello" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        open_world(&w, 0);
        send_text(&w, rows[i].in);
        assert_string_equal(got(&w), rows[i].out);
        assert_int_equal(w.n_done, 1);
        assert_int_equal(w.done_code, 0);
        assert_int_equal(http_server_n_connections(w.server), 0);
        send_text(&w, "!");
        assert_string_equal(buf_cstr(&w.raw_got), "more!");
        close_world(&w);
        assert_true(w.raw_closed);
    }
}

static void a_late_upgrade_gets_what_came_meanwhile(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /later HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: raw\r\n\r\nmo");
    send_text(&w, "re");
    upgrade(&w, w.r);
    spin(&w);
    assert_string_equal(buf_cstr(&w.raw_got), "more");
    assert_int_equal(w.n_done, 1);
    close_world(&w);
}

static void a_head_that_does_not_come_is_answered_with_408(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 5);
    send_text(&w, "GET / HT");
    await_end(&w);
    assert_memory_equal(got(&w), "HTTP/1.1 408 ", 13);
    close_world(&w);
}

static void a_body_that_does_not_come_is_answered_with_408(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 5);
    send_text(&w, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
    await_end(&w);
    assert_memory_equal(got(&w), "HTTP/1.1 408 ", 13);
    assert_int_equal(w.n_done, 1);
    close_world(&w);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 5);
    send_text(&w, "GET /none HTTP/1.1\r\n" HOST "\r\n");
    await_end(&w);
    assert_string_equal(got(&w), "HTTP/1.1 204 No Content\r\n\r\n");
    close_world(&w);
}

/* ---- HTTP/2 ---- */

/* A client end that speaks HTTP/2 over w->client. */
struct h2_client {
    struct world *w;
    struct h2 *h;
    struct h2_stream *s; /* the last with a head */
    struct buf text;
    size_t n_body;
    unsigned n_closed, n_goaways;
    uint32_t code;
    bool hold;
};

static void c_head(void *arg, struct h2_stream *s, const struct h2_head *head)
{
    struct h2_client *c = arg;

    c->s = s;
    assert_int_equal(buf_addf(&c->text, "%d", head->status), 0);
    for (size_t i = 0; i < head->headers.n; i++)
        if (!str_is(head->headers.v[i].name, "date"))
            assert_int_equal(buf_addf(&c->text, " " STR_FMT "=" STR_FMT,
                                      STR_ARG(head->headers.v[i].name),
                                      STR_ARG(head->headers.v[i].value)),
                             0);
    assert_int_equal(buf_adds(&c->text, " ["), 0);
}

static void c_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct h2_client *c = arg;

    c->n_body += n;
    if (n < 1000)
        assert_int_equal(buf_add(&c->text, p, n), 0);
    if (!c->hold)
        h2_consume(s, n);
}

static void c_end(void *arg, struct h2_stream *s)
{
    (void)s;
    assert_int_equal(buf_adds(&((struct h2_client *)arg)->text, "]"), 0);
}

static void c_drain(void *arg, struct h2_stream *s)
{
    (void)arg;
    (void)s;
}

static void c_close(void *arg, struct h2_stream *s, uint32_t code)
{
    struct h2_client *c = arg;

    c->n_closed++;
    c->code = code;
    if (c->s == s)
        c->s = NULL;
}

static void c_goaway(void *arg, int32_t last_id, uint32_t code)
{
    (void)last_id;
    (void)code;
    ((struct h2_client *)arg)->n_goaways++;
}

static const struct h2_events h2_client_events = { c_head,  c_data,   c_end, c_drain,
                                                   c_close, c_goaway, NULL };

static void exchange(struct h2_client *c)
{
    for (int i = 0; i < 200; i++) {
        auto_buf out = BUF(1 << 20);
        struct err e = { 0 };

        assert_int_equal(h2_pull(c->h, &out, 64 * 1024, &e), 0);
        if (out.n > 0)
            stream_write(c->w->client, out.p, out.n);
        uv_run(&c->w->loop, UV_RUN_NOWAIT);
        if (c->w->got.n > 0) {
            assert_int_equal(h2_feed(c->h, c->w->got.p, c->w->got.n, &e), 0);
            buf_clear(&c->w->got);
        }
    }
}

static void open_h2(struct world *w, struct h2_client *c, uint64_t timeout_ms)
{
    open_world(w, timeout_ms);
    *c = (struct h2_client){ .w = w, .text = BUF(1 << 20) };
    c->h = h2_new(&(struct h2_config){ .events = &h2_client_events, .arg = c });
    exchange(c);
}

static void close_h2(struct world *w, struct h2_client *c)
{
    close_world(w);
    h2_free(c->h);
    buf_deinit(&c->text);
}

static struct h2_stream *ask(struct h2_client *c, const char *method, const char *path, bool end)
{
    struct h2_stream *s = NULL;
    struct err e = { 0 };

    assert_int_equal(h2_request(c->h, &s, str_of(method), STR("https"), STR("h"), str_of(path),
                                NULL, 0, end, NULL, &e),
                     0);
    return s;
}

static void h2_requests_get_their_answers(void **state)
{
    static const struct {
        const char *method, *path, *body, *out;
        uint32_t code;
    } rows[] = {
        { "GET", "/hello", NULL, "200 content-type=text/plain x-a=b content-length=2 [hi]", 0 },
        { "HEAD", "/hello", NULL, "200 content-type=text/plain x-a=b content-length=2 []", 0 },
        { "GET", "/no?a=b", NULL, "404 content-type=text/plain content-length=7 [/no?a=b]", 0 },
        { "POST", "/echo", "abcde", "200 content-type=text/plain content-length=5 [abcde]", 0 },
        { "POST", "/echo", "0123456789a",
          "413 content-type=text/plain; charset=utf-8 content-length=67 [413 Content Too Large: "
          "the "
          "body of the request is too large\n]",
          0 },
        { "POST", "/count", "abc", "200 content-type=text/plain content-length=1 [3]", 0 },
        { "POST", "/none", "abc", "204 []", 0 },
        { "GET", "/stream", NULL, "200 x-a=b [abcdefg]", 0 },
        { "HEAD", "/stream", NULL, "200 x-a=b []", 0 },
        { "GET", "/length", NULL, "200 content-length=3 [abc]", 0 },
        { "GET", "/badhead", NULL, "500 []", 0 },
        { "GET", "/up", NULL, NULL, 0 },
        { "GET", "/cut", NULL, NULL, H2_INTERNAL_ERROR },
    };
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h2_stream *s = ask(&c, rows[i].method, rows[i].path, !rows[i].body);
        unsigned n_closed = c.n_closed;

        buf_clear(&c.text);
        buf_clear(&w.body);
        if (rows[i].body) {
            exchange(&c);
            if (c.n_closed == n_closed) {
                h2_write(s, rows[i].body, strlen(rows[i].body));
                h2_end(s);
            }
        }
        exchange(&c);
        if (rows[i].out && !strstr(rows[i].out, "413") &&
            strcmp(buf_cstr(&c.text), rows[i].out) != 0)
            fail_msg("%s\nnot\n%s", buf_cstr(&c.text), rows[i].out);
        if (rows[i].out)
            assert_memory_equal(buf_cstr(&c.text), rows[i].out, 4);
        assert_int_equal(c.n_closed, n_closed + 1);
        assert_int_equal(c.code, rows[i].code);
    }
    assert_int_equal(w.n_requests, ARRAY_LEN(rows));
    assert_int_equal(w.n_done, ARRAY_LEN(rows));
    close_h2(&w, &c);
}

static void h2_requests_run_at_the_same_time(void **state)
{
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    ask(&c, "GET", "/later", true);
    exchange(&c);
    ask(&c, "GET", "/none", true);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []");
    http_reply(w.r, 200, NULL, STR("x"), NULL, 0);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []200 content-length=1 [x]");
    assert_int_equal(w.n_done, 2);
    close_h2(&w, &c);
}

static void an_h2_answer_waits_for_a_slow_reader(void **state)
{
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    c.hold = true;
    w.n_to_write = 8 << 20;
    ask(&c, "GET", "/bulk", true);
    exchange(&c);
    assert_int_equal(c.n_body, H2_STREAM_WINDOW_BYTES);
    assert_true(w.n_to_write > 6 << 20);
    c.hold = false;
    h2_consume(c.s, c.n_body);
    for (int i = 0; i < 10; i++)
        exchange(&c);
    assert_int_equal(c.n_body, 8 << 20);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.done_code, 0);
    close_h2(&w, &c);
}

static void a_paused_h2_request_holds_only_its_own_stream(void **state)
{
    static char bulk[3 << 20];
    struct world w;
    struct h2_client c;
    struct h2_stream *s;
    (void)state;

    open_h2(&w, &c, 0);
    s = ask(&c, "PUT", "/paused", false);
    h2_write(s, bulk, sizeof bulk);
    h2_end(s);
    exchange(&c);
    assert_int_equal(w.body.n, 0);
    assert_int_equal(h2_queued(s), sizeof bulk - H2_STREAM_WINDOW_BYTES);
    ask(&c, "GET", "/none", true);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []");
    http_req_resume(w.r);
    exchange(&c);
    assert_int_equal(w.body.n, sizeof bulk);
    assert_int_equal(w.n_bodies_ended, 1);
    http_reply(w.r, 204, NULL, STR(""), NULL, 0);
    exchange(&c);
    assert_int_equal(w.n_done, 2);
    close_h2(&w, &c);
}

static void an_h2_client_that_resets_or_leaves_ends_its_requests_once(void **state)
{
    struct world w;
    struct h2_client c;
    struct h2_stream *s;
    (void)state;

    open_h2(&w, &c, 0);
    s = ask(&c, "GET", "/later", true);
    exchange(&c);
    h2_reset(s, H2_CANCEL);
    exchange(&c);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.done_code, ERR_CLOSED);
    ask(&c, "GET", "/later", true);
    ask(&c, "PUT", "/echo", false);
    exchange(&c);
    assert_int_equal(w.n_done, 1);
    drop_client(&w);
    assert_int_equal(w.n_done, 3);
    assert_int_equal(w.done_code, ERR_CLOSED);
    assert_int_equal(http_server_n_connections(w.server), 0);
    close_h2(&w, &c);
}

static void an_idle_h2_connection_gets_a_goaway(void **state)
{
    struct world w;
    struct h2_client c;
    struct err e = { 0 };
    (void)state;

    open_h2(&w, &c, 5);
    ask(&c, "GET", "/none", true);
    exchange(&c);
    await_end(&w);
    assert_int_equal(h2_feed(c.h, w.got.p, w.got.n, &e), 0);
    assert_int_equal(c.n_goaways, 1);
    close_h2(&w, &c);
}

static void rubbish_behind_the_h2_preface_ends_the_connection(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame, and goes on and on");
    assert_true(w.client_ended);
    drop_client(&w);
    assert_int_equal(http_server_n_connections(w.server), 0);
    close_world(&w);
}

static void too_many_connections_are_closed_at_once(void **state)
{
    struct http_server_config config = { .on_request = on_request, .n_connections_max = 1 };
    struct stream *mine, *theirs;
    struct world w;
    (void)state;

    open_world(&w, 0);
    http_server_close(w.server, NULL, NULL);
    spin(&w);
    drop_client(&w);
    config.arg = &w;
    http_server_new(&w.server, &w.loop, &config);
    connect_client(&w);
    pipe_new(&w.loop, &mine, &theirs);
    http_server_serve(w.server, theirs);
    assert_int_equal(http_server_n_connections(w.server), 1);
    stream_close(mine);
    send_text(&w, "GET /none HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(got(&w), "HTTP/1.1 204 No Content\r\n\r\n");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_their_answers),
        cmocka_unit_test(pieces_of_a_byte_make_the_same_answers),
        cmocka_unit_test(a_late_answer_goes_out_before_the_pipelined_one),
        cmocka_unit_test(a_body_is_held_until_the_handler_asks_for_it),
        cmocka_unit_test(a_paused_request_holds_the_peer_back),
        cmocka_unit_test(a_streamed_answer_waits_for_a_slow_reader),
        cmocka_unit_test(a_peer_that_leaves_ends_its_request_once),
        cmocka_unit_test(closing_the_server_cancels_requests),
        cmocka_unit_test(an_upgrade_hands_over_stream_and_leftover),
        cmocka_unit_test(a_late_upgrade_gets_what_came_meanwhile),
        cmocka_unit_test(a_head_that_does_not_come_is_answered_with_408),
        cmocka_unit_test(a_body_that_does_not_come_is_answered_with_408),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(h2_requests_get_their_answers),
        cmocka_unit_test(h2_requests_run_at_the_same_time),
        cmocka_unit_test(an_h2_answer_waits_for_a_slow_reader),
        cmocka_unit_test(a_paused_h2_request_holds_only_its_own_stream),
        cmocka_unit_test(an_h2_client_that_resets_or_leaves_ends_its_requests_once),
        cmocka_unit_test(an_idle_h2_connection_gets_a_goaway),
        cmocka_unit_test(rubbish_behind_the_h2_preface_ends_the_connection),
        cmocka_unit_test(too_many_connections_are_closed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
