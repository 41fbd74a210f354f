/* A body's whole way in, for every kind: the first byte picks it. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/table.h"
#include "server/schema/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct schema *s;
    auto_decode_notes notes = { 0 };
    auto_field_errors fe = { 0 };
    json_auto_t *o = NULL;
    struct err e;
    size_t n_kinds;

    if (!s)
        s = schema_new();
    if (!n)
        return 0;
    const struct schema_kind *const *kinds = schema_kinds(s, &n_kinds);
    const struct schema_kind *k = kinds[data[0] % n_kinds];
    struct str text = str_n(data + 1, n - 1);
    if (json_parse(&o, text, &e) || decode_object(k, o, text, DECODE_WARN, &notes, &e))
        return 0;
    defaults_apply(k, o);
    validate_create(k, o, &fe);
    validate_update(k, o, o, &fe);
    json_auto_t *row = table_row(k, o, TABLE_OBJECT, 0);
    auto_free char *why = field_errors_text(&fe);
    return !row || !why; /* 0: both are always made */
}
