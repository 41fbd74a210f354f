/*
 * An object with every field that its kind has goes all the ways that objects go here, and is the
 * same at the end: decoding, defaults, the store, protobuf, and patches of the object with itself.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/patch.h"
#include "server/api/encode.h"
#include "server/api/proto.h"
#include "server/schema/convert.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/managed.h"
#include "server/schema/strategic.h"
#include "server/schema/tables.h"
#include "server/schema/typed.h"
#include "test/unit/server/api/filled.h"

#include <string.h>

/* ---- objects ---- */

/* Decodes in place; what is not of the kind fails. */
static void decode(const struct schema_kind *k, const char *way, json_t *doc)
{
    auto_decode_notes notes = { 0 };
    struct err e = { 0 };

    if (decode_object(k, doc, (struct str){ 0 }, DECODE_STRICT, &notes, &e))
        fail_msg("%s %s, %s: %s", k->group, k->kind, way, e.text);
}

/* managedFields are not the client's; the rest of metadata is. */
static json_t *object_of(const struct schema_kind *k, bool wire_only)
{
    struct filled f = { .wire_only = wire_only };
    json_t *doc = filled_struct(&f, k->type);
    char api[SCHEMA_API_VERSION_MAX];

    json_object_set_new(doc, "apiVersion", json_string(schema_api_version(k, api)));
    json_object_set_new(doc, "kind", json_string(k->kind));
    json_object_del(json_object_get(doc, "metadata"), "managedFields");
    return doc;
}

/* The same with nothing but a name. */
static json_t *bare(const struct schema_kind *k)
{
    char api[SCHEMA_API_VERSION_MAX];
    json_t *doc = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", schema_api_version(k, api), "kind",
                            k->kind, "metadata", "name", "n");

    decode(k, "as sent", doc);
    return doc;
}

/* The first path at which a and b differ, into out. */
static bool differ(struct buf *out, const json_t *a, const json_t *b)
{
    const char *key;
    size_t n = out->n, i;
    json_t *v;

    if (json_equal(a, b))
        return false;
    json_object_foreach((json_t *)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        err_ignore(buf_addf(out, ".%s", key));
        if (other ? differ(out, v, other) : true)
            return true;
        out->n = n;
    }
    json_object_foreach((json_t *)b, key, v)
    {
        if (json_object_get(a, key))
            continue;
        err_ignore(buf_addf(out, ".%s is new", key));
        return true;
    }
    json_array_foreach(a, i, v)
    {
        const json_t *other = json_array_get(b, i);
        err_ignore(buf_addf(out, "[%zu]", i));
        if (other ? differ(out, v, other) : true)
            return true;
        out->n = n;
    }
    return true;
}

static void same(const struct schema_kind *k, const char *way, const json_t *is, const json_t *was)
{
    auto_buf path = BUF(4096);

    if (!differ(&path, was, is))
        return;
    auto_free char *a = json_dumps(was, JSON_SORT_KEYS), *b = json_dumps(is, JSON_SORT_KEYS);
    size_t at = 0;
    while (a[at] && a[at] == b[at])
        at++;
    at = at > 80 ? at - 80 : 0;
    fail_msg("%s %s, %s: %s: %.200s became %.200s", k->group, k->kind, way, buf_cstr(&path), a + at,
             b + at);
}

/* ---- the ways ---- */

static void through_decoding(const struct schema_kind *k, const json_t *doc)
{
    json_auto_t *copy = json_deep_copy(doc);

    decode(k, "decoded", copy);
    same(k, "decoded", copy, doc);
    decode(k, "decoded again", copy);
    same(k, "decoded again", copy, doc);
}

/* Defaults fill what is not there: nothing is missing, and a second time nothing is left to do. */
static void through_defaults(const struct schema_kind *k, const json_t *doc)
{
    json_auto_t *copy = json_deep_copy(doc), *empty = bare(k);

    defaults_apply(k, copy);
    decode(k, "with defaults", copy);
    defaults_apply(k, empty);
    decode(k, "empty with defaults", empty);
    json_auto_t *once = json_deep_copy(empty);
    defaults_apply(k, empty);
    same(k, "with defaults twice", empty, once);
}

/* autoscaling/v1 shows what v2 knows besides as annotations, and v2's default target. */
static void forget_what_v2_adds(json_t *back, const json_t *sent)
{
    json_t *notes = json_at(back, "metadata.annotations");

    json_object_del(notes, "autoscaling.alpha.kubernetes.io/current-metrics");
    if (notes && !json_object_size(notes))
        json_object_del(json_object_get(back, "metadata"), "annotations");
    if (!json_at(sent, "spec.targetCPUUtilizationPercentage"))
        json_object_del(json_object_get(back, "spec"), "targetCPUUtilizationPercentage");
}

static char *written_again(const struct schema_kind *k, const char *stored)
{
    json_auto_t *doc = NULL;
    struct err e = { 0 };

    if (encode_parse(&doc, k, str_of(stored), 7, &e))
        fail_msg("%s: %s", k->kind, e.text);
    return encode_stored(k, doc);
}

