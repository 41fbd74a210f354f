/* A pattern, up to the first newline, and a text that it is run over. What matches is found
 * somewhere. */
#include "base/data/regex.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(regex) struct regex *r = NULL;
    struct str pattern, text;
    struct err e;
    uint64_t steps = REGEX_STEPS_MAX;
    bool match, found;
    size_t from = 0, to = 0;

    str_cut(str_n(data, n), '\n', &pattern, &text);
    if (regex_new(&r, pattern, &e))
        return 0;
    if (regex_match(&match, r, text, &steps, &e))
        return match; /* a match that ran out is none */
    if (regex_find(&found, &from, &to, r, text, 0, &steps, &e))
        return 0;
    if (found != match || from > to || to > text.n)
        abort();
    return 0;
}
