/* Rules of custom kinds: what a definition may say, and what instances are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd_check.h"
#include "server/schema/crd_rules.h"
#include "test/unit/json_text.h"

#include <stdio.h>

/* In the tables ' stands for ", and ` in a sentence for '. */
static char *sentence(const char *text)
{
    char *out = real_quotes(text);

    for (char *c = out; *c; c++)
        *c = *c == '`' ? '\'' : *c;
    return out;
}

static void check(const char *schema, const char *value, const char *old, const char *errors,
                  const char *warnings)
{
    json_auto_t *s = json_of(schema), *v = json_of(value), *o = old ? json_of(old) : NULL;
    auto_arena a = ARENA_UNBOUNDED;
    AUTO(crd_node) struct crd_node *n = NULL;
    AUTO(crd_rules) struct crd_rules *r = NULL;
    auto_field_errors fe = { 0 };
    auto_free char *want = sentence(errors);
    struct err e = { 0 };

    if (crd_node_new(&n, s, &e))
        fail_msg("%s", e.text);
    r = crd_rules_new(&a, n, true);
    crd_rules_check(r, v, o, NULL, &fe);
    auto_free char *text = field_errors_text(&fe);
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  %s\n  says   %s\n  not    %s", schema, value, text, want);
    auto_free char *warned = real_quotes(warnings);
    if (strcmp(fe.n_warnings ? fe.warnings[0] : "", warned) != 0)
        fail_msg("%s\n  %s\n  warns  %s\n  not    %s", schema, value,
                 fe.n_warnings ? fe.warnings[0] : "", warned);
}

/* {"type":"object","properties":{"a": <schema>}} */
static char *with_a(const char *schema)
{
    return mem_printf("{'type':'object','properties':{'a':%s}}", schema);
}

