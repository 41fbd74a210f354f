#include "test/unit/server/ca/disk.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"
#include "base/pki/pemfile.h"
#include "base/pki/x509.h"
#include "server/ca/ca.h"
#include "server/ca/passwd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN "test/golden/base/pki/"

static void a_fresh_disk_gets_every_certificate_of_the_table(void **state)
{
    static const struct {
        const char *base, *cn, *org, *ca;
        bool client, server;
        const char *san;
    } rows[] = {
        { "client-admin", "system:admin", "system:masters", "client-ca", true, false, NULL },
        { "client-supervisor", "system:k3s-supervisor", "system:masters", "client-ca", true, false,
          NULL },
        { "client-controller", "system:kube-controller-manager", NULL, "client-ca", true, false,
          NULL },
        { "client-scheduler", "system:kube-scheduler", NULL, "client-ca", true, false, NULL },
        { "client-kube-apiserver", "system:apiserver", "system:masters", "client-ca", true, false,
          NULL },
        { "client-k3s-cloud-controller", "k3s-cloud-controller-manager", NULL, "client-ca", true,
          false, NULL },
        { "serving-kube-apiserver", "kube-apiserver", NULL, "server-ca", false, true,
          "kubernetes.default.svc.cluster.local" },
        { "serving-kube-apiserver", "kube-apiserver", NULL, "server-ca", false, true, "10.43.0.1" },
        { "serving-kube-apiserver", "kube-apiserver", NULL, "server-ca", false, true, "srv1" },
        { "kube-scheduler/kube-scheduler", "kube-scheduler", NULL, "server-ca", false, true,
          "::1" },
        { "kube-controller-manager/kube-controller-manager", "kube-controller-manager", NULL,
          "server-ca", false, true, "localhost" },
        { "client-auth-proxy", "system:auth-proxy", NULL, "request-header-ca", true, false, NULL },
        { "etcd/server-client", "etcd-server", NULL, "etcd/server-ca", true, true, "kine.sock" },
        { "etcd/peer-server-client", "etcd-peer", NULL, "etcd/peer-ca", true, true, "192.0.2.7" },
        { "etcd/client", "etcd-client", NULL, "etcd/server-ca", true, false, NULL },
    };
    static const struct {
        const char *base, *prefix;
    } cas[] = {
        { "client-ca", "k3s-client-ca@" },
        { "server-ca", "k3s-server-ca@" },
        { "request-header-ca", "k3s-request-header-ca@" },
        { "etcd/server-ca", "etcd-server-ca@" },
        { "etcd/peer-ca", "etcd-peer-ca@" },
    };
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = opened(d);
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(cas); i++) {
        auto_free char *crt = mem_printf("tls/%s.crt", cas[i].base);
        auto_free char *key = mem_printf("tls/%s.key", cas[i].base);
        AUTO(x509) struct x509 *x = cert_of(d, crt);

        assert_true(str_starts(str_of(x->common_name), str_of(cas[i].prefix)));
        assert_true(x->is_ca);
        assert_int_equal(mode_of(d, crt), 0644);
        assert_int_equal(mode_of(d, key), 0600);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *crt = mem_printf("tls/%s.crt", rows[i].base);
        auto_free char *key = mem_printf("tls/%s.key", rows[i].base);
        auto_free char *ca_crt = mem_printf("tls/%s.crt", rows[i].ca);
        AUTO(x509) struct x509 *x = cert_of(d, crt), *by = cert_of(d, ca_crt);
        AUTO(key) struct key *k = NULL;
        auto_buf pem = BUF_SECRET(BUNDLE_MAX_BYTES), ca_pem = BUF(BUNDLE_MAX_BYTES);

        assert_string_equal(x->common_name, rows[i].cn);
        assert_int_equal(x->n_organizations, rows[i].org ? 1 : 0);
        if (rows[i].org)
            assert_string_equal(x->organizations[0], rows[i].org);
        assert_int_equal(x->client_auth, rows[i].client);
        assert_int_equal(x->server_auth, rows[i].server);
        assert_true(x509_signed_by(x, by));
        if (rows[i].san)
            assert_true(x509_has_name(x, rows[i].san));
        else
            assert_int_equal(x->n_dns_names + x->n_ips, 0);
        assert_int_equal(mode_of(d, crt), 0644);
        assert_int_equal(mode_of(d, key), 0600);
        read_rel(d, key, &pem);
        assert_int_equal(key_parse_pem(&k, buf_str(&pem), &e), 0);
        assert_true(x509_fits_key(x, k));
        read_rel(d, crt, &pem); /* leaf, then the CA bundle */
        read_rel(d, ca_crt, &ca_pem);
        assert_true(str_ends(buf_str(&pem), buf_str(&ca_pem)));
        assert_int_equal(bundle_n_certs(buf_str(&pem)), 2);
    }
    assert_int_equal(mode_of(d, "tls"), 0700);
    assert_int_equal(mode_of(d, "tls/temporary-certs"), 0700);
    assert_true(exists(d, "tls/client-ca.nochain.crt"));
    assert_true(exists(d, "tls/serving-kubelet.key"));
    assert_false(exists(d, "tls/client-kube-proxy.crt"));
    assert_true(str_starts(ca_service_key(ca), STR("-----BEGIN RSA PRIVATE KEY-----\n")));
    assert_int_equal(mode_of(d, "tls/service.current.key"), 0600);
    assert_int_equal(strlen(ca_ipsec_psk(ca)), 96);
}

