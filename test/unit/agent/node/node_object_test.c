#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "agent/node/node_object.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"

static const char *const ips[] = { "10.0.0.5", "fd00::5" };
static const char *const external_ips[] = { "203.0.113.5" };
static const char *const internal_dns[] = { "n1.lan" };
static const char *const external_dns[] = { "n1.example.org" };

static const struct machine machine = {
    .n_cpus = 4,
    .memory_bytes = 2048ull << 20,
    .memory_available_bytes = 1024ull << 20,
    .disk_bytes = 1000ull << 20,
    .disk_available_bytes = 500ull << 20,
    .architecture = "arm64",
    .kernel_version = "6.1.0",
    .os_image = "Debian GNU/Linux 12 (bookworm)",
    .boot_id = "b",
    .machine_id = "m",
    .system_uuid = "u",
    .host_name = "Host-1",
};

static struct node_object object(void)
{
    return (struct node_object){
        .name = "n1",
        .host_name = "host-1",
        .ips = ips,
        .n_ips = 2,
        .external_ips = external_ips,
        .n_external_ips = 1,
        .internal_dns = internal_dns,
        .n_internal_dns = 1,
        .external_dns = external_dns,
        .n_external_dns = 1,
        .node_args = "[\"server\",\"--flannel-backend\",\"none\"]",
        .node_env = "{\"K3S_NODE_NAME\":\"fakeNode-with-no-annotation\"}",
        .version = "v1.32.0+coracle",
        .runtime_version = "containerd://1.6.20",
        .kubelet_port = 10250,
        .machine = &machine,
        .runtime_ready = true,
        .runtime_why = "",
    };
}

static json_t *made(const struct node_object *n)
{
    json_t *j = NULL;
    struct err e = { 0 };

    if (node_object_new(&j, n, &e))
        fail_msg("%s", e.text);
    return j;
}

static void a_node_has_what_k3s_gives_it(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        { "apiVersion", "v1" },
        { "kind", "Node" },
        { "metadata.name", "n1" },
        { "metadata.labels[\"kubernetes.io/hostname\"]", "n1" },
        { "metadata.labels[\"kubernetes.io/arch\"]", "arm64" },
        { "metadata.labels[\"kubernetes.io/os\"]", "linux" },
        { "metadata.labels[\"beta.kubernetes.io/arch\"]", "arm64" },
        { "metadata.labels[\"beta.kubernetes.io/os\"]", "linux" },
        { "metadata.annotations[\"k3s.io/hostname\"]", "host-1" },
        { "metadata.annotations[\"k3s.io/internal-ip\"]", "10.0.0.5,fd00::5" },
        { "metadata.annotations[\"k3s.io/external-ip\"]", "203.0.113.5" },
        { "metadata.annotations[\"k3s.io/internal-dns\"]", "n1.lan" },
        { "metadata.annotations[\"k3s.io/external-dns\"]", "n1.example.org" },
        { "metadata.annotations[\"k3s.io/node-args\"]",
          "[\"server\",\"--flannel-backend\",\"none\"]" },
        { "metadata.annotations[\"k3s.io/node-env\"]",
          "{\"K3S_NODE_NAME\":\"fakeNode-with-no-annotation\"}" },
        /* the vector of packaged-components 6.1, K3s's own test */
        { "metadata.annotations[\"k3s.io/node-config-hash\"]",
          "DRWW63TXZZGSKLARSFZLNSJ3RZ6VR7LQ46WPKZMSLTSGNI2J42WA====" },
        { "status.nodeInfo.kubeletVersion", "v1.32.0+coracle" },
        { "status.nodeInfo.containerRuntimeVersion", "containerd://1.6.20" },
        { "status.nodeInfo.operatingSystem", "linux" },
        { "status.nodeInfo.osImage", "Debian GNU/Linux 12 (bookworm)" },
        { "status.nodeInfo.bootID", "b" },
        { "status.nodeInfo.machineID", "m" },
        { "status.nodeInfo.systemUUID", "u" },
        { "status.capacity.cpu", "4" },
        { "status.capacity.memory", "2097152Ki" },
        { "status.capacity[\"ephemeral-storage\"]", "1024000Ki" },
        { "status.capacity.pods", "110" },
        { "status.allocatable.cpu", "4" },
        { "status.allocatable[\"ephemeral-storage\"]", "996147200" },
    };
    struct node_object n = object();
    json_auto_t *j = made(&n);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *v = json_str_at(j, rows[i].path, NULL);
        if (!v || strcmp(v, rows[i].want) != 0)
            fail_msg("%s is %s, not %s", rows[i].path, v ? v : "(absent)", rows[i].want);
    }
    assert_int_equal(json_i64_at(j, "status.daemonEndpoints.kubeletEndpoint.Port", 0), 10250);
    assert_null(json_at(j, "spec.taints"));
}

