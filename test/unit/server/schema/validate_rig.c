/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "test/unit/server/schema/validate_rig.h"

#include "base/kube/patch.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

static const struct schema_kind *find(struct schema *s, const char *kind)
{
    struct str api, name;
    auto_free char *version = NULL, *text = NULL;

    assert_true(str_cut(str_of(kind), ' ', &api, &name));
    version = str_dup(api);
    text = str_dup(name);
    const struct schema_kind *k = schema_find_api(s, version, text);
    if (!k)
        fail_msg("no kind %s", kind);
    return k;
}

/* base and patch, decoded and with defaults. The caller's. */
static json_t *made(const struct schema_kind *k, const char *base, const char *patch)
{
    json_auto_t *b = json_of(base), *p = json_of(*patch ? patch : "{}");
    auto_decode_notes notes = { 0 };
    json_t *o = NULL;
    struct err e = { 0 };

    if (patch_merge(&o, b, p, &e) || decode_object(k, o, STR(""), DECODE_STRICT, &notes, &e))
        fail_msg("%s: %s", patch, e.text);
    defaults_apply(k, o);
    json_auto_t *again = json_deep_copy(o);
    defaults_apply(k, again);
    if (!json_equal(o, again))
        fail_msg("%s: defaults do not settle", patch);
    return o;
}

/* The message begins with what the reason stands for. */
static void check_reason(const struct field_error *e)
{
    static const char *const words[] = {
        [FIELD_INVALID] = "Invalid value",
        [FIELD_REQUIRED] = "Required value",
        [FIELD_NOT_SUPPORTED] = "Unsupported value",
        [FIELD_FORBIDDEN] = "Forbidden",
        [FIELD_DUPLICATE] = "Duplicate value",
        [FIELD_NOT_FOUND] = "Not found",
        [FIELD_TOO_LONG] = "Too long",
        [FIELD_TOO_MANY] = "Too many",
        [FIELD_TYPE_INVALID] = "Invalid value",
        [FIELD_INTERNAL] = "Internal error",
    };

    if (strncmp(e->detail, words[e->reason], strlen(words[e->reason])) != 0)
        fail_msg("%s has reason %s", e->detail, field_reason_name(e->reason));
}

static void compare(const struct field_errors *fe, const char *patch, const char *want)
{
    auto_buf b = BUF(1024 * 1024);

    for (size_t i = 0; i < fe->n; i++) {
        check_reason(&fe->v[i]);
        assert_int_equal(buf_addf(&b, "%s%s: %s", i ? "\n" : "", fe->v[i].field, fe->v[i].detail),
                         0);
    }
    if (strcmp(b.p ? buf_cstr(&b) : "", want) != 0)
        fail_msg("%s\n--- says\n%s\n--- but should say\n%s", patch, b.p ? buf_cstr(&b) : "", want);
}

void rig_create(const char *kind, const char *base, const struct vrow *rows, size_t n)
{
    struct schema *s = schema_new();
    const struct schema_kind *k = find(s, kind);

    for (size_t i = 0; i < n; i++) {
        auto_field_errors fe = { 0 };
        json_auto_t *o = made(k, base, rows[i].patch);
        validate_create(k, o, &fe);
        compare(&fe, rows[i].patch, rows[i].errors);
    }
    schema_free(s);
}

void rig_update(const char *kind, const char *base, rig_update_fn update, const struct urow *rows,
                size_t n)
{
    struct schema *s = schema_new();
    const struct schema_kind *k = find(s, kind);

    for (size_t i = 0; i < n; i++) {
        auto_field_errors fe = { 0 };
        json_auto_t *old = made(k, base, rows[i].old), *now = made(k, base, rows[i].now);
        update(k, now, old, &fe);
        compare(&fe, rows[i].now, rows[i].errors);
    }
    schema_free(s);
}

void rig_defaults(const char *kind, const char *base, const struct vrow *rows, size_t n)
{
    struct schema *s = schema_new();
    const struct schema_kind *k = find(s, kind);

    for (size_t i = 0; i < n; i++) {
        json_auto_t *o = made(k, base, rows[i].patch);
        auto_free char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
        auto_free char *want = real_quotes(rows[i].errors);
        assert_string_equal(text, want);
    }
    schema_free(s);
}
