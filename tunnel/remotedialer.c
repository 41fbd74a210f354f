/*
 * Remotedialer: the framing that K3s' ends speak, with the quirks that peers depend on.
 * docs/protocols/remotedialer.md tells it in words; facts from rancher/remotedialer v0.2.0 ("old")
 * and v0.6 ("new").
 *
 * Ends. Either side closes with an Error, text "EOF" when graceful. Who gets an Error for a stream
 * it has forgets the stream and echoes the Error once; an Error for a stream it does not have is
 * ignored, so echoes die out. Data for a stream we do not have is answered with an Error.
 *
 * Flow control is advice. A new peer has one flag for both directions, so it may resume by itself:
 * Pause is sent again whenever data comes while the buffer is above the limit. An old peer ignores
 * it. The hard limit is the session's (TUNNEL_FLOW_RX_MAX_BYTES).
 */
#include "tunnel/frame.h"
#include "tunnel/framing.h"

#include <stdio.h>

#define PAUSE_ABOVE_BYTES  (2u * 1024 * 1024)
#define RESUME_BELOW_BYTES (256u * 1024)
#define SYNC_MS            60000
/* A list is written before the Connects that cross it on the wire were read: only streams older
 * than this, or absent from two lists, are taken for dead. */
#define SYNC_AGE_MS 60000

#define TEXT_EOF     "EOF"
#define TEXT_MAX     TUNNEL_FRAME_TEXT_MAX
#define NUMBER_FIRST 2

/* ---- sending -------------------------------------------------------------------------------- */

static size_t head(struct tunnel_session *s, char *out, int64_t number, int64_t type)
{
    struct tunnel_frame f = {
        .id = s->next_id, .conn = number, .type = type, .deadline_ms = TUNNEL_FRAME_DEADLINE_MS
    };

    s->next_id = (int64_t)((uint64_t)s->next_id + 1); /* wraps as Go's does */
    return tunnel_frame_head(out, &f);
}

/* A message of at most 280 bytes of body, built in the session's small buffer. */
static struct str small(struct tunnel_session *s, int64_t number, int64_t type, struct str body)
{
    size_t n = head(s, s->small, number, type);

    if (body.n)
        memcpy(s->small + n, body.p, body.n);
    return str_n(s->small, n + body.n);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Which streams we have, ascending; those whose dial still runs included. */
static struct str sync_message(struct tunnel_session *s)
{
    char bytes[TUNNEL_FRAME_HEAD_MAX];
    size_t n_head = head(s, bytes, 0, TUNNEL_FRAME_SYNC), n = 0;
    int64_t *numbers = mem_calloc(s->n_flows + 1, sizeof *numbers);

    list_each (f, &s->flows, struct tunnel_flow, all)
        if (f->hashed)
            numbers[n++] = f->number;
    qsort(numbers, n, sizeof *numbers, by_number);
    buf_clear(&s->sync);
    err_ignore(buf_add(&s->sync, bytes, n_head)); /* its maximum holds all of them */
    for (size_t i = 0; i < n; i++) {
        tunnel_frame_sync_put(bytes, numbers[i]);
        err_ignore(buf_add(&s->sync, bytes, 8));
    }
    free(numbers);
    return buf_str(&s->sync);
}

/* What peers read of it. */
static struct str error_text(const char *text)
{
    struct str s = str_of(text);

    return str_n(s.p, MIN(s.n, (size_t)TEXT_MAX));
}

static struct str next_session(struct tunnel_session *s)
{
    if (s->n_answers) {
        struct tunnel_answer *a = &s->answers[s->answers_first];

        s->answers_first = (s->answers_first + 1) % TUNNEL_ANSWERS_MAX;
        s->n_answers--;
        return small(s, a->number, TUNNEL_FRAME_ERROR, error_text(a->text));
    }
    if (s->want_sync) {
        s->want_sync = false;
        return sync_message(s);
    }
    return str_n(NULL, 0);
}

static bool sendable(const struct tunnel_flow *f)
{
    if (f->want_open || f->want_pause || f->want_resume)
        return true;
    if (f->tx.n)
        return !f->peer_paused;
    return f->want_end;
}

static struct str next(struct tunnel_flow *f, bool *gone)
{
    struct tunnel_session *s = f->s;
    struct tunnel_chunk *c;
    char bytes[TUNNEL_FRAME_HEAD_MAX];
    size_t n;

