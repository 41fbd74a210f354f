#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/boot/config_doc.h"

#include <string.h>
#include <sys/socket.h>

/* Options are char *: texts that a program could change. */
#define TEXT(literal) ((char[]){ literal })

static struct server_options plain(void)
{
    static char data_dir[] = "/var/lib/rancher/k3s", domain[] = "cluster.local", mode[] = "agent",
                ports[] = "30000-32767", cluster[] = "10.42.0.0/16", service[] = "10.43.0.0/16";
    static char *clusters[1], *services[1];

    clusters[0] = cluster;
    services[0] = service;
    return (struct server_options){ .node.data_dir = data_dir,
                                    .https_listen_port = 6443,
                                    .cluster_cidr = { clusters, 1 },
                                    .service_cidr = { services, 1 },
                                    .service_node_port_range = ports,
                                    .cluster_domain = domain,
                                    .egress_selector_mode = mode };
}

static int write_doc(const struct server_options *o, json_t **out, struct buf *text, struct err *e)
{
    static const char *const sans[] = { "edge.example.org" };
    struct config_doc d = { .o = o,
                            .node_name = "srv1",
                            .advertise_ip = "192.0.2.7",
                            .private_ip = "192.0.2.7",
                            .ipsec_psk = "00ff",
                            .sans = sans,
                            .n_sans = 1 };
    int r = config_doc_write(text, &d, e);

    *out = NULL;
    return r ? r : json_parse_strict(out, buf_str(text), e);
}

/* registration.md 5: one wrong type makes an agent reject the whole object. b bool, s string, i
 * integer, n IPNet, N list of IPNet, l list (or null) of strings, r port range, m map */
static const struct {
    const char *key;
    char type;
} keys[] = {
    { "ClusterDNSs", 'l' },
    { "ClusterIPRanges", 'N' },
    { "ClusterDNS", 's' },
    { "ClusterDomain", 's' },
    { "ClusterIPRange", 'n' },
    { "DisableCCM", 'b' },
    { "DisableHelmController", 'b' },
    { "DisableNPC", 'b' },
    { "DisableServiceLB", 'b' },
    { "EncryptSecrets", 'b' },
    { "EncryptProvider", 's' },
    { "EmbeddedRegistry", 'b' },
    { "FlannelBackend", 's' },
    { "FlannelIPv6Masq", 'b' },
    { "FlannelExternalIP", 'b' },
    { "EgressSelectorMode", 's' },
    { "ServiceIPRange", 'n' },
    { "ServiceIPRanges", 'N' },
    { "SupervisorMetrics", 'b' },
    { "AdvertisePort", 'i' },
    { "AdvertiseIP", 's' },
    { "HTTPSPort", 'i' },
    { "SupervisorPort", 'i' },
    { "APIServerPort", 'i' },
    { "APIServerBindAddress", 's' },
    { "ServiceNodePortRange", 'r' },
    { "KubeConfigOutput", 's' },
    { "KubeConfigMode", 's' },
    { "KubeConfigGroup", 's' },
    { "KubeConfigName", 's' },
    { "HelmJobImage", 's' },
    { "DataDir", 's' },
    { "KineTLS", 'b' },
    { "Disables", 'm' },
    { "DisableAgent", 'b' },
    { "DisableAPIServer", 'b' },
    { "DisableControllerManager", 'b' },
    { "DisableETCD", 'b' },
    { "DisableKubeProxy", 'b' },
    { "DisableScheduler", 'b' },
    { "Rootless", 'b' },
    { "ServiceLBNamespace", 's' },
    { "ExtraAPIArgs", 'l' },
    { "ExtraControllerArgs", 'l' },
    { "ExtraCloudControllerArgs", 'l' },
    { "ExtraEtcdArgs", 'l' },
    { "ExtraSchedulerArgs", 'l' },
    { "ExtraHelmArgs", 'l' },
    { "NoLeaderElect", 'b' },
    { "JoinURL", 's' },
    { "IPSECPSK", 's' },
    { "DefaultLocalStoragePath", 's' },
    { "Skips", 'm' },
    { "SystemDefaultRegistry", 's' },
    { "ClusterInit", 'b' },
    { "ClusterReset", 'b' },
    { "ClusterResetRestorePath", 's' },
    { "MinTLSVersion", 's' },
    { "CipherSuites", 'l' },
    { "ServerNodeName", 's' },
    { "VLevel", 'i' },
    { "VModule", 's' },
    { "BindAddress", 's' },
    { "SANs", 'l' },
    { "SANSecurity", 'b' },
    { "PrivateIP", 's' },
};

