#pragma once
/*
 * Poller: an epoll set of its own inside a libuv loop, for sockets that come and go by the
 * thousand. A socket is registered once, edge-triggered, and taken out once: libuv's poll handles
 * cost several more system calls for each. What a socket can do is kept as flags that stay
 * until the user sees EAGAIN. Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/list.h"

#include <uv.h>

struct poller;

/* Something to do at the end of this turn, or in the next one when that end has begun. Embedded in
 * its owner, zero-initialised; runs once. */
struct poller_task {
    struct list link; /* next NULL: never queued */
    void (*fn)(void *arg);
    void *arg;
};
void poller_soon(struct poller *p, struct poller_task *t, void (*fn)(void *arg), void *arg);
void poller_task_cancel(struct poller_task *t); /* legal in any state */

/* A deadline, embedded in its owner, zero-initialised. Many share one timer. */
struct poller_deadline {
    struct list link;
    uint64_t at_ms;
    void (*fn)(void *arg);
    void *arg;
};
void poller_deadline_start(struct poller *p, struct poller_deadline *d, uint64_t ms,
                           void (*fn)(void *arg), void *arg);
void poller_deadline_stop(struct poller_deadline *d); /* legal in any state */

struct watch {
    int fd;
    /* Until the user saw EAGAIN and cleared it. The user may set readable to try at once. */
    bool readable, writable;
    bool ended;  /* the peer's end or an error is reported: read until it is found */
    bool failed; /* the socket has an error: SO_ERROR tells */
    void (*fn)(void *arg, struct watch *w); /* on each new edge; may be replaced at any time */
    void *arg;
    struct poller *p;
    struct list link; /* poller.closed, once it is */
};

/* Takes the non-blocking descriptor over; on failure it is the caller's still. */
MUST_USE int watch_open(struct watch **out, struct poller *p, int fd,
                        void (*fn)(void *arg, struct watch *w), void *arg, struct err *e);
void watch_close(struct watch *w); /* closes the descriptor; fn is not called again. NULL is fine */
int watch_release(struct watch *w); /* the same, but the descriptor is yours again */

MUST_USE int poller_new(struct poller **out, uv_loop_t *loop, struct err *e);
uv_loop_t *poller_loop(const struct poller *p);
uint64_t poller_now_ms(const struct poller *p);
/* Every watch is closed, no task or deadline is left. done (may be NULL) comes later. */
void poller_close(struct poller *p, void (*done)(void *arg), void *arg);
