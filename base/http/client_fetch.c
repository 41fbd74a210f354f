/* http_fetch: a call whose answer is collected. */
#include "base/http/client.h"

#include "base/core/mem.h"

struct fetch {
    int status;
    const struct http_headers *headers;
    struct buf body;
    struct err err; /* of ours: it wins over the cancellation that it causes */
    http_fetch_fn done;
    void *arg;
};

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    struct fetch *f = arg;

    (void)c;
    f->status = status;
    f->headers = h;
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct fetch *f = arg;

    if (f->err.code || !buf_add(&f->body, p, n))
        return;
    err_set(&f->err, ERR_LIMIT, "the answer is longer than %zu bytes", f->body.max);
    http_call_cancel(c);
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct fetch *f = arg;

    (void)c;
    if (e)
        f->done(f->arg, 0, NULL, (struct str){ NULL, 0 }, f->err.code ? &f->err : e);
    else
        f->done(f->arg, f->status, f->headers, buf_str(&f->body), NULL);
    buf_deinit(&f->body);
    free(f);
}

struct http_call *http_fetch(struct http_endpoint *ep, const struct http_call_config *cfg,
                             size_t max_bytes, http_fetch_fn done, void *arg)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct fetch *f = mem_alloc(sizeof *f);
    struct http_call *c;

    f->body = BUF(max_bytes);
    f->done = done;
    f->arg = arg;
    http_call_start(&c, ep, cfg, &events, f);
    return c;
}
