/* What services are given, keep and give back, over HTTP. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "test/unit/json_text.h"

#include <stdio.h>

#define SVC "/api/v1/namespaces/default/services"

/* ' for " in body */
static struct answer call(const char *method, const char *target, const char *body)
{
    auto_free char *text = real_quotes(body);

    return ask(&h, method, target, text);
}

static struct answer make(const char *name, const char *spec)
{
    auto_free char *body = mem_printf("{'metadata':{'name':'%s'},'spec':{%s}}", name, spec);

    return call("POST", SVC, body);
}

static struct answer patch(const char *name, const char *spec)
{
    auto_free char *target = mem_printf(SVC "/%s", name);
    auto_free char *body = mem_printf("{'spec':{%s}}", spec);

    return call("PATCH", target, body);
}

static void drop(const char *name)
{
    auto_free char *target = mem_printf(SVC "/%s", name);
    auto_answer a = ask(&h, "DELETE", target, NULL);

    assert_int_equal(a.code, 200);
}

static json_t *part(const struct answer *a, const char *path)
{
    json_t *v = json_at(a->doc, path);

    if (!v)
        fail_msg("no %s in %s", path, buf_cstr(&a->body));
    return v;
}

/* code, and one cause: "field: message" */
static void expect_cause(struct answer a, const char *cause)
{
    auto_free char *got = mem_printf("%s: %s", json_str_at(a.doc, "details.causes[0].field", ""),
                                     json_str_at(a.doc, "details.causes[0].message", ""));

    if (a.code != 422 || strcmp(got, cause) != 0)
        fail_msg("want %s, got %d: %s", cause, a.code, buf_cstr(&a.body));
    answer_deinit(&a);
}

static void expect_made(struct answer a)
{
    if (a.code != 201 && a.code != 200)
        fail_msg("%d: %s", a.code, buf_cstr(&a.body));
    answer_deinit(&a);
}

static void node_ports_are_given_once(void **state)
{
    (void)state;
    expect_made(make("a", "'type':'NodePort','ports':[{'port':80,'nodePort':30080}]"));
    expect_cause(make("b", "'type':'NodePort','ports':[{'port':80,'nodePort':30080}]"),
                 "spec.ports[0].nodePort: Invalid value: 30080: provided port is already "
                 "allocated");
    expect_cause(make("b", "'type':'NodePort','ports':[{'port':80,'name':'x'},{'port':81,'name':"
                           "'y','nodePort':29999}]"),
                 "spec.ports[1].nodePort: Invalid value: 29999: provided port is not in the valid "
                 "range. The range of valid ports is 30000-32767");
    drop("a");
    expect_made(make("b", "'type':'NodePort','ports':[{'port':80,'nodePort':30080}]"));
    drop("b");
}

/* What a request took before it failed is free. */
static void a_refused_service_holds_nothing(void **state)
{
    (void)state;
    expect_made(make("a", "'type':'NodePort','ports':[{'port':80,'nodePort':30081}]"));
    expect_cause(make("b", "'clusterIP':'10.43.1.1','type':'NodePort','ports':[{'port':80,'name':"
                           "'x','nodePort':30082},{'port':81,'name':'y','nodePort':30081}]"),
                 "spec.ports[1].nodePort: Invalid value: 30081: provided port is already "
                 "allocated");
    /* refused later, by validation */
    expect_cause(make("b", "'clusterIP':'10.43.1.1','type':'NodePort','ports':[{'port':80,"
                           "'nodePort':30082,'targetPort':70000}]"),
                 "spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, "
                 "inclusive");
    expect_made(make("b", "'clusterIP':'10.43.1.1','type':'NodePort','ports':[{'port':80,"
                          "'nodePort':30082}]"));
    drop("a");
    drop("b");
}

static void addresses_are_refused_by_name(void **state)
{
    (void)state;
    expect_made(make("a", "'clusterIP':'10.43.1.2','ports':[{'port':80}]"));
    expect_cause(make("b", "'clusterIP':'10.43.1.2','ports':[{'port':80}]"),
                 "spec.clusterIPs: Invalid value: []string{\"10.43.1.2\"}: failed to allocate IP "
                 "10.43.1.2: provided IP is already allocated");
    expect_cause(make("b", "'clusterIP':'10.44.0.1','ports':[{'port':80}]"),
                 "spec.clusterIPs: Invalid value: []string{\"10.44.0.1\"}: failed to allocate IP "
                 "10.44.0.1: the provided IP (10.44.0.1) is not in the valid range. The range of "
                 "valid IPs is 10.43.0.0/16");
    expect_cause(make("b", "'clusterIP':'x','ports':[{'port':80}]"),
                 "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. "
                 "10.9.8.7 or 2001:db8::ffff)");
    expect_cause(make("b", "'ipFamilyPolicy':'RequireDualStack','ports':[{'port':80}]"),
                 "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not "
                 "configured for dual-stack services");
    expect_cause(make("b", "'ipFamilies':['IPv6'],'ports':[{'port':80}]"),
                 "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster");
    expect_cause(patch("a", "'clusterIP':'10.43.1.3'"),
                 "spec.clusterIPs[0]: Invalid value: []string{\"10.43.1.3\"}: may not change once "
                 "set");
    drop("a");
}

