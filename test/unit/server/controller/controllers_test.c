/* All controllers together on the real API and store. */
#include "test/unit/server/cluster.h"

#include "server/controller/controllers.h"

static struct cluster c;
static struct controllers *cs;
static struct controllers_config config;

static void start_controllers(uint64_t grace_ms)
{
    config = (struct controllers_config){ .loop = &c.loop,
                                          .api = c.api,
                                          .advertise_ip = "198.51.100.10",
                                          .advertise_port = 6443,
                                          .service_port = 6443,
                                          .cluster_cidr = "10.42.0.0/16",
                                          .service_ip = "10.43.0.1",
                                          .cluster_dns = "10.43.0.10",
                                          .cluster_domain = "cluster.local",
                                          .server_ca_pem = STR("CERTIFICATE\n"),
                                          .own_node = "own",
                                          .node_grace_ms = grace_ms,
                                          .pod_quarantine_ms = 50 };
    controllers_start(&cs, &config);
}

static void stop_controllers(void)
{
    c.flag = false;
    controllers_close(cs, cluster_raise, &c.flag);
    cluster_until(&c, cluster_is_true, &c.flag, "the controllers end");
}

static int setup(void **state)
{
    (void)state;
    cluster_open(&c);
    start_controllers(600000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop_controllers();
    cluster_close(&c);
    return 0;
}

static struct local_ref ref(const char *resource, const char *ns, const char *name)
{
    return (struct local_ref){ .resource = resource, .ns = ns, .name = name };
}

#define NODE(name)                                                                                 \
    "{\"metadata\":{\"name\":\"" name "\",\"annotations\":{\"k3s.io/internal-ip\":\"10.0.0.7\"}}," \
    "\"spec\":{\"taints\":[{\"key\":\"node.cloudprovider.kubernetes.io/uninitialized\","           \
    "\"value\":\"true\",\"effect\":\"NoSchedule\"}]},\"status\":{\"conditions\":[{\"type\":"       \
    "\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\"}],\"nodeInfo\":{"                   \
    "\"kubeletVersion\":"                                                                          \
    "\"v1.32.0\"}}}"

static void kubernetes_is_published_and_kept(void **state)
{
    struct local_ref service = ref("services", "default", "kubernetes");
    struct local_ref endpoints = ref("endpoints", "default", "kubernetes");
    struct local_ref slice = ref("endpointslices", "default", "kubernetes");

    (void)state;
    slice.group = "discovery.k8s.io";
    cluster_expect(&c, &service, "spec.clusterIP", "10.43.0.1");
    cluster_expect(&c, &endpoints, "subsets[0].addresses[0].ip", "198.51.100.10");
    cluster_expect(&c, &slice, "endpoints[0].addresses[0]", "198.51.100.10");
    cluster_patch(&c, &endpoints, "{\"subsets\":null}");
    cluster_expect(&c, &endpoints, "subsets[0].addresses[0].ip", "198.51.100.10");
    cluster_patch(&c, &slice, "{\"endpoints\":[{\"addresses\":[\"10.9.9.9\"]}]}");
    cluster_expect(&c, &slice, "endpoints[0].addresses[0]", "198.51.100.10");
    cluster_delete(&c, &service);
    cluster_expect(&c, &service, "metadata.labels.provider", "kubernetes");
    cluster_delete(&c, &slice);
    cluster_expect(&c, &slice, "addressType", "IPv4");
}

static void new_nodes_get_all_a_server_gives(void **state)
{
    struct local_ref own = ref("nodes", NULL, "own"), other = ref("nodes", NULL, "other");

    (void)state;
    cluster_create(&c, &own, NODE("own"));
    cluster_create(&c, &other, NODE("other"));
    cluster_expect(&c, &own, "spec.podCIDR", "*");
    cluster_expect(&c, &own, "spec.providerID", "k3s://own");
    cluster_expect(&c, &own, "metadata.labels[\"node-role.kubernetes.io/control-plane\"]", "true");
    cluster_expect(&c, &other, "spec.podCIDRs[0]", "*");
    cluster_expect(&c, &other, "spec.providerID", "k3s://other");
    cluster_expect(&c, &other, "spec.taints[0].key", "");
    cluster_expect(&c, &other, "status.addresses[1].address", "other");
    json_auto_t *node = cluster_get(&c, &other), *first = cluster_get(&c, &own);
    const char *cidr = json_str_at(node, "spec.podCIDR", ""),
               *cidr_own = json_str_at(first, "spec.podCIDR", "");
    /* which of the two was served first is nobody's promise */
    assert_string_not_equal(cidr, cidr_own);
    assert_true(str_ends(str_of(cidr), STR(".0/24")) && str_starts(str_of(cidr), STR("10.42.")));
    assert_true(str_ends(str_of(cidr_own), STR(".0/24")) &&
                str_starts(str_of(cidr_own), STR("10.42.")));
    assert_string_equal(meta_label(node, "node-role.kubernetes.io/control-plane"), "");
    assert_string_equal(meta_label(node, "node.kubernetes.io/instance-type"), "k3s");
}

static void a_node_without_a_kubelet_gets_no_pod_network(void **state)
{
    struct local_ref bare = ref("nodes", NULL, "bare"), later = ref("nodes", NULL, "later"),
                     status = ref("nodes", NULL, "bare");

    (void)state;
    cluster_create(&c, &bare, "{\"metadata\":{\"name\":\"bare\"}}");
    cluster_create(&c, &later, NODE("later"));
    cluster_expect(&c, &later, "spec.podCIDR", "*"); /* so the first has been looked at */
    json_auto_t *node = cluster_get(&c, &bare);
    assert_string_equal(json_str_at(node, "spec.podCIDR", ""), "");
    status.subresource = "status";
    cluster_patch(&c, &status, "{\"status\":{\"nodeInfo\":{\"kubeletVersion\":\"v1.32.0\"}}}");
    cluster_expect(&c, &bare, "spec.podCIDR", "*");
}

static void passwords_and_leases_go_with_their_node(void **state)
{
    struct local_ref node = ref("nodes", NULL, "nat1");
    struct local_ref secret = ref("secrets", "kube-system", "nat1.node-password.k3s");
    struct local_ref lease = ref("leases", "kube-node-lease", "nat1");
    struct local_ref other = ref("secrets", "kube-system", "nat2.node-password.k3s");

    (void)state;
    lease.group = "coordination.k8s.io";
    cluster_create(&c, &secret,
                   "{\"metadata\":{\"name\":\"nat1.node-password.k3s\"},\"immutable\":true,"
                   "\"type\":\"k3s.cattle.io/node-password\",\"data\":{\"hash\":\"eA==\"}}");
    cluster_create(&c, &other, "{\"metadata\":{\"name\":\"nat2.node-password.k3s\"}}");
    cluster_create(&c, &node, NODE("nat1"));
    cluster_create(&c, &lease,
                   "{\"metadata\":{\"name\":\"nat1\"},\"spec\":{\"holderIdentity\":\"nat1\"}}");
    cluster_expect(&c, &secret, "metadata.ownerReferences[0].name", "nat1");
    json_auto_t *n = cluster_get(&c, &node), *s = cluster_get(&c, &secret);
    assert_string_equal(json_str_at(s, "metadata.ownerReferences[0].uid", ""), meta_uid(n));
    cluster_delete(&c, &node);
    cluster_expect(&c, &secret, NULL, NULL);
    cluster_expect(&c, &lease, NULL, NULL);
    json_auto_t *kept = cluster_get(&c, &other); /* its node may be about to join */
    assert_non_null(kept);
}

static void namespaces_get_their_defaults(void **state)
{
    struct local_ref ns = ref("namespaces", NULL, "shop");
    struct local_ref map = ref("configmaps", "shop", "kube-root-ca.crt");
    struct local_ref account = ref("serviceaccounts", "shop", "default");
    struct local_ref dns = ref("configmaps", "kube-system", "cluster-dns");

    (void)state;
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"shop\"}}");
    cluster_expect(&c, &account, "metadata.name", "default");
    cluster_expect(&c, &map, "data[\"ca.crt\"]", "CERTIFICATE\n");
    cluster_patch(&c, &map, "{\"data\":{\"ca.crt\":\"wrong\"}}");
    cluster_expect(&c, &map, "data[\"ca.crt\"]", "CERTIFICATE\n");
    cluster_delete(&c, &account);
    cluster_expect(&c, &account, "metadata.name", "default");
    cluster_expect(&c, &dns, "data.clusterDNS", "10.43.0.10");
    cluster_expect(&c, &dns, "data.clusterDomain", "cluster.local");
}

