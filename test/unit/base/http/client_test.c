/* The HTTP client against a peer that follows a script, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/mem.h"
#include "base/http/client.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"

/* ---- the scripted peer ---- */

struct turn {
    unsigned conn;     /* on which connection, in order of arrival */
    const char *until; /* what the peer waits for, since its last answer */
    const char *reply; /* NULL: nothing */
    bool close;        /* then */
    bool early;        /* the reply comes in pieces of one byte */
};

struct world;

struct peer_conn {
    struct world *w;
    struct stream *s;
    struct buf in;
    unsigned index;
};

struct world {
    uv_loop_t loop;
    struct listener *listener;
    const struct turn *turns;
    size_t n_turns, next;
    struct peer_conn conns[16];
    unsigned n_conns;
    bool closing;
    char authority[32];
    struct http_endpoint *ep;
    struct buf log; /* of the call's events */
    unsigned n_done;
};

static void peer_step(struct peer_conn *p)
{
    struct world *w = p->w;

    while (w->next < w->n_turns && w->turns[w->next].conn == p->index && p->s) {
        const struct turn *t = &w->turns[w->next];
        if (p->in.n == 0 || !strstr(p->in.p, t->until))
            return;
        w->next++;
        buf_clear(&p->in);
        for (const char *c = t->reply; c && t->early && *c; c++)
            stream_write(p->s, c, 1);
        if (t->reply && !t->early)
            stream_write(p->s, t->reply, strlen(t->reply));
        if (t->close)
            stream_shutdown(p->s);
    }
}

static void peer_on_data(void *arg, const char *p, size_t n)
{
    struct peer_conn *c = arg;

    assert_int_equal(buf_add(&c->in, p, n), 0);
    peer_step(c);
}

static void peer_on_end(void *arg)
{
    struct peer_conn *c = arg;

    stream_close(c->s);
}

static void peer_on_error(void *arg, const struct err *e)
{
    (void)e;
    peer_on_end(arg);
}

static void peer_on_closed(void *arg)
{
    struct peer_conn *c = arg;

    c->s = NULL;
}

static void on_accept(void *arg, struct stream *s)
{
    static const struct stream_events events = { .on_data = peer_on_data,
                                                 .on_end = peer_on_end,
                                                 .on_error = peer_on_error,
                                                 .on_closed = peer_on_closed };
    struct world *w = arg;
    struct peer_conn *c = &w->conns[w->n_conns];

    assert_true(w->n_conns < ARRAY_LEN(w->conns));
    c->w = w;
    c->s = s;
    c->index = w->n_conns++;
    c->in = BUF(4 * 1024 * 1024);
    stream_open(s, &events, c);
}

static void world_init(struct world *w, const struct turn *turns, size_t n_turns,
                       struct http_endpoint_config config)
{
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->turns = turns;
    w->n_turns = n_turns;
    w->log = BUF(1 << 20);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(w->authority, sizeof w->authority, "127.0.0.1:%u", listener_port(w->listener));
    if (!config.authority)
        config.authority = w->authority;
    http_endpoint_new(&w->ep, &w->loop, &config);
}

static void close_peer(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
    for (unsigned i = 0; i < w->n_conns; i++)
        if (w->conns[i].s)
            stream_close(w->conns[i].s);
}

static void world_deinit(struct world *w)
{
    http_endpoint_close(w->ep, close_peer, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (unsigned i = 0; i < w->n_conns; i++)
        buf_deinit(&w->conns[i].in);
    buf_deinit(&w->log);
}

/* ---- a call that writes down what happens ---- */

static void note(struct world *w, const char *fmt, ...) PRINTF_FMT(2, 3);
static void note(struct world *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    assert_int_equal(buf_vaddf(&w->log, fmt, ap), 0);
    va_end(ap);
}

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    (void)c;
    (void)h;
    note(arg, "[%d]", status);
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    (void)c;
    note(arg, "%.*s", (int)n, p);
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct world *w = arg;

    (void)c;
    w->n_done++;
    if (e)
        note(w, "<%s>", err_code_name(e->code));
    else
        note(w, ".");
}

