/* The supervisor's paths, over TLS, with every kind of credential. */
#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/data/base64.h"
#include "base/io/tls.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/x509.h"

#include <stdio.h>
#include <stdlib.h>

#define PASSWORD "0123456789abcdef0123456789abcdef"

static struct harness h;

enum who { NOBODY, AGENT, SERVER, WRONG, NODE, BOOTSTRAP, ADMIN, STRANGER, N_WHO };
static struct caller callers[N_WHO];
static char *owned[12];
static size_t n_owned;

static char *keep(char *p)
{
    assert_true(n_owned < ARRAY_LEN(owned));
    return owned[n_owned++] = p;
}

static void add_bootstrap_token(void)
{
    auto_free char *text = mem_strdup(
        "{\"metadata\":{\"name\":\"bootstrap-token-abcdef\"},\"type\":"
        "\"bootstrap.kubernetes.io/token\",\"stringData\":{\"token-id\":\"abcdef\","
        "\"token-secret\":\"0123456789abcdef\",\"usage-bootstrap-authentication\":\"true\"}}");
    assert_int_equal(create(&h, "secrets", "kube-system", text), 201);
    harness_turns(&h, 30);
}

static int setup(void **state)
{
    char *cert, *key;
    (void)state;

    harness_open(&h, TUNNEL_EGRESS_AGENT);
    callers[AGENT].authorization = keep(basic("node", AGENT_PASSWORD));
    callers[SERVER].authorization = keep(basic("server", SERVER_PASSWORD));
    callers[WRONG].authorization = keep(basic("node", "wrong"));
    callers[BOOTSTRAP].authorization = "Bearer abcdef.0123456789abcdef";
    node_cert(&h, "edge-1", &cert, &key);
    callers[NODE].cert_pem = keep(cert);
    callers[NODE].key_pem = keep(key);
    callers[ADMIN].cert_pem = keep(str_dup(ca_client_cert(h.ca, CA_CLIENT_ADMIN)));
    callers[ADMIN].key_pem = keep(str_dup(ca_client_key(h.ca, CA_CLIENT_ADMIN)));
    stranger_cert("edge-1", &cert, &key);
    callers[STRANGER].cert_pem = keep(cert);
    callers[STRANGER].key_pem = keep(key);
    add_bootstrap_token();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    for (size_t i = 0; i < n_owned; i++)
        free(owned[i]);
    return 0;
}

