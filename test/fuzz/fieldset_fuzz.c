/* Any JSON as fieldsV1: what reads is written in its one form, reads as that again, and is what it
 * was after a union with itself and nothing without itself. */
#include "base/data/json.h"
#include "server/schema/fieldset.h"

#include <stdlib.h>

static void add_path(void *arg, const char *path)
{
    *(size_t *)arg += *path != '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena a = ARENA_UNBOUNDED;
    json_auto_t *doc = NULL, *out = NULL, *again = NULL;
    const struct fieldset *s, *t;
    size_t n_paths = 0;
    struct err e;

    if (json_parse(&doc, str_n(data, n), &e) || fieldset_read(&s, &a, doc, false, &e))
        return 0;
    out = fieldset_json(s);
    if (fieldset_read(&t, &a, out, true, &e) || fieldset_union(&a, s, t) != s ||
        fieldset_read(&t, &a, out, false, &e))
        abort();
    again = fieldset_json(t);
    char *x = json_dumps(out, JSON_COMPACT), *y = json_dumps(again, JSON_COMPACT);
    if (strcmp(x, y) != 0 || fieldset_union(&a, s, t) != s || fieldset_difference(&a, s, t) ||
        fieldset_difference_deep(&a, s, t) || fieldset_intersection(&a, s, t) != s)
        abort();
    fieldset_each(s, add_path, &n_paths);
    free(x);
    free(y);
    return 0;
}
