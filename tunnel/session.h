#pragma once
/*
 * Session: one end of a tunnel, without I/O: messages and times in, messages and events out.
 *
 * The owner (tunnel/link.h) feeds what comes from the websocket, asks for messages to send while
 * the connection has room, and calls tick when the deadline has come. A session carries flows: one
 * per dialed connection. The server's end opens them, the client's end is asked to accept them.
 * What differs between wire protocols sits behind struct tunnel_framing (tunnel/framing.h): our
 * own, coracle.v1 (docs/protocols/tunnel.md), and K3s' remotedialer. The latter has no
 * acknowledgement (on_open never comes) and no half-close (on_fin never comes, tunnel_flow_shutdown
 * says false).
 *
 *                 open/on_open                peer ended it
 *   flow:  (none) ------------> OPENING --> OPEN ----------> ENDED --(buffer read)--> on_end, gone
 *                                  |  close   |
 *                                  +----------+---> CLOSING --(queue sent, Error sent)--> gone
 *
 * The pointer of a flow is the owner's until on_end has returned or the owner called
 * tunnel_flow_close; then it is dead. When the session dies, on_end comes for every flow.
 *
 * Events come only from inside tunnel_session_receive, _deliver, _next, _tick, _kill and _free,
 * never from calls on a flow. In an event, everything is allowed but tunnel_session_free.
 * Nothing allocates without a bound: flows per session, bytes per flow and per session, answers
 * waiting. All times are milliseconds of one monotonic clock. One thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

struct tunnel_session;
struct tunnel_flow;
struct tunnel_framing;

/* The wire protocols there are, and the websocket subprotocol that asks for ours. */
extern const struct tunnel_framing tunnel_remotedialer, tunnel_mux;
#define TUNNEL_SUBPROTOCOL "coracle.v1"

enum tunnel_role { TUNNEL_SERVER, TUNNEL_CLIENT };

#define TUNNEL_FLOWS_MAX 1024 /* per session, when the config says 0 */
#define TUNNEL_FLOW_RX_MAX_BYTES                                                                   \
    (16u * 1024 * 1024)                              /* unread; pausing a K3s peer is only advice  \
                                                      */
#define TUNNEL_FLOW_TX_MAX_BYTES (16u * 1024 * 1024) /* unsent; owners should stop at 256 KiB */
#define TUNNEL_RX_MAX_BYTES      (64u * 1024 * 1024) /* unread, all flows of a session */
#define TUNNEL_TX_MAX_BYTES      (64u * 1024 * 1024) /* unsent, all flows of a session */

struct tunnel_session_events {
    /* There is work: call tunnel_session_deliver and tunnel_session_next soon (from the loop).
     * May come from inside calls on flows; do the work later. */
    void (*on_work)(void *arg);
    /* Send a websocket ping. */
    void (*on_ping)(void *arg);
    /* The server wants a connection to address. Keep f (tunnel_flow_bind, then _ready when it is
     * connected) or refuse with tunnel_flow_close(f, "reason", ...). Client's end only. */
    void (*on_open)(void *arg, struct tunnel_flow *f, struct str proto, struct str address);
    /* The session ended by itself (broken protocol, silence); its flows have had their on_end.
     * Not called for tunnel_session_kill. */
    void (*on_dead)(void *arg, const struct err *e);
};

struct tunnel_flow_events {
    void (*on_data)(void *arg, const char *p, size_t n); /* p is valid during the call */
    /* Something of what was queued went out; tunnel_flow_queued tells what is left. */
    void (*on_sent)(void *arg);
    /* Over, both ways. e: NULL for a graceful end, else why. Last event. */
    void (*on_end)(void *arg, const struct err *e);
    /* The peer sends no more; the other direction goes on. NULL: the same as on_end, but f is not
     * gone. */
    void (*on_fin)(void *arg);
    /* Server: the other end has connected the flow. May be NULL. */
    void (*on_open)(void *arg);
};

struct tunnel_session_config {
    enum tunnel_role role;
    const struct tunnel_framing *framing;
    const char *key; /* names the peer in texts: the node on the server; copied */
    /* When a peer that says nothing is given up; 0: as specified, after less than 10 s. Else a
     * third of it is the interval of pings and the time for an answer. */
    uint64_t silence_ms;
    uint64_t open_ms;   /* client: longest time a flow may stay OPENING; 0: 60 s */
    size_t n_flows_max; /* 0: TUNNEL_FLOWS_MAX */
    int64_t first_id;   /* tests: number of the first message; 0: random */
    const struct tunnel_session_events *events;
    void *arg;
};

