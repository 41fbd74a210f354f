/* The pure part: what pods ask for, which nodes take them, and what is said when none does. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/scheduler/fit.h"

#include <string.h>

static json_t *doc(const char *text)
{
    auto_free char *copy = mem_strdup(text);
    json_t *j = NULL;
    struct err e = { 0 };

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"'; /* single quotes read better in C */
    if (json_parse(&j, str_of(copy), &e))
        fail_msg("%s: %s", copy, e.text);
    return j;
}

#define REQ(list)  "{'resources':{'requests':" list "}}"
#define SIDE(list) "{'restartPolicy':'Always','resources':{'requests':" list "}}"

static void requests_are_summed_as_upstream(void **state)
{
    static const struct {
        const char *spec;
        int64_t cpu_milli, memory_bytes, gpus;
    } rows[] = {
        { "{'containers':[{}]}", 0, 0, 0 },
        { "{'containers':[" REQ("{'cpu':'250m','memory':'64Mi'}") "," REQ("{'cpu':1}") "]}", 250,
          64 << 20, 0 }, /* a number is no quantity once it is stored */
        { "{'containers':[" REQ("{'cpu':'250m'}") "," REQ("{'cpu':'1','x/gpu':'2'}") "]}", 1250, 0,
          2 },
        /* the largest init container, if it is more than all containers */
        { "{'initContainers':[" REQ("{'cpu':'2'}") "," REQ("{'cpu':'1'}") "],'containers':[" REQ(
              "{'cpu':'500m'}") "]}",
          2000, 0, 0 },
        { "{'initContainers':[" REQ("{'cpu':'100m','memory':'1Gi'}") "],'containers':[" REQ(
              "{'cpu':'500m','memory':'1Mi'}") "]}",
          500, 1 << 30, 0 },
        /* a sidecar runs beside the containers, and beside the init containers behind it */
        { "{'initContainers':[" SIDE("{'cpu':'100m'}") "],'containers':[" REQ(
              "{'cpu':'500m'}") "]}",
          600, 0, 0 },
        { "{'initContainers':[" SIDE("{'cpu':'100m'}") "," REQ(
              "{'cpu':'1'}") "],'containers':[" REQ("{'cpu':'500m'}") "]}",
          1100, 0, 0 },
        { "{'overhead':{'cpu':'10m'},'containers':[" REQ("{'cpu':'1m'}") "]}", 11, 0, 0 },
        { "{'containers':[" REQ("{'cpu':'9E','memory':'7E'}") "," REQ("{'memory':'7E'}") "]}",
          INT64_MAX, INT64_MAX, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf("{'spec':%s}", rows[i].spec);
        json_auto_t *pod = doc(text);
        struct resources r;

        resources_of_pod(&r, pod);
        if (r.cpu_milli != rows[i].cpu_milli || r.memory_bytes != rows[i].memory_bytes ||
            resources_extended(&r, "x/gpu") != rows[i].gpus || r.n_pods != 1)
            fail_msg("row %zu: cpu %lld memory %lld", i, (long long)r.cpu_milli,
                     (long long)r.memory_bytes);
        resources_deinit(&r);
    }
}

#define ALLOC            "'allocatable':{'cpu':'2','memory':'1Gi','pods':'10','x/gpu':'1'}"
#define READY            "'status':{'conditions':[{'type':'Ready','status':'True'}]," ALLOC "}"
#define NODE(meta, spec) "{'metadata':{'name':'n'" meta "},'spec':{" spec "}," READY "}"
#define POD(spec)        "{'spec':{" spec "}}"
#define TAINT(k, v, e)   "{'key':'" k "','value':'" v "','effect':'" e "'}"

static void nodes_take_what_fits(void **state)
{
    static const struct {
        const char *node, *pod, *why; /* reasons, each with a ';' */
    } rows[] = {
        { NODE("", ""), POD(""), "" },
        { NODE("", "'unschedulable':true"), POD(""), "node(s) were unschedulable;" },
        { NODE("", "'unschedulable':true"),
          POD("'tolerations':[{'key':'node.kubernetes.io/unschedulable','operator':'Exists'}]"),
          "" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "]"), POD(""),
          "node(s) had untolerated taint {a: b};" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoExecute") "]"), POD(""),
          "node(s) had untolerated taint {a: b};" },
        { NODE("", "'taints':[" TAINT("a", "b", "PreferNoSchedule") "]"), POD(""), "" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "]"),
          POD("'tolerations':[{'key':'a','value':'b'}]"), "" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "]"),
          POD("'tolerations':[{'key':'a','operator':'Equal','value':'c'}]"),
          "node(s) had untolerated taint {a: b};" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "]"),
          POD("'tolerations':[{'key':'a','operator':'Exists','effect':'NoExecute'}]"),
          "node(s) had untolerated taint {a: b};" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "," TAINT("c", "", "NoExecute") "]"),
          POD("'tolerations':[{'operator':'Exists'}]"), "" },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "," TAINT("c", "", "NoExecute") "]"),
          POD("'tolerations':[{'key':'a','operator':'Exists'}]"),
          "node(s) had untolerated taint {c: };" },
        /* an empty key with Equal is no toleration */
        { NODE("", "'taints':[" TAINT("a", "", "NoSchedule") "]"),
          POD("'tolerations':[{'operator':'Equal'}]"), "node(s) had untolerated taint {a: };" },
        { "{'metadata':{'name':'n'},'status':{" ALLOC "}}", POD(""),
          "node(s) had untolerated taint {node.kubernetes.io/not-ready: };" },
        { "{'metadata':{'name':'n'},'status':{" ALLOC "}}",
          POD("'tolerations':[{'key':'node.kubernetes.io/not-ready','operator':'Exists'}]"), "" },
        { NODE(",'labels':{'disk':'ssd','a':'b'}", ""), POD("'nodeSelector':{'disk':'ssd'}"), "" },
        { NODE(",'labels':{'disk':'hdd'}", ""), POD("'nodeSelector':{'disk':'ssd'}"),
          "node(s) didn't match Pod's node affinity/selector;" },
        { NODE("", ""), POD("'nodeSelector':{'disk':'ssd'}"),
          "node(s) didn't match Pod's node affinity/selector;" },
        { NODE("", ""), POD("'containers':[" REQ("{'cpu':'2','memory':'1Gi','x/gpu':'1'}") "]"),
          "" },
        { NODE("", ""), POD("'containers':[" REQ("{'cpu':'2001m','memory':'2Gi','x/gpu':'2'}") "]"),
          "Insufficient cpu;Insufficient memory;Insufficient x/gpu;" },
        { NODE("", ""), POD("'containers':[" REQ("{'y/fpga':'1'}") "]"), "Insufficient y/fpga;" },
        { "{'metadata':{'name':'n'},'status':{'conditions':[{'type':'Ready','status':'True'}]}}",
          POD(""), "Too many pods;" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *node = doc(rows[i].node), *pod = doc(rows[i].pod);
        char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES];
        auto_buf got = BUF(sizeof reasons + FIT_REASONS_MAX);
        struct fit_node n;
        struct fit_pod p;

        fit_node_init(&n, node);
        fit_pod_init(&p, pod);
        size_t m = fit_check(pod, &p, &n, reasons);
        for (size_t k = 0; k < m; k++)
            assert_int_equal(buf_addf(&got, "%s;", reasons[k]), 0);
        if (strcmp(buf_cstr(&got), rows[i].why) != 0)
            fail_msg("row %zu: want \"%s\" got \"%s\"", i, rows[i].why, buf_cstr(&got));
        fit_node_deinit(&n);
        fit_pod_deinit(&p);
    }
}

