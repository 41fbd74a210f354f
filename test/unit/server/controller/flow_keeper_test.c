/* The default FlowSchemas and PriorityLevelConfigurations, on the real API and store. */
#include "test/unit/server/controller/rig.h"

#include "server/controller/flow_defaults.h"
#include "test/unit/json_text.h"

static struct cluster c;
static struct controllers *cs;

static int setup(void **state)
{
    (void)state;
    cluster_open(&c);
    cs = rig_start(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_stop(&c, cs);
    cluster_close(&c);
    return 0;
}

static struct local_ref ref(const char *resource, const char *name)
{
    return (struct local_ref){ .group = "flowcontrol.apiserver.k8s.io",
                               .resource = resource,
                               .name = name };
}

static struct local_ref schema(const char *name)
{
    return ref("flowschemas", name);
}

static struct local_ref level(const char *name)
{
    return ref("prioritylevelconfigurations", name);
}

static json_t *annotation(const char *value)
{
    return json_pack("{s:{s:{s:s}}}", "metadata", "annotations", FLOW_AUTOUPDATE, value);
}

/* ---- what is kept ---- */

static void expect_repaired(const char *current, bool mandatory, const char *want)
{
    json_auto_t *now = json_of(current),
                *wanted = json_of("{'metadata':{'name':'x'},'spec':{'a':1}}"),
                *expected = want ? json_of(want) : NULL,
                *got = flow_repaired(now, wanted, mandatory);

    if (want ? !got || !json_equal(got, expected) : got != NULL) {
        auto_free char *text = got ? json_dumps(got, 0) : NULL;
        fail_msg("%s: %s", current, text ? text : "nothing");
    }
}

#define SAYS(value, spec)                                                                          \
    "{'metadata':{'annotations':{'apf.kubernetes.io/autoupdate-spec':'" value                      \
    "'},'generation':2},'spec':" spec "}"

static void an_edit_is_kept_when_it_says_so(void **state)
{
    (void)state;
    expect_repaired(SAYS("true", "{'a':1}"), false, NULL);
    expect_repaired(SAYS("true", "{'a':2}"), false, SAYS("true", "{'a':1}"));
    expect_repaired(SAYS("false", "{'a':2}"), false, NULL);
    expect_repaired(SAYS("F", "{'a':2}"), false, NULL);
    expect_repaired(SAYS("false", "{'a':2}"), true, SAYS("true", "{'a':1}"));
    expect_repaired(SAYS("maybe", "{'a':2}"), false, SAYS("false", "{'a':2}"));
    expect_repaired("{'metadata':{'generation':1},'spec':{'a':2}}", false,
                    "{'metadata':{'generation':1,'annotations':{'apf.kubernetes.io/"
                    "autoupdate-spec':'true'}},'spec':{'a':1}}");
    expect_repaired("{'metadata':{'generation':3},'spec':{'a':2}}", false,
                    "{'metadata':{'generation':3,'annotations':{'apf.kubernetes.io/"
                    "autoupdate-spec':'false'}},'spec':{'a':2}}");
}

/* ---- in a cluster ---- */

static void expect_text(const struct local_ref *r, const char *path, const char *want)
{
    cluster_expect(&c, r, path, want);
}

/* What is stored is what is wanted: nothing is written twice. */
static void all_of_them_are_made_once(void **state)
{
    json_auto_t *revisions = json_object();
    bool mandatory;

    (void)state;
    for (size_t i = 0; flow_schema_name(i); i++) {
        struct local_ref r = schema(flow_schema_name(i));
        expect_text(&r, "status.conditions[0].status", "False");
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; flow_level_name(i) || flow_schema_name(i); i++) {
            struct local_ref all[] = { level(flow_level_name(i)), schema(flow_schema_name(i)) };

            for (size_t k = 0; k < ARRAY_LEN(all); k++) {
                if (!all[k].name)
                    continue;
                auto_free char *key = mem_printf("%s/%s", all[k].resource, all[k].name);
                json_auto_t *now = cluster_get(&c, &all[k]);
                json_auto_t *want = k ? flow_schema_default(all[k].name, &mandatory)
                                      : flow_level_default(all[k].name, &mandatory);
                if (!json_equal(json_object_get(now, "spec"), json_object_get(want, "spec")))
                    fail_msg("%s is stored in another form", key);
                assert_int_equal(meta_generation(now), 1);
                if (round)
                    assert_string_equal(json_str_at(revisions, key, ""),
                                        meta_str(now, "resourceVersion"));
                else
                    json_object_set_new(revisions, key,
                                        json_string(meta_str(now, "resourceVersion")));
            }
        }
        for (int turn = 0; turn < 20; turn++)
            uv_run(&c.loop, UV_RUN_ONCE);
    }
}