/* What others hold is not free because somebody's change that names it was refused. */
static void a_refused_change_gives_back_what_it_took_alone(void **state)
{
    (void)state;
    expect_made(make("a", "'clusterIP':'10.43.1.8','type':'LoadBalancer','externalTrafficPolicy':"
                          "'Local','healthCheckNodePort':30081,'ports':[{'port':80,'nodePort':"
                          "30082}]"));
    expect_made(make("b", "'ports':[{'port':80}]"));
    auto_answer ip = patch("b", "'clusterIP':'10.43.1.8','clusterIPs':['10.43.1.8']");
    assert_int_equal(ip.code, 422);
    auto_answer port = patch("b", "'ports':[{'port':80,'nodePort':30082}]");
    assert_int_equal(port.code, 422);
    auto_answer health = patch("b", "'healthCheckNodePort':30081");
    assert_int_equal(health.code, 422);
    expect_cause(make("c", "'clusterIP':'10.43.1.8','ports':[{'port':80}]"),
                 "spec.clusterIPs: Invalid value: []string{\"10.43.1.8\"}: failed to allocate IP "
                 "10.43.1.8: provided IP is already allocated");
    expect_cause(make("c", "'type':'NodePort','ports':[{'port':80,'nodePort':30082}]"),
                 "spec.ports[0].nodePort: Invalid value: 30082: provided port is already "
                 "allocated");
    expect_cause(make("c", "'type':'NodePort','ports':[{'port':80,'nodePort':30081}]"),
                 "spec.ports[0].nodePort: Invalid value: 30081: provided port is already "
                 "allocated");
    drop("a");
    drop("b");
}

/* The server repacked them until release 1.19. */
static void endpoints_are_stored_as_they_were_written(void **state)
{
    static const char subsets[] =
        "[{\"addresses\":[{\"ip\":\"10.0.0.2\"},{\"ip\":\"10.0.0.1\"}],\"ports\":[{\"name\":\"b\","
        "\"port\":2,\"protocol\":\"TCP\"},{\"name\":\"a\",\"port\":1,\"protocol\":\"TCP\"}]},"
        "{\"addresses\":[{\"ip\":\"10.0.0.2\"}],\"ports\":[{\"name\":\"b\",\"port\":2,"
        "\"protocol\":\"TCP\"}]}]";
    auto_free char *body = mem_printf("{'metadata':{'name':'e'},'subsets':%s}", subsets);
    json_auto_t *want = NULL;
    struct err e;

    (void)state;
    assert_int_equal(json_parse(&want, str_of(subsets), &e), 0);
    auto_answer a = call("POST", "/api/v1/namespaces/default/endpoints", body);
    assert_int_equal(a.code, 201);
    assert_true(json_equal(part(&a, "subsets"), want));
}

/* A PUT without them, as of old clients. */
static void what_was_given_stays_when_it_is_left_out(void **state)
{
    (void)state;
    auto_answer a = make("a", "'type':'LoadBalancer','externalTrafficPolicy':'Local','ports':[{"
                              "'port':80,'name':'x'},{'port':81,'name':'y'}]");
    assert_int_equal(a.code, 201);
    int64_t x = json_i64_at(a.doc, "spec.ports[0].nodePort", 0);
    int64_t y = json_i64_at(a.doc, "spec.ports[1].nodePort", 0);
    int64_t health = json_i64_at(a.doc, "spec.healthCheckNodePort", 0);
    assert_true(x >= 30086 && y >= 30086 && health >= 30086); /* the lower ones are for people */
    assert_true(x != y && x != health && y != health);
    auto_answer b = call("PUT", SVC "/a",
                         "{'metadata':{'name':'a'},'spec':{'type':'LoadBalancer',"
                         "'externalTrafficPolicy':'Local','ports':[{'port':81,'name':'y'},{'port':"
                         "82,'name':'z'},{'port':80,'name':'x'}]}}");
    assert_int_equal(b.code, 200);
    assert_int_equal(json_i64_at(b.doc, "spec.ports[0].nodePort", 0), y);
    assert_int_equal(json_i64_at(b.doc, "spec.ports[2].nodePort", 0), x);
    assert_int_equal(json_i64_at(b.doc, "spec.healthCheckNodePort", 0), health);
    assert_true(json_equal(part(&b, "spec.clusterIPs"), part(&a, "spec.clusterIPs")));
    drop("a");
}

