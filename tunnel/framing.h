#pragma once
/*
 * Framing: the wire protocol of a session, and what a framing may touch of a session's inside.
 *
 * A framing turns messages into steps of flows (tunnel_core_*) and what flows want into messages.
 * It has no state of its own beside the fields marked below, so that another protocol is one file.
 * Only tunnel/session.c and the framings include this header.
 */
#include "base/core/buf.h"
#include "base/core/list.h"
#include "base/core/mem.h"
#include "tunnel/fifo.h"
#include "tunnel/pulse.h"
#include "tunnel/session.h"

enum tunnel_flow_state { FLOW_OPENING, FLOW_OPEN, FLOW_CLOSING, FLOW_ENDED };

#define TUNNEL_TEXT_MAX 200 /* bytes of an end's text on the wire, at most */

struct tunnel_flow {
    struct tunnel_session *s;
    struct tunnel_flow *hash_next;
    struct list all;     /* in s->flows */
    struct list tx_link; /* in s->tx_quick or s->tx_bulk: may have something to send */
    struct list rx_link; /* in s->rx_ready: has something to deliver */
    int64_t number;
    enum tunnel_flow_state state;
    bool hashed;                 /* found by its number; not after the peer ended it */
    bool reading;                /* the owner takes data */
    bool flush;                  /* CLOSING: the queue goes out first */
    bool failed;                 /* ENDED with an error of ours: what is buffered is dropped */
    bool heard;                  /* the peer sent something on it */
    bool bulk;                   /* waits in tx_bulk, if it waits */
    bool fin_received, fin_told; /* the peer's direction ended; its owner knows */
    /* the framing's */
    bool want_open, want_pause, want_resume, want_end; /* messages to send */
    bool peer_paused;                                  /* the peer takes no data now */
    bool sent_pause;                                   /* we told the peer to stop */
    bool sync_absent;                                  /* the peer's last list lacked it */
    bool want_ok, want_credit, want_fin;               /* messages to send, with credit */
    bool acked, fin_sent;                              /* OPEN-OK, FIN went through */
    uint32_t tx_credit;                                /* so much may be sent */
    /* rx_credit (granted, not used) + rx.n + rx_taken (read, not granted again) == rx_window */
    uint32_t rx_credit, rx_taken, rx_window;
    uint64_t rate_ms, rate_bytes;  /* granted again so much since then */
    uint64_t large_ms;             /* when more than a key stroke came; 0: never */
    uint64_t born_ms, deadline_ms; /* deadline_ms 0: none */
    uint64_t timeout_ms;           /* the server's dial */
    struct tunnel_fifo tx, rx;
    char *target;   /* "proto/address" until it was sent */
    struct err end; /* ENDED: code 0 for a graceful end */
    /* want_end: what the peer will be told; "" and ERR_OK for a graceful end */
    char text[TUNNEL_TEXT_MAX + 1];
    enum err_code told_code;
    int told_sys;
    const struct tunnel_flow_events *events;
    void *arg;
};

#define TUNNEL_ANSWERS_MAX 64 /* waiting answers about streams we do not have; more are dropped */
struct tunnel_answer {
    int64_t number;
    char text[TUNNEL_TEXT_MAX + 1];
};

enum { TUNNEL_HASH = 64 };

struct tunnel_session {
    struct tunnel_session_config c;
    char *key;
    bool dead, work_told;
    size_t n_flows;
    size_t rx_bytes, tx_bytes;     /* in all flows' queues */
    size_t rx_grown, rx_grown_max; /* framing: windows above their first size, all flows' */
    int64_t next_number;           /* the last stream number given out, or seen by the client */
    int64_t next_id;               /* framing: of the next message */
    struct list flows, tx_quick, tx_bulk, rx_ready, spare;
    size_t n_spare;
    unsigned n_quick; /* turns since the last one of tx_bulk */
    struct tunnel_flow *hash[TUNNEL_HASH];
    struct tunnel_flow *current;   /* the flow whose event runs; NULL once it is gone */
    struct tunnel_answer *answers; /* ring, made with the first one */
    size_t answers_first, n_answers;
    struct tunnel_chunk *sent_chunk;        /* what the last message from _next points into */
    char small[TUNNEL_FIFO_HEADROOM + 280]; /* or here: messages that carry no data */
    struct buf sync;                        /* or here: framing, the list of streams */
    uint64_t now_ms;                        /* as the last call had it */
    int64_t key_number;                     /* framing: on which stream that was */
    uint64_t key_ms; /* framing: when somebody last sent a little; 0: never */
    uint64_t last_seen_ms;
    struct tunnel_pulse pulse;
    uint64_t next_sync_ms;     /* client */
    uint64_t flow_deadline_ms; /* no flow's deadline is earlier; UINT64_MAX: none */
    bool want_sync;
    bool used_up; /* no stream number is left: the next tick ends it */
};

