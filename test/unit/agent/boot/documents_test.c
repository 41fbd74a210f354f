/* The documents that the agent reads and writes: the cluster's config, EndpointSlices, its report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/boot/cluster_config.h"
#include "agent/boot/report.h"
#include "agent/boot/servers.h"
#include "base/data/json.h"
#include "base/data/time.h"

static void the_cluster_config_of_each_generation_is_read(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *dns, *domain, *egress; /* or the error's text in dns */
        bool disable_ccm;
    } rows[] = {
        /* [N], registration.md 5 */
        { "{\"ClusterDNSs\":[\"10.43.0.10\"],\"ClusterDNS\":\"10.43.0.10\",\"ClusterDomain\":"
          "\"cluster.local\",\"ClusterIPRange\":{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"},"
          "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"}],\"ServiceIPRange\":"
          "{\"IP\":\"10.43.0.0\",\"Mask\":\"//8AAA==\"},\"ServiceIPRanges\":[{\"IP\":\"10.43.0.0\","
          "\"Mask\":\"//8AAA==\"}],\"ServiceNodePortRange\":{\"Base\":30000,\"Size\":2768},"
          "\"HTTPSPort\":6443,\"SupervisorPort\":6443,\"FlannelBackend\":\"vxlan\","
          "\"EgressSelectorMode\":\"agent\",\"DisableCCM\":false,\"DisableNPC\":false,"
          "\"DisableKubeProxy\":false,\"IPSECPSK\":\"00\",\"MinTLSVersion\":\"\","
          "\"CipherSuites\":null,\"SystemDefaultRegistry\":\"\"}\n",
          0, "10.43.0.10", "cluster.local", "agent", false },
        /* [O]: no egress mode, numbers and structs that nobody needs, nulls for empty lists */
        { "{\"ClusterDNS\":\"10.43.0.10\",\"ClusterDomain\":\"cluster.local\",\"ClusterIPRange\":"
          "{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"},\"DisableCCM\":true,\"HTTPSPort\":6443,"
          "\"SupervisorPort\":6443,\"TLSMinVersion\":771,\"TLSCipherSuites\":[49196],"
          "\"ExtraAPIArgs\":null,\"Datastore\":{\"Endpoint\":\"\",\"ServerTLSConfig\":{}},"
          "\"NoCoreDNS\":false,\"EtcdS3\":false,\"EtcdSnapshotRetention\":5,\"Skips\":{},"
          "\"ClusterDNSs\":null}",
          0, "10.43.0.10", "cluster.local", "agent", true },
        /* null where a text could be */
        { "{\"ClusterDNS\":null,\"HTTPSPort\":443,\"SupervisorPort\":443}", 0, "", "", "agent",
          false },
        /* ports of their own, and one that is none */
        { "{\"HTTPSPort\":6443,\"SupervisorPort\":9345}", 0, "", "", "agent", false },
        { "{\"HTTPSPort\":70000,\"SupervisorPort\":9345}", ERR_INVALID, "70000", NULL, NULL,
          false },
        { "{\"SupervisorPort\":9345}", ERR_INVALID, "no port", NULL, NULL, false },
        /* modes */
        { "{\"EgressSelectorMode\":\"pod\"}", 0, "", "", "pod", false },
        { "{\"EgressSelectorMode\":\"disabled\"}", 0, "", "", "disabled", false },
        { "{\"EgressSelectorMode\":\"node\"}", ERR_INVALID,
          "egress-selector-mode \"node\" does not exist", NULL, NULL, false },
        { "{\"EgressSelectorMode\":\"Pod\"}", ERR_INVALID, "\"Pod\" does not exist", NULL, NULL,
          false },
        { "[]", ERR_INVALID, "no JSON object", NULL, NULL, false },
        { "null", ERR_INVALID, "no JSON object", NULL, NULL, false },
        { "{\"HTTPSPort\":", ERR_INVALID, "config", NULL, NULL, false },
        { "", ERR_INVALID, "config", NULL, NULL, false },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cluster_config c;
        struct err e = { 0 };
        int r = cluster_config_parse(&c, str_of(rows[i].text), &e);
        if (r != rows[i].code || (r && !strstr(e.text, rows[i].dns)))
            fail_msg("row %zu: %d %s", i, r, e.text);
        if (r)
            continue;
        assert_string_equal(c.cluster_dns, rows[i].dns);
        assert_string_equal(c.cluster_domain, rows[i].domain);
        assert_string_equal(c.egress_mode, rows[i].egress);
        assert_int_equal(c.disable_ccm, rows[i].disable_ccm);
        bool split = strstr(rows[i].text, "9345") != NULL;
        assert_int_equal(c.https_port, split ? 6443 : 0);
        assert_int_equal(c.supervisor_port, split ? 9345 : 0);
    }
}

