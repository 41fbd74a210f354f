/* H2 server: preface and settings are given, then any bytes; every request is answered. */
#include "base/http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(void *arg, struct h2_stream *s, const struct h2_head *head)
{
    const struct http_header h[] = { { STR("A"), STR("b") } };
    struct err e = { 0 };

    (void)arg;
    if (!h2_respond(s, head->refuse ? head->refuse : 200, h, 1, false, &e))
        h2_write(s, "body", 4);
    if (head->path.n % 2)
        h2_end(s);
}

static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    (void)arg;
    h2_write(s, p, n);
    h2_consume(s, n);
}

static void on_end(void *arg, struct h2_stream *s)
{
    (void)arg;
    if (h2_trailers(s)->n > 1)
        h2_reset(s, H2_CANCEL);
    else
        h2_end(s);
}

static void on_drain(void *arg, struct h2_stream *s)
{
    (void)arg;
    (void)s;
}

static void on_close(void *arg, struct h2_stream *s, uint32_t code)
{
    (void)arg;
    (void)s;
    (void)code;
}

static const struct h2_events events = { on_head, on_data, on_end, on_drain, on_close, NULL, NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct h2 *h = h2_new(&(struct h2_config){ .server = true, .events = &events });
    auto_buf out = BUF(1 << 20);
    struct err e = { 0 };

    if (!h2_feed(h, start, sizeof start - 1, &e) && !h2_feed(h, (const char *)data, size, &e))
        err_ignore(h2_pull(h, &out, 1 << 16, &e)); /* any answer will do */
    h2_free(h);
    return 0;
}
