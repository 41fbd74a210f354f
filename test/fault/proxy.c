/*
 * Each connection has two sides (sockets) and two ways (queues). A way reads at its source, keeps
 * each piece until it is due, and writes it at its sink; the end of the source waits behind the
 * pieces as one more. A hole and a pending dial stop the writing, not the reading.
 *
 *   accept --> (hole, reorder: waits) --> dial --> up --> both sides closed: gone
 *
 * A side is closed when both ways have ended at it, when it breaks, and when the other one's break
 * has come through.
 */
#include "test/fault/proxy.h"

#include "base/core/list.h"
#include "base/core/mem.h"
#include "base/io/timer.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define PIECE_BYTES     (16u * 1024)
#define QUEUE_MAX_BYTES (4u * 1024 * 1024) /* of one way; a delay needs room */
#define BACKLOG         511

enum { CLIENT, TARGET, N_SIDES };

struct piece {
    struct list link;
    uint64_t due_ms;
    uv_write_t req;
    struct way *way;
    size_t n;
    char bytes[];
};

struct way {
    struct conn *conn;
    enum fault_ways bit;
    int from, to; /* sides */
    struct list queue;
    struct timer timer;
    size_t queued_bytes;         /* in the queue and in the socket */
    uint64_t free_ms;            /* rate: when the next byte may begin */
    bool reading, ended, broken; /* the source has ended; by an error */
    bool end_passed;             /* the sink has seen it */
    bool cut;                    /* halfclose: what comes is dropped */
    bool corrupt;
};

struct conn {
    struct fault_proxy *p;
    struct list link, waiting; /* in p->conns; in p->undialed */
    uv_tcp_t tcp[N_SIDES];
    bool open[N_SIDES]; /* initialised and not closing */
    unsigned n_handles;
    uv_connect_t connect;
    bool dialing, up, lost, closing;
    struct way ways[2]; /* UP, DOWN */
};

struct fault_proxy {
    uv_loop_t *loop;
    uv_tcp_t listener;
    struct sockaddr_storage target;
    struct list conns, undialed;
    struct timer reorder_timer;
    unsigned n_handles; /* listener, timer, connections */
    unsigned hole;      /* of enum fault_ways */
    uint64_t delay_ms[2], rate[2];
    bool refuse, closing;
    unsigned n_reorder; /* so many are to be collected yet */
    struct fault_count count;
    void (*done)(void *arg);
    void *done_arg;
};

static int way_of(enum fault_ways bit)
{
    return bit == FAULT_UP ? 0 : 1;
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void proxy_part_gone(struct fault_proxy *p)
{
    void (*done)(void *arg) = p->done;
    void *arg = p->done_arg;

    if (--p->n_handles)
        return;
    free(p);
    if (done)
        done(arg);
}

static void conn_part_gone(struct conn *c)
{
    struct fault_proxy *p = c->p;
    struct list *l;

    if (--c->n_handles)
        return;
    for (int i = 0; i < 2; i++)
        while ((l = list_pop(&c->ways[i].queue)))
            free(container_of(l, struct piece, link));
    list_remove(&c->link);
    p->count.n_connections--;
    free(c);
    proxy_part_gone(p);
}

static void on_tcp_closed(uv_handle_t *h)
{
    conn_part_gone(h->data);
}

static void on_timer_closed(void *arg)
{
    struct way *w = arg;

    conn_part_gone(w->conn);
}

static void conn_close_if_over(struct conn *c)
{
    if (c->open[CLIENT] || c->open[TARGET] || c->closing)
        return;
    c->closing = true;
    list_remove(&c->waiting);
    for (int i = 0; i < 2; i++)
        timer_close(&c->ways[i].timer, on_timer_closed, &c->ways[i]);
}

/* rst: the peer gets a reset, whatever is queued. */
static void side_close(struct conn *c, int side, bool rst)
{
    struct linger linger = { .l_onoff = 1 };
    int fd;

    if (!c->open[side])
        return;
    c->open[side] = false;
    if (rst && !uv_fileno((uv_handle_t *)&c->tcp[side], &fd))
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    uv_close((uv_handle_t *)&c->tcp[side], on_tcp_closed);
    conn_close_if_over(c);
}

static void conn_cut(struct conn *c, bool rst)
{
    side_close(c, CLIENT, rst);
    side_close(c, TARGET, rst);
}

/* ---- ways ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
    (void)h;
    (void)n;
    *out = uv_buf_init(mem_alloc(PIECE_BYTES), PIECE_BYTES);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b);

static void way_set_reading(struct way *w)
{
    struct conn *c = w->conn;
    bool want = c->open[w->from] && !w->ended && w->queued_bytes < QUEUE_MAX_BYTES &&
                (w->from == CLIENT || c->up);

    if (want == w->reading)
        return;
    w->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp[w->from], on_alloc, on_read);
    else if (c->open[w->from])
        uv_read_stop((uv_stream_t *)&c->tcp[w->from]);
}

static void on_written(uv_write_t *req, int status)
{
    struct piece *x = req->data;
    struct way *w = x->way;

    (void)status; /* a broken sink shows when it is read */
    w->queued_bytes -= x->n;
    free(x);
    if (!w->conn->closing)
        way_set_reading(w);
}