#define POD(name, node)                                                                            \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"nodeName\":\"" node                         \
    "\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"

static void what_every_cluster_has_is_made_and_kept(void **state)
{
    struct local_ref node = ref("priorityclasses", NULL, "system-node-critical");
    struct local_ref cluster = ref("priorityclasses", NULL, "system-cluster-critical");
    struct local_ref core = ref("apiservices", NULL, "v1."),
                     apps = ref("apiservices", NULL, "v1.apps");
    struct local_ref own = ref("apiservices", NULL, "v1.apiregistration.k8s.io");
    struct local_ref stale = ref("apiservices", NULL, "v1.gone.example.com");
    struct local_ref foreign = ref("apiservices", NULL, "v1.metrics.k8s.io");

    (void)state;
    node.group = cluster.group = "scheduling.k8s.io";
    core.group = apps.group = own.group = stale.group = foreign.group = "apiregistration.k8s.io";
    cluster_create(&c, &stale,
                   "{\"metadata\":{\"name\":\"v1.gone.example.com\",\"labels\":{"
                   "\"kube-aggregator.kubernetes.io/automanaged\":\"true\"}},\"spec\":{\"group\":"
                   "\"gone.example.com\",\"version\":\"v1\",\"groupPriorityMinimum\":1000,"
                   "\"versionPriority\":100}}");
    cluster_create(&c, &foreign,
                   "{\"metadata\":{\"name\":\"v1.metrics.k8s.io\"},\"spec\":{\"group\":"
                   "\"metrics.k8s.io\",\"version\":\"v1\",\"groupPriorityMinimum\":100,"
                   "\"versionPriority\":100,\"service\":{\"namespace\":\"n\",\"name\":\"s\"}}}");
    cluster_expect(&c, &node, "preemptionPolicy", "PreemptLowerPriority");
    cluster_expect(&c, &cluster, "metadata.name", "system-cluster-critical");
    cluster_expect(&c, &core, "status.conditions[0].reason", "Local");
    cluster_expect(&c, &apps, "status.conditions[0].status", "True");
    cluster_expect(&c, &stale, NULL, NULL);
    cluster_delete(&c, &node);
    cluster_expect(&c, &node, "metadata.name", "system-node-critical");
    cluster_delete(&c, &core);
    cluster_expect(&c, &core, "spec.version", "v1");
    cluster_patch(&c, &apps, "{\"spec\":{\"service\":{\"namespace\":\"n\",\"name\":\"s\"}}}");
    cluster_expect(&c, &apps, "spec.service.namespace", "");
    json_auto_t *one = cluster_get(&c, &apps), *kept = cluster_get(&c, &foreign),
                *none = cluster_get(&c, &own);
    assert_int_equal(json_i64_at(one, "spec.groupPriorityMinimum", 0), 17800);
    assert_null(json_object_get(kept, "status.conditions")); /* nobody says that it is there */
    assert_null(none);
}