static void addresses_come_in_k3s_order(void **state)
{
    struct node_object n = object();
    json_auto_t *j = made(&n);
    auto_free char *text = json_text(json_at(j, "status.addresses"));
    (void)state;

    assert_string_equal(text, "[{\"type\":\"InternalIP\",\"address\":\"10.0.0.5\"},"
                              "{\"type\":\"InternalIP\",\"address\":\"fd00::5\"},"
                              "{\"type\":\"ExternalIP\",\"address\":\"203.0.113.5\"},"
                              "{\"type\":\"InternalDNS\",\"address\":\"n1.lan\"},"
                              "{\"type\":\"ExternalDNS\",\"address\":\"n1.example.org\"},"
                              "{\"type\":\"Hostname\",\"address\":\"n1\"}]");
}

static void labels_and_taints_are_taken_or_refused_by_name(void **state)
{
    static const struct {
        const char *label, *taint;
        const char *want; /* of the error, or NULL */
        const char *label_key, *label_value, *taints;
    } rows[] = {
        { "a=b", NULL, NULL, "a", "b", NULL },
        { "example.org/zone=eu-1", NULL, NULL, "example.org/zone", "eu-1", NULL },
        { "empty=", NULL, NULL, "empty", "", NULL },
        { NULL, "k=v:NoSchedule", NULL, NULL, NULL,
          "[{\"key\":\"k\",\"value\":\"v\",\"effect\":\"NoSchedule\"}]" },
        { NULL, "k:NoExecute", NULL, NULL, NULL, "[{\"key\":\"k\",\"effect\":\"NoExecute\"}]" },
        { NULL, "k=:PreferNoSchedule", NULL, NULL, NULL,
          "[{\"key\":\"k\",\"value\":\"\",\"effect\":\"PreferNoSchedule\"}]" },
        { "novalue", NULL, "--node-label \"novalue\"", NULL, NULL, NULL },
        { "=v", NULL, "--node-label \"=v\"", NULL, NULL, NULL },
        { "a b=c", NULL, "--node-label \"a b=c\"", NULL, NULL, NULL },
        { "a=b c", NULL, "--node-label \"a=b c\"", NULL, NULL, NULL },
        { NULL, "k=v", "--node-taint \"k=v\"", NULL, NULL, NULL },
        { NULL, "k=v:Never", "--node-taint \"k=v:Never\"", NULL, NULL, NULL },
        { NULL, "=v:NoSchedule", "--node-taint \"=v:NoSchedule\"", NULL, NULL, NULL },
        { NULL, ":NoSchedule", "--node-taint \":NoSchedule\"", NULL, NULL, NULL },
        { NULL, "k k=v:NoSchedule", "--node-taint \"k k=v:NoSchedule\"", NULL, NULL, NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct node_object n = object();
        json_auto_t *j = NULL;
        struct err e = { 0 };

        n.labels = &rows[i].label;
        n.n_labels = rows[i].label != NULL;
        n.taints = &rows[i].taint;
        n.n_taints = rows[i].taint != NULL;
        int r = node_object_new(&j, &n, &e);
        if (rows[i].want) {
            if (r != ERR_INVALID || !strstr(e.text, rows[i].want))
                fail_msg("row %zu: %d %s", i, r, e.text);
            assert_null(j);
            continue;
        }
        if (r)
            fail_msg("row %zu: %s", i, e.text);
        if (rows[i].label_key)
            assert_string_equal(json_string_value(json_object_get(json_at(j, "metadata.labels"),
                                                                  rows[i].label_key)),
                                rows[i].label_value);
        if (rows[i].taints) {
            auto_free char *text = json_text(json_at(j, "spec.taints"));
            assert_string_equal(text, rows[i].taints);
        }
    }
}

static void a_cloud_controller_elsewhere_means_the_uninitialized_taint(void **state)
{
    const char *taint = "k:NoExecute";
    struct node_object n = object();
    (void)state;

    n.taints = &taint;
    n.n_taints = 1;
    n.external_cloud = true;
    json_auto_t *j = made(&n);
    auto_free char *text = json_text(json_at(j, "spec.taints"));
    assert_string_equal(text, "[{\"key\":\"k\",\"effect\":\"NoExecute\"},"
                              "{\"key\":\"node.cloudprovider.kubernetes.io/uninitialized\","
                              "\"value\":\"true\",\"effect\":\"NoSchedule\"}]");
}

static const json_t *condition(const json_t *status, const char *type)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) == 0)
            return c;
    }
    fail_msg("no condition %s", type);
    return NULL;
}

