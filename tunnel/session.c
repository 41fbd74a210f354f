/*
 * Session: flows, queues, turns and deadlines; what is written on the wire is the framing's.
 *
 * Sending is pulled: flows keep their bytes until the connection below has room, then they take
 * turns (tx_ready is a ring, one message each). So a bulk flow cannot put seconds of data in front
 * of an exec or of a pong, and what waits is bounded per flow, not per connection.
 *
 * Receiving is pushed: data goes straight to a flow's owner while it reads, else into the flow's
 * buffer. Ends always go through rx_ready and tunnel_session_deliver, so that owners get them from
 * the loop and after the data.
 *
 * Times. Each flow has at most one deadline: OPENING (no sign from the other end) or CLOSING (the
 * queue does not go out). flow_deadline_ms is a lower bound of them all; when it comes, the flows
 * are looked through once and it is computed anew. Silence is judged twice, 250 ms apart: a process
 * that was stopped for a minute must first read what lies in its socket.
 */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "tunnel/framing.h"

#include <stdio.h>

#define PING_MS        5000
#define SILENCE_MS     60000
#define SILENCE_2ND_MS 250
#define OPEN_MS        60000 /* client: K3s' agent gives up a dial after this */
#define FLUSH_MS       30000

enum { SPARE_MAX = 16 }; /* flows kept for reuse */

/* ---- table of flows ------------------------------------------------------------------------- */

static size_t hash_of(int64_t number)
{
    return (size_t)((uint64_t)number % TUNNEL_HASH);
}

struct tunnel_flow *tunnel_core_find(struct tunnel_session *s, int64_t number)
{
    struct tunnel_flow *f = s->hash[hash_of(number)];

    while (f && f->number != number)
        f = f->hash_next;
    return f;
}

static void flow_unhash(struct tunnel_flow *f)
{
    struct tunnel_flow **at = &f->s->hash[hash_of(f->number)];

    if (!f->hashed)
        return;
    while (*at != f)
        at = &(*at)->hash_next;
    *at = f->hash_next;
    f->hashed = false;
}

static void flow_deadline(struct tunnel_flow *f, uint64_t deadline_ms)
{
    f->deadline_ms = deadline_ms;
    if (deadline_ms)
        f->s->flow_deadline_ms = MIN(f->s->flow_deadline_ms, deadline_ms);
}

static struct tunnel_flow *flow_new(struct tunnel_session *s, int64_t number, uint64_t now_ms)
{
    struct list *spare = list_pop(&s->spare);
    struct tunnel_flow *f;

    if (spare) {
        f = container_of(spare, struct tunnel_flow, all);
        s->n_spare--;
        memset(f, 0, sizeof *f);
    } else {
        f = mem_alloc(sizeof *f);
    }
    f->s = s;
    f->number = number;
    f->born_ms = now_ms;
    list_push(&s->flows, &f->all);
    list_init(&f->tx_link);
    list_init(&f->rx_link);
    f->hash_next = s->hash[hash_of(number)];
    s->hash[hash_of(number)] = f;
    f->hashed = true;
    s->n_flows++;
    return f;
}

static void flow_drop_rx(struct tunnel_flow *f)
{
    f->s->rx_bytes -= f->rx.n;
    tunnel_fifo_deinit(&f->rx);
}

static void flow_free(struct tunnel_flow *f)
{
    struct tunnel_session *s = f->s;

    flow_unhash(f);
    flow_drop_rx(f);
    tunnel_fifo_deinit(&f->tx);
    list_remove(&f->tx_link);
    list_remove(&f->rx_link);
    list_remove(&f->all);
    free(f->target);
    f->target = NULL;
    if (s->current == f)
        s->current = NULL;
    s->n_flows--;
    if (s->n_spare < SPARE_MAX) {
        list_push(&s->spare, &f->all);
        s->n_spare++;
    } else {
        free(f);
    }
}

/* ---- work ----------------------------------------------------------------------------------- */

void tunnel_core_work(struct tunnel_session *s)
{
    if (s->work_told || s->dead)
        return;
    s->work_told = true;
    s->c.events->on_work(s->c.arg);
}

void tunnel_core_kick(struct tunnel_flow *f)
{
    if (f->s->dead || !f->s->c.framing->sendable(f))
        return;
    if (list_empty(&f->tx_link))
        list_push(&f->s->tx_ready, &f->tx_link);
    tunnel_core_work(f->s);
}

