#include "base/core/buf.h"

#include "base/core/err.h"
#include "base/core/mem.h"

#include <stdio.h>

static void wipe(const struct buf *b)
{
    if (b->secret && b->p)
        explicit_bzero(b->p, b->cap);
}

void buf_deinit(struct buf *b)
{
    wipe(b);
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    wipe(b);
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}

int buf_reserve(struct buf *b, size_t n)
{
    size_t cap;

    if (n > b->max || b->n > b->max - n)
        return ERR_LIMIT;
    if (b->n + n + 1 <= b->cap)
        return 0;
    cap = MAX(b->cap * 2, b->n + n + 1);
    cap = MAX(MIN(cap, b->max + 1), b->n + n + 1);
    cap = MAX(cap, (size_t)64);
    if (b->secret) { /* realloc may leave a copy behind */
        char *p = mem_alloc(cap);
        if (b->n)
            memcpy(p, b->p, b->n);
        wipe(b);
        free(b->p);
        b->p = p;
    } else {
        b->p = mem_realloc(b->p, cap);
    }
    b->cap = cap;
    b->p[b->n] = '\0';
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    if (buf_reserve(b, n))
        return ERR_LIMIT;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return 0;
}

int buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_add_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0 || buf_reserve(b, (size_t)n))
        return ERR_LIMIT;
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    b->n += (size_t)n;
    return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return r;
}

int buf_join_texts(struct buf *b, const char *const *texts)
{
    size_t before = b->n;
    int rc = 0;

    while (!rc && *texts)
        rc = buf_adds(b, *texts++);
    if (rc && b->p) {
        b->n = before;
        b->p[b->n] = '\0';
    }
    return rc;
}

void buf_drop(struct buf *b, size_t n)
{
    if (!n)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

char *buf_take(struct buf *b)
{
    char *p = b->p ? b->p : mem_strdup("");

    b->p = NULL;
    b->n = b->cap = 0;
    return p;
}
