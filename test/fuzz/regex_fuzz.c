/* A pattern, up to the first newline, and a text that it is run over. */
#include "base/data/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(regex) struct regex *r = NULL;
    struct str pattern, text;
    struct err e;
    uint64_t steps = REGEX_STEPS_MAX;
    bool match;

    str_cut(str_n(data, n), '\n', &pattern, &text);
    if (regex_new(&r, pattern, &e))
        return 0;
    return regex_match(&match, r, text, &steps, &e) && match; /* a match that ran out is none */
}
