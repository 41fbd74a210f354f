/* What the pods of a node open to the servers' tunnels, from their objects to the authorizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/boot/reach.h"
#include "base/core/macros.h"
#include "base/data/json.h"

#define NODE_IP "192.168.77.10"
/* fields of a Pod, "'" for the quotes of JSON */
#define STATUS(phase, ips)       "'status':{'phase':'" phase "','podIPs':[" ips "]}"
#define IP(text)                 "{'ip':'" text "'}"
#define HOST_NETWORK(containers) "'spec':{'hostNetwork':true,'containers':[" containers "]}"

static json_t *parse(const char *text)
{
    char copy[1024];
    json_t *out = NULL;
    struct err e;
    size_t n = strlen(text);

    assert_true(n < sizeof copy);
    for (size_t i = 0; i <= n; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    if (json_parse(&out, str_of(copy), &e))
        fail_msg("%s: %s", text, e.text);
    return out;
}

static void a_pod_opens_what_is_its_own(void **state)
{
    static const struct {
        const char *pod, *target;
        bool allowed;
    } rows[] = {
        /* a pod of the pod network: any port of its addresses */
        { "{'spec':{}," STATUS("Running", IP("10.42.1.5")) "}", "10.42.1.5:80", true },
        { "{'spec':{}," STATUS("Running", IP("10.42.1.5") "," IP("fd00:42::5")) "}",
          "[fd00:42:0::5]:8443", true },
        { "{'spec':{}," STATUS("Pending", IP("10.42.1.5")) "}", "10.42.1.5:80", true },
        { "{'spec':{}," STATUS("Running", IP("10.42.1.5")) "}", "10.42.1.6:80", false },
        { "{'spec':{}," STATUS("Running", IP("10.42.1.5")) "}", NODE_IP ":80", false },
        /* on its way out it may still answer; ended, its address may be another's */
        { "{'metadata':{'deletionTimestamp':'2026-11-22T10:00:00Z'},'spec':{}," STATUS(
              "Running", IP("10.42.1.5")) "}",
          "10.42.1.5:80", true },
        { "{'spec':{}," STATUS("Succeeded", IP("10.42.1.5")) "}", "10.42.1.5:80", false },
        { "{'spec':{}," STATUS("Failed", IP("10.42.1.5")) "}", "10.42.1.5:80", false },
        /* no address yet, and things that are none */
        { "{'spec':{}," STATUS("Pending", "") "}", "10.42.1.5:80", false },
        { "{'spec':{},'status':{'podIPs':[{'ip':''},{},7]}}", "10.42.1.5:80", false },
        { "{}", "10.42.1.5:80", false },
        /* the host's network: only what is declared, TCP, at the node's address */
        { "{" HOST_NETWORK("{'ports':[{'containerPort':8080,'protocol':'TCP'}]}") "," STATUS(
              "Running", IP(NODE_IP)) "}",
          NODE_IP ":8080", true },
        { "{" HOST_NETWORK("{},{'ports':[{'containerPort':1},{'containerPort':8080}]}") "," STATUS(
              "Running", IP(NODE_IP)) "}",
          NODE_IP ":8080", true },
        { "{" HOST_NETWORK("{'ports':[{'containerPort':8080,'protocol':'UDP'}]}") "," STATUS(
              "Running", IP(NODE_IP)) "}",
          NODE_IP ":8080", false },
        { "{" HOST_NETWORK("{'ports':[{'containerPort':8080}]}") "," STATUS("Running",
                                                                            IP(NODE_IP)) "}",
          NODE_IP ":8081", false },
        { "{" HOST_NETWORK("{'ports':[{'containerPort':73616},{'containerPort':-1}]}") "," STATUS(
              "Running", IP(NODE_IP)) "}",
          NODE_IP ":8080", false },
        { "{" HOST_NETWORK("{'ports':[{'containerPort':8080}]}") "," STATUS("Failed",
                                                                            IP(NODE_IP)) "}",
          NODE_IP ":8080", false },
        /* a port of the pod network is not one of the node's */
        { "{'spec':{'containers':[{'ports':[{'containerPort':8080}]}]}," STATUS(
              "Running", IP("10.42.1.5")) "}",
          NODE_IP ":8080", false },
    };
    const char *node_ips[] = { NODE_IP };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *pod = parse(rows[i].pod);
        struct tunnel_authorizer a;
        struct tunnel_target target;
        struct tunnel_pod p;
        const char *ips[4];
        uint16_t ports[4];
        struct err e = { 0 };

        assert_int_equal(tunnel_authorizer_init(&a, STR("pod"), &e), 0);
        assert_int_equal(tunnel_authorizer_set_node(&a, node_ips, 1, NULL, 0, &e), 0);
        bool counts = reach_of_pod(&p, pod, ips, ARRAY_LEN(ips), ports, ARRAY_LEN(ports));
        assert_int_equal(tunnel_authorizer_set_pods(&a, &p, counts, &e), 0);
        int r = tunnel_authorizer_check(&a, STR("tcp"), str_of(rows[i].target), &target, &e);
        if ((r == 0) != rows[i].allowed)
            fail_msg("row %zu: %s %s", i, rows[i].target, r ? e.text : "is allowed");
        tunnel_authorizer_deinit(&a);
    }
}

static void more_than_there_is_room_for_is_left_out(void **state)
{
    json_auto_t *pod =
        parse("{'spec':{'hostNetwork':true,'containers':[{'ports':["
              "{'containerPort':1},{'containerPort':2},{'containerPort':3}]}]}," STATUS(
                  "Running", IP("10.0.0.1") "," IP("10.0.0.2")) "}");
    struct tunnel_pod p;
    const char *ips[1];
    uint16_t ports[2];
    (void)state;

    assert_true(reach_of_pod(&p, pod, ips, 1, ports, 2));
    assert_int_equal(p.n_ips, 1);
    assert_int_equal(p.n_tcp_ports, 2);
    assert_int_equal(p.tcp_ports[1], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_opens_what_is_its_own),
        cmocka_unit_test(more_than_there_is_room_for_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
