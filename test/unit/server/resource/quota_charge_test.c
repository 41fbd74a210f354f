/* What writes take from quotas, and the words of upstream's refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/quota_charge.h"
#include "test/unit/json_text.h"

#define POD "{'spec':{'containers':[{'name':'c'}]}}"
#define ASKS(cpu)                                                                                  \
    "{'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':'" cpu "'}}}]}}"
#define NODE_PORTS(type, ports) "{'spec':{'type':'" type "','ports':[" ports "]}}"
#define CLAIM(size)             "{'spec':{'resources':{'requests':{'storage':'" size "'}}}}"

/* hard and used of the status; spec.hard is the same. after: used; NULL: as before, nothing is
 * taken; of a refusal what it says. */
static const struct {
    const char *resource, *hard, *used, *obj, *old;
    bool allowed;
    const char *after;
} charges[] = {
    { "pods", "{'pods':'2'}", "{'pods':'1'}", POD, NULL, true, "{'pods':'2'}" },
    { "pods", "{'pods':'2'}", "{'pods':'2'}", POD, NULL, false,
      "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" },
    { "pods", "{'count/pods':'1','pods':'5'}", "{'count/pods':'1','pods':'0'}", POD, NULL, false,
      "exceeded quota: q, requested: count/pods=1, used: count/pods=1, limited: count/pods=1" },
    { "pods", "{'requests.cpu':'1','pods':'1'}", "{'requests.cpu':'800m','pods':'1'}", ASKS("300m"),
      NULL, false,
      "exceeded quota: q, requested: pods=1,requests.cpu=300m, used: pods=1,requests.cpu=800m, "
      "limited: pods=1,requests.cpu=1" },
    { "pods", "{'requests.cpu':'1'}", "{'requests.cpu':'800m'}", ASKS("200m"), NULL, true,
      "{'requests.cpu':'1'}" },
    /* the highest of the init containers, or the sum of the others; an overhead on top */
    { "pods", "{'requests.cpu':'1'}", "{'requests.cpu':'0'}",
      "{'spec':{'overhead':{'cpu':'100m'},'initContainers':[{'name':'i','resources':{'requests':{"
      "'cpu':'500m'}}},{'name':'j','resources':{'requests':{'cpu':'700m'}}}],'containers':[{'name':"
      "'c','resources':{'requests':{'cpu':'300m'}}},{'name':'d','resources':{'requests':{'cpu':"
      "'200m'}}}]}}",
      NULL, true, "{'requests.cpu':'800m'}" },
    { "pods", "{'requests.example.com/gpu':'3'}", "{'requests.example.com/gpu':'2'}",
      "{'spec':{'containers':[{'name':'c','resources':{'limits':{'example.com/gpu':'2'},'requests':"
      "{'example.com/gpu':'2'}}}]}}",
      NULL, false,
      "exceeded quota: q, requested: requests.example.com/gpu=2, used: "
      "requests.example.com/gpu=2, limited: requests.example.com/gpu=3" },
    { "secrets", "{'pods':'0'}", "{'pods':'0'}", "{}", NULL, true, NULL },
    { "widgets.example.com", "{'count/widgets.example.com':'1'}",
      "{'count/widgets.example.com':'0'}", "{}", NULL, true, "{'count/widgets.example.com':'1'}" },
    { "widgets.example.com", "{'count/widgets.example.com':'1'}",
      "{'count/widgets.example.com':'1'}", "{}", NULL, false,
      "exceeded quota: q, requested: count/widgets.example.com=1, used: "
      "count/widgets.example.com=1, limited: count/widgets.example.com=1" },
    { "secrets", "{'secrets':'1','count/secrets':'1'}", "{'secrets':'0'}", "{}", NULL, false,
      "status unknown for quota: q, resources: count/secrets,secrets" },
    /* updates take what comes on top, and give nothing back */
    { "services", "{'services':'1','services.nodeports':'3'}",
      "{'services':'1','services.nodeports':'1'}", NODE_PORTS("NodePort", "{'port':1},{'port':2}"),
      NODE_PORTS("NodePort", "{'port':1}"), true, "{'services':'1','services.nodeports':'2'}" },
    { "services", "{'services.nodeports':'1'}", "{'services.nodeports':'1'}",
      NODE_PORTS("NodePort", "{'port':1},{'port':2}"), NODE_PORTS("NodePort", "{'port':1}"), false,
      "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, limited: "
      "services.nodeports=1" },
    { "services", "{'services.nodeports':'0'}", "{'services.nodeports':'2'}",
      NODE_PORTS("ClusterIP", "{'port':1}"), NODE_PORTS("NodePort", "{'port':1}"), true, NULL },
    { "services", "{'services.loadbalancers':'0'}", "{'services.loadbalancers':'0'}",
      NODE_PORTS("LoadBalancer", ""), NODE_PORTS("ClusterIP", ""), false,
      "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, "
      "limited: services.loadbalancers=0" },
    { "persistentvolumeclaims", "{'requests.storage':'3Gi','persistentvolumeclaims':'1'}",
      "{'requests.storage':'2Gi','persistentvolumeclaims':'1'}", CLAIM("3Gi"), CLAIM("2Gi"), true,
      "{'requests.storage':'3Gi','persistentvolumeclaims':'1'}" },
    { "persistentvolumeclaims", "{'requests.storage':'3Gi'}", "{'requests.storage':'2Gi'}",
      CLAIM("4Gi"), CLAIM("2Gi"), false,
      "exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=2Gi, limited: "
      "requests.storage=3Gi" },
};

