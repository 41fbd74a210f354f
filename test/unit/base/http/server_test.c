/* The server over HTTP/1.1, in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "test/unit/base/http/server_world.h"

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

static void the_last_answer_of_a_server_that_leaves_closes(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    http_server_leave(w.server);
    spin(&w);
    assert_false(w.client_ended);
    http_reply(w.r, 200, NULL, STR("x"), NULL, 0);
    spin(&w);
    assert_string_equal(got(&w),
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    assert_true(w.client_ended);
    close_world(&w);
}

static void a_server_that_leaves_closes_idle_connections(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /none HTTP/1.1\r\n" HOST "\r\n");
    spin(&w);
    assert_false(w.client_ended);
    http_server_leave(w.server);
    spin(&w);
    assert_true(w.client_ended);
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

    open_world(&w, 200);
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

    open_world(&w, 200);
    send_text(&w, "GET /none HTTP/1.1\r\n" HOST "\r\n");
    await_end(&w);
    assert_string_equal(got(&w), "HTTP/1.1 204 No Content\r\n\r\n");
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

static void flag_ended(void *arg)
{
    *(bool *)arg = true;
}

static void the_last_connections_are_a_reserve(void **state)
{
    static const struct stream_events flag_events = { .on_end = flag_ended };
    struct http_server_config config = { .on_request = on_request,
                                         .n_connections_max = 2,
                                         .n_reserved = 1 };
    struct stream *silent, *next, *theirs;
    bool silent_ended = false, next_ended = false;
    struct world w;
    (void)state;

    open_world(&w, 0);
    http_server_close(w.server, NULL, NULL);
    spin(&w);
    drop_client(&w);
    config.arg = &w;
    http_server_new(&w.server, &w.loop, &config);
    connect_client(&w);
    send_text(&w, "GET /reserved HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(got(&w), "no"));
    pipe_new(&w.loop, &silent, &theirs);
    stream_open(silent, &flag_events, &silent_ended);
    http_server_serve(w.server, theirs);
    send_text(&w, "GET /reserved HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(got(&w), "no")); /* the first one is not of the reserve */
    assert_false(silent_ended);

    pipe_new(&w.loop, &next, &theirs);
    stream_open(next, &flag_events, &next_ended);
    http_server_serve(w.server, theirs);
    spin(&w);
    assert_true(silent_ended); /* it had shown nothing yet: its place was wanted */
    assert_false(next_ended);
    stream_close(silent);
    stream_close(next);
    close_world(&w);
}

static void the_reserve_is_told_as_long_as_the_server_is_full(void **state)
{
    struct http_server_config config = { .on_request = on_request,
                                         .n_connections_max = 1,
                                         .n_reserved = 1 };
    struct world w;
    (void)state;

    open_world(&w, 0);
    http_server_close(w.server, NULL, NULL);
    spin(&w);
    drop_client(&w);
    config.arg = &w;
    http_server_new(&w.server, &w.loop, &config);
    connect_client(&w);
    send_text(&w, "GET /reserved HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(got(&w), "yes"));
    close_world(&w);
}

static void what_is_known_of_a_peer_stays_with_its_connection(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "GET /peer HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(got(&w), "new"));
    assert_int_equal(w.n_released, 0);
    send_text(&w, "GET /peer HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(got(&w), "known"));
    assert_int_equal(w.n_released, 1); /* the first made room for the second */
    drop_client(&w);
    assert_int_equal(w.n_released, 2);
    close_world(&w);
}

/* A server on its own loop, as each role of a process has one: a connection too many, and an answer
 * with a bad head. No asserts: cmocka's jump to the thread of the test. */
static void role_main(void *arg)
{
    struct world w = { .got = BUF(1 << 20), .body = BUF(1 << 20), .raw_got = BUF(1 << 20) };
    struct http_server_config config = { .on_request = on_request, .n_connections_max = 1 };
    struct stream *mine, *theirs;
    bool *ok = arg;

    uv_loop_init(&w.loop);
    config.arg = &w;
    http_server_new(&w.server, &w.loop, &config);
    connect_client(&w);
    pipe_new(&w.loop, &mine, &theirs);
    http_server_serve(w.server, theirs);
    stream_close(mine);
    send_text(&w, "GET /badhead HTTP/1.1\r\n" HOST "\r\n");
    if (w.client)
        stream_close(w.client);
    http_server_close(w.server, server_closed, &w);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    *ok = w.n_requests == 1 && w.server_gone && uv_loop_close(&w.loop) == 0;
    buf_deinit(&w.got);
    buf_deinit(&w.body);
    buf_deinit(&w.raw_got);
}

/* ThreadSanitizer is the judge of it. */
static void servers_on_two_threads_share_nothing(void **state)
{
    uv_thread_t threads[2];
    bool ok[2] = { false, false };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(uv_thread_create(&threads[i], role_main, &ok[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        uv_thread_join(&threads[i]);
    assert_true(ok[0] && ok[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_their_answers),
        cmocka_unit_test(pieces_of_a_byte_make_the_same_answers),
        cmocka_unit_test(a_late_answer_goes_out_before_the_pipelined_one),
        cmocka_unit_test(the_last_answer_of_a_server_that_leaves_closes),
        cmocka_unit_test(a_server_that_leaves_closes_idle_connections),
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
        cmocka_unit_test(too_many_connections_are_closed_at_once),
        cmocka_unit_test(the_last_connections_are_a_reserve),
        cmocka_unit_test(the_reserve_is_told_as_long_as_the_server_is_full),
        cmocka_unit_test(what_is_known_of_a_peer_stays_with_its_connection),
        cmocka_unit_test(servers_on_two_threads_share_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