static bool deliverable(const struct tunnel_flow *f)
{
    if (f->state == FLOW_CLOSING || !f->events)
        return false;
    return f->rx.n > 0 ? f->reading : f->state == FLOW_ENDED;
}

static void kick_rx(struct tunnel_flow *f)
{
    if (!deliverable(f))
        return;
    if (list_empty(&f->rx_link))
        list_push(&f->s->rx_ready, &f->rx_link);
    tunnel_core_work(f->s);
}

/* ---- life of a session ---------------------------------------------------------------------- */

void tunnel_session_new(struct tunnel_session **out, const struct tunnel_session_config *c,
                        uint64_t now_ms)
{
    struct tunnel_session *s = mem_alloc(sizeof *s);

    s->c = *c;
    s->key = mem_strdup(c->key ? c->key : "");
    s->c.key = s->key;
    s->c.ping_ms = c->ping_ms ? c->ping_ms : PING_MS;
    s->c.silence_ms = c->silence_ms ? c->silence_ms : SILENCE_MS;
    s->c.open_ms = c->open_ms ? c->open_ms : OPEN_MS;
    s->c.n_flows_max = c->n_flows_max ? c->n_flows_max : TUNNEL_FLOWS_MAX;
    s->next_id = c->first_id ? c->first_id : (int64_t)(rand_u64() >> 1);
    s->next_number = 1; /* counted up before use: the first stream is 2 */
    list_init(&s->flows);
    list_init(&s->tx_ready);
    list_init(&s->rx_ready);
    list_init(&s->spare);
    s->sync = BUF(s->c.n_flows_max * 8 + TUNNEL_FIFO_HEADROOM);
    s->last_seen_ms = s->last_control_ms = now_ms;
    s->next_ping_ms = c->role == TUNNEL_CLIENT ? now_ms + s->c.ping_ms : UINT64_MAX;
    s->next_sync_ms =
        c->role == TUNNEL_CLIENT && c->framing->sync_ms ? now_ms + c->framing->sync_ms : UINT64_MAX;
    s->flow_deadline_ms = UINT64_MAX;
    *out = s;
}

void tunnel_session_free(struct tunnel_session *s)
{
    struct err e;
    struct list *l;

    if (!s)
        return;
    err_set(&e, ERR_CANCELED, "session ended");
    tunnel_session_kill(s, &e);
    while ((l = list_pop(&s->spare)))
        free(container_of(l, struct tunnel_flow, all));
    free(s->answers);
    free(s->sent_chunk);
    buf_deinit(&s->sync);
    free(s->key);
    free(s);
}

void tunnel_session_kill(struct tunnel_session *s, const struct err *why)
{
    struct err e;

    if (s->dead)
        return;
    s->dead = true;
    s->n_answers = 0;
    while (!list_empty(&s->flows)) {
        struct tunnel_flow *f = list_first(&s->flows, struct tunnel_flow, all);
        const struct tunnel_flow_events *events = f->state == FLOW_CLOSING ? NULL : f->events;
        bool graceful = f->state == FLOW_ENDED && !f->end.code && f->rx.n == 0;
        void *arg = f->arg;

        if (f->state == FLOW_ENDED && f->end.code)
            e = f->end;
        else
            err_set(&e, ERR_CLOSED, "tunnel disconnect: %s", why->text);
        flow_free(f);
        if (events)
            events->on_end(arg, graceful ? NULL : &e);
    }
}

static void session_die(struct tunnel_session *s, const struct err *e)
{
    struct err why = *e;

    if (s->dead)
        return;
    tunnel_session_kill(s, &why);
    s->c.events->on_dead(s->c.arg, &why);
}

bool tunnel_session_is_dead(const struct tunnel_session *s)
{
    return s->dead;
}

size_t tunnel_session_n_flows(const struct tunnel_session *s)
{
    return s->n_flows;
}

uint64_t tunnel_session_last_seen_ms(const struct tunnel_session *s)
{
    return s->last_seen_ms;
}

