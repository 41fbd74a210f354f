#include "agent/pod/spec.h"

#include "agent/pod/translate.h"
#include "base/data/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define META                                                                                       \
    "\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\","                              \
    "\"labels\":{\"app\":\"web\"}}"

static int read_pod(struct spec **out, const char *spec, struct err *e)
{
    char text[4096];
    json_auto_t *pod = NULL;

    snprintf(text, sizeof text, "{" META ",\"spec\":%s}", spec);
    assert_int_equal(json_parse(&pod, str_of(text), e), 0);
    return spec_read(out, pod, e);
}

static struct spec *must_read(const char *spec)
{
    struct spec *s = NULL;
    struct err e;

    if (read_pod(&s, spec, &e))
        fail_msg("%s", e.text);
    return s;
}

static void what_is_not_carried_out_is_refused_by_name(void **state)
{
    static const struct {
        const char *spec;
        enum err_code code;
        const char *named;
    } rows[] = {
        { "{}", ERR_INVALID, "spec.containers: required" },
        { "{\"containers\":[{\"name\":\"a\"}]}", ERR_INVALID, "spec.containers[0].image" },
        { "{\"hostAliases\":[{}],\"containers\":[]}", ERR_AGAIN, "spec.hostAliases" },
        { "{\"securityContext\":{\"fsGroup\":5},\"containers\":[]}", ERR_AGAIN,
          "spec.securityContext.fsGroup" },
        { "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"livenessProbe\":{\"exec\":{}}}]}",
          ERR_AGAIN, "spec.containers[0].livenessProbe" },
        { "{\"initContainers\":[{\"name\":\"a\",\"image\":\"i\",\"restartPolicy\":\"Always\"}],"
          "\"containers\":[{\"name\":\"b\",\"image\":\"i\"}]}",
          ERR_AGAIN, "spec.initContainers[0].restartPolicy" },
        { "{\"volumes\":[{\"name\":\"v\",\"nfs\":{}}],\"containers\":[]}", ERR_AGAIN,
          "spec.volumes[v].nfs" },
        { "{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"x\"}}],\"containers\":[]}",
          ERR_INVALID, "hostPath.path" },
        { "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"env\":[{\"name\":\"E\",\"valueFrom\":"
          "{\"secretKeyRef\":{}}}]}]}",
          ERR_AGAIN, "env[E].valueFrom" },
        { "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"volumeMounts\":[{\"name\":\"no\"}]}]"
          "}",
          ERR_INVALID, "no volume \"no\"" },
        { "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":"
          "\"many\"}}}]}",
          ERR_INVALID, "resources.limits.cpu" },
        { "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"securityContext\":{\"runAsNonRoot\":"
          "true,\"runAsUser\":0}}]}",
          ERR_INVALID, "runAsNonRoot" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spec *s = NULL;
        struct err e;

        assert_int_equal(read_pod(&s, rows[i].spec, &e), rows[i].code);
        if (!strstr(e.text, rows[i].named))
            fail_msg("\"%s\" does not name %s", e.text, rows[i].named);
        assert_null(s);
    }
}

static void empty_lists_and_defaults_ask_for_nothing(void **state)
{
    AUTO(spec)
    struct spec *s = must_read(
        "{\"hostAliases\":[],\"shareProcessNamespace\":false,\"securityContext\":{},\"volumes\":"
        "[{\"name\":\"kube-api-access-x\",\"projected\":{\"sources\":[]}}],\"containers\":[{"
        "\"name\":"
        "\"a\",\"image\":\"i\",\"envFrom\":[],\"resources\":{},\"securityContext\":{\"procMount\":"
        "\"Default\"},\"volumeMounts\":[{\"name\":\"kube-api-access-x\",\"mountPath\":\"/var/"
        "run\"}]}]}");

    (void)state;
    assert_int_equal(s->n_volumes, 0); /* the token volume is left out */
    assert_int_equal(s->containers[0].n_mounts, 0);
    assert_int_equal(s->qos, SPEC_BEST_EFFORT);
    assert_int_equal(s->restart, SPEC_ALWAYS);
    assert_int_equal(s->dns, SPEC_DNS_CLUSTER_FIRST);
}

static void quality_of_service_follows_the_resources(void **state)
{
    static const struct {
        const char *resources;
        enum spec_qos qos;
    } rows[] = {
        { "{}", SPEC_BEST_EFFORT },
        { "{\"requests\":{\"cpu\":\"100m\"}}", SPEC_BURSTABLE },
        { "{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}", SPEC_GUARANTEED },
        { "{\"limits\":{\"cpu\":\"1\"}}", SPEC_BURSTABLE },
        { "{\"limits\":{\"cpu\":1,\"memory\":\"1Gi\"},\"requests\":{\"memory\":\"1Mi\"}}",
          SPEC_BURSTABLE },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        struct spec *s;

        snprintf(text, sizeof text,
                 "{\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"resources\":%s}]}",
                 rows[i].resources);
        s = must_read(text);
        assert_int_equal(s->qos, rows[i].qos);
        spec_free(s);
    }
}

static void references_expand_as_upstream_does(void **state)
{
    static const struct cri_pair env[] = { { "A", "1" }, { "B", "two" } };
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "plain", "plain" }, { "$(A)", "1" },      { "x$(A)y$(B)z", "x1ytwoz" },
        { "$$(A)", "$(A)" },  { "$$$(A)", "$1" },   { "$(C)", "$(C)" },
        { "$(A", "$(A" },     { "$", "$" },         { "$A", "$A" },
        { "$()", "$()" },     { "$(A)$(A)", "11" }, { "", "" },
    };
    struct arena a = ARENA(SIZE_MAX);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(translate_expand(rows[i].in, env, 2, &a), rows[i].out);
    arena_deinit(&a);
}

