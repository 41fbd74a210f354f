#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/pump.h"
#include "test/unit/base/http/pipe_stream.h"
#include "test/unit/base/io/io_end.h"

/*  left ==== a | pump | b ==== right      left and right are the peers, a and b the pump's own */
struct rig {
    uv_loop_t loop;
    struct end left, right;
    struct stream *a, *b;
    struct pump *pump;
    struct err err;
    int n_done;
};

static void on_done(void *arg, const struct err *e)
{
    struct rig *g = arg;

    g->n_done++;
    g->err = e ? *e : (struct err){ 0 };
    g->pump = NULL;
}

static int is_done(void *arg)
{
    return ((struct rig *)arg)->n_done;
}

static void rig_init_streams(struct rig *g)
{
    struct stream *left, *right;

    memset(g, 0, sizeof *g);
    assert_int_equal(uv_loop_init(&g->loop), 0);
    pipe_new(&g->loop, &left, &g->a);
    pipe_new(&g->loop, &right, &g->b);
    end_open(&g->left, left);
    end_open(&g->right, right);
}

static void rig_init(struct rig *g)
{
    rig_init_streams(g);
    struct pump_end a = { .stream = g->a }, b = { .stream = g->b };
    g->pump = pump_start(a, b, on_done, g);
}

static void rig_deinit(struct rig *g)
{
    end_close(&g->left);
    end_close(&g->right);
    uv_run(&g->loop, UV_RUN_DEFAULT);
    assert_int_equal(g->n_done, 1);
    assert_int_equal(uv_loop_close(&g->loop), 0);
    end_deinit(&g->left);
    end_deinit(&g->right);
}

static void bytes_go_both_ways_with_slow_readers(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.left.pause_every = g.right.pause_every = 3;
    g.left.pattern_bytes = g.right.pattern_bytes = 3u * 1024 * 1024;
    end_send_pattern(&g.left, 3u * 1024 * 1024);
    end_send_pattern(&g.right, 3u * 1024 * 1024);
    run_until(&g.loop, end_got_pattern, &g.left);
    run_until(&g.loop, end_got_pattern, &g.right);
    assert_int_equal(g.n_done, 0);
    pump_cancel(g.pump);
    run_until(&g.loop, is_done, &g);
    assert_int_equal(g.err.code, ERR_CANCELED);
    rig_deinit(&g);
}

static void a_stalled_reader_holds_the_writer_back(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_pause(g.right.s);
    end_send_pattern(&g.left, 8u * 1024 * 1024);
    for (int i = 0; i < 200; i++)
        uv_run(&g.loop, UV_RUN_NOWAIT);
    assert_true(g.left.pattern_left > 4u * 1024 * 1024); /* most of it has not left the writer */
    assert_true(stream_queued(g.b) <= 2u * STREAM_HIGH_BYTES);
    g.right.pattern_bytes = 8u * 1024 * 1024;
    stream_resume(g.right.s);
    run_until(&g.loop, end_got_pattern, &g.right);
    pump_cancel(g.pump);
    rig_deinit(&g);
}

static void one_end_leaves_the_other_way_open(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_write(g.left.s, "last words", 10);
    stream_shutdown(g.left.s);
    run_until(&g.loop, end_has_ended, &g.right);
    assert_memory_equal(g.right.got.p, "last words", 10);
    assert_int_equal(g.n_done, 0);
    stream_write(g.right.s, "answer", 6);
    g.left.want = 6;
    run_until(&g.loop, end_got_want, &g.left);
    assert_int_equal(g.left.n_ends, 0);

    stream_shutdown(g.right.s);
    run_until(&g.loop, is_done, &g);
    assert_int_equal(g.err.code, ERR_OK);
    assert_int_equal(g.left.n_ends, 1);
    rig_deinit(&g);
}

static void a_broken_stream_ends_the_other_after_what_came_before(void **state)
{
    struct rig g;
    struct err e;

    (void)state;
    rig_init(&g);
    stream_pause(g.right.s); /* so that the bytes are still queued when the stream breaks */
    stream_write(g.left.s, "exit code 7", 11);
    for (int i = 0; i < 20; i++)
        uv_run(&g.loop, UV_RUN_NOWAIT);
    assert_int_equal(stream_queued(g.b), 11);
    err_set(&e, ERR_CLOSED, "reset");
    stream_emit_error(g.a, &e);
    for (int i = 0; i < 20; i++)
        uv_run(&g.loop, UV_RUN_NOWAIT);
    assert_int_equal(g.n_done, 0); /* waits for the reader */
    stream_resume(g.right.s);
    run_until(&g.loop, end_has_ended, &g.right);
    assert_int_equal(g.right.got.n, 11);
    end_close(&g.right);
    run_until(&g.loop, is_done, &g);
    assert_int_equal(g.err.code, ERR_CLOSED);
    assert_string_equal(g.err.text, "reset");
    rig_deinit(&g);
}

static void leftovers_of_both_sides_go_first(void **state)
{
    static const struct stream_events deaf = { 0 };
    struct rig g;

    (void)state;
    rig_init_streams(&g);
    stream_open(g.a, &deaf, NULL);
    stream_pause(g.a); /* as an upgrade leaves it */
    stream_open(g.b, &deaf, NULL);
    stream_pause(g.b);
    stream_write(g.left.s, " and more", 9);
    g.pump = pump_start((struct pump_end){ g.a, true, STR("read too far") },
                        (struct pump_end){ g.b, true, STR("greeting") }, on_done, &g);
    g.right.want = 21;
    g.left.want = 8;
    run_until(&g.loop, end_got_want, &g.right);
    run_until(&g.loop, end_got_want, &g.left);
    assert_memory_equal(g.right.got.p, "read too far and more", 21);
    assert_memory_equal(g.left.got.p, "greeting", 8);
    pump_cancel(g.pump);
    rig_deinit(&g);
}

static void cancel_drops_what_is_queued_and_says_so_once(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_pause(g.right.s);
    stream_write(g.left.s, "lost", 4);
    for (int i = 0; i < 20; i++)
        uv_run(&g.loop, UV_RUN_NOWAIT);
    pump_cancel(g.pump);
    assert_int_equal(g.n_done, 0); /* later, never from inside */
    pump_cancel(g.pump);
    run_until(&g.loop, is_done, &g);
    assert_int_equal(g.err.code, ERR_CANCELED);
    rig_deinit(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_with_slow_readers),
        cmocka_unit_test(a_stalled_reader_holds_the_writer_back),
        cmocka_unit_test(one_end_leaves_the_other_way_open),
        cmocka_unit_test(a_broken_stream_ends_the_other_after_what_came_before),
        cmocka_unit_test(leftovers_of_both_sides_go_first),
        cmocka_unit_test(cancel_drops_what_is_queued_and_says_so_once),
    };
    return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