uint64_t tunnel_session_rtt_ms(const struct tunnel_session *s)
{
    return s->rtt_ms;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void seen(struct tunnel_session *s, bool control, uint64_t now_ms)
{
    s->last_seen_ms = now_ms;
    if (control)
        s->last_control_ms = now_ms;
}

void tunnel_session_receive(struct tunnel_session *s, struct str message, uint64_t now_ms)
{
    struct err e;

    if (s->dead)
        return;
    seen(s, false, now_ms);
    if (s->c.framing->receive(s, message, now_ms, &e)) {
        err_wrap(&e, "%s", s->c.framing->name);
        session_die(s, &e);
    }
}

void tunnel_session_control(struct tunnel_session *s, bool pong, uint64_t now_ms)
{
    seen(s, true, now_ms);
    if (pong && s->ping_open) {
        s->ping_open = false;
        s->rtt_ms = MAX(now_ms - s->ping_sent_ms, 1u);
    }
}

struct tunnel_flow *tunnel_core_accept(struct tunnel_session *s, int64_t number, uint64_t now_ms)
{
    struct tunnel_flow *f;

    if (s->n_flows >= s->c.n_flows_max)
        return NULL;
    f = flow_new(s, number, now_ms);
    f->state = FLOW_OPENING;
    flow_deadline(f, now_ms + s->c.open_ms);
    return f;
}

void tunnel_core_data(struct tunnel_flow *f, struct str data, uint64_t now_ms)
{
    struct tunnel_session *s = f->s;
    struct err e;

    (void)now_ms;
    f->heard = true;
    if (f->state == FLOW_CLOSING || data.n == 0) /* the end that is on its way answers it */
        return;
    if (f->state == FLOW_OPENING && s->c.role == TUNNEL_SERVER) {
        f->state = FLOW_OPEN;
        f->deadline_ms = 0;
    }
    if (f->reading && f->rx.n == 0 && f->events) {
        f->events->on_data(f->arg, data.p, data.n); /* last: f may be gone */
        return;
    }
    if (f->rx.n + data.n > TUNNEL_FLOW_RX_MAX_BYTES || s->rx_bytes + data.n > TUNNEL_RX_MAX_BYTES) {
        err_set(&e, ERR_LIMIT, "stream %lld: %zu bytes wait unread, the peer did not pause",
                (long long)f->number, f->rx.n);
        tunnel_core_fail(f, &e, "receive buffer is full");
        return;
    }
    tunnel_fifo_add(&f->rx, data.p, data.n);
    s->rx_bytes += data.n;
    kick_rx(f);
    s->c.framing->buffered(f);
}

static void flow_end(struct tunnel_flow *f, const struct err *e)
{
    flow_unhash(f);
    tunnel_fifo_deinit(&f->tx);
    list_remove(&f->tx_link);
    f->deadline_ms = 0;
    if (f->state == FLOW_CLOSING) { /* the owner has let go of it before */
        flow_free(f);
        return;
    }
    f->state = FLOW_ENDED;
    if (e)
        f->end = *e;
    kick_rx(f);
}

void tunnel_core_ended(struct tunnel_flow *f, const struct err *e)
{
    f->heard = true;
    flow_end(f, e);
}

void tunnel_core_fail(struct tunnel_flow *f, const struct err *e, const char *text)
{
    if (!f->want_open) /* else the peer never heard of it */
        tunnel_core_answer(f->s, f->number, str_of(text));
    flow_drop_rx(f);
    flow_end(f, e);
}

void tunnel_session_deliver(struct tunnel_session *s)
{
    struct list ready = LIST(ready);
    struct list *l;

    s->work_told = false;
    list_move_all(&ready, &s->rx_ready);
    while ((l = list_pop(&ready))) {
        struct tunnel_flow *f = container_of(l, struct tunnel_flow, rx_link);
        struct tunnel_chunk *c;

        s->current = f;
        while (s->current && f->reading && (c = tunnel_fifo_take(&f->rx))) {
            uint32_t n = c->end - c->begin;

            s->rx_bytes -= n;
            f->events->on_data(f->arg, c->data + c->begin, n);
            free(c);
        }
        if (!s->current)
            continue;
        s->current = NULL;
        if (f->state != FLOW_ENDED)
            s->c.framing->consumed(f);
        else if (f->rx.n == 0 && f->events) {
            const struct tunnel_flow_events *events = f->events;
            void *arg = f->arg;
            struct err e = f->end;

            flow_free(f);
            events->on_end(arg, e.code ? &e : NULL);
        }
    }
}

/* ---- sending -------------------------------------------------------------------------------- */

void tunnel_core_answer(struct tunnel_session *s, int64_t number, struct str text)
{
    struct tunnel_answer *a;

    if (s->dead || s->n_answers == TUNNEL_ANSWERS_MAX)
        return; /* answers are a courtesy: the peer asks again with its next message */
    if (!s->answers)
        s->answers = mem_calloc(TUNNEL_ANSWERS_MAX, sizeof *s->answers);
    for (size_t i = 0; i < s->n_answers; i++)
        if (s->answers[(s->answers_first + i) % TUNNEL_ANSWERS_MAX].number == number)
            return;
    a = &s->answers[(s->answers_first + s->n_answers++) % TUNNEL_ANSWERS_MAX];
    a->number = number;
    memset(a->text, 0, sizeof a->text);
    if (text.n)
        memcpy(a->text, text.p, MIN(text.n, (size_t)TUNNEL_TEXT_MAX));
    tunnel_core_work(s);
}

bool tunnel_session_next(struct tunnel_session *s, struct str *out, uint64_t now_ms)
{
    const struct tunnel_framing *framing = s->c.framing;
    struct list *l;

    (void)now_ms;
    s->work_told = false;
    free(STEAL(s->sent_chunk));
    if (s->dead)
        return false;
    *out = framing->next_session(s);
    if (out->n)
        return true;
    while ((l = list_pop(&s->tx_ready))) {
        struct tunnel_flow *f = container_of(l, struct tunnel_flow, tx_link);
        size_t queued = f->tx.n;
        bool gone = false;

        if (!framing->sendable(f))
            continue;
        *out = framing->next(f, &gone);
        if (gone) {
            flow_free(f);
            return true;
        }
        if (framing->sendable(f))
            list_push(&s->tx_ready, &f->tx_link);
        if (f->tx.n < queued && f->events && f->events->on_sent)
            f->events->on_sent(f->arg); /* last: f may be gone */
        return true;
    }
    return false;
}

/* ---- time ----------------------------------------------------------------------------------- */

static uint64_t silence_deadline(const struct tunnel_session *s)
{
    uint64_t last = s->c.role == TUNNEL_SERVER ? s->last_seen_ms : s->last_control_ms;

    return last + s->c.silence_ms + (s->silent ? SILENCE_2ND_MS : 0);
}

uint64_t tunnel_session_deadline(const struct tunnel_session *s)
{
    uint64_t next = silence_deadline(s);

    if (s->dead)
        return UINT64_MAX;
    next = MIN(next, s->flow_deadline_ms);
    next = MIN(next, s->next_ping_ms);
    return MIN(next, s->next_sync_ms);
}

static void flow_late(struct tunnel_flow *f)
{
    struct err e;

    if (f->state == FLOW_CLOSING) {
        tunnel_fifo_deinit(&f->tx);
        f->flush = false;
        f->peer_paused = false;
        f->deadline_ms = 0;
        tunnel_core_kick(f);
        return;
    }
    err_set(&e, ERR_TIMEOUT, "no answer from the other end of the tunnel after %llu ms",
            (unsigned long long)(f->deadline_ms - f->born_ms));
    tunnel_core_fail(f, &e, "dial timeout");
}

static void flows_tick(struct tunnel_session *s, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;

    if (now_ms < s->flow_deadline_ms)
        return;
    list_each (f, &s->flows, struct tunnel_flow, all) {
        if (f->deadline_ms && f->deadline_ms <= now_ms)
            flow_late(f);
        else if (f->deadline_ms)
            next = MIN(next, f->deadline_ms);
    }
    s->flow_deadline_ms = next;
}

void tunnel_session_tick(struct tunnel_session *s, uint64_t now_ms)
{
    struct err e;

    if (s->dead)
        return;
    if (now_ms >= silence_deadline(s)) {
        if (s->silent) {
            err_set(&e, ERR_TIMEOUT, "no %s from %s for %llu ms",
                    s->c.role == TUNNEL_SERVER ? "frame" : "pong", s->key,
                    (unsigned long long)s->c.silence_ms);
            session_die(s, &e);
            return;
        }
        s->silent = true;
    } else if (s->silent && now_ms < silence_deadline(s) - SILENCE_2ND_MS) {
        s->silent = false;
    }
    flows_tick(s, now_ms);
    if (now_ms >= s->next_sync_ms) {
        s->next_sync_ms = now_ms + s->c.framing->sync_ms;
        s->want_sync = true;
        tunnel_core_work(s);
    }
    if (now_ms >= s->next_ping_ms) {
        s->next_ping_ms = now_ms + s->c.ping_ms;
        if (!s->ping_open) { /* an unanswered one keeps its time */
            s->ping_open = true;
            s->ping_sent_ms = now_ms;
        }
        s->c.events->on_ping(s->c.arg);
    }
}

/* ---- flows ---------------------------------------------------------------------------------- */

int tunnel_session_open(struct tunnel_session *s, struct tunnel_flow **out, struct str proto,
                        struct str address, uint64_t timeout_ms, uint64_t now_ms,
                        const struct tunnel_flow_events *events, void *arg, struct err *e)
{
    struct tunnel_flow *f;

    if (s->dead)
        return err_set(e, ERR_CLOSED, "the session with %s has ended", s->key);
    if (s->n_flows >= s->c.n_flows_max)
        return err_set(e, ERR_LIMIT, "%zu streams are open to %s already", s->n_flows, s->key);
    if (proto.n + 1 + address.n > s->c.framing->target_max)
        return err_set(e, ERR_INVALID, "address is longer than %zu bytes: " STR_FMT,
                       s->c.framing->target_max, STR_ARG(address));
    f = flow_new(s, ++s->next_number, now_ms);
    f->state = FLOW_OPENING;
    f->target = mem_printf(STR_FMT "/" STR_FMT, STR_ARG(proto), STR_ARG(address));
    f->want_open = true;
    flow_deadline(f, now_ms + timeout_ms);
    tunnel_flow_bind(f, events, arg);
    tunnel_core_kick(f);
    *out = f;
    return 0;
}

void tunnel_flow_bind(struct tunnel_flow *f, const struct tunnel_flow_events *events, void *arg)
{
    f->events = events;
    f->arg = arg;
    kick_rx(f);
}

void tunnel_flow_ready(struct tunnel_flow *f)
{
    if (f->state != FLOW_OPENING)
        return;
    f->state = FLOW_OPEN;
    f->deadline_ms = 0;
}

void tunnel_flow_write(struct tunnel_flow *f, const void *p, size_t n)
{
    struct err e;

    if (n == 0 || (f->state != FLOW_OPENING && f->state != FLOW_OPEN))
        return;
    if (f->tx.n + n > TUNNEL_FLOW_TX_MAX_BYTES) {
        err_set(&e, ERR_LIMIT, "stream %lld: %zu bytes wait unsent", (long long)f->number, f->tx.n);
        tunnel_core_fail(f, &e, "send queue is full");
        return;
    }
    tunnel_fifo_add(&f->tx, p, n);
    tunnel_core_kick(f);
}

size_t tunnel_flow_queued(const struct tunnel_flow *f)
{
    return f->tx.n;
}

void tunnel_flow_pause(struct tunnel_flow *f)
{
    f->reading = false;
}

void tunnel_flow_resume(struct tunnel_flow *f)
{
    f->reading = true;
    kick_rx(f);
}

int64_t tunnel_flow_number(const struct tunnel_flow *f)
{
    return f->number;
}

void tunnel_flow_close(struct tunnel_flow *f, const char *text, bool flush, uint64_t now_ms)
{
    if (f->state == FLOW_ENDED || f->s->dead || (f->want_open && !(flush && f->tx.n))) {
        flow_free(f);
        return;
    }
    f->state = FLOW_CLOSING;
    f->events = NULL;
    if (f->s->current == f)
        f->s->current = NULL; /* no more of its data */
    flow_drop_rx(f);
    list_remove(&f->rx_link);
    f->flush = flush;
    if (!flush)
        tunnel_fifo_deinit(&f->tx);
    f->want_pause = f->want_resume = false;
    f->want_end = true;
    snprintf(f->text, sizeof f->text, "%s", text ? text : "EOF");
    f->deadline_ms = 0;
    if (f->tx.n)
        flow_deadline(f, now_ms + FLUSH_MS);
    tunnel_core_kick(f);
}
