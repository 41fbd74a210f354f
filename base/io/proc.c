#include "base/io/proc.h"

#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/loop.h"
#include "base/io/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <linux/close_range.h>

/*
 *   RUNNING --SIGTERM--> STOPPING --SIGKILL--> (exit)        timer: timeout, then the grace
 *
 * on_exit waits for both: the exit, and the end of the output. A grandchild may keep the pipe open
 * for ever, so after the exit the pipe has DRAIN_MS to end.
 */
#define LINE_MAX_BYTES   2048
#define COLLECT_BYTES    (64 * 1024)
#define DRAIN_MS         500
#define TIMEOUT_GRACE_MS 1000
#define READ_BYTES       4096

struct proc {
    uv_process_t process;
    uv_pipe_t output;
    uv_pipe_t input;
    uv_write_t write;
    struct timer timer;
    char *name;
    enum proc_output mode;
    struct buf text; /* the collected output, or the line that is not complete */
    struct buf input_bytes;
    struct log_limit limit;
    bool output_open, exited, stopping, closing;
    unsigned n_open;
    uint64_t kill_at_ms; /* while stopping */
    struct proc_exit exit;
    void (*on_exit)(void *arg, const struct proc_exit *x);
    void *arg;
    char block[READ_BYTES];
};

char *proc_exit_text(char out[PROC_EXIT_TEXT_BYTES], const struct proc_exit *x)
{
    const char *name = x->signal ? sigabbrev_np(x->signal) : NULL;

    if (name)
        snprintf(out, PROC_EXIT_TEXT_BYTES, "killed by SIG%s", name);
    else if (x->signal)
        snprintf(out, PROC_EXIT_TEXT_BYTES, "killed by signal %d", x->signal);
    else
        snprintf(out, PROC_EXIT_TEXT_BYTES, "exit status %d", x->code);
    return out;
}

/* ---- output ---- */

static void log_line(struct proc *p, struct str line)
{
    line = str_trim(line);
    if (line.n && log_allowed(&p->limit))
        log_info("child output", kv("child", p->name), kv("line", line));
}

