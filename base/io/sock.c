#include "base/io/sock.h"

#include "base/core/mem.h"
#include "base/io/loop.h"

#include <errno.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES     (64u * 1024) /* one system call takes what a TCP window commonly holds */
#define SEND_NOW_BYTES (32u * 1024) /* coalescing has no gain beyond this */
#define KEEPALIVE_S    30           /* below the idle timeouts of common NAT boxes */

/*
 *            out                       sending
 *   write --> [ small writes ] --kick--> uv_try_write --rest--> [ uv_write ] --> on_written
 *
 * While sending is not empty, out only grows. shutdown waits until both are empty.
 */
struct sock {
    struct stream s; /* first */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct buf out;
    struct buf sending;
    size_t sent; /* of sending */
    union {      /* one at a time: connect, then writes, then the shutdown */
        uv_connect_t connect;
        uv_write_t write;
        uv_shutdown_t shutdown;
    } req;
    sock_connected_fn on_connected;
    void *connected_arg;
    bool is_tcp, want_shutdown;
};

/* Only valid inside a read callback, which is never nested on one thread. */
static _Thread_local char read_buffer[READ_BYTES];

static struct sock *sock_of(struct stream *s)
{
    return container_of(s, struct sock, s);
}

static void fail(struct sock *k, int status, const char *what)
{
    struct err e;

    err_sys(&e, status, "%s", what);
    stream_emit_error(&k->s, &e);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)h;
    (void)suggested;
    *b = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct sock *k = h->data;

    if (n > 0) {
        stream_emit_data(&k->s, b->base, (size_t)n);
    } else if (n == UV_EOF) {
        uv_read_stop(h);
        stream_emit_end(&k->s);
    } else if (n < 0) {
        uv_read_stop(h);
        fail(k, (int)n, "read");
    }
}

static void sock_set_reading(struct stream *s, bool on)
{
    struct sock *k = sock_of(s);
    int r;

    if (!on) {
        uv_read_stop(&k->u.stream);
        return;
    }
    r = uv_read_start(&k->u.stream, on_alloc, on_read);
    if (r && r != UV_EALREADY)
        fail(k, r, "read");
}

static void sock_start(struct stream *s)
{
    sock_set_reading(s, true);
}

/* ---- writing ---- */

static void send_out(struct sock *k);

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct sock *k = req->data;

    /* ENOTCONN: the peer reset already, the reader hears of it. */
    if (status && status != UV_ECANCELED && status != UV_ENOTCONN)
        fail(k, status, "shutdown");
}

static void shutdown_if_due(struct sock *k)
{
    int r;

    if (!k->want_shutdown || k->out.n || k->sending.n)
        return;
    k->want_shutdown = false;
    k->req.shutdown.data = k;
    r = uv_shutdown(&k->req.shutdown, &k->u.stream, on_shutdown);
    if (r && r != UV_ENOTCONN)
        fail(k, r, "shutdown");
}

static void on_written(uv_write_t *req, int status)
{
    struct sock *k = req->data;

    buf_deinit(&k->sending);
    k->sent = 0;
    if (status) {
        if (status != UV_ECANCELED)
            fail(k, status, "write");
        return;
    }
    send_out(k);
    stream_emit_written(&k->s);
}

/* libuv takes what the kernel did not. */
static void send_rest(struct sock *k)
{
    uv_buf_t b;
    int r;

    b = uv_buf_init(k->sending.p + k->sent, (unsigned)(k->sending.n - k->sent));
    k->req.write.data = k;
    r = uv_write(&k->req.write, &k->u.stream, &b, 1, on_written);
    if (r) {
        buf_deinit(&k->sending);
        k->sent = 0;
        fail(k, r, "write");
    }
}

/* Bytes the kernel took at once; an error breaks the stream and counts as all. */
static size_t try_write(struct sock *k, const char *p, size_t n)
{
    /* libuv's buffers are not const, it does not write to them; MIN: its lengths are unsigned */
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)p, (unsigned)MIN(n, (size_t)1 << 30));
    int r = uv_try_write(&k->u.stream, &b, 1);

    if (r >= 0)
        return (size_t)r;
    if (r == UV_EAGAIN)
        return 0;
    fail(k, r, "write");
    return n;
}

static void send_out(struct sock *k)
{
    size_t n;

    if (k->sending.n || stream_is_closing(&k->s) || k->s.err)
        return;
    if (k->out.n) {
        n = try_write(k, k->out.p, k->out.n);
        if (n == k->out.n) {
            buf_deinit(&k->out);
        } else {
            k->sending = k->out;
            k->sent = n;
            k->out = BUF(STREAM_QUEUE_MAX_BYTES);
            send_rest(k);
        }
    }
    shutdown_if_due(k);
}

static void sock_write(struct stream *s, const void *p, size_t n)
{
    struct sock *k = sock_of(s);
    size_t sent = 0;

    if (!k->sending.n && n >= SEND_NOW_BYTES) {
        send_out(k);
        if (!k->sending.n && !s->err)
            sent = try_write(k, p, n);
        if (s->err)
            return;
    }
    if (sent == n)
        return;
    /* stream_write keeps the sum below the maximum */
    err_ignore(buf_add(&k->out, (const char *)p + sent, n - sent));
    if (k->sending.n)
        return; /* on_written goes on */
    if (sent || k->out.n >= SEND_NOW_BYTES)
        send_out(k);
    else
        stream_kick(s);
}

