#pragma once
/*
 * Pulse: is the other end alive? Says when to ping and when to give up; no I/O.
 *
 *   HEARD --(nothing for the interval: ping)--> ASKED --(no answer in time: ping)--> ASKED TWICE
 *     ^                                           |                                     |
 *     +----------- anything was heard ------------+-------------------------------------+
 *                                                 |  no answer in time, nor in the grace after it
 *                                                 +------------------------------------> dead
 *
 * The interval is short while somebody would notice (streams are open), longer without, and longer
 * on links whose last round trips all took seconds: a single long one was a hole in the way, and
 * must not make the next one go unnoticed. docs/protocols/tunnel.md has the table. A steady one
 * pings every idle_ms whatever it hears, for peers that count pings. A plain value; all times are
 * milliseconds of one monotonic clock.
 */
#include <stdbool.h>
#include <stdint.h>

enum { TUNNEL_PULSE_RTTS = 4 };

struct tunnel_pulse {
    uint64_t idle_ms, busy_ms;           /* intervals */
    uint64_t answer_ms;                  /* 0: by the round trip */
    uint64_t rtt_ms;                     /* of the last ping that was answered; 0: none */
    uint64_t rtts_ms[TUNNEL_PULSE_RTTS]; /* a ring of them */
    unsigned n_rtts;
    uint64_t heard_ms; /* the last sign of life */
    uint64_t next_ms;  /* call tunnel_pulse_tick then */
    uint64_t asked_ms;
    unsigned n_asked;   /* pings since heard_ms */
    uint64_t pinged_ms; /* the last ping */
    bool steady, busy, timing, judging;
};

/* There is reason to doubt it: a ping is due at once, and one without an answer is enough. */
void tunnel_pulse_doubt(struct tunnel_pulse *p, uint64_t now_ms);
enum tunnel_pulse_do { PULSE_WAIT, PULSE_PING, PULSE_DEAD };

/* The first ping is due at once: it learns the round trip. */
void tunnel_pulse_init(struct tunnel_pulse *p, uint64_t idle_ms, uint64_t busy_ms,
                       uint64_t answer_ms, uint64_t now_ms);
void tunnel_pulse_heard(struct tunnel_pulse *p, uint64_t now_ms); /* anything */
void tunnel_pulse_pong(struct tunnel_pulse *p, uint64_t now_ms);
void tunnel_pulse_busy(struct tunnel_pulse *p, bool busy); /* streams are open */
/* The shortest of the last few; 0: none yet. */
uint64_t tunnel_pulse_rtt_min(const struct tunnel_pulse *p);
enum tunnel_pulse_do tunnel_pulse_tick(struct tunnel_pulse *p, uint64_t now_ms);