static void through_the_store(const struct schema_kind *k, const json_t *doc)
{
    auto_free char *stored = encode_stored(k, doc);
    json_auto_t *back = NULL, *want = json_deep_copy(doc);
    struct err e = { 0 };

    if (encode_parse(&back, k, str_of(stored), 7, &e))
        fail_msg("%s: %s", k->kind, e.text);
    json_object_set_new(json_object_get(want, "metadata"), "resourceVersion", json_string("7"));
    json_object_del(json_object_get(want, "metadata"), "selfLink");
    if (k->convert == &schema_convert_hpa)
        forget_what_v2_adds(back, doc);
    same(k, "stored", back, want);
    /* what was read and is written again stays as it is */
    json_auto_t *text = json_loads(stored, 0, NULL);
    char api[SCHEMA_API_VERSION_MAX];
    if (k->convert)
        assert_string_equal(json_str_at(text, "apiVersion", ""), schema_stored_version(k, api));
    auto_free char *second = written_again(k, stored), *third = written_again(k, second);
    if (k->convert != &schema_convert_hpa) /* v1's annotation has a value "0" where v2 has none */
        assert_string_equal(second, stored);
    assert_string_equal(third, second);
}

static void through_protobuf(const struct schema_kind *k, const json_t *doc)
{
    auto_buf b = BUF(16 * 1024 * 1024);
    json_auto_t *back = NULL;
    struct err e = { 0 };

    if (proto_write(&b, k->type, doc, &e) || proto_read(&back, k->type, buf_str(&b), &e))
        fail_msg("%s: %s", k->kind, e.text);
    decode(k, "protobuf", back);
    same(k, "protobuf", back, doc);
}

static void through_patches(const struct schema_kind *k, const json_t *doc)
{
    json_auto_t *none = json_object();
    const json_t *const patches[] = { none, doc };

    for (size_t i = 0; i < ARRAY_LEN(patches); i++) {
        json_auto_t *strategic = NULL, *merged = NULL;
        struct err e = { 0 };
        if (strategic_apply(&strategic, k->type, doc, patches[i], &e) ||
            patch_merge(&merged, doc, patches[i], &e))
            fail_msg("%s: %s", k->kind, e.text);
        same(k, i ? "strategic patch with itself" : "empty strategic patch", strategic, doc);
        same(k, i ? "merge patch with itself" : "empty merge patch", merged, doc);
    }
}

/* Without what the server writes: managedFields, and owner's times that differ. */
static void compare_applied(const struct schema_kind *k, const char *way, const json_t *is,
                            const json_t *was)
{
    json_auto_t *a = json_deep_copy(is);

    json_object_del(json_object_get(a, "metadata"), "managedFields");
    decode(k, way, a);
    same(k, way, a, was);
}

static json_t *applied(const struct schema_kind *k, const char *manager, const json_t *live,
                       const json_t *config)
{
    const struct managed_by by = { .manager = manager,
                                   .subresource = "",
                                   .now = "2026-11-30T10:00:00Z" };
    json_t *out = NULL;
    json_auto_t *refused = managed_apply(&out, k, &by, false, live, config);

    if (refused) {
        auto_free char *text = json_text(refused);
        fail_msg("%s: applied by %s: %s", k->kind, manager, text);
    }
    decode(k, "applied", out);
    return out;
}

/* By one manager, by it again, by another that says the same, and not by the first any more. */
static void through_apply(const struct schema_kind *k, const json_t *doc)
{
    auto_buf problems = BUF(64 * 1024);

    typed_check(&problems, k->type, doc);
    if (problems.n)
        fail_msg("%s: %s", k->kind, buf_cstr(&problems));
    json_auto_t *one = applied(k, "one", NULL, doc);
    compare_applied(k, "applied", one, doc);
    json_auto_t *again = applied(k, "one", one, doc);
    same(k, "applied again", again, one);
    json_auto_t *two = applied(k, "two", one, doc);
    compare_applied(k, "applied by a second", two, doc);
    json_auto_t *nothing =
        json_pack("{s:O, s:O, s:{s:O}}", "apiVersion", json_object_get(doc, "apiVersion"), "kind",
                  json_object_get(doc, "kind"), "metadata", "name", json_at(doc, "metadata.name"));
    json_auto_t *left = applied(k, "one", two, nothing);
    compare_applied(k, "given up by the first", left, doc);
}

static void every_kind_survives(void (*way)(const struct schema_kind *, const json_t *),
                                bool wire_only)
{
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        json_auto_t *doc = object_of(k, wire_only), *small = bare(k);

        decode(k, "as made", doc);
        way(k, doc);
        way(k, small);
    }
}

static void decoding_keeps_every_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];
        json_auto_t *made = object_of(k, false), *doc = json_deep_copy(made);

        decode(k, "as made", doc);
        same(k, "as made", doc, made);
    }
    every_kind_survives(through_decoding, false);
}

static void defaults_are_whole_the_first_time(void **state)
{
    (void)state;
    every_kind_survives(through_defaults, false);
}

static void the_store_keeps_every_field(void **state)
{
    (void)state;
    every_kind_survives(through_the_store, false);
}

static void protobuf_keeps_every_field(void **state)
{
    (void)state;
    every_kind_survives(through_protobuf, true);
}

static void a_patch_with_itself_changes_nothing(void **state)
{
    (void)state;
    every_kind_survives(through_patches, false);
}

static void an_applied_object_is_what_was_said(void **state)
{
    (void)state;
    every_kind_survives(through_apply, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_keeps_every_field),
        cmocka_unit_test(defaults_are_whole_the_first_time),
        cmocka_unit_test(the_store_keeps_every_field),
        cmocka_unit_test(protobuf_keeps_every_field),
        cmocka_unit_test(a_patch_with_itself_changes_nothing),
        cmocka_unit_test(an_applied_object_is_what_was_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