static void way_write(struct way *w, struct piece *x)
{
    struct conn *c = w->conn;
    uv_buf_t b = uv_buf_init(x->bytes, (unsigned)x->n);

    if (w->bit == FAULT_UP)
        c->p->count.up_bytes += x->n;
    else
        c->p->count.down_bytes += x->n;
    x->req.data = x;
    if (c->open[w->to] && !w->cut &&
        !uv_write(&x->req, (uv_stream_t *)&c->tcp[w->to], &b, 1, on_written))
        return;
    w->queued_bytes -= x->n;
    free(x);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    (void)status;
    free(req);
}

/* The end of the source reaches the sink. */
static void way_pass_end(struct way *w)
{
    struct conn *c = w->conn;
    uv_shutdown_t *req;

    if (w->end_passed)
        return;
    w->end_passed = true;
    if (w->broken) {
        side_close(c, w->to, true);
        side_close(c, w->from, false);
        return;
    }
    if (c->ways[0].end_passed && c->ways[1].end_passed) {
        conn_cut(c, false);
        return;
    }
    if (!c->open[w->to])
        return;
    req = mem_alloc(sizeof *req);
    if (uv_shutdown(req, (uv_stream_t *)&c->tcp[w->to], on_shut))
        free(req);
}

static void on_due(void *arg);

static void way_flush(struct way *w)
{
    struct conn *c = w->conn;
    uint64_t now_ms = uv_now(c->p->loop);
    struct list *l;

    if (c->closing || c->lost || !c->up || c->p->hole & w->bit)
        return;
    while ((l = list_pop(&w->queue))) {
        struct piece *x = container_of(l, struct piece, link);

        if (x->due_ms > now_ms) {
            list_push_front(&w->queue, l);
            timer_start_ms(&w->timer, x->due_ms - now_ms, on_due, w);
            return;
        }
        way_write(w, x);
    }
    if (w->ended)
        way_pass_end(w); /* last: c may be closing */
}

static void on_due(void *arg)
{
    way_flush(arg);
}

static void way_add(struct way *w, const char *bytes, size_t n)
{
    struct fault_proxy *p = w->conn->p;
    uint64_t now_ms = uv_now(p->loop), rate = p->rate[way_of(w->bit)];
    struct piece *x = mem_alloc(sizeof *x + n);

    x->way = w;
    x->n = n;
    x->due_ms = now_ms + p->delay_ms[way_of(w->bit)];
    if (rate) {
        w->free_ms = MAX(w->free_ms, now_ms) + n * 1000 / rate;
        x->due_ms = MAX(x->due_ms, w->free_ms);
    }
    memcpy(x->bytes, bytes, n);
    if (w->corrupt)
        x->bytes[n / 2] ^= 1;
    w->corrupt = false;
    if (!list_empty(&w->queue)) /* a delay that became shorter overtakes nothing */
        x->due_ms = MAX(x->due_ms, container_of(w->queue.prev, struct piece, link)->due_ms);
    list_push(&w->queue, &x->link);
    w->queued_bytes += n;
}

/* What waited for its time goes now. */
static void way_hurry(struct way *w)
{
    list_each (x, &w->queue, struct piece, link)
        x->due_ms = 0;
    w->free_ms = 0;
    way_flush(w);
}

/* A connection that was lost, or never dialed: nobody is left to hear of the end. */
static bool end_is_unheard(const struct conn *c)
{
    return c->lost || (!c->up && !c->dialing);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct conn *c = s->data;
    struct way *w = &c->ways[s == (uv_stream_t *)&c->tcp[CLIENT] ? 0 : 1];

    if (n > 0 && !c->lost && !w->cut)
        way_add(w, b->base, (size_t)n);
    free(b->base);
    if (n < 0) {
        w->ended = true;
        w->broken = n != UV_EOF;
        w->reading = false;
        uv_read_stop(s);
        if (end_is_unheard(c) || w->broken)
            side_close(c, w->from, false);
        if (c->closing)
            return;
    }
    way_set_reading(w);
    way_flush(w);
}