static void a_restart_changes_no_byte(void **state)
{
    static const char *const files[] = { "tls/server-ca.crt",     "tls/client-admin.crt",
                                         "tls/dynamic-cert.json", "tls/service.key",
                                         "cred/passwd",           "token",
                                         "cred/ipsec.psk",        "tls/client-kubelet.key",
                                         "cred/admin.kubeconfig" };
    struct disk *d = *state;
    AUTO(ca) struct ca *first = opened(d), *second = NULL;
    struct buf before[ARRAY_LEN(files)];

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        before[i] = BUF_SECRET(BUNDLE_MAX_BYTES);
        read_rel(d, files[i], &before[i]);
    }
    clock_set_offset_s(30 * DAY_S);
    second = opened(d);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_buf now = BUF_SECRET(BUNDLE_MAX_BYTES);

        read_rel(d, files[i], &now);
        if (!str_eq(buf_str(&now), buf_str(&before[i])))
            fail_msg("%s changed", files[i]);
        buf_deinit(&before[i]);
    }
    assert_true(str_eq(ca_cacerts(first), ca_cacerts(second)));
    assert_true(str_eq(ca_listener_cert(first), ca_listener_cert(second)));
    assert_string_equal(ca_token(first), ca_token(second));
}

static void tokens_and_passwords_follow_the_flags(void **state)
{
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = NULL;
    auto_buf text = BUF_SECRET(4096);
    auto_free char *link = path_of(d, "node-token");
    auto_free char *token = path_of(d, "token");
    char target[256] = "";

    ca = opened(d); /* random, the same for both users */
    assert_non_null(passwd_find(ca_passwd(ca), STR("node")));
    assert_string_equal(passwd_find(ca_passwd(ca), STR("node"))->password,
                        passwd_find(ca_passwd(ca), STR("server"))->password);
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, token);
    read_rel(d, "agent-token", &text);
    assert_true(str_starts(buf_str(&text), str_of(ca_token(ca))));
    ca_free(ca);

    d->o.token = "K10::server:s3cret";
    d->o.agent_token = "agentpw";
    ca = opened(d);
    assert_non_null(passwd_verify(ca_passwd(ca), STR("server"), STR("s3cret")));
    assert_null(passwd_verify(ca_passwd(ca), STR("node"), STR("s3cret")));
    assert_string_equal(passwd_find(ca_passwd(ca), STR("node"))->groups[0], "k3s:agent");
    auto_free char *want = mem_printf("K10%s::server:s3cret\n", ca_hash(ca));
    auto_free char *want_agent = mem_printf("K10%s::node:agentpw\n", ca_hash(ca));
    read_rel(d, "token", &text);
    assert_string_equal(buf_cstr(&text), want);
    read_rel(d, "agent-token", &text);
    assert_string_equal(buf_cstr(&text), want_agent);
    assert_int_equal(mode_of(d, "token"), 0600);
    assert_int_equal(mode_of(d, "cred/passwd"), 0600);
    ca_free(ca);

    d->o.token = d->o.agent_token = NULL; /* what is on disk counts */
    ca = opened(d);
    assert_non_null(passwd_verify(ca_passwd(ca), STR("server"), STR("s3cret")));
    assert_non_null(passwd_verify(ca_passwd(ca), STR("node"), STR("s3cret")));
}

