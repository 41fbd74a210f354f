/*
 * Flow: one stream of a session: its table, its queues, its ends, and its owner's calls. What makes
 * sessions live and die, and time, are in session.c; both share framing.h.
 */
#include "tunnel/framing.h"

#include <stdio.h>

#define FLUSH_MS    30000
#define QUICK_BYTES (4u * 1024) /* a flow with no more queued goes before bulk */

enum { SPARE_MAX = 2, QUICK_TURNS_MAX = 8 }; /* spare: flows kept for reuse */

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

void tunnel_core_deadline(struct tunnel_flow *f, uint64_t deadline_ms)
{
    f->deadline_ms = deadline_ms;
    if (deadline_ms)
        f->s->flow_deadline_ms = MIN(f->s->flow_deadline_ms, deadline_ms);
}

struct tunnel_flow *tunnel_core_new(struct tunnel_session *s, int64_t number, uint64_t now_ms)
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
    tunnel_pulse_busy(&s->pulse, true);
    if (s->c.framing->start)
        s->c.framing->start(f);
    return f;
}

static void flow_drop_rx(struct tunnel_flow *f)
{
    f->s->rx_bytes -= f->rx.n;
    tunnel_fifo_deinit(&f->rx);
}

static void flow_drop_tx(struct tunnel_flow *f)
{
    f->s->tx_bytes -= f->tx.n;
    tunnel_fifo_deinit(&f->tx);
}