/* ---- connections ---------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = req->data;

    c->dialing = false;
    if (!c->open[TARGET])
        return;
    if (status) {
        conn_cut(c, true);
        return;
    }
    c->up = true;
    uv_tcp_nodelay(&c->tcp[TARGET], 1);
    for (int i = 0; i < 2 && !c->closing; i++) {
        way_set_reading(&c->ways[i]);
        way_flush(&c->ways[i]);
    }
}

static void conn_dial(struct conn *c)
{
    struct fault_proxy *p = c->p;

    list_remove(&c->waiting);
    uv_tcp_init(p->loop, &c->tcp[TARGET]);
    c->tcp[TARGET].data = c;
    c->open[TARGET] = true;
    c->n_handles++;
    c->connect.data = c;
    c->dialing = true;
    if (uv_tcp_connect(&c->connect, &c->tcp[TARGET], (struct sockaddr *)&p->target, on_connected)) {
        c->dialing = false;
        conn_cut(c, true);
    }
}

/* Dials what waited, in the opposite order when that is asked for. */
static void dial_all(struct fault_proxy *p, bool reverse)
{
    struct list ready = LIST(ready);

    p->n_reorder = 0;
    timer_stop(&p->reorder_timer);
    list_move_all(&ready, &p->undialed);
    while (!list_empty(&ready)) {
        struct list *l = reverse ? ready.prev : ready.next;

        conn_dial(container_of(l, struct conn, waiting));
    }
}

static void on_reorder_late(void *arg)
{
    struct fault_proxy *p = arg;

    if (!p->hole)
        dial_all(p, true);
}

static void conn_wait_or_dial(struct conn *c)
{
    struct fault_proxy *p = c->p;

    list_push(&p->undialed, &c->waiting);
    if (p->n_reorder) {
        if (!timer_is_running(&p->reorder_timer))
            timer_start_ms(&p->reorder_timer, FAULT_REORDER_MS, on_reorder_late, p);
        if (--p->n_reorder == 0 && !p->hole)
            dial_all(p, true);
        return;
    }
    if (!p->hole)
        dial_all(p, false);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct fault_proxy *p = server->data;
    struct conn *c;

    if (status || p->closing)
        return;
    c = mem_alloc(sizeof *c);
    c->p = p;
    list_init(&c->waiting);
    list_push(&p->conns, &c->link);
    for (int i = 0; i < 2; i++) {
        struct way *w = &c->ways[i];

        w->conn = c;
        w->bit = i ? FAULT_DOWN : FAULT_UP;
        w->from = i ? TARGET : CLIENT;
        w->to = i ? CLIENT : TARGET;
        list_init(&w->queue);
        timer_init(&w->timer, p->loop);
    }
    uv_tcp_init(p->loop, &c->tcp[CLIENT]);
    c->tcp[CLIENT].data = c;
    c->open[CLIENT] = true;
    c->n_handles = 3;
    p->n_handles++;
    p->count.n_connections++;
    p->count.n_accepted++;
    if (uv_accept(server, (uv_stream_t *)&c->tcp[CLIENT]) || p->refuse) {
        p->count.n_refused++;
        conn_cut(c, true);
        return;
    }
    uv_tcp_nodelay(&c->tcp[CLIENT], 1);
    way_set_reading(&c->ways[0]);
    conn_wait_or_dial(c);
}

/* ---- faults --------------------------------------------------------------------------------- */

void fault_proxy_reset(struct fault_proxy *p, enum fault_ways ways)
{
    list_each (c, &p->conns, struct conn, link) {
        c->lost = true; /* the side that is left hears nothing */
        list_remove(&c->waiting);
        if (ways & FAULT_UP)
            side_close(c, TARGET, true);
        if (ways & FAULT_DOWN)
            side_close(c, CLIENT, true);
    }
}

void fault_proxy_halfclose(struct fault_proxy *p, enum fault_ways ways)
{
    list_each (c, &p->conns, struct conn, link) {
        for (int i = 0; i < 2 && c->up && !c->closing; i++) {
            if (!(ways & c->ways[i].bit))
                continue;
            way_pass_end(&c->ways[i]);
            c->ways[i].cut = true;
        }
    }
}

void fault_proxy_lose(struct fault_proxy *p)
{
    list_each (c, &p->conns, struct conn, link) {
        c->lost = true;
        list_remove(&c->waiting);
    }
}

void fault_proxy_corrupt(struct fault_proxy *p, enum fault_ways ways)
{
    list_each (c, &p->conns, struct conn, link)
        for (int i = 0; i < 2; i++)
            c->ways[i].corrupt = c->ways[i].corrupt || ways & c->ways[i].bit;
}

