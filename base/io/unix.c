#include "base/io/unix.h"

#include "base/core/mem.h"
#include "base/io/sock.h"
#include "base/io/timer.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG  128
#define RETRY_MS 20 /* a full backlog refuses at once, there is no event for room */

static int path_addr(struct sockaddr_un *out, const char *path, struct err *e)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (!*path || strlen(path) >= sizeof out->sun_path)
        return err_set(e, ERR_INVALID, "socket path \"%s\": needs 1 to %zu bytes", path,
                       sizeof out->sun_path - 1);
    memcpy(out->sun_path, path, strlen(path) + 1);
    return 0;
}

/* ---- dialing ---- */

struct unix_dial {
    uv_loop_t *loop;
    struct timer timer;
    struct sockaddr_un addr;
    struct stream *attempt;
    uint64_t deadline_ms;
    struct err err;
    void (*done)(void *arg, struct stream *s, const struct err *e);
    void *arg;
};

static void on_dial_closed(void *arg)
{
    free(arg);
}

static void dial_finish(struct unix_dial *d, struct stream *s)
{
    void (*done)(void *arg, struct stream *s, const struct err *e) = d->done;
    struct err e = d->err;
    void *arg = d->arg;

    timer_close(&d->timer, on_dial_closed, d);
    done(arg, s, s ? NULL : &e);
}

static void on_dial_due(void *arg);

static void on_connected(void *arg, struct stream *s, int status)
{
    struct unix_dial *d = arg;

    if (!status) {
        dial_finish(d, s);
        return;
    }
    stream_close(s);
    if (status == UV_EAGAIN && uv_now(d->loop) < d->deadline_ms) {
        timer_start_ms(&d->timer, RETRY_MS, on_dial_due, d);
        return;
    }
    err_sys(&d->err, status, "dial %s", d->addr.sun_path);
    if (status == UV_EAGAIN)
        d->err.code = ERR_TIMEOUT;
    dial_finish(d, NULL);
}

static void on_dial_due(void *arg)
{
    struct unix_dial *d = arg;

    if (d->err.code ||
        sock_connect(&d->attempt, d->loop, (struct sockaddr *)&d->addr, on_connected, d, &d->err))
        dial_finish(d, NULL);
}

void unix_dial(uv_loop_t *loop, const char *path, uint64_t timeout_ms,
               void (*done)(void *arg, struct stream *s, const struct err *e), void *arg)
{
    struct unix_dial *d = mem_alloc(sizeof *d);

    d->loop = loop;
    d->done = done;
    d->arg = arg;
    d->deadline_ms = uv_now(loop) + timeout_ms;
    timer_init(&d->timer, loop);
    err_ignore(path_addr(&d->addr, path, &d->err)); /* d->err is told by on_dial_due */
    timer_start_ms(&d->timer, 0, on_dial_due, d);
}

/* ---- listening ---- */

/* A file of a dead process is removed; 0 when the path is free now. */
static int remove_stale(const struct sockaddr_un *a, struct err *e)
{
    auto_close int fd = -1;
    struct stat st;

    if (lstat(a->sun_path, &st))
        return errno == ENOENT ? 0 : err_sys(e, errno, "stat");
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "a file that is no socket is there");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "socket");
    if (!connect(fd, (const struct sockaddr *)a, sizeof *a) || errno == EAGAIN)
        return err_set(e, ERR_EXISTS, "another process listens there");
    if (unlink(a->sun_path) && errno != ENOENT)
        return err_sys(e, errno, "remove the old socket");
    return 0;
}

int unix_listen(struct listener **out, uv_loop_t *loop, const char *path, mode_t mode,
                listener_accept_fn on_accept, void *arg, struct err *e)
{
    auto_close int fd = -1;
    struct sockaddr_un a;

    if (path_addr(&a, path, e))
        return err_wrap(e, "listen");
    if (remove_stale(&a, e))
        return err_wrap(e, "listen on %s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "listen on %s: socket", path);
    /* On Linux the new file takes its mode from the socket, so nobody slips in before a chmod. */
    if (fchmod(fd, mode) || bind(fd, (struct sockaddr *)&a, sizeof a) || chmod(path, mode) ||
        listen(fd, BACKLOG))
        return err_sys(e, errno, "listen on %s", path);
    *out = listener_new(loop, fd, path, on_accept, arg);
    fd = -1;
    return 0;
}

int unix_pair(struct stream **a, struct stream **b, uv_loop_t *loop_a, uv_loop_t *loop_b,
              struct err *e)
{
    struct stream *first;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        return err_sys(e, errno, "socketpair");
    if (sock_open(&first, loop_a, fds[0], e)) {
        close(fds[1]);
        return e->code;
    }
    if (sock_open(b, loop_b, fds[1], e)) {
        stream_close(first);
        return e->code;
    }
    *a = first;
    return 0;
}
