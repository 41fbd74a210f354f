/* What the server makes of workloads before they are checked:
 * pkg/registry/{batch,apps,coordination}. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/data/json.h"
#include "server/resource/resource.h"
#include "test/unit/json_text.h"

static struct schema *schema;

static int setup(void **state)
{
    (void)state;
    schema = schema_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schema_free(schema);
    return 0;
}

/* old NULL: a create. part of the outcome equals want. */
static void expect(const char *api, const char *kind, const char *old, const char *now,
                   const char *path, const char *want)
{
    const struct resource_hooks *h = resource_hooks_find(schema_find_api(schema, api, kind));
    json_auto_t *obj = json_of(now), *was = old ? json_of(old) : NULL, *wanted = json_of(want);
    struct err e = { 0 };

    if (old)
        assert_int_equal(h->prepare_update(NULL, obj, was, &e), 0);
    else
        assert_int_equal(h->prepare_create(NULL, obj, &e), 0);
    auto_free char *a = json_dumps(json_at(obj, path), JSON_SORT_KEYS | JSON_ENCODE_ANY);
    auto_free char *b = json_dumps(wanted, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_string_equal(a, b);
}

static void a_job_gets_a_selector_of_its_own(void **state)
{
    (void)state;
    expect("batch/v1", "Job", NULL,
           "{'metadata':{'name':'pi','uid':'u1'},'spec':{'template':{'spec':{}}}}", "spec",
           "{'selector':{'matchLabels':{'batch.kubernetes.io/controller-uid':'u1'}},'template':{"
           "'metadata':{'labels':{'job-name':'pi','batch.kubernetes.io/job-name':'pi',"
           "'controller-uid':'u1','batch.kubernetes.io/controller-uid':'u1'}},'spec':{}}}");
    /* what a client chose stays, for validation to refuse */
    expect("batch/v1", "Job", NULL,
           "{'metadata':{'name':'pi','uid':'u1'},'spec':{'template':{'metadata':{'labels':{"
           "'job-name':'x'}}},'selector':{'matchLabels':{'a':'b'}}}}",
           "spec",
           "{'selector':{'matchLabels':{'a':'b','batch.kubernetes.io/controller-uid':'u1'}},"
           "'template':{'metadata':{'labels':{'job-name':'x','batch.kubernetes.io/job-name':'pi',"
           "'controller-uid':'u1','batch.kubernetes.io/controller-uid':'u1'}}}}");
    expect("batch/v1", "Job", NULL,
           "{'metadata':{'name':'pi','uid':'u1'},'spec':{'manualSelector':true,'template':{}}}",
           "spec", "{'manualSelector':true,'template':{}}");
}

static void a_daemon_set_counts_its_templates(void **state)
{
#define DS(number, image)                                                                          \
    "{'metadata':{'name':'d','annotations':{'deprecated.daemonset.template.generation':'" number   \
    "'}},'spec':{'template':{'i':'" image "'}}}"
    (void)state;
    expect("apps/v1", "DaemonSet", NULL, "{'metadata':{'name':'d'},'spec':{}}",
           "metadata.annotations", "{'deprecated.daemonset.template.generation':'1'}");
    expect("apps/v1", "DaemonSet", DS("3", "a"), DS("9", "a"), "metadata.annotations",
           "{'deprecated.daemonset.template.generation':'3'}");
    expect("apps/v1", "DaemonSet", DS("3", "a"),
           "{'metadata':{'name':'d'},'spec':{'template':{'i':'b'}}}", "metadata.annotations",
           "{'deprecated.daemonset.template.generation':'4'}");
}

static void fields_of_features_that_are_off_are_dropped(void **state)
{
    (void)state;
    expect("apps/v1", "StatefulSet", NULL,
           "{'spec':{'updateStrategy':{'rollingUpdate':{'partition':0,'maxUnavailable':2}}}}",
           "spec.updateStrategy.rollingUpdate", "{'partition':0}");
    expect("coordination.k8s.io/v1", "Lease", "{'spec':{}}",
           "{'spec':{'holderIdentity':'a','strategy':'OldestEmulationVersion','preferredHolder':"
           "'b'}}",
           "spec", "{'holderIdentity':'a'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_gets_a_selector_of_its_own),
        cmocka_unit_test(a_daemon_set_counts_its_templates),
        cmocka_unit_test(fields_of_features_that_are_off_are_dropped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
