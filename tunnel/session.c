/*
 * Session: flows, queues, turns and deadlines; what is written on the wire is the framing's.
 *
 * Sending is pulled: flows keep their bytes until the connection below has room, then they take
 * turns, one message each. tx_quick holds those with little queued or with something to say beside
 * data; it goes before tx_bulk, but for one turn in QUICK_TURNS_MAX + 1. So a bulk flow cannot put
 * seconds of data in front of an exec or of a pong, and many small ones cannot starve it. What
 * waits is bounded per flow and per session.
 *
 * Receiving is pushed: data goes straight to a flow's owner while it reads, else into the flow's
 * buffer. Ends always go through rx_ready and tunnel_session_deliver, so that owners get them from
 * the loop and after the data.
 *
 * Times. Each flow has at most one deadline: OPENING (no sign from the other end) or CLOSING (the
 * queue does not go out). flow_deadline_ms is a lower bound of them all; when it comes, the flows
 * are looked through once and it is computed anew. Signs of life: tunnel/pulse.h.
 */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "tunnel/framing.h"

#include <stdio.h>

#define OPEN_MS 60000 /* client: K3s' agent gives up a dial after this */

/* Without streams; the agent's pings keep the server quiet. K3s' agents ping as often. */
#define IDLE_CLIENT_MS 5000
#define IDLE_SERVER_MS 5500
#define BUSY_MS        2000

/* ---- life of a session ---------------------------------------------------------------------- */

void tunnel_session_new(struct tunnel_session **out, const struct tunnel_session_config *c,
                        uint64_t now_ms)
{
    struct tunnel_session *s = mem_alloc(sizeof *s);
    bool client = c->role == TUNNEL_CLIENT;
    uint64_t third = c->silence_ms ? c->silence_ms / 3 + 1 : 0;
    uint64_t idle = third ? third : client ? IDLE_CLIENT_MS : IDLE_SERVER_MS;

    s->c = *c;
    s->key = mem_strdup(c->key ? c->key : "");
    s->c.key = s->key;
    s->c.open_ms = c->open_ms ? c->open_ms : OPEN_MS;
    s->c.n_flows_max = c->n_flows_max ? c->n_flows_max : TUNNEL_FLOWS_MAX;
    s->next_id = c->first_id ? c->first_id : (int64_t)(rand_u64() >> 1);
    s->now_ms = now_ms;
    s->next_number = c->framing->number_first - 1; /* counted up before use */
    list_init(&s->flows);
    list_init(&s->tx_quick);
    list_init(&s->tx_bulk);
    list_init(&s->rx_ready);
    list_init(&s->spare);
    s->sync = BUF(s->c.n_flows_max * 8 + TUNNEL_FIFO_HEADROOM);
    s->last_seen_ms = now_ms;
    s->next_sync_ms = client && c->framing->sync_ms ? now_ms + c->framing->sync_ms : UINT64_MAX;
    s->flow_deadline_ms = UINT64_MAX;
    s->rx_grown_max = TUNNEL_RX_MAX_BYTES;
    tunnel_pulse_init(&s->pulse, idle,
                      third                      ? third
                      : c->framing->steady_pings ? idle
                                                 : BUSY_MS,
                      third, now_ms);
    s->pulse.steady = client && c->framing->steady_pings;
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
        tunnel_core_free(f);
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
    return s->pulse.rtt_ms;
}

bool tunnel_session_half_closes(const struct tunnel_session *s)
{
    return s->c.framing->acks;
}

struct str tunnel_session_goodbye(struct tunnel_session *s, const struct err *why)
{
    return s->c.framing->goodbye ? s->c.framing->goodbye(s, why) : str_n(NULL, 0);
}

/* ---- receiving ------------------------------------------------------------------------------ */

void tunnel_session_heard(struct tunnel_session *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    s->last_seen_ms = now_ms;
    tunnel_pulse_heard(&s->pulse, now_ms);
}

