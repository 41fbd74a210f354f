#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io/backoff.h"
#include "base/io/notify.h"
#include "base/io/timer.h"
#include "base/io/work.h"
#include "test/unit/base/io/io_end.h"

struct job {
    int in, out, n_done;
    atomic_bool hold, running;
    struct err err;
};

static int square(void *arg, struct err *e)
{
    struct job *j = arg;

    j->running = true;
    while (j->hold)
        usleep(1000);
    if (j->in < 0)
        return err_set(e, ERR_INVALID, "negative");
    j->out = j->in * j->in;
    return 0;
}

static void on_done(void *arg, const struct err *e)
{
    struct job *j = arg;

    j->n_done++;
    if (e)
        j->err = *e;
}

static void jobs_run_on_the_pool_and_end_on_the_loop(void **state)
{
    struct job jobs[20];
    uv_loop_t loop;
    (void)state;

    memset(jobs, 0, sizeof jobs);
    assert_int_equal(uv_loop_init(&loop), 0);
    for (int i = 0; i < 20; i++) {
        jobs[i].in = i - 1;
        work_start(NULL, &loop, square, on_done, &jobs[i]);
        assert_int_equal(jobs[i].n_done, 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(jobs[0].err.code, ERR_INVALID);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(jobs[i].n_done, 1);
        assert_int_equal(jobs[i].out, i ? (i - 1) * (i - 1) : 0);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void canceled_jobs_say_so_whether_they_began_or_not(void **state)
{
    enum { N = 64 }; /* more than any pool of the default size takes at once */
    static struct job jobs[N];
    struct work *w[N];
    uv_loop_t loop;
    int n_ran = 0;
    (void)state;

    assert_int_equal(uv_loop_init(&loop), 0);
    for (int i = 0; i < N; i++) {
        jobs[i] = (struct job){ .in = 2, .hold = true };
        work_start(&w[i], &loop, square, on_done, &jobs[i]);
    }
    while (!jobs[0].running)
        usleep(1000);
    for (int i = 0; i < N; i++)
        work_cancel(w[i]);
    for (int i = 0; i < N; i++)
        jobs[i].hold = false;
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++) {
        n_ran += jobs[i].running;
        assert_int_equal(jobs[i].n_done, 1);
        assert_int_equal(jobs[i].err.code, ERR_CANCELED);
    }
    assert_true(n_ran >= 1 && n_ran < N);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void backoff_grows_to_its_maximum_and_resets(void **state)
{
    static const uint64_t expect_ms[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
    struct backoff b = BACKOFF(100, 1000);
    struct backoff odd = { .min_ms = 0, .max_ms = 10, .factor = 1.5 };
    (void)state;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(expect_ms); i++) {
            uint64_t ms = backoff_next_ms(&b);
            assert_in_range(ms, expect_ms[i] * 80 / 100, expect_ms[i] * 120 / 100);
            assert_int_equal(b.n_tries, i + 1);
        }
        backoff_reset(&b);
    }
    for (int i = 0; i < 50; i++)
        assert_in_range(backoff_next_ms(&odd), 0, 12);
}

static void backoff_is_not_the_same_for_all(void **state)
{
    uint64_t first = 0;
    int n_different = 0;
    (void)state;

    for (int i = 0; i < 50; i++) {
        struct backoff b = BACKOFF(100000, 1000000);
        uint64_t ms = backoff_next_ms(&b);

        n_different += i && ms != first;
        first = i ? first : ms;
    }
    assert_true(n_different > 0);
}

/* ---- timer ---- */

struct ticks {
    struct timer t;
    int n, n_closed;
};

static void on_tick(void *arg)
{
    struct ticks *k = arg;

    if (++k->n < 3)
        timer_start_ms(&k->t, 1, on_tick, k);
}

static void on_timer_closed(void *arg)
{
    ((struct ticks *)arg)->n_closed++;
}

static void timers_fire_once_per_start(void **state)
{
    struct ticks k = { .n = 0 }, never = { .n = 0 };
    uv_loop_t loop;
    (void)state;

    assert_int_equal(uv_loop_init(&loop), 0);
    timer_init(&k.t, &loop);
    timer_init(&never.t, &loop);
    timer_start_ms(&k.t, 0, on_tick, &k);
    timer_start_ms(&never.t, 0, on_tick, &never);
    timer_stop(&never.t);
    assert_true(timer_is_running(&k.t) && !timer_is_running(&never.t));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(k.n, 3);
    assert_int_equal(never.n, 0);
    timer_close(&k.t, on_timer_closed, &k);
    timer_close(&never.t, NULL, NULL);
    assert_int_equal(k.n_closed, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(k.n_closed, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- notify ---- */

static void manager_hears(const char *socket_name, size_t name_bytes, const char *variable)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char text[1000];
    ssize_t n;

    memcpy(a.sun_path, socket_name, name_bytes);
    assert_int_equal(bind(fd, (struct sockaddr *)&a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_bytes)),
                     0);
    setenv("NOTIFY_SOCKET", variable, 1);
    notify_init();
    assert_null(getenv("NOTIFY_SOCKET")); /* children must not inherit it */
    notify_ready();
    notify_status("two\nlines");
    n = recv(fd, text, sizeof text, 0);
    assert_int_equal(n, 7);
    assert_memory_equal(text, "READY=1", 7);
    n = recv(fd, text, sizeof text, 0);
    assert_int_equal(n, 16);
    assert_memory_equal(text, "STATUS=two lines", 16);
    close(fd);
    notify_stopping(); /* nobody listens any more: no harm */
}

static void notices_reach_path_and_abstract_sockets(void **state)
{
    char path[80], abstract[80];
    (void)state;

    snprintf(path, sizeof path, "/tmp/notify-test-%d", getpid());
    manager_hears(path, strlen(path) + 1, path);
    unlink(path);
    snprintf(abstract, sizeof abstract, "@notify-test-%d", getpid());
    snprintf(path, sizeof path, "%s", abstract);
    path[0] = '\0';
    manager_hears(path, strlen(abstract), abstract);
    notify_init(); /* without the variable */
    notify_ready();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_on_the_pool_and_end_on_the_loop),
        cmocka_unit_test(canceled_jobs_say_so_whether_they_began_or_not),
        cmocka_unit_test(backoff_grows_to_its_maximum_and_resets),
        cmocka_unit_test(backoff_is_not_the_same_for_all),
        cmocka_unit_test(timers_fire_once_per_start),
        cmocka_unit_test(notices_reach_path_and_abstract_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
