/*
 * Mux: our own framing, coracle.v1, as docs/protocols/tunnel.md tells it.
 *
 * Credit. Of each window, rx_credit is what the peer may still send, rx.n what lies unread,
 * rx_taken what the owner has read and was not granted again; the three make rx_window. A CREDIT
 * goes out when half a window was read, so a reader that stands still grants nothing, and the peer
 * stops by itself. A window grows to what comes in two round trips, so that the line is never idle
 * (a grant goes out after half a window and takes one round trip to have an effect), and no
 * further, for the rest would only wait in the routers' buffers, in front of every other stream.
 * The round trip is the shortest one known: a full line makes longer ones. Growth needs memory of
 * the session (rx_grown); what a window took is given back when the stream is gone. While somebody
 * sends a little at a time on another stream (key strokes), only SHARED_BYTES of a large window are
 * granted, for the rest would lie in front of it in the kernels' buffers; not on a long line, which
 * would stand idle with so little on its way.
 *
 * Numbers. A stream that is gone and one that never was are told apart by the last number given
 * out: frames for the former crossed our RESET on the wire, frames for the latter are an error.
 */
#include "tunnel/frame.h"
#include "tunnel/framing.h"
#include "tunnel/mux_frame.h"

#include <stdio.h>

#define WINDOW_FIRST_BYTES (32u * 1024)
#define WINDOW_MAX_BYTES   (2u * 1024 * 1024)
/* A window may take this part of what is left for growth. */
#define GROWTH_PART 4
#define WINDOW_RTTS 2
#define RTT_MIN_MS  2 /* clocks tick in milliseconds, and loops have turns */
#define MEASURE_MS  5 /* at least so long, and a round trip: bytes come in bursts */
#define NUMBER_MAX  0xffffffff
/* Somebody types on a stream that has no more than KEY_BYTES of DATA at once, for KEY_MS and
 * longer, and goes on for so long. */
#define KEY_BYTES    (4u * 1024)
#define KEY_MS       1000
#define SHARED_BYTES (96u * 1024)

_Static_assert(MUX_SMALL_MAX <= sizeof((struct tunnel_session *)0)->small, "a frame fits");
_Static_assert(TUNNEL_FIFO_HEADROOM >= MUX_HEAD_BYTES, "the head is written before the data");
_Static_assert(TUNNEL_TEXT_MAX >= MUX_TEXT_MAX, "a text fits");

/* ---- credit --------------------------------------------------------------------------------- */

static void start(struct tunnel_flow *f)
{
    struct tunnel_session *s = f->s;
    uint64_t aside = (uint64_t)s->c.n_flows_max * WINDOW_FIRST_BYTES;

    s->rx_grown_max = TUNNEL_RX_MAX_BYTES > aside ? (size_t)(TUNNEL_RX_MAX_BYTES - aside) : 0;
    f->rx_window = WINDOW_FIRST_BYTES;
    f->rx_credit = WINDOW_FIRST_BYTES; /* told by OPEN or OPEN-OK */
    f->rate_ms = s->now_ms;
}

static void stop(struct tunnel_flow *f)
{
    f->s->rx_grown -= f->rx_window - WINDOW_FIRST_BYTES;
}

static bool is_shared(const struct tunnel_flow *f)
{
    const struct tunnel_session *s = f->s;

    return f->rx_window > SHARED_BYTES && s->key_ms && s->now_ms - s->key_ms < KEY_MS &&
           s->key_number != f->number && tunnel_pulse_rtt_min(&s->pulse) <= RTT_MIN_MS;
}

static void key_came(struct tunnel_flow *f, uint64_t now_ms)
{
    f->s->key_ms = MAX(now_ms, (uint64_t)1);
    f->s->key_number = f->number;
}

/* What of the window is in use. */
static uint32_t in_use(const struct tunnel_flow *f)
{
    return is_shared(f) ? SHARED_BYTES : f->rx_window;
}

