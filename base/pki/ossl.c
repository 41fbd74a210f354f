#include "base/pki/ossl.h"

#include "base/core/mem.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

/* in brackets: not the macro that the analyzer sees */
int(ossl_err)(struct err *e, enum err_code code, const char *fmt, ...)
{
    unsigned long last = ERR_peek_last_error();
    const char *why = last ? ERR_reason_error_string(last) : NULL;
    char what[sizeof e->text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return why ? err_set(e, code, "%s: %s", what, why) : err_set(e, code, "%s", what);
}

BIO *ossl_bio(struct str s)
{
    BIO *b = s.n <= INT32_MAX ? BIO_new_mem_buf(s.n ? s.p : "", (int)s.n) : NULL;

    if (!b)
        abort(); /* out of memory; sizes are bounded by the callers */
    return b;
}
