#include "base/io/supervise.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"

/*
 *   WAITING --timer--> RUNNING --exit--> WAITING           the first wait is 0 ms
 *      |                  |
 *      +------ close -----+--(exit)--> gone
 */
struct supervise {
    uv_loop_t *loop;
    struct proc_config proc; /* deep copy */
    struct proc *child;      /* NULL: WAITING */
    struct timer timer;
    struct backoff backoff;
    uint64_t healthy_ms, stop_grace_ms, started_ms;
    void (*on_started)(void *arg, int pid);
    void (*on_ended)(void *arg, const struct err *e, uint64_t retry_ms);
    void *arg;
    void (*done)(void *arg);
    void *done_arg;
    bool restarting, closing;
};

static char *copy_text(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static const char *const *copy_list(const char *const *v)
{
    size_t n = 0;
    const char **copy;

    if (!v)
        return NULL;
    while (v[n])
        n++;
    copy = mem_calloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(v[i]);
    return copy;
}

/* The copies are ours; the struct shows them as const to everybody else. */
static void free_text(const char *s)
{
    free((void *)(uintptr_t)s);
}

static void free_list(const char *const *v)
{
    for (size_t i = 0; v && v[i]; i++)
        free_text(v[i]);
    free((void *)(uintptr_t)v);
}

static void on_timer_closed(void *arg)
{
    struct supervise *s = arg;
    void (*done)(void *arg) = s->done;
    void *done_arg = s->done_arg;

    free_text(s->proc.name);
    free_text(s->proc.cwd);
    free_text(s->proc.output_path);
    free_text(s->proc.input.p);
    free_list(s->proc.argv);
    free_list(s->proc.env);
    free(s);
    if (done)
        done(done_arg);
}

static void on_due(void *arg);

static void ended(struct supervise *s, const struct err *e)
{
    uint64_t retry_ms = s->restarting ? 0 : backoff_next_ms(&s->backoff);

    s->restarting = false;
    log_warn("child ended, starting it again", kv("child", s->proc.name), kv("err", e->text),
             kv("retry_ms", retry_ms));
    timer_start_ms(&s->timer, retry_ms, on_due, s);
    if (s->on_ended)
        s->on_ended(s->arg, e, retry_ms);
}

static void on_exit_child(void *arg, const struct proc_exit *x)
{
    struct supervise *s = arg;
    char text[PROC_EXIT_TEXT_BYTES];
    struct err e;

    s->child = NULL;
    if (s->closing) {
        timer_close(&s->timer, on_timer_closed, s);
        return;
    }
    if (uv_now(s->loop) - s->started_ms >= s->healthy_ms)
        backoff_reset(&s->backoff);
    err_set(&e, ERR_CLOSED, "child %s: %s", s->proc.name, proc_exit_text(text, x));
    ended(s, &e);
}

static void on_due(void *arg)
{
    struct supervise *s = arg;
    struct err e;

    s->started_ms = uv_now(s->loop);
    if (proc_start(&s->child, s->loop, &s->proc, &e)) {
        s->child = NULL;
        ended(s, &e);
        return;
    }
    log_info("child started", kv("child", s->proc.name), kv("pid", proc_pid(s->child)));
    if (s->on_started)
        s->on_started(s->arg, proc_pid(s->child));
}

void supervise_new(struct supervise **out, uv_loop_t *loop, const struct supervise_config *c)
{
    struct supervise *s = mem_alloc(sizeof *s);

    s->loop = loop;
    s->proc = c->proc;
    s->proc.name = copy_text(c->proc.name);
    s->proc.cwd = copy_text(c->proc.cwd);
    s->proc.output_path = copy_text(c->proc.output_path);
    s->proc.argv = copy_list(c->proc.argv);
    s->proc.env = copy_list(c->proc.env);
    s->proc.input.p = c->proc.input.n ? mem_dup(c->proc.input.p, c->proc.input.n) : NULL;
    s->proc.on_exit = on_exit_child;
    s->proc.arg = s;
    s->backoff =
        (struct backoff)BACKOFF(c->min_ms ? c->min_ms : 1000, c->max_ms ? c->max_ms : 30000);
    s->healthy_ms = c->healthy_ms ? c->healthy_ms : 10000;
    s->stop_grace_ms = c->stop_grace_ms ? c->stop_grace_ms : 10000;
    s->on_started = c->on_started;
    s->on_ended = c->on_ended;
    s->arg = c->arg;
    timer_init(&s->timer, loop);
    timer_start_ms(&s->timer, 0, on_due, s);
    *out = s;
}

int supervise_pid(const struct supervise *s)
{
    return s->child ? proc_pid(s->child) : 0;
}

void supervise_restart(struct supervise *s)
{
    if (s->closing)
        return;
    backoff_reset(&s->backoff);
    if (s->child) {
        s->restarting = true;
        proc_stop(s->child, s->stop_grace_ms);
    } else {
        timer_start_ms(&s->timer, 0, on_due, s);
    }
}

void supervise_close(struct supervise *s, void (*done)(void *arg), void *arg)
{
    s->closing = true;
    s->done = done;
    s->done_arg = arg;
    if (s->child)
        proc_stop(s->child, s->stop_grace_ms);
    else
        timer_close(&s->timer, on_timer_closed, s);
}
