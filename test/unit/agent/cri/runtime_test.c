/*
 * Against the real containerd, in a folder of its own; skipped where it is not installed or we are
 * not root.
 */
#include "agent/cri/runtime.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/io/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

struct fix {
    uv_loop_t loop;
    char dir[64], data[96], run[96];
    struct runtime *runtime;
    struct timer deadline;
    bool late, closed;
    size_t n_images;
    bool has_pause, listed;
};

static bool can_run(void)
{
    return geteuid() == 0 && !access("/usr/bin/containerd", X_OK) && !access("/usr/bin/ctr", X_OK);
}

static int setup(void **state)
{
    struct fix *f = mem_alloc(sizeof *f);

    strcpy(f->dir, "/tmp/coracle-runtime.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data, sizeof f->data, "%s/data", f->dir);
    snprintf(f->run, sizeof f->run, "%s/run", f->dir);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    timer_init(&f->deadline, &f->loop);
    *state = f;
    return 0;
}

static void on_closed(void *arg)
{
    struct fix *f = arg;

    f->closed = true;
    f->runtime = NULL;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    struct err e;

    if (f->runtime) /* a failed test must not leave a containerd */
        runtime_close(f->runtime, true, on_closed, f);
    timer_close(&f->deadline, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    if (file_remove_tree(f->dir, &e))
        fail_msg("%s", e.text);
    free(f);
    return 0;
}

static void on_late(void *arg)
{
    struct fix *f = arg;

    f->late = true;
}

static void run_until(struct fix *f, bool (*met)(struct fix *f))
{
    f->late = false;
    timer_start_ms(&f->deadline, PATIENCE_MS, on_late, f);
    while (!met(f) && !f->late)
        uv_run(&f->loop, UV_RUN_ONCE);
    timer_stop(&f->deadline);
    if (f->late)
        print_error("%s\n", f->runtime ? runtime_why(f->runtime) : "");
    assert_false(f->late);
}

static void on_change(void *arg)
{
    (void)arg;
}

static bool is_closed(struct fix *f)
{
    return f->closed;
}
static bool is_ready(struct fix *f)
{
    return runtime_is_ready(f->runtime);
}
static bool has_calls(struct fix *f)
{
    return runtime_cri(f->runtime) != NULL;
}
static bool is_listed(struct fix *f)
{
    return f->listed;
}

static void start(struct fix *f, const char *endpoint)
{
    struct runtime_config c = { .loop = &f->loop,
                                .data_dir = f->data,
                                .run_dir = f->run,
                                .endpoint = endpoint,
                                .cni_bridge = "coratest0",
                                .on_change = on_change,
                                .arg = f };
    struct err e;

    f->closed = false;
    assert_int_equal(runtime_start(&f->runtime, &c, &e), 0);
}

static void stop(struct fix *f)
{
    runtime_close(f->runtime, false, on_closed, f);
    run_until(f, is_closed);
}

static void on_images(void *arg, const struct cri_image *v, size_t n, const struct err *e)
{
    struct fix *f = arg;

    assert_null(e);
    f->listed = true;
    f->n_images = n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < v[i].n_tags; j++)
            if (strcmp(v[i].tags[j], RUNTIME_PAUSE_IMAGE) == 0)
                f->has_pause = true;
}

static void own_containerd_becomes_ready_with_the_pause_image_and_a_network(void **state)
{
    struct fix *f = *state;
    struct err e;

    if (!can_run())
        skip();
    start(f, NULL);
    run_until(f, has_calls);
    assert_false(runtime_is_ready(f->runtime)); /* there is no network yet */
    assert_int_equal(strncmp(runtime_version(f->runtime), "containerd://", 13), 0);
    assert_int_equal(runtime_set_pod_cidr(f->runtime, "10.99.0.0", &e), ERR_INVALID);
    assert_int_equal(runtime_set_pod_cidr(f->runtime, "10.99.0.0/24", &e), 0);
    run_until(f, is_ready);
    assert_string_equal(runtime_why(f->runtime), "");
    cri_list_images(runtime_cri(f->runtime), on_images, f);
    run_until(f, is_listed);
    assert_true(f->has_pause);
    stop(f);
}

static bool nothing_new(const char *log, size_t n_before)
{
    auto_buf b = BUF(1024 * 1024);
    struct err e;

    assert_int_equal(file_read(log, b.max, &b, &e), 0);
    return b.n == n_before;
}

static void warm_start_imports_nothing(void **state)
{
    struct fix *f = *state;
    auto_free char *list = mem_printf("%s/agent/containerd/imported", f->data);
    auto_buf before = BUF(65536);
    struct err e;

    if (!can_run())
        skip();
    start(f, NULL);
    run_until(f, has_calls);
    stop(f);
    assert_int_equal(file_read(list, before.max, &before, &e), 0);
    assert_true(before.n > 64);
    start(f, NULL);
    run_until(f, has_calls);
    stop(f);
    assert_true(nothing_new(list, before.n));
}

static void without_a_runtime_it_says_so(void **state)
{
    struct fix *f = *state;

    start(f, "/dev/null");
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(runtime_is_ready(f->runtime));
    assert_non_null(strstr(runtime_why(f->runtime), "--container-runtime-endpoint=/dev/null"));
    assert_null(runtime_cri(f->runtime));
    stop(f);
}

static bool says_no_answer(struct fix *f)
{
    return strstr(runtime_why(f->runtime), "does not answer") != NULL;
}

static void external_runtime_that_is_not_there_is_dialed_again(void **state)
{
    struct fix *f = *state;
    auto_free char *endpoint = mem_printf("unix://%s/nobody.sock", f->dir);

    start(f, endpoint);
    run_until(f, says_no_answer);
    stop(f);
}

static void endpoint_without_a_path_is_refused(void **state)
{
    struct fix *f = *state;
    struct runtime_config c = { .loop = &f->loop,
                                .data_dir = f->data,
                                .run_dir = f->run,
                                .endpoint = "tcp://10.0.0.1:5",
                                .on_change = on_change };
    struct err e;

    assert_int_equal(runtime_start(&f->runtime, &c, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "tcp://10.0.0.1:5"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(own_containerd_becomes_ready_with_the_pause_image_and_a_network),
        TEST(warm_start_imports_nothing),
        TEST(without_a_runtime_it_says_so),
        TEST(external_runtime_that_is_not_there_is_dialed_again),
        TEST(endpoint_without_a_path_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
