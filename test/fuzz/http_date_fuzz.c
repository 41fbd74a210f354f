/* A server's Date header. What parses prints to the same text. */
#include "base/core/macros.h"
#include "base/http/date.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[HTTP_DATE_BYTES];
    int64_t at;

    if (!http_date_parse(&at, str_n(data, n)))
        return 0;
    http_date_text(text, at);
    if (n != strlen(text) || memcmp(text, data, n) != 0)
        abort();
    return 0;
}
