#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/jsonpath.h"
#include "test/unit/json_text.h"

static const char doc_text[] =
    "{'spec':{'a':{'b':1},'list':[10,20,30],'dotted.key/x':'d','empty':{}},'metadata':{"
    "'annotations':{'foo.bar/baz':'note'}},'status':{'conditions':[{'type':'Synced','status':"
    "'False','n':1},{'type':'Ready','status':'True','n':2,'ok':true}]}}";

static void paths_lead_to_their_first_value(void **state)
{
    static const struct {
        const char *path, *found; /* JSON; NULL: nothing */
    } rows[] = {
        { ".spec.a.b", "1" },
        { ".spec.a", "{'b':1}" },
        { ".spec.none.b", NULL },
        { ".spec.list[0]", "10" },
        { ".spec.list[-1]", "30" },
        { ".spec.list[3]", NULL },
        { ".spec.list[1:]", "20" },
        { ".spec.list[:-2]", "10" },
        { ".spec.list[0:3:2]", "10" },
        { ".spec.list[5:9]", NULL },
        { ".spec.list[*]", "10" },
        { ".spec.list[2,0]", "30" },
        { ".spec['dotted.key/x']", "'d'" },
        { ".spec[\"dotted.key/x\"]", "'d'" },
        { ".spec.dotted\\.key/x", "'d'" },
        { ".metadata.annotations.foo\\.bar/baz", "'note'" },
        { ".spec.a.*", "1" },
        { ".status.conditions[?(@.type==\"Ready\")].status", "'True'" },
        { ".status.conditions[?(@.type == 'Ready')].status", "'True'" },
        { ".status.conditions[?(@.type!='Ready')].status", "'False'" },
        { ".status.conditions[?(@.n>1)].type", "'Ready'" },
        { ".status.conditions[?(@.n<=1)].type", "'Synced'" },
        { ".status.conditions[?(@.ok==true)].type", "'Ready'" },
        { ".status.conditions[?(@.ok)].type", "'Ready'" },
        { ".status.conditions[?(@.n=='1')].type", NULL }, /* a number is no text */
        { ".status.conditions[?(@.type=='No')].status", NULL },
        { "..b", "1" },
        { "$.spec.a.b", "1" },
    };
    json_auto_t *doc = json_of(doc_text);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(jsonpath) struct jsonpath *p = NULL;
        struct err e = { 0 };

        if (jsonpath_new(&p, str_of(rows[i].path), &e))
            fail_msg("%s: %s", rows[i].path, e.text);
        const json_t *v = jsonpath_first(p, doc);
        auto_free char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        for (char *c = text; c && *c; c++)
            *c = (char)(*c == '"' ? '\'' : *c);
        if (!text != !rows[i].found || (text && strcmp(text, rows[i].found) != 0))
            fail_msg("%s: %s", rows[i].path, text ? text : "nothing");
    }
}

static void what_is_no_path_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "spec",
        ".spec.",
        ".spec[",
        ".spec[a]",
        ".a['b",
        ".a[?(@.b]",
        ".a[?(@.b==)]",
        ".a[?(1==1)]",
        ".a[0:1:-1]",
        ".a b",
        ".a[1",
        ".a[?(@.b=='x)]",
        "..*",
        ".a]",
        ".a[?(@[?(@[?(@[?(@[?(@[?(@[?(@[?(@[?(@.b)])])])])])])])])]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jsonpath *p = NULL;
        struct err e;

        if (jsonpath_new(&p, str_of(rows[i]), &e) != ERR_INVALID)
            fail_msg("%s is taken for a path", rows[i]);
    }
}

static void a_path_has_so_many_steps_and_no_more(void **state)
{
    auto_buf b = BUF(4096);
    struct jsonpath *p = NULL;
    struct err e;

    (void)state;
    for (int i = 0; i <= JSONPATH_STEPS_MAX; i++)
        assert_int_equal(buf_adds(&b, ".a"), 0);
    assert_int_equal(jsonpath_new(&p, buf_str(&b), &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_to_their_first_value),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(a_path_has_so_many_steps_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
