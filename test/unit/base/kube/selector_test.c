#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/kube/selector.h"
#include "test/unit/json_text.h"

static const struct {
    const char *selector;
    const char *labels; /* JSON */
    int match;          /* -1: refused */
} labels_rows[] = {
    { "", "{}", 1 },
    { "a", "{'a':''}", 1 },
    { "a", "{}", 0 },
    { "!a", "{}", 1 },
    { " ! a ", "{'a':'b'}", 0 },
    { "a=b", "{'a':'b'}", 1 },
    { "a==b", "{'a':'b'}", 1 },
    { "a=b", "{'a':'c'}", 0 },
    { "a=", "{'a':''}", 1 },
    { "a!=b", "{}", 1 },
    { "a!=b", "{'a':'b'}", 0 },
    { "a in (b, c)", "{'a':'c'}", 1 },
    { "a in (b,c)", "{'a':'d'}", 0 },
    { "a notin (b,c)", "{}", 1 },
    { "a notin (b,c)", "{'a':'b'}", 0 },
    { "a in ()", "{'a':''}", 1 },
    { "a>1", "{'a':'2'}", 1 },
    { "a>1", "{'a':'x'}", 0 },
    { "a<1", "{'a':'0'}", 1 },
    { "a=b,c in (d,e),!f", "{'a':'b','c':'e'}", 1 },
    { "a=b,c in (d,e),!f", "{'a':'b','c':'e','f':''}", 0 },
    { "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name", "{}", 1 },
    { "in", "{'in':'x'}", 1 },
    { "a=b,", "", -1 },
    { ",a", "", -1 },
    { "a b", "", -1 },
    { "a in b", "", -1 },
    { "a in (b", "", -1 },
    { "a=b=c", "", -1 },
    { "!a=b", "", -1 },
    { "a>b", "", -1 },
    { "-a", "", -1 },
    { "a=-", "", -1 },
    { "a/b/c", "", -1 },
};

static void label_selectors_match_or_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(labels_rows); i++) {
        AUTO(label_selector) struct label_selector *s = NULL, *again = NULL;
        struct err e = { 0 };
        int r = label_selector_parse(&s, str_of(labels_rows[i].selector), &e);
        if (labels_rows[i].match < 0) {
            if (r != ERR_INVALID)
                fail_msg("\"%s\" was accepted", labels_rows[i].selector);
            continue;
        }
        if (r)
            fail_msg("\"%s\": %s", labels_rows[i].selector, e.text);
        json_auto_t *labels = json_of(labels_rows[i].labels);
        if (label_selector_match(s, labels) != labels_rows[i].match)
            fail_msg("\"%s\" and %s", labels_rows[i].selector, labels_rows[i].labels);
        auto_free char *text = label_selector_text(s);
        assert_int_equal(label_selector_parse(&again, str_of(text), &e), 0);
        assert_int_equal(label_selector_match(again, labels), labels_rows[i].match);
    }
}

static void errors_use_upstreams_words(void **state)
{
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;
    (void)state;

    assert_int_equal(label_selector_parse(&s, STR("a b"), &e), ERR_INVALID);
    assert_string_equal(e.text, "unable to parse requirement: found 'b', expected: in, notin, =, "
                                "==, !=, gt, lt");
}

static void objects_select_like_texts(void **state)
{
    AUTO(label_selector) struct label_selector *s = NULL, *none = NULL, *bad = NULL;
    struct err e;
    json_auto_t *o = json_of("{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'c','operator':"
                             "'NotIn','values':['d']},{'key':'e','operator':'Exists'}]}");
    json_auto_t *yes = json_of("{'a':'b','e':''}"), *no = json_of("{'a':'b','e':'','c':'d'}");
    json_auto_t *wrong = json_of("{'matchExpressions':[{'key':'c','operator':'In'}]}");
    (void)state;

    assert_int_equal(label_selector_from_json(&s, o, &e), 0);
    assert_true(label_selector_match(s, yes));
    assert_false(label_selector_match(s, no));
    assert_int_equal(label_selector_from_json(&none, NULL, &e), 0);
    assert_false(label_selector_match(none, yes));
    assert_int_equal(label_selector_from_json(&bad, wrong, &e), ERR_INVALID);
}

static void field_selectors_are_split_and_unescaped(void **state)
{
    AUTO(field_selector) struct field_selector *s = NULL, *bad = NULL;
    struct err e;
    size_t n;
    (void)state;

    assert_int_equal(field_selector_parse(&s, STR("metadata.name=a\\,b,status.phase!=Failed"), &e),
                     0);
    const struct selector_term *t = field_selector_terms(s, &n);
    assert_int_equal(n, 2);
    assert_string_equal(t[0].values[0], "a,b");
    assert_int_equal(t[1].op, SELECTOR_NE);
    assert_string_equal(field_selector_requires(s, "metadata.name"), "a,b");
    assert_null(field_selector_requires(s, "status.phase"));
    assert_int_equal(field_selector_parse(&bad, STR("name"), &e), ERR_INVALID);
    assert_int_equal(field_selector_parse(&bad, STR("a=b=c"), &e), ERR_INVALID);
}

static void too_many_requirements_are_refused(void **state)
{
    char text[4 * SELECTOR_TERMS_MAX] = "a";
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;
    (void)state;

    for (unsigned i = 0; i < SELECTOR_TERMS_MAX; i++)
        strcat(text, ",a");
    assert_int_equal(label_selector_parse(&s, str_of(text), &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_selectors_match_or_are_refused),
        cmocka_unit_test(errors_use_upstreams_words),
        cmocka_unit_test(objects_select_like_texts),
        cmocka_unit_test(field_selectors_are_split_and_unescaped),
        cmocka_unit_test(too_many_requirements_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
