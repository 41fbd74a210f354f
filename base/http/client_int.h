#pragma once
/*
 * What the files of the HTTP client share: client.c (endpoint, queue, calls), client_conn.c
 * (connections), client_h1.c and client_h2.c (the two protocols). For them only; the public side is
 * client.h.
 *
 *   call:  WAITING --> RUNNING --> ENDED --> (on_done, freed)
 *             ^           |                     a call goes back to WAITING once, when its
 *             +-----------+                     kept-alive connection was dead or it was refused
 *
 *   conn:  DIALING --> TLS --> H1 | H2 --> CLOSING --> (freed)
 *
 * User callbacks run from stream events and from the endpoint's kick (a timer of 0 ms) only, so no
 * call into the client ever calls back. Nothing that a callback can reach is freed inside one:
 * calls are freed by the kick after ENDED, connections when their handles have closed.
 */
#include "base/core/list.h"
#include "base/http/client.h"
#include "base/io/timer.h"

#define CLIENT_WAITING_MAX     1024 /* calls in the queue of one endpoint */
#define CLIENT_CONNECTIONS_MAX 8
#define CLIENT_DIAL_TIMEOUT_MS 10000
/* Where all dials are older, another is made: the way may have died under them. */
#define CLIENT_DIAL_STALE_MS    1000
#define CLIENT_HEAD_TIMEOUT_MS  30000 /* of calls without a deadline */
#define CLIENT_IDLE_MS          60000 /* below the 90 s after which servers close */
#define CLIENT_PING_MS          30000 /* of silence with open streams */
#define CLIENT_PONG_MS          15000
#define CLIENT_UNSENT_MAX_BYTES (64u * 1024 * 1024) /* of a body without a connection yet */

struct h1;
struct h2;
struct h1_head;
struct h2_stream;
struct tcp_dial;
struct tls;

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_ENDED };

struct http_call {
    struct list link; /* in ep->waiting, conn->calls or ep->ended */
    struct http_endpoint *ep;
    struct client_conn *conn; /* while RUNNING */
    struct h2_stream *h2_stream;
    enum call_state state;
    uint64_t seq; /* age in the queue; dials fail those that are older than they are */
    struct http_call_events events;
    void *arg;

    char *method, *target;
    struct http_headers request;
    struct buf body; /* what can be sent (again): the fixed body, or stream bytes before a conn */
    bool stream_body;
    bool upgrade;
    bool body_ended;    /* the request is complete */
    bool body_released; /* stream bytes left that are not kept: no second try */
    bool wants_drain;
    bool paused;
    bool retried;
    bool wants_fresh; /* its kept connection was dead: siblings may be as dead */

    uint64_t timeout_ms, head_timeout_ms; /* 0: none */
    uint64_t started_ms;
    struct timer timer; /* the nearer deadline */
    bool has_answer;    /* the head is here */
    bool has_ended;     /* the answer is whole */
    struct http_headers head, trailers;
    size_t n_unconsumed; /* h2: body bytes handed out while paused */
    struct err err;
};

enum conn_state { CONN_DIALING, CONN_TLS, CONN_H1, CONN_H2, CONN_CLOSING };

struct client_conn {
    struct list link; /* in ep->conns */
    struct http_endpoint *ep;
    enum conn_state state;
    uint64_t seq; /* of the endpoint when the dial began */
    uint64_t dialed_ms, dial_deadline_ms;
    struct stream *stream; /* NULL before TLS is up, after on_closed and after a handover */
    struct list calls;     /* h1: at most one */
    size_t n_started, n_done;
    bool draining;             /* takes no more calls */
    bool stream_waits;         /* a dial or handshake will still call back */
    struct tcp_dial *tcp_dial; /* runs; for cancel */
    struct tls *handshake;     /* the same */
    bool timer_closed;
    struct timer timer;  /* h1: idle; h2: the tick of idle and ping */
    uint64_t last_rx_ms; /* loop time */

    struct h1 *h1;
    bool h1_upgraded;              /* the head ended HTTP; the user has not heard of it yet */
    bool h1_keep_alive;            /* as the answer's head said */
    bool h1_chunked;               /* the request's body */
    bool h1_may_take;              /* inside on_head of an upgrade */
    const struct h1_head *h1_head; /* of an upgrade */
    struct str h1_leftover;        /* while on_head of an upgrade runs */

