#include "test/unit/server/store/storm_kill.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned storm_n_crashes(unsigned n)
{
    const char *text = getenv("STORE_CRASHES");

    return text ? (unsigned)atoi(text) : n;
}

static void note_to_pipe(void *arg, const struct storm_note *n)
{
    if (write(*(int *)arg, n, sizeof *n) != sizeof *n)
        _exit(1);
}

static void child_main(struct fix *parents, const struct store_limits *limits, bool hard, int fd,
                       unsigned round, const int64_t *from)
{
    static struct storm storm;
    struct store *s;
    uv_loop_t loop;
    struct err e;

    uv_loop_init(&loop);
    if (parents->b->open(&s, &loop, parents->place, limits, &e)) {
        fprintf(stderr, "the child's store: %s\n", e.text); /* an assertion would run its tests */
        _exit(2);
    }
    storm.hard = hard;
    storm_start(&storm, s, round, from, note_to_pipe, &fd);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(1);
}

void storm_kill_round(struct fix *f, const struct store_limits *limits, bool hard,
                      struct storm_log *l, unsigned round, unsigned life_max_ms)
{
    struct storm_note n;
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child_main(f, limits, hard, fds[1], round, l->seen);
    }
    close(fds[1]);
    do {
        assert_int_equal(read(fds[0], &n, sizeof n), sizeof n);
        storm_log_note(l, &n);
    } while (n.what != STORM_ACKED);
    usleep((useconds_t)(round * 7919 % life_max_ms) * 1000);
    kill(pid, SIGKILL);
    while (read(fds[0], &n, sizeof n) == sizeof n)
        storm_log_note(l, &n);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void storm_check(struct fix *f, struct storm_log *l, const char *what, unsigned round)
{
    const char *why;

    history_revision(l->h, store_revision(f->s));
    for (int i = 0; i < STORM_KEYS; i++) {
        char key[16], value[64] = "";
        long long mod = 0, create;
        const char *got;
        storm_key(key, i);
        got = get(f, key);
        if (*got == '!')
            fail_msg("%s %u: %s: %s", what, round, key, got);
        if (*got != '-')
            assert_int_equal(sscanf(got, "%63[0-9]@%lld/%lld", value, &mod, &create), 3);
        history_read(l->h, key, value, mod);
    }
    why = history_check(l->h);
    if (why)
        fail_msg("%s %u: %s", what, round, why);
}
