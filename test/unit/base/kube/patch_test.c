#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/kube/patch.h"
#include "test/unit/json_text.h"

struct row {
    const char *doc, *patch, *out; /* out NULL: code */
    int code;
};

static void check(const struct row *rows, size_t n,
                  int (*apply)(json_t **, const json_t *, const json_t *, struct err *))
{
    for (size_t i = 0; i < n; i++) {
        json_auto_t *doc = json_of(rows[i].doc), *patch = json_of(rows[i].patch), *out = NULL;
        json_auto_t *before = json_deep_copy(doc);
        struct err e = { 0 };
        int r = apply(&out, doc, patch, &e);
        if (r != rows[i].code)
            fail_msg("%s on %s: %d %s", rows[i].patch, rows[i].doc, r, e.text);
        assert_true(json_equal(doc, before)); /* left alone */
        if (!rows[i].out)
            continue;
        json_auto_t *want = json_of(rows[i].out);
        if (!json_equal(out, want))
            fail_msg("%s on %s", rows[i].patch, rows[i].doc);
    }
}

static void merge_patches_follow_rfc_7386(void **state)
{
    static const struct row rows[] = {
        { "{'a':1}", "{'a':2}", "{'a':2}", 0 },
        { "{'a':1}", "{'a':null}", "{}", 0 },
        { "{'a':{'b':1,'c':2}}", "{'a':{'b':null,'d':3}}", "{'a':{'c':2,'d':3}}", 0 },
        { "{'a':[1]}", "{'a':[2,3]}", "{'a':[2,3]}", 0 },
        { "{'a':1}", "{'a':{'b':null,'c':1}}", "{'a':{'c':1}}", 0 },
        { "[1]", "{'a':1}", "{'a':1}", 0 },
        { "{'a':1}", "['b']", "['b']", 0 },
    };
    (void)state;
    check(rows, ARRAY_LEN(rows), patch_merge);
}

static void json_patches_follow_rfc_6902(void **state)
{
    static const struct row rows[] = {
        { "{'a':1}", "[]", "{'a':1}", 0 },
        { "{'a':1}", "[{'op':'add','path':'/b','value':2}]", "{'a':1,'b':2}", 0 },
        { "{'a':[1,3]}", "[{'op':'add','path':'/a/1','value':2}]", "{'a':[1,2,3]}", 0 },
        { "{'a':[1]}", "[{'op':'add','path':'/a/-','value':2}]", "{'a':[1,2]}", 0 },
        { "{'a':1}", "[{'op':'remove','path':'/a'}]", "{}", 0 },
        { "{'a/b':1,'c~d':2}",
          "[{'op':'remove','path':'/a~1b'},{'op':'replace','path':'/c~0d','value':3}]", "{'c~d':3}",
          0 },
        { "{'a':1}", "[{'op':'move','from':'/a','path':'/b'}]", "{'b':1}", 0 },
        { "{'a':{'x':1}}", "[{'op':'copy','from':'/a','path':'/b'}]", "{'a':{'x':1},'b':{'x':1}}",
          0 },
        { "{'a':1}", "[{'op':'test','path':'/a','value':1.0}]", "{'a':1}", 0 },
        { "{'a':1}", "[{'op':'test','path':'/a','value':2}]", NULL, ERR_CONFLICT },
        { "{'a':1}", "[{'op':'replace','path':'','value':{'b':1}}]", "{'b':1}", 0 },
        { "{'a':1}", "[{'op':'remove','path':'/b'}]", NULL, ERR_INVALID },
        { "{'a':1}", "[{'op':'add','path':'/b/c','value':1}]", NULL, ERR_INVALID },
        { "{'a':[1]}", "[{'op':'add','path':'/a/3','value':1}]", NULL, ERR_INVALID },
        { "{'a':[1]}", "[{'op':'add','path':'/a/01','value':1}]", NULL, ERR_INVALID },
        { "{'a':[1]}", "[{'op':'replace','path':'/a/1','value':1}]", NULL, ERR_INVALID },
        { "{'a':{}}", "[{'op':'move','from':'/a','path':'/a/b'}]", NULL, ERR_INVALID },
        { "{'a':1}", "[{'op':'add','path':'b','value':1}]", NULL, ERR_INVALID },
        { "{'a':1}", "[{'op':'add','path':'/b'}]", NULL, ERR_INVALID },
        { "{'a':1}", "[{'op':'frob','path':'/b','value':1}]", NULL, ERR_INVALID },
        { "{'a':1}", "[{'path':'/b','value':1}]", NULL, ERR_INVALID },
        { "{'a':1}", "[7]", NULL, ERR_INVALID },
        { "{'a':1}", "{'a':2}", NULL, ERR_INVALID },
    };
    (void)state;
    check(rows, ARRAY_LEN(rows), patch_json);
}

/* Forty copies of the whole into itself would be a million million values. */
static void copies_cannot_fill_memory(void **state)
{
    json_auto_t *doc = json_of("{'a':[1]}"), *ops = json_array(), *out = NULL;
    struct err e;
    (void)state;

    for (unsigned i = 0; i < 40; i++)
        json_array_append_new(ops, json_of("{'op':'copy','from':'/a','path':'/a/-'}"));
    assert_int_equal(patch_json(&out, doc, ops, &e), ERR_LIMIT);
}

static void too_many_operations_are_refused(void **state)
{
    json_auto_t *doc = json_object(), *ops = json_array(), *out = NULL;
    struct err e;
    (void)state;

    for (unsigned i = 0; i <= PATCH_OPS_MAX; i++)
        json_array_append_new(ops, json_object());
    assert_int_equal(patch_json(&out, doc, ops, &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_patches_follow_rfc_7386),
        cmocka_unit_test(json_patches_follow_rfc_6902),
        cmocka_unit_test(copies_cannot_fill_memory),
        cmocka_unit_test(too_many_operations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
