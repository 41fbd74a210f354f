/* Ws: any bytes for both roles, whole messages and pieces (the first byte chooses). */
#include "base/http/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    (void)first;
    if (last && n > 0)
        ws_send(*(struct ws **)arg, text, p, n);
}

static void on_close(void *arg, int code, struct str reason)
{
    (void)arg;
    (void)code;
    (void)reason;
}

static const struct ws_events events = { .on_message = on_message, .on_close = on_close };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws *w = NULL;
    auto_buf out = BUF(1 << 20);
    struct err e = { 0 };

    if (size < 1)
        return 0;
    w = ws_new(&(struct ws_config){ .role = data[0] & 1 ? WS_CLIENT : WS_SERVER,
                                    .pieces = data[0] & 2,
                                    .message_max_bytes = 4096,
                                    .events = &events,
                                    .arg = &w });
    err_ignore(ws_feed(w, (const char *)data + 1, size - 1, &e)); /* any answer will do */
    err_ignore(ws_pull(w, &out, 1 << 16, &e));
    ws_free(w);
    return 0;
}
