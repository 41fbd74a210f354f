#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/schema/strategic.h"
#include "test/unit/json_text.h"

/* Rules of the community document on strategic merge patch. */
static const struct {
    const char *type, *doc, *patch, *out; /* out NULL: refused */
} rows[] = {
    /* a list with a merge key */
    { "PodSpec", "{'containers':[{'name':'a','image':'1'},{'name':'b'}]}",
      "{'containers':[{'name':'a','image':'2'},{'name':'c'}]}",
      "{'containers':[{'name':'a','image':'2'},{'name':'c'},{'name':'b'}]}" },
    /* what the live list does not have comes in front of what the patch does not name
       (strategicpatch, mergeSortedSlice) */
    { "PodSpec", "{'containers':[{'name':'d'}]}", "{'containers':[{'name':'e'}]}",
      "{'containers':[{'name':'e'},{'name':'d'}]}" },
    { "PodSpec", "{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}",
      "{'containers':[{'name':'c','image':'x'},{'name':'n'}]}",
      "{'containers':[{'name':'a'},{'name':'b'},{'name':'c','image':'x'},{'name':'n'}]}" },
    { "ObjectMeta", "{'finalizers':['a','b']}", "{'finalizers':['c','b']}",
      "{'finalizers':['c','a','b']}" },
    { "PodSpec", "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'$patch':'delete','name':'a'}]}", "{'containers':[{'name':'b'}]}" },
    { "PodSpec", "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'$patch':'replace'},{'name':'c'}]}", "{'containers':[{'name':'c'}]}" },
    { "PodSpec", "{'containers':[{'name':'a'}]}", "{'containers':[{'image':'x'}]}", NULL },
    { "PodSpec", "{'containers':[{'name':'a'}]}", "{'containers':['x']}", NULL },
    /* nested: the env of one container */
    { "PodSpec", "{'containers':[{'name':'a','env':[{'name':'x','value':'1'}]}]}",
      "{'containers':[{'name':'a','env':[{'name':'y','value':'2'}]}]}",
      "{'containers':[{'name':'a','env':[{'name':'y','value':'2'},{'name':'x','value':'1'}]}]}" },
    /* an atomic list is replaced */
    { "PodSpec", "{'tolerations':[{'key':'a'}]}", "{'tolerations':[{'key':'b'}]}",
      "{'tolerations':[{'key':'b'}]}" },
    /* a set */
    { "ObjectMeta", "{'finalizers':['a','b']}", "{'finalizers':['b','c']}",
      "{'finalizers':['a','b','c']}" },
    { "ObjectMeta", "{'finalizers':['a','b']}", "{'$deleteFromPrimitiveList/finalizers':['a']}",
      "{'finalizers':['b']}" },
    /* maps */
    { "ObjectMeta", "{'labels':{'a':'1','b':'2'}}", "{'labels':{'a':null,'c':'3'}}",
      "{'labels':{'b':'2','c':'3'}}" },
    { "ObjectMeta", "{'labels':{'a':'1'}}", "{'labels':{'$patch':'replace','b':'2'}}",
      "{'labels':{'b':'2'}}" },
    { "ObjectMeta", "{'labels':{'a':'1'}}", "{'labels':{'$patch':'delete'}}", "{'labels':{}}" },
    { "ObjectMeta", "{}", "{'labels':{'a':null,'b':'1'}}", "{'labels':{'b':'1'}}" },
    { "ObjectMeta", "{}", "{'labels':{'$patch':'frob'}}", NULL },
    /* $retainKeys: a volume gets another source */
    { "PodSpec", "{'volumes':[{'name':'v','emptyDir':{}}]}",
      "{'volumes':[{'name':'v','$retainKeys':['name','hostPath'],'hostPath':{'path':'/x'}}]}",
      "{'volumes':[{'name':'v','hostPath':{'path':'/x'}}]}" },
    { "PodSpec", "{'volumes':[{'name':'v'}]}",
      "{'volumes':[{'name':'v','$retainKeys':['name'],'emptyDir':{}}]}", NULL },
    /* $setElementOrder */
    { "PodSpec", "{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}",
      "{'$setElementOrder/containers':[{'name':'c'},{'name':'a'}],'containers':[{'name':'c',"
      "'image':'x'}]}",
      "{'containers':[{'name':'b'},{'name':'c','image':'x'},{'name':'a'}]}" },
    { "ObjectMeta", "{'finalizers':['a','b']}",
      "{'$setElementOrder/finalizers':['c','b','a'],'finalizers':['c']}",
      "{'finalizers':['c','b','a']}" },
    /* a node's heartbeat, as a kubelet sends it */
    { "NodeStatus", "{'conditions':[{'type':'Ready','status':'False','reason':'x'}]}",
      "{'$setElementOrder/conditions':[{'type':'Ready'}],'conditions':[{'type':'Ready','status':"
      "'True'}]}",
      "{'conditions':[{'type':'Ready','status':'True','reason':'x'}]}" },
};

static void patches_give_what_the_document_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of(rows[i].doc), *patch = json_of(rows[i].patch), *out = NULL;
        const char *gv = rows[i].type[0] == 'O' ? "meta/v1" : "core/v1";
        struct err e = { 0 };
        int r = strategic_apply(&out, schema_builtin_type(gv, rows[i].type), doc, patch, &e);
        if (!rows[i].out) {
            assert_int_equal(r, ERR_INVALID);
            continue;
        }
        if (r)
            fail_msg("%s: %s", rows[i].patch, e.text);
        json_auto_t *want = json_of(rows[i].out);
        auto_free char *a = json_dumps(out, JSON_SORT_KEYS), *b = json_dumps(want, JSON_SORT_KEYS);
        assert_string_equal(a, b);
    }
}

static void long_lists_are_refused_not_compared_for_hours(void **state)
{
    json_auto_t *doc = json_object(), *patch = json_object(), *out = NULL;
    json_t *list = json_array();
    struct err e;
    (void)state;

    for (unsigned i = 0; i < 6000; i++)
        json_array_append_new(list, json_sprintf("f%u", i));
    json_object_set_new(patch, "finalizers", list);
    assert_int_equal(
        strategic_apply(&out, schema_builtin_type("meta/v1", "ObjectMeta"), doc, patch, &e),
        ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_give_what_the_document_says),
        cmocka_unit_test(long_lists_are_refused_not_compared_for_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