static void wrong_tokens_are_refused_at_start(void **state)
{
    static const char *const bad[] = { "abcdef.0123456789abcdef", "K10nonsense", "a\nb" };
    struct disk *d = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(ca) struct ca *ca = NULL;
        struct err e = { 0 };

        d->o.token = bad[i];
        assert_int_equal(ca_open(&ca, &d->o, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "--token"));
        assert_null(ca);
    }
}

static void broken_authorities_stop_the_start_and_are_named(void **state)
{
    static const struct {
        const char *file, *text; /* NULL: removed */
    } rows[] = {
        { "tls/server-ca.crt", "garbage" }, { "tls/server-ca.crt", NULL },
        { "tls/client-ca.key", NULL },      { "tls/client-ca.key", "garbage" },
        { "tls/etcd/peer-ca.crt", "" },     { "tls/service.key", "garbage" },
        { "cred/passwd", "garbage" },       { "tls/client-kubelet.key", "garbage" },
    };
    struct disk *d = *state;
    struct ca *first = opened(d);

    ca_free(first);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = path_of(d, rows[i].file);
        auto_buf good = BUF_SECRET(BUNDLE_MAX_BYTES);
        AUTO(ca) struct ca *ca = NULL;
        struct err e = { 0 };

        read_rel(d, rows[i].file, &good);
        if (rows[i].text)
            write_rel(d, rows[i].file, str_of(rows[i].text));
        else
            unlink(path);
        assert_int_equal(ca_open(&ca, &d->o, &e), ERR_INVALID);
        if (!strstr(e.text, path))
            fail_msg("row %zu: %s", i, e.text);
        write_rel(d, rows[i].file, buf_str(&good));
    }
    /* swapped keys */
    auto_buf key = BUF_SECRET(BUNDLE_MAX_BYTES);
    AUTO(ca) struct ca *ca = NULL;
    struct err e = { 0 };
    read_rel(d, "tls/etcd/peer-ca.key", &key);
    write_rel(d, "tls/server-ca.key", buf_str(&key));
    assert_int_equal(ca_open(&ca, &d->o, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "tls/server-ca.key is not the key of"));
}

static void a_first_start_cut_short_is_completed(void **state)
{
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = NULL;
    AUTO(key) struct key *k = NULL;
    AUTO(x509) struct x509 *x = NULL;
    auto_free char *key_path = path_of(d, "tls/server-ca.key");
    struct err e = { 0 };

    write_rel(d, "tls/client-ca.key", STR("")); /* what a power cut leaves of unsynced files */
    write_rel(d, "tls/client-ca.crt", STR(""));
    write_rel(d, "tls/service.key", STR(""));
    write_rel(d, "tls/client-kubelet.key", STR(""));
    write_rel(d, "cred/ipsec.psk", STR(""));
    assert_int_equal(key_load_or_create(&k, key_path, KEY_P256, NULL, &e), 0);
    ca = opened(d);
    x = cert_of(d, "tls/server-ca.crt");
    assert_true(x509_fits_key(x, k));
    assert_int_equal(strlen(ca_ipsec_psk(ca)), 96);
}