static const struct http_call_events log_events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };

static struct http_call *start(struct world *w, const char *method, const char *target,
                               const char *body)
{
    const struct http_call_config c = {
        .method = method, .target = target, .body = str_of(body), .timeout_ms = 60000
    };
    struct http_call *call;

    http_call_start(&call, w->ep, &c, &log_events, w);
    return call;
}

static void run_until_done(struct world *w, unsigned n)
{
    while (w->n_done < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void assert_log(struct world *w, const char *want)
{
    assert_string_equal(buf_cstr(&w->log), want);
    buf_clear(&w->log);
}

/* Turns of the loop without anything to wait for but what is on its way on loopback. A turn may begin
 * with the timer and then wait for ever, so it is the timer that ends it. */
static void on_later(void *arg)
{
    uv_stop(arg);
}

static void linger(struct world *w, uint64_t ms)
{
    struct timer t;

    timer_init(&t, &w->loop);
    timer_start_ms(&t, ms, on_later, &w->loop);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    timer_close(&t, on_later, &w->loop);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* ---- tests ---- */

static const struct http_endpoint_config plain;

#define OK(body_len, body) "HTTP/1.1 200 OK\r\nContent-Length: " #body_len "\r\n\r\n" body

static void answers_of_every_framing_are_read(void **state)
{
    static const struct {
        const char *method, *body, *until, *reply;
        bool close, early;
        const char *want;
    } rows[] = {
        { "GET", "", "\r\n\r\n", OK(2, "hi"), false, false, "[200]hi." },
        { "GET", "", "\r\n\r\n", OK(2, "hi"), false, true, "[200]hi." },
        { "GET", "", "\r\n\r\n", OK(0, ""), false, false, "[200]." },
        { "HEAD", "", "\r\n\r\n", OK(5, ""), false, false, "[200]." },
        { "GET", "", "\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
          false, true, "[200]abcde." },
        { "GET", "", "\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nuntil close", true, false,
          "[200]until close." },
        { "DELETE", "", "\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false, false, "[204]." },
        { "POST", "data", "Content-Length: 4\r\n\r\ndata",
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", false,
          false, "[201]." },
        { "POST", "", "Content-Length: 0\r\n\r\n", OK(0, ""), false, false, "[200]." },
        /* what is not whole is an error */
        { "GET", "", "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true, false,
          "[200]half<closed>" },
        { "GET", "", "\r\n\r\n", "HTTP/1.1 20", true, false, "<closed>" },
        { "GET", "", "\r\n\r\n", "", true, false, "<closed>" },
        { "GET", "", "\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n", false, false, "<protocol>" },
        { "GET", "", "\r\n\r\n",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false,
          false, "<protocol>" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct turn t = { 0, rows[i].until, rows[i].reply, rows[i].close, rows[i].early };
        struct world w;
        world_init(&w, &t, 1, plain);
        start(&w, rows[i].method, "/x", rows[i].body);
        run_until_done(&w, 1);
        assert_log(&w, rows[i].want);
        world_deinit(&w);
    }
}

static void one_connection_serves_calls_in_turn(void **state)
{
    static const struct turn turns[] = {
        { 0, "GET /1 HTTP/1.1\r\n", OK(1, "1"), false, false },
        { 0, "GET /2 HTTP/1.1\r\n", OK(1, "2"), false, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    start(&w, "GET", "/1", "");
    run_until_done(&w, 1);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]1.[200]2.");
    assert_int_equal(w.n_conns, 1);
    world_deinit(&w);
}

static void calls_beyond_the_connections_wait(void **state)
{
    static const struct turn turns[] = {
        { 0, "GET /1 ", OK(1, "1"), false, false },
        { 0, "GET /2 ", OK(1, "2"), false, false },
        { 0, "GET /3 ", OK(1, "3"), false, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns),
               (struct http_endpoint_config){ .n_connections_max = 1 });
    start(&w, "GET", "/1", "");
    start(&w, "GET", "/2", "");
    start(&w, "GET", "/3", "");
    run_until_done(&w, 3);
    assert_log(&w, "[200]1.[200]2.[200]3.");
    assert_int_equal(w.n_conns, 1);
    world_deinit(&w);
}

static void without_keep_alive_each_call_has_its_connection(void **state)
{
    static const struct turn turns[] = {
        { 0, "Connection: close\r\n", OK(1, "1"), false, false },
        { 1, "Connection: close\r\n", OK(1, "2"), false, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), (struct http_endpoint_config){ .no_keep_alive = true });
    start(&w, "GET", "/1", "");
    run_until_done(&w, 1);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]1.[200]2.");
    assert_int_equal(w.n_conns, 2);
    world_deinit(&w);
}

static void a_reset_endpoint_dials_anew(void **state)
{
    static const struct turn turns[] = {
        { 0, "GET /1", OK(1, "1"), false, false },
        { 1, "GET /2", OK(1, "2"), false, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    start(&w, "GET", "/1", "");
    run_until_done(&w, 1);
    http_endpoint_reset(w.ep);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]1.[200]2.");
    world_deinit(&w);
}

static void a_dead_kept_connection_is_replaced_for_idempotent_calls_only(void **state)
{
    static const struct {
        const char *method, *want;
        unsigned n_conns;
    } rows[] = {
        { "GET", "[200]1.[200]2.", 2 },
        { "PUT", "[200]1.[200]2.", 2 },
        { "POST", "[200]1.<closed>", 1 }, /* it may have been done: RFC 9110 9.2.2 */
    };
    static const struct turn turns[] = {
        { 0, " /1 ", OK(1, "1"), false, false },
        { 0, " /2 ", NULL, true, false }, /* it reads the question and leaves */
        { 1, " /2 ", OK(1, "2"), false, false },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, turns, ARRAY_LEN(turns), plain);
        start(&w, "GET", "/1", "");
        run_until_done(&w, 1);
        start(&w, rows[i].method, "/2", "");
        run_until_done(&w, 2);
        assert_log(&w, rows[i].want);
        assert_int_equal(w.n_conns, rows[i].n_conns);
        world_deinit(&w);
    }
}

static void a_second_dead_connection_is_an_error(void **state)
{
    static const struct turn turns[] = {
        { 0, " /1 ", OK(1, "1"), false, false },
        { 0, " /2 ", NULL, true, false },
        { 1, " /2 ", NULL, true, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    start(&w, "GET", "/1", "");
    run_until_done(&w, 1);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]1.<closed>");
    assert_int_equal(w.n_conns, 2);
    world_deinit(&w);
}

static void bytes_nobody_asked_for_end_the_connection(void **state)
{
    static const struct turn turns[] = {
        { 0, " /1 ", OK(1, "1") OK(4, "evil"), false, false },
        { 1, " /2 ", OK(1, "2"), false, false },
    };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    start(&w, "GET", "/1", "");
    run_until_done(&w, 1);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]1.[200]2.");
    world_deinit(&w);
}

static void a_refused_dial_fails_all_that_wait_for_it(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, NULL, 0, (struct http_endpoint_config){ .authority = "127.0.0.1:1" });
    start(&w, "GET", "/1", "");
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "<io><io>");
    world_deinit(&w);
}

static void keep_err(struct http_call *c, void *arg, const struct err *e)
{
    (void)c;
    *(struct err *)arg = *e;
}

static void error_texts_name_the_phase(void **state)
{
    static const struct {
        const char *authority;
        enum err_code code;
        const char *text;
    } rows[] = {
        { "127.0.0.1:1", ERR_IO, "dial 127.0.0.1:1: " },
        { "no:such:thing", ERR_INVALID, "dial no:such:thing: not host:port" },
        { "h%C3%A4:1", ERR_INVALID, "dial h%C3%A4:1: not host:port" },
        { NULL, ERR_TIMEOUT, ": no answer within 20 ms" },
    };
    static const struct http_call_events events = { .on_done = keep_err };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct http_call_config c = { .method = "GET",
                                            .target = "/",
                                            .timeout_ms = rows[i].authority ? 60000 : 20 };
        struct err e = { 0 };
        struct http_call *call;
        struct world w;
        world_init(&w, NULL, 0, (struct http_endpoint_config){ .authority = rows[i].authority });
        if (!rows[i].authority)
            linger(&w, 1);
        http_call_start(&call, w.ep, &c, &events, &e);
        while (!e.code)
            uv_run(&w.loop, UV_RUN_ONCE);
        assert_int_equal(e.code, rows[i].code);
        if (!strstr(e.text, rows[i].text))
            fail_msg("\"%s\" lacks \"%s\"", e.text, rows[i].text);
        world_deinit(&w);
    }
}

static void a_canceled_call_ends_later_and_once(void **state)
{
    struct http_call *c;
    struct world w;
    (void)state;

    world_init(&w, NULL, 0, plain);
    c = start(&w, "GET", "/waiting", "");
    http_call_cancel(c);
    http_call_cancel(c);
    assert_log(&w, "");
    run_until_done(&w, 1);
    assert_log(&w, "<canceled>");
    c = start(&w, "GET", "/running", "");
    while (w.n_conns == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    http_call_cancel(c);
    run_until_done(&w, 2);
    assert_log(&w, "<canceled>");
    world_deinit(&w);
}

static void cancel_on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    (void)p;
    (void)n;
    note(arg, "x");
    http_call_cancel(c);
}

static void a_call_may_be_canceled_in_its_own_events(void **state)
{
    static const struct turn turns[] = {
        { 0, " /1 ",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
          false, false },
        { 1, " /2 ", OK(1, "2"), false, false },
    };
    static const struct http_call_events events = { .on_body = cancel_on_body, .on_done = on_done };
    const struct http_call_config c = { .method = "GET", .target = "/1" };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    http_call_start(&call, w.ep, &c, &events, &w);
    run_until_done(&w, 1);
    start(&w, "GET", "/2", "");
    run_until_done(&w, 2);
    assert_log(&w, "x<canceled>[200]2.");
    world_deinit(&w);
}

static void closing_the_endpoint_ends_its_calls(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, NULL, 0, (struct http_endpoint_config){ .n_connections_max = 1 });
    start(&w, "GET", "/running", "");
    start(&w, "GET", "/waiting", "");
    while (w.n_conns == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    http_endpoint_close(w.ep, close_peer, &w);
    run_until_done(&w, 2);
    assert_log(&w, "<canceled><canceled>");
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    for (unsigned i = 0; i < w.n_conns; i++)
        buf_deinit(&w.conns[i].in);
    buf_deinit(&w.log);
}

static void a_streamed_body_goes_out_in_chunks(void **state)
{
    static const struct turn turns[] = {
        { 0, "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", NULL, false, false },
        { 0, "6\r\nsecond\r\n0\r\n\r\n", OK(2, "ok"), false, false },
    };
    const struct http_call_config c = {
        .method = "POST", .target = "/", .stream_body = true, .body = STR("first")
    };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    http_call_start(&call, w.ep, &c, &log_events, &w);
    while (w.next < 1)
        uv_run(&w.loop, UV_RUN_ONCE);
    http_call_write(call, "second", 6);
    http_call_end(call);
    run_until_done(&w, 1);
    assert_log(&w, "[200]ok.");
    world_deinit(&w);
}

static void note_drain(struct http_call *c, void *arg)
{
    struct world *w = arg;

    assert_true(http_call_queued(c) <= STREAM_HIGH_BYTES);
    note(w, "drain");
    http_call_end(c);
}

static void a_big_streamed_body_drains(void **state)
{
    static const struct turn turns[] = { { 0, "0\r\n\r\n", OK(2, "ok"), false, false } };
    static const struct http_call_events events = { .on_drain = note_drain, .on_done = on_done };
    const struct http_call_config c = { .method = "POST", .target = "/", .stream_body = true };
    auto_free char *much = mem_alloc(STREAM_HIGH_BYTES + 1);
    struct http_call *call;
    struct world w;
    (void)state;

    memset(much, 'x', STREAM_HIGH_BYTES + 1);
    world_init(&w, turns, ARRAY_LEN(turns), plain);
    http_call_start(&call, w.ep, &c, &events, &w);
    http_call_write(call, much, STREAM_HIGH_BYTES + 1); /* before there is a connection */
    assert_int_equal(http_call_queued(call), STREAM_HIGH_BYTES + 1);
    run_until_done(&w, 1);
    assert_log(&w, "drain.");
    world_deinit(&w);
}

static void a_paused_answer_waits(void **state)
{
    static const struct turn turns[] = { { 0, "\r\n\r\n", OK(2, "hi"), false, false } };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    call = start(&w, "GET", "/", "");
    http_call_pause(call);
    while (w.next < 1)
        uv_run(&w.loop, UV_RUN_ONCE);
    linger(&w, 20);
    assert_log(&w, "");
    http_call_resume(call);
    run_until_done(&w, 1);
    assert_log(&w, "[200]hi.");
    world_deinit(&w);
}

/* ---- upgrade ---- */

static struct stream *taken;
static void raw_on_data(void *arg, const char *p, size_t n)
{
    note(arg, "raw(%.*s)", (int)n, p);
    ((struct world *)arg)->n_done++;
}

static void raw_on_closed(void *arg)
{
    note(arg, "raw closed");
    ((struct world *)arg)->n_done++;
}

static void take_on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    static const struct stream_events raw = { .on_data = raw_on_data, .on_closed = raw_on_closed };
    auto_buf leftover = BUF(1);

    note(arg, "[%d " STR_FMT "]", status, STR_ARG(http_headers_get(h, "Upgrade")));
    if (status == 101 || status == 200) {
        taken = http_call_take_stream(c, &leftover);
        stream_handover(taken, &raw, arg, buf_str(&leftover));
    }
}

static const struct http_call_events take_events = { .on_head = take_on_head,
                                                     .on_body = on_body,
                                                     .on_done = on_done };

static void an_upgraded_connection_changes_hands(void **state)
{
    static const struct {
        const char *method, *reply, *first, *second;
    } rows[] = {
        { "GET",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nleft",
          "[101 x]", "." },
        { "CONNECT", "HTTP/1.1 200 OK\r\n\r\nleft", "[200 ]", "." },
    };
    static const struct http_header headers[] = { { STR("Connection"), STR("Upgrade") },
                                                  { STR("Upgrade"), STR("x") } };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct turn turns[] = { { 0, "\r\n\r\n", rows[i].reply, false, false },
                                      { 0, "ping", "pong", false, false } };
        const struct http_call_config c = { .method = rows[i].method,
                                            .target = i ? "h:1" : "/",
                                            .headers = headers,
                                            .n_headers = 2,
                                            .upgrade = true };
        struct http_call *call;
        struct world w;
        world_init(&w, turns, ARRAY_LEN(turns), plain);
        http_call_start(&call, w.ep, &c, &take_events, &w);
        run_until_done(&w, 2); /* the call and its leftover */
        assert_non_null(strstr(w.log.p, rows[i].first));
        assert_non_null(strstr(w.log.p, "raw(left)"));
        buf_clear(&w.log);
        stream_write(taken, "ping", 4);
        run_until_done(&w, 3);
        assert_log(&w, "raw(pong)");
        stream_close(taken);
        run_until_done(&w, 4);
        world_deinit(&w);
    }
}

