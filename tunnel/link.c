/*
 * Link: bytes of the stream <-> websocket messages <-> session.
 *
 * Work (delivering, sending) is put off to an idle handle, which runs once before the loop sleeps:
 * what a turn of the loop has written shares messages and TLS records, and no owner is called from
 * inside its own call. Sending goes on while less than QUEUE_MAX_BYTES wait in the stream; control
 * frames (pongs) are not held back by that. The timer is only moved to earlier times; when it comes
 * too early, the tick does nothing.
 */
#include "tunnel/link.h"

#include "base/core/mem.h"
#include "base/http/ws.h"
#include "base/io/timer.h"

/* What a pong waits for at most, beside the kernel's buffers; enough for a fast link. */
#define QUEUE_MAX_BYTES (128u * 1024)
/* Pieces for the stream; and what one message may take above that: K3s' largest, and heads. */
#define PULL_BYTES (64u * 1024)
#define PULL_SPACE (33u * 1024)
/* The protocol has no limit, its senders use 32 KiB and a head. */
#define MESSAGE_MAX_BYTES (1024u * 1024)
#define GOODBYE_MS        1000

struct tunnel_link {
    struct tunnel_link_config c;
    struct tunnel_session *session;
    struct stream *stream;
    struct ws *ws;
    struct timer timer;
    uv_idle_t idle;
    uint64_t armed_ms; /* when the timer fires; 0: it does not run */
    unsigned n_open;   /* stream, timer, idle */
    bool over;         /* died or closed: nothing is sent or told any more */
    bool closing;
    bool deaf;               /* the connection is broken, or the peer has gone */
    enum err_code died_code; /* ERR_OK: we were closed */
};

static void on_idle(uv_idle_t *h);
static void on_time(void *arg);

static void schedule(struct tunnel_link *l)
{
    if (!l->over)
        uv_idle_start(&l->idle, on_idle);
}

static uint64_t now(const struct tunnel_link *l)
{
    return uv_now(stream_loop(l->stream));
}

static void arm(struct tunnel_link *l)
{
    uint64_t deadline_ms = tunnel_session_deadline(l->session), now_ms = now(l);

    if (l->over || deadline_ms == UINT64_MAX || (l->armed_ms && l->armed_ms <= deadline_ms))
        return;
    l->armed_ms = MAX(deadline_ms, now_ms + 1);
    timer_start_ms(&l->timer, l->armed_ms - now_ms, on_time, l);
}

/* Last in every path: the owner closes us. */
static void die(struct tunnel_link *l, const struct err *e)
{
    struct err why = *e;

    if (l->over)
        return;
    l->over = true;
    l->died_code = why.code;
    l->deaf = why.code != ERR_PROTOCOL && why.code != ERR_LIMIT;
    tunnel_session_kill(l->session, &why);
    l->c.on_dead(l->c.arg, &why);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Pongs and the like, then messages straight into out while there is room; *more: there may be more
 * of both. */
static int fill(struct tunnel_link *l, struct buf *out, bool *more, struct err *e)
{
    size_t queued = stream_queued(l->stream);
    struct str message;

    if (ws_pull(l->ws, out, PULL_BYTES, e))
        return e->code;
    *more = out->n >= PULL_BYTES;
    while (!l->over && !*more && !ws_wants_write(l->ws) && queued + out->n < QUEUE_MAX_BYTES &&
           tunnel_session_next(l->session, &message, now(l))) {
        if (message.n > PULL_SPACE) { /* a list of streams may be larger than out */
            ws_send(l->ws, false, message.p, message.n);
            *more = true;
        } else if (ws_put(l->ws, out, false, message.p, message.n, e)) {
            return e->code;
        }
        *more = *more || out->n >= PULL_BYTES;
    }
    return 0;
}

static int flush(struct tunnel_link *l, struct err *e)
{
    auto_buf out = BUF(PULL_BYTES + 2 * PULL_SPACE);
    bool more = true;

    while (more) {
        buf_clear(&out);
        if (!l->over) /* a goodbye is small */
            err_ignore(buf_reserve(&out, PULL_BYTES + PULL_SPACE));
        if (fill(l, &out, &more, e))
            return e->code;
        if (out.n)
            stream_write(l->stream, out.p, out.n);
    }
    return 0;
}

static void on_idle(uv_idle_t *h)
{
    struct tunnel_link *l = h->data;
    struct err e;

    uv_idle_stop(h);
    tunnel_session_deliver(l->session);
    if (!l->over && flush(l, &e)) {
        die(l, &e);
        return;
    }
    if (!l->over)
        arm(l);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    struct tunnel_link *l = arg;
    struct err e;

    (void)first; /* messages come whole */
    (void)last;
    if (l->over)
        return;
    if (text) {
        err_set(&e, ERR_PROTOCOL, "a text message, where all are binary");
        die(l, &e);
        return;
    }
    tunnel_session_receive(l->session, str_n(p, n), now(l));
}

static void on_ping_frame(void *arg, const char *p, size_t n)
{
    struct tunnel_link *l = arg;

    (void)p;
    (void)n;
    tunnel_session_control(l->session, false, now(l));
}

static void on_pong_frame(void *arg, const char *p, size_t n)
{
    struct tunnel_link *l = arg;

    (void)p;
    (void)n;
    tunnel_session_control(l->session, true, now(l));
}

static void on_close_frame(void *arg, int code, struct str reason)
{
    struct tunnel_link *l = arg;
    struct err e;

    err_set(&e, ERR_CLOSED, "the peer closed the websocket: %d " STR_FMT, code, STR_ARG(reason));
    die(l, &e);
}

static const struct ws_events ws_events = { .on_message = on_message,
                                            .on_ping = on_ping_frame,
                                            .on_pong = on_pong_frame,
                                            .on_close = on_close_frame };

static void on_data(void *arg, const char *p, size_t n)
{
    struct tunnel_link *l = arg;
    struct err e;

    if (l->over)
        return;
    tunnel_session_heard(l->session, now(l)); /* on a slow line a message may take long */
    if (ws_feed(l->ws, p, n, &e)) {
        err_wrap(&e, "websocket");
        e.code = ERR_PROTOCOL;
        die(l, &e);
        return;
    }
    schedule(l); /* pongs, and what the messages caused */
}

static void on_stream_end(void *arg)
{
    struct err e;

    err_set(&e, ERR_CLOSED, "the peer closed the connection");
    die(arg, &e);
}

static void on_stream_error(void *arg, const struct err *e)
{
    die(arg, e);
}

static void on_stream_room(void *arg)
{
    schedule(arg);
}

static void handle_gone(void *arg)
{
    struct tunnel_link *l = arg;
    struct tunnel_link_config c = l->c;

    if (--l->n_open)
        return;
    tunnel_session_free(l->session);
    ws_free(l->ws);
    free(l);
    c.on_closed(c.arg);
}

static const struct stream_events stream_events = { .on_data = on_data,
                                                    .on_end = on_stream_end,
                                                    .on_drain = on_stream_room,
                                                    .on_error = on_stream_error,
                                                    .on_closed = handle_gone,
                                                    .on_empty = on_stream_room };

/* ---- the session's events ------------------------------------------------------------------- */

static void on_work(void *arg)
{
    schedule(arg);
}

static void on_ping_due(void *arg)
{
    struct tunnel_link *l = arg;

    ws_ping(l->ws, NULL, 0);
    schedule(l);
}

static void on_session_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct tunnel_link *l = arg;

    l->c.on_open(l->c.arg, f, proto, address);
}

