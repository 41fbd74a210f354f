#pragma once
/*
 * Supervise: keeps one child process running: starts it again with backoff when it ends.
 *
 * Loop thread only. A run longer than healthy_ms resets the backoff.
 */
#include "base/io/proc.h"

struct supervise;

struct supervise_config {
    struct proc_config proc; /* copied deeply; its on_exit and arg are ignored */
    uint64_t min_ms, max_ms; /* wait before the next start; 0: 1 s and 30 s */
    uint64_t healthy_ms;     /* 0: 10 s */
    uint64_t stop_grace_ms;  /* 0: 10 s */
    /* May be NULL. It runs now (pid), or it ended or could not be started and e says why; retry_ms
     * is when the next try comes. */
    void (*on_started)(void *arg, int pid);
    void (*on_ended)(void *arg, const struct err *e, uint64_t retry_ms);
    void *arg;
};

void supervise_new(struct supervise **out, uv_loop_t *loop, const struct supervise_config *c);
int supervise_pid(const struct supervise *s); /* 0: does not run */
/* Stops it and starts it again at once. */
void supervise_restart(struct supervise *s);
/* Stops the child for good; then done (may be NULL) is called, later, and it is gone. */
void supervise_close(struct supervise *s, void (*done)(void *arg), void *arg);
