#include "base/core/macros.h"
#include "base/pki/token.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What parses prints, and what was printed parses to the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf once = BUF_SECRET(2 * TOKEN_MAX_BYTES), twice = BUF_SECRET(2 * TOKEN_MAX_BYTES);
    auto_token t = { .user = NULL }, again = { .user = NULL };
    char shown[64];
    struct err e;

    token_redact(shown, sizeof shown, str_n(data, n));
    if (token_parse(&t, str_n(data, n), &e))
        return 0;
    if (token_print(&t, t.ca_hash, &once) || once.n > TOKEN_MAX_BYTES)
        return 0;
    if (token_parse(&again, buf_str(&once), &e) || token_print(&again, again.ca_hash, &twice) ||
        !str_eq(buf_str(&once), buf_str(&twice)))
        abort();
    return 0;
}
