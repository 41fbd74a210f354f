#include "base/core/macros.h"
#include "base/data/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What parses is written and parses to the same; a path (the first line) never leads outside. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_auto_t *doc = NULL, *strict = NULL, *again = NULL;
    auto_buf text = BUF(64 << 20);
    struct str path, body;
    struct err e;

    str_cut(str_n(data, n), '\n', &path, &body);
    if (json_parse(&doc, body, &e)) {
        if (json_parse_strict(&strict, body, &e) == 0)
            abort(); /* strict takes less, never more */
        return 0;
    }
    err_ignore(json_parse_strict(&strict, body, &e)); /* either */
    if (json_write(&text, doc) || json_parse(&again, buf_str(&text), &e) || !json_equal(doc, again))
        abort();
    char *p = str_dup(path);
    json_at(doc, p);
    json_str_at(doc, p, NULL);
    free(p);
    return 0;
}
