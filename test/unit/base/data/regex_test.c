#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/regex.h"

static void patterns_match_as_in_go(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        { "", "", true },
        { "b", "abc", true },
        { "^b", "abc", false },
        { "^abc$", "abc", true },
        { "^abc$", "abc\n", false }, /* not the end of a line: that of the text */
        { "(?m)^b$", "a\nb\nc", true },
        { "a.c", "a\nc", false },
        { "(?s)a.c", "a\nc", true },
        { "^(a|bc)*$", "abcbca", true },
        { "^(a|bc)*$", "abcb", false },
        { "^a{2,3}$", "aa", true },
        { "^a{2,3}$", "aaaa", false },
        { "^a{2,}$", "aaaaa", true },
        { "^a{0}$", "", true },
        { "^a{2}b$", "aab", true },
        { "^a{,2}$", "a{,2}", true }, /* no repetition, as in Go */
        { "^x{$", "x{", true },
        { "^(ab?c?)+$", "abcaacabc", true },
        { "^a*?$", "aaa", true },
        { "^[a-c]+$", "abcd", false },
        { "^[^a-c]+$", "xyz\n", true },
        { "^[]a]+$", "]a", true },
        { "^[a-]+$", "a-", true },
        { "^[\\d\\-x]+$", "1-x", true },
        { "^[[:alpha:][:digit:]]+$", "a1", true },
        { "^[[:^alpha:]]+$", "a1", false },
        { "^\\w+\\s\\S\\D\\W$", "ab cd!", true },
        { "^\\w+\\s\\S\\D\\W$", "ab cd", false },
        { "^\\w+\\s\\S\\D\\W$", "ab 1d!", true },
        { "\\bfoo\\b", "a foo.", true },
        { "\\bfoo\\b", "afoo.", false },
        { "\\Boo", "foo", true },
        { "\\Aab\\z", "ab", true },
        { "^(?i)AbC$", "aBc", true },
        { "^(?i:a)b$", "Ab", true },
        { "^(?i:a)b$", "AB", false },
        { "^(?P<x>a)(?:b)(?<y>c)$", "abc", true },
        { "^\\Qa.b\\E$", "a.b", true },
        { "^\\Qa.b\\E$", "axb", false },
        { "^\\x41\\x{1F600}\\101\\t$",
          "A\xf0\x9f\x98\x80"
          "A\t",
          true },
        { "^.$", "\xc3\xa9", true }, /* a rune, not a byte */
        { "^[\xc3\xa0-\xc3\xbf]$", "\xc3\xa9", true },
        { "^\\.\\/\\-\\_$", "./-_", true },
        { "a|b|", "zzz", true },
        { "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$", "*/5 * * * 1", true },
        { "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$", "*/5 * * *", false },
        { "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a-b.c1", true },
        { "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a-.c1", false },
        { "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$", "1h30m0.5s", true },
        { "^(()*)*$", "", true },
        { "(a*)*b", "aaaa", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(regex) struct regex *r = NULL;
        struct err e = { 0 };
        uint64_t steps = REGEX_STEPS_MAX;
        bool match;

        if (regex_new(&r, str_of(rows[i].pattern), &e))
            fail_msg("%s: %s", rows[i].pattern, e.text);
        assert_int_equal(regex_match(&match, r, str_of(rows[i].text), &steps, &e), 0);
        if (match != rows[i].match)
            fail_msg("%s on %s: %d", rows[i].pattern, rows[i].text, match);
    }
}

