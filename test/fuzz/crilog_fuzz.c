#include "agent/stream/crilog.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* The first byte chooses options and the size of the pieces; the answer must not depend on them
 * being pieces, and keeps to its bound. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    struct crilog_options o = {
        .tail_lines = -1, .limit_bytes = -1, .since_unix_us = INT64_MIN, .stream = CRILOG_BOTH
    };
    auto_buf whole = BUF(CRILOG_OUT_MAX_BYTES(n)), parts = BUF(2 * CRILOG_OUT_MAX_BYTES(n));
    struct crilog a, b;
    size_t start;

    if (n < 1)
        return 0;
    o.timestamps = p[0] & 1;
    o.limit_bytes = p[0] & 2 ? 100 : -1;
    o.since_unix_us = p[0] & 4 ? 1475713029000000 : INT64_MIN;
    o.stream = p[0] & 8 ? CRILOG_STDERR : CRILOG_BOTH;
    size_t piece = 1 + (p[0] >> 4);
    const char *text = (const char *)p + 1;
    n--;

    crilog_init(&a, &o);
    if (crilog_feed(&a, text, n, &whole))
        abort();
    crilog_init(&b, &o);
    for (size_t at = 0; at < n; at += piece)
        if (crilog_feed(&b, text + at, MIN(piece, n - at), &parts))
            abort();
    if (!str_eq(buf_str(&whole), buf_str(&parts)) || a.n_bad != b.n_bad)
        abort();
    if (o.limit_bytes > 0 && whole.n > (size_t)o.limit_bytes)
        abort();

    uint64_t n_left = piece;
    if (crilog_tail_block(&n_left, text, n, &start) && (start > n || text[start - 1] != '\n'))
        abort();
    return 0;
}