/* Kubernetes, "Validation rules"; each row: the schema of a, and its value. */
static void values_are_told_in_upstreams_words(void **state)
{
    static const struct {
        const char *schema, *value, *errors;
    } rows[] = {
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self > 1'}]}", "1",
          "a: Invalid value: 'integer': failed rule: self > 1" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self > 1'}]}", "2", "" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':' self > 1 ','message':' m '}]}",
          "1", "a: Invalid value: 'integer': m" },
        { "{'type':'object','properties':{'x':{'type':'integer'}},'x-kubernetes-validations':["
          "{'rule':'self.x > 1'},{'rule':'self.x > 2','reason':'FieldValueForbidden',"
          "'message':'no','fieldPath':'.x'}]}",
          "{'x':1}", "[a: Invalid value: 'object': failed rule: self.x > 1, a.x: Forbidden: no]" },
        { "{'type':'object','properties':{'x':{'type':'integer'}},'x-kubernetes-validations':["
          "{'rule':'has(self.x)','reason':'FieldValueRequired','fieldPath':'.x'}]}",
          "{}", "a.x: Required value: failed rule: has(self.x)" },
        { "{'type':'string','x-kubernetes-validations':[{'rule':'false',"
          "'reason':'FieldValueDuplicate','message':'twice'}]}",
          "''", "a: Duplicate value: 'string'" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self < 5',"
          "'messageExpression':'string(self) + \\u0022 is more\\u0022'}]}",
          "7", "a: Invalid value: 'integer': 7 is more" },
        /* a messageExpression that makes nothing of use leaves it to the message */
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self < 5','message':'m',"
          "'messageExpression':'string(self / 0)'}]}",
          "7", "a: Invalid value: 'integer': m" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self < 5',"
          "'messageExpression':'\\u0022 \\u0022'}]}",
          "7", "a: Invalid value: 'integer': failed rule: self < 5" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'self < 5',"
          "'messageExpression':'\\u0022a\\\\nb\\u0022'}]}",
          "7", "a: Invalid value: 'integer': failed rule: self < 5" },
        { "{'type':'array','items':{'type':'integer','x-kubernetes-validations':"
          "[{'rule':'self > 1'}]}}",
          "[2,1]", "a[1]: Invalid value: 'integer': failed rule: self > 1" },
        { "{'type':'object','additionalProperties':{'type':'string','x-kubernetes-validations':"
          "[{'rule':'self.size() > 1'}]}}",
          "{'k':'v','l':'vv'}", "a[k]: Invalid value: 'string': failed rule: self.size() > 1" },
        { "{'type':'integer','x-kubernetes-validations':[{'rule':'10 / self > 1'}]}", "0",
          "a: Invalid value: 'integer': division by zero evaluating rule: 10 / self > 1" },
        { "{'x-kubernetes-int-or-string':true,'x-kubernetes-validations':[{'rule':'self > 5'}]}",
          "'x'",
          "a: Invalid value: '': `no such overload`: call arguments did not match a supported "
          "operator, function or macro signature for rule: self > 5" },
        { "{'x-kubernetes-int-or-string':true,'x-kubernetes-validations':"
          "[{'rule':'type(self) == int ? self > 5 : self == \\u002250%\\u0022'}]}",
          "'50%'", "" },
        { "{'type':'string','format':'date','x-kubernetes-validations':"
          "[{'rule':'self.getFullYear() > 2000'}]}",
          "'1999-01-01'", "a: Invalid value: 'string': failed rule: self.getFullYear() > 2000" },
        { "{'type':'string','format':'duration','x-kubernetes-validations':"
          "[{'rule':'self > duration(\\u00221m\\u0022)'}]}",
          "'1h'", "" },
        { "{'type':'string','format':'byte','x-kubernetes-validations':"
          "[{'rule':'size(self) == 3'}]}",
          "'YWJj'", "" },
        { "{'type':'number','x-kubernetes-validations':[{'rule':'self > 0.5'}]}", "1", "" },
        /* null is not looked at, but what is around can ask for it */
        { "{'type':'integer','nullable':true,'x-kubernetes-validations':[{'rule':'false'}]}",
          "null", "" },
        { "{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':"
          "{'x':{'type':'integer'}},'x-kubernetes-validations':[{'rule':'self.x == 1'}]}",
          "{'x':1,'other':2}", "" },
        { "{'type':'object','x-kubernetes-embedded-resource':true,"
          "'x-kubernetes-preserve-unknown-fields':true,'x-kubernetes-validations':"
          "[{'rule':'self.kind == \\u0022Pod\\u0022 && self.metadata.name == \\u0022n\\u0022'}]}",
          "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'n'},'spec':{}}", "" },
        { "{'type':'object','properties':{'namespace':{'type':'integer'},'x-y':{'type':'integer'},"
          "'a.b/c':{'type':'integer'},'a__b':{'type':'integer'}},'x-kubernetes-validations':"
          "[{'rule':'self.__namespace__ + self.x__dash__y + self.a__dot__b__slash__c + "
          "self.a__underscores__b == 10'}]}",
          "{'namespace':1,'x-y':2,'a.b/c':3,'a__b':4}", "" },
        { "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'},"
          "'x-kubernetes-validations':[{'rule':'self == [\\u0022b\\u0022, \\u0022a\\u0022]'}]}",
          "['a','b']", "" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object','properties':{'k':{'type':'string'},'v':{'type':'integer'}}},"
          "'x-kubernetes-validations':[{'rule':'self.all(e, e.v > 0) && self + self == self'}]}",
          "[{'k':'a','v':1},{'k':'b','v':2}]", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *schema = with_a(rows[i].schema);
        auto_free char *value = mem_printf("{'a':%s}", rows[i].value);
        check(schema, value, NULL, rows[i].errors, "");
    }
}

#define ROOT(rules) "{'type':'object','properties':{'x':{'type':'integer'}}," rules "}"

static void the_root_knows_its_kind_and_name(void **state)
{
    (void)state;
    check(ROOT("'x-kubernetes-validations':[{'rule':'self.metadata.name.startsWith(self.kind)'}]"),
          "{'apiVersion':'v1','kind':'n','metadata':{'name':'nx','uid':'u'},'x':1}", NULL, "", "");
    check(ROOT("'x-kubernetes-validations':[{'rule':'self.metadata.name == self.kind',"
               "'fieldPath':'.x'},{'rule':'self.x > 1'}]"),
          "{'apiVersion':'v1','kind':'n','metadata':{'name':'nx'},'x':1}", NULL,
          "[x: Invalid value: 'object': failed rule: self.metadata.name == self.kind, <nil>: "
          "Invalid value: 'object': failed rule: self.x > 1]",
          "");
}

