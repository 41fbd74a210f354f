/* The pure decisions of the controllers: documents in, patch (or none) out. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/patch.h"
#include "server/controller/cloud_node.h"
#include "server/controller/event_ttl.h"
#include "server/controller/kubernetes_service.h"
#include "server/controller/node_companion.h"
#include "server/controller/node_lifecycle.h"
#include "server/controller/node_role.h"
#include "server/controller/token_cleaner.h"

#include <stdio.h>

#define NOW "2026-11-22T10:00:00Z"

static json_t *doc(const char *text)
{
    json_t *j = NULL;
    struct err e = { 0 };

    /* single quotes read better in C */
    auto_free char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (json_parse(&j, str_of(copy), &e))
        fail_msg("%s: %s", copy, e.text);
    return j;
}

/* obj with the patch (consumed) applied; the patch must name the version it was made for. */
static json_t *patched(const json_t *obj, json_t *patch_take)
{
    json_auto_t *patch = patch_take;
    json_t *out = NULL;
    struct err e = { 0 };

    assert_non_null(patch);
    assert_int_equal(patch_merge(&out, obj, patch, &e), 0);
    return out;
}

static void expect_json(const json_t *got, const char *want_text)
{
    json_auto_t *want = doc(want_text);

    if ((got || !json_is_null(want)) && !json_equal(got, want)) {
        auto_free char *text = got ? json_text(got) : mem_strdup("(none)");
        fail_msg("want %s\n got %s", want_text, text);
    }
}

/* ---- node lifecycle ---- */

#define READY(status) "{'type':'Ready','status':'" status "'}"

static void taints_follow_the_conditions(void **state)
{
    static const struct {
        const char *conditions, *spec, *taints; /* taints as "key:effect" or NULL: no patch */
    } rows[] = {
        { READY("True"), "{}", NULL },
        { "", "{}", NULL },
        { "", "{'taints':[{'key':'node.kubernetes.io/not-ready','effect':'NoSchedule'}]}", NULL },
        { READY("False"), "{}",
          "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute " },
        { READY("Unknown"), "{}",
          "node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute " },
        { READY("True"),
          "{'taints':[{'key':'node.kubernetes.io/unreachable','effect':'NoExecute'},"
          "{'key':'mine','effect':'NoSchedule'}]}",
          "mine:NoSchedule " },
        { READY("True"),
          "{'taints':[{'key':'node.kubernetes.io/unreachable','effect':'NoExecute'}]}", "" },
        { READY("True") ",{'type':'MemoryPressure','status':'True'}", "{}",
          "node.kubernetes.io/memory-pressure:NoSchedule " },
        { READY("True") ",{'type':'DiskPressure','status':'True'}", "{}",
          "node.kubernetes.io/disk-pressure:NoSchedule " },
        { READY("True"), "{'unschedulable':true}", "node.kubernetes.io/unschedulable:NoSchedule " },
        { READY("True"),
          "{'taints':[{'key':'node.kubernetes.io/unschedulable','effect':'NoSchedule'}]}", "" },
        { READY("True"),
          "{'unschedulable':true,'taints':[{'key':'node.kubernetes.io/unschedulable',"
          "'effect':'NoSchedule'}]}",
          NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf(
            "{'metadata':{'resourceVersion':'7'},'spec':%s,'status':{'conditions':[%s]}}",
            rows[i].spec, rows[i].conditions);
        json_auto_t *node = doc(text);
        json_auto_t *patch = node_lifecycle_taints(node, NOW);
        char got[512] = "";
        size_t k;
        json_t *t;

        if (!rows[i].taints) {
            if (patch)
                fail_msg("row %zu: a patch", i);
            continue;
        }
        if (!patch)
            fail_msg("row %zu: no patch", i);
        assert_string_equal(json_str_at(patch, "metadata.resourceVersion", ""), "7");
        json_array_foreach(json_at(patch, "spec.taints"), k, t)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s:%s ",
                     json_str_at(t, "key", ""), json_str_at(t, "effect", ""));
        assert_string_equal(got, rows[i].taints);
        json_auto_t *after = patched(node, json_incref(patch));
        assert_null(node_lifecycle_taints(after, NOW)); /* and then all is right */
    }
}