static void log_lines(struct proc *p, struct str bytes)
{
    struct str line, rest = bytes;

    while (str_cut(rest, '\n', &line, &bytes)) {
        err_ignore(buf_add_str(&p->text, line)); /* too long: the start is enough */
        log_line(p, buf_str(&p->text));
        buf_clear(&p->text);
        rest = bytes;
    }
    if (buf_add_str(&p->text, line)) { /* no end in sight */
        log_line(p, buf_str(&p->text));
        buf_clear(&p->text);
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    struct proc *p = h->data;

    (void)suggested;
    *b = uv_buf_init(p->block, sizeof p->block);
}

static void proc_step(struct proc *p);

static void on_output(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct proc *p = h->data;

    if (n > 0 && p->mode == PROC_LOG) {
        log_lines(p, str_n(b->base, (size_t)n));
    } else if (n > 0) {
        size_t room = p->text.max - p->text.n;
        err_ignore(buf_add(&p->text, b->base, MIN((size_t)n, room))); /* it has that room */
    } else if (n < 0) {
        p->output_open = false;
        uv_read_stop(h);
        proc_step(p);
    }
}

/* ---- life ---- */

static void part_closed(void *arg)
{
    struct proc *p = arg;
    struct proc_exit x = p->exit;
    struct buf text = p->text;
    void (*on_exit)(void *arg, const struct proc_exit *x) = p->on_exit;
    void *on_exit_arg = p->arg;

    if (--p->n_open)
        return;
    if (p->mode == PROC_COLLECT)
        x.output = buf_str(&text);
    buf_deinit(&p->input_bytes);
    free(p->name);
    free(p);
    if (on_exit)
        on_exit(on_exit_arg, &x);
    buf_deinit(&text);
}

static void on_handle_closed(uv_handle_t *h)
{
    part_closed(h->data);
}

static void proc_close(struct proc *p)
{
    if (p->closing)
        return;
    p->closing = true;
    if (p->process.loop) /* uv_spawn was reached: it initialises the handle even when it fails */
        uv_close((uv_handle_t *)&p->process, on_handle_closed);
    else
        p->n_open--;
    uv_close((uv_handle_t *)&p->output, on_handle_closed);
    if (!uv_is_closing((uv_handle_t *)&p->input))
        uv_close((uv_handle_t *)&p->input, on_handle_closed);
    timer_close(&p->timer, part_closed, p);
}

static void on_drained_late(void *arg)
{
    proc_close(arg);
}

/* It ended, or its output did. */
static void proc_step(struct proc *p)
{
    if (!p->exited || p->closing)
        return;
    if (p->output_open) {
        timer_start_ms(&p->timer, DRAIN_MS, on_drained_late, p);
        return;
    }
    if (p->mode == PROC_LOG)
        log_line(p, buf_str(&p->text));
    proc_close(p);
}

static void on_process_exit(uv_process_t *h, int64_t code, int signal)
{
    struct proc *p = h->data;

    p->exited = true;
    p->exit.code = (int)code;
    p->exit.signal = signal;
    p->exit.was_stopped = p->stopping;
    timer_stop(&p->timer);
    proc_step(p);
}

static void on_grace_over(void *arg)
{
    struct proc *p = arg;

    uv_process_kill(&p->process, SIGKILL); /* gone already: on_process_exit is on its way */
}

void proc_stop(struct proc *p, uint64_t grace_ms)
{
    uint64_t kill_at_ms = uv_now(p->process.loop) + grace_ms;

    if (p->exited)
        return;
    if (!p->stopping)
        uv_process_kill(&p->process, SIGTERM);
    if (!p->stopping || kill_at_ms < p->kill_at_ms) {
        p->kill_at_ms = kill_at_ms;
        timer_start_ms(&p->timer, grace_ms, on_grace_over, p);
    }
    p->stopping = true;
}

void proc_signal(struct proc *p, int signal)
{
    if (!p->exited)
        uv_process_kill(&p->process, signal);
}

void proc_seal_descriptors(void)
{
    long n = sysconf(_SC_OPEN_MAX);

    /* Linux 5.11; before it, one by one */
    if (!close_range(3, ~0U, CLOSE_RANGE_CLOEXEC))
        return;
    for (int fd = 3; fd < MIN(n, 65536L); fd++)
        err_ignore(fcntl(fd, F_SETFD, FD_CLOEXEC)); /* most are not open */
}

size_t proc_raise_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l))
        return 1024; /* what POSIX systems begin with */
    if (l.rlim_cur < l.rlim_max) {
        struct rlimit raised = { l.rlim_max, l.rlim_max };
        if (!setrlimit(RLIMIT_NOFILE, &raised))
            l = raised;
    }
    return (size_t)MIN(l.rlim_cur, (rlim_t)1 << 30);
}

int proc_pid(const struct proc *p)
{
    return p->process.pid;
}

static void on_timeout(void *arg)
{
    struct proc *p = arg;

    log_warn("child took too long, stopping it", kv("child", p->name), kv("pid", p->process.pid));
    proc_stop(p, TIMEOUT_GRACE_MS);
}

/* ---- starting ---- */

static void on_input_written(uv_write_t *req, int status)
{
    struct proc *p = req->data;

    (void)status; /* a child that does not read is its own affair */
    if (!uv_is_closing((uv_handle_t *)&p->input))
        uv_close((uv_handle_t *)&p->input, on_handle_closed);
}

static void send_input(struct proc *p)
{
    uv_buf_t b = uv_buf_init(p->input_bytes.p, (unsigned)p->input_bytes.n);

    if (!p->input_bytes.n)
        return;
    p->write.data = p;
    if (uv_write(&p->write, (uv_stream_t *)&p->input, &b, 1, on_input_written))
        uv_close((uv_handle_t *)&p->input, on_handle_closed);
}

/* A process can only ask for its own death signal, so setpriv(1) asks for it and becomes the
 * program. It cannot report a missing program as uv_spawn does: is_found looks before. */
static const char *const death_helper[] = { "setpriv", "--pdeathsig", "TERM", "--" };

static char **make_argv(const struct proc_config *c)
{
    size_t n = 0, at = 0, n_before = c->die_with_parent ? ARRAY_LEN(death_helper) : 0;
    char **v;

    while (c->argv[n])
        n++;
    v = mem_calloc(n + n_before + 1, sizeof *v);
    for (size_t i = 0; i < n_before; i++)
        v[at++] = (char *)(uintptr_t)death_helper[i]; /* uv_spawn does not write to them */
    for (size_t i = 0; i < n; i++)
        v[at++] = (char *)(uintptr_t)c->argv[i];
    return v;
}

