/* Instances against a custom kind's schema: what is said, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/schema/crd_validate.h"
#include "test/unit/json_text.h"

static struct crd_node *node_of(json_t *schema)
{
    struct crd_node *n = NULL;
    struct err e = { 0 };

    if (crd_node_new(&n, schema, &e))
        fail_msg("%s", e.text);
    return n;
}

static void check(const char *schema, const char *value, const char *old, const char *prefix,
                  const char *errors)
{
    json_auto_t *s = json_of(schema), *v = json_of(value), *o = old ? json_of(old) : NULL;
    AUTO(crd_node) struct crd_node *n = node_of(s);
    auto_field_errors fe = { 0 };
    auto_free char *want = real_quotes(errors);

    crd_validate(n, v, o, prefix, &fe);
    auto_free char *text = field_errors_text(&fe);
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  %s\n  says   %s\n  not    %s", schema, value, text, want);
}

/* {"a": schema} and {"a": value}, which is how they mostly lie. */
static void values_are_told_in_upstreams_words(void **state)
{
    static const struct {
        const char *schema, *value, *errors; /* of a */
    } rows[] = {
        { "{'type':'integer','maximum':10}", "20",
          "a: Invalid value: 20: a in body should be less than or equal to 10" },
        { "{'type':'integer','maximum':10}", "10", "" },
        { "{'type':'integer','maximum':10,'exclusiveMaximum':true}", "10",
          "a: Invalid value: 10: a in body should be less than 10" },
        { "{'type':'integer','minimum':1}", "0",
          "a: Invalid value: 0: a in body should be greater than or equal to 1" },
        { "{'type':'number','minimum':0.5,'exclusiveMinimum':true}", "0.5",
          "a: Invalid value: 0.5: a in body should be greater than 0.5" },
        { "{'type':'integer','multipleOf':5}", "7",
          "a: Invalid value: 7: a in body should be a multiple of 5" },
        { "{'type':'number','multipleOf':0.1}", "0.3", "" },
        { "{'type':'string','maxLength':2}", "'abc'", "a: Too long: may not be more than 2 bytes" },
        { "{'type':'string','maxLength':2}", "'\xc3\xa9\xc3\xa9'", "" }, /* runes count */
        { "{'type':'string','minLength':1}", "''",
          "a: Invalid value: '': a in body should be at least 1 chars long" },
        { "{'type':'string','pattern':'^x+$'}", "'y'",
          "a: Invalid value: 'y': a in body should match \x01^x+$\x01" },
        { "{'type':'string','enum':['b','a']}", "'c'",
          "a: Unsupported value: 'c': supported values: 'b', 'a'" },
        { "{'type':'integer','enum':[1,2]}", "3",
          "a: Unsupported value: 3: supported values: '1', '2'" },
        { "{'type':'integer','enum':[1,2]}", "2.0", "" },
        { "{'type':'string','format':'ipv4'}", "'x'",
          "a: Invalid value: 'x': a in body must be of type ipv4: 'x'" },
        { "{'type':'string','format':'of-nobody'}", "'x'", "" },
        { "{'type':'string'}", "1",
          "a: Invalid value: 'integer': a in body must be of type string: 'integer'" },
        { "{'type':'integer'}", "1.5",
          "a: Invalid value: 'number': a in body must be of type integer: 'number'" },
        { "{'type':'integer'}", "2.0", "" },
        { "{'type':'number'}", "2", "" },
        { "{'type':'boolean'}", "'true'",
          "a: Invalid value: 'string': a in body must be of type boolean: 'string'" },
        { "{'type':'object'}", "[]",
          "a: Invalid value: 'array': a in body must be of type object: 'array'" },
        { "{'type':'array','items':{'type':'string'}}", "{}",
          "a: Invalid value: 'object': a in body must be of type array: 'object'" },
        { "{'type':'string'}", "null",
          "a: Invalid value: 'null': a in body must be of type string: 'null'" },
        { "{'type':'string','nullable':true}", "null", "" },
        { "{'x-kubernetes-int-or-string':true}", "true",
          "a: Invalid value: 'boolean': a in body must be of type integer,string: 'boolean'" },
        { "{'x-kubernetes-int-or-string':true}", "'25%'", "" },
        { "{'x-kubernetes-preserve-unknown-fields':true}", "[{}]", "" },
        { "{'type':'array','items':{'type':'string'},'minItems':2}", "['x']",
          "a: Invalid value: 1: a in body should have at least 2 items" },
        { "{'type':'array','items':{'type':'string'},'maxItems':1}", "['x','y']",
          "a: Too many: 2: must have at most 1 item" },
        { "{'type':'array','items':{'type':'integer'}}", "[1,'x']",
          "a[1]: Invalid value: 'string': a[1] in body must be of type integer: 'string'" },
        { "{'type':'array','items':{'type':'integer'},'uniqueItems':true}", "[1,1.0]",
          "a: Invalid value: '': a in body shouldn\x01t contain duplicates" },
        { "{'type':'object','minProperties':1}", "{}",
          "a: Invalid value: 0: a in body should have at least 1 properties" },
        { "{'type':'object','maxProperties':1,'additionalProperties':{'type':'string'}}",
          "{'x':'','y':''}", "a: Too many: 2: must have at most 1 item" },
        { "{'type':'object','additionalProperties':{'type':'integer'}}", "{'k':'v'}",
          "a.k: Invalid value: 'string': a.k in body must be of type integer: 'string'" },
        { "{'type':'object','required':['x','y'],'properties':{'x':{'type':'string'}}}", "{}",
          "[a.x: Required value, a.y: Required value]" },
        { "{'type':'object','properties':{'l':{'type':'array','items':{'type':'object',"
          "'properties':{'n':{'type':'integer','minimum':1}}}}}}",
          "{'l':[{'n':1},{'n':0}]}",
          "a.l[1].n: Invalid value: 0: a.l[1].n in body should be greater than or equal to 1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *schema =
            mem_printf("{'type':'object','properties':{'a':%s}}", rows[i].schema);
        auto_free char *value = mem_printf("{'a':%s}", rows[i].value);
        json_auto_t *s = json_of(schema), *v = json_of(value);
        AUTO(crd_node) struct crd_node *n = node_of(s);
        auto_field_errors fe = { 0 };
        auto_free char *want = real_quotes(rows[i].errors);

        for (char *c = want; *c; c++) /* \x01 is a ' that stays one */
            *c = *c == '\x01' ? '\'' : *c;
        crd_validate(n, v, NULL, "", &fe);
        auto_free char *text = field_errors_text(&fe);
        if (strcmp(text, want) != 0)
            fail_msg("%s\n  %s\n  says   %s\n  not    %s", rows[i].schema, rows[i].value, text,
                     want);
    }
}

static void alternatives_tell_what_they_want(void **state)
{
#define AB "'type':'object','properties':{'a':{'type':'string'},'b':{'type':'integer'}}"
    static const struct {
        const char *schema, *value, *errors;
    } rows[] = {
        { "{" AB ",'oneOf':[{'required':['a']},{'required':['b']}]}", "{}",
          "[<nil>: Invalid value: '': '' must validate one and only one schema (oneOf). Found none "
          "valid, a: Required value]" },
        { "{" AB ",'oneOf':[{'required':['a']},{'required':['b']}]}", "{'a':'x','b':1}",
          "<nil>: Invalid value: '': '' must validate one and only one schema (oneOf). Found 2 "
          "valid alternatives" },
        { "{" AB ",'oneOf':[{'required':['a']},{'required':['b']}]}", "{'b':1}", "" },
        { "{" AB ",'anyOf':[{'required':['a']},{'properties':{'b':{'minimum':5}}}]}", "{'b':1}",
          "[<nil>: Invalid value: '': '' must validate at least one schema (anyOf), b: Invalid "
          "value: 1: b in body should be greater than or equal to 5]" },
        { "{" AB ",'anyOf':[{'required':['a']},{'required':['b']}]}", "{'b':1}", "" },
        { "{" AB ",'allOf':[{'required':['a']},{'required':['b']}]}", "{'b':1}",
          "[a: Required value, <nil>: Invalid value: '': '' must validate all the schemas "
          "(allOf)]" },
        { "{" AB ",'allOf':[{'required':['a']}]}", "{'b':1}",
          "[a: Required value, <nil>: Invalid value: '': '' must validate all the schemas (allOf). "
          "None validated]" },
        { "{" AB ",'not':{'required':['a']}}", "{'a':'x'}",
          "<nil>: Invalid value: '': '' must not validate the schema (not)" },
        { "{" AB ",'not':{'required':['a']}}", "{}", "" },
    };
#undef AB

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(rows[i].schema, rows[i].value, NULL, "", rows[i].errors);
}

static void a_part_is_told_by_where_it_lies(void **state)
{
    (void)state;
    check("{'type':'object','properties':{'n':{'type':'integer','minimum':1}}}", "{'n':0}", NULL,
          "status", "status.n: Invalid value: 0: n in body should be greater than or equal to 1");
}

static void what_an_update_leaves_alone_is_not_looked_at_again(void **state)
{
    static const char schema[] =
        "{'type':'object','properties':{'a':{'type':'integer','minimum':1},'b':{'type':'string'},"
        "'l':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
        "'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'},'n':{"
        "'type':'integer','minimum':1}}}}}}";
    static const char worse[] =
        "a: Invalid value: -1: a in body should be greater than or equal to 1";

    (void)state;
    check(schema, "{'a':0,'b':'y'}", "{'a':0,'b':'x'}", "", "");
    check(schema, "{'a':-1,'b':'x'}", "{'a':0,'b':'x'}", "", worse);
    /* items are the same ones by their keys, wherever they stand */
    check(schema, "{'l':[{'k':'new','n':1},{'k':'x','n':0}]}", "{'l':[{'k':'x','n':0}]}", "", "");
    check(schema, "{'l':[{'k':'y','n':0}]}", "{'l':[{'k':'x','n':0}]}", "",
          "l[0].n: Invalid value: 0: l[0].n in body should be greater than or equal to 1");
}

/* A thousand alternatives for each of a thousand items. */
static void what_is_too_much_to_check_is_refused(void **state)
{
    json_auto_t *schema = json_of("{'type':'array','items':{'type':'integer','not':{'anyOf':[]}}}");
    json_t *any =
        json_object_get(json_object_get(json_object_get(schema, "items"), "not"), "anyOf");
    json_auto_t *list = json_array();
    auto_field_errors fe = { 0 };

    (void)state;
    for (int i = 0; i < 1000; i++)
        json_array_append_new(any, json_pack("{s:i}", "minimum", 1));
    for (int i = 0; i < 1000; i++)
        json_array_append_new(list, json_integer(0));
    AUTO(crd_node) struct crd_node *n = node_of(schema);
    crd_validate(n, list, NULL, "", &fe);
    assert_true(fe.n > 0);
    assert_string_equal(fe.v[fe.n - 1].detail,
                        "Invalid value: \"\": \"\" is too large to be checked against its schema");
}

static void lists_of_sets_and_maps_hold_nothing_twice(void **state)
{
    static const struct {
        const char *schema, *value, *errors;
    } rows[] = {
        { "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}}",
          "['x','y','x','x']", "l[2]: Duplicate value: 'x'" },
        { "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'object'}}",
          "[{'a':1,'b':2},{'b':2,'a':1}]", "l[1]: Duplicate value: {'a':1,'b':2}" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['a','b'],"
          "'items':{'type':'object','properties':{'a':{},'b':{}}}}",
          "[{'a':1,'b':2,'c':3},{'a':1},{'a':1,'b':2}]", "l[2]: Duplicate value: {'a':1,'b':2}" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['a'],"
          "'items':{'type':'object','properties':{'a':{}}}}",
          "['x']", "l[0]: Invalid value: 'x': must be an object for an array of list-type map" },
        { "{'type':'array','items':{'type':'string'}}", "['x','x']", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *s = json_of(rows[i].schema), *v = json_of(rows[i].value);
        AUTO(crd_node) struct crd_node *n = node_of(s);
        auto_field_errors fe = { 0 };
        auto_free char *want = real_quotes(rows[i].errors);

        crd_validate_lists(n, v, FIELD_AT(NULL, "l"), &fe);
        auto_free char *text = field_errors_text(&fe);
        assert_string_equal(text, want);
    }
}

static void embedded_resources_have_a_type_and_sound_metadata(void **state)
{
    static const struct {
        const char *value, *errors;
    } rows[] = {
        { "{'e':{'apiVersion':'v1','kind':'Pod','metadata':{'name':'x'}}}", "" },
        { "{'e':{}}", "[e.apiVersion: Required value, e.kind: Required value]" },
        { "{'e':{'apiVersion':'v1','kind':'_','metadata':{'name':'a/b'}}}",
          "[e.kind: Invalid value: '_': may have mixed case, but should otherwise match: a "
          "DNS-1035 "
          "label must consist of lower case alphanumeric characters or \x01-\x01, start with an "
          "alphabetic character, and end with an alphanumeric character (e.g. \x01my-name\x01,  or "
          "\x01"
          "abc-123\x01, regex used for validation is "
          "\x01[a-z]([-a-z0-9]*[a-z0-9])?\x01), e.metadata.name: Invalid value: 'a/b': may not "
          "contain \x01/\x01]" },
    };
    json_auto_t *s = json_of("{'type':'object','properties':{'e':{'type':'object',"
                             "'x-kubernetes-embedded-resource':true,"
                             "'x-kubernetes-preserve-unknown-fields':true}}}");
    AUTO(crd_node) struct crd_node *n = node_of(s);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *v = json_of(rows[i].value);
        auto_field_errors fe = { 0 };
        auto_free char *want = real_quotes(rows[i].errors);

        for (char *c = want; *c; c++)
            *c = *c == '\x01' ? '\'' : *c;
        crd_validate_embedded(n, v, NULL, &fe);
        auto_free char *text = field_errors_text(&fe);
        assert_string_equal(text, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_told_in_upstreams_words),
        cmocka_unit_test(alternatives_tell_what_they_want),
        cmocka_unit_test(a_part_is_told_by_where_it_lies),
        cmocka_unit_test(what_an_update_leaves_alone_is_not_looked_at_again),
        cmocka_unit_test(what_is_too_much_to_check_is_refused),
        cmocka_unit_test(lists_of_sets_and_maps_hold_nothing_twice),
        cmocka_unit_test(embedded_resources_have_a_type_and_sound_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
