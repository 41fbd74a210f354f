#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/stream/logread.h"
#include "base/core/mem.h"
#include "base/io/file.h"
#include "test/unit/base/io/io_end.h"

#define HEAD "2016-10-06T00:17:09.669794202Z stdout F "

struct rig {
    uv_loop_t loop;
    char dir[64], path[96];
    struct crilog_options o;
    struct logread *read;
    struct buf got;
    const char *want; /* run until got is that */
    bool running;
    int n_opens, n_ends, n_data, n_asked;
    struct err err;
    bool pause_at_data, cancel_at_data, cancel_at_open;
};

static void on_open(void *arg)
{
    struct rig *g = arg;

    g->n_opens++;
    if (g->cancel_at_open)
        logread_cancel(g->read);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct rig *g = arg;

    g->n_data++;
    assert_int_equal(g->n_opens, 1);
    assert_int_equal(buf_add(&g->got, p, n), 0);
    if (g->pause_at_data)
        logread_pause(g->read);
    if (g->cancel_at_data)
        logread_cancel(g->read);
}

static void on_end(void *arg, const struct err *e)
{
    struct rig *g = arg;

    g->n_ends++;
    g->read = NULL;
    if (e)
        g->err = *e;
}

static bool is_running(void *arg)
{
    struct rig *g = arg;

    g->n_asked++;
    return g->running;
}

static const struct logread_events events = { on_open, on_data, on_end, is_running };

static int has_ended(void *arg)
{
    return ((struct rig *)arg)->n_ends;
}

static int has_want(void *arg)
{
    struct rig *g = arg;
    return g->got.n >= strlen(g->want);
}

static int has_data(void *arg)
{
    return ((struct rig *)arg)->n_data;
}

static int was_asked(void *arg)
{
    return ((struct rig *)arg)->n_asked >= 2;
}