    struct h2 *h2;
    bool h2_busy; /* inside feed or pull: events run */
    bool h2_dirty;
    uint64_t ping_sent_ms; /* 0: none is on its way */
    uint64_t idle_since_ms;
};

struct http_endpoint {
    uv_loop_t *loop;
    char *authority;
    char *host; /* for TLS */
    http_dial_fn dial;
    void *dial_arg;
    struct tls_client_config *tls;
    int proto;     /* HTTP_ALPN, HTTP_H1 or HTTP_H2 */
    uint16_t port; /* with host: where the default dial goes */
    bool no_keep_alive;
    uint64_t dial_timeout_ms;
    uint64_t ping_ms; /* 0: none */
    size_t n_connections_max;

    bool speaks_h1; /* known: one call per connection, so dial one for each that waits */
    struct list waiting, ended, conns;
    size_t n_waiting, n_calls, n_conns;
    uint64_t seq;
    struct timer kick;
    bool closing;
    void (*close_done)(void *arg);
    void *close_arg;
};

/* ---- client.c ---- */
/* Work is due: finish ended calls, flush, dispatch the queue. Soon, from the loop. */
void client_kick(struct http_endpoint *ep);
/* Takes the call from its connection or queue; on_done follows from the kick. e NULL: success. The
 * first end counts. */
void client_call_finish(struct http_call *c, const struct err *e);
/* Back to the front of the queue, once; false when it may not be tried again: then finish it. */
bool client_call_retry(struct http_call *c);
bool client_call_is_idempotent(const struct http_call *c); /* RFC 9110 9.2.2 */
/* The answer's head: copies the headers and tells the user. */
void client_call_got_head(struct http_call *c, int status, const struct http_headers *h);
void client_call_drained(struct http_call *c);

/* ---- client_conn.c ---- */
void client_conn_dial(struct http_endpoint *ep);
bool client_conn_has_room(const struct client_conn *k, const struct http_call *c);
void client_conn_start_call(struct client_conn *k, struct http_call *c); /* c is in no list */
/* c leaves k, which it was RUNNING on. complete: the answer is whole. */
void client_conn_release_call(struct client_conn *k, struct http_call *c, bool complete);
void client_conn_write(struct client_conn *k, struct http_call *c, const void *p, size_t n);
void client_conn_end_body(struct client_conn *k, struct http_call *c);
size_t client_conn_queued(const struct client_conn *k, const struct http_call *c);
void client_conn_pause(struct client_conn *k, struct http_call *c, bool on);
void client_conn_close(struct client_conn *k);
/* Ends or requeues the calls, then closes. */
void client_conn_fail(struct client_conn *k, const struct err *e);
void client_conn_flush(struct client_conn *k);
void client_conn_on_error(void *arg, const struct err *e); /* stream events of both protocols */
void client_conn_on_closed(void *arg);

/* ---- client_h1.c, client_h2.c ---- */
extern const struct stream_events client_h1_stream_events, client_h2_stream_events;
void client_h1_open(struct client_conn *k);
void client_h1_free(struct client_conn *k);
bool client_h1_is_unanswered(const struct client_conn *k);
void client_h1_start_call(struct client_conn *k, struct http_call *c);
void client_h1_release_call(struct client_conn *k, struct http_call *c, bool complete);
void client_h1_write(struct client_conn *k, const void *p, size_t n);
void client_h1_end_body(struct client_conn *k);

void client_h2_open(struct client_conn *k);
void client_h2_free(struct client_conn *k);
bool client_h2_has_room(const struct client_conn *k);
void client_h2_start_call(struct client_conn *k, struct http_call *c);
void client_h2_release_call(struct client_conn *k, struct http_call *c);
void client_h2_write(struct client_conn *k, struct http_call *c, const void *p, size_t n);
void client_h2_end_body(struct client_conn *k, struct http_call *c);
size_t client_h2_queued(const struct http_call *c);
void client_h2_set_paused(struct client_conn *k, struct http_call *c); /* c->paused changed */
void client_h2_flush(struct client_conn *k);
