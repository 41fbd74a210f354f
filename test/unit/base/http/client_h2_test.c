/* The HTTP client over HTTP/2, against a peer that the test leads by the hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/client.h"
#include "base/io/timer.h"
#include "test/unit/base/http/h2_peer.h"

struct world {
    uv_loop_t loop;
    struct h2_peer peer;
    struct http_endpoint *ep;
    unsigned n_heads, n_requests;
    unsigned n_refused;          /* requests still to be refused */
    bool hold;                   /* answer nothing by itself */
    struct h2_stream *held[300]; /* while hold */
    unsigned n_held;
    size_t n_body; /* of the last request */
    struct buf log;
    size_t n_answer;
    unsigned n_done;
    unsigned n_drains;
};

/* By itself the peer answers each request with its path and size. */
static void on_peer_request(void *arg, struct h2_stream *s, struct str body)
{
    struct world *w = arg;
    auto_buf text = BUF(200);
    struct err e;

    w->n_requests++;
    w->n_body = body.n;
    if (w->n_refused > 0) {
        w->n_refused--;
        h2_reset(s, H2_REFUSED_STREAM);
        return;
    }
    if (w->hold) {
        w->held[w->n_held++] = s;
        return;
    }
    assert_int_equal(buf_addf(&text, STR_FMT " %zu", STR_ARG(h2_head(s)->path), body.n), 0);
    assert_int_equal(h2_respond(s, 200, NULL, 0, false, &e), 0);
    h2_write(s, text.p, text.n);
    h2_end(s);
}

static void on_peer_head(void *arg, struct h2_stream *s, const struct h2_head *h)
{
    struct world *w = arg;

    (void)s;
    (void)h;
    w->n_heads++;
}

static void world_init(struct world *w, struct http_endpoint_config c)
{
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->log = BUF(1 << 20);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->peer.arg = w;
    w->peer.on_head = on_peer_head;
    w->peer.on_request = on_peer_request;
    if (h2_peer_init(&w->peer, &w->loop, &e))
        fail_msg("%s", e.text);
    c.authority = w->peer.authority;
    c.proto = HTTP_H2;
    http_endpoint_new(&w->ep, &w->loop, &c);
}

static void world_deinit(struct world *w)
{
    http_endpoint_close(w->ep, h2_peer_close, &w->peer);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    h2_peer_deinit(&w->peer);
    buf_deinit(&w->log);
}

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
    struct world *w = arg;

    (void)c;
    w->n_answer += n;
    if (n < 200)
        note(arg, "%.*s", (int)n, p);
}

