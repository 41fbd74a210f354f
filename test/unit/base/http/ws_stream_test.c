/* A websocket as a stream of bytes. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/clock.h"
#include "base/http/ws.h"
#include "base/http/ws_stream.h"
#include "test/unit/base/http/pipe_stream.h"

/* Ours is the websocket's server as a stream; theirs the raw end, with a client's codec. */
struct world {
    uv_loop_t loop;
    struct stream *ours, *theirs;
    struct ws *client;
    struct buf got, client_got;
    bool ended, broken, client_closed, ours_closed, theirs_closed;
};

static struct world w;

static void on_data(void *arg, const char *p, size_t n)
{
    (void)arg;
    assert_int_equal(buf_add(&w.got, p, n), 0);
}

static void on_end(void *arg)
{
    (void)arg;
    w.ended = true;
}

static void on_error(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
    w.broken = true;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    (void)arg;
    (void)text;
    (void)first;
    (void)last;
    assert_int_equal(buf_add(&w.client_got, p, n), 0);
}

static void on_close(void *arg, int code, struct str reason)
{
    (void)arg;
    (void)code;
    (void)reason;
    w.client_closed = true;
}

static void on_raw(void *arg, const char *p, size_t n)
{
    struct err e;

    (void)arg;
    assert_int_equal(ws_feed(w.client, p, n, &e), 0);
}

static void ignore(void *arg)
{
    (void)arg;
}

static void ignore_error(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
}

static void turn(const bool *until)
{
    uint64_t end = clock_mono_ms() + 20000;

    while (!*until && clock_mono_ms() < end)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_true(*until);
}

static void settle(void)
{
    for (int i = 0; i < 20; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
}

/* What the client has to say goes out. */
static void client_pull(void)
{
    auto_buf out = BUF(1024 * 1024);
    struct err e;

    assert_int_equal(ws_pull(w.client, &out, 512 * 1024, &e), 0);
    stream_write(w.theirs, out.p, out.n);
}

static int setup(void **state)
{
    static const struct ws_events events = { .on_message = on_message, .on_close = on_close };
    static const struct stream_events ours = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error, .on_closed = on_closed
    };
    static const struct stream_events theirs = {
        .on_data = on_raw, .on_end = ignore, .on_error = ignore_error, .on_closed = on_closed
    };
    struct ws_config c = { .role = WS_CLIENT, .message_max_bytes = 1024 * 1024, .events = &events };
    struct stream *raw;
    auto_buf first = BUF(1024);
    struct err e;

    (void)state;
    memset(&w, 0, sizeof w);
    w.got = w.client_got = BUF(8 * 1024 * 1024);
    uv_loop_init(&w.loop);
    pipe_new(&w.loop, &raw, &w.theirs);
    w.client = ws_new(&c);
    ws_send(w.client, false, "he", 2);
    assert_int_equal(ws_pull(w.client, &first, 512, &e), 0);
    w.ours = ws_stream_new(raw, buf_str(&first)); /* "he" came with the handshake */
    stream_open(w.ours, &ours, &w.ours_closed);
    stream_open(w.theirs, &theirs, &w.theirs_closed);
    settle();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!w.ours_closed)
        stream_close(w.ours);
    if (!w.theirs_closed)
        stream_close(w.theirs);
    turn(&w.ours_closed);
    turn(&w.theirs_closed);
    ws_free(w.client);
    buf_deinit(&w.got);
    buf_deinit(&w.client_got);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    return 0;
}

static void bytes_pass_both_ways_without_borders(void **state)
{
    (void)state;
    assert_string_equal(buf_cstr(&w.got), "he");
    ws_send(w.client, false, "ll", 2);
    ws_send(w.client, true, "o", 1);
    client_pull();
    settle();
    assert_string_equal(buf_cstr(&w.got), "hello");
    stream_write(w.ours, "wor", 3);
    stream_write(w.ours, "ld", 2);
    settle();
    assert_string_equal(buf_cstr(&w.client_got), "world");
}

static void a_megabyte_passes(void **state)
{
    size_t n = 1024 * 1024;
    char *big = mem_alloc(n);

    (void)state;
    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 31 % 251);
    stream_write(w.ours, big, n);
    for (int i = 0; i < 10000 && w.client_got.n < n; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.client_got.n, n);
    assert_memory_equal(w.client_got.p, big, n);
    free(big);
}

static void a_close_of_the_peer_is_the_end(void **state)
{
    (void)state;
    ws_close(w.client, WS_NORMAL, "");
    client_pull();
    turn(&w.ended);
    settle();
    assert_true(w.client_closed); /* and was echoed */
}

static void a_shutdown_is_a_close_after_what_was_written(void **state)
{
    (void)state;
    stream_write(w.ours, "last", 4);
    stream_shutdown(w.ours);
    turn(&w.client_closed);
    assert_string_equal(buf_cstr(&w.client_got), "last");
}

static void what_is_no_websocket_breaks_it(void **state)
{
    (void)state;
    stream_write(w.theirs, "\xff\xff\xff\xff", 4);
    turn(&w.broken);
}

static void a_paused_stream_reads_nothing(void **state)
{
    (void)state;
    stream_pause(w.ours);
    ws_send(w.client, false, "later", 5);
    client_pull();
    settle();
    assert_string_equal(buf_cstr(&w.got), "he");
    stream_resume(w.ours);
    settle();
    assert_string_equal(buf_cstr(&w.got), "helater");
}

#define TEST(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_pass_both_ways_without_borders),
        TEST(a_megabyte_passes),
        TEST(a_close_of_the_peer_is_the_end),
        TEST(a_shutdown_is_a_close_after_what_was_written),
        TEST(what_is_no_websocket_breaks_it),
        TEST(a_paused_stream_reads_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
