#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "cel_rig.h"

#include <stdio.h>

struct row {
    const char *expr;
    int column; /* of the first error */
    const char *why;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        auto_free char *got = cel_rig_run(rows[i].expr, NULL);
        auto_free char *want = mem_printf("ERROR: <input>:1:%d: %s\n", rows[i].column, rows[i].why);
        if (strncmp(got, want, strlen(want)) != 0)
            fail_msg("%s gives\n%s\nnot\n%s", rows[i].expr, got, want);
    }
}

#define EXPECTED                                                                                   \
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "       \
    "STRING, BYTES, IDENTIFIER}"

/* langdef.md, "Syntax"; sentences of ANTLR for the grammar of cel-go */
static void syntax(void **state)
{
    static const struct row rows[] = {
        { "", 1, "Syntax error: mismatched input '<EOF>' expecting " EXPECTED },
        { "1 +", 4, "Syntax error: mismatched input '<EOF>' expecting " EXPECTED },
        { "1 + )", 5, "Syntax error: mismatched input ')' expecting " EXPECTED },
        { "self = 42", 6, "Syntax error: token recognition error at: '= '" },
        { "1 2", 3, "Syntax error: mismatched input '2' expecting <EOF>" },
        { "(1", 3, "Syntax error: mismatched input '<EOF>' expecting ')'" },
        { "self.", 6, "Syntax error: mismatched input '<EOF>' expecting IDENTIFIER" },
        { "#", 1, "Syntax error: token recognition error at: '#'" },
        { "'abc", 1, "Syntax error: token recognition error at: ''abc'" },
        { "'\\q'", 1, "Syntax error: token recognition error at: ''\\'" },
        { "'\\ud800'", 1, "Syntax error: token recognition error at: ''\\ud800'" },
        { "true ? 1", 9, "Syntax error: mismatched input '<EOF>' expecting ':'" },
        { "for", 1, "reserved identifier: for" },
        { "self.namespace", 5, "reserved identifier: namespace" },
        { "9223372036854775808", 1, "invalid int literal" },
        { "18446744073709551616u", 1, "invalid uint literal" },
        { "1e999", 1, "invalid double literal" },
        { "has(self)", 5, "invalid argument to has() macro" },
        { "self.l.all(x.y, true)", 13, "argument must be a simple name" },
        { "self.?i.optMap(x.y, 1)", 17, "optMap() variable name must be a simple identifier" },
        { "Thing{a: 1}", 6, "undeclared reference to 'Thing' (in container '')" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows));
}