static void on_session_dead(void *arg, const struct err *e)
{
    die(arg, e);
}

static const struct tunnel_session_events session_events = { on_work, on_ping_due, on_session_open,
                                                             on_session_dead };

static void on_time(void *arg)
{
    struct tunnel_link *l = arg;

    l->armed_ms = 0;
    tunnel_session_tick(l->session, now(l));
    arm(l);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void on_idle_closed(uv_handle_t *h)
{
    handle_gone(h->data);
}

void tunnel_link_new(struct tunnel_link **out, struct stream *stream_take, struct str leftover,
                     const struct tunnel_link_config *c)
{
    struct tunnel_link *l = mem_alloc(sizeof *l);
    struct tunnel_session_config sc = { .role = c->role,
                                        .framing = c->framing,
                                        .key = c->key,
                                        .silence_ms = c->silence_ms,
                                        .n_flows_max = c->n_flows_max,
                                        .events = &session_events,
                                        .arg = l };
    struct ws_config wc = { .role = c->role == TUNNEL_SERVER ? WS_SERVER : WS_CLIENT,
                            .message_max_bytes = MESSAGE_MAX_BYTES,
                            .zero_mask = true, /* always inside TLS: docs/protocols/tunnel.md */
                            .events = &ws_events,
                            .arg = l };
    uv_loop_t *loop = stream_loop(stream_take);

    l->c = *c;
    l->stream = stream_take;
    l->ws = ws_new(&wc);
    tunnel_session_new(&l->session, &sc, uv_now(loop));
    timer_init(&l->timer, loop);
    uv_idle_init(loop, &l->idle); /* never fails */
    l->idle.data = l;
    l->n_open = 3;
    *out = l;
    arm(l);
    stream_handover(stream_take, &stream_events, l, leftover);
}

/* False: there is nothing to say. */
static bool say_goodbye(struct tunnel_link *l, const struct err *why)
{
    struct str message = tunnel_session_goodbye(l->session, why);
    struct err e;

    if (!message.n)
        return false;
    ws_send(l->ws, false, message.p, message.n);
    return flush(l, &e) == 0;
}

void tunnel_link_close(struct tunnel_link *l, const char *why)
{
    struct err e;

    if (l->closing)
        return;
    l->closing = l->over = true;
    err_set(&e, l->died_code ? l->died_code : ERR_CLOSED, "%s", why);
    tunnel_session_kill(l->session, &e);
    if (!l->deaf && say_goodbye(l, &e))
        stream_close_flushed(l->stream, GOODBYE_MS);
    else
        stream_close(l->stream);
    timer_close(&l->timer, handle_gone, l);
    uv_close((uv_handle_t *)&l->idle, on_idle_closed);
}

void tunnel_link_doubt(struct tunnel_link *l)
{
    tunnel_session_doubt(l->session, now(l));
    arm(l);
}

struct tunnel_session *tunnel_link_session(struct tunnel_link *l)
{
    return l->session;
}