static void silent_nodes_become_unknown(void **state)
{
    json_auto_t *node = doc(
        "{'metadata':{'name':'n','resourceVersion':'7','creationTimestamp':'2026-11-22T09:00:00Z'},"
        "'status':{'conditions':["
        "{'type':'MemoryPressure','status':'False','lastHeartbeatTime':'a','reason':'x'},"
        "{'type':'Odd','status':'True'},"
        "{'type':'PIDPressure','status':'Unknown','reason':'kept'},"
        "{'type':'Ready','status':'True','lastHeartbeatTime':'b','message':'fine'}]}}");
    json_auto_t *after = patched(node, node_lifecycle_unknown(node, "tunnel: gone", NOW));

    (void)state;
    expect_json(
        json_at(after, "status.conditions"),
        "[{'type':'MemoryPressure','status':'Unknown','lastHeartbeatTime':'a',"
        "'reason':'NodeStatusUnknown','message':'Kubelet stopped posting node status.',"
        "'lastTransitionTime':'" NOW "'},"
        "{'type':'Odd','status':'True'},"
        "{'type':'PIDPressure','status':'Unknown','reason':'kept'},"
        "{'type':'Ready','status':'Unknown','lastHeartbeatTime':'b','reason':'NodeStatusUnknown',"
        "'message':'Kubelet stopped posting node status. tunnel: gone',"
        "'lastTransitionTime':'" NOW "'},"
        "{'type':'DiskPressure','status':'Unknown','reason':'NodeStatusNeverUpdated',"
        "'message':'Kubelet never posted node status.','lastTransitionTime':'" NOW "',"
        "'lastHeartbeatTime':'2026-11-22T09:00:00Z'}]");
    assert_null(node_lifecycle_unknown(after, "tunnel: gone", NOW));
    assert_null(node_lifecycle_unknown(after, "", NOW)); /* nothing better to say */
    /* what is said follows what is known; since when does not change */
    json_auto_t *later = patched(
        after, node_lifecycle_unknown(after, "password: not the one", "2026-11-22T10:00:00Z"));
    assert_string_equal(json_str_at(later, "status.conditions[3].message", ""),
                        "Kubelet stopped posting node status. password: not the one");
    assert_string_equal(json_str_at(later, "status.conditions[3].lastTransitionTime", ""), NOW);
    assert_int_equal(json_array_size(json_at(later, "status.conditions")), 5);
}

/* ---- cloud node ---- */

static void addresses_come_from_the_annotations(void **state)
{
    static const struct {
        const char *annotations, *addresses; /* NULL: no patch */
    } rows[] = {
        { "{}", NULL },
        { "{'k3s.io/hostname':'h'}", NULL }, /* waits for the address */
        { "{'k3s.io/internal-ip':'10.0.0.1'}",
          "[{'type':'InternalIP','address':'10.0.0.1'},{'type':'Hostname','address':'n'}]" },
        { "{'k3s.io/external-ip':'1.2.3.4','k3s.io/hostname':'h','k3s.io/internal-dns':'i.example',"
          "'k3s.io/internal-ip':'10.0.0.1, fd00::1','k3s.io/external-dns':'e.example'}",
          "[{'type':'InternalIP','address':'10.0.0.1'},{'type':'InternalIP','address':'fd00::1'},"
          "{'type':'ExternalIP','address':'1.2.3.4'},{'type':'InternalDNS','address':'i.example'},"
          "{'type':'ExternalDNS','address':'e.example'},{'type':'Hostname','address':'h'}]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            mem_printf("{'metadata':{'name':'n','resourceVersion':'7','annotations':%s}}",
                       rows[i].annotations);
        json_auto_t *node = doc(text);

        if (!rows[i].addresses) {
            assert_null(cloud_node_status_patch(node));
            continue;
        }
        json_auto_t *after = patched(node, cloud_node_status_patch(node));
        expect_json(json_at(after, "status.addresses"), rows[i].addresses);
        assert_null(cloud_node_status_patch(after));
    }
}

