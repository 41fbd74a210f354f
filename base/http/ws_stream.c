#include "base/http/ws_stream.h"

#include "base/core/mem.h"
#include "base/http/ws.h"

#define FRAME_MAX_BYTES (1024 * 1024)
#define PIECE_BYTES     (64 * 1024) /* encoded at once */

struct ws_stream {
    struct stream s;
    struct stream *raw; /* NULL once it is closed */
    struct ws *ws;
    struct buf leftover;
    bool started; /* raw has us as its owner */
};

/* ---- out ---- */

static void pull(struct ws_stream *w)
{
    auto_buf out = BUF(PIECE_BYTES + 16 * 1024);
    struct err e;

    while (w->raw && ws_wants_write(w->ws)) {
        buf_clear(&out);
        if (ws_pull(w->ws, &out, PIECE_BYTES, &e)) {
            stream_emit_error(&w->s, &e);
            return;
        }
        stream_write(w->raw, out.p, out.n);
    }
}

static void on_write(struct stream *s, const void *p, size_t n)
{
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    ws_send(w->ws, false, p, n);
    pull(w);
}

static size_t on_queued(const struct stream *s)
{
    const struct ws_stream *w = container_of(s, struct ws_stream, s);

    return ws_queued(w->ws) + (w->raw ? stream_queued(w->raw) : 0);
}

static void on_shutdown(struct stream *s)
{
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    ws_close(w->ws, WS_NORMAL, "");
    pull(w);
}

/* ---- in ---- */

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    struct ws_stream *w = arg;

    (void)text;
    (void)first;
    (void)last;
    if (n && !stream_is_closing(&w->s))
        stream_emit_data(&w->s, p, n);
}

static void on_close_frame(void *arg, int code, struct str reason)
{
    (void)code;
    (void)reason;
    stream_emit_end(&((struct ws_stream *)arg)->s);
}

static void on_raw_data(void *arg, const char *p, size_t n)
{
    struct ws_stream *w = arg;
    struct err e;
    int rc = ws_feed(w->ws, p, n, &e);

    pull(w); /* pongs, the echo of a Close, or why we end it */
    if (rc)
        stream_emit_error(&w->s, &e);
}

static void on_raw_end(void *arg)
{
    stream_emit_end(&((struct ws_stream *)arg)->s);
}

static void on_raw_written(void *arg)
{
    stream_emit_written(&((struct ws_stream *)arg)->s);
}

static void on_raw_error(void *arg, const struct err *e)
{
    stream_emit_error(&((struct ws_stream *)arg)->s, e);
}

static void on_raw_closed(void *arg)
{
    struct ws_stream *w = arg;

    w->raw = NULL;
    stream_emit_closed(&w->s);
}

/* ---- life ---- */

static void on_start(struct stream *s)
{
    static const struct stream_events events = { .on_data = on_raw_data,
                                                 .on_end = on_raw_end,
                                                 .on_drain = on_raw_written,
                                                 .on_error = on_raw_error,
                                                 .on_closed = on_raw_closed,
                                                 .on_empty = on_raw_written };
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    stream_handover(w->raw, &events, w, buf_str(&w->leftover));
    w->started = true;
    buf_deinit(&w->leftover);
}

static void on_set_reading(struct stream *s, bool on)
{
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    if (w->raw && on)
        stream_resume(w->raw);
    else if (w->raw)
        stream_pause(w->raw);
}

static void on_close(struct stream *s)
{
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    if (w->started) {
        stream_close(w->raw);
        return;
    }
    stream_close(w->raw); /* never started: nobody tells us */
    w->raw = NULL;
    stream_emit_closed(s);
}

static void on_free(struct stream *s)
{
    struct ws_stream *w = container_of(s, struct ws_stream, s);

    ws_free(w->ws);
    buf_deinit(&w->leftover);
    free(w);
}

static bool on_peer_addr(const struct stream *s, struct sockaddr_storage *out)
{
    const struct ws_stream *w = container_of(s, struct ws_stream, s);

    return w->raw && stream_peer_addr(w->raw, out);
}

struct stream *ws_stream_new(struct stream *raw_take, struct str leftover)
{
    static const struct stream_ops ops = { .start = on_start,
                                           .write = on_write,
                                           .queued = on_queued,
                                           .shutdown = on_shutdown,
                                           .set_reading = on_set_reading,
                                           .close = on_close,
                                           .free = on_free,
                                           .peer_addr = on_peer_addr };
    static const struct ws_events events = { .on_message = on_message, .on_close = on_close_frame };
    struct ws_stream *w = mem_alloc(sizeof *w);
    struct ws_config c = { .role = WS_SERVER,
                           .message_max_bytes = FRAME_MAX_BYTES,
                           .pieces = true,
                           .events = &events,
                           .arg = w };

    w->raw = raw_take;
    w->ws = ws_new(&c);
    w->leftover = BUF(leftover.n + 1);
    err_ignore(buf_add_str(&w->leftover, leftover)); /* it fits */
    stream_init(&w->s, stream_loop(raw_take), &ops);
    return &w->s;
}
