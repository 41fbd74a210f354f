#pragma once
/*
 * Queue: the keys that a controller has to look at, each once however often it was added.
 *
 *          queue_add                        n_parallel allows
 *   (new) ----------> READY ----------------------------------> RUNNING --(queue_done NULL)--> gone
 *     |                 ^  ^----(deadline)---- WAITING <--(queue_done error: backoff)--+
 *     +-(queue_at)------|-----------------------^  ^                                   |
 *                       +--- was added meanwhile --+-- was given a deadline meanwhile -+
 *
 * Level-triggered: a key says where to look, not what happened. Work never runs inside queue_add,
 * and never twice at once for one key. Loop thread only.
 */
#include "base/core/err.h"

#include <jansson.h>
#include <uv.h>

struct queue;
struct queue_item;

/* Looks at queue_key(it) and then calls queue_done exactly once, now or later. */
typedef void (*queue_fn)(void *arg, struct queue_item *it);

struct queue_config {
    uv_loop_t *loop;
    const char *name;      /* constant; for the log */
    unsigned n_parallel;   /* keys worked on at the same time; 0: 1 */
    uint64_t retry_min_ms; /* after the first failure of a key; 0: 200 */
    uint64_t retry_max_ms; /* 0: 60 s */
    bool held;             /* nothing runs until queue_release */
    queue_fn work;
    void *arg;
};

void queue_new(struct queue **out, const struct queue_config *c);
void queue_release(struct queue *q);

void queue_add(struct queue *q, const char *key); /* now, whatever it waits for */
/* Not before ms from now; replaces a deadline that the key had. A key that is ready stays so. */
void queue_at(struct queue *q, const char *key, uint64_t ms);
void queue_forget(struct queue *q, const char *key); /* it no longer waits; running work goes on */
size_t queue_len(const struct queue *q);             /* keys in any state */

const char *queue_key(const struct queue_item *it);
bool queue_is_closing(const struct queue_item *it); /* long work should end now */
/* NULL: looked after. An error: the key comes again after a backoff with jitter, and repeated ones
 * are logged (not ERR_AGAIN: nothing is wrong, it just takes time). */
void queue_done(struct queue_item *it, const struct err *e);
/* The same, and it comes again in ms: there is more to do that no event will tell. */
void queue_done_again(struct queue_item *it, uint64_t ms);
/* A local_fn (server/api/local.h) whose arg is the item, for work that ends with one call. What
 * somebody else did first (not found, exists, conflict) is no failure: the event of that change
 * brings the key again. */
void queue_done_local(void *arg, int code, const json_t *obj, const struct err *e);

/* No more work begins; work under way is waited for; then done, and it is gone. */
void queue_close(struct queue *q, void (*done)(void *arg), void *arg);
