#pragma once
/*
 * Link: a session on a websocket: moves messages, keeps the session's time, ends both together.
 *
 * Messages go out while little is queued below, so that a pong waits for no more than that. The
 * tunnel's peers close by dropping the connection; a Close frame is answered and treated the same.
 *
 *   tunnel_link_new --> (session events) --> on_dead --> tunnel_link_close --> on_closed, gone
 *
 * Loop thread only.
 */
#include "base/io/stream.h"
#include "tunnel/session.h"

struct tunnel_link;

struct tunnel_link_config {
    enum tunnel_role role;
    const struct tunnel_framing *framing;
    const char *key; /* as in struct tunnel_session_config, like the next two */
    uint64_t silence_ms;
    size_t n_flows_max;
    /* Client: as in struct tunnel_session_events. */
    void (*on_open)(void *arg, struct tunnel_flow *f, struct str proto, struct str address);
    /* The session ended by itself: ERR_CLOSED (by the peer), ERR_TIMEOUT (silence), ERR_PROTOCOL,
     * ERR_IO. What is left to do is tunnel_link_close. Never from inside a call. */
    void (*on_dead)(void *arg, const struct err *e);
    void (*on_closed)(void *arg); /* the link is gone */
    void *arg;
};

/* Takes the connection of a completed upgrade, and what was read behind its head. */
void tunnel_link_new(struct tunnel_link **out, struct stream *stream_take, struct str leftover,
                     const struct tunnel_link_config *c);
/* Ends the session (its flows end with ERR_CLOSED "tunnel disconnect: <why>") and the connection;
 * with our own framing the other end is told why, if it is there (1 s at most). Once. */
void tunnel_link_close(struct tunnel_link *l, const char *why);

/* As tunnel_session_doubt. */
void tunnel_link_doubt(struct tunnel_link *l);

struct tunnel_session *tunnel_link_session(struct tunnel_link *l);