static void on_drain(struct http_call *c, void *arg)
{
    struct world *w = arg;

    (void)c;
    w->n_drains++;
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

static const struct http_call_events events = {
    .on_head = on_head, .on_body = on_body, .on_drain = on_drain, .on_done = on_done
};

static struct http_call *start(struct world *w, const char *method, const char *target,
                               const char *body)
{
    const struct http_call_config c = {
        .method = method, .target = target, .body = str_of(body), .timeout_ms = 60000
    };
    struct http_call *call;

    http_call_start(&call, w->ep, &c, &events, w);
    return call;
}

static void run_until_done(struct world *w, unsigned n)
{
    while (w->n_done < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void run_until_held(struct world *w, unsigned n)
{
    while (w->n_held < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void assert_log(struct world *w, const char *want)
{
    assert_string_equal(buf_cstr(&w->log), want);
    buf_clear(&w->log);
}

/* ---- tests ---- */

static const struct http_endpoint_config plain;

static void calls_share_one_connection(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, plain);
    start(&w, "GET", "/1", "");
    start(&w, "POST", "/2", "four");
    run_until_done(&w, 2);
    start(&w, "GET", "/3", "");
    run_until_done(&w, 3);
    assert_non_null(strstr(w.log.p, "/1 0"));
    assert_non_null(strstr(w.log.p, "/2 4"));
    assert_non_null(strstr(w.log.p, "/3 0"));
    assert_int_equal(w.peer.n_conns, 1);
    world_deinit(&w);
}

static void calls_beyond_the_streams_wait(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, (struct http_endpoint_config){ .n_connections_max = 1 });
    start(&w, "GET", "/first", ""); /* the peer's settings come with its answer */
    run_until_done(&w, 1);
    w.hold = true;
    for (unsigned i = 0; i < 260; i++) /* the peer allows 250 */
        start(&w, "GET", "/x", "");
    run_until_held(&w, 250);
    for (unsigned i = 0; i < 20; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.n_held, 250);
    w.hold = false;
    for (unsigned i = 0; i < 250; i++) {
        struct err e;
        assert_int_equal(h2_respond(w.held[i], 204, NULL, 0, true, &e), 0);
    }
    h2_peer_flush_all(&w.peer);
    run_until_done(&w, 261);
    assert_int_equal(w.peer.n_conns, 1);
    assert_null(strstr(w.log.p, "<"));
    world_deinit(&w);
}

static void a_refused_call_is_tried_once_more(void **state)
{
    static const struct {
        unsigned n_refused;
        const char *method, *want;
    } rows[] = {
        { 1, "GET", "[200]/x 0." },
        { 1, "POST", "[200]/x 0." }, /* refused means not touched: RFC 9113 8.7 */
        { 2, "GET", "<again>" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, (struct http_endpoint_config){ .n_connections_max = 1 });
        w.n_refused = rows[i].n_refused;
        start(&w, rows[i].method, "/x", "");
        run_until_done(&w, 1);
        assert_log(&w, rows[i].want);
        assert_int_equal(w.peer.n_conns, 1);
        world_deinit(&w);
    }
}

static void after_goaway_new_calls_have_a_new_connection(void **state)
{
    struct world w;
    struct err e;
    (void)state;

    world_init(&w, plain);
    w.hold = true;
    start(&w, "GET", "/old", "");
    run_until_held(&w, 1);
    w.hold = false;
    h2_goaway(w.peer.conns[0].h2, H2_NO_ERROR);
    h2_peer_flush_all(&w.peer);
    for (unsigned i = 0; i < 20; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    start(&w, "GET", "/new", "");
    run_until_done(&w, 1);
    assert_log(&w, "[200]/new 0.");
    assert_int_equal(w.peer.n_conns, 2);
    assert_int_equal(h2_respond(w.held[0], 204, NULL, 0, true, &e), 0);
    h2_peer_flush_all(&w.peer);
    run_until_done(&w, 2);
    assert_log(&w, "[204].");
    world_deinit(&w);
}

static void a_lost_connection_ends_its_calls(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, plain);
    w.hold = true;
    start(&w, "GET", "/1", "");
    start(&w, "GET", "/2", "");
    run_until_held(&w, 2);
    stream_close(w.peer.conns[0].s);
    run_until_done(&w, 2);
    assert_log(&w, "<closed><closed>");
    world_deinit(&w);
}

static void a_reset_call_says_so(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, plain);
    w.hold = true;
    start(&w, "GET", "/1", "");
    run_until_held(&w, 1);
    h2_reset(w.held[0], H2_INTERNAL_ERROR);
    h2_peer_flush_all(&w.peer);
    run_until_done(&w, 1);
    assert_log(&w, "<closed>");
    world_deinit(&w);
}

static void a_paused_answer_holds_the_peer_back(void **state)
{
    const size_t n = 3 * H2_STREAM_WINDOW_BYTES;
    auto_free char *much = mem_alloc(n);
    struct http_call *c;
    struct world w;
    struct err e;
    (void)state;

    world_init(&w, plain);
    w.hold = true;
    c = start(&w, "GET", "/1", "");
    run_until_held(&w, 1);
    http_call_pause(c);
    assert_int_equal(h2_respond(w.held[0], 200, NULL, 0, false, &e), 0);
    h2_write(w.held[0], much, n);
    h2_end(w.held[0]);
    h2_peer_flush_all(&w.peer);
    while (w.n_answer < H2_STREAM_WINDOW_BYTES)
        uv_run(&w.loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < 20; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.n_answer, H2_STREAM_WINDOW_BYTES);
    w.hold = false;
    start(&w, "GET", "/other", ""); /* is not held back */
    run_until_done(&w, 1);
    http_call_resume(c);
    run_until_done(&w, 2);
    assert_int_equal(w.n_answer, n + strlen("/other 0"));
    world_deinit(&w);
}

static void a_canceled_paused_answer_gives_its_window_back(void **state)
{
    const size_t n = H2_STREAM_WINDOW_BYTES;
    auto_free char *much = mem_alloc(n);
    struct world w;
    struct err e;
    (void)state;

    world_init(&w, plain);
    for (unsigned i = 0; i < 6; i++) { /* more than the connection's window in all */
        struct http_call *c = start(&w, "GET", "/1", "");
        w.hold = true;
        run_until_held(&w, i + 1);
        http_call_pause(c);
        w.n_answer = 0;
        assert_int_equal(h2_respond(w.held[i], 200, NULL, 0, false, &e), 0);
        h2_write(w.held[i], much, n);
        h2_peer_flush_all(&w.peer);
        while (w.n_answer < n)
            uv_run(&w.loop, UV_RUN_ONCE);
        http_call_cancel(c);
        run_until_done(&w, i + 1);
    }
    assert_int_equal(w.peer.n_conns, 1);
    while (h2_n_streams(w.peer.conns[0].h2) > 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    world_deinit(&w);
}

static void a_streamed_body_waits_for_the_window(void **state)
{
    const struct http_call_config c = { .method = "PUT", .target = "/up", .stream_body = true };
    const size_t n = 6 << 20;
    auto_free char *much = mem_alloc(n);
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, plain);
    http_call_start(&call, w.ep, &c, &events, &w);
    while (w.n_heads < 1)
        uv_run(&w.loop, UV_RUN_ONCE);
    http_call_write(call, much, n);
    assert_true(http_call_queued(call) > STREAM_HIGH_BYTES);
    while (w.n_drains < 1)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(http_call_queued(call) <= STREAM_HIGH_BYTES / 2);
    http_call_end(call);
    run_until_done(&w, 1);
    assert_int_equal(w.n_body, n);
    world_deinit(&w);
}

static void an_answer_before_the_end_of_the_question_ends_the_call(void **state)
{
    const struct http_call_config c = { .method = "PUT", .target = "/up", .stream_body = true };
    struct http_call *call;
    struct world w;
    struct err e;
    (void)state;

    world_init(&w, plain);
    http_call_start(&call, w.ep, &c, &events, &w);
    http_call_write(call, "some", 4);
    while (w.n_heads < 1)
        uv_run(&w.loop, UV_RUN_ONCE);
    {
        struct h2_peer_conn *k = &w.peer.conns[0];
        assert_int_equal(h2_n_streams(k->h2), 1);
        assert_non_null(w.peer.last);
        assert_int_equal(h2_respond(w.peer.last, 413, NULL, 0, true, &e), 0);
        h2_peer_flush(k);
    }
    run_until_done(&w, 1);
    assert_log(&w, "[413].");
    start(&w, "GET", "/next", "");
    run_until_done(&w, 2);
    assert_log(&w, "[200]/next 0.");
    assert_int_equal(w.peer.n_conns, 1);
    world_deinit(&w);
}

static void on_later(void *arg)
{
    *(bool *)arg = true;
}

static void a_quiet_peer_is_asked_for_a_ping(void **state)
{
    struct timer t;
    bool over = false;
    struct world w;
    (void)state;

    world_init(&w, (struct http_endpoint_config){ .ping_ms = 8 });
    w.hold = true;
    start(&w, "GET", "/watch", "");
    run_until_held(&w, 1);
    timer_init(&t, &w.loop);
    timer_start_ms(&t, 100, on_later, &over);
    while (!over)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.n_done, 0); /* it answers pings, so the call lives on */
    over = false;
    timer_close(&t, on_later, &over);
    while (!over)
        uv_run(&w.loop, UV_RUN_ONCE);
    w.hold = false;
    start(&w, "GET", "/next", "");
    run_until_done(&w, 1);
    assert_log(&w, "[200]/next 0.");
    world_deinit(&w);
}

static void an_upgrade_is_refused(void **state)
{
    const struct http_call_config c = { .method = "GET", .target = "/", .upgrade = true };
    struct http_call *call;
    struct world w;
    (void)state;

    world_init(&w, plain);
    http_call_start(&call, w.ep, &c, &events, &w);
    run_until_done(&w, 1);
    assert_log(&w, "<invalid>");
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_one_connection),
        cmocka_unit_test(calls_beyond_the_streams_wait),
        cmocka_unit_test(a_refused_call_is_tried_once_more),
        cmocka_unit_test(after_goaway_new_calls_have_a_new_connection),
        cmocka_unit_test(a_lost_connection_ends_its_calls),
        cmocka_unit_test(a_reset_call_says_so),
        cmocka_unit_test(a_paused_answer_holds_the_peer_back),
        cmocka_unit_test(a_canceled_paused_answer_gives_its_window_back),
        cmocka_unit_test(a_streamed_body_waits_for_the_window),
        cmocka_unit_test(an_answer_before_the_end_of_the_question_ends_the_call),
        cmocka_unit_test(a_quiet_peer_is_asked_for_a_ping),
        cmocka_unit_test(an_upgrade_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
