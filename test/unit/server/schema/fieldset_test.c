#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/schema/fieldset.h"
#include "test/unit/json_text.h"

static const struct fieldset *read_(struct arena *a, const char *text, json_t **doc)
{
    const struct fieldset *s = NULL;
    struct err e = { 0 };

    *doc = json_of(text);
    if (fieldset_read(&s, a, *doc, false, &e))
        fail_msg("%s: %s", text, e.text);
    return s;
}

/* The text as it is written, or as it was when that says NULL. */
static void assert_prints(const struct fieldset *s, const char *want)
{
    json_auto_t *j = fieldset_json(s), *w = json_of(want);
    auto_free char *have = json_dumps(j, JSON_COMPACT), *text = json_dumps(w, JSON_COMPACT);

    assert_string_equal(have, text);
}

/* fieldpath/serialize.go and serialize-pe.go: what is read, and how it is written again. */
static void sets_print_in_upstreams_order_and_form(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: the same */
    } rows[] = {
        { "{}", NULL },
        { "{'f:metadata':{'f:labels':{'.':{},'f:a':{}}},'f:spec':{}}", NULL },
        { "{'f:b':{},'f:a':{}}", "{'f:a':{},'f:b':{}}" },
        /* fields, keys, values, indices */
        { "{'i:1':{},'v:1':{},'k:{\\'a\\':1}':{},'f:z':{}}",
          "{'f:z':{},'k:{\\'a\\':1}':{},'v:1':{},'i:1':{}}" },
        /* numbers by value, texts by their bytes, the shorter first */
        { "{'v:10':{},'v:9':{},'v:-1':{}}", "{'v:-1':{},'v:9':{},'v:10':{}}" },
        { "{'k:{\\'p\\':443}':{},'k:{\\'p\\':80}':{}}",
          "{'k:{\\'p\\':80}':{},'k:{\\'p\\':443}':{}}" },
        { "{'k:{\\'n\\':\\'ab\\'}':{},'k:{\\'n\\':\\'a\\'}':{}}",
          "{'k:{\\'n\\':\\'a\\'}':{},'k:{\\'n\\':\\'ab\\'}':{}}" },
        { "{'v:true':{},'v:\\'a\\'':{},'v:1':{},'v:null':{}}",
          "{'v:1':{},'v:\\'a\\'':{},'v:true':{},'v:null':{}}" },
        /* a key has one form: its fields sorted, no blanks, no fraction that is none */
        { "{'k:{ \\'protocol\\':\\'TCP\\', \\'containerPort\\':80.0 }':{}}",
          "{'k:{\\'containerPort\\':80,\\'protocol\\':\\'TCP\\'}':{}}" },
        /* twice the same key in two forms is one */
        { "{'k:{\\'a\\':1}':{'f:x':{}},'k:{ \\'a\\':1}':{'f:y':{}}}",
          "{'k:{\\'a\\':1}':{'f:x':{},'f:y':{}}}" },
        /* "." beside nothing says what {} says; what we do not know is dropped */
        { "{'f:a':{'.':{}}}", "{'f:a':{}}" },
        { "{'f:a':{},'x:b':{'f:c':{}}}", "{'f:a':{}}" },
        { "{'f:a':{'x:b':{}}}", "{'f:a':{}}" },
        { "{'.':{}}", "{}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_arena a = ARENA_UNBOUNDED;
        json_auto_t *doc = NULL;
        assert_prints(read_(&a, rows[i].in, &doc), rows[i].out ? rows[i].out : rows[i].in);
    }
}

static void what_is_no_path_is_refused(void **state)
{
    static const char *const rows[] = {
        "[]",
        "1",
        "{'f:a':1}",
        "{'f:a':{'.':{},'b':{}}}",
        "{'f':{}}",
        "{'ab':{}}",
        "{'k:x':{}}",
        "{'k:[1]':{}}",
        "{'k:':{}}",
        "{'v:{':{}}",
        "{'i:x':{}}",
        "{'i:-1':{}}",
        "{'i:99999999999':{}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_arena a = ARENA_UNBOUNDED;
        json_auto_t *doc = json_loads(rows[i], JSON_DECODE_ANY, NULL);
        const struct fieldset *s = NULL;
        struct err e = { 0 };

        if (!doc)
            doc = json_of(rows[i]);
        assert_int_equal(fieldset_read(&s, &a, doc, false, &e), ERR_INVALID);
    }
}

static void depth_and_length_are_bounded(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    json_auto_t *deep = json_object(), *wide = json_object();
    auto_free char *longest = mem_alloc(FIELDSET_ELEMENT_MAX + 4);
    const struct fieldset *s;
    struct err e = { 0 };

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        deep = json_pack("{s:o}", "f:a", deep);
    assert_int_equal(fieldset_read(&s, &a, deep, false, &e), ERR_LIMIT);
    memset(longest, 'f', FIELDSET_ELEMENT_MAX + 2);
    longest[1] = ':';
    json_object_set_new(wide, longest, json_object());
    assert_int_equal(fieldset_read(&s, &a, wide, false, &e), ERR_LIMIT);
}

