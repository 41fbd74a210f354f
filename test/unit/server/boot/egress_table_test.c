/* Which way a target is reached, as rows; and what the table forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/data/json.h"
#include "server/boot/egress_table.h"

#define OWN "own-1"

static json_t *parse(const char *text) /* "'" for the quotes of JSON */
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

static void set_node(struct egress_table *t, const char *text)
{
    json_auto_t *node = parse(text);

    egress_table_set_node(t, node);
}

static void set_pod(struct egress_table *t, const char *text)
{
    json_auto_t *pod = parse(text);

    egress_table_set_pod(t, pod);
}

/* "direct 10.0.0.1:80", "tunnel edge-1 127.0.0.1:10250", "tunnel? edge-1 10.42.1.5:80" */
static const char *way_to(const struct egress_table *t, const char *host, uint16_t port)
{
    static const char *const ways[] = { "direct", "tunnel", "tunnel?" };
    static char text[600];
    struct egress_route r;
    struct err e;

    assert_int_equal(egress_table_route(t, str_of(host), port, &r, &e), 0);
    snprintf(text, sizeof text, "%s %s%s%s:%u", ways[r.way], r.way ? r.node : "", r.way ? " " : "",
             r.host, r.port);
    return text;
}

/* The cluster of the rows: the server's own node; edge-1 with the label, both kinds of addresses
 * and its kubelet elsewhere; edge-2 without the label; edge-3 that says nothing yet. A pod on each.
 */
static struct egress_table *cluster_in(enum tunnel_egress_mode mode)
{
    static const char *const nodes[] = {
        "{'metadata':{'name':'" OWN "','labels':{'egress.k3s.io/cluster':'true'}},'status':{"
        "'addresses':[{'type':'InternalIP','address':'10.0.0.1'}]}}",
        "{'metadata':{'name':'edge-1','labels':{'egress.k3s.io/cluster':'true'}},'status':{"
        "'addresses':[{'type':'Hostname','address':'edge-1'},{'type':'InternalIP','address':"
        "'10.0.1.1'},{'type':'InternalIP','address':'fd00:1::1'},{'type':'ExternalIP','address':"
        "'198.51.100.1'}],'daemonEndpoints':{'kubeletEndpoint':{'Port':20250}}}}",
        "{'metadata':{'name':'edge-2'},'status':{'addresses':[{'type':'InternalIP','address':"
        "'10.0.2.1'}],'daemonEndpoints':{'kubeletEndpoint':{'Port':10250}}}}",
        "{'metadata':{'name':'edge-3'}}",
    };
    static const char *const pods[] = {
        "{'metadata':{'namespace':'a','name':'own'},'spec':{'nodeName':'" OWN "'},"
        "'status':{'podIPs':[{'ip':'10.42.0.5'}]}}",
        "{'metadata':{'namespace':'a','name':'one'},'spec':{'nodeName':'edge-1'},"
        "'status':{'phase':'Running','podIPs':[{'ip':'10.42.1.5'},{'ip':'fd00:42::5'}]}}",
        "{'metadata':{'namespace':'a','name':'two'},'spec':{'nodeName':'edge-2'},"
        "'status':{'podIPs':[{'ip':'10.42.2.5'}]}}",
        "{'metadata':{'namespace':'a','name':'host'},'spec':{'nodeName':'edge-1','hostNetwork':"
        "true},'status':{'podIPs':[{'ip':'10.0.1.1'}]}}",
        "{'metadata':{'namespace':'a','name':'ended'},'spec':{'nodeName':'edge-1'},"
        "'status':{'phase':'Succeeded','podIPs':[{'ip':'10.42.1.6'}]}}",
        "{'metadata':{'namespace':'a','name':'pending'},'spec':{},'status':{}}",
    };
    struct egress_table *t = egress_table_new(OWN, mode);

    for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
        set_node(t, nodes[i]);
    for (size_t i = 0; i < ARRAY_LEN(pods) && egress_table_wants_pods(t); i++)
        set_pod(t, pods[i]);
    return t;
}