    if (f->want_open) {
        struct str m = small(s, f->number, TUNNEL_FRAME_CONNECT, str_of(f->target));

        f->want_open = false;
        free(STEAL(f->target));
        return m;
    }
    if (f->want_pause || f->want_resume) {
        bool pause = f->want_pause;

        f->want_pause = f->want_resume = false;
        f->sent_pause = pause;
        return small(s, f->number, pause ? TUNNEL_FRAME_PAUSE : TUNNEL_FRAME_RESUME,
                     str_n(NULL, 0));
    }
    if (!f->tx.n) {
        *gone = true;
        return small(s, f->number, TUNNEL_FRAME_ERROR, error_text(f->text[0] ? f->text : TEXT_EOF));
    }
    c = s->sent_chunk = tunnel_fifo_take(&f->tx);
    n = head(s, bytes, f->number, TUNNEL_FRAME_DATA);
    c->begin -= (uint32_t)n; /* fits: TUNNEL_FIFO_HEADROOM >= TUNNEL_FRAME_HEAD_MAX */
    memcpy(c->data + c->begin, bytes, n);
    return str_n(c->data + c->begin, c->end - c->begin);
}

_Static_assert(TUNNEL_FIFO_HEADROOM >= TUNNEL_FRAME_HEAD_MAX,
               "the head is written before the data");

/* ---- receiving ------------------------------------------------------------------------------ */

static void buffered(struct tunnel_flow *f)
{
    if (f->rx.n <= PAUSE_ABOVE_BYTES || f->state == FLOW_ENDED)
        return;
    f->want_pause = true;
    f->want_resume = false;
    tunnel_core_kick(f);
}

static void consumed(struct tunnel_flow *f)
{
    if (f->rx.n >= RESUME_BELOW_BYTES || !(f->sent_pause || f->want_pause))
        return;
    f->want_resume = f->sent_pause;
    f->want_pause = false;
    tunnel_core_kick(f);
}

static void unknown_stream(struct tunnel_session *s, int64_t number)
{
    char text[TUNNEL_TEXT_MAX + 1];

    snprintf(text, sizeof text, "connection not found %s/0/%lld",
             s->c.role == TUNNEL_CLIENT ? "client" : s->key, (long long)number);
    tunnel_core_answer(s, number, str_of(text));
}

static void receive_error(struct tunnel_session *s, const struct tunnel_frame *m)
{
    struct tunnel_flow *f = tunnel_core_find(s, m->conn);
    struct err e;

    if (!f)
        return;
    tunnel_core_answer(s, m->conn, m->body);
    if (str_is(m->body, TEXT_EOF)) {
        tunnel_core_ended(f, NULL);
        return;
    }
    err_set(&e, f->heard ? ERR_CLOSED : ERR_IO, STR_FMT, STR_ARG(m->body));
    tunnel_core_ended(f, &e);
}

static int receive_connect(struct tunnel_session *s, const struct tunnel_frame *m, uint64_t now_ms,
                           struct err *e)
{
    struct str proto, address;
    struct tunnel_flow *f;
    struct err twice;

    if (s->c.role == TUNNEL_SERVER)
        return err_set(e, ERR_PROTOCOL, "the node tried to dial through the server");
    if (tunnel_frame_connect(m->body, &proto, &address, e))
        return e->code;
    if ((f = tunnel_core_find(s, m->conn))) {
        err_set(&twice, ERR_PROTOCOL, "stream %lld was opened twice", (long long)m->conn);
        tunnel_core_fail(f, &twice, "stream was opened twice");
        return 0;
    }
    f = tunnel_core_accept(s, m->conn, now_ms);
    if (!f) {
        tunnel_core_answer(s, m->conn, STR("too many streams"));
        return 0;
    }
    s->c.events->on_open(s->c.arg, f, proto, address); /* last: f may be gone */
    return 0;
}

static int compare_number(const void *key, const void *at)
{
    int64_t x = *(const int64_t *)key, y = tunnel_frame_sync_get(str_n(at, 8), 0);

    return x < y ? -1 : x > y;
}

static int receive_sync(struct tunnel_session *s, struct str body, uint64_t now_ms, struct err *e)
{
    size_t n;

    if (tunnel_frame_sync_n(body, &n, e))
        return e->code;
    list_each (f, &s->flows, struct tunnel_flow, all) {
        struct err lost;

        if (!f->hashed || f->want_open)
            continue;
        if (n && bsearch(&f->number, body.p, n, 8, compare_number)) {
            f->sync_absent = false;
            continue;
        }
        if (!f->sync_absent && now_ms - f->born_ms < SYNC_AGE_MS) {
            f->sync_absent = true;
            continue;
        }
        err_set(&lost, ERR_CLOSED, "the other end of the tunnel has lost stream %lld",
                (long long)f->number);
        tunnel_core_ended(f, &lost); /* no Error goes out: the peer has forgotten it */
    }
    return 0;
}

static int receive(struct tunnel_session *s, struct str message, uint64_t now_ms, struct err *e)
{
    struct tunnel_frame m;
    struct tunnel_flow *f;
    struct str client;
    int64_t number;

    if (tunnel_frame_decode(&m, message, e))
        return e->code;
    switch (m.type) {
    case TUNNEL_FRAME_DATA:
        f = tunnel_core_find(s, m.conn);
        if (f)
            tunnel_core_data(f, m.body, now_ms);
        else
            unknown_stream(s, m.conn);
        return 0;
    case TUNNEL_FRAME_CONNECT:
        return receive_connect(s, &m, now_ms, e);
    case TUNNEL_FRAME_ERROR:
        receive_error(s, &m);
        return 0;
    case TUNNEL_FRAME_ADD_CLIENT: /* server-to-server peering, which K3s never configures */
    case TUNNEL_FRAME_REMOVE_CLIENT:
        return tunnel_frame_client(m.body, &client, &number, e);
    case TUNNEL_FRAME_PAUSE:
    case TUNNEL_FRAME_RESUME:
        f = tunnel_core_find(s, m.conn);
        if (!f)
            return 0;
        f->peer_paused = m.type == TUNNEL_FRAME_PAUSE;
        tunnel_core_kick(f);
        return 0;
    case TUNNEL_FRAME_SYNC:
        return receive_sync(s, m.body, now_ms, e);
    default: /* newer than us */
        return 0;
    }
}

const struct tunnel_framing tunnel_remotedialer = {
    .name = "remotedialer",
    .target_max = TUNNEL_FRAME_CONNECT_MAX,
    .number_first = NUMBER_FIRST,
    .number_max = INT64_MAX,
    .sync_ms = SYNC_MS,
    .steady_pings = true, /* K3s' old ends count nothing else as a sign of life, within 10 s */
    .receive = receive,
    .sendable = sendable,
    .next = next,
    .next_session = next_session,
    .buffered = buffered,
    .consumed = consumed,
};
