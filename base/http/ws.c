/*
 * Ws: the handshake, and the framing as two small state machines without I/O.
 *
 * Receiving:  HEAD --(2 to 14 bytes)--> PAYLOAD --(left == 0)--> HEAD ...
 * A whole unmasked message that lies in one feed is handed out from there; else its bytes are
 * collected in msg (or handed out in pieces). Control frames have a place of their own, for they
 * may come between the fragments of a message.
 *
 * Sending: messages lie encoded in tx, control frames in ctl; ws_pull copies frame by frame,
 * control frames first, but never into the middle of a frame. Our Close comes after tx, and is the
 * last.
 */
#include "base/http/ws.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/http/server.h"
#include "base/io/digest.h"

/* Control frames between two pulls: each ping queues a pong. A caller pulls after every feed, so
 * this bounds what one read of tiny pings may cost. */
#define CONTROLS_MAX 4096
/* More than callers ever queue; past it messages are dropped and the connection fails. */
#define QUEUE_MAX_BYTES (512u * 1024 * 1024)
#define QUEUE_KEEP      4096 /* of an empty queue's memory */

enum { HEAD_MAX = 14, CONTROL_MAX = 125, PIECE_BYTES = 4096 };
enum opcode {
    OP_CONTINUE = 0,
    OP_TEXT = 1,
    OP_BINARY = 2,
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10
};
#define WS_NOT_UTF8 1007

struct utf8 { /* RFC 3629 4: what the next byte of a sequence must be */
    unsigned left, low, high;
};

struct queue {
    struct buf b;
    size_t at; /* pulled up to here */
};

struct ws {
    struct ws_config config;
    /* receiving */
    unsigned char head[HEAD_MAX];
    unsigned n_head;
    bool in_payload;
    uint64_t left, done; /* of the frame's payload */
    unsigned char opcode, key[4];
    bool fin, keyed; /* keyed: with a key other than 0 */
    bool in_message, text, first;
    struct utf8 utf8;
    struct buf msg;
    char control[CONTROL_MAX];
    size_t n_controls;
    bool closed, failed;
    /* sending */
    struct queue tx, ctl;
    size_t tx_left;   /* of the frame that is pulled */
    size_t tx_queued; /* payloads in tx */
    bool close_due, close_sent;
    int close_code;
    char close_reason[124]; /* RFC 6455 5.5 */
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

/* ---- bytes ---- */

/* to may be from. at: where in the frame from is. */
static void mask(char *to, const char *from, size_t n, const unsigned char key[4], uint64_t at)
{
    unsigned char k[8];
    uint64_t wide, word;
    size_t i = 0;

    for (size_t j = 0; j < sizeof k; j++)
        k[j] = key[(at + j) & 3];
    memcpy(&wide, k, sizeof wide);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i < n; i++)
        to[i] = (char)((unsigned char)from[i] ^ k[i & 7]);
}

static bool utf8_feed(struct utf8 *u, const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;

    for (size_t i = 0; i < n; i++) {
        unsigned c = b[i];

        if (u->left) {
            if (c < u->low || c > u->high)
                return false;
            u->left--;
            u->low = 0x80;
            u->high = 0xbf;
        } else if (c >= 0x80) {
            if (c < 0xc2 || c > 0xf4)
                return false;
            u->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
            u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
            u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        }
    }
    return true;
}

static size_t head_encode(char out[HEAD_MAX], const struct ws *w, unsigned opcode, size_t n,
                          unsigned char key[4])
{
    unsigned char masked = w->config.role == WS_CLIENT ? 0x80 : 0;
    size_t at = 2;

    out[0] = (char)(0x80 | opcode);
    if (n < 126) {
        out[1] = (char)(masked | n);
    } else {
        size_t n_length = n < 65536 ? 2 : 8;

        out[1] = (char)(masked | (n_length == 2 ? 126 : 127));
        for (size_t i = n_length; i-- > 0;)
            out[at++] = (char)((uint64_t)n >> (8 * i));
    }
    if (masked) {
        memset(key, 0, 4);
        if (!w->config.zero_mask)
            rand_bytes(key, 4);
        memcpy(out + at, key, 4);
        at += 4;
    }
    return at;
}

