/* A field selector on the first line, an object behind it: labels that no kind has are refused, and
 * what is accepted has a value for every document, be it of the wrong shape. */
#include "base/data/json.h"
#include "base/kube/selector.h"
#include "server/schema/fields.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct schema *s;
    AUTO(field_selector) struct field_selector *f = NULL;
    json_auto_t *doc = NULL;
    struct str line, rest;
    struct err e;
    size_t n_kinds, n_terms;

    if (!s)
        s = schema_new();
    str_cut(str_n(data, n), '\n', &line, &rest);
    if (field_selector_parse(&f, line, &e) || json_parse(&doc, rest, &e))
        return 0;
    const struct schema_kind *const *kinds = schema_kinds(s, &n_kinds);
    const struct selector_term *t = field_selector_terms(f, &n_terms);
    for (size_t i = 0; i < n_kinds; i++) {
        if (fields_check(kinds[i], f, &e))
            continue;
        fields_match(kinds[i], doc, f);
        for (size_t k = 0; k < n_terms; k++) {
            char scratch[FIELDS_SCRATCH_MAX];

            if (!fields_value(kinds[i], doc, t[k].key, scratch))
                abort();
        }
    }
    return 0;
}