static void reads(struct tunnel_flow *f, size_t n)
{
    f->rx_taken += (uint32_t)n;
    if (f->rx_taken < f->rx_window - in_use(f) / 2 || f->fin_received || f->state == FLOW_ENDED)
        return;
    f->want_credit = true;
    tunnel_core_kick(f);
}

/* How much larger should the window be, when n is granted? */
static uint32_t growth(struct tunnel_flow *f, uint32_t n)
{
    struct tunnel_session *s = f->s;
    uint64_t rtt_ms = MAX(tunnel_pulse_rtt_min(&s->pulse), (uint64_t)RTT_MIN_MS);
    uint64_t took_ms = s->now_ms - f->rate_ms, want, more, room;

    f->rate_bytes += n;
    if (took_ms < MAX(rtt_ms, (uint64_t)MEASURE_MS))
        return 0;
    want = WINDOW_RTTS * rtt_ms * f->rate_bytes / took_ms;
    f->rate_bytes = 0;
    f->rate_ms = s->now_ms;
    if (want <= f->rx_window || f->rx.n || !f->reading || is_shared(f))
        return 0;
    more = MIN(want - f->rx_window, (uint64_t)f->rx_window); /* it doubles at most */
    room = MIN((uint64_t)WINDOW_MAX_BYTES - f->rx_window,
               (uint64_t)(s->rx_grown_max - s->rx_grown) / GROWTH_PART);
    return (uint32_t)MIN(more, room);
}

/* The grant that is due, and a larger window if this one is the limit. */
static uint32_t grant(struct tunnel_flow *f)
{
    uint32_t held = f->rx_window - in_use(f);
    uint32_t n = f->rx_taken > held ? f->rx_taken - held : 0, more = growth(f, n);

    f->rx_window += more;
    f->s->rx_grown += more;
    f->rx_credit += n + more;
    f->rx_taken -= n;
    return n + more;
}

/* ---- sending -------------------------------------------------------------------------------- */

static struct str small(struct tunnel_session *s, const struct mux_frame *m)
{
    return str_n(s->small, mux_frame_encode(s->small, m));
}

static struct str next_session(struct tunnel_session *s)
{
    struct mux_frame m = { .type = MUX_OPEN_FAIL, .code = ERR_LIMIT };
    struct tunnel_answer *a;

    if (!s->n_answers)
        return str_n(NULL, 0);
    a = &s->answers[s->answers_first];
    s->answers_first = (s->answers_first + 1) % TUNNEL_ANSWERS_MAX;
    s->n_answers--;
    m.stream = (uint32_t)a->number;
    m.body = str_of(a->text);
    return small(s, &m);
}

static bool sendable(const struct tunnel_flow *f)
{
    if (f->want_open || f->want_ok || f->want_credit)
        return true;
    if (f->tx.n)
        return f->tx_credit > 0;
    return f->want_fin || f->want_end;
}

/* A piece of the first chunk; its head overwrites what went out before it. */
static struct str next_data(struct tunnel_flow *f)
{
    struct tunnel_session *s = f->s;
    struct mux_frame m = { .type = MUX_DATA, .stream = (uint32_t)f->number };
    struct tunnel_chunk *c = f->tx.first;
    size_t n = MIN((size_t)(c->end - c->begin), (size_t)MUX_DATA_MAX);
    char head[MUX_SMALL_MAX] = { 0 }, *p;

    n = MIN(n, (size_t)f->tx_credit);
    f->tx_credit -= (uint32_t)n;
    p = c->data + c->begin - MUX_HEAD_BYTES;
    memcpy(p, head, mux_frame_encode(head, &m));
    if (n == c->end - c->begin) {
        s->sent_chunk = tunnel_fifo_take(&f->tx);
    } else {
        c->begin += (uint32_t)n;
        f->tx.n -= n;
    }
    return str_n(p, MUX_HEAD_BYTES + n);
}