/* How long the head of an encoded frame is, and its payload. */
static size_t head_length(const char *frame, size_t *n_payload)
{
    const unsigned char *b = (const unsigned char *)frame;
    unsigned n7 = b[1] & 0x7f;
    size_t n_length = n7 == 126 ? 2 : n7 == 127 ? 8 : 0, n = n_length ? 0 : n7;

    for (size_t i = 0; i < n_length; i++)
        n = n << 8 | b[2 + i];
    *n_payload = n;
    return 2 + n_length + (b[1] & 0x80 ? 4 : 0);
}

/* Appends a frame. ERR_LIMIT: it does not fit. */
static int frame_add(struct buf *out, const struct ws *w, unsigned opcode, const void *p, size_t n)
{
    unsigned char key[4] = { 0 };
    char head[HEAD_MAX];
    size_t n_head = head_encode(head, w, opcode, n, key);

    if (buf_reserve(out, n_head + n))
        return ERR_LIMIT;
    err_ignore(buf_add(out, head, n_head)); /* it fits */
    err_ignore(buf_add(out, p, n));
    if (w->config.role == WS_CLIENT && !w->config.zero_mask)
        mask(out->p + out->n - n, out->p + out->n - n, n, key, 0);
    return 0;
}

/* ---- sending ---- */

static void queue_done(struct queue *q)
{
    if (q->at < q->b.n)
        return;
    q->at = 0;
    if (q->b.cap > QUEUE_KEEP)
        buf_deinit(&q->b);
    else
        buf_clear(&q->b);
}

static bool queue_empty(const struct queue *q)
{
    return q->at == q->b.n;
}

static void queue_frame(struct ws *w, struct queue *q, enum opcode opcode, const void *p, size_t n)
{
    if (w->close_due || frame_add(&q->b, w, opcode, p, n))
        return;
    if (q == &w->tx)
        w->tx_queued += n;
}

void ws_send(struct ws *w, bool text, const void *p, size_t n)
{
    queue_frame(w, &w->tx, text ? OP_TEXT : OP_BINARY, p, n);
}

void ws_ping(struct ws *w, const void *p, size_t n)
{
    queue_frame(w, &w->ctl, OP_PING, p, MIN(n, (size_t)CONTROL_MAX));
}

void ws_pong(struct ws *w, const void *p, size_t n)
{
    queue_frame(w, &w->ctl, OP_PONG, p, MIN(n, (size_t)CONTROL_MAX));
}

void ws_close(struct ws *w, int code, const char *reason)
{
    if (w->close_due)
        return;
    w->close_due = true;
    w->close_code = code;
    snprintf(w->close_reason, sizeof w->close_reason, "%s", reason);
}

/* What was not begun to be sent is not sent. */
static void drop_queue(struct ws *w)
{
    w->tx.b.n = w->tx.at + w->tx_left;
    w->tx_queued = w->tx_left;
    queue_done(&w->tx);
}

static int pull_close(struct ws *w, struct buf *out)
{
    char payload[2 + sizeof w->close_reason];
    size_t n = 0;

    if (w->close_code != WS_NO_STATUS) {
        payload[0] = (char)(w->close_code >> 8);
        payload[1] = (char)w->close_code;
        n = 2 + strlen(w->close_reason);
        memcpy(payload + 2, w->close_reason, n - 2);
    }
    if (frame_add(out, w, OP_CLOSE, payload, n))
        return ERR_LIMIT;
    w->close_sent = true;
    return 0;
}

static int pull_controls(struct ws *w, struct buf *out, size_t max_bytes)
{
    while (!queue_empty(&w->ctl) && out->n < max_bytes) {
        const char *frame = w->ctl.b.p + w->ctl.at;
        size_t n, n_head = head_length(frame, &n);

        if (buf_add(out, frame, n_head + n))
            return ERR_LIMIT;
        w->ctl.at += n_head + n;
    }
    queue_done(&w->ctl);
    return 0;
}

