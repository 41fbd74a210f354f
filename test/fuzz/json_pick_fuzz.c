#include "base/core/macros.h"
#include "base/data/json.h"
#include "base/data/json_pick.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Of a document without doubled keys and escapes, what is picked is what a parser finds there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const paths[] = { "a", "b.c", "b.d.e", "metadata.labels" };
    json_auto_t *doc = NULL, *picked = NULL;
    struct str text = str_n(data, n);
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct str found;
        if (json_find(&found, text, paths[i]) &&
            (found.p < text.p || found.p + found.n > text.p + text.n))
            abort();
    }
    int rc = json_pick(&picked, text, paths, ARRAY_LEN(paths), &e);
    if (memchr(data, '\\', n) || json_parse_strict(&doc, text, &e) || !json_is_object(doc))
        return 0;
    if (rc)
        abort();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        json_t *want = json_at(doc, paths[i]), *got = json_at(picked, paths[i]);
        if (want ? !got || !json_equal(want, got) : got && !json_is_null(got))
            abort();
    }
    return 0;
}
