/*
 *   CLEAN --put--> WRITING --done--> RESTING (30 s) --> CLEAN, or WRITING when something waits
 *
 * The write blocks (fsync), so it happens in the pool, with a copy.
 */
#include "lb/keeper.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/timer.h"

#define REST_MS 30000

struct lb_keeper {
    uv_loop_t *loop;
    char *path;
    struct lb_state_file waiting, writing; /* writing: the pool's while has_work */
    bool has_waiting, has_written, busy, timer_open, closing;
    struct err err;
    uv_work_t work;
    struct timer timer;
    void (*done)(void *arg);
    void *done_arg;
};

static void start(struct lb_keeper *k);

static void maybe_gone(struct lb_keeper *k)
{
    void (*done)(void *) = k->done;
    void *arg = k->done_arg;

    if (k->busy || k->timer_open)
        return;
    free(k->path);
    free(k);
    done(arg);
}

static void on_work(uv_work_t *work)
{
    struct lb_keeper *k = container_of(work, struct lb_keeper, work);

    if (lb_state_file_write(k->path, &k->writing, &k->err) == 0)
        k->err.code = ERR_OK;
}

static void on_rested(void *arg)
{
    start(arg);
}

static void on_written(uv_work_t *work, int status)
{
    struct lb_keeper *k = container_of(work, struct lb_keeper, work);

    (void)status; /* never cancelled */
    k->busy = false;
    k->has_written = k->err.code == ERR_OK;
    if (k->err.code)
        log_warn("load balancer keeps its list in memory only", kv("err", k->err.text));
    if (k->closing) {
        start(k);
        maybe_gone(k);
    } else {
        timer_start_ms(&k->timer, REST_MS, on_rested, k);
    }
}

static bool is_same(const struct lb_state_file *a, const struct lb_state_file *b)
{
    if (a->n_addresses != b->n_addresses || strcmp(a->server_url, b->server_url) != 0)
        return false;
    for (size_t i = 0; i < a->n_addresses; i++)
        if (strcmp(a->addresses[i], b->addresses[i]) != 0)
            return false;
    return true;
}

static void start(struct lb_keeper *k)
{
    if (k->busy || !k->has_waiting)
        return;
    k->has_waiting = false;
    if (k->has_written && is_same(&k->waiting, &k->writing))
        return;
    k->writing = k->waiting;
    k->busy = uv_queue_work(k->loop, &k->work, on_work, on_written) == 0;
}

struct lb_keeper *lb_keeper_new(uv_loop_t *loop, const char *path)
{
    struct lb_keeper *k = mem_alloc(sizeof *k);

    k->loop = loop;
    k->path = mem_strdup(path);
    timer_init(&k->timer, loop);
    k->timer_open = true;
    return k;
}

void lb_keeper_put(struct lb_keeper *k, const struct lb_state_file *f)
{
    k->waiting = *f;
    k->has_waiting = true;
    if (!timer_is_running(&k->timer))
        start(k);
}

static void on_timer_closed(void *arg)
{
    struct lb_keeper *k = arg;

    k->timer_open = false;
    maybe_gone(k);
}

void lb_keeper_close(struct lb_keeper *k, void (*done)(void *arg), void *arg)
{
    k->closing = true;
    k->done = done;
    k->done_arg = arg;
    start(k);
    timer_close(&k->timer, on_timer_closed, k);
}