static void each_target_has_its_way(void **state)
{
    /* NULL: as the mode before it */
    static const struct {
        const char *host;
        uint16_t port;
        const char *agent, *pod, *cluster, *disabled;
    } rows[] = {
        /* names are nodes, known or not: their kubelet's port, or any */
        { "edge-1", 10250, "tunnel edge-1 127.0.0.1:10250", NULL, NULL, "direct 10.0.1.1:10250" },
        { "edge-1", 80, "tunnel edge-1 127.0.0.1:80", NULL, NULL, "direct 10.0.1.1:80" },
        { "edge-3", 10250, "tunnel edge-3 127.0.0.1:10250", NULL, NULL, NULL },
        { "nobody", 10250, "tunnel nobody 127.0.0.1:10250", NULL, NULL, NULL },
        { OWN, 10250, "direct 127.0.0.1:10250", NULL, NULL, NULL },
        /* a node's address: the kubelet's port as the Node says it, and the stream port */
        { "10.0.1.1", 20250, "tunnel edge-1 127.0.0.1:20250", NULL, NULL, "direct 10.0.1.1:20250" },
        { "10.0.1.1", 10010, "tunnel edge-1 127.0.0.1:10010", NULL, NULL, "direct 10.0.1.1:10010" },
        { "fd00:1:0::1", 20250, "tunnel edge-1 127.0.0.1:20250", NULL, NULL,
          "direct 10.0.1.1:20250" },
        { "198.51.100.1", 20250, "tunnel edge-1 127.0.0.1:20250", NULL, NULL,
          "direct 10.0.1.1:20250" },
        { "10.0.2.1", 10250, "tunnel edge-2 127.0.0.1:10250", NULL, NULL, "direct 10.0.2.1:10250" },
        { "10.0.0.1", 10250, "direct 127.0.0.1:10250", NULL, NULL, NULL },
        /* another port: by the label, whatever mode this server is in */
        { "10.0.1.1", 10250, "tunnel? edge-1 10.0.1.1:10250", NULL, NULL, "direct 10.0.1.1:10250" },
        { "10.0.1.1", 80, "tunnel? edge-1 10.0.1.1:80", NULL, NULL, "direct 10.0.1.1:80" },
        { "fd00:1::1", 80, "tunnel? edge-1 fd00:1::1:80", NULL, NULL, "direct fd00:1::1:80" },
        { "10.0.2.1", 80, "direct 10.0.2.1:80", NULL, NULL, NULL },
        { "10.0.0.1", 80, "direct 10.0.0.1:80", NULL, NULL, NULL },
        { "198.51.100.1", 80, "direct 198.51.100.1:80", NULL, NULL, NULL },
        /* pods */
        { "10.42.1.5", 80, "direct 10.42.1.5:80", "tunnel? edge-1 10.42.1.5:80", NULL,
          "direct 10.42.1.5:80" },
        { "10.42.1.5", 10250, "direct 10.42.1.5:10250", "tunnel? edge-1 10.42.1.5:10250", NULL,
          "direct 10.42.1.5:10250" },
        { "fd00:42::5", 80, "direct fd00:42::5:80", "tunnel? edge-1 fd00:42::5:80", NULL,
          "direct fd00:42::5:80" },
        { "10.42.2.5", 80, "direct 10.42.2.5:80", NULL, NULL, NULL }, /* its node has no label */
        { "10.42.0.5", 80, "direct 10.42.0.5:80", NULL, NULL, NULL }, /* own */
        { "10.42.1.6", 80, "direct 10.42.1.6:80", NULL, NULL, NULL }, /* has ended */
        { "10.42.1.7", 80, "direct 10.42.1.7:80", NULL, NULL, NULL },
        /* nobody's */
        { "203.0.113.7", 443, "direct 203.0.113.7:443", NULL, NULL, NULL },
        { "127.0.0.1", 10250, "direct 127.0.0.1:10250", NULL, NULL, NULL },
    };
    static const enum tunnel_egress_mode modes[] = { TUNNEL_EGRESS_AGENT, TUNNEL_EGRESS_POD,
                                                     TUNNEL_EGRESS_CLUSTER,
                                                     TUNNEL_EGRESS_DISABLED };
    (void)state;

    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct egress_table *t = cluster_in(modes[m]);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            const char *const want[] = { rows[i].agent, rows[i].pod, rows[i].cluster,
                                         rows[i].disabled };
            size_t k = m;
            while (!want[k])
                k--;
            const char *got = way_to(t, rows[i].host, rows[i].port);
            if (strcmp(got, want[k]) != 0)
                fail_msg("mode %zu, %s:%u: %s, expected %s", m, rows[i].host, rows[i].port, got,
                         want[k]);
        }
        egress_table_free(t);
    }
}

static void the_kubelet_path_takes_the_node_by_name(void **state)
{
    struct egress_table *t = egress_table_new(OWN, TUNNEL_EGRESS_AGENT);
    struct egress_route r;
    (void)state;

    /* a name that looks like the address of another node */
    set_node(t, "{'metadata':{'name':'10.0.9.9'},'status':{'addresses':[]}}");
    set_node(t, "{'metadata':{'name':'b'},'status':{'addresses':[{'type':'InternalIP','address':"
                "'10.0.9.9'}]}}");
    egress_table_kubelet(t, "10.0.9.9", 10250, &r);
    assert_string_equal(r.node, "10.0.9.9");
    assert_string_equal(way_to(t, "10.0.9.9", 10250), "tunnel b 127.0.0.1:10250");
    egress_table_free(t);
}

