/* A definition, up to the first newline, and instances that go all the way of an object, in both
 * directions between two versions. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd.h"
#include "server/schema/crd_check.h"
#include "server/schema/crd_openapi.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/managed.h"
#include "server/schema/table.h"
#include "server/schema/validate.h"

#include <stdlib.h>

static void use(const struct crd_version *v, struct str text)
{
    static const struct managed_by by = { "fuzz", "", "2026-11-30T10:00:00Z" };
    const struct schema_kind *k = &v->kind;
    auto_decode_notes notes = { 0 };
    auto_field_errors fe = { 0 };
    json_auto_t *o = NULL, *applied = NULL;
    struct err e;

    if (json_parse(&o, text, &e) || !json_is_object(o) ||
        decode_object(k, o, text, DECODE_WARN, &notes, &e))
        return;
    defaults_apply(k, o);
    validate_create(k, o, &fe);
    validate_update(k, o, o, &fe);
    json_decref(table_row(k, o, TABLE_OBJECT, 0));
    json_decref(managed_apply(&applied, k, &by, true, NULL, o));
    k->convert->to_stored(k, o);
    k->convert->from_stored(k, o);
    auto_free char *once = json_text(o);
    k->convert->from_stored(k, o);
    auto_free char *twice = json_text(o);
    if (strcmp(once, twice) != 0)
        abort(); /* what was read is as it will be read again */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_field_errors fe = { 0 };
    json_auto_t *doc = NULL;
    struct str head, rest;
    struct crd *crd;
    struct err e;
    size_t n_versions;

    str_cut(str_n(data, n), '\n', &head, &rest);
    if (json_parse(&doc, head, &e) || !json_is_object(doc))
        return 0;
    crd_check(doc, &fe);
    if (fe.n || crd_new(&crd, doc, &e))
        return 0;
    const struct crd_version *v = crd_versions(crd, &n_versions);
    for (size_t i = 0; i < n_versions; i++) {
        use(&v[i], rest);
        json_auto_t *bare = json_object();
        json_decref(crd_openapi_schema(&v[i], bare, true));
    }
    crd_unref(crd);
    return 0;
}