/* Kubernetes, "Transition rules" */
static void rules_about_a_change_need_one(void **state)
{
    static const char same[] = "{'type':'integer','x-kubernetes-validations':"
                               "[{'rule':'self == oldSelf','message':'fixed'}]}";
    static const char maybe[] = "{'type':'integer','x-kubernetes-validations':[{'rule':"
                                "'oldSelf.optMap(o, self >= o).orValue(self == 1)',"
                                "'optionalOldSelf':true}]}";
    static const struct {
        const char *schema, *value, *old, *errors;
    } rows[] = {
        { same, "2", NULL, "" },
        { same, "2", "{}", "" },
        { same, "2", "{'a':1}", "a: Invalid value: 'integer': fixed" },
        { same, "2", "{'a':2}", "" },
        { maybe, "1", NULL, "" },
        { maybe, "2", NULL,
          "a: Invalid value: 'integer': failed rule: oldSelf.optMap(o, self >= o).orValue(self == "
          "1)" },
        { maybe, "2", "{'a':1}", "" },
        { maybe, "2", "{'a':3}",
          "a: Invalid value: 'integer': failed rule: oldSelf.optMap(o, self >= o).orValue(self == "
          "1)" },
        /* a set is the same one in another order, wherever it lies */
        { "{'type':'object','properties':{'s':{'type':'array','x-kubernetes-list-type':'set',"
          "'items':{'type':'string'}}},'x-kubernetes-validations':[{'rule':'self == oldSelf'}]}",
          "{'s':['b','a']}", "{'a':{'s':['a','b']}}", "" },
        { "{'type':'object','properties':{'s':{'type':'array','items':{'type':'string'}}},"
          "'x-kubernetes-validations':[{'rule':'self == oldSelf','message':'fixed'}]}",
          "{'s':['b','a']}", "{'a':{'s':['a','b']}}", "a: Invalid value: 'object': fixed" },
        /* items of lists are the same ones by their keys, entries of maps by theirs */
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object','properties':{'k':{'type':'string'},'v':{'type':'integer',"
          "'x-kubernetes-validations':[{'rule':'self >= oldSelf'}]}}}}",
          "[{'k':'b','v':1},{'k':'a','v':2},{'k':'c','v':0}]",
          "{'a':[{'k':'a','v':1},{'k':'b','v':2}]}",
          "a[0].v: Invalid value: 'integer': failed rule: self >= oldSelf" },
        { "{'type':'object','additionalProperties':{'type':'integer','x-kubernetes-validations':"
          "[{'rule':'self >= oldSelf'}]}}",
          "{'x':1,'y':0}", "{'a':{'x':2}}",
          "a[x]: Invalid value: 'integer': failed rule: self >= oldSelf" },
        { "{'type':'array','items':{'type':'integer','x-kubernetes-validations':"
          "[{'rule':'self >= oldSelf'}]}}",
          "[1]", "{'a':[2]}", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *schema = with_a(rows[i].schema);
        auto_free char *value = mem_printf("{'a':%s}", rows[i].value);
        check(schema, value, rows[i].old, rows[i].errors, "");
    }
}

/* KEP 4008: what is as it was before may stay, and who writes is warned */
static void what_was_wrong_before_may_stay(void **state)
{
    static const char schema[] =
        "{'type':'object','properties':{'b':{'type':'integer'},'a':{'type':'integer',"
        "'x-kubernetes-validations':[{'rule':'self > 1'}]},'l':{'type':'array','items':"
        "{'type':'integer','x-kubernetes-validations':[{'rule':'self > 1'}]}}}}";

    (void)state;
    check(schema, "{'a':1,'b':1}", "{'a':1,'b':2}", "",
          "a: Invalid value: 'integer': failed rule: self > 1");
    check(schema, "{'a':0,'b':1}", "{'a':1,'b':1}",
          "a: Invalid value: 'integer': failed rule: self > 1", "");
    /* items of a plain list are not told apart: the list as a whole is what may stay */
    check(schema, "{'l':[1],'b':1}", "{'l':[1],'b':2}", "",
          "l[0]: Invalid value: 'integer': failed rule: self > 1");
    check(schema, "{'l':[1,2]}", "{'l':[1]}",
          "l[0]: Invalid value: 'integer': failed rule: self > 1", "");
}