static void a_refused_upgrade_is_an_answer(void **state)
{
    static const struct turn turns[] = {
        { 0, "\r\n\r\n", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", false, false },
    };
    const struct http_call_config c = { .method = "GET", .target = "/", .upgrade = true };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    http_call_start(&call, w.ep, &c, &take_events, &w);
    run_until_done(&w, 1);
    assert_log(&w, "[403 ]no.");
    world_deinit(&w);
}

/* ---- fetch ---- */

static void fetched(void *arg, int status, const struct http_headers *h, struct str body,
                    const struct err *e)
{
    struct world *w = arg;

    w->n_done++;
    if (e)
        note(w, "<%s>", err_code_name(e->code));
    else
        note(w, "%d " STR_FMT " " STR_FMT, status, STR_ARG(http_headers_get(h, "X-A")),
             STR_ARG(body));
}

static void fetch_collects_up_to_its_limit(void **state)
{
    static const struct turn turns[] = {
        { 0, "\r\n\r\n", "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 4\r\n\r\nfour", false,
          false },
        { 0, "\r\n\r\n", OK(5, "fiver"), false, false },
    };
    const struct http_call_config c = { .method = "GET", .target = "/", .timeout_ms = 60000 };
    struct world w;
    (void)state;

    world_init(&w, turns, ARRAY_LEN(turns), plain);
    http_fetch(w.ep, &c, 4, fetched, &w);
    run_until_done(&w, 1);
    assert_log(&w, "200 b four");
    http_fetch(w.ep, &c, 4, fetched, &w);
    run_until_done(&w, 2);
    assert_log(&w, "<limit>");
    world_deinit(&w);
}

static void headers_that_would_split_the_head_are_refused(void **state)
{
    static const struct http_header bad = { STR("X"), STR("a\r\nEvil: 1") };
    const struct http_call_config c = {
        .method = "GET", .target = "/", .headers = &bad, .n_headers = 1
    };
    const struct http_call_config d = { .method = "GET", .target = "/ HTTP/1.1\r\nX: y" };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, NULL, 0, plain);
    http_call_start(&call, w.ep, &c, &log_events, &w);
    run_until_done(&w, 1);
    assert_log(&w, "<invalid>");
    http_call_start(&call, w.ep, &d, &log_events, &w);
    run_until_done(&w, 2);
    assert_log(&w, "<invalid>");
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_every_framing_are_read),
        cmocka_unit_test(one_connection_serves_calls_in_turn),
        cmocka_unit_test(calls_beyond_the_connections_wait),
        cmocka_unit_test(without_keep_alive_each_call_has_its_connection),
        cmocka_unit_test(a_reset_endpoint_dials_anew),
        cmocka_unit_test(a_dead_kept_connection_is_replaced_for_idempotent_calls_only),
        cmocka_unit_test(a_second_dead_connection_is_an_error),
        cmocka_unit_test(bytes_nobody_asked_for_end_the_connection),
        cmocka_unit_test(a_refused_dial_fails_all_that_wait_for_it),
        cmocka_unit_test(error_texts_name_the_phase),
        cmocka_unit_test(a_canceled_call_ends_later_and_once),
        cmocka_unit_test(a_call_may_be_canceled_in_its_own_events),
        cmocka_unit_test(closing_the_endpoint_ends_its_calls),
        cmocka_unit_test(a_streamed_body_goes_out_in_chunks),
        cmocka_unit_test(a_big_streamed_body_drains),
        cmocka_unit_test(a_paused_answer_waits),
        cmocka_unit_test(an_upgraded_connection_changes_hands),
        cmocka_unit_test(a_refused_upgrade_is_an_answer),
        cmocka_unit_test(fetch_collects_up_to_its_limit),
        cmocka_unit_test(headers_that_would_split_the_head_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
