#pragma once
/*
 * Buf: growing bytes, born with their maximum.
 *
 *     auto_buf b = BUF(64 * 1024);
 *     if (buf_addf(&b, "hello %s", name)) ...   // ERR_LIMIT past the maximum
 *
 * Adding is all or nothing: a limit reached leaves the contents alone. The byte after the contents
 * is always '\0' once something was added. Wiped buffers (BUF_SECRET) clear their memory before it
 * is given back. Any thread, one at a time.
 */
#include "base/core/str.h"

#include <stdarg.h>

struct buf {
    char *p; /* NULL until something was added */
    size_t n;
    size_t cap;
    size_t max; /* bytes of contents, the '\0' not counted */
    bool secret;
};

#define BUF(max_bytes)        ((struct buf){ .max = (max_bytes) })
#define BUF_SECRET(max_bytes) ((struct buf){ .max = (max_bytes), .secret = true })
#define auto_buf              __attribute__((cleanup(buf_deinit))) struct buf

void buf_deinit(
    struct buf *b); /* legal on any state; leaves an empty buffer with the same maximum */
void buf_clear(struct buf *b); /* n becomes 0, memory is kept */

/* 0 or ERR_LIMIT. */
MUST_USE int buf_add(struct buf *b, const void *p, size_t n);
MUST_USE int buf_adds(struct buf *b, const char *s);
MUST_USE int buf_add_str(struct buf *b, struct str s);
MUST_USE int buf_addc(struct buf *b, char c);
MUST_USE int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_FMT(2, 3);
#define buf_join(b, ...) buf_join_texts(b, TEXTS(__VA_ARGS__)) /* as str_join */
MUST_USE int buf_join_texts(struct buf *b, const char *const *texts);
MUST_USE int buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF_FMT(2, 0);

/* Room for n more bytes at b->p + b->n; the caller then adds what it wrote to b->n. */
MUST_USE int buf_reserve(struct buf *b, size_t n);

void buf_drop(struct buf *b, size_t n); /* removes the first n bytes (n <= b->n) */

static inline struct str buf_str(const struct buf *b)
{
    return str_n(b->p, b->n);
}

/* "" when nothing was added */
static inline const char *buf_cstr(const struct buf *b)
{
    return b->p ? b->p : "";
}

char *buf_take(struct buf *b); /* heap string, yours; b is empty afterwards */