static int pull(struct ws *w, struct buf *out, size_t max_bytes)
{
    while (out->n < max_bytes) {
        const char *p;
        size_t n, n_head;

        if (w->tx_left == 0) {
            if (pull_controls(w, out, max_bytes))
                return ERR_LIMIT;
            if (queue_empty(&w->tx) || out->n >= max_bytes)
                break;
            p = w->tx.b.p + w->tx.at;
            n_head = head_length(p, &n);
            if (buf_add(out, p, n_head))
                return ERR_LIMIT;
            w->tx.at += n_head;
            w->tx_left = n;
        }
        n = MIN(w->tx_left, max_bytes > out->n ? max_bytes - out->n : 0);
        if (buf_add(out, w->tx.b.p + w->tx.at, n))
            return ERR_LIMIT;
        w->tx.at += n;
        w->tx_left -= n;
        w->tx_queued -= n;
    }
    queue_done(&w->tx);
    if (w->close_due && !w->close_sent && queue_empty(&w->tx))
        return pull_close(w, out);
    return 0;
}

int ws_pull(struct ws *w, struct buf *out, size_t max_bytes, struct err *e)
{
    w->n_controls = 0;
    if (pull(w, out, max_bytes))
        return err_set(e, ERR_LIMIT, "websocket: %zu bytes do not fit", out->max);
    return 0;
}

int ws_put(struct ws *w, struct buf *out, bool text, const void *p, size_t n, struct err *e)
{
    if (w->close_due)
        return 0;
    if (ws_wants_write(w))
        return err_set(e, ERR_AGAIN, "websocket: what is queued goes first");
    if (frame_add(out, w, text ? OP_TEXT : OP_BINARY, p, n))
        return err_set(e, ERR_LIMIT, "websocket: %zu bytes do not fit", out->max);
    return 0;
}

bool ws_wants_write(const struct ws *w)
{
    return !queue_empty(&w->tx) || !queue_empty(&w->ctl) || (w->close_due && !w->close_sent);
}

size_t ws_queued(const struct ws *w)
{
    return w->tx_queued;
}

bool ws_is_over(const struct ws *w)
{
    return w->close_sent && (w->failed || w->closed);
}

/* ---- receiving ---- */

static int fail(struct ws *w, int close_code, enum err_code code, struct err *e, const char *what)
{
    w->failed = true;
    drop_queue(w);
    ws_close(w, close_code, "");
    return err_set(e, code, "websocket: %s", what);
}

static int broken(struct ws *w, struct err *e, const char *what)
{
    return fail(w, WS_PROTOCOL_ERROR, ERR_PROTOCOL, e, what);
}

/* The first two bytes: NULL, or what is wrong with them. */
static const char *check_head(const struct ws *w)
{
    unsigned opcode = w->head[0] & 0x0f, n7 = w->head[1] & 0x7f;
    bool fin = w->head[0] & 0x80, masked = w->head[1] & 0x80;

    if (w->head[0] & 0x70)
        return "a reserved bit is set";
    if (opcode > OP_PONG || (opcode > OP_BINARY && opcode < OP_CLOSE))
        return "a frame of unknown type";
    if (masked != (w->config.role == WS_SERVER))
        return masked ? "a masked frame from the server" : "an unmasked frame from the client";
    if (opcode >= OP_CLOSE && (!fin || n7 > CONTROL_MAX))
        return "a control frame that is fragmented or too long";
    if (opcode == OP_CONTINUE && !w->in_message)
        return "a continuation of nothing";
    if ((opcode == OP_TEXT || opcode == OP_BINARY) && w->in_message)
        return "a new message inside another";
    return NULL;
}