static void initialized_nodes_lose_the_taint(void **state)
{
    json_auto_t *node = doc(
        "{'metadata':{'name':'n','resourceVersion':'7','annotations':{'k3s.io/"
        "internal-ip':'1.2.3.4'},"
        "'labels':{'node.kubernetes.io/instance-type':'rpi'}},"
        "'spec':{'taints':[{'key':'node.cloudprovider.kubernetes.io/uninitialized','value':'true',"
        "'effect':'NoSchedule'},{'key':'mine','effect':'NoSchedule'}]}}");
    json_auto_t *early = json_deep_copy(node);
    json_auto_t *after = patched(node, cloud_node_patch(node));

    (void)state;
    expect_json(json_at(after, "spec"),
                "{'taints':[{'key':'mine','effect':'NoSchedule'}],'providerID':'k3s://n'}");
    expect_json(
        json_at(after, "metadata.labels"),
        "{'node.kubernetes.io/instance-type':'rpi','beta.kubernetes.io/instance-type':'k3s'}");
    assert_null(cloud_node_patch(after));
    json_object_del(json_at(early, "metadata"), "annotations");
    assert_null(cloud_node_patch(early));
}

static void a_servers_node_gets_its_role(void **state)
{
    json_auto_t *node = doc("{'metadata':{'labels':{'node-role.kubernetes.io/master':'true'}}}");
    json_auto_t *after = patched(node, node_role_patch(node));

    (void)state;
    expect_json(json_at(after, "metadata.labels"),
                "{'node-role.kubernetes.io/master':'true',"
                "'node-role.kubernetes.io/control-plane':'true'}");
    assert_null(node_role_patch(after));
}

/* ---- companions ---- */