static void deleted_namespaces_are_emptied_and_go(void **state)
{
    struct local_ref ns = ref("namespaces", NULL, "doomed"), map = ref("configmaps", "doomed", "m");
    struct local_ref pod = ref("pods", "doomed", "p"), held = ref("configmaps", "doomed", "held");
    struct local_ref node = ref("nodes", NULL, "n1");

    (void)state;
    cluster_create(&c, &node, NODE("n1"));
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"doomed\"}}");
    cluster_create(&c, &map, "{\"metadata\":{\"name\":\"m\"}}");
    cluster_create(&c, &held, "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"a.io/b\"]}}");
    cluster_create(&c, &pod, POD("p", "n1"));
    cluster_delete(&c, &ns);
    cluster_expect(&c, &map, NULL, NULL);
    cluster_expect(&c, &ns, "status.phase", "Terminating");
    /* the pod is in its grace, and somebody holds a map */
    cluster_expect(&c, &pod, "metadata.deletionTimestamp", "*");
    struct cluster_call k = { 0 };
    struct local_delete_opts now = { .grace_period_s = 0 };
    local_delete(c.api, &pod, &now, cluster_on_call, &k); /* as its kubelet does */
    cluster_until(&c, cluster_is_true, &k.done, "the pod goes");
    json_decref(k.obj);
    cluster_patch(&c, &held, "{\"metadata\":{\"finalizers\":null}}");
    cluster_expect(&c, &ns, NULL, NULL);
}

static void pods_of_a_deleted_node_go_after_the_quarantine(void **state)
{
    struct local_ref node = ref("nodes", NULL, "gone"), pod = ref("pods", "default", "orphan");
    struct local_ref alive = ref("nodes", NULL, "alive"), kept = ref("pods", "default", "kept");

    (void)state;
    cluster_create(&c, &node, NODE("gone"));
    cluster_create(&c, &alive, NODE("alive"));
    cluster_create(&c, &pod, POD("orphan", "gone"));
    cluster_create(&c, &kept, POD("kept", "alive"));
    cluster_delete(&c, &node);
    cluster_expect(&c, &pod, NULL, NULL);
    json_auto_t *k = cluster_get(&c, &kept);
    assert_false(meta_is_deleting(k));
}