static int frame_start(struct ws *w, struct err *e)
{
    size_t n_head, n_length, max = w->config.message_max_bytes;
    uint64_t n = w->head[1] & 0x7f;

    n_length = n == 126 ? 2 : n == 127 ? 8 : 0;
    n_head = 2 + n_length;
    if (n_length) {
        n = 0;
        for (size_t i = 0; i < n_length; i++)
            n = n << 8 | w->head[2 + i];
        if (n < (n_length == 2 ? 126u : 65536u) || n >> 63)
            return broken(w, e, "a length that is written too long");
    }
    w->opcode = w->head[0] & 0x0f;
    w->fin = w->head[0] & 0x80;
    w->left = n;
    w->done = 0;
    w->keyed = false;
    if (w->config.role == WS_SERVER) {
        memcpy(w->key, w->head + n_head, 4);
        w->keyed = w->key[0] | w->key[1] | w->key[2] | w->key[3];
    }
    w->in_payload = true;
    w->n_head = 0;
    if (w->opcode >= OP_CLOSE) {
        if (++w->n_controls > CONTROLS_MAX)
            return fail(w, WS_PROTOCOL_ERROR, ERR_LIMIT, e, "too many control frames");
        return 0;
    }
    if (n > max || (!w->config.pieces && w->msg.n + n > max))
        return fail(w, WS_TOO_BIG, w->config.pieces ? ERR_LIMIT : ERR_PROTOCOL, e,
                    "a message or frame that is too long");
    if (w->opcode != OP_CONTINUE) {
        w->text = w->opcode == OP_TEXT;
        w->first = true;
        w->in_message = true;
        w->utf8 = (struct utf8){ 0 };
    }
    return 0;
}

static int close_received(struct ws *w, const char *p, size_t n, struct err *e)
{
    struct utf8 u = { 0 };
    int code = WS_NO_STATUS;

    if (n == 1)
        return broken(w, e, "a Close with half a code");
    if (n >= 2) {
        code = (unsigned char)p[0] << 8 | (unsigned char)p[1];
        if (code < 1000 || code > 4999 || (code > 1003 && code < 1007) ||
            (code > 1014 && code < 3000))
            return broken(w, e, "a Close with a code that must not be sent");
        if (!utf8_feed(&u, p + 2, n - 2) || u.left)
            return fail(w, WS_NOT_UTF8, ERR_PROTOCOL, e, "a Close whose reason is not UTF-8");
    }
    w->closed = true;
    drop_queue(w);
    ws_close(w, code, "");
    w->config.events->on_close(w->config.arg, code,
                               n > 2 ? str_n(p + 2, n - 2) : (struct str){ NULL, 0 });
    return 0;
}

static int control_received(struct ws *w, struct err *e)
{
    const struct ws_events *ev = w->config.events;
    size_t n = (size_t)w->done;

    if (w->keyed)
        mask(w->control, w->control, n, w->key, 0);
    if (w->opcode == OP_CLOSE)
        return close_received(w, w->control, n, e);
    if (w->opcode == OP_PING) {
        ws_pong(w, w->control, n);
        if (ev->on_ping)
            ev->on_ping(w->config.arg, w->control, n);
    } else if (ev->on_pong) {
        ev->on_pong(w->config.arg, w->control, n);
    }
    return 0;
}

static int check_text(struct ws *w, const char *p, size_t n, bool last, struct err *e)
{
    if (w->text && (!utf8_feed(&w->utf8, p, n) || (last && w->utf8.left)))
        return fail(w, WS_NOT_UTF8, ERR_PROTOCOL, e, "a text that is not UTF-8");
    return 0;
}

/* A piece of a message goes out as it came. */
static int piece_received(struct ws *w, const char *p, size_t n, struct err *e)
{
    char plain[PIECE_BYTES];

    while (n > 0) {
        size_t k = w->keyed ? MIN(n, sizeof plain) : n;
        const char *out = p;
        bool first = w->first;

        if (w->keyed) {
            mask(plain, p, k, w->key, w->done);
            out = plain;
        }
        if (check_text(w, out, k, false, e))
            return e->code;
        w->first = false;
        w->done += k;
        p += k;
        n -= k;
        w->config.events->on_message(w->config.arg, w->text, out, k, first, false);
        if (w->closed)
            break;
    }
    return 0;
}

static int whole_received(struct ws *w, const char *p, size_t n, struct err *e)
{
    if (check_text(w, p, n, true, e))
        return e->code;
    w->in_message = false;
    w->config.events->on_message(w->config.arg, w->text, p, n, true, true);
    return 0;
}

