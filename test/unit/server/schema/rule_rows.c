#include "test/unit/server/schema/rule_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/patch.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

enum door { CREATE, UPDATE, STATUS, APPROVAL };

static json_t *made(const struct schema_kind *k, const json_t *doc)
{
    auto_decode_notes notes = { 0 };
    json_t *obj = json_deep_copy(doc);
    struct err e = { 0 };

    if (!k || decode_object(k, obj, STR(""), DECODE_STRICT, &notes, &e))
        fail_msg("%s: %s", k ? k->kind : "no such kind", e.text);
    defaults_apply(k, obj);
    return obj;
}

/* A cause's reason and the beginning of its message are two forms of one thing. */
static void check_reason(const struct field_error *f)
{
    static const struct {
        enum field_reason reason;
        const char *begin;
    } rows[] = { { FIELD_INVALID, "Invalid value" },
                 { FIELD_REQUIRED, "Required value" },
                 { FIELD_NOT_SUPPORTED, "Unsupported value: " },
                 { FIELD_FORBIDDEN, "Forbidden" },
                 { FIELD_DUPLICATE, "Duplicate value: " },
                 { FIELD_NOT_FOUND, "Not found: " },
                 { FIELD_TOO_LONG, "Too long: " },
                 { FIELD_TOO_MANY, "Too many: " } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].reason == f->reason &&
            strncmp(f->detail, rows[i].begin, strlen(rows[i].begin)) == 0)
            return;
    fail_msg("%s: %s: %s", f->field, field_reason_name(f->reason), f->detail);
}

static char *lines(const struct field_errors *fe)
{
    auto_buf b = BUF(1024 * 1024);

    for (size_t i = 0; i < fe->n; i++) {
        check_reason(&fe->v[i]);
        assert_int_equal(buf_addf(&b, "%s%s: %s", i ? "\n" : "", fe->v[i].field, fe->v[i].detail),
                         0);
    }
    return b.n ? buf_take(&b) : mem_strdup("");
}

static void expect(const struct rule_base *b, const struct rule_row *rows, size_t n, enum door door)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct schema_kind *k = schema_find_api(schema, b->api_version, b->kind);
    json_auto_t *doc = json_of(b->document);

    if (!k)
        fail_msg("no kind %s", b->kind);
    for (size_t i = 0; i < n; i++) {
        auto_field_errors fe = { 0 };
        json_auto_t *change = json_of(rows[i].change), *changed = NULL;
        struct err e;
        assert_int_equal(patch_merge(&changed, doc, change, &e), 0);
        json_auto_t *now = made(k, changed), *old = made(k, doc);
        if (door == CREATE)
            validate_create(k, now, &fe);
        else if (door == UPDATE)
            validate_update(k, now, old, &fe);
        else if (door == STATUS)
            validate_status(k, now, old, &fe);
        else
            validate_approval(k, now, old, &fe);
        auto_free char *text = lines(&fe);
        if (strcmp(text, rows[i].errors) != 0)
            fail_msg("%s\n--- is ---\n%s\n--- not ---\n%s", rows[i].change, text, rows[i].errors);
    }
}

void expect_create(const struct rule_base *b, const struct rule_row *rows, size_t n)
{
    expect(b, rows, n, CREATE);
}

void expect_update(const struct rule_base *b, const struct rule_row *rows, size_t n)
{
    expect(b, rows, n, UPDATE);
}

void expect_status(const struct rule_base *b, const struct rule_row *rows, size_t n)
{
    expect(b, rows, n, STATUS);
}

void expect_approval(const struct rule_base *b, const struct rule_row *rows, size_t n)
{
    expect(b, rows, n, APPROVAL);
}

void expect_defaults(const struct rule_base *b, const char *part, const char *text)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct schema_kind *k = schema_find_api(schema, b->api_version, b->kind);
    json_auto_t *doc = json_of(b->document), *want = json_of(text);
    json_auto_t *obj = made(k, doc);
    const json_t *is = *part ? json_at(obj, part) : obj;

    auto_free char *a = is ? json_dumps(is, JSON_SORT_KEYS | JSON_ENCODE_ANY) : mem_strdup("none");
    auto_free char *w = json_dumps(want, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_string_equal(a, w);
}
