#pragma once
/*
 * Logread: one reading of a container's log file: from its end backwards to where the answer
 * begins, on to its end, and, when following, on and on as it grows, over rotation, until the
 * container has exited and all is read.
 *
 *   OPEN --> READ --> GIVE (waits here while paused) --> WAIT (directory event, or once a second)
 *     ^        ^        |  |                            |
 *     +--------+--------+--+----------------------------+          every state --> ENDED
 *   the path is         there may be more
 *   another file now
 *
 * The file is touched by the pool only, 32 KiB at a time; no more than that is held. Loop thread
 * only. No event comes from inside a call; on_end comes exactly once, last, and it is gone by then.
 */
#include "agent/stream/crilog.h"

#include <uv.h>

struct logread;

struct logread_events {
    void (*on_open)(void *arg); /* the file is there and readable; once, before the rest */
    void (*on_data)(void *arg, const char *p, size_t n); /* valid during the call */
    /* NULL: all was read. ERR_NOT_FOUND: no such file; ERR_CANCELED: logread_cancel. */
    void (*on_end)(void *arg, const struct err *e);
    /* May the container still write to it? Asked when following only. */
    bool (*is_running)(void *arg);
};

/* path is copied; events must outlive it. */
void logread_start(struct logread **out, uv_loop_t *loop, const char *path,
                   const struct crilog_options *o, const struct logread_events *events, void *arg);
void logread_pause(struct logread *l); /* no on_data until logread_resume */
void logread_resume(struct logread *l);
void logread_cancel(struct logread *l);