static void an_object_has_a_budget(void **state)
{
    auto_buf value = BUF(1024 * 1024);
    static const char schema[] =
        "{'type':'object','properties':{'l':{'type':'array','items':{'type':'array','items':"
        "{'type':'integer'},'x-kubernetes-validations':[{'rule':'self.all(x, self.all(y, "
        "self.all(z, true)))'}]}}}}";
    static const char dear[] =
        "{'type':'object','properties':{'l':{'type':'array','items':{'type':'array','items':"
        "{'type':'integer'},'x-kubernetes-validations':[{'rule':'self.all(x, self.all(y, true))'}]"
        "}}}}";

    (void)state;
    int rc = buf_adds(&value, "{'l':[[1");
    for (int i = 0; i < 200; i++)
        rc |= buf_adds(&value, ",1");
    rc |= buf_adds(&value, "],[1]]}");
    assert_int_equal(rc, 0);
    check(schema, buf_cstr(&value), NULL,
          "l[0]: Invalid value: 'array': `operation cancelled: actual cost limit exceeded`: no "
          "further validation rules will be run due to call cost exceeds limit for rule: "
          "self.all(x, self.all(y, self.all(z, true)))",
          "");
    buf_clear(&value);
    rc = buf_adds(&value, "{'l':[[1]");
    for (int k = 0; k < 40; k++) {
        rc |= buf_adds(&value, ",[1");
        for (int i = 0; i < 390; i++)
            rc |= buf_adds(&value, ",1");
        rc |= buf_adds(&value, "]");
    }
    rc |= buf_adds(&value, "]}");
    assert_int_equal(rc, 0);
    check(dear, buf_cstr(&value), NULL,
          "l[22]: Invalid value: 'array': validation failed due to running out of cost budget, no "
          "further validation rules will be run",
          "");
}

/* ---- definitions ---- */

static void check_schema(const char *schema, const char *errors)
{
    json_auto_t *s = json_of(schema);
    auto_field_errors fe = { 0 };
    auto_free char *want = sentence(errors);

    crd_check_schema(s, FIELD_AT(NULL, "s"), false, &fe);
    auto_free char *text = field_errors_text(&fe);
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  says   %s\n  not    %s", schema, text, want);
}

#define RULE(more) "{'type':'integer','x-kubernetes-validations':[{" more "}]}"
#define AT         "s.properties[a].x-kubernetes-validations[0]"
#define GO(rule)                                                                                   \
    "apiextensions.ValidationRule{Rule:'" rule                                                     \
    "', Message:'', MessageExpression:'', Reason:(*apiextensions.FieldValueErrorReason)(nil), "    \
    "FieldPath:'', OptionalOldSelf:(*bool)(nil)}"