static void protocols_of_one_port_share_a_node_port(void **state)
{
    (void)state;
    auto_answer a = make("a", "'type':'NodePort','ports':[{'port':53,'name':'t'},{'port':53,'name':"
                              "'u','protocol':'UDP'},{'port':54,'name':'v'}]");
    assert_int_equal(a.code, 201);
    int64_t t = json_i64_at(a.doc, "spec.ports[0].nodePort", 0);
    assert_int_equal(json_i64_at(a.doc, "spec.ports[1].nodePort", 0), t);
    assert_int_not_equal(json_i64_at(a.doc, "spec.ports[2].nodePort", 0), t);
    drop("a");
}

static void a_change_of_type_takes_and_gives_back(void **state)
{
    (void)state;
    expect_made(make("a", "'clusterIP':'10.43.1.4','type':'NodePort','ports':[{'port':80,"
                          "'nodePort':30083}]"));
    auto_answer b = patch("a", "'type':'ClusterIP'");
    assert_int_equal(b.code, 200);
    assert_null(json_at(b.doc, "spec.ports[0].nodePort"));
    assert_null(json_at(b.doc, "spec.externalTrafficPolicy"));
    expect_made(make("c", "'type':'NodePort','ports':[{'port':80,'nodePort':30083}]"));
    auto_answer d = patch("a", "'type':'ExternalName','externalName':'example.com'");
    assert_int_equal(d.code, 200);
    assert_null(json_at(d.doc, "spec.clusterIP"));
    assert_null(json_at(d.doc, "spec.ipFamilies"));
    expect_made(make("e", "'clusterIP':'10.43.1.4','ports':[{'port':80}]"));
    auto_answer f = patch("a", "'type':'ClusterIP','externalName':null");
    assert_int_equal(f.code, 200);
    assert_string_not_equal(json_str_at(f.doc, "spec.clusterIP", "10.43.1.4"), "10.43.1.4");
    assert_string_equal(json_str_at(f.doc, "spec.ipFamilies[0]", ""), "IPv4");
    drop("a");
    drop("c");
    drop("e");
}

static void balancers_may_do_without_node_ports(void **state)
{
    (void)state;
    auto_answer a =
        make("a", "'type':'LoadBalancer','allocateLoadBalancerNodePorts':false,'ports':["
                  "{'port':80,'name':'x'},{'port':81,'name':'y','nodePort':30084}]");
    assert_int_equal(a.code, 201);
    assert_null(json_at(a.doc, "spec.ports[0].nodePort"));
    assert_int_equal(json_i64_at(a.doc, "spec.ports[1].nodePort", 0), 30084);
    drop("a");
}

static void headless_services_say_what_families_they_mean(void **state)
{
    static const struct {
        const char *spec, *policy;
        size_t n;
    } rows[] = {
        { "'clusterIP':'None','selector':{'a':'b'}", "SingleStack", 1 },
        { "'clusterIP':'None'", "RequireDualStack", 2 }, /* whoever writes endpoints knows */
        { "'clusterIP':'None','ipFamilyPolicy':'SingleStack'", "SingleStack", 1 },
        { "'ports':[{'port':80}],'ipFamilyPolicy':'PreferDualStack'", "PreferDualStack", 1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = make("a", rows[i].spec);

        assert_int_equal(a.code, 201);
        assert_string_equal(json_str_at(a.doc, "spec.ipFamilyPolicy", ""), rows[i].policy);
        assert_int_equal(json_array_size(part(&a, "spec.ipFamilies")), rows[i].n);
        drop("a");
    }
}

static void a_new_one_has_the_status_of_no_balancer(void **state)
{
    (void)state;
    auto_answer a = make("a", "'ports':[{'port':80}]");
    json_auto_t *want = json_of("{'loadBalancer':{}}");

    assert_int_equal(a.code, 201);
    assert_true(json_equal(part(&a, "status"), want));
    drop("a");
}

static void a_dry_run_holds_nothing(void **state)
{
    static const char body[] = "{'metadata':{'name':'a'},'spec':{'type':'NodePort','ports':[{"
                               "'port':80,'nodePort':30085}]}}";
    (void)state;
    expect_made(call("POST", SVC "?dryRun=All", body));
    expect_made(call("POST", SVC, body));
    drop("a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_ports_are_given_once),
        cmocka_unit_test(a_refused_service_holds_nothing),
        cmocka_unit_test(addresses_are_refused_by_name),
        cmocka_unit_test(a_refused_change_gives_back_what_it_took_alone),
        cmocka_unit_test(endpoints_are_stored_as_they_were_written),
        cmocka_unit_test(what_was_given_stays_when_it_is_left_out),
        cmocka_unit_test(protocols_of_one_port_share_a_node_port),
        cmocka_unit_test(a_change_of_type_takes_and_gives_back),
        cmocka_unit_test(balancers_may_do_without_node_ports),
        cmocka_unit_test(headless_services_say_what_families_they_mean),
        cmocka_unit_test(a_new_one_has_the_status_of_no_balancer),
        cmocka_unit_test(a_dry_run_holds_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