struct tunnel_framing {
    const char *name;
    size_t target_max; /* bytes of "proto/address" */
    int64_t number_first, number_max;
    uint64_t sync_ms; /* client: want_sync is set so often; 0: never */
    /* Opens are acknowledged, every end is told to the peer, each direction ends by itself; without
     * it, as remotedialer does. */
    bool acks;
    /* The client's pings are counted by the peer: they come at an even pace, and neither end asks
     * more often while streams are open. */
    bool steady_pings;
    /* f is new. May be NULL. */
    void (*start)(struct tunnel_flow *f);
    /* f is about to be freed. May be NULL. */
    void (*stop)(struct tunnel_flow *f);
    /* ERR_PROTOCOL ends the session. Events of flows come last. */
    int (*receive)(struct tunnel_session *s, struct str message, uint64_t now_ms, struct err *e);
    /* Has f something that may go out now? */
    bool (*sendable)(const struct tunnel_flow *f);
    /* Makes the next message of f (sendable said yes); *gone: it was its end, f is to be freed. */
    struct str (*next)(struct tunnel_flow *f, bool *gone);
    /* The next message of the session itself; n 0: none. */
    struct str (*next_session)(struct tunnel_session *s);
    void (*buffered)(struct tunnel_flow *f); /* bytes were added to f->rx. May be NULL. */
    /* n bytes go to the owner now, past f->rx or from it. May be NULL. */
    void (*reads)(struct tunnel_flow *f, size_t n);
    /* The owner has taken what it wants from f->rx. May be NULL. */
    void (*consumed)(struct tunnel_flow *f);
    /* The last message of the session, to say why it ends. NULL: there is none. */
    struct str (*goodbye)(struct tunnel_session *s, const struct err *why);
};

/* For framings. */
struct tunnel_flow *tunnel_core_find(struct tunnel_session *s, int64_t number);
/* The peer opens a flow. NULL: too many. */
struct tunnel_flow *tunnel_core_accept(struct tunnel_session *s, int64_t number, uint64_t now_ms);
/* The peer acknowledged f. An event may come. */
void tunnel_core_opened(struct tunnel_flow *f);
/* The peer ended its direction: buffered data first, then on_fin. */
void tunnel_core_fin(struct tunnel_flow *f);
/* Delivers or buffers; ends the flow past its limits. An event may come from inside. */
void tunnel_core_data(struct tunnel_flow *f, struct str data, uint64_t now_ms);
/* The peer ended it (e NULL: gracefully): buffered data first, then on_end. An event may come. */
void tunnel_core_ended(struct tunnel_flow *f, const struct err *e);
/* We end it for a reason of ours: the peer gets text (and e's code), the owner on_end with e. */
void tunnel_core_fail(struct tunnel_flow *f, const struct err *e, const char *text);
/* Answers the peer about a stream that is not (or no longer) there. */
void tunnel_core_answer(struct tunnel_session *s, int64_t number, struct str text);
/* Something may have become sendable. */
void tunnel_core_kick(struct tunnel_flow *f);
void tunnel_core_work(struct tunnel_session *s);

/* ---- between session.c and flow.c ---- */

struct tunnel_flow *tunnel_core_new(struct tunnel_session *s, int64_t number, uint64_t now_ms);
void tunnel_core_free(struct tunnel_flow *f);
void tunnel_core_deadline(struct tunnel_flow *f, uint64_t deadline_ms);
/* Something may have to be delivered. */
void tunnel_core_kick_rx(struct tunnel_flow *f);
/* f's deadline has come. */
void tunnel_core_late(struct tunnel_flow *f);
/* Nothing is buffered: the end of the peer's direction, or of all, if it came. f may be gone. */
void tunnel_core_deliver_end(struct tunnel_flow *f);
/* Takes its place among those that want to send; the next one's link, NULL: there is none. */
void tunnel_core_enqueue(struct tunnel_flow *f);
struct list *tunnel_core_dequeue(struct tunnel_session *s);