static void what_runs_on_a_node_counts(void **state)
{
    json_auto_t *node = doc(NODE("", ""));
    json_auto_t *big =
        doc(POD("'containers':[{'resources':{'requests':{'cpu':'1500m','x/gpu':'1'}},"
                "'ports':[{'hostPort':80},{'hostPort':53,'protocol':'UDP'}]}]"));
    json_auto_t *web = doc(POD("'containers':[{'ports':[{'hostPort':80,'hostIP':'10.0.0.1'}]}]"));
    json_auto_t *dns = doc(POD("'containers':[{'ports':[{'hostPort':53,'protocol':'TCP'}]}]"));
    char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES];
    struct fit_node n;
    struct fit_pod b, w, d;

    (void)state;
    fit_node_init(&n, node);
    fit_pod_init(&b, big);
    fit_pod_init(&w, web);
    fit_pod_init(&d, dns);
    fit_node_put(&n, &b);
    assert_int_equal(fit_check(web, &w, &n, reasons), 1);
    assert_string_equal(reasons[0], "node(s) didn't have free ports for the requested pod ports");
    assert_int_equal(fit_check(dns, &d, &n, reasons), 0);
    assert_int_equal(fit_check(big, &b, &n, reasons), 1);
    fit_node_take(&n, &b);
    assert_int_equal(fit_check(big, &b, &n, reasons), 0);
    assert_int_equal(fit_check(web, &w, &n, reasons), 0);
    assert_int_equal(n.used.cpu_milli, 0);
    for (int i = 0; i < 10; i++)
        fit_node_put(&n, &d);
    assert_int_equal(fit_check(web, &w, &n, reasons), 1);
    assert_string_equal(reasons[0], "Too many pods");
    fit_node_deinit(&n);
    fit_pod_deinit(&b);
    fit_pod_deinit(&w);
    fit_pod_deinit(&d);
}

