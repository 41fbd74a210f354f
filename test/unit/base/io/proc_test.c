#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/io/supervise.h"
#include "test/unit/base/io/io_end.h"

struct run {
    uv_loop_t loop;
    struct proc *p;
    int n_exits, n_started, n_ended, n_done;
    struct proc_exit exit;
    struct buf output;
    struct supervise *s;
    uint64_t last_retry_ms;
    struct err err;
};

static void on_exit_(void *arg, const struct proc_exit *x)
{
    struct run *r = arg;

    r->n_exits++;
    r->exit = *x;
    if (x->output.n)
        assert_int_equal(buf_add_str(&r->output, x->output), 0);
}

/* Runs a shell script to its end; r is left for the asserts. */
static void run_script(struct run *r, const char *script, struct proc_config *c,
                       void (*meanwhile)(struct run *r))
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    struct err e;

    memset(r, 0, sizeof *r);
    r->output.max = 1000000;
    assert_int_equal(uv_loop_init(&r->loop), 0);
    c->name = "script";
    c->argv = argv;
    c->on_exit = on_exit_;
    c->arg = r;
    if (proc_start(&r->p, &r->loop, c, &e))
        fail_msg("%s", e.text);
    assert_true(proc_pid(r->p) > 0);
    if (meanwhile)
        meanwhile(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->n_exits, 1);
    assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void outcome_and_output_are_told(void **state)
{
    static const struct {
        const char *script, *output;
        struct str input;
        int code, signal;
    } rows[] = {
        { "echo out; echo err >&2; exit 3", "out\nerr\n", { NULL, 0 }, 3, 0 },
        { "kill -9 $$", "", { NULL, 0 }, 0, SIGKILL },
        { "cat; echo .", "typed\n.\n", { "typed\n", 6 }, 0, 0 },
        { "exit 0", "", { "nobody reads this", 17 }, 0, 0 },
        { "cat", "", { NULL, 0 }, 0, 0 }, /* no input is /dev/null */
        { "trap | grep -c PIPE; :", "0\n", { NULL, 0 }, 0, 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proc_config c = { .output = PROC_COLLECT, .input = rows[i].input };
        struct run r;

        run_script(&r, rows[i].script, &c, NULL);
        assert_string_equal(buf_cstr(&r.output), rows[i].output);
        assert_int_equal(r.exit.code, rows[i].code);
        assert_int_equal(r.exit.signal, rows[i].signal);
        assert_false(r.exit.was_stopped);
        buf_deinit(&r.output);
    }
}

static void collected_output_is_bounded(void **state)
{
    struct proc_config c = { .output = PROC_COLLECT, .collect_max_bytes = 1000 };
    struct run r;
    (void)state;

    run_script(&r, "head -c 300000 /dev/zero | tr '\\0' x", &c, NULL);
    assert_int_equal(r.output.n, 1000);
    assert_int_equal(r.exit.code, 0);
    buf_deinit(&r.output);
}

static void children_have_no_descriptors_of_ours(void **state)
{
    struct proc_config c = { .output = PROC_COLLECT };
    struct run r;
    (void)state;

    run_script(&r, "exec ls /proc/self/fd", &c, NULL);
    assert_string_equal(buf_cstr(&r.output), "0\n1\n2\n3\n"); /* 3 is the listing itself */
    buf_deinit(&r.output);
}

static void environment_and_directory_are_as_asked(void **state)
{
    static const char *const env[] = { "ONLY=this", "PATH=/usr/bin:/bin", NULL };
    struct proc_config c = { .output = PROC_COLLECT, .env = env, .cwd = "/usr" };
    struct run r;
    (void)state;

    run_script(&r, "echo $ONLY $HOME; pwd", &c, NULL);
    assert_string_equal(buf_cstr(&r.output), "this\n/usr\n");
    buf_deinit(&r.output);
}

static void files_take_output_by_appending(void **state)
{
    char path[64];
    struct proc_config c = { .output = PROC_FILE, .output_path = path };
    auto_buf b = BUF(1000);
    struct run r;
    struct err e;
    (void)state;

    snprintf(path, sizeof path, "/tmp/proc-test-%d.log", getpid());
    run_script(&r, "echo one", &c, NULL);
    run_script(&r, "echo two >&2", &c, NULL);
    assert_int_equal(file_read(path, 1000, &b, &e), 0);
    assert_string_equal(buf_cstr(&b), "one\ntwo\n");
    unlink(path);
}

static void log_lines_are_whole(void **state)
{
    struct proc_config c = { .output = PROC_LOG };
    int log[2], keep = dup(2);
    char text[4096] = "";
    struct run r;
    (void)state;

    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    dup2(log[1], 2);
    run_script(&r, "printf 'fi'; sleep 0.05; printf 'rst\\nsecond\\n\\nlast'", &c, NULL);
    dup2(keep, 2);
    close(log[1]);
    assert_true(read(log[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "child=script line=first\n"));
    assert_non_null(strstr(text, "child=script line=second\n"));
    assert_non_null(strstr(text, "child=script line=last\n"));
    close(log[0]);
    close(keep);
}

static void stop_now(struct run *r)
{
    proc_stop(r->p, 20000);
}

static void stop_stubborn(struct run *r)
{
    while (!r->output.n) { /* until the trap is set: the file tells */
        char path[64];
        snprintf(path, sizeof path, "/tmp/proc-trap-%d", getpid());
        if (!unlink(path))
            break;
        usleep(1000);
    }
    proc_stop(r->p, 20000);
    proc_stop(r->p, 20); /* the shorter grace counts */
}

static void stopping_is_patient_then_firm(void **state)
{
    struct proc_config c = { .output = PROC_NULL };
    char script[200], text[PROC_EXIT_TEXT_BYTES];
    struct run r;
    (void)state;

    run_script(&r, "exec sleep 100", &c, stop_now);
    assert_int_equal(r.exit.signal, SIGTERM);
    assert_true(r.exit.was_stopped);
    assert_string_equal(proc_exit_text(text, &r.exit), "killed by SIGTERM");

    snprintf(script, sizeof script, "trap '' TERM; touch /tmp/proc-trap-%d; exec sleep 100",
             getpid());
    run_script(&r, script, &c, stop_stubborn);
    assert_int_equal(r.exit.signal, SIGKILL);
}

static void timeouts_stop_the_child(void **state)
{
    struct proc_config c = { .output = PROC_NULL, .timeout_ms = 30 };
    struct run r;
    (void)state;

    run_script(&r, "exec sleep 100", &c, NULL);
    assert_int_equal(r.exit.signal, SIGTERM);
}

static void grandchild_that_keeps_the_pipe_does_not_hold_the_exit(void **state)
{
    struct proc_config c = { .output = PROC_COLLECT };
    struct run r;
    (void)state;

    run_script(&r, "sleep 3 & echo parent; exit 0", &c, NULL);
    assert_string_equal(buf_cstr(&r.output), "parent\n");
    buf_deinit(&r.output);
}

static void programs_that_cannot_run_say_so(void **state)
{
    static const struct {
        const char *program, *cwd;
        bool die_with_parent;
        enum err_code code;
    } rows[] = {
        { "/no/such/program", NULL, false, ERR_NOT_FOUND },
        { "no-such-program", NULL, false, ERR_NOT_FOUND },
        { "no-such-program", NULL, true, ERR_NOT_FOUND },
        { "/etc/passwd", NULL, false, ERR_DENIED },
        { "/bin/true", "/no/such/dir", false, ERR_NOT_FOUND },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *argv[] = { rows[i].program, NULL };
        struct run r = { .n_exits = 0 };
        struct proc_config c = { .name = "bad",
                                 .argv = argv,
                                 .cwd = rows[i].cwd,
                                 .die_with_parent = rows[i].die_with_parent,
                                 .on_exit = on_exit_,
                                 .arg = &r };
        struct err e;

        assert_int_equal(uv_loop_init(&r.loop), 0);
        assert_int_equal(proc_start(&r.p, &r.loop, &c, &e), rows[i].code);
        assert_non_null(strstr(e.text, rows[i].program));
        uv_run(&r.loop, UV_RUN_DEFAULT);
        assert_int_equal(r.n_exits, 0);
        assert_int_equal(uv_loop_close(&r.loop), 0);
    }
}

static void death_signal_is_set(void **state)
{
    struct proc_config c = { .output = PROC_COLLECT, .die_with_parent = true };
    struct run r;
    (void)state;

    if (access("/usr/bin/setpriv", X_OK))
        skip();
    run_script(&r, "exec setpriv --dump", &c, NULL); /* shows its own: it is the same process */
    assert_non_null(strstr(buf_cstr(&r.output), "Parent death signal: TERM"));
    buf_deinit(&r.output);
}

/* ---- supervise ---- */

static void on_started(void *arg, int pid)
{
    struct run *r = arg;

    assert_int_equal(supervise_pid(r->s), pid);
    r->n_started++;
}

static void on_ended(void *arg, const struct err *e, uint64_t retry_ms)
{
    struct run *r = arg;

    r->n_ended++;
    r->last_retry_ms = retry_ms;
    r->err = *e;
}

static void on_supervise_done(void *arg)
{
    ((struct run *)arg)->n_done++;
}

static int has_ended_thrice(void *arg)
{
    return ((struct run *)arg)->n_ended >= 3;
}

static int has_started_twice(void *arg)
{
    return ((struct run *)arg)->n_started >= 2;
}

static int has_started(void *arg)
{
    return ((struct run *)arg)->n_started;
}

static void supervised(struct run *r, const char *script)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    struct supervise_config c = { .proc = { .name = "kid", .argv = argv, .output = PROC_NULL },
                                  .min_ms = 1,
                                  .max_ms = 1000000,
                                  .healthy_ms = 1000000,
                                  .on_started = on_started,
                                  .on_ended = on_ended,
                                  .arg = r };

    memset(r, 0, sizeof *r);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    supervise_new(&r->s, &r->loop, &c);
    assert_int_equal(r->n_started, 0);
}

static void supervised_end(struct run *r)
{
    supervise_close(r->s, on_supervise_done, r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->n_done, 1);
    assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void failing_children_start_again_later_and_later(void **state)
{
    struct run r;
    (void)state;

    supervised(&r, "exit 7");
    run_until(&r.loop, has_ended_thrice, &r);
    assert_true(r.last_retry_ms >= 3); /* 1, 2, 4, each give or take a fifth */
    assert_string_equal(r.err.text, "child kid: exit status 7");
    supervised_end(&r);
}

static void restart_is_prompt_and_close_is_final(void **state)
{
    struct run r;
    (void)state;

    supervised(&r, "exec sleep 100");
    run_until(&r.loop, has_started, &r);
    supervise_restart(r.s);
    run_until(&r.loop, has_started_twice, &r);
    assert_int_equal(r.last_retry_ms, 0);
    supervised_end(&r);
    assert_int_equal(r.n_started, 2);
    assert_int_equal(r.n_ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcome_and_output_are_told),
        cmocka_unit_test(collected_output_is_bounded),
        cmocka_unit_test(children_have_no_descriptors_of_ours),
        cmocka_unit_test(environment_and_directory_are_as_asked),
        cmocka_unit_test(files_take_output_by_appending),
        cmocka_unit_test(log_lines_are_whole),
        cmocka_unit_test(stopping_is_patient_then_firm),
        cmocka_unit_test(timeouts_stop_the_child),
        cmocka_unit_test(grandchild_that_keeps_the_pipe_does_not_hold_the_exit),
        cmocka_unit_test(programs_that_cannot_run_say_so),
        cmocka_unit_test(death_signal_is_set),
        cmocka_unit_test(failing_children_start_again_later_and_later),
        cmocka_unit_test(restart_is_prompt_and_close_is_final),
    };
    proc_seal_descriptors(); /* what the test runner left open */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
