/*
 * The rules of objects: one JSON object, or two with a newline between them, the second being the
 * stored one of an update. Their kind is what they say. What is accepted keeps its defaults, is
 * decoded to itself, is accepted again, and may be written in its own place.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"

#include <stdlib.h>

static struct schema *s;

/* NULL: no object of a kind that is known. *k is its kind. */
static json_t *read_object(struct str text, const struct schema_kind **k)
{
    auto_decode_notes notes = { 0 };
    json_auto_t *o = NULL;
    struct err e;

    if (json_parse(&o, text, &e) || !json_is_object(o))
        return NULL;
    *k = schema_find_api(s, json_str_at(o, "apiVersion", ""), json_str_at(o, "kind", ""));
    if (!*k || decode_object(*k, o, text, DECODE_WARN, &notes, &e))
        return NULL;
    defaults_apply(*k, o);
    return STEAL(o);
}

static void must(bool ok, const char *law, const struct field_errors *fe)
{
    auto_free char *why = field_errors_text(fe);

    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", law, why);
    abort();
}

static void check_laws(const struct schema_kind *k, json_t *o)
{
    auto_field_errors fe = { 0 }, again = { 0 }, same = { 0 };
    auto_decode_notes notes = { 0 };
    struct err e;

    validate_create(k, o, &fe);
    if (fe.n)
        return;
    json_auto_t *copy = json_deep_copy(o);
    must(!decode_object(k, copy, (struct str){ 0 }, DECODE_STRICT, &notes, &e), "decodes", &fe);
    defaults_apply(k, copy);
    must(json_equal(o, copy), "keeps its defaults", &fe);
    validate_create(k, copy, &again);
    must(!again.n, "is accepted again", &again);
    validate_update(k, copy, o, &same);
    must(!same.n, "may be written in its own place", &same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_field_errors fe = { 0 };
    const struct schema_kind *k = NULL, *old_k = NULL;
    struct str now, old;

    if (!s)
        s = schema_new();
    (void)str_cut(str_n(data, n), '\n', &now, &old);
    json_auto_t *o = read_object(now, &k), *was = read_object(old, &old_k);
    if (o)
        check_laws(k, o);
    if (o && was && k == old_k) {
        validate_update(k, o, was, &fe);
        validate_status(k, o, was, &fe);
        validate_ephemeral(k, o, was, &fe);
    }
    return 0;
}