/* langdef.md, "Gradual type checking"; cel-go checker/errors.go */
static void types(void **state)
{
    static const struct row rows[] = {
        { "self.xyz", 5, "undefined field 'xyz'" },
        { "other", 1, "undeclared reference to 'other' (in container '')" },
        { "frobnicate(1)", 11, "undeclared reference to 'frobnicate' (in container '')" },
        { "self.s.frobnicate()", 18, "undeclared reference to 'frobnicate' (in container '')" },
        { "authorizer.group('')", 1, "undeclared reference to 'authorizer' (in container '')" },
        { "self.i.x", 7, "type 'int' does not support field selection" },
        { "self.i + self.s", 8, "found no matching overload for '_+_' applied to '(int, string)'" },
        { "self.i == 1.0", 8, "found no matching overload for '_==_' applied to '(int, double)'" },
        { "self.s == null", 8,
          "found no matching overload for '_==_' applied to '(string, null)'" },
        { "self.i && true", 8, "found no matching overload for '_&&_' applied to '(int, bool)'" },
        { "true || true || self.i", 14,
          "found no matching overload for '_||_' applied to '(bool, int)'" },
        { "!self.i", 1, "found no matching overload for '!_' applied to '(int)'" },
        { "true ? 1 : 'a'", 6,
          "found no matching overload for '_?_:_' applied to '(bool, int, string)'" },
        { "self.s.size(1)", 12, "found no matching overload for 'size' applied to 'string.(int)'" },
        { "self.l.contains(1)", 16,
          "found no matching overload for 'contains' applied to 'list(int).(int)'" },
        { "self.l['a']", 7,
          "found no matching overload for '_[_]' applied to '(list(int), string)'" },
        { "self.m[1]", 7,
          "found no matching overload for '_[_]' applied to '(map(string, int), int)'" },
        { "self['i']", 5, "found no matching overload for '_[_]' applied to '(self, string)'" },
        { "1 in ['a']", 3,
          "found no matching overload for '@in' applied to '(int, list(string))'" },
        { "[1, 'a']", 5, "expected type 'int' but found 'string'" },
        { "{'a': 1, 2: 1}", 10, "expected type 'string' but found 'int'" },
        { "[?1]", 3, "expected type 'optional_type(A)' but found 'int'" },
        { "self.all(x, true)", 1,
          "expression of type 'self' cannot be range of a comprehension (must be list, map, or "
          "dynamic)" },
        { "self.l.all(x, x)", 11,
          "found no matching overload for '_&&_' applied to '(bool, int)'" },
        { "self.l.filter(x, x)", 14,
          "found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'" },
        { "self.l.all(x, true) && x == 1", 24, "undeclared reference to 'x' (in container '')" },
        { "self.l.map(k, v, k, v)", 11, "undeclared reference to 'map' (in container '')" },
        { "self.s.matches('(')", 16,
          "invalid matches argument: error parsing regexp: missing closing ): `(`" },
        { "duration('x')", 10, "invalid duration argument" },
        { "timestamp('x')", 11, "invalid timestamp argument" },
        { "optional.of(1) + 1", 16,
          "found no matching overload for '_+_' applied to '(optional_type(int), int)'" },
        { "[].sum() + 'a'", 10, "found no matching overload for '_+_' applied to '(dyn, string)'" },
    };

    (void)state;
    check(rows, ARRAY_LEN(rows) - 1);
}

/* cel-go common/error.go */
static void errors_show_the_place(void **state)
{
    auto_free char *one = cel_rig_run("self.xyz > 1", NULL);
    auto_free char *two = cel_rig_run("true &&\n\t'\xc3\xa9' + self.a + self.c == ''", NULL);

    (void)state;
    assert_string_equal(one, "ERROR: <input>:1:5: undefined field 'xyz'\n"
                             " | self.xyz > 1\n"
                             " | ....^");
    assert_string_equal(two, "ERROR: <input>:2:12: undefined field 'a'\n"
                             " |  '\xc3\xa9' + self.a + self.c == ''\n"
                             " | ..\xef\xbc\x8e........^\n"
                             "ERROR: <input>:2:21: undefined field 'c'\n"
                             " |  '\xc3\xa9' + self.a + self.c == ''\n"
                             " | ..\xef\xbc\x8e.................^");
}

