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
#include "tunnel/session.h"

enum tunnel_flow_state { FLOW_OPENING, FLOW_OPEN, FLOW_CLOSING, FLOW_ENDED };

#define TUNNEL_TEXT_MAX 100 /* bytes of an end's text on the wire */

struct tunnel_flow {
    struct tunnel_session *s;
    struct tunnel_flow *hash_next;
    struct list all;     /* in s->flows */
    struct list tx_link; /* in s->tx_ready: may have something to send */
    struct list rx_link; /* in s->rx_ready: has something to deliver */
    int64_t number;
    enum tunnel_flow_state state;
    bool hashed;  /* found by its number; not after the peer ended it */
    bool reading; /* the owner takes data */
    bool flush;   /* CLOSING: the queue goes out first */
    bool failed;  /* ENDED with an error of ours: what is buffered is dropped */
    bool heard;   /* the peer sent something on it */
    /* the framing's */
    bool want_open, want_pause, want_resume, want_end; /* messages to send */
    bool peer_paused;                                  /* the peer takes no data now */
    bool sent_pause;                                   /* we told the peer to stop */
    bool sync_absent;                                  /* the peer's last list lacked it */
    uint64_t born_ms, deadline_ms;                     /* deadline_ms 0: none */
    struct tunnel_fifo tx, rx;
    char *target;                   /* "proto/address" until it was sent */
    struct err end;                 /* ENDED: code 0 for a graceful end */
    char text[TUNNEL_TEXT_MAX + 1]; /* CLOSING: what the peer will be told */
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
    size_t rx_bytes;
    int64_t next_number; /* server: the last stream number given out */
    int64_t next_id;     /* framing: of the next message */
    struct list flows, tx_ready, rx_ready, spare;
    size_t n_spare;
    struct tunnel_flow *hash[TUNNEL_HASH];
    struct tunnel_flow *current;   /* the flow whose event runs; NULL once it is gone */
    struct tunnel_answer *answers; /* ring, made with the first one */
    size_t answers_first, n_answers;
    struct tunnel_chunk *sent_chunk;        /* what the last message from _next points into */
    char small[TUNNEL_FIFO_HEADROOM + 280]; /* or here: messages that carry no data */
    struct buf sync;                        /* or here: framing, the list of streams */
    uint64_t last_seen_ms, last_control_ms, ping_sent_ms, rtt_ms;
    uint64_t next_ping_ms, next_sync_ms; /* client */
    uint64_t flow_deadline_ms;           /* no flow's deadline is earlier; UINT64_MAX: none */
    bool want_sync, ping_open, silent;
};

struct tunnel_framing {
    const char *name;
    size_t target_max; /* bytes of "proto/address" */
    uint64_t sync_ms;  /* client: want_sync is set so often; 0: never */
    /* ERR_PROTOCOL ends the session. Events of flows come last. */
    int (*receive)(struct tunnel_session *s, struct str message, uint64_t now_ms, struct err *e);
    /* Has f something that may go out now? */
    bool (*sendable)(const struct tunnel_flow *f);
    /* Makes the next message of f (sendable said yes); *gone: it was its end, f is to be freed. */
    struct str (*next)(struct tunnel_flow *f, bool *gone);
    /* The next message of the session itself; n 0: none. */
    struct str (*next_session)(struct tunnel_session *s);
    void (*buffered)(struct tunnel_flow *f); /* bytes were added to f->rx */
    void (*consumed)(struct tunnel_flow *f); /* bytes were taken from f->rx */
};

/* For framings. */
struct tunnel_flow *tunnel_core_find(struct tunnel_session *s, int64_t number);
/* The peer opens a flow. NULL: too many. */
struct tunnel_flow *tunnel_core_accept(struct tunnel_session *s, int64_t number, uint64_t now_ms);
/* Delivers or buffers; ends the flow past its limits. An event may come from inside. */
void tunnel_core_data(struct tunnel_flow *f, struct str data, uint64_t now_ms);
/* The peer ended it (e NULL: gracefully): buffered data first, then on_end. An event may come. */
void tunnel_core_ended(struct tunnel_flow *f, const struct err *e);
/* We end it for a reason of ours: the peer gets text, the owner on_end with e. */
void tunnel_core_fail(struct tunnel_flow *f, const struct err *e, const char *text);
/* Answers the peer about a stream that is not (or no longer) there. */
void tunnel_core_answer(struct tunnel_session *s, int64_t number, struct str text);
/* Something may have become sendable. */
void tunnel_core_kick(struct tunnel_flow *f);
void tunnel_core_work(struct tunnel_session *s);