/* registration.md 1 and 1.1 */
static void each_path_has_its_role(void **state)
{
    static const struct {
        const char *method, *path;
        int want[N_WHO]; /* nobody agent server wrong node bootstrap admin stranger */
    } rows[] = {
        { "GET", "/ping", { 200, 200, 200, 200, 200, 200, 200, 200 } },
        { "GET", "/cacerts", { 200, 200, 200, 200, 200, 200, 200, 200 } },
        { "GET", "/v1-k3s/config", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        { "GET", "/v1-k3s/client-ca.crt", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        { "GET", "/v1-k3s/server-ca.crt", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        { "GET", "/v1-k3s/readyz", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        /* nobody has published the kubernetes Service's addresses */
        { "GET", "/v1-k3s/apiservers", { 403, 503, 403, 401, 503, 503, 403, 401 } },
        { "GET", "/v1-k3s/client-kube-proxy.crt", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        { "GET", "/v1-k3s/client-k3s-controller.crt", { 403, 200, 403, 401, 200, 200, 403, 401 } },
        /* without the node headers */
        { "GET", "/v1-k3s/serving-kubelet.crt", { 403, 400, 403, 401, 400, 400, 403, 401 } },
        { "GET", "/v1-k3s/client-kubelet.crt", { 403, 400, 403, 401, 400, 400, 403, 401 } },
        { "PUT", "/v1-k3s/client-kubelet.crt", { 403, 405, 403, 401, 405, 405, 403, 401 } },
        /* no websocket upgrade */
        { "GET", "/v1-k3s/connect", { 403, 403, 403, 401, 400, 403, 403, 401 } },
        { "GET", "/v1-k3s/server-bootstrap", { 403, 403, 400, 401, 403, 403, 403, 401 } },
        { "GET", "/v1-k3s/encrypt/status", { 403, 403, 400, 401, 403, 403, 403, 401 } },
        { "PUT", "/v1-k3s/token", { 403, 403, 400, 401, 403, 403, 403, 401 } },
        { "GET", "/db/info", { 403, 403, 400, 401, 403, 403, 403, 401 } },
        /* ours: an empty report is none */
        { "POST", "/v1-coracle/report", { 403, 403, 403, 401, 400, 403, 403, 401 } },
        { "GET", "/v1-coracle/report", { 403, 403, 403, 401, 405, 403, 403, 401 } },
        { "GET", "/v1-coracle/why", { 403, 403, 403, 401, 403, 403, 200, 401 } },
        { "GET", "/v1-coracle/why?node=ghost", { 403, 403, 403, 401, 403, 403, 404, 401 } },
        { "GET", "/v1-coracle/why?node=..", { 403, 403, 403, 401, 403, 403, 400, 401 } },
        /* all else is the API's: anonymous is 401 there */
        { "GET", "/v1-k3s/configs", { 401, 403, 403, 401, 403, 403, 404, 401 } },
        { "GET", "/v1-k3s/config/", { 401, 403, 403, 401, 403, 403, 404, 401 } },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int w = 0; w < N_WHO; w++) {
            auto_answer a =
                ask(&h, &callers[w], rows[i].method, rows[i].path, NULL, 0, (struct str){ 0 });
            if (a.code != rows[i].want[w])
                fail_msg("%s %s as %d: %d, not %d: %s", rows[i].method, rows[i].path, w, a.code,
                         rows[i].want[w], buf_cstr(&a.body));
            /* the API's answers, and the tunnel's to what is no upgrade, are not the supervisor's
             */
            bool ours = strncmp(rows[i].path, "/v1-k3s/config", 14) != 0 &&
                        (strcmp(rows[i].path, "/v1-k3s/connect") != 0 || a.code != 400);
            if (a.code >= 400 && ours) {
                assert_string_equal(json_str_at(a.doc, "kind", ""), "Status");
                assert_int_equal(json_i64_at(a.doc, "code", 0), a.code);
                assert_true(a.closes);
            }
        }
}

static void bodies_are_byte_for_byte_what_agents_expect(void **state)
{
    auto_answer ping = ask(&h, &callers[NOBODY], "GET", "/ping", NULL, 0, STR(""));
    auto_answer ca = ask(&h, &callers[NOBODY], "GET", "/cacerts", NULL, 0, STR(""));
    auto_answer server = ask(&h, &callers[AGENT], "GET", "/v1-k3s/server-ca.crt", NULL, 0, STR(""));
    auto_answer client = ask(&h, &callers[AGENT], "GET", "/v1-k3s/client-ca.crt", NULL, 0, STR(""));
    auto_answer config = ask(&h, &callers[AGENT], "GET", "/v1-k3s/config", NULL, 0, STR(""));
    auto_answer ready = ask(&h, &callers[AGENT], "GET", "/v1-k3s/readyz", NULL, 0, STR(""));
    (void)state;

    assert_true(str_is(buf_str(&ping.body), "pong"));
    assert_true(str_eq(buf_str(&ca.body), ca_cacerts(h.ca)));
    assert_true(str_eq(buf_str(&server.body), ca_cacerts(h.ca)));
    assert_true(str_eq(buf_str(&client.body), ca_client_ca(h.ca)));
    assert_true(str_is(buf_str(&config.body), CONFIG_DOC));
    assert_string_equal(config.content_type, "application/json");
    assert_true(str_is(buf_str(&ready.body), "ok"));
    assert_true(str_starts(str_of(ping.content_type), STR("text/plain")));
}

/* ---- certificates ---- */

static struct answer ask_cert(enum who who, const char *method, const char *path, const char *node,
                              const char *password, const char *ips, struct str body)
{
    struct http_header headers[3];
    size_t n = 0;

    if (node)
        headers[n++] = (struct http_header){ STR("K3s-Node-Name"), str_of(node) };
    if (password)
        headers[n++] = (struct http_header){ STR("k3s-node-password"), str_of(password) };
    if (ips)
        headers[n++] = (struct http_header){ STR("k3s-Node-IP"), str_of(ips) };
    return ask(&h, &callers[who], method, path, headers, n, body);
}

/* Before supervisor_start; runs first. */
static void nothing_is_issued_before_passwords_can_be_checked(void **state)
{
    auto_answer a =
        ask_cert(AGENT, "GET", "/v1-k3s/client-kubelet.crt", "n1", PASSWORD, "", STR(""));
    (void)state;

    assert_int_equal(a.code, 503);
    assert_string_equal(a.retry_after, "1");
    harness_start_supervisor(&h);
}

static void a_posted_request_gets_a_leaf_for_its_key(void **state)
{
    static const struct {
        const char *path, *cn, *org;
        bool server;
    } rows[] = {
        { "/v1-k3s/serving-kubelet.crt", "edge-7", NULL, true },
        { "/v1-k3s/client-kubelet.crt", "system:node:edge-7", "system:nodes", false },
        { "/v1-k3s/client-kube-proxy.crt", "system:kube-proxy", NULL, false },
        { "/v1-k3s/client-k3s-controller.crt", "system:k3s-controller", NULL, false },
    };
    AUTO(key) struct key *key = NULL;
    auto_buf der = BUF(CSR_MAX_BYTES);
    struct err e = { 0 };
    (void)state;

    assert_int_equal(key_generate(&key, KEY_P256, &e), 0);
    assert_int_equal(csr_make(&der, key, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(x509) struct x509 *leaf = NULL;
        auto_answer a = ask_cert(AGENT, "POST", rows[i].path, "Edge-7", PASSWORD,
                                 "10.0.0.7,fd00::7", buf_str(&der));
        if (a.code != 200)
            fail_msg("%s: %d %s", rows[i].path, a.code, buf_cstr(&a.body));
        assert_null(strstr(buf_cstr(&a.body), "PRIVATE KEY"));
        assert_int_equal(bundle_n_certs(buf_str(&a.body)), 2);
        assert_int_equal(x509_parse_pem(&leaf, buf_str(&a.body), &e), 0);
        assert_true(x509_fits_key(leaf, key));
        assert_string_equal(leaf->common_name, rows[i].cn);
        assert_int_equal(leaf->n_organizations, rows[i].org ? 1 : 0);
        if (rows[i].org)
            assert_string_equal(leaf->organizations[0], rows[i].org);
        assert_int_equal(leaf->server_auth, rows[i].server);
        assert_int_equal(leaf->client_auth, !rows[i].server);
        if (rows[i].server) {
            static const char *const names[] = { "edge-7",   "localhost", "127.0.0.1",
                                                 "10.0.0.7", "fd00::7",   "::1" };
            for (size_t k = 0; k < ARRAY_LEN(names); k++)
                assert_true(x509_has_name(leaf, names[k]));
        }
    }
}

static void a_get_gets_the_shared_key_too(void **state)
{
    static const char *const paths[] = { "/v1-k3s/serving-kubelet.crt",
                                         "/v1-k3s/client-kubelet.crt",
                                         "/v1-k3s/client-kube-proxy.crt",
                                         "/v1-k3s/client-k3s-controller.crt" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO(x509) struct x509 *leaf = NULL;
        AUTO(key) struct key *key = NULL;
        struct err e = { 0 };
        auto_answer a = ask_cert(AGENT, "GET", paths[i], "edge-7", PASSWORD, "10.0.0.7", STR(""));
        assert_int_equal(a.code, 200);
        assert_non_null(strstr(buf_cstr(&a.body), "-----BEGIN EC PRIVATE KEY-----"));
        assert_int_equal(x509_parse_pem(&leaf, buf_str(&a.body), &e), 0);
        assert_int_equal(key_parse_pem(&key, buf_str(&a.body), &e), 0);
        assert_true(x509_fits_key(leaf, key));
    }
}

static void node_headers_are_checked(void **state)
{
    static char long_name[400], long_password[600];
    static const struct {
        enum who who;
        const char *path, *node, *password, *ips;
        int want;
        const char *why;
    } rows[] = {
        { AGENT, "/v1-k3s/client-kubelet.crt", NULL, PASSWORD, "", 400, "k3s-Node-Name" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "edge-7", NULL, "", 400, "k3s-Node-Password" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "", PASSWORD, "", 400, "k3s-Node-Name" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "a/b", PASSWORD, "", 400, "cannot name a node" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "..", PASSWORD, "", 400, "cannot name a node" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "n\xff", PASSWORD, "", 400, "cannot name a node" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "a b", PASSWORD, "", 400, "cannot name a node" },
        { AGENT, "/v1-k3s/client-kubelet.crt", long_name, PASSWORD, "", 400, "too long" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "edge-7", long_password, "", 400, "too long" },
        { AGENT, "/v1-k3s/client-kubelet.crt", "edge-7", "wrong", "", 403,
          "kubectl delete node edge-7" },
        { AGENT, "/v1-k3s/serving-kubelet.crt", "edge-7", PASSWORD, "nonsense", 500, "nonsense" },
        { AGENT, "/v1-k3s/serving-kubelet.crt", "edge-7", PASSWORD, "10.0.0.1,", 500, "" },
        { BOOTSTRAP, "/v1-k3s/client-kubelet.crt", "edge-7", PASSWORD, "", 200, NULL },
        { BOOTSTRAP, "/v1-k3s/client-kubelet.crt", "edge-7", "wrong", "", 403, "rejected" },
        /* a node's own certificate: only for that node, and only while its Node exists */
        { NODE, "/v1-k3s/client-kubelet.crt", "edge-7", PASSWORD, "", 400,
          "not the node of the client certificate" },
        { NODE, "/v1-k3s/client-kubelet.crt", "edge-1", PASSWORD, "", 401, "does not exist" },
    };
    (void)state;

    memset(long_name, 'a', sizeof long_name - 1);
    memset(long_password, 'a', sizeof long_password - 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask_cert(rows[i].who, "GET", rows[i].path, rows[i].node, rows[i].password,
                                 rows[i].ips, STR(""));
        if (a.code != rows[i].want ||
            (rows[i].why && !strstr(json_str_at(a.doc, "message", ""), rows[i].why)))
            fail_msg("row %zu: %d %s", i, a.code, buf_cstr(&a.body));
    }
}

static void a_node_renews_with_its_certificate_while_its_node_exists(void **state)
{
    (void)state;

    assert_int_equal(create(&h, "nodes", NULL, "{\"metadata\":{\"name\":\"edge-1\"}}"), 201);
    auto_answer a =
        ask_cert(NODE, "GET", "/v1-k3s/client-kubelet.crt", "EDGE-1", PASSWORD, "", STR(""));
    assert_int_equal(a.code, 200);
    auto_answer b =
        ask_cert(NODE, "GET", "/v1-k3s/client-kubelet.crt", "edge-1", "other", "", STR(""));
    assert_int_equal(b.code, 403); /* the certificate is no substitute for the password */
    delete (&h, "nodes", NULL, "edge-1");
    auto_answer c =
        ask_cert(NODE, "GET", "/v1-k3s/client-kubelet.crt", "edge-1", PASSWORD, "", STR(""));
    assert_int_equal(c.code, 401);
    /* Basic comes first: then the certificate does not count */
    struct caller both = callers[NODE];
    both.authorization = callers[AGENT].authorization;
    struct http_header headers[] = { { STR("k3s-Node-Name"), STR("edge-8") },
                                     { STR("k3s-Node-Password"), STR(PASSWORD) } };
    auto_answer d = ask(&h, &both, "GET", "/v1-k3s/client-kubelet.crt", headers, 2, STR(""));
    assert_int_equal(d.code, 200);
    /* and a wrong password beside a good certificate is the node's identity */
    both.authorization = callers[WRONG].authorization;
    auto_answer f = ask(&h, &both, "GET", "/v1-k3s/config", NULL, 0, STR(""));
    assert_int_equal(f.code, 200);
}

static void a_bad_request_is_refused(void **state)
{
    static char large[CSR_MAX_BYTES + 1];
    AUTO(key) struct key *key = NULL;
    auto_buf der = BUF(CSR_MAX_BYTES), cut = BUF(CSR_MAX_BYTES);
    struct err e = { 0 };
    (void)state;

    assert_int_equal(key_generate(&key, KEY_P256, &e), 0);
    assert_int_equal(csr_make(&der, key, &e), 0);
    assert_int_equal(buf_add(&cut, der.p, der.n - 1), 0);
    der.p[der.n - 1] = (char)(der.p[der.n - 1] ^ 1); /* the signature */
    const struct {
        struct str body;
        int want;
    } rows[] = { { STR("hello"), 400 },
                 { buf_str(&cut), 400 },
                 { buf_str(&der), 400 },
                 { str_n(large, sizeof large), 413 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask_cert(AGENT, "POST", "/v1-k3s/client-kubelet.crt", "edge-7", PASSWORD,
                                 "", rows[i].body);
        if (a.code != rows[i].want)
            fail_msg("row %zu: %d %s", i, a.code, buf_cstr(&a.body));
        assert_null(strstr(buf_cstr(&a.body), "CERTIFICATE"));
    }
}

static void apiservers_tells_the_published_addresses(void **state)
{
    (void)state;

    int code = create(&h, "endpoints", "default",
                      "{\"metadata\":{\"name\":\"kubernetes\"},\"subsets\":[{\"addresses\":"
                      "[{\"ip\":\"192.0.2.7\"},{\"ip\":\"2001:db8::7\"}],\"ports\":"
                      "[{\"name\":\"https\",\"port\":6443}]}]}");
    assert_int_equal(code, 201);
    auto_answer a = ask(&h, &callers[AGENT], "GET", "/v1-k3s/apiservers", NULL, 0, STR(""));
    assert_int_equal(a.code, 200);
    assert_string_equal(buf_cstr(&a.body), "[\"192.0.2.7:6443\",\"[2001:db8::7]:6443\"]");
    delete (&h, "endpoints", "default", "kubernetes");
}

/* ---- the join limits ---- */

static void on_held_done(struct http_call *c, void *arg, const struct err *e)
{
    unsigned *n = arg;

    (void)c;
    (void)e;
    ++*n;
}

/* Requests whose bodies never end hold their places; one more is told to come back. */
static void too_many_at_once_are_told_to_come_back(void **state)
{
    static const struct {
        const char *method;
        unsigned n_max;
    } rows[] = { { "GET", SUPERVISOR_READS_MAX }, { "POST", SUPERVISOR_WRITES_MAX } };
    static const struct http_call_events events = { .on_done = on_held_done };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_call *held[SUPERVISOR_READS_MAX];
        struct tls_client_config *tls;
        struct http_endpoint *ep = endpoint_of(&h, &callers[AGENT], &tls);
        struct http_header auth = { STR("Authorization"), str_of(callers[AGENT].authorization) };
        struct http_call_config c = { .method = rows[i].method,
                                      .target = "/v1-k3s/client-kube-proxy.crt",
                                      .headers = &auth,
                                      .n_headers = 1,
                                      .stream_body = true,
                                      .timeout_ms = 60000 };
        unsigned n_done = 0;

        for (unsigned k = 0; k < rows[i].n_max; k++)
            http_call_start(&held[k], ep, &c, &events, &n_done);
        uint64_t until = clock_mono_ms() + 20000;
        int code = 0;
        while (code != 429 && clock_mono_ms() < until) { /* the last of them may be on its way */
            auto_answer a = ask(&h, &callers[AGENT], rows[i].method,
                                "/v1-k3s/client-kube-proxy.crt", NULL, 0, STR(""));
            code = a.code;
            if (code == 429) {
                assert_in_range(strtol(a.retry_after, NULL, 10), 1, 30);
                assert_string_equal(json_str_at(a.doc, "reason", ""), "TooManyRequests");
            }
        }
        assert_int_equal(code, 429);
        auto_answer ping = ask(&h, &callers[NOBODY], "GET", "/ping", NULL, 0, STR(""));
        assert_int_equal(ping.code, 200);       /* not limited */
        for (long seconds = 1; seconds == 1;) { /* the more come, the longer each is sent away */
            auto_answer a = ask(&h, &callers[AGENT], rows[i].method,
                                "/v1-k3s/client-kube-proxy.crt", NULL, 0, STR(""));
            assert_int_equal(a.code, 429);
            seconds = strtol(a.retry_after, NULL, 10);
            assert_in_range(seconds, 1, 30);
        }
        for (unsigned k = 0; k < rows[i].n_max; k++)
            http_call_cancel(held[k]);
        endpoint_gone(&h, ep, tls);
        assert_int_equal(n_done, rows[i].n_max);
        until = clock_mono_ms() + 20000;
        while (code != 200 && clock_mono_ms() < until) { /* the server hears of the ends */
            auto_answer a = ask(&h, &callers[AGENT], rows[i].method,
                                "/v1-k3s/client-kube-proxy.crt", NULL, 0, STR(""));
            code = a.code;
        }
        assert_int_equal(code, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_issued_before_passwords_can_be_checked),
        cmocka_unit_test(each_path_has_its_role),
        cmocka_unit_test(bodies_are_byte_for_byte_what_agents_expect),
        cmocka_unit_test(a_posted_request_gets_a_leaf_for_its_key),
        cmocka_unit_test(a_get_gets_the_shared_key_too),
        cmocka_unit_test(node_headers_are_checked),
        cmocka_unit_test(a_node_renews_with_its_certificate_while_its_node_exists),
        cmocka_unit_test(a_bad_request_is_refused),
        cmocka_unit_test(apiservers_tells_the_published_addresses),
        cmocka_unit_test(too_many_at_once_are_told_to_come_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