static int frame_end(struct ws *w, struct err *e)
{
    bool first = w->first;
    int r;

    w->in_payload = false;
    if (w->opcode >= OP_CLOSE)
        return control_received(w, e);
    if (!w->fin)
        return 0;
    if (!w->config.pieces) {
        r = whole_received(w, w->msg.p, w->msg.n, e);
        if (w->msg.cap > QUEUE_KEEP) /* an idle connection is small */
            buf_deinit(&w->msg);
        else
            buf_clear(&w->msg);
        return r;
    }
    if (check_text(w, NULL, 0, true, e))
        return e->code;
    w->in_message = false;
    w->first = true;
    w->config.events->on_message(w->config.arg, w->text, NULL, 0, first, true);
    return 0;
}

/* n <= left bytes of the payload. */
static int feed_payload(struct ws *w, const char *p, size_t n, struct err *e)
{
    w->left -= n;
    if (w->opcode >= OP_CLOSE) {
        memcpy(w->control + w->done, p, n);
        w->done += n;
    } else if (w->config.pieces) {
        if (piece_received(w, p, n, e))
            return e->code;
    } else if (w->left == 0 && w->done == 0 && w->fin && w->msg.n == 0 && !w->keyed) {
        w->in_payload = false; /* all of it is here: no copy */
        return whole_received(w, p, n, e);
    } else {
        w->msg.max = w->config.message_max_bytes;
        if (w->done == 0) /* frame_start has checked the maximum */
            err_ignore(buf_reserve(&w->msg, n + (size_t)w->left));
        err_ignore(buf_add(&w->msg, p, n));
        if (w->keyed)
            mask(w->msg.p + w->msg.n - n, w->msg.p + w->msg.n - n, n, w->key, w->done);
        w->done += n;
    }
    return w->left ? 0 : frame_end(w, e);
}

static size_t head_need(const struct ws *w)
{
    unsigned n7 = w->head[1] & 0x7f;

    if (w->n_head < 2)
        return 2;
    return 2 + (n7 == 126 ? 2u : n7 == 127 ? 8u : 0u) + (w->config.role == WS_SERVER ? 4u : 0u);
}

/* Takes bytes of a head; *n: how many. */
static int feed_head(struct ws *w, const char *p, size_t *n, struct err *e)
{
    size_t i = 0;

    while (i < *n && (w->n_head < 2 || w->n_head < head_need(w))) {
        w->head[w->n_head++] = (unsigned char)p[i++];
        if (w->n_head == 2) {
            const char *wrong = check_head(w);

            if (wrong)
                return broken(w, e, wrong);
        }
    }
    *n = i;
    if (w->n_head < 2 || w->n_head < head_need(w))
        return 0;
    if (frame_start(w, e))
        return e->code;
    return w->left ? 0 : frame_end(w, e);
}

int ws_feed(struct ws *w, const char *p, size_t n, struct err *e)
{
    if (w->failed)
        return err_set(e, ERR_PROTOCOL, "websocket: the connection has failed");
    while (!w->closed && n > 0) {
        size_t k = n;

        if (w->in_payload) {
            k = (size_t)MIN((uint64_t)n, w->left);
            if (feed_payload(w, p, k, e))
                return e->code;
        } else {
            if (feed_head(w, p, &k, e))
                return e->code;
        }
        p += k;
        n -= k;
    }
    return 0;
}

/* ---- life ---- */

struct ws *ws_new(const struct ws_config *c)
{
    struct ws *w = mem_alloc(sizeof *w);

    w->config = *c;
    w->tx.b = BUF(QUEUE_MAX_BYTES);
    w->ctl.b = BUF(QUEUE_MAX_BYTES);
    w->msg = BUF(c->message_max_bytes);
    return w;
}

void ws_free(struct ws *w)
{
    if (!w)
        return;
    buf_deinit(&w->tx.b);
    buf_deinit(&w->ctl.b);
    buf_deinit(&w->msg);
    free(w);
}
