#pragma once
/*
 * The inside of the server: what server.c (connections, deadlines), server_req.c (requests,
 * whatever the protocol), server_h1.c and server_h2.c share. Nobody else includes it.
 *
 * Events of a connection (bytes, drain, end, deadlines, the due list) enter at the top level; only
 * there requests end and connections go. Calls of a handler never call back: they change state and
 * put the connection on the due list, which runs once before the loop sleeps.
 */
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/http/server.h"

struct http_conn;
struct h1_side;
struct h2_side;
struct h2_stream;

/* What waits for a deadline; each list has one duration, so its order is that of the deadlines. */
enum wait { WAIT_NONE, WAIT_HEADER, WAIT_IDLE };

struct proto_ops {
    void (*data)(struct http_conn *c, const char *p, size_t n);
    void (*step)(struct http_conn *c); /* from the due list */
    void (*drain)(struct http_conn *c);
    void (*late)(struct http_conn *c, enum wait w); /* the deadline passed; close */
    void (*leave)(struct http_conn *c);             /* say goodbye if there is a way; then close */
    void (*fail)(struct http_conn *c, const struct err *e); /* every request ends with e */
    void (*free)(struct http_conn *c);
    /* requests */
    void (*reply)(struct http_req *r, int status, const struct http_header *headers,
                  size_t n_headers, int64_t length, struct str body, bool whole);
    void (*write)(struct http_req *r, const void *p, size_t n);
    size_t (*queued)(const struct http_req *r);
    void (*end)(struct http_req *r);
    void (*abort)(struct http_req *r);
    void (*go_on)(struct http_req *r); /* the handler wants the body: 100 Continue */
    void (*consumed)(struct http_req *r, size_t n);
    void (*due)(struct http_req *r); /* step this request soon */
};
extern const struct proto_ops server_h1_ops, server_h2_ops;
void server_h1_start(struct http_conn *c);
void server_h2_start(struct http_conn *c);

struct http_server {
    uv_loop_t *loop;
    struct http_server_config config;
    struct list conns; /* http_conn.in_server */
    size_t n_conns;
    struct list due;            /* http_conn.in_due */
    struct list headers, idles; /* http_conn.in_wait */
    struct list bodies;         /* http_req.in_wait */
    uv_idle_t idle;             /* runs the due list */
    uv_timer_t timer;           /* the earliest deadline */
    uint64_t timer_at_ms;
    bool leaving, closing, handles_closing;
    unsigned n_handles;
    void (*done)(void *arg);
    void *done_arg;
    /* Not static: each role of a process has its server on a thread of its own. */
    struct log_limit log_full, log_reserve, log_bad_head;
    int64_t date_s;
    char date[32];
    struct buf h2_out; /* during one connection's pull: thousands of idle ones need none */
};
#define H2_OUT_MAX_BYTES (512u * 1024) /* what one pull may bring, and a frame more */

struct http_conn {
    struct http_server *server;
    struct stream *stream; /* NULL once it was handed over */
    struct list in_server, in_due, in_wait;
    enum wait wait;
    uint64_t deadline_ms;
    const struct proto_ops *ops; /* NULL until the first bytes came */
    struct h1_side *h1;
    struct h2_side *h2;
    struct buf in;   /* bytes nobody has consumed yet */
    bool closing;    /* stream_close or _flushed was called, or the stream was handed over */
    bool first_done; /* a head has come, so the header deadline of the accept is over */
    bool reserved;   /* it came when only the reserve was left */
    void *peer_data;
    void (*peer_release)(void *data);
};

enum reply_state { REPLY_NONE, REPLY_STREAMING, REPLY_ENDED };

struct http_req {
    struct http_conn *conn;
    struct h2_stream *h2; /* NULL on h1 */
    struct list in_conn, in_due, in_wait;
    uint64_t deadline_ms;

    struct str method, target, path, query, host;
    const struct http_headers *headers;
    int64_t content_length;
    bool has_body, is_head;

    const struct http_req_events *events; /* NULL until accepted */
    void *arg;

    bool fresh;      /* on_request is still to be called */
    bool paused;     /* by the handler */
    bool body_ended; /* the peer has sent all of it */
    bool end_told;
    bool drain_due;
    bool set_close;
    bool aborted;
    bool done;       /* on_done was called */
    struct buf held; /* body that nobody took yet */
    size_t owed;     /* of it, what ops->consumed has not been told of */
    size_t body_max; /* of http_req_read_body */
    void (*body_done)(struct http_req *r, void *arg, struct str body);
    enum reply_state reply;
};

/* ---- server.c ---- */
void conn_due(struct http_conn *c);                       /* ops->step soon */
void conn_wait(struct http_conn *c, enum wait w);         /* starts w's deadline, unless it runs */
void conn_close(struct http_conn *c);                     /* at once; requests must have ended */
void conn_close_flushed(struct http_conn *c);             /* what was written goes out first */
void conn_fail(struct http_conn *c, const struct err *e); /* requests end, then conn_close */
void req_wait(struct http_req *r, bool on); /* deadline for the next piece of the body */
const char *server_date(struct http_server *s);

/* ---- server_req.c ---- */
void req_init(struct http_req *r, struct http_conn *c);
void req_set_target(struct http_req *r, struct str target); /* fills path and query too */
/* Body bytes came. How many of them are dealt with now; of the others ops->consumed tells later. */
size_t req_body(struct http_req *r, const char *p, size_t n);
void req_step(struct http_req *r); /* gives the handler what it is due; top level only */
void req_done(struct http_req *r, const struct err *e); /* on_done, once; top level only */
void req_deinit(struct http_req *r);
/* The server's own answer; nothing if one was begun. */
void req_refuse(struct http_req *r, int status, const char *why);