static void cgroup_values_stay_in_what_the_kernel_takes(void **state)
{
    (void)state;
    assert_int_equal(translate_cpu_shares(0), 2);
    assert_int_equal(translate_cpu_shares(500), 512);
    assert_int_equal(translate_cpu_shares(1000000), 262144);
    assert_int_equal(translate_cpu_quota_us(0), 0);
    assert_int_equal(translate_cpu_quota_us(1), 1000);
    assert_int_equal(translate_cpu_quota_us(1500), 150000);
}

static void container_gets_environment_names_and_limits(void **state)
{
    AUTO(spec)
    struct spec *s = must_read(
        "{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"command\":[\"sh\"],"
        "\"args\":[\"$(MIX)\"],\"env\":[{\"name\":\"NODE\",\"valueFrom\":{\"fieldRef\":{"
        "\"fieldPath\":"
        "\"spec.nodeName\"}}},{\"name\":\"APP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"
        "\"metadata.labels['app']\"}}},{\"name\":\"MIX\",\"value\":\"$(NODE)-$(APP)-$(IP)\"},{"
        "\"name\":"
        "\"IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}],\"resources\":"
        "{\"limits\":{\"memory\":\"64Mi\",\"cpu\":\"250m\"}}}]}");
    struct translate_facts f = { .pod_ip = "10.0.0.9", .volume_dir = "/v", .log_dir = "/l" };
    struct arena a = ARENA(SIZE_MAX);
    struct cri_container_config c;
    struct err e;

    (void)state;
    assert_int_equal(translate_container(&c, s, 0, &f, 2, "sha256:x", &a, &e), 0);
    assert_int_equal(c.n_env, 4);
    assert_string_equal(cri_pair_get(c.env, c.n_env, "MIX"), "n1-web-$(IP)"); /* comes later */
    assert_string_equal(c.args[0], "n1-web-$(IP)");
    assert_string_equal(c.log_path, "a/2.log");
    assert_int_equal(c.memory_limit_bytes, 64 << 20);
    assert_int_equal(c.cpu_quota_us, 25000);
    assert_string_equal(cri_pair_get(c.labels, c.n_labels, LABEL_POD_UID), "u");
    assert_string_equal(cri_pair_get(c.annotations, c.n_annotations, ANNO_RESTART_COUNT), "2");
    arena_deinit(&a);
}

static void dns_of_host_cluster_and_pod_are_put_together(void **state)
{
    static const char *const cluster[] = { "10.43.0.10" };
    AUTO(spec)
    struct spec *s = must_read("{\"dnsConfig\":{\"searches\":[\"own\"]},\"containers\":"
                               "[{\"name\":\"a\",\"image\":\"i\"}]}");
    struct arena a = ARENA(SIZE_MAX);
    struct translate_dns dns;
    struct translate_facts f = { .cluster_domain = "cluster.local" };
    struct cri_sandbox_config c;
    struct err e;

    (void)state;
    translate_resolv_conf(&dns,
                          STR("# x\nnameserver 1.1.1.1\nsearch a b\nsearch\tlan  home\nnameserver "
                              "2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\noptions rotate"),
                          &a);
    assert_int_equal(dns.n_servers, 3);
    assert_int_equal(dns.n_searches, 2);
    assert_string_equal(dns.searches[0], "lan");
    f.dns_servers = dns.servers;
    f.n_dns_servers = dns.n_servers;
    f.dns_searches = dns.searches;
    f.n_dns_searches = dns.n_searches;
    assert_int_equal(translate_sandbox(&c, s, &f, 0, &a, &e), 0);
    assert_int_equal(c.n_dns_servers, 3); /* no cluster DNS is known: the host's */
    f.cluster_dns = cluster;
    f.n_cluster_dns = 1;
    assert_int_equal(translate_sandbox(&c, s, &f, 0, &a, &e), 0);
    assert_int_equal(c.n_dns_servers, 1);
    assert_int_equal(c.n_dns_searches, 6);
    assert_string_equal(c.dns_searches[0], "n.svc.cluster.local");
    assert_string_equal(c.dns_searches[5], "own");
    assert_string_equal(c.dns_options[0], "ndots:5");
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_carried_out_is_refused_by_name),
        cmocka_unit_test(empty_lists_and_defaults_ask_for_nothing),
        cmocka_unit_test(quality_of_service_follows_the_resources),
        cmocka_unit_test(references_expand_as_upstream_does),
        cmocka_unit_test(cgroup_values_stay_in_what_the_kernel_takes),
        cmocka_unit_test(container_gets_environment_names_and_limits),
        cmocka_unit_test(dns_of_host_cluster_and_pod_are_put_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