static bool is_ipnet(const json_t *j)
{
    return json_object_size(j) == 2 && json_is_string(json_object_get(j, "IP")) &&
           json_is_string(json_object_get(j, "Mask"));
}

static bool has_type(const json_t *j, char type)
{
    const json_t *v;
    size_t i;

    switch (type) {
    case 'b':
        return json_is_boolean(j);
    case 's':
        return json_is_string(j);
    case 'i':
        return json_is_integer(j);
    case 'n':
        return is_ipnet(j);
    case 'r':
        return json_object_size(j) == 2 && json_is_integer(json_object_get(j, "Base")) &&
               json_is_integer(json_object_get(j, "Size"));
    case 'm':
        return json_is_object(j);
    default:
        if (json_is_null(j))
            return true;
        if (!json_is_array(j))
            return false;
        json_array_foreach(j, i,
                           v) if (type == 'N' ? !is_ipnet(v) : !json_is_string(v)) return false;
        return true;
    }
}

static void every_key_of_k3s_is_there_with_its_type(void **state)
{
    struct server_options o = plain();
    auto_buf text = BUF(65536);
    json_auto_t *doc = NULL;
    struct err e = { 0 };
    (void)state;

    if (write_doc(&o, &doc, &text, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *v = json_object_get(doc, keys[i].key);
        if (!v || !has_type(v, keys[i].type))
            fail_msg("%s is %s", keys[i].key, v ? "of another type" : "missing");
    }
    assert_int_equal(text.p[text.n - 1], '\n');
    /* of other types in old releases, or secrets: never */
    static const char *const never[] = { "TLSMinVersion", "TLSCipherSuites", "EtcdS3",
                                         "Datastore",     "Token",           "AgentToken" };
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        assert_null(json_object_get(doc, never[i]));
}

static void what_an_agent_acts_on_is_right(void **state)
{
    struct server_options o = plain();
    auto_buf text = BUF(65536);
    json_auto_t *doc = NULL;
    struct err e = { 0 };
    (void)state;

    o.disable_kube_proxy = true;
    if (write_doc(&o, &doc, &text, &e))
        fail_msg("%s", e.text);
    assert_string_equal(json_str_at(doc, "ClusterDNS", ""), "10.43.0.10");
    assert_string_equal(json_str_at(doc, "ClusterIPRange.IP", ""), "10.42.0.0");
    assert_string_equal(json_str_at(doc, "ClusterIPRange.Mask", ""), "//8AAA==");
    assert_string_equal(json_str_at(doc, "ServiceIPRanges[0].IP", ""), "10.43.0.0");
    assert_int_equal(json_i64_at(doc, "ServiceNodePortRange.Base", 0), 30000);
    assert_int_equal(json_i64_at(doc, "ServiceNodePortRange.Size", 0), 2768);
    assert_int_equal(json_i64_at(doc, "HTTPSPort", 0), 6443);
    assert_int_equal(json_i64_at(doc, "SupervisorPort", 0), 6443);
    assert_string_equal(json_str_at(doc, "EgressSelectorMode", ""), "agent");
    assert_string_equal(json_str_at(doc, "DataDir", ""), "/var/lib/rancher/k3s/server");
    assert_true(json_bool_at(doc, "DisableKubeProxy", false));
    assert_string_equal(json_str_at(doc, "IPSECPSK", ""), "00ff");
    assert_string_equal(json_str_at(doc, "SANs[0]", ""), "edge.example.org");
}

static void ports_of_their_own_are_told(void **state)
{
    struct server_options o = plain();
    json_auto_t *doc = NULL;
    auto_buf text = BUF(65536);
    struct err e = { 0 };
    (void)state;

    o.supervisor_port = 9345;
    if (write_doc(&o, &doc, &text, &e))
        fail_msg("%s", e.text);
    assert_int_equal(json_i64_at(doc, "HTTPSPort", 0), 6443);
    assert_int_equal(json_i64_at(doc, "SupervisorPort", 0), 9345);
    assert_int_equal(json_i64_at(doc, "AdvertisePort", 0), 6443); /* of the API */
}

static void both_families_have_their_masks(void **state)
{
    char *cluster[] = { TEXT("10.42.7.9/16"), TEXT("2001:cafe:42::/56") };
    char *service[] = { TEXT("10.43.0.0/16"), TEXT("2001:cafe:43::/112") };
    struct server_options o = plain();
    auto_buf text = BUF(65536);
    json_auto_t *doc = NULL;
    struct err e = { 0 };
    (void)state;

    o.cluster_cidr = (struct flag_list){ cluster, 2 };
    o.service_cidr = (struct flag_list){ service, 2 };
    if (write_doc(&o, &doc, &text, &e))
        fail_msg("%s", e.text);
    assert_string_equal(json_str_at(doc, "ClusterIPRanges[0].IP", ""), "10.42.0.0");
    assert_string_equal(json_str_at(doc, "ClusterIPRanges[1].IP", ""), "2001:cafe:42::");
    assert_string_equal(json_str_at(doc, "ClusterIPRanges[1].Mask", ""),
                        "/////////wAAAAAAAAAAAA==");
    assert_string_equal(json_str_at(doc, "ServiceIPRanges[1].Mask", ""),
                        "//////////////////8AAA==");
    assert_string_equal(json_str_at(doc, "ClusterDNSs[0]", ""), "10.43.0.10");
    assert_string_equal(json_str_at(doc, "ClusterDNSs[1]", ""), "2001:cafe:43::a");
}

static void what_is_no_network_is_named(void **state)
{
    static const struct {
        const char *cluster, *service, *dns, *ports, *want;
    } rows[] = {
        { "10.42.0.0", NULL, NULL, NULL, "--cluster-cidr: \"10.42.0.0\"" },
        { "10.42.0.0/33", NULL, NULL, NULL, "--cluster-cidr: \"10.42.0.0/33\"" },
        { "fd00::/129", NULL, NULL, NULL, "--cluster-cidr: \"fd00::/129\"" },
        { "x/16", NULL, NULL, NULL, "--cluster-cidr: \"x/16\"" },
        { NULL, "10.43.0.0/", NULL, NULL, "--service-cidr: \"10.43.0.0/\"" },
        { NULL, "/16", NULL, NULL, "--service-cidr: \"/16\"" },
        { NULL, NULL, "dns.example.org", NULL, "--cluster-dns: \"dns.example.org\"" },
        { NULL, NULL, NULL, "30000", "--service-node-port-range: \"30000\"" },
        { NULL, NULL, NULL, "2-1", "--service-node-port-range: \"2-1\"" },
        { NULL, NULL, NULL, "0-10", "--service-node-port-range: \"0-10\"" },
        { NULL, NULL, NULL, "1-65536", "--service-node-port-range: \"1-65536\"" },
        { NULL, NULL, NULL, "a-b", "--service-node-port-range: \"a-b\"" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_options o = plain();
        auto_free char *c = str_dup(str_of(rows[i].cluster)), *p = str_dup(str_of(rows[i].ports));
        auto_free char *s = str_dup(str_of(rows[i].service)), *d = str_dup(str_of(rows[i].dns));
        char *cluster[] = { c }, *service[] = { s }, *dns[] = { d };
        auto_buf text = BUF(65536);
        json_auto_t *doc = NULL;
        struct err e = { 0 };

        if (rows[i].cluster)
            o.cluster_cidr.v = cluster;
        if (rows[i].service)
            o.service_cidr.v = service;
        if (rows[i].dns)
            o.cluster_dns = (struct flag_list){ dns, 1 };
        if (rows[i].ports)
            o.service_node_port_range = p;
        if (write_doc(&o, &doc, &text, &e) != ERR_INVALID || !strstr(e.text, rows[i].want))
            fail_msg("row %zu: %s", i, e.text);
        assert_int_equal(text.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_k3s_is_there_with_its_type),
        cmocka_unit_test(what_an_agent_acts_on_is_right),
        cmocka_unit_test(ports_of_their_own_are_told),
        cmocka_unit_test(both_families_have_their_masks),
        cmocka_unit_test(what_is_no_network_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