static void what_is_deleted_comes_back(void **state)
{
    struct local_ref gone[] = { level("catch-all"), schema("global-default"), schema("exempt") };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        json_auto_t *was = cluster_get(&c, &gone[i]), *now = NULL;
        cluster_delete(&c, &gone[i]);
        expect_text(&gone[i], "metadata.name", gone[i].name);
        now = cluster_get(&c, &gone[i]);
        assert_string_not_equal(meta_uid(now), meta_uid(was));
    }
}

static int64_t shares_of(const struct local_ref *r)
{
    json_auto_t *now = cluster_get(&c, r);

    return json_i64_at(now, "spec.limited.nominalConcurrencyShares", -1);
}

static bool has_100_shares(void *arg)
{
    return shares_of(arg) == 100;
}

static void edits_are_undone_unless_they_say_no(void **state)
{
    struct local_ref low = level("workload-low");

    (void)state;
    cluster_patch(&c, &low, "{\"spec\":{\"limited\":{\"nominalConcurrencyShares\":7}}}");
    cluster_until(&c, has_100_shares, &low, "the spec is right again");
    json_auto_t *no = annotation("false");
    auto_free char *text = json_dumps(no, 0);
    cluster_patch(&c, &low, text);
    cluster_patch(&c, &low, "{\"spec\":{\"limited\":{\"nominalConcurrencyShares\":7}}}");
    for (int turn = 0; turn < 50; turn++)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(shares_of(&low), 7);
    json_auto_t *yes = annotation("true");
    auto_free char *again = json_dumps(yes, 0);
    cluster_patch(&c, &low, again);
    cluster_until(&c, has_100_shares, &low, "the spec is right again");
}

static void a_schema_says_whether_its_level_is_there(void **state)
{
    struct local_ref mine = schema("mine"), there = level("there");

    (void)state;
    cluster_create(&c, &mine,
                   "{\"metadata\":{\"name\":\"mine\"},\"spec\":{\"priorityLevelConfiguration\":{"
                   "\"name\":\"there\"},\"matchingPrecedence\":1000}}");
    expect_text(&mine, "status.conditions[0].status", "True");
    expect_text(&mine, "status.conditions[0].message",
                "This FlowSchema references the PriorityLevelConfiguration object named \"there\" "
                "but there is no such object");
    cluster_create(&c, &there,
                   "{\"metadata\":{\"name\":\"there\"},\"spec\":{\"type\":\"Limited\",\"limited\":{"
                   "\"limitResponse\":{\"type\":\"Reject\"}}}}");
    expect_text(&mine, "status.conditions[0].status", "False");
    expect_text(&mine, "status.conditions[0].reason", "Found");
    cluster_delete(&c, &there);
    expect_text(&mine, "status.conditions[0].status", "True");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_is_kept_when_it_says_so),
        cmocka_unit_test(all_of_them_are_made_once),
        cmocka_unit_test(what_is_deleted_comes_back),
        cmocka_unit_test(edits_are_undone_unless_they_say_no),
        cmocka_unit_test(a_schema_says_whether_its_level_is_there),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