/* Mode cluster: what an agent lets servers dial. */
static void networks_of_pods_are_read_where_the_mode_needs_them(void **state)
{
    static const struct {
        const char *mode, *ranges;
        int code;
        const char *want; /* or a part of the error */
    } rows[] = {
        { "cluster", "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"}]", 0,
          "10.42.0.0/16" },
        { "cluster",
          "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"///wAA==\"},"
          "{\"IP\":\"fd00:42::\",\"Mask\":\"/////////wAAAAAAAAAAAA==\"}]",
          0, "10.42.0.0/20 fd00:42::/56" },
        { "cluster",
          "\"ClusterIPRanges\":null,\"ClusterIPRange\":{\"IP\":\"10.1.0.0\",\"Mask\":"
          "\"//8AAA==\"}",
          0, "10.1.0.0/16" }, /* before dual-stack */
        { "pod", "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"}]", 0, "" },
        { "agent", "\"ClusterIPRanges\":\"nonsense\"", 0, "" },
        { "cluster", "\"ClusterIPRanges\":null", ERR_INVALID, "is no network" },
        { "cluster", "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"/wD/AA==\"}]",
          ERR_INVALID, "\"10.42.0.0\" with mask" }, /* a hole in the mask */
        { "cluster", "\"ClusterIPRanges\":[{\"IP\":\"fd00::\",\"Mask\":\"//8AAA==\"}]", ERR_INVALID,
          "fd00::" }, /* a mask of the other family */
        { "cluster", "\"ClusterIPRanges\":[{\"IP\":\"edge.test\",\"Mask\":\"//8AAA==\"}]",
          ERR_INVALID, "edge.test" },
        { "cluster", "\"ClusterIPRanges\":[{\"IP\":\"10.42.0.0\",\"Mask\":\"?\"}]", ERR_INVALID,
          "\"?\" is no network" },
        { "cluster", "\"ClusterIPRanges\":[1,2]", ERR_INVALID, "is no network" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf text = BUF(1024), got = BUF(512);
        struct cluster_config c;
        struct err e = { 0 };

        assert_int_equal(
            buf_addf(&text, "{\"EgressSelectorMode\":\"%s\",%s}", rows[i].mode, rows[i].ranges), 0);
        int r = cluster_config_parse(&c, buf_str(&text), &e);
        if (r != rows[i].code || (r && !strstr(e.text, rows[i].want)))
            fail_msg("row %zu: %d %s", i, r, e.text);
        for (size_t k = 0; !r && k < c.n_cluster_cidrs; k++)
            assert_int_equal(buf_addf(&got, "%s%s", k ? " " : "", c.cluster_cidrs[k]), 0);
        if (!r)
            assert_string_equal(buf_cstr(&got), rows[i].want);
    }
}

