#include "base/data/json.h"
#include "server/schema/decode.h"
#include "server/schema/table.h"
#include "server/schema/tables.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int decode(const struct schema_kind *k, json_t *doc)
{
    auto_decode_notes notes = { 0 };
    struct err e;

    return decode_object(k, doc, (struct str){ 0 }, DECODE_IGNORE, &notes, &e);
}

/* To the stored form and back, as a read and a write would do it. */
static void go_round(const struct schema_kind *k, json_t *doc)
{
    k->convert->to_stored(k, doc);
    if (decode(schema_stored_kind(k), doc))
        abort();
    k->convert->from_stored(k, doc);
    if (decode(k, doc))
        abort();
}

/* What is stored is of its kind, and after one round (which may drop what cannot be said) nothing
 * changes any more. */
static void convert(const struct schema_kind *k, const json_t *doc)
{
    json_auto_t *once = json_deep_copy(doc), *twice = NULL;

    go_round(k, once);
    twice = json_deep_copy(once);
    go_round(k, twice);
    if (!json_equal(once, twice))
        abort();
}

/* The first byte is the kind, the rest a document of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_auto_t *doc = NULL, *row = NULL;
    struct err e;

    if (n < 2)
        return 0;
    const struct schema_kind *k = &schema_builtin_kinds[data[0] % schema_n_builtin_kinds];
    if (json_parse(&doc, str_n(data + 1, n - 1), &e) || !json_is_object(doc) || decode(k, doc))
        return 0;
    row = table_row(k, doc, TABLE_METADATA, 1795341641);
    if (json_array_size(json_object_get(row, "cells")) != (k->n_columns ? k->n_columns : 2))
        abort();
    if (schema_stored_kind(k) != k)
        convert(k, doc);
    return 0;
}
