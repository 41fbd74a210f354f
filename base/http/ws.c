#include "base/http/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/http/server.h"
#include "base/io/digest.h"

/* Control frames between two pulls: each ping queues a pong. A caller pulls after every feed, so
 * this bounds what one read of tiny pings may cost. */
#define CONTROLS_MAX 4096

struct ws {
    wslay_event_context_ptr ctx;
    struct ws_config config;
    struct str in; /* during ws_feed */
    struct buf *out;
    size_t out_max;
    bool out_full;
    size_t n_controls;
    bool too_big, flooded, closed, failed;
    bool close_due; /* our Close, once all that was queued before it went out */
    uint16_t close_code;
    char close_reason[124]; /* RFC 6455 5.5 */
    bool in_control;        /* the frame is a control frame */
    bool text, first;       /* of the message, in pieces */
};

/* ---- handshake ---- */

void ws_accept_key(char out[29], struct str key)
{
    unsigned char hash[DIGEST_SHA1_BYTES];
    auto_buf b = BUF(256);

    err_ignore(buf_add_str(&b, str_n(key.p, MIN(key.n, (size_t)128)))); /* it fits */
    err_ignore(buf_adds(&b, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));   /* RFC 6455 1.3 */
    digest_sha1(hash, buf_str(&b));
    buf_clear(&b);
    err_ignore(base64_add(&b, str_n(hash, sizeof hash))); /* 28 bytes */
    memcpy(out, b.p, 28);
    out[28] = '\0';
}

/* NULL, or why the request is no handshake (RFC 6455 4.2.1). */
static const char *check_request(const struct http_req *r)
{
    const struct http_headers *h = http_req_headers(r);
    struct str key = http_headers_get(h, "Sec-WebSocket-Key");
    auto_buf raw = BUF(64);

    if (http_req_is_h2(r))
        return "websockets need HTTP/1.1";
    if (!str_is(http_req_method(r), "GET"))
        return "a websocket handshake is a GET";
    if (!http_headers_has_token(h, "Connection", "upgrade") ||
        !http_headers_has_token(h, "Upgrade", "websocket"))
        return "the request does not ask for a websocket";
    if (base64_decode(&raw, key, false) || raw.n != 16)
        return "Sec-WebSocket-Key is not 16 bytes in base64";
    return NULL;
}

static int refuse(struct http_req *r, const char *why, struct err *e)
{
    auto_buf text = BUF(256);

    err_ignore(buf_addf(&text, "%s\n", why)); /* short */
    http_reply(r, 400, "text/plain; charset=utf-8", buf_str(&text), NULL, 0);
    return err_set(e, ERR_INVALID, "websocket handshake: %s", why);
}

int ws_upgrade(struct http_req *r, const char *const *protocols, const char **chosen,
               struct stream **out, struct buf *leftover, struct err *e)
{
    const struct http_headers *headers = http_req_headers(r);
    const char *why = check_request(r), *protocol = NULL;
    struct http_header h[4];
    size_t n = 0;
    char accept[29];

    if (why)
        return refuse(r, why, e);
    if (!str_is(str_trim(http_headers_get(headers, "Sec-WebSocket-Version")), "13")) {
        const struct http_header version = { STR("Sec-WebSocket-Version"), STR("13") };
        http_reply(r, 426, "text/plain", STR("websocket version 13 is required\n"), &version, 1);
        return err_set(e, ERR_INVALID, "websocket handshake: not version 13");
    }
    for (size_t i = 0; protocols && protocols[i] && !protocol; i++)
        if (http_headers_has_token(headers, "Sec-WebSocket-Protocol", protocols[i]))
            protocol = protocols[i];
    if (protocols && !protocol)
        return refuse(r, "no subprotocol in common", e);
    ws_accept_key(accept, http_headers_get(headers, "Sec-WebSocket-Key"));
    h[n++] = (struct http_header){ STR("Upgrade"), STR("websocket") };
    h[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
    h[n++] = (struct http_header){ STR("Sec-WebSocket-Accept"), str_of(accept) };
    if (protocol)
        h[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), str_of(protocol) };
    if (http_upgrade(r, 101, h, n, out, leftover, e))
        return refuse(r, e->text, e);
    if (chosen)
        *chosen = protocol;
    return 0;
}

