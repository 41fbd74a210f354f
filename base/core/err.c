#include "base/core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#undef err_set /* the analyzer's view of them, here they are themselves */
#undef err_sys
#undef err_wrap

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    e->code = code;
    e->sys = 0;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return (int)code;
}

static enum err_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}

int err_sys(struct err *e, int sys, const char *fmt, ...)
{
    char what[sizeof e->text];
    const char *why;
    enum err_code code;
    va_list ap;
    char name[96];

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (sys < 0) { /* libuv's own numbers; most are -errno */
        why = uv_strerror_r(sys, name, sizeof name);
        code = sys == UV_EOF ? ERR_CLOSED : code_of_errno(-sys);
        sys = -sys;
    } else {
        why = strerror_r(sys, name, sizeof name); /* the GNU one returns its text */
        code = code_of_errno(sys);
    }
    e->code = code;
    e->sys = sys;
    if ((size_t)snprintf(e->text, sizeof e->text, "%s: %s", what, why) >= sizeof e->text)
        e->text[sizeof e->text - 1] = '\0';
    return (int)code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char inner[sizeof e->text];
    va_list ap;
    size_t n;

    memcpy(inner, e->text, sizeof inner);
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", inner);
    return (int)e->code;
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_OK] = "ok",
        [ERR_INVALID] = "invalid",
        [ERR_NOT_FOUND] = "not found",
        [ERR_EXISTS] = "exists",
        [ERR_CONFLICT] = "conflict",
        [ERR_EXPIRED] = "expired",
        [ERR_DENIED] = "denied",
        [ERR_LIMIT] = "limit",
        [ERR_AGAIN] = "again",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELED] = "canceled",
        [ERR_CLOSED] = "closed",
        [ERR_PROTOCOL] = "protocol",
        [ERR_IO] = "io",
    };

    return (size_t)code < ARRAY_LEN(names) ? names[code] : "unknown";
}