void tunnel_core_free(struct tunnel_flow *f)
{
    struct tunnel_session *s = f->s;

    if (s->c.framing->stop)
        s->c.framing->stop(f);
    flow_unhash(f);
    flow_drop_rx(f);
    flow_drop_tx(f);
    list_remove(&f->tx_link);
    list_remove(&f->rx_link);
    list_remove(&f->all);
    free(f->target);
    f->target = NULL;
    if (s->current == f)
        s->current = NULL;
    s->n_flows--;
    tunnel_pulse_busy(&s->pulse, s->n_flows > 0);
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

/* Takes its place in a ring; one that became urgent in tx_bulk moves. */
void tunnel_core_enqueue(struct tunnel_flow *f)
{
    bool bulk = f->tx.n > QUICK_BYTES && !f->want_open && !f->want_ok && !f->want_credit;

    if (!list_empty(&f->tx_link)) {
        if (bulk || !f->bulk)
            return;
        list_remove(&f->tx_link);
    }
    f->bulk = bulk;
    list_push(bulk ? &f->s->tx_bulk : &f->s->tx_quick, &f->tx_link);
}

struct list *tunnel_core_dequeue(struct tunnel_session *s)
{
    struct list *l = NULL;

    if (s->n_quick < QUICK_TURNS_MAX || list_empty(&s->tx_bulk))
        l = list_pop(&s->tx_quick);
    s->n_quick = l ? s->n_quick + 1 : 0;
    return l ? l : list_pop(&s->tx_bulk);
}

void tunnel_core_kick(struct tunnel_flow *f)
{
    if (f->s->dead || !f->s->c.framing->sendable(f))
        return;
    tunnel_core_enqueue(f);
    tunnel_core_work(f->s);
}

static bool deliverable(const struct tunnel_flow *f)
{
    if (f->state == FLOW_CLOSING || !f->events)
        return false;
    if (f->rx.n > 0)
        return f->reading;
    return f->state == FLOW_ENDED || (f->fin_received && !f->fin_told);
}

void tunnel_core_kick_rx(struct tunnel_flow *f)
{
    if (!deliverable(f))
        return;
    if (list_empty(&f->rx_link))
        list_push(&f->s->rx_ready, &f->rx_link);
    tunnel_core_work(f->s);
}

/* ---- what the peer does ---- */

struct tunnel_flow *tunnel_core_accept(struct tunnel_session *s, int64_t number, uint64_t now_ms)
{
    struct tunnel_flow *f;

    if (s->n_flows >= s->c.n_flows_max)
        return NULL;
    f = tunnel_core_new(s, number, now_ms);
    f->state = FLOW_OPENING;
    tunnel_core_deadline(f, now_ms + s->c.open_ms);
    return f;
}

void tunnel_core_data(struct tunnel_flow *f, struct str data, uint64_t now_ms)
{
    struct tunnel_session *s = f->s;
    struct err e;

    s->now_ms = now_ms;
    f->heard = true;
    if (f->state == FLOW_CLOSING || data.n == 0) /* the end that is on its way answers it */
        return;
    if (f->state == FLOW_OPENING && s->c.role == TUNNEL_SERVER && !s->c.framing->acks) {
        f->state = FLOW_OPEN;
        f->deadline_ms = 0;
    }
    if (f->reading && f->rx.n == 0 && f->events) {
        if (s->c.framing->reads)
            s->c.framing->reads(f, data.n);
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
    tunnel_core_kick_rx(f);
    if (s->c.framing->buffered)
        s->c.framing->buffered(f);
}

void tunnel_core_opened(struct tunnel_flow *f)
{
    f->heard = true;
    if (f->state != FLOW_OPENING)
        return;
    f->state = FLOW_OPEN;
    f->deadline_ms = 0;
    if (f->events && f->events->on_open)
        f->events->on_open(f->arg); /* last: f may be gone */
}

void tunnel_core_fin(struct tunnel_flow *f)
{
    f->heard = f->fin_received = true;
    tunnel_core_kick_rx(f);
}

/* True: its owner had let go of it before, and it is freed. */
static bool flow_end(struct tunnel_flow *f, const struct err *e)
{
    flow_unhash(f);
    flow_drop_tx(f);
    list_remove(&f->tx_link);
    f->deadline_ms = 0;
    f->want_credit = f->want_ok = f->want_fin = false;
    if (f->state == FLOW_CLOSING) {
        tunnel_core_free(f);
        return true;
    }
    f->state = FLOW_ENDED;
    if (e)
        f->end = *e;
    tunnel_core_kick_rx(f);
    return false;
}

void tunnel_core_ended(struct tunnel_flow *f, const struct err *e)
{
    f->heard = true;
    err_ignore(flow_end(f, e)); /* gone or not, we are done with it */
}

static void end_text(struct tunnel_flow *f, const struct err *e, const char *text)
{
    f->told_code = e->code;
    f->told_sys = e->sys;
    snprintf(f->text, sizeof f->text, "%.*s", TUNNEL_TEXT_MAX, text);
}

void tunnel_core_fail(struct tunnel_flow *f, const struct err *e, const char *text)
{
    bool tell = !f->want_open; /* else the peer never heard of it */
    bool acks = f->s->c.framing->acks;

    if (tell && !acks)
        tunnel_core_answer(f->s, f->number, str_of(text));
    flow_drop_rx(f);
    if (flow_end(f, e) || !tell || !acks)
        return;
    f->want_end = true; /* the flow stays until this is sent and its owner knows */
    end_text(f, e, text);
    tunnel_core_kick(f);
}

void tunnel_core_deliver_end(struct tunnel_flow *f)
{
    const struct tunnel_flow_events *events = f->events;
    void *arg = f->arg;
    struct err e = f->end;

    if (f->state == FLOW_ENDED) {
        if (f->want_end) { /* next frees it */
            f->state = FLOW_CLOSING;
            f->events = NULL;
        } else {
            tunnel_core_free(f);
        }
        events->on_end(arg, e.code ? &e : NULL);
    } else if (f->fin_received && !f->fin_told) {
        f->fin_told = true;
        if (events->on_fin)
            events->on_fin(arg);
    }
}

void tunnel_core_late(struct tunnel_flow *f)
{
    struct err e;

    if (f->state == FLOW_CLOSING) {
        flow_drop_tx(f);
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
    if (s->next_number >= s->c.framing->number_max) {
        s->used_up = true;
        tunnel_core_work(s);
        return err_set(e, ERR_AGAIN, "no stream number to %s is left, it connects again", s->key);
    }
    s->now_ms = now_ms;
    f = tunnel_core_new(s, ++s->next_number, now_ms);
    f->state = FLOW_OPENING;
    f->timeout_ms = timeout_ms;
    f->target = mem_printf(STR_FMT "/" STR_FMT, STR_ARG(proto), STR_ARG(address));
    f->want_open = true;
    tunnel_core_deadline(f, now_ms + timeout_ms);
    tunnel_flow_bind(f, events, arg);
    tunnel_core_kick(f);
    *out = f;
    return 0;
}

void tunnel_flow_bind(struct tunnel_flow *f, const struct tunnel_flow_events *events, void *arg)
{
    f->events = events;
    f->arg = arg;
    tunnel_core_kick_rx(f);
}

void tunnel_flow_ready(struct tunnel_flow *f)
{
    if (f->state != FLOW_OPENING)
        return;
    f->state = FLOW_OPEN;
    f->deadline_ms = 0;
    f->want_ok = f->s->c.framing->acks;
    tunnel_core_kick(f);
}

uint64_t tunnel_flow_timeout_ms(const struct tunnel_flow *f, uint64_t max_ms)
{
    return f->timeout_ms ? MIN(f->timeout_ms, max_ms) : max_ms;
}

void tunnel_flow_write(struct tunnel_flow *f, const void *p, size_t n)
{
    struct err e;

    if (n == 0 || (f->state != FLOW_OPENING && f->state != FLOW_OPEN) || f->want_fin || f->fin_sent)
        return;
    if (f->tx.n + n > TUNNEL_FLOW_TX_MAX_BYTES || f->s->tx_bytes + n > TUNNEL_TX_MAX_BYTES) {
        err_set(&e, ERR_LIMIT, "stream %lld: %zu bytes wait unsent", (long long)f->number, f->tx.n);
        tunnel_core_fail(f, &e, "send queue is full");
        return;
    }
    tunnel_fifo_add(&f->tx, p, n);
    f->s->tx_bytes += n;
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
    tunnel_core_kick_rx(f);
}

int64_t tunnel_flow_number(const struct tunnel_flow *f)
{
    return f->number;
}

bool tunnel_flow_shutdown(struct tunnel_flow *f)
{
    if (!f->s->c.framing->acks)
        return false;
    if ((f->state != FLOW_OPENING && f->state != FLOW_OPEN) || f->fin_sent)
        return true;
    f->want_fin = true;
    tunnel_core_kick(f);
    return true;
}

static void flow_let_go(struct tunnel_flow *f, bool flush, uint64_t now_ms)
{
    f->s->now_ms = now_ms;
    if (f->state == FLOW_ENDED && f->want_end) { /* next frees it */
        f->state = FLOW_CLOSING;
        f->events = NULL;
        list_remove(&f->rx_link);
        if (f->s->current == f)
            f->s->current = NULL;
        return;
    }
    if (f->state == FLOW_ENDED || f->s->dead || (f->want_open && !(flush && f->tx.n))) {
        tunnel_core_free(f);
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
        flow_drop_tx(f);
    f->want_pause = f->want_resume = f->want_credit = f->want_fin = false;
    f->want_end = true;
    f->deadline_ms = 0;
    if (f->tx.n)
        tunnel_core_deadline(f, now_ms + FLUSH_MS);
    tunnel_core_kick(f);
}

void tunnel_flow_close(struct tunnel_flow *f, const char *text, bool flush, uint64_t now_ms)
{
    struct err e = { .code = text ? ERR_IO : ERR_OK };

    if (f->state != FLOW_ENDED)
        end_text(f, &e, text ? text : "");
    flow_let_go(f, flush, now_ms);
}

void tunnel_flow_fail(struct tunnel_flow *f, const struct err *e, bool flush, uint64_t now_ms)
{
    if (f->state != FLOW_ENDED)
        end_text(f, e, e->text);
    flow_let_go(f, flush, now_ms);
}