static void append(const struct rig *g, const char *text)
{
    int fd = open(g->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void rig_init(struct rig *g)
{
    memset(g, 0, sizeof *g);
    assert_int_equal(uv_loop_init(&g->loop), 0);
    snprintf(g->dir, sizeof g->dir, "/tmp/logread-test-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->path, sizeof g->path, "%s/0.log", g->dir);
    g->o = (struct crilog_options){
        .tail_lines = -1, .limit_bytes = -1, .since_unix_us = INT64_MIN, .stream = CRILOG_BOTH
    };
    g->got = BUF(64u * 1024 * 1024);
}

static void start(struct rig *g)
{
    logread_start(&g->read, &g->loop, g->path, &g->o, &events, g);
}

static void expect(struct rig *g, const char *want)
{
    g->want = want;
    run_until(&g->loop, has_want, g);
    assert_string_equal(buf_cstr(&g->got), want);
}

static void expect_end(struct rig *g, const char *want, enum err_code code)
{
    run_until(&g->loop, has_ended, g);
    assert_string_equal(buf_cstr(&g->got), want);
    assert_int_equal(g->err.code, code);
}

static void rig_deinit(struct rig *g)
{
    struct err e;

    uv_run(&g->loop, UV_RUN_DEFAULT);
    assert_int_equal(g->n_ends, 1);
    assert_int_equal(uv_loop_close(&g->loop), 0);
    buf_deinit(&g->got);
    assert_int_equal(file_remove_tree(g->dir, &e), 0);
}

static void a_file_is_read_to_its_end(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    append(&g, HEAD "one\n" HEAD "two\n" HEAD "unfinished");
    start(&g);
    assert_int_equal(g.n_opens, 0); /* never from inside */
    expect_end(&g, "one\ntwo\nunfinished", ERR_OK);
    assert_int_equal(g.n_opens, 1);
    assert_int_equal(g.n_asked, 0);
    rig_deinit(&g);
}

static void what_is_no_log_file_is_an_error(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    start(&g);
    expect_end(&g, "", ERR_NOT_FOUND);
    assert_int_equal(g.n_opens, 0);
    rig_deinit(&g);

    rig_init(&g);
    assert_int_equal(mkfifo(g.path, 0600), 0);
    start(&g);
    expect_end(&g, "", ERR_INVALID);
    rig_deinit(&g);
}

static void the_tail_comes_of_files_larger_than_a_block(void **state)
{
    static const struct {
        int64_t tail;
        size_t n_lines;
    } rows[] = { { 0, 0 }, { 1, 1 }, { 3, 3 }, { 1500, 1500 }, { 5000, 5000 }, { 9999, 5000 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf file = BUF(1024 * 1024), want = BUF(1024 * 1024);
        struct rig g;

        rig_init(&g);
        for (size_t k = 0; k < 5000; k++) {
            assert_int_equal(buf_addf(&file, HEAD "line %zu\n", k), 0);
            if (k >= 5000 - rows[i].n_lines)
                assert_int_equal(buf_addf(&want, "line %zu\n", k), 0);
        }
        append(&g, buf_cstr(&file));
        g.o.tail_lines = rows[i].tail;
        start(&g);
        expect_end(&g, buf_cstr(&want), ERR_OK);
        rig_deinit(&g);
    }
}

static void without_follow_what_is_written_meanwhile_is_left_out(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    append(&g, HEAD "old\n");
    g.pause_at_data = true;
    start(&g);
    run_until(&g.loop, has_data, &g);
    append(&g, HEAD "new\n");
    logread_resume(g.read);
    expect_end(&g, "old\n", ERR_OK);
    rig_deinit(&g);
}

static void following_goes_on_until_the_container_has_exited(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    append(&g, HEAD "one\n");
    start(&g);
    expect(&g, "one\n");
    append(&g, HEAD "two\n" HEAD "thr");
    expect(&g, "one\ntwo\nthr");
    append(&g, "ee\n");
    expect(&g, "one\ntwo\nthree\n");
    assert_int_equal(g.n_ends, 0);
    append(&g, HEAD "last words\n");
    g.running = false;
    expect_end(&g, "one\ntwo\nthree\nlast words\n", ERR_OK);
    rig_deinit(&g);
}

static void following_begins_at_the_tail(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    g.o.tail_lines = 0;
    append(&g, HEAD "old\n" HEAD "older\n");
    start(&g);
    run_until(&g.loop, was_asked, &g);
    append(&g, HEAD "new\n");
    expect(&g, "new\n");
    g.running = false;
    expect_end(&g, "new\n", ERR_OK);
    rig_deinit(&g);
}

static void rotation_loses_nothing(void **state)
{
    char moved[128];
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    append(&g, HEAD "one\n");
    start(&g);
    expect(&g, "one\n");

    /* as kubelet does it: rename, then the runtime makes the new file */
    snprintf(moved, sizeof moved, "%s.20161006", g.path);
    assert_int_equal(rename(g.path, moved), 0);
    int fd = open(moved, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, HEAD "two\n", sizeof HEAD + 3), sizeof HEAD + 3);
    expect(&g, "one\ntwo\n"); /* the runtime still writes to the old one */
    assert_int_equal(write(fd, HEAD "three\n", sizeof HEAD + 5), sizeof HEAD + 5);
    close(fd);
    append(&g, HEAD "four\n");
    expect(&g, "one\ntwo\nthree\nfour\n");
    append(&g, HEAD "five\n");
    g.running = false;
    expect_end(&g, "one\ntwo\nthree\nfour\nfive\n", ERR_OK);
    rig_deinit(&g);
}

static void a_file_that_is_cut_is_read_from_its_beginning(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    append(&g, HEAD "a long line before the cut\n");
    start(&g);
    expect(&g, "a long line before the cut\n");
    assert_int_equal(truncate(g.path, 0), 0);
    append(&g, HEAD "x\n");
    expect(&g, "a long line before the cut\nx\n");
    g.running = false;
    expect_end(&g, "a long line before the cut\nx\n", ERR_OK);
    rig_deinit(&g);
}

static void a_removed_file_ends_with_its_container(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    append(&g, HEAD "one\n");
    start(&g);
    expect(&g, "one\n");
    assert_int_equal(unlink(g.path), 0);
    g.running = false;
    expect_end(&g, "one\n", ERR_OK);
    rig_deinit(&g);
}

static void the_limit_ends_even_a_following_one(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    g.o.follow = g.running = true;
    g.o.limit_bytes = 6;
    append(&g, HEAD "one\n" HEAD "two\n");
    start(&g);
    expect_end(&g, "one\ntw", ERR_OK);
    rig_deinit(&g);
}

static void a_paused_reading_holds_a_block_at_most(void **state)
{
    struct rig g;
    size_t held;

    (void)state;
    rig_init(&g);
    for (int i = 0; i < 40; i++) {
        auto_buf lines = BUF(64 * 1024);
        for (int k = 0; k < 400; k++)
            assert_int_equal(buf_addf(&lines, HEAD "%060d\n", i * 400 + k), 0);
        append(&g, buf_cstr(&lines));
    }
    g.pause_at_data = true;
    start(&g);
    run_until(&g.loop, has_data, &g);
    held = g.got.n;
    assert_true(held > 0 && held <= 64u * 1024);
    for (int i = 0; i < 50; i++) {
        uv_run(&g.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(g.got.n, held);
    g.pause_at_data = false;
    logread_resume(g.read);
    run_until(&g.loop, has_ended, &g);
    assert_int_equal(g.got.n, 40 * 400 * 61);
    for (size_t i = 0; i < 40 * 400; i++)
        assert_int_equal(atoi(g.got.p + i * 61), i);
    rig_deinit(&g);
}

static void cancel_ends_it_wherever_it_is(void **state)
{
    (void)state;
    for (int where = 0; where < 6; where++) {
        struct rig g;

        rig_init(&g);
        append(&g, HEAD "one\n");
        g.o.follow = g.running = true;
        g.cancel_at_open = where == 1;
        g.cancel_at_data = where == 2;
        g.pause_at_data = where == 3;
        start(&g);
        if (where == 0) /* before it is open */
            logread_cancel(g.read);
        if (where == 3) {
            run_until(&g.loop, has_data, &g);
            append(&g, HEAD "two\n");
            for (int i = 0; i < 20; i++) {
                uv_run(&g.loop, UV_RUN_NOWAIT);
                usleep(1000);
            }
            logread_cancel(g.read);
        }
        if (where == 4) { /* while it waits */
            run_until(&g.loop, was_asked, &g);
            for (int i = 0; i < 20; i++) {
                uv_run(&g.loop, UV_RUN_NOWAIT);
                usleep(1000);
            }
            logread_cancel(g.read);
        }
        if (where == 5) { /* while it reads */
            run_until(&g.loop, was_asked, &g);
            logread_cancel(g.read);
            logread_cancel(g.read);
        }
        expect_end(&g, where < 2 ? "" : "one\n", ERR_CANCELED);
        rig_deinit(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_to_its_end),
        cmocka_unit_test(what_is_no_log_file_is_an_error),
        cmocka_unit_test(the_tail_comes_of_files_larger_than_a_block),
        cmocka_unit_test(without_follow_what_is_written_meanwhile_is_left_out),
        cmocka_unit_test(following_goes_on_until_the_container_has_exited),
        cmocka_unit_test(following_begins_at_the_tail),
        cmocka_unit_test(rotation_loses_nothing),
        cmocka_unit_test(a_file_that_is_cut_is_read_from_its_beginning),
        cmocka_unit_test(a_removed_file_ends_with_its_container),
        cmocka_unit_test(the_limit_ends_even_a_following_one),
        cmocka_unit_test(a_paused_reading_holds_a_block_at_most),
        cmocka_unit_test(cancel_ends_it_wherever_it_is),
    };
    return cmocka_run_group_tests_name("logread", tests, NULL, NULL);
}