static void old_events_and_expired_tokens_go(void **state)
{
    struct local_ref old = ref("events", "default", "old"), fresh = ref("events", "default", "new");
    struct local_ref token = ref("secrets", "kube-system", "bootstrap-token-abcdef");

    (void)state;
    cluster_create(&c, &fresh,
                   "{\"metadata\":{\"name\":\"new\"},\"involvedObject\":{\"namespace\":"
                   "\"default\"}}");
    cluster_create(&c, &old,
                   "{\"metadata\":{\"name\":\"old\"},\"involvedObject\":{\"namespace\":"
                   "\"default\"}}");
    cluster_create(&c, &token,
                   "{\"metadata\":{\"name\":\"bootstrap-token-abcdef\"},\"type\":"
                   "\"bootstrap.kubernetes.io/token\",\"data\":{\"token-id\":\"YWJjZGVm\","
                   "\"token-secret\":\"MDEyMzQ1Njc4OWFiY2RlZg==\","
                   "\"expiration\":\"MjAyMC0wMS0wMVQwMDowMDowMFo=\"}}");
    cluster_expect(&c, &token, NULL, NULL);
    stop_controllers();
    clock_set_offset_s(7200);
    cluster_patch(&c, &fresh, "{\"lastTimestamp\":\"2099-01-01T00:00:00Z\"}");
    start_controllers(600000);
    cluster_expect(&c, &old, NULL, NULL);
    clock_set_offset_s(0);
    json_auto_t *kept = cluster_get(&c, &fresh);
    assert_non_null(kept);
}

static void a_silent_node_is_unknown_until_it_is_heard_again(void **state)
{
    struct local_ref node = ref("nodes", NULL, "n1"), status = ref("nodes", NULL, "n1");
    struct local_ref lease = ref("leases", "kube-node-lease", "n1");

    (void)state;
    status.subresource = "status";
    lease.group = "coordination.k8s.io";
    stop_controllers();
    start_controllers(300);
    cluster_create(&c, &node, NODE("n1"));
    cluster_create(&c, &lease,
                   "{\"metadata\":{\"name\":\"n1\"},\"spec\":{\"holderIdentity\":\"n1\","
                   "\"renewTime\":\"2020-01-01T00:00:00.000000Z\"}}"); /* its clock is off */
    cluster_expect(&c, &node, "status.conditions[0].status", "Unknown");
    cluster_expect(&c, &node, "spec.taints[1].key", "node.kubernetes.io/unreachable");
    json_auto_t *n = cluster_get(&c, &node);
    assert_string_equal(json_str_at(n, "status.conditions[0].reason", ""), "NodeStatusUnknown");
    assert_string_equal(json_str_at(n, "status.conditions[0].message", ""),
                        "Kubelet stopped posting node status.");
    stop_controllers(); /* a fresh grace, long enough to see the node come back */
    start_controllers(600000);
    cluster_patch(&c, &lease, "{\"spec\":{\"renewTime\":\"2020-01-01T00:00:10.000000Z\"}}");
    cluster_patch(&c, &status,
                  "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    cluster_expect(&c, &node, "spec.taints[0].key", "");
}

static void controllers_close_with_work_under_way(void **state)
{
    struct local_ref node = ref("nodes", NULL, "busy");

    (void)state;
    for (unsigned turns = 0; turns < 12; turns++) {
        auto_free char *name = mem_printf("busy%u", turns);
        auto_free char *text = mem_printf("{\"metadata\":{\"name\":\"%s\",\"annotations\":"
                                          "{\"k3s.io/internal-ip\":\"10.0.0.7\"}}}",
                                          name);
        node.name = name;
        cluster_create(&c, &node, text);
        for (unsigned i = 0; i < turns; i++)
            uv_run(&c.loop, UV_RUN_NOWAIT);
        stop_controllers();
        start_controllers(600000);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(kubernetes_is_published_and_kept),
        TEST(new_nodes_get_all_a_server_gives),
        TEST(a_node_without_a_kubelet_gets_no_pod_network),
        TEST(passwords_and_leases_go_with_their_node),
        TEST(namespaces_get_their_defaults),
        TEST(what_every_cluster_has_is_made_and_kept),
        TEST(deleted_namespaces_are_emptied_and_go),
        TEST(pods_of_a_deleted_node_go_after_the_quarantine),
        TEST(old_events_and_expired_tokens_go),
        TEST(a_silent_node_is_unknown_until_it_is_heard_again),
        TEST(controllers_close_with_work_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