static void broken_leaves_are_mended(void **state)
{
    static const struct {
        const char *file;
        const char *text; /* NULL: removed */
        bool same_key;
    } rows[] = {
        { "tls/client-admin.crt", NULL, true },     { "tls/client-admin.crt", "", false },
        { "tls/client-admin.key", NULL, false },    { "tls/client-admin.key", "x", false },
        { "tls/client-scheduler.crt", NULL, true },
    };
    struct disk *d = *state;
    struct ca *ca = opened(d);

    ca_free(ca);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = path_of(d, rows[i].file);
        auto_free char *crt = mem_printf("%.*s.crt", (int)strlen(rows[i].file) - 4, rows[i].file);
        AUTO(x509) struct x509 *before = cert_of(d, crt), *after = NULL;
        AUTO(key) struct key *k = NULL;
        struct err e = { 0 };

        assert_int_equal(x509_public_key(before, &k, &e), 0);
        if (rows[i].text)
            write_rel(d, rows[i].file, str_of(rows[i].text));
        else
            unlink(path);
        ca = opened(d);
        after = cert_of(d, crt);
        assert_string_equal(after->common_name, before->common_name);
        assert_string_not_equal(after->serial, before->serial);
        assert_int_equal(x509_fits_key(after, k), rows[i].same_key);
        ca_free(ca);
    }
}

static void a_missing_name_makes_a_new_certificate_and_extra_names_stay(void **state)
{
    static const char *const more[] = { "new.example.com" };
    struct disk *d = *state;
    struct ca *ca = opened(d);
    struct err e = { 0 };
    bool added = false;

    assert_int_equal(ca_listener_add_san(ca, "203.0.113.9", &added, &e), 0);
    assert_true(added);
    assert_int_equal(ca_listener_add_san(ca, "203.0.113.9", &added, &e), 0);
    assert_false(added);
    assert_int_equal(ca_listener_add_san(ca, "bad name", &added, &e), ERR_INVALID);
    ca_free(ca);
    d->o.tls_sans = more;
    d->o.n_tls_sans = 1;
    ca = opened(d);
    {
        AUTO(x509) struct x509 *api = cert_of(d, "tls/serving-kube-apiserver.crt"), *l = NULL;

        assert_true(x509_has_name(api, "new.example.com"));
        assert_false(x509_has_name(api, "edge.example.com"));
        assert_int_equal(x509_parse_pem(&l, ca_listener_cert(ca), &e), 0);
        assert_string_equal(l->subject, "CN=k3s,O=k3s");
        assert_true(x509_has_name(l, "new.example.com"));
        assert_true(x509_has_name(l, "edge.example.com")); /* agents may use it still */
        assert_true(x509_has_name(l, "203.0.113.9"));
        assert_true(x509_has_name(l, "127.0.0.1"));
        assert_true(x509_has_name(l, "kubernetes"));
    }
    ca_free(ca);
    write_rel(d, "tls/dynamic-cert-regenerate", STR(""));
    ca = opened(d);
    {
        AUTO(x509) struct x509 *l = NULL;

        assert_int_equal(x509_parse_pem(&l, ca_listener_cert(ca), &e), 0);
        assert_false(x509_has_name(l, "203.0.113.9"));
        assert_false(exists(d, "tls/dynamic-cert-regenerate"));
    }
    ca_free(ca);
}

static void the_listeners_secret_is_dynamiclisteners(void **state)
{
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = opened(d);
    auto_buf text = BUF_SECRET(CA_LISTENER_SECRET_MAX_BYTES);
    json_auto_t *j = NULL;
    struct err e = { 0 };

    assert_int_equal(ca_listener_secret(ca, &text, &e), 0);
    assert_int_equal(json_parse(&j, buf_str(&text), &e), 0);
    assert_string_equal(json_str_at(j, "metadata.name", ""), "k3s-serving");
    assert_string_equal(json_str_at(j, "type", ""), "kubernetes.io/tls");
    /* plain, too many characters for an annotation's name, and with colons */
    assert_string_equal(
        json_str_at(j, "metadata.annotations[\"listener.cattle.io/cn-127.0.0.1\"]", ""),
        "127.0.0.1");
    assert_string_equal(
        json_str_at(j, "metadata.annotations[\"listener.cattle.io/cn-__1-f16284\"]", ""), "::1");
    assert_int_equal(mode_of(d, "tls/dynamic-cert.json"), 0600);
}