static void what_goes_or_moves_is_forgotten(void **state)
{
    struct egress_table *t = cluster_in(TUNNEL_EGRESS_POD);
    (void)state;

    /* a node that moved */
    set_node(t, "{'metadata':{'name':'edge-1','labels':{'egress.k3s.io/cluster':''}},'status':{"
                "'addresses':[{'type':'InternalIP','address':'10.0.1.2'}]}}");
    assert_string_equal(way_to(t, "10.0.1.1", 80), "direct 10.0.1.1:80");
    assert_string_equal(way_to(t, "10.0.1.2", 80), "tunnel? edge-1 10.0.1.2:80");
    /* its pods stay where they are; the label went: nothing of it is tunneled */
    assert_string_equal(way_to(t, "10.42.1.5", 80), "tunnel? edge-1 10.42.1.5:80");
    set_node(t, "{'metadata':{'name':'edge-1'},'status':{'addresses':[]}}");
    assert_string_equal(way_to(t, "10.42.1.5", 80), "direct 10.42.1.5:80");
    /* a node that was deleted, and its address is another's */
    egress_table_drop_node(t, "edge-2");
    assert_string_equal(way_to(t, "10.0.2.1", 10250), "direct 10.0.2.1:10250");
    set_node(t, "{'metadata':{'name':'edge-9'},'status':{'addresses':[{'type':'InternalIP',"
                "'address':'10.0.2.1'}]}}");
    assert_string_equal(way_to(t, "10.0.2.1", 10250), "tunnel edge-9 127.0.0.1:10250");
    egress_table_drop_node(t, "edge-2"); /* again */
    egress_table_drop_pod(t, "a", "nobody");
    egress_table_free(t);
}

#define POD(name, more, ip)                                                                        \
    "{'metadata':{'namespace':'a','name':'" name "'" more "},'spec':{'nodeName':'" name "'},"      \
    "'status':{'podIPs':[{'ip':'" ip "'}]}}"

static void an_address_is_the_successors(void **state)
{
    struct egress_table *t = egress_table_new(OWN, TUNNEL_EGRESS_CLUSTER);
    (void)state;

    set_node(t, "{'metadata':{'name':'x','labels':{'egress.k3s.io/cluster':'true'}}}");
    set_node(t, "{'metadata':{'name':'y','labels':{'egress.k3s.io/cluster':'true'}}}");
    set_pod(t, POD("x", "", "10.42.1.5"));
    set_pod(t, POD("y", "", "10.42.1.5"));
    assert_string_equal(way_to(t, "10.42.1.5", 80), "tunnel? y 10.42.1.5:80");
    /* the first one's last words take nothing from it */
    set_pod(t, POD("x", ",'deletionTimestamp':'2026-11-22T10:00:00Z'", "10.42.1.5"));
    assert_string_equal(way_to(t, "10.42.1.5", 80), "tunnel? y 10.42.1.5:80");
    egress_table_drop_pod(t, "a", "x");
    assert_string_equal(way_to(t, "10.42.1.5", 80), "tunnel? y 10.42.1.5:80");
    egress_table_drop_pod(t, "a", "y");
    assert_string_equal(way_to(t, "10.42.1.5", 80), "direct 10.42.1.5:80");
    egress_table_free(t);
}

static void a_name_too_long_for_one_is_refused(void **state)
{
    struct egress_table *t = egress_table_new("", TUNNEL_EGRESS_AGENT);
    struct egress_route r;
    struct err e;
    char name[300];
    (void)state;

    memset(name, 'a', sizeof name);
    assert_int_equal(egress_table_route(t, str_n(name, 253), 1, &r, &e), 0);
    assert_int_equal(strlen(r.node), 253);
    assert_int_equal(egress_table_route(t, str_n(name, 254), 1, &r, &e), ERR_INVALID);
    assert_string_equal(way_to(t, "", 1), "tunnel  127.0.0.1:1"); /* no server's own node is "" */
    egress_table_free(t);
    egress_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_target_has_its_way),
        cmocka_unit_test(the_kubelet_path_takes_the_node_by_name),
        cmocka_unit_test(what_goes_or_moves_is_forgotten),
        cmocka_unit_test(an_address_is_the_successors),
        cmocka_unit_test(a_name_too_long_for_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