static void what_is_no_pattern_is_told_in_gos_words(void **state)
{
    static const struct {
        const char *pattern, *error;
    } rows[] = {
        { "(", "missing closing ): `(`" },
        { "a)", "unexpected ): `a)`" },
        { "[a", "missing closing ]: `[a`" },
        { "[b-a]", "invalid character class range: `b-a`" },
        { "[[:nope:]]", "invalid character class range: `[:nope:]`" },
        { "*", "missing argument to repetition operator: `*`" },
        { "a**", "invalid nested repetition operator: `**`" },
        { "a{2}{3}", "invalid nested repetition operator: `{2}{3}`" },
        { "a{1001}", "invalid repeat count: `{1001}`" },
        { "a{3,2}", "invalid repeat count: `{3,2}`" },
        { "a\\", "trailing backslash at end of expression: ``" },
        { "\\y", "invalid escape sequence: `\\y`" },
        { "\\1", "invalid escape sequence: `\\1`" },
        { "(?=a)", "invalid or unsupported Perl syntax: `(?=`" },
        { "(?P<>a)", "invalid named capture: `(?P<>`" },
        { "\\p{L}", "classes of Unicode properties are not supported by this server: `\\p{L}`" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *r = NULL;
        struct err e = { 0 };
        auto_free char *text = mem_printf("error parsing regexp: %s", rows[i].error);

        assert_int_equal(regex_new(&r, str_of(rows[i].pattern), &e), ERR_INVALID);
        assert_string_equal(e.text, text);
    }
}

static void large_patterns_are_refused(void **state)
{
    static const char *const rows[] = { "(a{1000}){1000}", "((a{100}){100}){100}",
                                        "(((((a{0,9}){9}){9}){9}){9}){9}" };
    auto_buf deep = BUF(4096), longer = BUF(64 * 1024);
    struct regex *r = NULL;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_not_equal(regex_new(&r, str_of(rows[i]), &e), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_adds(&deep, "("), 0);
    assert_int_equal(regex_new(&r, buf_str(&deep), &e), ERR_LIMIT);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(buf_adds(&longer, "a"), 0);
    assert_int_equal(regex_new(&r, buf_str(&longer), &e), ERR_LIMIT);
}

/* (a*)*b and its kin take a backtracking matcher for ever. */
static void no_pattern_takes_long(void **state)
{
    static const char *const rows[] = { "^(a*)*b$", "^(a|a)*b$", "^(a|aa)+b$", "^(.*)*(.*)*c$" };
    auto_buf text = BUF(64 * 1024);

    (void)state;
    for (int i = 0; i < 30000; i++)
        assert_int_equal(buf_addc(&text, 'a'), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(regex) struct regex *r = NULL;
        struct err e;
        uint64_t steps = REGEX_STEPS_MAX;
        bool match;

        assert_int_equal(regex_new(&r, str_of(rows[i]), &e), 0);
        assert_int_equal(regex_match(&match, r, buf_str(&text), &steps, &e), 0);
        assert_false(match);
    }
}

static void a_long_text_on_a_large_pattern_ends_at_the_bound(void **state)
{
    AUTO(regex) struct regex *r = NULL;
    auto_buf text = BUF(1024 * 1024);
    struct err e;
    uint64_t steps = REGEX_STEPS_MAX;
    bool match;

    (void)state;
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(buf_addc(&text, 'a'), 0);
    assert_int_equal(regex_new(&r, STR("([ab]{1000}[ab]{1000}){9}c"), &e), 0);
    assert_int_equal(regex_match(&match, r, buf_str(&text), &steps, &e), ERR_LIMIT);
    assert_false(match);
    assert_int_equal(steps, 0);
    assert_int_equal(regex_match(&match, r, STR("ab"), &steps, &e), ERR_LIMIT); /* of all texts */
}

static void an_empty_text_needs_no_memory(void **state)
{
    AUTO(regex) struct regex *r = NULL;
    struct err e;
    uint64_t steps = REGEX_STEPS_MAX;
    bool match;

    (void)state;
    assert_int_equal(regex_new(&r, STR("^$"), &e), 0);
    assert_int_equal(regex_match(&match, r, (struct str){ 0 }, &steps, &e), 0);
    assert_true(match);
}

static void a_match_is_where_go_finds_it(void **state)
{
    static const struct {
        const char *pattern, *text;
        size_t begin;
        int from, to; /* -1: none */
    } rows[] = {
        { "b+", "abbbc", 0, 1, 4 },
        { "b+?", "abbbc", 0, 1, 2 },
        { "(?U)b+", "abbbc", 0, 1, 2 },
        { "(?U)b+?", "abbbc", 0, 1, 4 },
        { "b{1,2}", "abbbc", 0, 1, 3 },
        { "b{1,2}?", "abbbc", 0, 1, 2 },
        { "a|ab", "xab", 0, 1, 2 }, /* the first alternative, not the longest */
        { "ab|a", "xab", 0, 1, 3 },
        { "(a|ab)(c|bcd)", "abcd", 0, 0, 4 },
        { "", "abc", 0, 0, 0 },
        { "x*", "axx", 0, 0, 0 },
        { "x*", "axx", 1, 1, 3 },
        { "^a", "aa", 1, -1, 0 },
        { "\\bfoo", "a foo", 1, 2, 5 },
        { "\\bfoo", "afoo", 1, -1, 0 }, /* what is before begin counts */
        { "c", "ab", 0, -1, 0 },
        { ".", "\xc3\xa9x", 0, 0, 2 },
        { "[0-9]+$", "a12b34", 0, 4, 6 },
        { ".*b", "abab", 0, 0, 4 },
        { ".*?b", "abab", 0, 0, 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(regex) struct regex *r = NULL;
        struct err e = { 0 };
        uint64_t steps = REGEX_STEPS_MAX;
        size_t from = 0, to = 0;
        bool match;

        assert_int_equal(regex_new(&r, str_of(rows[i].pattern), &e), 0);
        assert_int_equal(
            regex_find(&match, &from, &to, r, str_of(rows[i].text), rows[i].begin, &steps, &e), 0);
        if (match != (rows[i].from >= 0) ||
            (match && ((int)from != rows[i].from || (int)to != rows[i].to)))
            fail_msg("%s in %s: %d %zu-%zu", rows[i].pattern, rows[i].text, match, from, to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_go),
        cmocka_unit_test(a_match_is_where_go_finds_it),
        cmocka_unit_test(what_is_no_pattern_is_told_in_gos_words),
        cmocka_unit_test(large_patterns_are_refused),
        cmocka_unit_test(no_pattern_takes_long),
        cmocka_unit_test(an_empty_text_needs_no_memory),
        cmocka_unit_test(a_long_text_on_a_large_pattern_ends_at_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
