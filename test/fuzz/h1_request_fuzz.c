/* H1 requests: any bytes, cut in two at any place, must read the same as in one piece. */
#include <stdlib.h>

#include "base/http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    size_t n_heads, n_body, n_ends;
};

static void on_head(void *arg, const struct h1_head *h)
{
    struct heard *x = arg;

    x->n_heads++;
    if (h->method.n == 0 || h->target.n == 0 || (h->chunked && h->content_length >= 0))
        abort();
}

static void on_body(void *arg, const char *p, size_t n)
{
    (void)p;
    ((struct heard *)arg)->n_body += n;
}

static void on_end(void *arg)
{
    ((struct heard *)arg)->n_ends++;
}

static const struct h1_events events = { on_head, on_body, on_end };

static int hear(struct heard *x, const char *p, size_t n, size_t cut)
{
    struct h1 *h = h1_new(H1_REQUEST, &events, x);
    struct err e = { 0 };
    size_t at = 0, used;
    int r = 0;

    while (at < n && !r) {
        size_t end = at < cut ? cut : n;
        if (h1_is_ended(h))
            h1_next(h);
        r = h1_feed(h, p + at, end - at, &used, &e);
        if (used > end - at)
            abort();
        at += used;
    }
    h1_free(h);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = { 0 }, halves = { 0 };
    int a, b;

    if (size < 1)
        return 0;
    a = hear(&whole, (const char *)data + 1, size - 1, 0);
    b = hear(&halves, (const char *)data + 1, size - 1, data[0] % size);
    if (!a != !b || whole.n_heads != halves.n_heads || whole.n_ends != halves.n_ends ||
        whole.n_body != halves.n_body)
        abort();
    return 0;
}