void fault_proxy_hole(struct fault_proxy *p, enum fault_ways ways)
{
    p->hole |= ways;
}

void fault_proxy_delay(struct fault_proxy *p, enum fault_ways ways, uint64_t ms)
{
    for (int i = 0; i < 2; i++)
        if (ways & 1u << i)
            p->delay_ms[i] = ms;
}

void fault_proxy_rate(struct fault_proxy *p, enum fault_ways ways, uint64_t bytes_per_s)
{
    for (int i = 0; i < 2; i++)
        if (ways & 1u << i)
            p->rate[i] = bytes_per_s;
}

void fault_proxy_refuse(struct fault_proxy *p)
{
    p->refuse = true;
}

void fault_proxy_reorder(struct fault_proxy *p, unsigned n)
{
    p->n_reorder = n;
}

void fault_proxy_heal(struct fault_proxy *p)
{
    bool reverse = timer_is_running(&p->reorder_timer);

    p->hole = 0;
    p->refuse = false;
    memset(p->delay_ms, 0, sizeof p->delay_ms);
    memset(p->rate, 0, sizeof p->rate);
    dial_all(p, reverse);
    list_each (c, &p->conns, struct conn, link)
        for (int i = 0; i < 2 && !c->closing; i++)
            way_hurry(&c->ways[i]);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int parse_addr(struct sockaddr_storage *out, const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    bool v6 = *text == '[' && colon && colon > text && colon[-1] == ']';
    uint64_t port;
    char ip[64];

    if (!colon || !str_to_u64(str_of(colon + 1), &port) || port > 65535)
        return err_set(e, ERR_INVALID, "%s is not IP:PORT", text);
    snprintf(ip, sizeof ip, "%.*s", (int)(colon - text) - 2 * v6, text + v6);
    memset(out, 0, sizeof *out);
    if (v6 ? uv_ip6_addr(ip, (int)port, (struct sockaddr_in6 *)out)
           : uv_ip4_addr(ip, (int)port, (struct sockaddr_in *)out))
        return err_set(e, ERR_INVALID, "%s is not IP:PORT", text);
    return 0;
}

int fault_proxy_target(struct fault_proxy *p, const char *target, struct err *e)
{
    struct sockaddr_storage a;

    if (parse_addr(&a, target, e))
        return err_wrap(e, "target");
    p->target = a;
    return 0;
}

static void on_listener_closed(uv_handle_t *h)
{
    proxy_part_gone(h->data);
}

static void on_proxy_timer_closed(void *arg)
{
    proxy_part_gone(arg);
}

void fault_proxy_close(struct fault_proxy *p, void (*done)(void *arg), void *arg)
{
    p->closing = true;
    p->done = done;
    p->done_arg = arg;
    list_each (c, &p->conns, struct conn, link)
        conn_cut(c, true);
    timer_close(&p->reorder_timer, on_proxy_timer_closed, p);
    uv_close((uv_handle_t *)&p->listener, on_listener_closed);
}

int fault_proxy_new(struct fault_proxy **out, uv_loop_t *loop, const char *listen,
                    const char *target, struct err *e)
{
    struct sockaddr_storage own, to;
    struct fault_proxy *p;
    int r;

    if (parse_addr(&own, listen, e))
        return err_wrap(e, "listen");
    if (parse_addr(&to, target, e))
        return err_wrap(e, "target");
    p = mem_alloc(sizeof *p);
    p->loop = loop;
    p->target = to;
    list_init(&p->conns);
    list_init(&p->undialed);
    timer_init(&p->reorder_timer, loop);
    uv_tcp_init(loop, &p->listener);
    p->listener.data = p;
    p->n_handles = 2;
    r = uv_tcp_bind(&p->listener, (struct sockaddr *)&own, 0);
    if (!r)
        r = uv_listen((uv_stream_t *)&p->listener, BACKLOG, on_connection);
    if (r) {
        fault_proxy_close(p, NULL, NULL);
        return err_sys(e, r, "listen on %s", listen);
    }
    *out = p;
    return 0;
}

uint16_t fault_proxy_port(const struct fault_proxy *p)
{
    struct sockaddr_storage a;
    int n = sizeof a;

    if (uv_tcp_getsockname(&p->listener, (struct sockaddr *)&a, &n))
        return 0;
    return ntohs(((struct sockaddr_in *)&a)->sin_port); /* at the same place in IPv6 */
}

void fault_proxy_count(const struct fault_proxy *p, struct fault_count *out)
{
    *out = p->count;
}