int ws_upgrade_request(struct http_req *r, struct stream **out, struct buf *leftover, struct err *e)
{
    return ws_upgrade(r, NULL, NULL, out, leftover, e);
}

/* ---- wslay's callbacks ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n, int flags, void *arg)
{
    struct ws *w = arg;

    (void)flags;
    n = MIN(n, w->in.n);
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(p, w->in.p, n);
    w->in.p += n;
    w->in.n -= n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags,
                       void *arg)
{
    struct ws *w = arg;

    (void)flags;
    if (w->out->n >= w->out_max) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = MIN(n, MAX(w->out_max - w->out->n, (size_t)4096));
    if (buf_add(w->out, p, n)) {
        w->out_full = true;
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *p, size_t n, void *arg)
{
    (void)ctx;
    (void)arg;
    rand_bytes(p, n);
    return 0;
}

static void on_frame_start(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct ws *w = arg;

    w->in_control = wslay_is_ctrl_frame(frame->opcode) != 0;
    if (w->in_control) {
        if (++w->n_controls > CONTROLS_MAX) {
            w->flooded = true;
            wslay_event_shutdown_read(ctx);
        }
        return;
    }
    if (w->config.pieces && frame->payload_length > w->config.message_max_bytes) {
        w->too_big = true; /* whole messages are counted by wslay */
        wslay_event_shutdown_read(ctx);
        return;
    }
    if (frame->opcode != WSLAY_CONTINUATION_FRAME) {
        w->text = frame->opcode == WSLAY_TEXT_FRAME;
        w->first = true;
    }
}

static void on_frame_chunk(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct ws *w = arg;
    bool first = w->first;

    (void)ctx;
    if (!w->config.pieces || w->in_control || w->too_big || w->flooded || chunk->data_length == 0)
        return;
    w->first = false;
    w->config.events->on_message(w->config.arg, w->text, (const char *)chunk->data,
                                 chunk->data_length, first, false);
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
    struct ws *w = arg;
    const struct ws_events *ev = w->config.events;
    const char *p = (const char *)m->msg;
    size_t n = m->msg_length;
    bool first = w->first;

    (void)ctx;
    switch (m->opcode) {
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        if (!w->config.pieces) {
            ev->on_message(w->config.arg, m->opcode == WSLAY_TEXT_FRAME, p, n, true, true);
        } else {
            w->first = true;
            ev->on_message(w->config.arg, w->text, NULL, 0, first, true);
        }
        break;
    case WSLAY_PING:
        if (ev->on_ping)
            ev->on_ping(w->config.arg, p, n);
        break;
    case WSLAY_PONG:
        if (ev->on_pong)
            ev->on_pong(w->config.arg, p, n);
        break;
    case WSLAY_CONNECTION_CLOSE:
        w->closed = true;
        ev->on_close(w->config.arg, m->status_code ? m->status_code : WS_NO_STATUS,
                     n > 2 ? str_n(p + 2, n - 2) : (struct str){ NULL, 0 });
        break;
    default:
        break;
    }
}

/* ---- the codec ---- */

struct ws *ws_new(const struct ws_config *c)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct ws *w = mem_alloc(sizeof *w);
    int r;

    w->config = *c;
    r = c->role == WS_SERVER ? wslay_event_context_server_init(&w->ctx, &callbacks, w)
                             : wslay_event_context_client_init(&w->ctx, &callbacks, w);
    if (r)
        abort(); /* no memory */
    wslay_event_config_set_no_buffering(w->ctx, c->pieces);
    if (!c->pieces)
        wslay_event_config_set_max_recv_msg_length(w->ctx, c->message_max_bytes);
    return w;
}