/* pkg/agent/run.go: a node needs every family of the pods; in which order does not matter. */
static void a_node_has_the_families_of_the_pods(void **state)
{
#define FOUR "{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"}"
#define SIX  "{\"IP\":\"fd00:42::\",\"Mask\":\"/////////wAAAAAAAAAAAA==\"}"
    static const struct {
        const char *ranges, *node_ips, *want; /* NULL: it fits */
    } rows[] = {
        { FOUR, "192.0.2.1", NULL },
        { FOUR, "fd00::1,192.0.2.1", NULL },
        { SIX, "fd00::1", NULL },
        { FOUR "," SIX, "fd00::1,192.0.2.1", NULL },
        { FOUR "," SIX, "192.0.2.1",
          "cluster-cidr: [10.42.0.0/16 fd00:42::/56] and node-ip: [192.0.2.1], must share the same "
          "IP version (IPv4, IPv6 or dual-stack)" },
        { SIX, "192.0.2.1",
          "cluster-cidr: [fd00:42::/56] and node-ip: [192.0.2.1], must share the same IP version "
          "(IPv4, IPv6 or dual-stack)" },
        { FOUR, "fd00::1",
          "cluster-cidr: [10.42.0.0/16] and node-ip: [fd00::1], must share the same IP version "
          "(IPv4, IPv6 or dual-stack)" },
        { "", "fd00::1", NULL }, /* a server that does not say */
        { "17", "fd00::1", NULL },
    };
#undef FOUR
#undef SIX
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf text = BUF(1024);
        struct cluster_config c;
        struct err e = { 0 };

        assert_int_equal(buf_addf(&text, "{\"ClusterIPRanges\":[%s]}", rows[i].ranges), 0);
        assert_int_equal(cluster_config_parse(&c, buf_str(&text), &e), 0);
        int r = cluster_config_fits(&c, rows[i].node_ips, &e);
        if (r != (rows[i].want ? ERR_INVALID : 0) || (r && strcmp(e.text, rows[i].want) != 0))
            fail_msg("row %zu: %s", i, e.text);
    }
}

