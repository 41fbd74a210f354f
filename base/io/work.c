#include "base/io/work.h"

#include "base/core/mem.h"

struct work {
    uv_work_t req;
    work_fn fn;
    work_done_fn done;
    void *arg;
    struct err err; /* the worker writes it, the loop reads it afterwards */
    bool canceled;  /* loop thread only */
};

static void on_pool(uv_work_t *req)
{
    struct work *w = req->data;
    struct err e = { .code = ERR_OK };

    if (w->fn(w->arg, &e))
        w->err = e;
}

static void on_loop(uv_work_t *req, int status)
{
    struct work *w = req->data;
    work_done_fn done = w->done;
    void *arg = w->arg;
    struct err e = w->err;

    if (status || w->canceled)
        err_set(&e, ERR_CANCELED, "canceled");
    free(w);
    done(arg, e.code ? &e : NULL);
}

void work_start(struct work **out, uv_loop_t *loop, work_fn fn, work_done_fn done, void *arg)
{
    struct work *w = mem_alloc(sizeof *w);

    w->fn = fn;
    w->done = done;
    w->arg = arg;
    w->req.data = w;
    if (out)
        *out = w;
    uv_queue_work(loop, &w->req, on_pool, on_loop); /* fails only without a function */
}

void work_cancel(struct work *w)
{
    w->canceled = true;
    uv_cancel((uv_req_t *)&w->req); /* busy: it runs already and ends by itself */
}