void ws_free(struct ws *w)
{
    if (!w)
        return;
    wslay_event_context_free(w->ctx);
    free(w);
}

static int fail(struct ws *w, struct err *e)
{
    w->failed = true;
    if (w->too_big) {
        ws_close(w, WS_TOO_BIG, "");
        return err_set(e, ERR_LIMIT, "websocket: a frame of more than %zu bytes",
                       w->config.message_max_bytes);
    }
    if (w->flooded) {
        ws_close(w, WS_PROTOCOL_ERROR, "");
        return err_set(e, ERR_LIMIT, "websocket: too many control frames");
    }
    /* wslay has mostly queued its own Close, which then counts; it does not say what it was. */
    ws_close(w, WS_PROTOCOL_ERROR, "");
    return err_set(e, ERR_PROTOCOL,
                   "websocket: the peer broke the protocol, or sent more than %zu bytes at once",
                   w->config.message_max_bytes);
}

int ws_feed(struct ws *w, const char *p, size_t n, struct err *e)
{
    int r;

    if (w->failed)
        return err_set(e, ERR_PROTOCOL, "websocket: the connection has failed");
    if (w->closed)
        return 0;
    w->in = str_n(p, n);
    r = wslay_event_recv(w->ctx);
    w->in = (struct str){ NULL, 0 };
    if (r < 0)
        return fail(w, e);
    if (!w->closed && !wslay_event_get_read_enabled(w->ctx))
        return fail(w, e);
    return 0;
}

static void queue(struct ws *w, uint8_t opcode, const void *p, size_t n)
{
    const struct wslay_event_msg m = { .opcode = opcode, .msg = p, .msg_length = n };

    /* It fails after a Close only (or for a control frame that is too long: the caller's bug). */
    if (!w->close_due)
        (void)wslay_event_queue_msg(w->ctx, &m);
}

void ws_send(struct ws *w, bool text, const void *p, size_t n)
{
    queue(w, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, p, n);
}

void ws_ping(struct ws *w, const void *p, size_t n)
{
    queue(w, WSLAY_PING, p, n);
}

void ws_pong(struct ws *w, const void *p, size_t n)
{
    queue(w, WSLAY_PONG, p, n);
}

static void queue_close(struct ws *w)
{
    w->close_due = false;
    (void)wslay_event_queue_close(w->ctx, w->close_code, (const uint8_t *)w->close_reason,
                                  strlen(w->close_reason)); /* fails after a Close: fine */
}

/* wslay sends a Close ahead of queued messages, and those not at all then. */
void ws_close(struct ws *w, int code, const char *reason)
{
    if (w->close_due)
        return;
    w->close_due = true;
    w->close_code = (uint16_t)code;
    snprintf(w->close_reason, sizeof w->close_reason, "%s", reason);
    if (w->failed || wslay_event_get_queued_msg_count(w->ctx) == 0)
        queue_close(w);
}

int ws_pull(struct ws *w, struct buf *out, size_t max_bytes, struct err *e)
{
    int r;

    w->out = out;
    w->out_max = max_bytes;
    w->out_full = false;
    r = wslay_event_send(w->ctx);
    if (r == 0 && w->close_due && wslay_event_get_queued_msg_count(w->ctx) == 0) {
        queue_close(w);
        r = wslay_event_send(w->ctx);
    }
    w->out = NULL;
    w->n_controls = 0;
    if (r || w->out_full)
        return err_set(e, ERR_LIMIT, "websocket: %zu bytes do not fit", out->max);
    return 0;
}

bool ws_wants_write(const struct ws *w)
{
    return w->close_due || wslay_event_want_write(w->ctx) != 0;
}

size_t ws_queued(const struct ws *w)
{
    return wslay_event_get_queued_msg_length(w->ctx);
}

bool ws_is_over(const struct ws *w)
{
    return wslay_event_get_close_sent(w->ctx) &&
           (w->failed || wslay_event_get_close_received(w->ctx));
}