static void companions_go_with_their_node(void **state)
{
    static const struct {
        struct companion_facts f;
        enum companion_verdict v;
    } rows[] = {
        { { .has_node = true, .owned = true, .wants_owner = true }, COMPANION_KEEP },
        { { .has_node = true, .wants_owner = true }, COMPANION_OWN },
        { { .has_node = true }, COMPANION_KEEP },    /* a Lease: the kubelet sets its owner */
        { { .wants_owner = true }, COMPANION_WAIT }, /* a password before its Node */
        { { .wants_owner = true, .orphan_ms = COMPANION_ORPHAN_MS - 1 }, COMPANION_WAIT },
        { { .wants_owner = true, .orphan_ms = COMPANION_ORPHAN_MS }, COMPANION_DELETE },
        { { .doomed = true }, COMPANION_DELETE },
        { { .has_node = true, .doomed = true, .wants_owner = true }, COMPANION_DELETE },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (companion_judge(&rows[i].f) != rows[i].v)
            fail_msg("row %zu: %d", i, (int)companion_judge(&rows[i].f));
}

/* ---- default/kubernetes ---- */

static void kubernetes_is_published_as_by_k3s(void **state)
{
    const char *const ips[] = { "198.51.100.10" };
    struct kubernetes_want w = { "10.43.0.1", 6443, ips, 1, 6443 };
    json_auto_t *service = kubernetes_service_new(&w), *endpoints = kubernetes_endpoints_new(&w);
    json_auto_t *slice = kubernetes_slice_new(&w);

    (void)state; /* the golden recordings of K3s v1.21, less what the API adds */
    expect_json(service,
                "{'metadata':{'name':'kubernetes','namespace':'default','labels':{"
                "'component':'apiserver','provider':'kubernetes'}},'spec':{'clusterIP':'10.43.0.1',"
                "'clusterIPs':['10.43.0.1'],'type':'ClusterIP','sessionAffinity':'None','ports':[{"
                "'name':'https','port':443,'protocol':'TCP','targetPort':6443}]}}");
    expect_json(
        endpoints,
        "{'metadata':{'name':'kubernetes','namespace':'default','labels':{"
        "'endpointslice.kubernetes.io/skip-mirror':'true'}},'subsets':[{'addresses':[{"
        "'ip':'198.51.100.10'}],'ports':[{'name':'https','port':6443,'protocol':'TCP'}]}]}");
    expect_json(slice,
                "{'metadata':{'name':'kubernetes','namespace':'default','labels':{"
                "'kubernetes.io/service-name':'kubernetes'}},'addressType':'IPv4','endpoints':[{"
                "'addresses':['198.51.100.10'],'conditions':{'ready':true}}],'ports':[{"
                "'name':'https','port':6443,'protocol':'TCP'}]}");
}

static void edited_endpoints_are_repaired_and_the_dead_removed(void **state)
{
    static const char *const fields[] = { "subsets", NULL };
    const char *const three[] = { "10.0.0.3", "10.0.0.1", "10.0.0.2" }, *const one[] = {
        "10.0.0.1"
    };
    struct kubernetes_want w = { "10.43.0.1", 6443, three, 3, 6443 };
    json_auto_t *now = kubernetes_endpoints_new(&w), *same = kubernetes_endpoints_new(&w);

    (void)state;
    expect_json(json_at(now, "subsets[0].addresses"),
                "[{'ip':'10.0.0.1'},{'ip':'10.0.0.2'},{'ip':'10.0.0.3'}]");
    assert_null(kubernetes_fix(now, same, fields));
    json_object_set_new(json_at(now, "metadata.labels"), "other", json_string("kept"));
    assert_null(kubernetes_fix(now, same, fields));
    w.ips = one;
    w.n_ips = 1;
    json_auto_t *want = kubernetes_endpoints_new(&w);
    json_auto_t *after = patched(now, kubernetes_fix(now, want, fields));
    expect_json(json_at(after, "subsets[0].addresses"), "[{'ip':'10.0.0.1'}]");
    assert_string_equal(json_str_at(after, "metadata.labels.other", ""), "kept");
    json_object_clear(json_at(after, "metadata.labels"));
    json_auto_t *labeled = patched(after, kubernetes_fix(after, want, fields));
    assert_null(kubernetes_fix(labeled, want, fields));
}

static void service_repairs_leave_other_fields_alone(void **state)
{
    static const char *const fields[] = { "spec.ports", "spec.type", NULL };
    const char *const ips[] = { "10.0.0.1" };
    struct kubernetes_want w = { "10.43.0.1", 6443, ips, 1, 6443 };
    json_auto_t *want = kubernetes_service_new(&w), *now = json_deep_copy(want);

    (void)state;
    json_object_set_new(json_at(now, "spec"), "type", json_string("NodePort"));
    json_object_set_new(json_at(now, "spec"), "clusterIP", json_string("10.43.0.9"));
    json_auto_t *patch = kubernetes_fix(now, want, fields);
    expect_json(json_at(patch, "spec"), "{'type':'ClusterIP'}");
}

/* Servers of both families: Endpoints name all, a slice can hold those of one. */
static void a_slice_has_the_family_of_the_service(void **state)
{
    const char *const both[] = { "10.0.0.1", "fd00::1" }, *const v4[] = { "10.0.0.1" };
    struct kubernetes_want four = { "10.43.0.1", 6443, both, 2, 6443 };
    struct kubernetes_want six = { "fd00:43::1", 6443, both, 2, 6443 };
    struct kubernetes_want none = { "fd00:43::1", 6443, v4, 1, 6443 };
    json_auto_t *a = kubernetes_slice_new(&four), *b = kubernetes_slice_new(&six);
    json_auto_t *c = kubernetes_slice_new(&none), *all = kubernetes_endpoints_new(&six);

    (void)state;
    assert_string_equal(json_str_at(a, "addressType", ""), "IPv4");
    expect_json(json_at(a, "endpoints"),
                "[{'addresses':['10.0.0.1'],'conditions':{'ready':true}}]");
    assert_string_equal(json_str_at(b, "addressType", ""), "IPv6");
    expect_json(json_at(b, "endpoints"), "[{'addresses':['fd00::1'],'conditions':{'ready':true}}]");
    assert_string_equal(json_str_at(c, "addressType", ""), "IPv4");
    expect_json(json_at(all, "subsets[0].addresses"), "[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]");
}

static void what_validation_refuses_is_not_published(void **state)
{
    static const struct {
        const char *ip, *why; /* NULL: it is published */
    } rows[] = {
        { "192.0.2.1", NULL },
        { "2001:db8::1", NULL },
        { "127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)" },
        { "::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)" },
        { "169.254.0.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)" },
        { "0.0.0.0", "may not be unspecified (0.0.0.0)" },
        { "srv.example.org", "must be a valid IP address" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char why[160] = "";

        assert_int_equal(kubernetes_publishes(rows[i].ip, why, sizeof why), !rows[i].why);
        if (rows[i].why && !strstr(why, rows[i].why))
            fail_msg("%s: %s", rows[i].ip, why);
    }
}

static void a_slice_of_the_other_family_must_go(void **state)
{
    const char *const v4[] = { "10.0.0.1" }, *const v6[] = { "fd00::1" };
    struct kubernetes_want a = { "10.43.0.1", 6443, v4, 1, 6443 };
    struct kubernetes_want b = { "10.43.0.1", 6443, v6, 1, 6443 };
    json_auto_t *four = kubernetes_slice_new(&a), *six = kubernetes_slice_new(&b);

    (void)state;
    assert_string_equal(json_str_at(six, "addressType", ""), "IPv6");
    assert_true(kubernetes_slice_must_go(four, six));
    assert_false(kubernetes_slice_must_go(four, four));
}

/* ---- ends of life ---- */

static void events_live_for_an_hour(void **state)
{
    enum { NOON = 1795348800 }; /* 2026-11-22T12:00:00Z */
    static const struct {
        const char *event;
        int64_t left_s;
    } rows[] = {
        { "{}", 3600 },
        { "{'lastTimestamp':'2026-11-22T11:30:00Z'}", 1800 },
        { "{'lastTimestamp':'2026-11-22T10:30:00Z'}", 0 },
        { "{'lastTimestamp':'1970-01-01T00:00:09Z'}", 0 },
        { "{'lastTimestamp':'2026-11-22T13:30:00Z'}", 3600 }, /* somebody's clock is ahead */
        { "{'lastTimestamp':null,'eventTime':'2026-11-22T11:59:00.000001Z'}", 3540 },
        { "{'metadata':{'creationTimestamp':'2026-11-22T10:00:00Z'},"
          "'series':{'lastObservedTime':'2026-11-22T11:50:00.000000Z'}}",
          3000 },
        { "{'lastTimestamp':'what'}", 3600 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *ev = doc(rows[i].event);

        if (event_ttl_left_s(ev, NOON) != rows[i].left_s)
            fail_msg("row %zu: %lld", i, (long long)event_ttl_left_s(ev, NOON));
    }
}

static void only_bootstrap_tokens_with_an_end_expire(void **state)
{
#define TOKEN(name, type, data) "{'metadata':{'name':'" name "'},'type':'" type "','data':" data "}"
#define TYPE                    "bootstrap.kubernetes.io/token"
    static const struct {
        const char *secret;
        bool expires;
        int64_t at;
    } rows[] = {
        /* 2026-11-22T12:00:00Z */
        { TOKEN("bootstrap-token-abc", TYPE, "{'expiration':'MjAyNi0xMS0yMlQxMjowMDowMFo='}"), true,
          1795348800 },
        { TOKEN("bootstrap-token-abc", TYPE, "{'token-id':'YWJj'}"), false, 0 },
        { TOKEN("bootstrap-token-abc", TYPE, "{'expiration':'bm93'}"), true, 0 },
        { TOKEN("bootstrap-token-abc", TYPE, "{'expiration':'%%'}"), true, 0 },
        { TOKEN("bootstrap-token-abc", "Opaque", "{'expiration':'bm93'}"), false, 0 },
        { TOKEN("other", TYPE, "{'expiration':'bm93'}"), false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *secret = doc(rows[i].secret);
        int64_t at = 0;

        if (token_cleaner_expiry(secret, &at) != rows[i].expires || at != rows[i].at)
            fail_msg("row %zu: %lld", i, (long long)at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taints_follow_the_conditions),
        cmocka_unit_test(silent_nodes_become_unknown),
        cmocka_unit_test(addresses_come_from_the_annotations),
        cmocka_unit_test(initialized_nodes_lose_the_taint),
        cmocka_unit_test(a_servers_node_gets_its_role),
        cmocka_unit_test(companions_go_with_their_node),
        cmocka_unit_test(kubernetes_is_published_as_by_k3s),
        cmocka_unit_test(edited_endpoints_are_repaired_and_the_dead_removed),
        cmocka_unit_test(service_repairs_leave_other_fields_alone),
        cmocka_unit_test(a_slice_has_the_family_of_the_service),
        cmocka_unit_test(what_validation_refuses_is_not_published),
        cmocka_unit_test(a_slice_of_the_other_family_must_go),
        cmocka_unit_test(events_live_for_an_hour),
        cmocka_unit_test(only_bootstrap_tokens_with_an_end_expire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