/* As execvp would look. */
static bool is_found(const char *program)
{
    const char *path = getenv("PATH");
    struct str dir, rest = str_of(path ? path : "/usr/bin:/bin");

    if (strchr(program, '/'))
        return !access(program, X_OK);
    while (rest.n) {
        str_cut(rest, ':', &dir, &rest);
        auto_free char *file = mem_printf(STR_FMT "/%s", STR_ARG(dir), program);
        if (!access(file, X_OK))
            return true;
    }
    return false;
}

static int spawn(struct proc *p, uv_loop_t *loop, const struct proc_config *c, int out_fd,
                 struct err *e)
{
    auto_free char **argv = make_argv(c);
    uv_stdio_container_t io[3] = { { .flags = UV_IGNORE },
                                   { .flags = UV_IGNORE },
                                   { .flags = UV_IGNORE } };
    uv_process_options_t o = { .exit_cb = on_process_exit,
                               .file = argv[0],
                               .args = argv,
                               .env = (char **)(uintptr_t)c->env, /* not written to */
                               .cwd = c->cwd,
                               .stdio = io,
                               .stdio_count = 3 };
    int r;

    if (c->die_with_parent && !is_found(c->argv[0]))
        return err_sys(e, ENOENT, "start %s", c->argv[0]);
    if (c->input.n) {
        io[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
        io[0].data.stream = (uv_stream_t *)&p->input;
    }
    for (int i = 1; i < 3; i++) {
        if (out_fd >= 0) {
            io[i].flags = UV_INHERIT_FD;
            io[i].data.fd = out_fd;
        } else if (c->output == PROC_INHERIT) {
            io[i].flags = UV_INHERIT_FD;
            io[i].data.fd = i;
        }
    }
    r = uv_spawn(loop, &p->process, &o);
    return r ? err_sys(e, r, "start %s", argv[0]) : 0;
}

/* Both output descriptors share one pipe or file, so lines stay in order. */
static int open_output(int *child_fd, struct proc *p, const struct proc_config *c, struct err *e)
{
    int fds[2], r;

    *child_fd = -1;
    if (c->output == PROC_FILE) {
        *child_fd = open(c->output_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        return *child_fd < 0 ? err_sys(e, errno, "open %s", c->output_path) : 0;
    }
    if (c->output != PROC_LOG && c->output != PROC_COLLECT)
        return 0;
    if (pipe2(fds, O_CLOEXEC))
        return err_sys(e, errno, "pipe");
    r = uv_pipe_open(&p->output, fds[0]); /* makes only our end non-blocking */
    if (r) {
        close(fds[0]);
        close(fds[1]);
        return err_sys(e, r, "pipe");
    }
    *child_fd = fds[1];
    p->output_open = true;
    return 0;
}

int proc_start(struct proc **out, uv_loop_t *loop, const struct proc_config *c, struct err *e)
{
    struct proc *p = mem_alloc(sizeof *p);
    auto_close int child_fd = -1;

    loop_ignore_sigpipe(); /* the child may end before it has read its input */
    p->name = mem_strdup(c->name);
    p->mode = c->output;
    p->limit = (struct log_limit)LOG_LIMIT(50, 100);
    p->text = BUF(c->output == PROC_LOG      ? LINE_MAX_BYTES
                  : c->collect_max_bytes > 0 ? c->collect_max_bytes
                                             : COLLECT_BYTES);
    p->input_bytes = BUF_SECRET(c->input.n);
    err_ignore(buf_add_str(&p->input_bytes, c->input)); /* the limit is its size */
    p->n_open = 4;
    timer_init(&p->timer, loop);
    uv_pipe_init(loop, &p->output, 0); /* these never fail: no descriptor yet */
    uv_pipe_init(loop, &p->input, 0);
    p->process.data = p->output.data = p->input.data = p;
    if (open_output(&child_fd, p, c, e) || spawn(p, loop, c, child_fd, e)) {
        proc_close(p);
        return err_wrap(e, "child %s", c->name);
    }
    p->on_exit = c->on_exit;
    p->arg = c->arg;
    if (p->output_open)
        uv_read_start((uv_stream_t *)&p->output, on_alloc, on_output);
    send_input(p);
    if (c->timeout_ms)
        timer_start_ms(&p->timer, c->timeout_ms, on_timeout, p);
    *out = p;
    return 0;
}