/* fieldpath/set.go: Union, Intersection, Difference, RecursiveDifference. */
static void algebra(void **state)
{
    static const struct {
        char op; /* | & - = (deep) */
        const char *x, *y, *out;
    } rows[] = {
        { '|', "{'f:a':{}}", "{'f:b':{}}", "{'f:a':{},'f:b':{}}" },
        { '|', "{'f:a':{'f:x':{}}}", "{'f:a':{}}", "{'f:a':{'.':{},'f:x':{}}}" },
        { '|', "{}", "{'f:a':{}}", "{'f:a':{}}" },
        { '&', "{'f:a':{'.':{},'f:x':{}}}", "{'f:a':{}}", "{'f:a':{}}" },
        { '&', "{'f:a':{'f:x':{}}}", "{'f:a':{}}", "{}" },
        { '&', "{'f:a':{'f:x':{},'f:y':{}}}", "{'f:a':{'.':{},'f:x':{}}}", "{'f:a':{'f:x':{}}}" },
        /* what is below a member stays, unless it is the deep one */
        { '-', "{'f:a':{'.':{},'f:x':{}}}", "{'f:a':{}}", "{'f:a':{'f:x':{}}}" },
        { '=', "{'f:a':{'.':{},'f:x':{}},'f:b':{}}", "{'f:a':{}}", "{'f:b':{}}" },
        { '-', "{'f:a':{'f:x':{}}}", "{'f:a':{'f:x':{}}}", "{}" },
        { '=', "{'f:a':{'f:x':{'f:z':{}},'f:y':{}}}", "{'f:a':{'f:x':{}}}", "{'f:a':{'f:y':{}}}" },
        { '-', "{'f:a':{}}", "{'f:b':{}}", "{'f:a':{}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_arena a = ARENA_UNBOUNDED;
        json_auto_t *dx = NULL, *dy = NULL;
        const struct fieldset *x = read_(&a, rows[i].x, &dx), *y = read_(&a, rows[i].y, &dy);
        const struct fieldset *r = rows[i].op == '|'   ? fieldset_union(&a, x, y)
                                   : rows[i].op == '&' ? fieldset_intersection(&a, x, y)
                                   : rows[i].op == '-' ? fieldset_difference(&a, x, y)
                                                       : fieldset_difference_deep(&a, x, y);
        assert_prints(r, rows[i].out);
    }
}

static void what_does_not_change_a_set_returns_it(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    json_auto_t *dx = NULL, *dy = NULL, *dz = NULL;
    const struct fieldset *x = read_(&a, "{'f:a':{'f:x':{},'f:y':{}},'f:b':{}}", &dx);
    const struct fieldset *part = read_(&a, "{'f:a':{'f:x':{}}}", &dy);
    const struct fieldset *other = read_(&a, "{'f:a':{'f:q':{}},'f:c':{}}", &dz);

    (void)state;
    assert_ptr_equal(fieldset_union(&a, x, part), x);
    assert_ptr_equal(fieldset_difference(&a, x, other), x);
    assert_ptr_equal(fieldset_difference_deep(&a, x, other), x);
    assert_ptr_equal(fieldset_intersection(&a, part, x), part);
    assert_ptr_not_equal(fieldset_union(&a, x, other), x);
    assert_null(fieldset_intersection(&a, x, other));
}

static void add_path(void *arg, const char *path)
{
    assert_int_equal(buf_addf(arg, "%s ", path), 0);
}

/* fieldpath/element.go, String: what conflicts say. */
static void paths_read_as_upstreams(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    json_auto_t *doc = NULL;
    auto_buf b = BUF(4096);
    const struct fieldset *s = read_(
        &a,
        "{'f:spec':{'f:ports':{'k:{\\'port\\':80,\\'protocol\\':\\'TCP\\'}':{'.':{},'f:name':{}}}"
        ",'f:x':{'v:\\'a\\'':{},'i:3':{}}}}",
        &doc);

    (void)state;
    fieldset_each(s, add_path, &b);
    assert_string_equal(buf_cstr(&b), ".spec.ports[port=80,protocol=\"TCP\"] "
                                      ".spec.ports[port=80,protocol=\"TCP\"].name "
                                      ".spec.x[=\"a\"] .spec.x[3] ");
}

static void elements_are_made_as_they_are_read(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    json_auto_t *name = json_string("a<b"), *port = json_integer(80);
    struct fieldset_part parts[] = { { "port", port }, { "name", name } };

    (void)state;
    assert_string_equal(fieldset_key(&a, parts, 2), "k:{\"name\":\"a\\u003cb\",\"port\":80}");
    assert_string_equal(fieldset_value(&a, name), "v:\"a\\u003cb\"");
    assert_string_equal(fieldset_field(&a, "spec"), "f:spec");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_print_in_upstreams_order_and_form),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(depth_and_length_are_bounded),
        cmocka_unit_test(algebra),
        cmocka_unit_test(what_does_not_change_a_set_returns_it),
        cmocka_unit_test(paths_read_as_upstreams),
        cmocka_unit_test(elements_are_made_as_they_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