void tunnel_session_new(struct tunnel_session **out, const struct tunnel_session_config *c,
                        uint64_t now_ms);
void tunnel_session_free(struct tunnel_session *s); /* kills it first; NULL is fine */

/* Bytes came, whatever they are: the other end is alive. The next two say it too. */
void tunnel_session_heard(struct tunnel_session *s, uint64_t now_ms);
/* A whole binary message came. */
void tunnel_session_receive(struct tunnel_session *s, struct str message, uint64_t now_ms);
/* A websocket ping or pong came. */
void tunnel_session_control(struct tunnel_session *s, bool pong, uint64_t now_ms);

/* Hands buffered data and ends to the flows' owners. */
void tunnel_session_deliver(struct tunnel_session *s);
/* The next message to send, flows taking turns; false: nothing to send now. *out is valid until
 * the next call or tunnel_session_free. */
bool tunnel_session_next(struct tunnel_session *s, struct str *out, uint64_t now_ms);

/* There is reason to think that the other end is gone: asks it for a sign of life now, and gives it
 * up after one answer time. */
void tunnel_session_doubt(struct tunnel_session *s, uint64_t now_ms);
/* Call tick at this time (UINT64_MAX: never); it may change with every other call. */
uint64_t tunnel_session_deadline(const struct tunnel_session *s);
void tunnel_session_tick(struct tunnel_session *s, uint64_t now_ms);

/* The connection below is gone, or the owner ends it. Flows end with ERR_CLOSED and a text
 * "tunnel disconnect: <why>". Twice is fine. */
void tunnel_session_kill(struct tunnel_session *s, const struct err *why);
bool tunnel_session_is_dead(const struct tunnel_session *s);
/* The last message, to say why it ends, when the connection still works; before or after the kill.
 * n 0: the protocol has none. Valid until the next call. */
struct str tunnel_session_goodbye(struct tunnel_session *s, const struct err *why);

size_t tunnel_session_n_flows(const struct tunnel_session *s);
uint64_t tunnel_session_last_seen_ms(const struct tunnel_session *s); /* any sign of life */
uint64_t tunnel_session_rtt_ms(const struct tunnel_session *s); /* of the last ping; 0: none */

/* ---- flows ---- */

/* Server: a flow to address as the other end sees it. Without an answer (remotedialer: a byte or an
 * end) from there within timeout_ms it ends with ERR_TIMEOUT. Does not read until
 * tunnel_flow_resume. ERR_CLOSED: the session is dead; ERR_LIMIT: too many flows; ERR_INVALID: the
 * address is too long. */
MUST_USE int tunnel_session_open(struct tunnel_session *s, struct tunnel_flow **out,
                                 struct str proto, struct str address, uint64_t timeout_ms,
                                 uint64_t now_ms, const struct tunnel_flow_events *events,
                                 void *arg, struct err *e);
/* Client, in or after on_open: who hears of it. Data that comes is buffered until _resume. */
void tunnel_flow_bind(struct tunnel_flow *f, const struct tunnel_flow_events *events, void *arg);
void tunnel_flow_ready(struct tunnel_flow *f); /* the dial succeeded */
/* Client, in on_open: how long the server waits for the dial; at most max_ms. */
uint64_t tunnel_flow_timeout_ms(const struct tunnel_flow *f, uint64_t max_ms);

void tunnel_flow_write(struct tunnel_flow *f, const void *p, size_t n);
size_t tunnel_flow_queued(const struct tunnel_flow *f); /* bytes not yet handed out by _next */
void tunnel_flow_pause(struct tunnel_flow *f);          /* no on_data until _resume */
void tunnel_flow_resume(struct tunnel_flow *f);
int64_t tunnel_flow_number(const struct tunnel_flow *f);

/* Ends our direction after what is queued; the peer's goes on. Nothing is written after it. False:
 * the protocol cannot say that, nothing was done. */
bool tunnel_flow_shutdown(struct tunnel_flow *f);
/* Does an end of one direction leave the other? */
bool tunnel_session_half_closes(const struct tunnel_session *s);

/* Ends it both ways and lets go of it: no event comes any more. text: what the other end is told;
 * NULL: a graceful end. flush: what is queued is sent first (30 s at most), else it is dropped. */
void tunnel_flow_close(struct tunnel_flow *f, const char *text, bool flush, uint64_t now_ms);
/* The same for an error: its text, code and errno are what the other end is told. */
void tunnel_flow_fail(struct tunnel_flow *f, const struct err *e, bool flush, uint64_t now_ms);