/* cel-go parser: 250 deep, 100 000 code points */
static void what_is_too_large_is_refused(void **state)
{
    static const struct {
        const char *head, *each, *tail;
        int n;
    } deep[] = { { "", "(", "1", 300 },
                 { "1", "+1", "", 300 },
                 { "", "!", "true", 0 },
                 { "", "[", "", 300 },
                 { "self", ".a", "", 300 },
                 { "", "-(", "1", 300 },
                 { "", "self.l.map(x, ", "1", 300 },
                 { "true?", "true?1:", "1", 300 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(deep); i++) {
        auto_buf b = BUF(1024 * 1024);
        assert_int_equal(buf_adds(&b, deep[i].head), 0);
        for (int k = 0; k < deep[i].n; k++)
            assert_int_equal(buf_adds(&b, deep[i].each), 0);
        assert_int_equal(buf_adds(&b, deep[i].tail), 0);
        auto_free char *got = cel_rig_run(buf_cstr(&b), NULL);
        assert_true(deep[i].n == 0 || strstr(got, "ERROR: <input>:1:") == got);
    }
    auto_free char *wide = mem_alloc(400000);
    for (int k = 0; k < 60000; k++)
        memcpy(wide + 4 * k, "1 ||", 4);
    wide[240000 - 1] = '1';
    wide[240000 - 2] = wide[240000 - 3] = ' ';
    auto_free char *got = cel_rig_run(wide, NULL);
    assert_non_null(strstr(got, "expression code point size exceeds limit: size: 240000, limit "
                                "100000"));
    /* many in a row are not deep */
    for (int k = 0; k < 10000; k++)
        memcpy(wide + 9 * k, "false || ", 9);
    strcpy(wide + 90000, "true");
    auto_free char *fine = cel_rig_run(wide, NULL);
    assert_string_equal(fine, "true");
}

/* Kubernetes, "Validation rules": which names can be written, and how */
static void names_are_escaped(void **state)
{
    static const struct {
        const char *field, *name;
    } rows[] = {
        { "a", "a" },
        { "namespace", "__namespace__" },
        { "in", "__in__" },
        { "x-prop", "x__dash__prop" },
        { "a.b/c", "a__dot__b__slash__c" },
        { "redact__d", "redact__underscores__d" },
        { "_a_", "_a_" },
        { "a b", NULL },
        { "1a", NULL },
        { "", NULL },
        { "\xc3\xa9", NULL },
        { "$ref", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = cel_escape(rows[i].field);
        if (!got != !rows[i].name || (got && strcmp(got, rows[i].name) != 0))
            fail_msg("%s: %s", rows[i].field, got ? got : "none");
    }
}

/* cel-go checker/cost.go: list l has at most 10 items, ls any number, self.i is one number */
static void costs_are_estimated(void **state)
{
    static const struct {
        const char *expr;
        uint64_t cost;
    } rows[] = {
        { "true", 0 },
        { "self.i", 2 },
        { "has(self.i)", 1 },
        { "self.l.all(x, true)", 2 + 1 + 10 * (2 + 1) },
        { "self.l.exists(x, x > 0)", 2 + 1 + 10 * (3 + 1 + 2) },
        { "self.l.map(x, x).size() > 0", 2 + 11 + 10 * (12 + 1) + 1 + 1 },
        { "1 in self.l", 2 + 10 },
        { "'abcdefghijk' == 'abcdefghijkl'", 2 },
        { "'aaaaaaaaaaa'.contains('b')", 2 },
        { "true ? self.i : self.i + 1", 3 },
        { "self.ls.all(x, true)", UINT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct cel_var var = { "self", &cel_rig_self };
        auto_arena a = ARENA_UNBOUNDED;
        AUTO(cel_prog) struct cel_prog *p = NULL;
        char *why = NULL;

        assert_int_equal(cel_compile(&p, &a, &var, 1, str_of(rows[i].expr), &why), 0);
        if (cel_prog_max_cost(p) != rows[i].cost)
            fail_msg("%s: %llu", rows[i].expr, (unsigned long long)cel_prog_max_cost(p));
        assert_true(cel_prog_bytes(p) < 4096);
    }
}

static void a_program_tells_what_it_is(void **state)
{
    const struct cel_var vars[] = { { "self", &cel_rig_self }, { "oldSelf", &cel_rig_self } };
    auto_arena a = ARENA_UNBOUNDED;
    AUTO(cel_prog) struct cel_prog *p = NULL;
    char *why = NULL;

    (void)state;
    assert_int_equal(cel_compile(&p, &a, vars, 2, STR("oldSelf.s + 'x'"), &why), 0);
    assert_int_equal(cel_prog_kind(p), CEL_STRING);
    assert_false(cel_prog_uses(p, 0));
    assert_true(cel_prog_uses(p, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax),
        cmocka_unit_test(types),
        cmocka_unit_test(errors_show_the_place),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(costs_are_estimated),
        cmocka_unit_test(a_program_tells_what_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