static void a_slice_gives_the_addresses_that_are_ready(void **state)
{
    static const struct {
        const char *slice, *want;
    } rows[] = {
        { "{\"ports\":[{\"port\":6443}],\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],"
          "\"conditions\":{\"ready\":true}},{\"addresses\":[\"10.0.0.2\"],\"conditions\":"
          "{\"ready\":false}},{\"addresses\":[\"10.0.0.3\"],\"conditions\":{}},"
          "{\"addresses\":[\"10.0.0.4\"]},{\"addresses\":[\"10.0.0.5\"],\"conditions\":"
          "{\"ready\":null}}]}",
          "10.0.0.1:6443 10.0.0.3:6443 10.0.0.4:6443 10.0.0.5:6443 " },
        { "{\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}]}", "10.0.0.1:443 " },
        { "{\"ports\":[{\"port\":6443}],\"endpoints\":[{\"addresses\":[\"fd00::1\",\"fd00::2\"]}]}",
          "[fd00::1]:6443 [fd00::2]:6443 " },
        { "{\"ports\":[{\"port\":1}],\"endpoints\":[{\"addresses\":[1,null,\"a\"]},{},7]}",
          "a:1 " },
        { "{\"ports\":[{\"port\":1}],\"endpoints\":[{\"addresses\":[\"a\",\"b\",\"c\",\"d\","
          "\"e\",\"f\"]}]}",
          "a:1 b:1 c:1 d:1 e:1 " }, /* five fit here */
        { "{\"ports\":[],\"endpoints\":null}", "" },
        { "{}", "" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *slice = NULL;
        char found[5][272];
        auto_buf text = BUF(4096);
        struct err e = { 0 };
        if (json_parse(&slice, str_of(rows[i].slice), &e))
            fail_msg("row %zu: %s", i, e.text);
        size_t n = servers_of_slice(slice, found, ARRAY_LEN(found));
        for (size_t k = 0; k < n; k++)
            assert_int_equal(buf_addf(&text, "%s ", found[k]), 0);
        assert_string_equal(buf_cstr(&text), rows[i].want);
    }
}

static void check_text(enum agent_report what, const char *doc_text, const char *want)
{
    json_auto_t *doc = NULL;
    auto_buf text = BUF(65536);
    struct err e = { 0 };

    if (json_parse(&doc, str_of(doc_text), &e))
        fail_msg("%s", e.text);
    assert_int_equal(report_text(&text, what, doc), 0);
    assert_string_equal(buf_cstr(&text), want);
}

static void the_status_says_where_it_stands_and_what_to_do(void **state)
{
    (void)state;

    check_text(AGENT_REPORT_STATUS,
               "{\"node\":\"edge-1\",\"state\":\"joining\",\"server\":\"srv:6443\","
               "\"cause\":\"token\",\"why\":\"the server refuses the token: Unauthorized\","
               "\"advice\":\"take another\",\"tunnels\":[],\"runtime\":{\"version\":"
               "\"containerd://1.6.20\",\"ready\":false,\"why\":\"connection refused\"}}",
               "Node edge-1: joining\n"
               "  server        srv:6443\n"
               "  cause         token: the server refuses the token: Unauthorized\n"
               "  what to do    take another\n"
               "  runtime       containerd://1.6.20: connection refused\n");
    check_text(
        AGENT_REPORT_STATUS,
        "{\"node\":\"edge-1\",\"state\":\"ready\",\"server\":\"srv:6443\",\"cause\":\"\","
        "\"tunnels\":[{\"address\":\"10.0.0.1:6443\",\"state\":\"connected\",\"error\":\"\"},"
        "{\"address\":\"10.0.0.2:6443\",\"state\":\"waiting\",\"failure\":\"tcp\","
        "\"error\":\"refused\"}],\"runtime\":{\"version\":\"containerd://1.6.20\","
        "\"ready\":true,\"why\":\"stale\"},\"pods\":3,\"certificates\":{\"notAfter\":"
        "\"2027-11-22T00:00:00Z\",\"renewAt\":\"2027-07-22T00:00:00Z\"},"
        "\"leaseRenewed\":\"2020-01-01T00:00:00Z\"}",
        "Node edge-1: ready\n"
        "  server        srv:6443\n"
        "  tunnel        10.0.0.1:6443 connected\n"
        "  tunnel        10.0.0.2:6443 waiting (tcp: refused)\n"
        "  lease         renewed 2020-01-01T00:00:00Z\n"
        "  runtime       containerd://1.6.20\n"
        "  pods          3\n"
        "  certificates  until 2027-11-22T00:00:00Z, renewed at 2027-07-22T00:00:00Z\n");
    check_text(AGENT_REPORT_STATUS, "{}", "Node ?: ?\n  server        ?\n  runtime       \n");
}

static void the_balancer_is_a_table(void **state)
{
    (void)state;

    check_text(
        AGENT_REPORT_LB,
        "{\"name\":\"k3s-agent-load-balancer\",\"port\":6444,\"proxy\":\"proxy.example:3128\","
        "\"servers\":[{\"address\":"
        "\"10.0.0.1:6443\",\"state\":\"ACTIVE\",\"connections\":3,\"inStateSeconds\":7300,"
        "\"bytesUp\":999,\"bytesDown\":1234567,"
        "\"rttMicroseconds\":1234,\"lastError\":\"\"},{\"address\":\"edge.example.org:6443\","
        "\"state\":\"STANDBY\",\"connections\":0,\"inStateSeconds\":5,\"rttMicroseconds\":0,"
        "\"lastError\":\"refused\",\"default\":true}],\"api\":{\"name\":\"second\",\"port\":6443,"
        "\"servers\":[]}}",
        "k3s-agent-load-balancer on 127.0.0.1:6444\n"
        "through the proxy proxy.example:3128\n"
        "SERVER                       STATE        SINCE  CONNS      UP    DOWN      RTT  LAST "
        "ERROR\n"
        "10.0.0.1:6443                ACTIVE          2h      3    999B    1.2M   1.2 ms  \n"
        "edge.example.org:6443        STANDBY         5s      0      0B      0B        -  refused "
        "(--server)\n"
        "second on 127.0.0.1:6443\n"
        "SERVER                       STATE        SINCE  CONNS      UP    DOWN      RTT  LAST "
        "ERROR\n");
}

static void a_report_longer_than_its_room_is_an_error(void **state)
{
    json_auto_t *doc = json_pack("{s:s}", "node", "a-node-with-a-long-name");
    auto_buf text = BUF(16);
    (void)state;

    assert_int_equal(report_text(&text, AGENT_REPORT_STATUS, doc), ERR_LIMIT);
    assert_int_equal(report_text(&text, AGENT_REPORT_LB, doc), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_config_of_each_generation_is_read),
        cmocka_unit_test(networks_of_pods_are_read_where_the_mode_needs_them),
        cmocka_unit_test(a_node_has_the_families_of_the_pods),
        cmocka_unit_test(a_slice_gives_the_addresses_that_are_ready),
        cmocka_unit_test(the_status_says_where_it_stands_and_what_to_do),
        cmocka_unit_test(the_balancer_is_a_table),
        cmocka_unit_test(a_report_longer_than_its_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
