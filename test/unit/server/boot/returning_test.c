/* A node that was off until after its certificate had expired: what lets it back in, and what that
 * certificate is good for. */
#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/x509.h"

#include <stdio.h>
#include <stdlib.h>

#define PASSWORD "0123456789abcdef0123456789abcdef"
#define KUBELET  "/v1-k3s/client-kubelet.crt"
#define YEAR_S   INT64_C(31536000)

static struct harness h;
static struct buf csr;

enum who { EXPIRED, VALID, FUTURE, STRANGER, PROXY, N_WHO };
static struct caller callers[N_WHO];

/* A certificate that was made that long ago. */
static struct caller aged(struct harness *by, bool proxy, int64_t age_s)
{
    AUTO(key) struct key *key = NULL;
    auto_buf cert = BUF(CA_NODE_PEM_MAX_BYTES), pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    struct err e = { 0 };
    int r;

    clock_set_offset_s(-age_s);
    r = key_generate(&key, KEY_P256, &e) || key_to_pem(key, &pem, &e) ||
        (proxy ? ca_issue_kube_proxy(by->ca, key, &cert, &e)
               : ca_issue_client_kubelet(by->ca, "edge-1", key, &cert, &e));
    clock_set_offset_s(0);
    if (r)
        fail_msg("%s", e.text);
    return (struct caller){ .cert_pem = buf_take(&cert), .key_pem = buf_take(&pem) };
}

static int setup(void **state)
{
    struct harness other = { 0 };
    AUTO(key) struct key *key = NULL;
    struct err e = { 0 };
    (void)state;

    harness_open(&h, false);
    harness_start_supervisor(&h);
    harness_open(&other, false);
    callers[EXPIRED] = aged(&h, false, 3 * YEAR_S);
    callers[VALID] = aged(&h, false, 86400);
    callers[FUTURE] = aged(&h, false, -86400);
    callers[PROXY] = aged(&h, true, 3 * YEAR_S);
    callers[STRANGER] = aged(&other, false, 3 * YEAR_S);
    harness_close(&other);
    csr = BUF(CSR_MAX_BYTES);
    return key_generate(&key, KEY_P256, &e) || csr_make(&csr, key, &e);
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    buf_deinit(&csr);
    for (size_t i = 0; i < N_WHO; i++) {
        free((char *)callers[i].cert_pem);
        free((char *)callers[i].key_pem);
    }
    return 0;
}

static struct answer renew(const struct caller *who, const char *method, const char *path,
                           const char *node, const char *password)
{
    struct http_header headers[2];
    size_t n = 0;

    if (node)
        headers[n++] = (struct http_header){ STR("k3s-Node-Name"), str_of(node) };
    if (password)
        headers[n++] = (struct http_header){ STR("k3s-Node-Password"), str_of(password) };
    return ask(&h, who, method, path, headers, n,
               strcmp(method, "POST") == 0 ? buf_str(&csr) : STR(""));
}

static bool has_secret(void)
{
    json_auto_t *s = get(&h, "secrets", "kube-system", "edge-1.node-password.k3s");

    return s != NULL;
}

/* Joined once, with its password, as it would have with a token. */
static void join(void)
{
    struct caller token = { .authorization = basic("node", AGENT_PASSWORD) };

    if (!has_secret()) {
        auto_answer a = renew(&token, "POST", KUBELET, "edge-1", PASSWORD);
        assert_int_equal(a.code, 200);
    }
    free((char *)token.authorization);
    json_auto_t *node = get(&h, "nodes", NULL, "edge-1");
    if (!node)
        create(&h, "nodes", NULL, "{\"metadata\":{\"name\":\"edge-1\"}}");
}

static void the_right_password_gets_a_new_certificate(void **state)
{
    AUTO(x509) struct x509 *leaf = NULL;
    int64_t now = clock_wall_s();
    struct err e = { 0 };
    (void)state;

    join();
    auto_answer a = renew(&callers[EXPIRED], "POST", KUBELET, "Edge-1", PASSWORD);
    if (a.code != 200)
        fail_msg("%d %s", a.code, buf_cstr(&a.body));
    assert_int_equal(x509_parse_pem(&leaf, buf_str(&a.body), &e), 0);
    assert_string_equal(leaf->common_name, "system:node:edge-1");
    assert_true(leaf->not_before_unix_s <= now && leaf->not_after_unix_s > now + 360 * 86400);
    assert_null(strstr(buf_cstr(&a.body), "PRIVATE KEY"));
}