static void sock_kick(struct stream *s)
{
    struct sock *k = sock_of(s);
    bool had = k->out.n != 0;

    send_out(k);
    if (had)
        stream_emit_written(s);
}

static void sock_flush(struct stream *s)
{
    send_out(sock_of(s));
}

static size_t sock_queued(const struct stream *s)
{
    const struct sock *k = container_of(s, const struct sock, s);

    return k->out.n + k->sending.n - k->sent;
}

static void sock_shutdown(struct stream *s)
{
    struct sock *k = sock_of(s);

    k->want_shutdown = true;
    send_out(k);
}

/* ---- life ---- */

static void on_close(uv_handle_t *h)
{
    struct sock *k = h->data;

    buf_deinit(&k->out);
    buf_deinit(&k->sending);
    stream_emit_closed(&k->s);
}

static void sock_close(struct stream *s)
{
    uv_close(&sock_of(s)->u.handle, on_close);
}

static bool sock_addr(const struct stream *s, struct sockaddr_storage *out, bool peer)
{
    const struct sock *k = container_of(s, const struct sock, s);
    int n = sizeof *out;

    if (!k->is_tcp)
        return false;
    return !(peer ? uv_tcp_getpeername(&k->u.tcp, (struct sockaddr *)out, &n)
                  : uv_tcp_getsockname(&k->u.tcp, (struct sockaddr *)out, &n));
}

static bool sock_local_addr(const struct stream *s, struct sockaddr_storage *out)
{
    return sock_addr(s, out, false);
}

static bool sock_peer_addr(const struct stream *s, struct sockaddr_storage *out)
{
    return sock_addr(s, out, true);
}

static const struct stream_ops sock_ops = {
    .start = sock_start,
    .write = sock_write,
    .queued = sock_queued,
    .shutdown = sock_shutdown,
    .set_reading = sock_set_reading,
    .close = sock_close,
    .kick = sock_kick,
    .flush = sock_flush,
    .local_addr = sock_local_addr,
    .peer_addr = sock_peer_addr,
};

static struct sock *sock_new(uv_loop_t *loop, bool is_tcp)
{
    struct sock *k = mem_alloc(sizeof *k);

    loop_ignore_sigpipe();
    stream_init(&k->s, loop, &sock_ops);
    k->is_tcp = is_tcp;
    k->out = k->sending = BUF(STREAM_QUEUE_MAX_BYTES);
    if (is_tcp)
        uv_tcp_init(loop, &k->u.tcp); /* neither fails: no socket is made yet */
    else
        uv_pipe_init(loop, &k->u.pipe, 0);
    k->u.handle.data = k;
    return k;
}

/* Comforts: a connection without them still works. */
static void set_tcp_options(struct sock *k)
{
    if (!k->is_tcp)
        return;
    err_ignore(uv_tcp_nodelay(&k->u.tcp, 1));
    err_ignore(uv_tcp_keepalive(&k->u.tcp, 1, KEEPALIVE_S));
}

int sock_open(struct stream **out, uv_loop_t *loop, int fd_take, struct err *e)
{
    struct sockaddr_storage addr = { 0 };
    socklen_t n = sizeof addr;
    struct sock *k;
    int r;

    if (getsockname(fd_take, (struct sockaddr *)&addr, &n)) {
        r = err_sys(e, errno, "take socket");
        close(fd_take);
        return r;
    }
    k = sock_new(loop, addr.ss_family != AF_UNIX);
    r = k->is_tcp ? uv_tcp_open(&k->u.tcp, fd_take) : uv_pipe_open(&k->u.pipe, fd_take);
    if (r) {
        close(fd_take);
        stream_close(&k->s);
        return err_sys(e, r, "take socket");
    }
    set_tcp_options(k);
    *out = &k->s;
    return 0;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct sock *k = req->data;

    if (stream_is_closing(&k->s))
        return;
    if (!status)
        set_tcp_options(k);
    k->on_connected(k->connected_arg, &k->s, status);
}

int sock_connect(struct stream **out, uv_loop_t *loop, const struct sockaddr *addr,
                 sock_connected_fn done, void *arg, struct err *e)
{
    struct sock *k = sock_new(loop, addr->sa_family != AF_UNIX);
    int r = 0;

    k->on_connected = done;
    k->connected_arg = arg;
    k->req.connect.data = k;
    if (k->is_tcp)
        r = uv_tcp_connect(&k->req.connect, &k->u.tcp, addr, on_connect);
    else
        uv_pipe_connect(&k->req.connect, &k->u.pipe, ((const struct sockaddr_un *)addr)->sun_path,
                        on_connect);
    if (r) {
        stream_close(&k->s);
        return err_sys(e, r, "connect");
    }
    *out = &k->s;
    return 0;
}