static void conditions_say_what_is_short(void **state)
{
    static const struct {
        uint64_t memory_available, disk_available;
        bool runtime;
        const char *memory, *disk, *ready;
    } rows[] = {
        { 1024ull << 20, 500ull << 20, true, "False", "False", "True" },
        { 99ull << 20, 500ull << 20, true, "True", "False", "True" },
        { 100ull << 20, 500ull << 20, true, "False", "False", "True" },
        { 0, 500ull << 20, true, "False", "False", "True" }, /* not known is not pressure */
        { 1024ull << 20, 49ull << 20, true, "False", "True", "True" },
        { 1024ull << 20, 51ull << 20, false, "False", "False", "False" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct machine m = machine;
        struct node_object n = object();

        m.memory_available_bytes = rows[i].memory_available;
        m.disk_available_bytes = rows[i].disk_available;
        n.machine = &m;
        n.runtime_ready = rows[i].runtime;
        n.runtime_why = "it starts";
        json_auto_t *s = node_object_status(&n, NULL);
        assert_string_equal(json_str_at(condition(s, "MemoryPressure"), "status", ""),
                            rows[i].memory);
        assert_string_equal(json_str_at(condition(s, "DiskPressure"), "status", ""), rows[i].disk);
        assert_string_equal(json_str_at(condition(s, "PIDPressure"), "status", ""), "False");
        assert_string_equal(json_str_at(condition(s, "Ready"), "status", ""), rows[i].ready);
        if (!rows[i].runtime)
            assert_string_equal(json_str_at(condition(s, "Ready"), "message", ""),
                                "container runtime is down: it starts");
    }
}

static void transition_times_stay_until_the_status_changes(void **state)
{
    struct node_object n = object();
    (void)state;

    clock_set_offset_s(-1000);
    json_auto_t *first = node_object_status(&n, NULL);
    clock_set_offset_s(0);
    n.runtime_ready = false;
    n.runtime_why = "gone";
    json_auto_t *second = node_object_status(&n, first);

    assert_string_equal(json_str_at(condition(first, "DiskPressure"), "lastTransitionTime", "1"),
                        json_str_at(condition(second, "DiskPressure"), "lastTransitionTime", "2"));
    assert_string_not_equal(json_str_at(condition(first, "Ready"), "lastTransitionTime", "1"),
                            json_str_at(condition(second, "Ready"), "lastTransitionTime", "2"));
    assert_string_not_equal(
        json_str_at(condition(first, "DiskPressure"), "lastHeartbeatTime", "1"),
        json_str_at(condition(second, "DiskPressure"), "lastHeartbeatTime", "2"));
}

static void only_heartbeats_differ_is_the_same_status(void **state)
{
    struct node_object n = object();
    struct machine m = machine;
    (void)state;

    n.machine = &m;
    clock_set_offset_s(-1000);
    json_auto_t *first = node_object_status(&n, NULL);
    clock_set_offset_s(0);
    json_auto_t *second = node_object_status(&n, first);
    assert_true(node_object_same_status(first, second));
    m.memory_available_bytes -= 4096; /* what is free is no part of it */
    json_auto_t *third = node_object_status(&n, first);
    assert_true(node_object_same_status(first, third));
    n.runtime_version = "containerd://2.0";
    json_auto_t *fourth = node_object_status(&n, first);
    assert_false(node_object_same_status(first, fourth));
}

static void texts_that_are_no_utf8_do_not_lose_the_status(void **state)
{
    struct machine m = machine;
    struct node_object n = object();
    (void)state;

    n.machine = &m;
    n.runtime_ready = false;
    n.runtime_why = "cut in the middle of \xc3"; /* of a longer text */
    memcpy(m.os_image, "Caf\xe9 Linux", 11);
    m.os_image[11] = '\0';
    json_auto_t *j = made(&n);
    assert_non_null(j);
    assert_string_equal(json_str_at(condition(json_object_get(j, "status"), "Ready"), "status", ""),
                        "False");
    assert_non_null(json_str_at(j, "status.nodeInfo.osImage", NULL));
}

static void an_existing_node_gets_our_part_of_the_metadata_only(void **state)
{
    struct node_object n = object();
    json_auto_t *patch = node_object_metadata_patch(&n);
    (void)state;

    assert_int_equal(json_object_size(patch), 1);
    assert_int_equal(json_object_size(json_object_get(patch, "metadata")), 2);
    assert_non_null(json_at(patch, "metadata.labels"));
    assert_non_null(json_at(patch, "metadata.annotations[\"k3s.io/node-config-hash\"]"));
}

static void the_egress_label_follows_the_mode_and_nobody_else(void **state)
{
    static const char *const mine[] = { "egress.k3s.io/cluster=no", "site=dock-4" };
    struct node_object n = object();
    (void)state;

    n.labels = mine;
    n.n_labels = ARRAY_LEN(mine);
    for (int on = 0; on < 2; on++) {
        n.pod_egress = on;
        json_auto_t *node = made(&n), *patch = node_object_metadata_patch(&n);
        const json_t *labels = json_at(node, "metadata.labels");
        const json_t *patched = json_at(patch, "metadata.labels");
        const char *label = json_string_value(json_object_get(labels, "egress.k3s.io/cluster"));

        assert_string_equal(label ? label : "none", on ? "true" : "none");
        if (on)
            assert_string_equal(
                json_string_value(json_object_get(patched, "egress.k3s.io/cluster")), "true");
        else /* merge patch: null takes it away */
            assert_true(json_is_null(json_object_get(patched, "egress.k3s.io/cluster")));
        assert_non_null(json_object_get(labels, "site"));
        assert_non_null(json_object_get(patched, "site"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_has_what_k3s_gives_it),
        cmocka_unit_test(addresses_come_in_k3s_order),
        cmocka_unit_test(labels_and_taints_are_taken_or_refused_by_name),
        cmocka_unit_test(a_cloud_controller_elsewhere_means_the_uninitialized_taint),
        cmocka_unit_test(conditions_say_what_is_short),
        cmocka_unit_test(transition_times_stay_until_the_status_changes),
        cmocka_unit_test(only_heartbeats_differ_is_the_same_status),
        cmocka_unit_test(texts_that_are_no_utf8_do_not_lose_the_status),
        cmocka_unit_test(an_existing_node_gets_our_part_of_the_metadata_only),
        cmocka_unit_test(the_egress_label_follows_the_mode_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