static json_t *quota_of(const char *spec, const char *hard, const char *used)
{
    auto_free char *text =
        mem_printf("{'metadata':{'name':'q'},'spec':{'hard':%s},'status':{'hard':%s,'used':%s}}",
                   spec, hard, used);

    return json_of(text);
}

static void a_write_takes_what_it_uses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(charges); i++) {
        json_auto_t *quota = quota_of(charges[i].hard, charges[i].hard, charges[i].used),
                    *before = json_deep_copy(quota), *obj = json_of(charges[i].obj),
                    *old = charges[i].old ? json_of(charges[i].old) : NULL, *out = NULL;
        auto_free char *why = NULL;
        bool allowed = quota_charge(&out, &why, quota, charges[i].resource, obj, old, 1000);

        if (allowed != charges[i].allowed)
            fail_msg("row %zu: %s", i, why ? why : "allowed");
        assert_true(json_equal(quota, before)); /* what informers share stays as it is */
        if (!allowed) {
            assert_string_equal(why, charges[i].after);
            assert_null(out);
            continue;
        }
        assert_null(why);
        json_auto_t *want = charges[i].after ? json_of(charges[i].after) : NULL;
        if (want ? !out || !json_equal(json_at(out, "status.used"), want) : out != NULL)
            fail_msg("row %zu takes something else", i);
        assert_true(!out || json_equal(json_at(out, "spec"), json_at(before, "spec")));
    }
}

static void what_is_not_counted_yet_is_touched(void **state)
{
    static const char *const specs[] = { "{'pods':'0','cpu':'1'}", "{'pods':'0','secrets':'0'}" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        json_auto_t *quota = quota_of(specs[i], i ? "{'pods':'0'}" : "{}", "{}"),
                    *obj = json_of(POD), *out = NULL;
        auto_free char *why = NULL;

        assert_true(quota_charge(&out, &why, quota, i ? "secrets" : "pods", obj, NULL, 0));
        assert_true(json_equal(out, quota));
    }
}

static void scopes_are_left_alone(void **state)
{
    json_auto_t *quota = json_of("{'metadata':{'name':'q'},'spec':{'scopes':['Terminating'],'hard':"
                                 "{'pods':'0','cpu':'0'}},'status':{'hard':{'pods':'0','cpu':'0'},"
                                 "'used':{'pods':'0','cpu':'0'}}}"),
                *obj = json_of(POD), *out = NULL;
    auto_free char *why = NULL;

    (void)state;
    assert_true(quota_charge(&out, &why, quota, "pods", obj, NULL, 0));
    assert_null(out);
    assert_null(quota_demand(quota, "pods", obj));
}

static const struct {
    const char *hard, *pod, *why;
} demands[] = {
    { "{'pods':'1','requests.ephemeral-storage':'1'}", POD, NULL },
    { "{'cpu':'1'}", ASKS("1"), NULL },
    { "{'requests.cpu':'1'}", POD, "failed quota: q: must specify requests.cpu for: c" },
    { "{'limits.cpu':'1','memory':'1','limits.memory':'1'}", ASKS("1"),
      "failed quota: q: must specify limits.cpu for: c; limits.memory for: c; memory for: c" },
    { "{'cpu':'1'}",
      "{'spec':{'initContainers':[{'name':'a'}],'containers':[{'name':'z'},{'name':'b'},{'name':"
      "'c','resources':{'requests':{'cpu':'1'}}}]}}",
      "failed quota: q: must specify cpu for: a,b,z" },
};

static void every_container_says_what_it_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(demands); i++) {
        json_auto_t *quota = quota_of(demands[i].hard, demands[i].hard, "{}"),
                    *pod = json_of(demands[i].pod);
        auto_free char *why = quota_demand(quota, "pods", pod);

        if (demands[i].why ? !why || strcmp(why, demands[i].why) != 0 : why != NULL)
            fail_msg("row %zu: %s", i, why ? why : "nothing");
    }
}

static void some_updates_are_charged(void **state)
{
    (void)state;
    assert_true(quota_is_charged("pods", false));
    assert_true(quota_is_charged("widgets.example.com", false));
    assert_true(quota_is_charged("services", true));
    assert_true(quota_is_charged("persistentvolumeclaims", true));
    assert_false(quota_is_charged("pods", true));
    assert_false(quota_is_charged("events", false));
    assert_false(quota_is_charged("events.events.k8s.io", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_takes_what_it_uses),
        cmocka_unit_test(what_is_not_counted_yet_is_touched),
        cmocka_unit_test(scopes_are_left_alone),
        cmocka_unit_test(every_container_says_what_it_needs),
        cmocka_unit_test(some_updates_are_charged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
