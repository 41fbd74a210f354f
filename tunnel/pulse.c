#include "tunnel/pulse.h"

#include "base/core/macros.h"

#define INTERVAL_MAX_MS 30000
#define ANSWER_MIN_MS   2000
#define ANSWER_MAX_MS   15000
/* A process that was stopped must first read what lies in its socket. */
#define GRACE_MS 250
enum { MISSES_MAX = 2, INTERVAL_RTTS = 8, ANSWER_RTTS = 4 };

uint64_t tunnel_pulse_rtt_min(const struct tunnel_pulse *p)
{
    uint64_t ms = p->rtts_ms[0];

    for (unsigned i = 1; i < MIN(p->n_rtts, (unsigned)TUNNEL_PULSE_RTTS); i++)
        ms = MIN(ms, p->rtts_ms[i]);
    return ms;
}

/* 0 until there are several: the first may be a long one. */
static uint64_t usual_rtt(const struct tunnel_pulse *p)
{
    return p->n_rtts < TUNNEL_PULSE_RTTS ? 0 : tunnel_pulse_rtt_min(p);
}

static uint64_t interval(const struct tunnel_pulse *p)
{
    uint64_t base_ms = p->busy ? p->busy_ms : p->idle_ms;

    return MAX(base_ms, MIN(INTERVAL_RTTS * usual_rtt(p), (uint64_t)INTERVAL_MAX_MS));
}

static uint64_t answer(const struct tunnel_pulse *p)
{
    if (p->answer_ms)
        return p->answer_ms;
    return MIN(MAX(ANSWER_RTTS * usual_rtt(p), (uint64_t)ANSWER_MIN_MS), (uint64_t)ANSWER_MAX_MS);
}

void tunnel_pulse_init(struct tunnel_pulse *p, uint64_t idle_ms, uint64_t busy_ms,
                       uint64_t answer_ms, uint64_t now_ms)
{
    *p = (struct tunnel_pulse){ .idle_ms = idle_ms,
                                .busy_ms = busy_ms,
                                .answer_ms = answer_ms,
                                .heard_ms = now_ms,
                                .next_ms = now_ms };
}

void tunnel_pulse_heard(struct tunnel_pulse *p, uint64_t now_ms)
{
    p->heard_ms = now_ms;
    if (p->steady) {
        if (p->n_asked)
            p->next_ms = p->pinged_ms + p->idle_ms;
    } else if (p->rtt_ms || p->timing) /* else the first ping is still due */
        p->next_ms = now_ms + interval(p);
    p->n_asked = 0;
    p->judging = false;
}

void tunnel_pulse_pong(struct tunnel_pulse *p, uint64_t now_ms)
{
    if (p->timing) {
        p->rtt_ms = MAX(now_ms - p->asked_ms, 1u);
        p->rtts_ms[p->n_rtts++ % TUNNEL_PULSE_RTTS] = p->rtt_ms;
    }
    p->timing = false;
    tunnel_pulse_heard(p, now_ms);
}

void tunnel_pulse_busy(struct tunnel_pulse *p, bool busy)
{
    if (p->busy == busy)
        return;
    p->busy = busy;
    if (busy && !p->steady && p->n_asked == 0) /* may be due at once: is it still there? */
        p->next_ms = MIN(p->next_ms, p->heard_ms + interval(p));
}

void tunnel_pulse_doubt(struct tunnel_pulse *p, uint64_t now_ms)
{
    if (p->n_asked >= MISSES_MAX - 1)
        return;
    p->n_asked = MISSES_MAX - 1;
    p->next_ms = now_ms;
}

enum tunnel_pulse_do tunnel_pulse_tick(struct tunnel_pulse *p, uint64_t now_ms)
{
    if (now_ms < p->next_ms)
        return PULSE_WAIT;
    if (p->n_asked == MISSES_MAX) {
        if (p->judging)
            return PULSE_DEAD;
        p->judging = true;
        p->next_ms = now_ms + GRACE_MS;
        return PULSE_WAIT;
    }
    if (!p->timing) { /* a late answer to an earlier one counts from there */
        p->timing = true;
        p->asked_ms = now_ms;
    }
    p->n_asked++;
    p->pinged_ms = now_ms;
    p->next_ms = now_ms + answer(p);
    return PULSE_PING;
}