void tunnel_session_receive(struct tunnel_session *s, struct str message, uint64_t now_ms)
{
    struct err e;

    if (s->dead)
        return;
    tunnel_session_heard(s, now_ms);
    if (s->c.framing->receive(s, message, now_ms, &e)) {
        if (e.code == ERR_PROTOCOL)
            err_wrap(&e, "%s", s->c.framing->name);
        session_die(s, &e);
    }
}

void tunnel_session_control(struct tunnel_session *s, bool pong, uint64_t now_ms)
{
    if (s->dead)
        return;
    tunnel_session_heard(s, now_ms);
    if (pong)
        tunnel_pulse_pong(&s->pulse, now_ms);
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
            if (s->c.framing->reads)
                s->c.framing->reads(f, n);
            f->events->on_data(f->arg, c->data + c->begin, n);
            free(c);
        }
        if (!s->current)
            continue;
        s->current = NULL;
        if (f->state != FLOW_ENDED && s->c.framing->consumed)
            s->c.framing->consumed(f);
        if (f->rx.n == 0 && f->events)
            tunnel_core_deliver_end(f); /* last: f may be gone */
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

    s->now_ms = now_ms;
    s->work_told = false;
    free(STEAL(s->sent_chunk));
    if (s->dead)
        return false;
    *out = framing->next_session(s);
    if (out->n)
        return true;
    while ((l = tunnel_core_dequeue(s))) {
        struct tunnel_flow *f = container_of(l, struct tunnel_flow, tx_link);
        size_t queued = f->tx.n;
        bool gone = false;

        if (!framing->sendable(f))
            continue;
        *out = framing->next(f, &gone);
        s->tx_bytes -= queued - f->tx.n;
        if (gone) {
            tunnel_core_free(f);
            return true;
        }
        if (framing->sendable(f))
            tunnel_core_enqueue(f);
        if (f->tx.n < queued && f->events && f->events->on_sent)
            f->events->on_sent(f->arg); /* last: f may be gone */
        return true;
    }
    return false;
}

/* ---- time ----------------------------------------------------------------------------------- */

uint64_t tunnel_session_deadline(const struct tunnel_session *s)
{
    uint64_t next = MIN(s->pulse.next_ms, s->flow_deadline_ms);

    if (s->dead)
        return UINT64_MAX;
    if (s->used_up)
        return 0;
    return MIN(next, s->next_sync_ms);
}

void tunnel_session_doubt(struct tunnel_session *s, uint64_t now_ms)
{
    tunnel_pulse_doubt(&s->pulse, now_ms);
}

static void flows_tick(struct tunnel_session *s, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;

    if (now_ms < s->flow_deadline_ms)
        return;
    list_each (f, &s->flows, struct tunnel_flow, all) {
        if (f->deadline_ms && f->deadline_ms <= now_ms)
            tunnel_core_late(f);
        else if (f->deadline_ms)
            next = MIN(next, f->deadline_ms);
    }
    s->flow_deadline_ms = next;
}

static void pulse_tick(struct tunnel_session *s, uint64_t now_ms)
{
    struct err e;

    switch (tunnel_pulse_tick(&s->pulse, now_ms)) {
    case PULSE_WAIT:
        return;
    case PULSE_PING:
        s->c.events->on_ping(s->c.arg);
        return;
    case PULSE_DEAD:
        err_set(&e, ERR_TIMEOUT, "no answer from %s to pings, nothing for %llu ms", s->key,
                (unsigned long long)(now_ms - s->last_seen_ms));
        session_die(s, &e);
    }
}

void tunnel_session_tick(struct tunnel_session *s, uint64_t now_ms)
{
    struct err e;

    s->now_ms = now_ms;
    if (s->dead)
        return;
    if (s->used_up) {
        err_set(&e, ERR_LIMIT, "all stream numbers were used, connect again");
        session_die(s, &e);
        return;
    }
    flows_tick(s, now_ms);
    if (now_ms >= s->next_sync_ms) {
        s->next_sync_ms = now_ms + s->c.framing->sync_ms;
        s->want_sync = true;
        tunnel_core_work(s);
    }
    pulse_tick(s, now_ms); /* last: the session may be dead */
}