static void anything_less_is_refused(void **state)
{
    static const struct {
        enum who who;
        const char *method, *path, *node, *password;
        int code;
    } rows[] = {
        { EXPIRED, "POST", KUBELET, "edge-1", "fedcba9876543210fedcba9876543210", 403 },
        { EXPIRED, "POST", KUBELET, "edge-2", PASSWORD, 400 },
        { EXPIRED, "POST", KUBELET, "edge-1", NULL, 400 },
        { EXPIRED, "POST", KUBELET, NULL, PASSWORD, 400 },
        { EXPIRED, "GET", KUBELET, "edge-1", PASSWORD,
          400 }, /* not the key that old agents share */
        { STRANGER, "POST", KUBELET, "edge-1", PASSWORD, 401 },
        { PROXY, "POST", KUBELET, "edge-1", PASSWORD, 401 },
        { FUTURE, "POST", KUBELET, "edge-1", PASSWORD, 401 },
        /* nothing else can be had with it */
        { EXPIRED, "POST", "/v1-k3s/serving-kubelet.crt", "edge-1", PASSWORD, 401 },
        { EXPIRED, "POST", "/v1-k3s/client-kube-proxy.crt", "edge-1", PASSWORD, 401 },
        { EXPIRED, "POST", "/v1-k3s/client-k3s-controller.crt", "edge-1", PASSWORD, 401 },
        { EXPIRED, "GET", "/v1-k3s/config", "edge-1", PASSWORD, 401 },
        { EXPIRED, "GET", "/v1-k3s/apiservers", "edge-1", PASSWORD, 401 },
        { EXPIRED, "GET", "/v1-k3s/connect", "edge-1", PASSWORD, 401 },
        { EXPIRED, "GET", "/api/v1/nodes/edge-1", "edge-1", PASSWORD, 401 },
    };
    (void)state;

    join();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = renew(&callers[rows[i].who], rows[i].method, rows[i].path, rows[i].node,
                              rows[i].password);
        if (a.code != rows[i].code)
            fail_msg("row %zu: %d, not %d: %s", i, a.code, rows[i].code, buf_cstr(&a.body));
        assert_null(strstr(buf_cstr(&a.body), "CERTIFICATE"));
    }
    auto_answer still = renew(&callers[EXPIRED], "POST", KUBELET, "edge-1", PASSWORD);
    assert_int_equal(still.code, 200);
}

/* A token that is not good is not helped by it. */
static void a_wrong_token_beside_it_is_refused(void **state)
{
    struct caller both = callers[EXPIRED];
    (void)state;

    join();
    both.authorization = basic("node", "wrong");
    auto_answer a = renew(&both, "POST", KUBELET, "edge-1", PASSWORD);
    assert_int_equal(a.code, 401);
    free((char *)both.authorization);
}

static void deleting_the_node_or_its_password_shuts_it_out(void **state)
{
    (void)state;

    join();
    delete (&h, "nodes", NULL, "edge-1");
    auto_answer a = renew(&callers[EXPIRED], "POST", KUBELET, "edge-1", PASSWORD);
    assert_int_equal(a.code, 401);
    assert_non_null(strstr(json_str_at(a.doc, "message", ""), "does not exist any more"));

    join();
    delete (&h, "secrets", "kube-system", "edge-1.node-password.k3s");
    auto_answer b = renew(&callers[EXPIRED], "POST", KUBELET, "edge-1", PASSWORD);
    assert_int_equal(b.code, 401);
    assert_non_null(strstr(json_str_at(b.doc, "message", ""), "needs a token"));
    assert_false(has_secret()); /* and it sets none */
    auto_answer c = renew(&callers[VALID], "POST", KUBELET, "edge-1", PASSWORD);
    assert_int_equal(c.code, 200); /* one that is valid does, as in K3s */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_password_gets_a_new_certificate),
        cmocka_unit_test(anything_less_is_refused),
        cmocka_unit_test(a_wrong_token_beside_it_is_refused),
        cmocka_unit_test(deleting_the_node_or_its_password_shuts_it_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