static void the_emptier_node_scores_higher(void **state)
{
    json_auto_t *free_doc = doc(NODE("", ""));
    json_auto_t *avoided_doc = doc(NODE("", "'taints':[" TAINT("a", "b", "PreferNoSchedule") "]"));
    json_auto_t *pod = doc(POD("'containers':[" REQ("{'cpu':'500m','memory':'256Mi'}") "]"));
    struct fit_node empty, half, avoided;
    struct fit_pod p;

    (void)state;
    fit_pod_init(&p, pod);
    fit_node_init(&empty, free_doc);
    fit_node_init(&half, free_doc);
    fit_node_init(&avoided, avoided_doc);
    fit_node_put(&half, &p);
    assert_int_equal(fit_score(pod, &p, &empty), 75);
    assert_int_equal(fit_score(pod, &p, &half), 50);
    assert_true(fit_score(pod, &p, &avoided) < fit_score(pod, &p, &half));
    fit_node_deinit(&empty);
    fit_node_deinit(&half);
    fit_node_deinit(&avoided);
    fit_pod_deinit(&p);
}

static void unknown_demands_are_named(void **state)
{
#define HARD "'requiredDuringSchedulingIgnoredDuringExecution'"
#define SOFT "'preferredDuringSchedulingIgnoredDuringExecution'"
    static const struct {
        const char *spec, *unknown;
    } rows[] = {
        { "", NULL },
        { "'affinity':{}", NULL },
        { "'affinity':{'podAffinity':{" SOFT ":[{}]}}", NULL },
        { "'affinity':{'podAffinity':{" HARD ":[]}}", NULL },
        { "'affinity':{'podAffinity':{" HARD ":[{}]}}", "spec.affinity.podAffinity" },
        { "'affinity':{'podAntiAffinity':{" HARD ":[{}]}}", "spec.affinity.podAntiAffinity" },
        { "'affinity':{'nodeAffinity':{" HARD ":{'nodeSelectorTerms':[{}]}}}",
          "spec.affinity.nodeAffinity" },
        { "'topologySpreadConstraints':[{'whenUnsatisfiable':'ScheduleAnyway'}]", NULL },
        { "'topologySpreadConstraints':[{'whenUnsatisfiable':'DoNotSchedule'}]",
          "spec.topologySpreadConstraints" },
        { "'volumes':[{'name':'v','emptyDir':{}}]", NULL },
        { "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'c'}}]",
          "spec.volumes[].persistentVolumeClaim" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = mem_printf(POD("%s"), rows[i].spec);
        json_auto_t *pod = doc(text);
        const char *got = fit_unknown(pod);

        if (strcmp(got ? got : "", rows[i].unknown ? rows[i].unknown : "") != 0)
            fail_msg("row %zu: %s", i, got ? got : "(none)");
    }
}

static void reasons_become_upstreams_sentence(void **state)
{
    AUTO(fit_summary) struct fit_summary *s = fit_summary_new();

    (void)state;
    auto_free char *none = fit_summary_text(s, 0);
    assert_string_equal(none, "no nodes available to schedule pods");
    fit_summary_add(s, "node(s) were unschedulable");
    fit_summary_add(s, "Insufficient memory");
    fit_summary_add(s, "node(s) were unschedulable");
    fit_summary_add(s, "Insufficient cpu");
    auto_free char *text = fit_summary_text(s, 3);
    assert_string_equal(text, "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
                              "2 node(s) were unschedulable.");
}

static void nodes_are_the_same_unless_scheduling_cares(void **state)
{
    static const struct {
        const char *node;
        bool same;
    } rows[] = {
        { NODE("", ""), true },
        { NODE(",'annotations':{'a':'b'}", ""), true },
        { NODE(",'labels':{'a':'b'}", ""), false },
        { NODE("", "'unschedulable':true"), false },
        { NODE("", "'taints':[" TAINT("a", "b", "NoSchedule") "]"), false },
        { "{'metadata':{'name':'n'},'status':{" ALLOC "}}", false },
        { "{'metadata':{'name':'n'},'status':{'conditions':[{'type':'Ready','status':'True'}],"
          "'allocatable':{'cpu':'2','memory':'1Gi','pods':'10','x/gpu':'2'}}}",
          false },
    };
    json_auto_t *base = doc(NODE("", ""));
    struct fit_node a, b;

    (void)state;
    fit_node_init(&a, base);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *node = doc(rows[i].node);

        fit_node_init(&b, node);
        if (fit_node_same(&a, &b) != rows[i].same)
            fail_msg("row %zu", i);
        fit_node_deinit(&b);
    }
    fit_node_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_summed_as_upstream),
        cmocka_unit_test(nodes_take_what_fits),
        cmocka_unit_test(what_runs_on_a_node_counts),
        cmocka_unit_test(the_emptier_node_scores_higher),
        cmocka_unit_test(unknown_demands_are_named),
        cmocka_unit_test(reasons_become_upstreams_sentence),
        cmocka_unit_test(nodes_are_the_same_unless_scheduling_cares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
