#pragma once
/*
 * Tunnel server: the server's end of all nodes' tunnels, and dialing through them.
 *
 * Keeps the sessions of every node. A node may have several for a moment (it reconnected before
 * the old connection was known to be dead): the newest is used for dials. An older one ends at once
 * when the same client of the node connected again (it says so, with our own protocol) or when
 * there are more than four; else it is asked for a sign of life and ends if none comes. What is
 * known of a node stays after its session ended (tunnel_server_node), until tunnel_server_forget.
 *
 *   tunnel_server_accept --> session --> tunnel_server_dial* --> struct stream
 *                               |  silence, closed, protocol error
 *                               v
 *                             gone: its streams fail with ERR_CLOSED "tunnel disconnect: ..."
 *
 * An agent of ours speaks our own protocol (docs/protocols/tunnel.md), others remotedialer
 * (docs/protocols/remotedialer.md). Loop thread only.
 */
#include "base/http/client.h"
#include "base/http/server.h"

struct tunnel_server;

struct tunnel_server_config {
    uint64_t silence_ms;   /* as in struct tunnel_session_config; 0: less than 10 s */
    bool remotedialer;     /* never choose our own protocol; for tests and comparisons */
    size_t n_sessions_max; /* 0: 8192; above it a connect is answered with 503 */
    size_t n_streams_max;  /* per session; 0: 1024; a dial above it fails with ERR_LIMIT */
    /* A node's first session came (true) or its last one went (false). May be NULL. */
    void (*on_node)(void *arg, const char *node, bool connected);
    void *arg;
};

void tunnel_server_new(struct tunnel_server **out, uv_loop_t *loop,
                       const struct tunnel_server_config *c);

/* GET /v1-k3s/connect by a request that is already authenticated as system:node:<node>. Answers
 * it: 101, 400 (not a websocket upgrade), 503 (too many). Call it inside on_request. */
void tunnel_server_accept(struct tunnel_server *ts, struct http_req *r, struct str node);

/* Opens a stream to address ("127.0.0.1:10250", as the agent sees it) on a node. done comes once,
 * from the loop, never from inside; on success s is yours, not opened yet.
 *
 * An agent that speaks our own protocol answers: done gets s when the agent has connected, else why
 * not: ERR_IO (sys: the agent's errno) "node X: dial tcp 127.0.0.1:10250: connect: connection
 * refused", ERR_DENIED "node X: not allowed: tcp/127.0.0.1:22", ERR_TIMEOUT, ERR_CLOSED (the tunnel
 * ended meanwhile). Each direction of s ends by itself (on_end, stream_shutdown).
 *
 * The remotedialer protocol has no acknowledgement: s is handed out when the Connect is queued. If
 * the agent then answers with an Error before the first byte, or nothing within timeout_ms of the
 * dial, the stream breaks with on_error and the same texts. A later Error ends it with on_end
 * (graceful) or on_error. There is no half-close: stream_shutdown has no effect on the wire,
 * stream_close ends both ways.
 *
 * Errors of done with both: ERR_NOT_FOUND "failed to find Session for client X" (K3s' words,
 * callers match them), ERR_LIMIT, ERR_CANCELED (it was asked for, or the server closes),
 * ERR_INVALID (address too long). */
void tunnel_server_dial(struct tunnel_server *ts, const char *node, const char *address,
                        uint64_t timeout_ms, http_dialed_fn done, void *arg);

/* The dial that was begun with arg, if it still runs, is given up, and the node told: done comes
 * soon, with ERR_CANCELED. */
void tunnel_server_dial_cancel(struct tunnel_server *ts, const void *arg);

/* The same as an http_dial_fn: for http_endpoint_config.dial = tunnel_server_http_dial with
 * .dial_arg = a struct tunnel_dial_target that outlives the endpoint. */
struct tunnel_dial_target {
    struct tunnel_server *ts;
    const char *node;
    const char *address;
};
void tunnel_server_http_dial(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg);

bool tunnel_server_has(const struct tunnel_server *ts, const char *node);
size_t tunnel_server_n_sessions(const struct tunnel_server *ts);

/* What is known about a node's tunnel, for `node why`, conditions and 502 bodies. */
struct tunnel_node_state {
    bool connected;
    size_t n_sessions;
    size_t n_streams;     /* of the session that dials use */
    int64_t since_unix_s; /* when it became connected or disconnected */
    uint64_t last_frame_ago_ms;
    uint64_t n_connects;  /* since this server started */
    uint64_t rtt_ms;      /* of the last ping of that session; 0: none (remotedialer) */
    bool own_protocol;    /* of that session: coracle.v1, else remotedialer */
    char remote[64];      /* address and port the newest session came, or last came, from */
    char last_error[256]; /* why the last session ended; "" when none has yet */
};
/* False: this node never connected since the server started (or was forgotten). */
bool tunnel_server_node(const struct tunnel_server *ts, const char *node,
                        struct tunnel_node_state *out);
/* The node was deleted: closes its sessions and drops what is known. */
void tunnel_server_forget(struct tunnel_server *ts, const char *node);

/* Ends every session, and dials under way and to come with ERR_CANCELED, so that nobody who still
 * uses it waits for a node; what is known of nodes is forgotten. Streams handed out break and stay
 * their owners' to close. For an orderly stop, before tunnel_server_close. */
void tunnel_server_stop(struct tunnel_server *ts);

/* The same if it was not stopped yet; then done (may be NULL) is called and it is gone. */
void tunnel_server_close(struct tunnel_server *ts, void (*done)(void *arg), void *arg);