static struct str next(struct tunnel_flow *f, bool *gone)
{
    struct tunnel_session *s = f->s;
    struct mux_frame m = { .stream = (uint32_t)f->number };
    struct str out;

    if (f->want_open) {
        m.type = MUX_OPEN;
        m.credit = f->rx_credit;
        m.timeout_ms = (uint32_t)MIN(f->timeout_ms, (uint64_t)UINT32_MAX);
        m.body = str_of(f->target);
        f->want_open = false;
        out = small(s, &m);
        free(STEAL(f->target));
        return out;
    }
    if (f->want_ok) {
        f->want_ok = false;
        f->acked = true;
        m.type = MUX_OPEN_OK;
        m.credit = f->rx_credit;
        return small(s, &m);
    }
    if (f->want_credit) {
        f->want_credit = false;
        m.type = MUX_CREDIT;
        m.credit = grant(f);
        return small(s, &m);
    }
    if (f->tx.n)
        return next_data(f);
    if (f->want_fin) {
        f->want_fin = false;
        f->fin_sent = true;
        m.type = MUX_FIN;
        out = small(s, &m);
        if (f->fin_received)
            tunnel_core_ended(f, NULL);
        return out;
    }
    f->want_end = false;
    *gone = f->state == FLOW_CLOSING; /* else its owner does not know yet */
    m.type = s->c.role == TUNNEL_CLIENT && !f->acked ? MUX_OPEN_FAIL : MUX_RESET;
    m.code = f->told_code;
    m.sys = f->told_sys;
    m.body = str_of(f->text);
    return small(s, &m);
}

static struct str goodbye(struct tunnel_session *s, const struct err *why)
{
    struct mux_frame m = {
        .type = MUX_GOAWAY, .code = why->code, .sys = why->sys, .body = str_of(why->text)
    };

    return small(s, &m);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* *out: NULL when the stream was there and is gone. */
static int find(struct tunnel_session *s, const struct mux_frame *m, struct tunnel_flow **out,
                struct err *e)
{
    if (m->stream > s->next_number)
        return err_set(e, ERR_PROTOCOL, "%s on stream %u, which was never opened",
                       mux_frame_name(m->type), m->stream);
    *out = tunnel_core_find(s, m->stream);
    return 0;
}

static int receive_open(struct tunnel_session *s, const struct mux_frame *m, uint64_t now_ms,
                        struct err *e)
{
    struct str proto, address;
    struct tunnel_flow *f;

    if (s->c.role == TUNNEL_SERVER)
        return err_set(e, ERR_PROTOCOL, "the node tried to dial through the server");
    if (m->stream <= s->next_number)
        return err_set(e, ERR_PROTOCOL, "OPEN of stream %u after that of %lld", m->stream,
                       (long long)s->next_number);
    if (tunnel_frame_connect(m->body, &proto, &address, e))
        return e->code;
    s->next_number = m->stream;
    f = tunnel_core_accept(s, m->stream, now_ms);
    if (!f) {
        char text[64];

        if (s->n_answers == TUNNEL_ANSWERS_MAX)
            return err_set(e, ERR_PROTOCOL, "streams are opened without end");
        snprintf(text, sizeof text, "%zu streams are open already", s->n_flows);
        tunnel_core_answer(s, m->stream, str_of(text));
        return 0;
    }
    f->tx_credit = m->credit;
    f->timeout_ms = m->timeout_ms;
    s->c.events->on_open(s->c.arg, f, proto, address); /* last: f may be gone */
    return 0;
}

static int receive_data(struct tunnel_flow *f, const struct mux_frame *m, uint64_t now_ms,
                        struct err *e)
{
    if (f->fin_received)
        return err_set(e, ERR_PROTOCOL, "stream %u: DATA after FIN", m->stream);
    if (m->body.n > f->rx_credit)
        return err_set(e, ERR_PROTOCOL, "stream %u: %zu bytes sent with a credit of %u", m->stream,
                       m->body.n, f->rx_credit);
    f->rx_credit -= (uint32_t)m->body.n;
    if (m->body.n > KEY_BYTES)
        f->large_ms = MAX(now_ms, (uint64_t)1);
    else if (!f->large_ms || now_ms - f->large_ms >= KEY_MS)
        key_came(f, now_ms);
    tunnel_core_data(f, m->body, now_ms);
    return 0;
}

static int receive_credit(struct tunnel_flow *f, const struct mux_frame *m, struct err *e)
{
    if (m->credit > MUX_CREDIT_MAX - f->tx_credit)
        return err_set(e, ERR_PROTOCOL, "stream %u: a credit above %u", m->stream, MUX_CREDIT_MAX);
    f->tx_credit += m->credit;
    tunnel_core_kick(f);
    return 0;
}

static void receive_end(struct tunnel_flow *f, const struct mux_frame *m)
{
    struct err why;

    if (m->code == ERR_OK) {
        tunnel_core_ended(f, NULL);
        return;
    }
    err_set(&why, m->code, STR_FMT, STR_ARG(m->body));
    why.sys = m->sys;
    tunnel_core_ended(f, &why);
}

/* Frames for a stream we have. */
static int receive_on(struct tunnel_flow *f, const struct mux_frame *m, uint64_t now_ms,
                      struct err *e)
{
    bool to_server = f->s->c.role == TUNNEL_SERVER, answer;