/* apiextensions-apiserver pkg/apis/apiextensions/validation */
static void definitions_are_told_what_is_wrong(void **state)
{
    static const struct {
        const char *schema, *errors;
    } rows[] = {
        { RULE("'rule':'self > 1'"), "" },
        { RULE("'rule':' '"), AT ".rule: Required value: rule is not specified" },
        { RULE("'rule':'true','message':' '"),
          AT ".message: Invalid value: ' ': message must be non-empty if specified" },
        { RULE("'rule':'true','message':'a\\nb'"),
          AT ".message: Invalid value: 'a\\nb': message must not contain line breaks" },
        { RULE("'rule':'true &&\\ntrue'"),
          AT ".message: Required value: message must be specified if rule contains line breaks" },
        { RULE("'rule':'true','messageExpression':' '"),
          AT ".messageExpression: Required value: messageExpression must be non-empty if "
             "specified" },
        { RULE("'rule':'true','reason':'Other'"),
          AT ".reason: Unsupported value: 'Other': supported values: 'FieldValueDuplicate', "
             "'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'" },
        { RULE("'rule':'true','fieldPath':'.x'"),
          AT ".fieldPath: Invalid value: '.x': fieldPath must be a valid path: does not refer to a "
             "valid field" },
        { RULE("'rule':'true','fieldPath':'x'"),
          AT ".fieldPath: Invalid value: 'x': fieldPath must be a valid path: expected [ or . but "
             "got: x" },
        { RULE("'rule':'true','fieldPath':'.'"),
          AT ".fieldPath: Invalid value: '.': fieldPath must be a valid path: unexpected end of "
             "JSON path" },
        { RULE("'rule':'self.x'"),
          AT ".rule: Invalid value: " GO(
              "self.x") ": compilation failed: ERROR: <input>:1:5: type "
                        "`int` does not support field selection\n | self.x\n | ....^" },
        { RULE("'rule':'self = 42'"),
          AT ".rule: Invalid value: " GO("self = 42") ": compilation failed: ERROR: <input>:1:6: "
                                                      "Syntax error: token recognition error at: "
                                                      "`= `\n | self = 42\n | .....^\nERROR: "
                                                      "<input>:1:8: Syntax error: extraneous input "
                                                      "`42` expecting <EOF>\n | self = 42\n | "
                                                      ".......^" },
        { RULE("'rule':'self'"),
          AT ".rule: Invalid value: " GO("self") ": cel expression must evaluate to a bool" },
        { RULE("'rule':'true','optionalOldSelf':true"),
          AT ".optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in "
             "rule" },
        { "{'type':'object','x-kubernetes-validations':[{'rule':'true'}],'properties':{'x':"
          "{'type':'integer'}}}",
          "" },
        { "{'x-kubernetes-preserve-unknown-fields':true,'x-kubernetes-validations':"
          "[{'rule':'true'}]}",
          "s.properties[a].x-kubernetes-validations: Internal error: internal error: failed to "
          "retrieve type information for x-kubernetes-validations" },
        { "{'type':'array','items':{'type':'integer','x-kubernetes-validations':"
          "[{'rule':'self == oldSelf'}]}}",
          "s.properties[a].items.x-kubernetes-validations[0].rule: Invalid value: 'self == "
          "oldSelf': oldSelf cannot be used on the uncorrelatable portion of the schema within "
          "s.properties[a]" },
        /* a default has to follow the rules */
        { "{'type':'integer','default':1,'x-kubernetes-validations':[{'rule':'self > 1'}]}",
          "s.properties[a].default: Invalid value: 'integer': failed rule: self > 1" },
        /* validation.StaticEstimatedCostLimit */
        { "{'type':'array','items':{'type':'array','items':{'type':'integer'}},"
          "'x-kubernetes-validations':[{'rule':'self.all(x, x.all(y, y > 0))'}]}",
          "[" AT ".rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x "
          "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where "
          "arrays, maps, and strings are declared), " AT
          ".rule: Forbidden: contributed to estimated rule & messageExpression cost total "
          "exceeding cost limit for entire OpenAPIv3 schema, s: Forbidden: "
          "x-kubernetes-validations estimated rule & messageExpression cost total for entire "
          "OpenAPIv3 schema exceeds budget by factor of more than 100x (try simplifying the rule, "
          "or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
          "declared)]" },
        { "{'type':'array','maxItems':100,'items':{'type':'array','maxItems':100,'items':"
          "{'type':'integer'}},'x-kubernetes-validations':[{'rule':'self.all(x, x.all(y, y > "
          "0))'}]}",
          "" },
        { "{'type':'array','maxItems':100,'items':{'type':'string','maxLength':5000,"
          "'x-kubernetes-validations':[{'rule':'self.matches(self) && true'}]}}",
          "[s.properties[a].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost "
          "exceeds budget by factor of more than 100x (try simplifying the rule, or adding "
          "maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared), "
          "s.properties[a].items.x-kubernetes-validations[0].rule: Forbidden: contributed to "
          "estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 "
          "schema, s: Forbidden: x-kubernetes-validations estimated rule & messageExpression cost "
          "total for entire OpenAPIv3 schema exceeds budget by factor of 10.0x (try simplifying "
          "the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and "
          "strings are declared)]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *schema = with_a(rows[i].schema);
        check_schema(schema, rows[i].errors);
    }
}

static void paths_are_read(void **state)
{
    static const struct {
        const char *path, *normal;
    } rows[] = {
        { ".a.b", "a.b" },     { "['a']['b']", "a.b" }, { ".m['x.y']", "m[x.y]" },
        { ".m.z", "m[z]" },    { ".['a']", NULL },      { ".a.c", NULL },
        { "[0]", NULL },       { ".a['b'", NULL },      { ".m['a\\'b']", "m[a'b]" },
        { ".m['\\q']", NULL },
    };
    json_auto_t *s = json_loads("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\","
                                "\"properties\":{\"b\":{}}},\"m\":{\"type\":\"object\","
                                "\"additionalProperties\":{}}}}",
                                0, NULL);
    AUTO(crd_node) struct crd_node *n = NULL;
    struct err e;

    (void)state;
    assert_int_equal(crd_node_new(&n, s, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *why = NULL, *got = crd_rules_path(n, rows[i].path, &why);
        if (!got != !rows[i].normal || (got && strcmp(got, rows[i].normal) != 0))
            fail_msg("%s: %s", rows[i].path, got ? got : why);
        assert_true(!got == !!why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_told_in_upstreams_words),
        cmocka_unit_test(the_root_knows_its_kind_and_name),
        cmocka_unit_test(rules_about_a_change_need_one),
        cmocka_unit_test(what_was_wrong_before_may_stay),
        cmocka_unit_test(an_object_has_a_budget),
        cmocka_unit_test(definitions_are_told_what_is_wrong),
        cmocka_unit_test(paths_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
