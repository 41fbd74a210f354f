#pragma once
/*
 * Err: a code to act on and a sentence to read.
 *
 * A fallible function returns 0 or an ERR_* code and fills the caller's struct err, which is its
 * last parameter, never NULL and untouched on success. The text reads "outer: inner: cause". The
 * memory is plain: copy it, never free it. Any thread.
 */
#include "base/core/macros.h"

#include <stdbool.h>

enum err_code { /* closed list, chosen by what the caller can do about it */
                ERR_OK = 0,
                ERR_INVALID,   /* the input is wrong; the same call will fail again */
                ERR_NOT_FOUND, /* it does not exist */
                ERR_EXISTS,    /* it exists already */
                ERR_CONFLICT,  /* somebody changed it first: read again, then retry */
                ERR_EXPIRED,   /* too old: start over from a fresh state */
                ERR_DENIED,    /* not allowed for this caller */
                ERR_LIMIT,     /* a bound was reached */
                ERR_AGAIN,     /* not now: retry later */
                ERR_TIMEOUT,   /* a deadline passed */
                ERR_CANCELED,  /* the owner asked for it to stop */
                ERR_CLOSED,    /* the other end is gone */
                ERR_PROTOCOL,  /* the other end does not speak as it must */
                ERR_IO,        /* the system failed; sys holds errno */
};

struct err {
    enum err_code code;
    int sys; /* positive errno, 0 if none */
    char text[256];
};

/* Fills e and returns code. A text that does not fit is cut. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);

/* From an errno or a negative libuv status: appends ": <system text>" and picks the code
 * (ENOENT is NOT_FOUND, EACCES DENIED, ETIMEDOUT TIMEOUT, ECANCELED CANCELED, EEXIST EXISTS,
 * ECONNRESET/EPIPE/EOF CLOSED, else IO). */
int err_sys(struct err *e, int sys, const char *fmt, ...) PRINTF_FMT(3, 4);

/* Puts "<text>: " in front of e's text and returns its code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_FMT(2, 3);

#ifdef __clang_analyzer__ /* what it cannot see from here: none of the three returns ERR_OK */
static inline int err_never_ok(const struct err *e, int code)
{
    if (code == ERR_OK || (int)e->code != code)
        __builtin_unreachable();
    return code;
}
#define err_set(e, ...)  err_never_ok(e, err_set(e, __VA_ARGS__))
#define err_sys(e, ...)  err_never_ok(e, err_sys(e, __VA_ARGS__))
#define err_wrap(e, ...) err_never_ok(e, err_wrap(e, __VA_ARGS__))
#endif

/* "not found", "timeout": for logs and metrics. */
const char *err_code_name(enum err_code code);
