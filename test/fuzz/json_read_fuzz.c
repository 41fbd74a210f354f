#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reading as jansson does: it takes what jansson takes but for what is too deep, with the same
 * values in the same order. And but for NUL bytes: jansson 2.14 loses one behind a number or word.
 */
static void compare(struct str text, bool strict)
{
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | (strict ? JSON_REJECT_DUPLICATES : 0);
    json_auto_t *ours = NULL, *theirs = json_loadb(text.p ? text.p : "", text.n, flags, NULL);
    struct err e = { 0 };
    int rc = strict ? json_parse_strict(&ours, text, &e) : json_parse(&ours, text, &e);

    if (rc == ERR_LIMIT)
        return;
    if (rc && theirs && !memchr(text.p, '\0', text.n))
        abort();
    if (rc)
        return;
    if (!theirs || !json_equal(ours, theirs))
        abort();
    auto_free char *a = json_dumps(ours, JSON_ENCODE_ANY), *b = json_dumps(theirs, JSON_ENCODE_ANY);
    if (strcmp(a, b) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    compare(str_n(data, n), false);
    compare(str_n(data, n), true);
    return 0;
}