    answer = m->type == MUX_OPEN_OK || m->type == MUX_OPEN_FAIL;
    if (answer && (!to_server || f->acked))
        return err_set(e, ERR_PROTOCOL, "stream %u: %s, unasked", m->stream,
                       mux_frame_name(m->type));
    /* The agent may not have answered yet when the first RESET comes, nothing else. */
    if (!answer && m->type != MUX_RESET && !f->acked)
        return err_set(e, ERR_PROTOCOL, "stream %u: %s before OPEN-OK", m->stream,
                       mux_frame_name(m->type));
    switch (m->type) {
    case MUX_OPEN_OK:
        f->acked = true;
        f->tx_credit = m->credit;
        tunnel_core_kick(f);
        tunnel_core_opened(f); /* last: f may be gone */
        return 0;
    case MUX_DATA:
        return receive_data(f, m, now_ms, e);
    case MUX_CREDIT:
        return receive_credit(f, m, e);
    case MUX_FIN:
        if (f->fin_received)
            return err_set(e, ERR_PROTOCOL, "stream %u: FIN twice", m->stream);
        f->want_credit = false;
        tunnel_core_fin(f);
        if (f->fin_sent)
            tunnel_core_ended(f, NULL);
        return 0;
    case MUX_OPEN_FAIL:
    case MUX_RESET:
        receive_end(f, m);
        return 0;
    case MUX_OPEN:
    case MUX_GOAWAY:
        break;
    }
    return 0;
}

static int receive(struct tunnel_session *s, struct str message, uint64_t now_ms, struct err *e)
{
    struct tunnel_flow *f = NULL;
    struct mux_frame m;

    if (mux_frame_decode(&m, message, e))
        return e->code;
    if (m.type == MUX_OPEN)
        return receive_open(s, &m, now_ms, e);
    if (m.type == MUX_GOAWAY)
        return err_set(e, ERR_CLOSED, "the other end of the tunnel ended it: " STR_FMT,
                       STR_ARG(m.body));
    if (find(s, &m, &f, e))
        return e->code;
    return f ? receive_on(f, &m, now_ms, e) : 0;
}

const struct tunnel_framing tunnel_mux = {
    .name = TUNNEL_SUBPROTOCOL,
    .target_max = MUX_TARGET_MAX,
    .number_first = 1,
    .number_max = NUMBER_MAX,
    .acks = true,
    .start = start,
    .stop = stop,
    .receive = receive,
    .sendable = sendable,
    .next = next,
    .next_session = next_session,
    .reads = reads,
    .goodbye = goodbye,
};