static void node_answers_fit_both_generations(void **state)
{
    static const char *const ips[] = { "192.0.2.9", "2001:db8::9" };
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = opened(d);
    AUTO(key) struct key *own = NULL, *shared = NULL;
    AUTO(x509) struct x509 *x = NULL, *y = NULL, *z = NULL;
    auto_buf body = BUF_SECRET(CA_NODE_PEM_MAX_BYTES), certs = BUF(BUNDLE_MAX_BYTES),
             keys = BUF_SECRET(BUNDLE_MAX_BYTES);
    struct err e = { 0 };

    /* with a request: no key comes back */
    assert_int_equal(key_generate(&own, KEY_P256, &e), 0);
    assert_int_equal(ca_issue_serving_kubelet(ca, "Nat1", ips, 2, own, &body, &e), 0);
    assert_int_equal(bundle_split(buf_str(&body), &certs, &keys, &e), 0);
    assert_int_equal(keys.n, 0);
    assert_true(str_ends(buf_str(&body), ca_cacerts(ca)));
    assert_int_equal(x509_parse_pem(&x, buf_str(&certs), &e), 0);
    assert_true(x509_fits_key(x, own));
    assert_string_equal(x->subject, "CN=nat1");
    assert_true(x->server_auth && !x->client_auth);
    assert_int_equal(x->n_dns_names, 2);
    assert_string_equal(x->dns_names[0], "nat1");
    assert_string_equal(x->dns_names[1], "localhost");
    assert_int_equal(x->n_ips, 4);
    assert_string_equal(x->ips[2], "192.0.2.9");

    /* without: the shared key does */
    buf_clear(&body);
    buf_clear(&certs);
    assert_int_equal(ca_issue_client_kubelet(ca, "nat1", NULL, &body, &e), 0);
    assert_int_equal(bundle_split(buf_str(&body), &certs, &keys, &e), 0);
    assert_true(str_starts(buf_str(&keys), STR("-----BEGIN EC PRIVATE KEY-----\n")));
    assert_true(str_ends(buf_str(&body), buf_str(&keys)));
    assert_int_equal(key_parse_pem(&shared, buf_str(&keys), &e), 0);
    assert_int_equal(x509_parse_pem(&y, buf_str(&certs), &e), 0);
    assert_true(x509_fits_key(y, shared));
    assert_string_equal(y->subject, "CN=system:node:nat1,O=system:nodes");
    assert_true(!y->server_auth && y->client_auth);

    buf_clear(&body);
    assert_int_equal(ca_issue_kube_proxy(ca, own, &body, &e), 0);
    assert_int_equal(ca_issue_k3s_controller(ca, own, &body, &e), 0);
    assert_int_equal(x509_parse_pem(&z, buf_str(&body), &e), 0);
    assert_string_equal(z->subject, "CN=system:kube-proxy");
    struct x509_list pool = { 0 };
    assert_int_equal(x509_list_parse_pem(&pool, ca_client_ca(ca), &e), 0);
    assert_int_equal(x509_verify(z, NULL, &pool, clock_wall_s(), X509_CLIENT, &e), 0);
    x509_list_deinit(&pool);
}

static void names_and_addresses_of_nodes_are_checked(void **state)
{
    static const char *const bad[] = { "",   "a b", "-a",  "a-",   "a..b",
                                       ".a", "a_b", "a/b", "a-.b", "x,O=system:masters" };
    static const struct {
        const char *header;
        int code;
        size_t n;
    } rows[] = {
        { "10.0.0.1", 0, 1 },
        { "10.0.0.1,fd00::1", 0, 2 },
        { " 10.0.0.1 , 10.0.0.2", 0, 2 },
        { "", 0, 0 },
        { "10.0.0.1,", ERR_INVALID, 0 },
        { "nat1", ERR_INVALID, 0 },
        { "1.2.3.4/24", ERR_INVALID, 0 },
        { "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
          "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1",
          ERR_LIMIT, 0 },
    };
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = opened(d);
    auto_buf body = BUF_SECRET(CA_NODE_PEM_MAX_BYTES);
    char ips[CA_NODE_IPS_MAX][46];
    struct err e = { 0 };
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(ca_issue_client_kubelet(ca, bad[i], NULL, &body, &e), ERR_INVALID);
    assert_int_equal(body.n, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        n = 99;
        if (ca_parse_ips(str_of(rows[i].header), ips, &n, &e) != rows[i].code)
            fail_msg("row %zu: %s", i, e.text);
        assert_int_equal(n, rows[i].code ? 99 : rows[i].n);
    }
}

