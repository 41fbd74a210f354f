/* What is accepted, but hardly meant: upstream's sentences, one row each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "server/resource/pod_warnings.h"
#include "server/schema/schema.h"
#include "test/unit/json_text.h"

#define C(more) "{'containers':[{'name':'c'" more "}]}"

static const struct {
    const char *spec, *annotations;
    const char *warnings[4];
} rows[] = {
    { C(""), "{}", { NULL } },
    { "{'nodeSelector':{'beta.kubernetes.io/os':'linux','kubernetes.io/os':'linux'}}",
      "{}",
      { "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "
        "\"kubernetes.io/os\" instead" } },
    { "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{"
      "'nodeSelectorTerms':[{'matchExpressions':[{'key':'a'},{'key':'node-role.kubernetes.io/"
      "master'}]}]},'preferredDuringSchedulingIgnoredDuringExecution':[{'preference':{"
      "'matchExpressions':[{'key':'app.kubernetes.io/created-by'}]}}]}}}",
      "{}",
      { "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
        "nodeSelectorTerms[0].matchExpressions[1].key: node-role.kubernetes.io/master is use "
        "\"node-role.kubernetes.io/control-plane\" instead",
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference."
        "matchExpressions[0].key: app.kubernetes.io/created-by is deprecated since v1.9" } },
    { "{'topologySpreadConstraints':[{'topologyKey':'failure-domain.beta.kubernetes.io/zone'}]}",
      "{}",
      { "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is "
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching "
        "no pod" } },
    { "{'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{"
      "'labelSelector':{}},{}]},'podAntiAffinity':{"
      "'preferredDuringSchedulingIgnoredDuringExecution':[{'podAffinityTerm':{}}]}}}",
      "{}",
      { "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1]."
        "labelSelector: a null labelSelector results in matching no pod",
        "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]."
        "podAffinityTerm.labelSelector: a null labelSelector results in matching no pod" } },
    { C(""),
      "{'scheduler.alpha.kubernetes.io/critical-pod':'','seccomp.security.alpha.kubernetes.io/"
      "pod':'x','container.seccomp.security.alpha.kubernetes.io/c':'y'}",
      { "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in "
        "v1.16+; use the \"priorityClassName\" field instead",
        "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; "
        "use the \"seccompProfile\" field instead",
        "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in "
        "v1.27+; use the \"seccompProfile\" field instead" } },
    { "{'securityContext':{'seccompProfile':{}},'containers':[{'name':'c','securityContext':{"
      "'seccompProfile':{}}}]}",
      "{'seccomp.security.alpha.kubernetes.io/pod':'x',"
      "'container.seccomp.security.alpha.kubernetes.io/c':'y',"
      "'container.apparmor.security.beta.kubernetes.io/c':'z'}",
      { NULL } },
    { "{'volumes':[{'emptyDir':{}},{'gitRepo':{}},{'storageos':{}},{'ephemeral':{"
      "'volumeClaimTemplate':{'spec':{'resources':{'requests':{'storage':'100m'}}}}}}]}",
      "{}",
      { "spec.volumes[1].gitRepo: deprecated in v1.11",
        "spec.volumes[2].storageOS: deprecated in v1.22, non-functional in v1.25+",
        "spec.volumes[3].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: "
        "fractional byte value \"100m\" is invalid, must be an integer" } },
    { "{'volumes':[{'projected':{'sources':[{'serviceAccountToken':{'path':'token'}},{'secret':{"
      "'items':[{'path':'other'},{'path':'token'}]}}]}}]}",
      "{}",
      { "spec.volumes[0].projected.sources.secrets[1]: has duplicated path with "
        "ServiceAccountToken \"token\"" } },
    { "{'hostAliases':[{'ip':'1.2.3.4'},{'ip':'1.2.3.5'},{'ip':'1.2.3.4'}],'imagePullSecrets':[{"
      "'name':'a'},{'name':'a'},{}]}",
      "{}",
      { "spec.hostAliases[2].ip: duplicate ip \"1.2.3.4\"",
        "spec.imagePullSecrets[1].name: duplicate name \"a\"",
        "spec.imagePullSecrets[2].name: invalid empty name \"\"" } },
    { "{'overhead':{'memory':'1500m'},'containers':[{'name':'c','resources':{'limits':{'memory':"
      "'1Gi'},'requests':{'memory':'0.1','cpu':'100m'}}}]}",
      "{}",
      { "spec.overhead[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
        "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, "
        "must be an integer" } },
    { C(",'env':[{'name':'A','value':'1'},{'name':'B','value':'2'},{'name':'A','value':'$(A)3'},{"
        "'name':'B','value':'$(B)'},{'name':'A','valueFrom':{}}]"),
      "{}",
      { "spec.containers[0].env[3]: hides previous definition of \"B\", which may be dropped when "
        "using apply",
        "spec.containers[0].env[4]: hides previous definition of \"A\", which may be dropped when "
        "using apply" } },
    { "{'initContainers':[{'name':'i','ports':[{'containerPort':80,'protocol':'TCP'}]}],"
      "'containers':[{'name':'c','ports':[{'containerPort':80,'protocol':'TCP'},{'containerPort':"
      "80,'protocol':'UDP'},{'containerPort':81,'protocol':'TCP','hostIP':'1.2.3.4','name':'n'}]}]"
      "}",
      "{}",
      { "spec.containers[0].ports[0]: duplicate port definition with "
        "spec.initContainers[0].ports[0]",
        "spec.containers[0].ports[2]: hostIP set without hostPort: {Name:n HostPort:0 "
        "ContainerPort:81 Protocol:TCP HostIP:1.2.3.4}" } },
    { C(",'ports':[{'containerPort':80,'protocol':'TCP','hostPort':8080},{'containerPort':80,"
        "'protocol':'TCP'},{'containerPort':80,'protocol':'TCP','hostPort':8080,'hostIP':"
        "'1.2.3.4'}]"),
      "{}",
      { "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
        "spec.containers[0].ports[2]: dangerously ambiguous port definition with "
        "spec.containers[0].ports[0]",
        "spec.containers[0].ports[2]: overlapping port definition with "
        "spec.containers[0].ports[1]" } },
    { "{'terminationGracePeriodSeconds':-1}",
      "{}",
      { "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be "
        "treated as 1" } },
};

static void expect(const struct decode_notes *notes, const char *const *want, size_t max,
                   size_t row)
{
    size_t n = 0;

    while (n < max && want[n])
        n++;
    for (size_t i = 0; i < n || i < notes->n; i++)
        if (i >= n || i >= notes->n || strcmp(notes->v[i], want[i]) != 0)
            fail_msg("row %zu: want %s, got %s", row, i < n ? want[i] : "nothing",
                     i < notes->n ? notes->v[i] : "nothing");
}

static void a_pod_is_looked_at_when_it_is_made(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    const struct schema_kind *pods = schema_find(s, STR(""), STR("v1"), STR("pods"));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf("{'metadata':{'name':'p','annotations':%s},'spec':%s}",
                                          rows[i].annotations, rows[i].spec);
        json_auto_t *pod = json_of(text);
        auto_decode_notes notes = { 0 }, later = { 0 };

        pod_warnings(pods, pod, NULL, &notes);
        expect(&notes, rows[i].warnings, ARRAY_LEN(rows[i].warnings), i);
        pod_warnings(pods, pod, pod, &later);
        assert_int_equal(later.n, 0);
    }
}

static void a_template_is_looked_at_when_it_changes(void **state)
{
    static const struct {
        const char *group, *plural, *object, *warning;
    } kinds[] = {
        { "apps", "deployments", "{'spec':{'template':%s}}", "spec.template" },
        { "apps", "daemonsets", "{'spec':{'template':%s}}", "spec.template" },
        { "", "podtemplates", "{'template':%s}", "template" },
        { "batch", "cronjobs", "{'spec':{'jobTemplate':{'spec':{'template':%s}}}}",
          "spec.jobTemplate.spec.template" },
    };
    AUTO(schema) struct schema *s = schema_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct schema_kind *k =
            schema_find(s, str_of(kinds[i].group), STR("v1"), str_of(kinds[i].plural));
        static const char template[] =
            "{'metadata':{'annotations':{'container.apparmor.security.beta.kubernetes.io/c':'x'}},"
            "'spec':{'containers':[{'name':'c'}]}}";
        const char *at = strstr(kinds[i].object, "%s");
        auto_free char *text =
            mem_printf("%.*s%s%s", (int)(at - kinds[i].object), kinds[i].object, template, at + 2);
        auto_free char *want = mem_printf(
            "%s.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated "
            "since v1.30; use the \"appArmorProfile\" field instead",
            kinds[i].warning);
        json_auto_t *obj = json_of(text), *old = json_of(text);
        auto_decode_notes made = { 0 }, same = { 0 }, changed = { 0 };

        json_object_set_new(obj, "metadata", json_pack("{s:s, s:i}", "name", "x", "generation", 2));
        json_object_set_new(old, "metadata", json_pack("{s:s, s:i}", "name", "x", "generation", 2));
        pod_warnings(k, obj, NULL, &made);
        expect(&made, (const char *const[]){ want }, 1, i);
        pod_warnings(k, obj, old, &same);
        assert_int_equal(same.n, 0);
        json_object_set_new(json_object_get(old, "metadata"), "generation", json_integer(1));
        pod_warnings(k, obj, old, &changed);
        expect(&changed, (const char *const[]){ want }, 1, i);
    }
}

static void names_that_make_bad_hostnames_are_told(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    json_auto_t *obj = json_of("{'metadata':{'name':'a.b'}}");
    auto_decode_notes pod = { 0 }, deployment = { 0 }, map = { 0 };

    (void)state;
    pod_warnings(schema_find(s, STR(""), STR("v1"), STR("pods")), obj, NULL, &pod);
    pod_warnings(schema_find(s, STR("apps"), STR("v1"), STR("deployments")), obj, NULL,
                 &deployment);
    pod_warnings(schema_find(s, STR(""), STR("v1"), STR("configmaps")), obj, NULL, &map);
    assert_int_equal(pod.n, 1);
    assert_non_null(strstr(pod.v[0], "metadata.name: this is used in the Pod's hostname, which can "
                                     "result in surprising behavior; a DNS label is recommended: "
                                     "[must not contain dots]"));
    assert_int_equal(deployment.n, 1);
    assert_non_null(strstr(deployment.v[0], "this is used in Pod names and hostnames, which"));
    assert_int_equal(map.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_looked_at_when_it_is_made),
        cmocka_unit_test(a_template_is_looked_at_when_it_changes),
        cmocka_unit_test(names_that_make_bad_hostnames_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
