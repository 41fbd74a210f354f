/* What a server learns of a node over its port, with a real tunnel and a kubelet port behind it,
 * and what it says then. */
#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/kube/node_report.h"
#include "server/boot/node_verdict.h"
#include "test/lib/port.h"
#include "tunnel/client.h"

#include <stdio.h>
#include <stdlib.h>

#define PASSWORD "0123456789abcdef0123456789abcdef"
#define A_DAY_S  86400

static struct harness h;
static struct caller admin, node;
static char *good_auth, *wrong_auth;

/* ---- the kubelet port of edge-1: what it answers, and with which certificate ---- */

static struct listener *port;
static struct http_server *kubelet;
static struct tls_server_config *kubelet_tls;
static uint16_t kubelet_port;
static int kubelet_status;

static void on_request(struct http_req *r, void *arg)
{
    (void)arg;
    http_reply(r, kubelet_status, "text/plain", STR("ok"), NULL, 0);
}

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    http_server_serve(kubelet, tls_server_wrap(kubelet_tls, s));
}

static void open_kubelet(const char *name)
{
    AUTO(key) struct key *key = NULL;
    auto_buf cert = BUF(CA_NODE_PEM_MAX_BYTES), pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    struct http_server_config hc = { .on_request = on_request };
    struct err e = { 0 };

    if (key_generate(&key, KEY_P256, &e) ||
        ca_issue_serving_kubelet(h.ca, name, NULL, 0, key, &cert, &e) || key_to_pem(key, &pem, &e))
        fail_msg("%s", e.text);
    assert_int_equal(tls_server_config_new(&kubelet_tls, buf_str(&cert), buf_str(&pem),
                                           ca_client_ca(h.ca), NULL, &e),
                     0);
    http_server_new(&kubelet, &h.loop, &hc);
    if (!kubelet_port)
        kubelet_port = port_reserve(); /* it comes back there */
    assert_int_equal(tcp_listen(&port, &h.loop, "127.0.0.1", kubelet_port, on_accept, NULL, &e), 0);
    kubelet_status = 200;
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static void close_kubelet(void)
{
    bool closed = false;

    listener_close(STEAL(port), raise_flag, &closed);
    harness_wait(&h, &closed);
    closed = false;
    http_server_close(kubelet, raise_flag, &closed);
    harness_wait(&h, &closed);
    tls_server_config_free(kubelet_tls);
}

/* ---- the tunnel of edge-1 ---- */

static struct tunnel_authorizer authorizer;
static struct tunnel_client *tunnel;

static void wait_connected(bool connected)
{
    uint64_t until = clock_mono_ms() + 20000;

    while (tunnel_server_has(h.tunnels, "edge-1") != connected && clock_mono_ms() < until)
        uv_run(&h.loop, UV_RUN_ONCE);
    assert_int_equal(tunnel_server_has(h.tunnels, "edge-1"), connected);
}

static void open_tunnel(void)
{
    struct tunnel_client_options o = { .ca_pem = ca_cacerts(h.ca),
                                       .cert_chain_pem = str_of(node.cert_pem),
                                       .key_pem = str_of(node.key_pem),
                                       .authorizer = &authorizer,
                                       .reconnect_min_ms = 5,
                                       .reconnect_max_ms = 10 };
    char address[64];
    struct err e = { 0 };

    authorizer.kubelet_port = kubelet_port;
    snprintf(address, sizeof address, "127.0.0.1:%u", h.port);
    assert_int_equal(tunnel_client_new(&tunnel, &h.loop, address, &o, &e), 0);
    wait_connected(true);
}

static void close_tunnel(void)
{
    bool closed = false;

    tunnel_client_close(STEAL(tunnel), raise_flag, &closed);
    harness_wait(&h, &closed);
    wait_connected(false);
}

/* ---- asking ---- */

static struct answer why(const char *name)
{
    auto_free char *target = mem_printf("/v1-coracle/why?node=%s", name);

    return ask(&h, &admin, "GET", target, NULL, 0, STR(""));
}

static void expect_reason(const char *name, bool reachable, const char *cause, const char *reason)
{
    auto_answer a = why(name);

    if (a.code != 200 || json_bool_at(a.doc, "reachable", !reachable) != reachable ||
        strcmp(json_str_at(a.doc, "cause", "?"), cause) != 0 ||
        !strstr(json_str_at(a.doc, "line", ""), reason))
        fail_msg("%s: %d %s", name, a.code, buf_cstr(&a.body));
}

/* The last transition of that source. */
static void expect_last(const char *name, const char *from, bool up, const char *cause)
{
    auto_answer a = why(name);
    const json_t *ev, *last = NULL;
    size_t i;

    json_array_foreach(json_object_get(a.doc, "transitions"), i, ev)
    {
        if (strcmp(json_str_at(ev, "from", ""), from) == 0)
            last = ev;
    }
    if (json_bool_at(last, "up", !up) != up || strcmp(json_str_at(last, "cause", ""), cause) != 0)
        fail_msg("%s: %s", name, buf_cstr(&a.body));
}

static struct answer join_as(const struct caller *who, const char *name, const char *password)
{
    struct http_header headers[] = { { STR("k3s-Node-Name"), str_of(name) },
                                     { STR("k3s-Node-Password"), str_of(password) } };

    return ask(&h, who, "GET", "/v1-k3s/client-kubelet.crt", headers, 2, STR(""));
}

static int setup(void **state)
{
    char *cert, *key;
    struct err e = { 0 };
    (void)state;

    harness_open(&h, TUNNEL_EGRESS_AGENT);
    harness_start_supervisor(&h);
    good_auth = basic("node", AGENT_PASSWORD);
    wrong_auth = basic("node", "wrong");
    admin = (struct caller){ NULL, str_dup(ca_client_cert(h.ca, CA_CLIENT_ADMIN)),
                             str_dup(ca_client_key(h.ca, CA_CLIENT_ADMIN)) };
    node_cert(&h, "edge-1", &cert, &key);
    node = (struct caller){ NULL, cert, key };
    assert_int_equal(tunnel_authorizer_init(&authorizer, STR("agent"), &e), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    tunnel_authorizer_deinit(&authorizer);
    free(good_auth);
    free(wrong_auth);
    free((char *)admin.cert_pem);
    free((char *)admin.key_pem);
    free((char *)node.cert_pem);
    free((char *)node.key_pem);
    return 0;
}

/* ---- refusals ---- */

static void who_never_spoke_is_said_so(void **state)
{
    auto_answer a = why("ghost");
    (void)state;

    assert_int_equal(a.code, 404);
    assert_non_null(strstr(json_str_at(a.doc, "message", ""), "nobody of that name has spoken"));
}

static void a_wrong_token_is_a_claim(void **state)
{
    struct caller wrong = { wrong_auth, NULL, NULL };
    auto_answer a = join_as(&wrong, "New-1", PASSWORD);
    (void)state;

    assert_int_equal(a.code, 401);
    expect_reason("new-1", false, "token", "from 127.0.0.1 (by a client that only claims");
    expect_last("new-1", "claim", false, "token");
    auto_answer b = join_as(&wrong, "..", PASSWORD); /* no name, no claim */
    assert_int_equal(b.code, 401);
}

static void a_wrong_password_is_named(void **state)
{
    struct caller good = { good_auth, NULL, NULL };
    auto_answer first = join_as(&good, "taken", PASSWORD);
    auto_answer second = join_as(&good, "taken", "other");
    (void)state;

    assert_int_equal(first.code, 200);
    assert_int_equal(second.code, 403);
    expect_reason("taken", false, "password", "the node password is not the one");
    expect_last("taken", "claim", false, "password");
}

static void certificates_out_of_date_prove_who_it_is(void **state)
{
    static const struct {
        const char *name;
        int64_t issued_s, shown_s; /* from now, by this server's clock */
        const char *cause, *reason;
        const char *from;
    } rows[] = {
        { "expired", 0, 2 * A_DAY_S, "TLS", "its client certificate has expired at 20", "server" },
        { "early", 2 * A_DAY_S, 0, "clock", "this server's clock is behind", "server" },
        { "foreign", 0, 0, "TLS", "not of this cluster, but of CN=k3s-client-ca", "claim" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *cert, *key;
        setenv("CATTLE_NEW_SIGNED_CERT_EXPIRATION_DAYS", "1", 1);
        clock_set_offset_s(rows[i].issued_s);
        (strcmp(rows[i].from, "claim") == 0 ? stranger_cert(rows[i].name, &cert, &key)
                                            : node_cert(&h, rows[i].name, &cert, &key));
        unsetenv("CATTLE_NEW_SIGNED_CERT_EXPIRATION_DAYS");
        clock_set_offset_s(rows[i].shown_s);
        struct caller who = { NULL, cert, key };
        auto_answer a = ask(&h, &who, "GET", "/v1-k3s/connect", NULL, 0, STR(""));
        clock_set_offset_s(0);
        assert_int_equal(a.code, 401);
        expect_reason(rows[i].name, false, rows[i].cause, rows[i].reason);
        expect_last(rows[i].name, rows[i].from, false, rows[i].cause);
        free(cert);
        free(key);
    }
}

/* ---- tunnel and kubelet port ---- */

static void add_node(const char *name, const char *ready)
{
    auto_free char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\"},\"status\":{\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"%s\",\"message\":\"the container runtime is down\"}],"
        "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%u}}}}",
        name, ready, kubelet_port);

    assert_int_equal(create(&h, "nodes", NULL, text), 201);
    harness_turns(&h, 30);
}

/* The node proxy: its 502 holds the very reason. */
static void expect_502(const char *reason_has)
{
    auto_answer a = ask(&h, &admin, "GET", "/api/v1/nodes/edge-1/proxy/healthz", NULL, 0, STR(""));
    const char *message = json_str_at(a.doc, "message", "");
    auto_answer b = why("edge-1");
    const char *reason = json_str_at(b.doc, "reason", "?");

    assert_int_equal(a.code, 502);
    if (!strstr(message, reason) || !strstr(reason, reason_has))
        fail_msg("502: %s, why: %s", message, reason);
}

static void a_node_comes_and_goes(void **state)
{
    char text[NODE_REASON_BYTES];
    (void)state;

    open_kubelet("edge-1");
    expect_reason("early", false, "clock", "clock"); /* what others did does not matter */
    open_tunnel();
    expect_reason("edge-1", false, "node", "has not registered the Node yet");
    add_node("edge-1", "False");
    expect_last("edge-1", "server", true, "node");
    expect_reason("edge-1", true, "", "not Ready: the container runtime is down");
    node_why_reason(h.why, "edge-1", text, sizeof text);
    assert_string_equal(text, "");

    kubelet_status = 500;
    expect_reason("edge-1", false, "kubelet port", "it answers HTTP 500 to /healthz");
    kubelet_status = 200;
    expect_reason("edge-1", true, "", "reachable");
    expect_last("edge-1", "server", true, "kubelet port");

    close_kubelet();
    expect_reason("edge-1", false, "kubelet port", "connection refused");
    expect_502("kubelet port: dial tcp 127.0.0.1:");
    expect_last("edge-1", "server", false, "kubelet port");

    open_kubelet("edge-2"); /* another name in its certificate */
    expect_reason("edge-1", false, "TLS", "TLS handshake");
    expect_502("TLS: ");
    close_kubelet();
    open_kubelet("edge-1");
    expect_reason("edge-1", true, "", "reachable");

    close_tunnel();
    expect_last("edge-1", "server", false, "session");
    expect_502("session: its tunnel ended at ");
    auto_answer a = ask(&h, &admin, "GET", "/api/v1/nodes/edge-1/proxy/healthz", NULL, 0, STR(""));
    assert_non_null(strstr(json_str_at(a.doc, "message", ""),
                           "failed to find Session for client edge-1: session: "));
    node_why_reason(h.why, "edge-1", text, sizeof text);
    assert_non_null(strstr(json_str_at(a.doc, "message", ""), text));

    /* a machine of the same name that lost its password explains it better */
    struct caller good = { good_auth, NULL, NULL };
    auto_answer first = join_as(&good, "edge-1", PASSWORD);
    auto_answer second = join_as(&good, "edge-1", "other");
    assert_int_equal(second.code, 403);
    expect_502("password: ");

    open_tunnel();
    expect_reason("edge-1", true, "", "reachable");
    node_why_on_lease(h.why, "edge-1", true, 41000);
    expect_reason("edge-1", false, "lease", "not renewed since 20");
    node_why_on_lease(h.why, "edge-1", false, 0);
    expect_reason("edge-1", true, "", "reachable");
    expect_last("edge-1", "server", true, "lease");

    delete (&h, "nodes", NULL, "edge-1");
    harness_turns(&h, 30); /* its sessions are closed; the agent comes again */
    wait_connected(true);
    expect_reason("edge-1", false, "node", "registers again when it is restarted");
    close_tunnel();
    expect_reason("edge-1", false, "node", "the Node object was deleted at ");
    close_kubelet();
}

/* A question under way when the server stops is answered all the same. */
static void on_told(void *arg, json_t *doc_take)
{
    json_decref(doc_take);
    ++*(unsigned *)arg;
}

static void on_silent(void *arg, struct stream *s)
{
    *(struct stream **)arg = s; /* nobody ever reads from it */
}

static void stopping_ends_questions(void **state)
{
    struct stream *silent = NULL;
    struct listener *l;
    unsigned n_told = 0;
    bool stopped = false;
    struct err e = { 0 };
    (void)state;

    assert_int_equal(tcp_listen(&l, &h.loop, "127.0.0.1", 0, on_silent, &silent, &e), 0);
    kubelet_port = listener_port(l);
    add_node("own-1", "True"); /* needs no tunnel */
    node_why_tell(h.why, "own-1", on_told, &n_told);
    node_why_tell(h.why, NULL, on_told, &n_told);
    assert_int_equal(n_told, 0);
    for (int i = 0; i < 20000 && !silent; i++)
        uv_run(&h.loop, UV_RUN_ONCE);
    node_why_stop(h.why, raise_flag, &stopped);
    harness_wait(&h, &stopped);
    assert_int_equal(n_told, 2);
    stream_close(silent);
    listener_close(l, NULL, NULL);
}

/* ---- reports ---- */

static void reports_are_the_nodes_own(void **state)
{
    struct node_report r = { .run = "0123456789abcdef", .n_spells = 1 };
    auto_buf body = BUF(NODE_REPORT_MAX_BYTES);
    (void)state;

    r.now_unix_s = clock_wall_s() - 11525;
    /* it ended just now, so after the tunnels of the tests before, however few seconds ago they were */
    r.spells[0] = (struct node_spell){ CAUSE_DNS, 60000, 60000, false, 9, "no such name" };
    assert_int_equal(node_report_write(&body, &r), 0);
    open_kubelet("edge-1");
    open_tunnel();
    auto_answer a = ask(&h, &node, "POST", "/v1-coracle/report", NULL, 0, buf_str(&body));
    assert_int_equal(a.code, 204);
    auto_answer b = why("edge-1");
    const char *line = json_str_at(b.doc, "line", "");
    if (!strstr(line, "3 h 12 min behind") || !strstr(line, "for: DNS: no such name") ||
        json_i64_at(b.doc, "clockAheadSeconds", 0) > -11500)
        fail_msg("%s", buf_cstr(&b.body));
    static char large[NODE_REPORT_MAX_BYTES + 1];
    auto_answer c =
        ask(&h, &node, "POST", "/v1-coracle/report", NULL, 0, str_n(large, sizeof large));
    assert_int_equal(c.code, 413);
    close_tunnel();
    close_kubelet();
}

static void all_nodes_are_listed_by_name(void **state)
{
    auto_answer a = ask(&h, &admin, "GET", "/v1-coracle/why", NULL, 0, STR(""));
    const json_t *list = json_object_get(a.doc, "nodes");
    (void)state;

    assert_int_equal(a.code, 200);
    assert_true(json_array_size(list) >= 6);
    for (size_t i = 1; i < json_array_size(list); i++)
        assert_true(strcmp(json_str_at(json_array_get(list, i - 1), "node", ""),
                           json_str_at(json_array_get(list, i), "node", "")) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_never_spoke_is_said_so),
        cmocka_unit_test(a_wrong_token_is_a_claim),
        cmocka_unit_test(a_wrong_password_is_named),
        cmocka_unit_test(certificates_out_of_date_prove_who_it_is),
        cmocka_unit_test(a_node_comes_and_goes),
        cmocka_unit_test(reports_are_the_nodes_own),
        cmocka_unit_test(all_nodes_are_listed_by_name),
        cmocka_unit_test(stopping_ends_questions), /* last: nobody asks after it */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
