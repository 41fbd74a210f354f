/* H1 responses: the first byte says what the request was; then any bytes, and the end. */
#include "base/http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(void *arg, const struct h1_head *h)
{
    (void)arg;
    (void)http_headers_has_token(&h->headers, "Connection", "close");
}

static void on_body(void *arg, const char *p, size_t n)
{
    (void)arg;
    (void)p;
    (void)n;
}

static void on_end(void *arg)
{
    (void)arg;
}

static const struct h1_events events = { on_head, on_body, on_end };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1 *h = h1_new(H1_RESPONSE, &events, NULL);
    struct err e = { 0 };
    size_t at = 1, used;
    int r = 0;

    while (at < size && !r) {
        if (h1_is_ended(h))
            h1_next(h);
        h1_expect(h, data[0] & 1, data[0] & 2);
        r = h1_feed(h, (const char *)data + at, size - at, &used, &e);
        at += used;
    }
    if (!r)
        err_ignore(h1_finish(h, &e)); /* any answer will do */
    h1_free(h);
    return 0;
}