static void a_ca_that_an_operator_placed_is_respected(void **state)
{
    struct disk *d = *state;
    AUTO(ca) struct ca *ca = NULL;
    AUTO(x509) struct x509 *l = NULL;
    auto_buf chain = BUF(BUNDLE_MAX_BYTES), key = BUF_SECRET(KEY_PEM_MAX_BYTES),
             first = BUF(BUNDLE_MAX_BYTES);
    struct err e = { 0 };

    assert_int_equal(pemfile_read(&chain, GOLDEN "chain.pem", &e), 0);
    assert_int_equal(pemfile_read(&key, GOLDEN "chain.key", &e), 0);
    write_rel(d, "tls/server-ca.crt", buf_str(&chain));
    write_rel(d, "tls/server-ca.key", buf_str(&key));
    ca = opened(d);
    assert_true(str_eq(ca_cacerts(ca), buf_str(&chain)));
    assert_string_equal(ca_hash(ca),
                        "fd620310877d53aa78fa32c21aad8c7550ca139c44255c553459317bc689b49b");
    assert_int_equal(bundle_n_certs(ca_listener_cert(ca)), 4);
    assert_int_equal(x509_parse_pem(&l, ca_listener_cert(ca), &e), 0);
    assert_string_equal(l->issuer, "CN=k3s-server-ca");
    read_rel(d, "tls/server-ca.nochain.crt", &first);
    assert_int_equal(bundle_n_certs(buf_str(&first)), 1);
}

static void the_admin_kubeconfig_goes_where_it_is_asked_for(void **state)
{
    struct disk *d = *state;
    struct ca *ca = opened(d);
    auto_buf text = BUF_SECRET(BUNDLE_MAX_BYTES);
    auto_free char *elsewhere = mem_printf("%s/else/admin.yaml", d->dir);
    char target[256] = "";
    struct stat st;
    struct err e = { 0 };

    assert_int_equal(lstat(d->kubeconfig, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(pemfile_read(&text, d->kubeconfig, &e), 0);
    assert_non_null(strstr(buf_cstr(&text), "    server: https://127.0.0.1:6443\n  name: default"));
    read_rel(d, "cred/scheduler.kubeconfig", &text);
    assert_non_null(strstr(buf_cstr(&text), "/server/tls/client-scheduler.crt\n"));
    assert_int_equal(mode_of(d, "cred/scheduler.kubeconfig"), 0600);
    ca_free(ca);

    d->o.kubeconfig = elsewhere;
    d->o.kubeconfig_mode = 0640;
    d->o.kubeconfig_name = "edge";
    d->o.bind_address = "2001:db8::7";
    d->o.https_port = 7443;
    ca = opened(d);
    assert_true(readlink(d->kubeconfig, target, sizeof target - 1) > 0);
    assert_string_equal(target, elsewhere);
    assert_int_equal(stat(elsewhere, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    buf_clear(&text);
    assert_int_equal(pemfile_read(&text, elsewhere, &e), 0);
    assert_non_null(
        strstr(buf_cstr(&text), "    server: https://[2001:db8::7]:7443\n  name: edge"));
    ca_free(ca);
    ca = NULL;
    d->o.kubeconfig_group = "no-such-group";
    assert_int_equal(ca_open(&ca, &d->o, &e), ERR_NOT_FOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, disk_new, disk_free)
    const struct CMUnitTest tests[] = {
        T(a_fresh_disk_gets_every_certificate_of_the_table),
        T(a_restart_changes_no_byte),
        T(tokens_and_passwords_follow_the_flags),
        T(wrong_tokens_are_refused_at_start),
        T(broken_authorities_stop_the_start_and_are_named),
        T(a_first_start_cut_short_is_completed),
        T(broken_leaves_are_mended),
        T(a_missing_name_makes_a_new_certificate_and_extra_names_stay),
        T(the_listeners_secret_is_dynamiclisteners),
        T(node_answers_fit_both_generations),
        T(names_and_addresses_of_nodes_are_checked),
        T(a_ca_that_an_operator_placed_is_respected),
        T(the_admin_kubeconfig_goes_where_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
