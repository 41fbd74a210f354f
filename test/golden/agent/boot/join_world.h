#pragma once
/*
 * A certificate authority and a supervisor that answers as the row of a conversation says. Include
 * after cmocka.h.
 */
#include "agent/boot/join.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/io/file.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "lb/balancer.h"

#include <openssl/x509_vfy.h>

#define PASSWORD  "s3cret"
#define BOOTSTRAP "abcdef.0123456789abcdef"
#define BASIC     "Basic bm9kZTpzM2NyZXQ=" /* node:s3cret */

/* ---- a certificate authority ---- */

struct authority {
    struct key *key;
    struct x509 *cert;
    struct buf pem;
};

static void authority_init(struct authority *a, const char *prefix, int64_t now)
{
    struct err e = { 0 };

    a->pem = BUF(BUNDLE_MAX_BYTES);
    if (key_generate(&a->key, KEY_P256, &e) || issue_ca(&a->cert, a->key, prefix, now, &e) ||
        x509_to_pem(a->cert, &a->pem))
        fail_msg("%s", e.text);
}

static void authority_deinit(struct authority *a)
{
    key_free(a->key);
    x509_free(a->cert);
    buf_deinit(&a->pem);
}

static void sign(const struct authority *a, const struct key *pub, const char *cn, const char *org,
                 const char *san, bool server, int64_t now, struct buf *out)
{
    const char *sans[] = { san, "127.0.0.1" };
    struct issue_spec spec = { .common_name = cn,
                               .organizations = &org,
                               .n_organizations = org != NULL,
                               .client_auth = !server,
                               .server_auth = server,
                               .sans = sans,
                               .n_sans = san ? 2 : 0 };
    AUTO(x509) struct x509 *leaf = NULL;
    struct err e = { 0 };

    if (issue_leaf(&leaf, a->cert, a->key, pub, &spec, now, &e) || x509_to_pem(leaf, out) ||
        buf_add_str(out, buf_str(&a->pem)))
        fail_msg("%s", e.text);
}

/* ---- the supervisor ---- */

enum generation {
    GEN_N,       /* POST of a request: leaf and CA */
    GEN_O,       /* any method: leaf, CA and the shared key */
    GEN_GET_405, /* in between: GET only */
    GEN_GET_404,
};

struct rule {
    const char *line; /* "METHOD path" */
    unsigned nth;     /* only that one, counted from 1; 0: all */
    int status;
    const char *body;
};

enum token_kind {
    TOKEN_NONE,
    TOKEN_FULL,
    TOKEN_SHORT,
    TOKEN_BOOTSTRAP,
    TOKEN_BOOTSTRAP_FULL,
    TOKEN_WRONG_PASSWORD,
    TOKEN_WRONG_HASH,
};
enum before { FRESH, JOINED, JOINED_THEN_NEW_CA, JOINED_THEN_YEARS };
enum flaw { FLAW_NONE, FLAW_EXPIRED, FLAW_NAME, FLAW_NO_SERVER, FLAW_NO_NAME };

struct row {
    const char *name;
    enum token_kind token;
    enum generation generation;
    enum before before;
    enum flaw flaw;
    struct rule rules[3];
    enum cause cause; /* the first thing the user is told; NONE: nothing */
    const char *why;  /* part of it */
    bool joins;       /* in the end */
    bool revives;     /* the server lets an expired certificate renew itself */
    const char *asked;
};

struct world {
    uv_loop_t loop;
    char dir[64], node_dir[80];
    const struct row *row;
    struct authority server_ca, client_ca;
    struct key *shared;
    struct tls_server_config *tls;
    struct http_server *server;
    struct listener *listener;
    uint16_t port;
    struct balancer *balancer;
    struct credentials credentials;
    struct join *join;
    struct buf asked;
    unsigned n_joined;
    bool renewed, flag;
    enum cause cause, first_cause;
    char why[512];
    struct cluster_config config;
};

static struct world *the_world;

static const char config_json[] =
    "{\"ClusterDNSs\":[\"10.43.0.10\"],\"ClusterDNS\":\"10.43.0.10\",\"ClusterDomain\":"
    "\"cluster.local\",\"ClusterIPRange\":{\"IP\":\"10.42.0.0\",\"Mask\":\"//8AAA==\"},"
    "\"HTTPSPort\":6443,\"SupervisorPort\":6443,\"EgressSelectorMode\":\"agent\","
    "\"DisableCCM\":true}\n";

static unsigned count_of(const struct world *w, const char *line)
{
    struct str rest = buf_str(&w->asked), one;
    unsigned n = 0;

    while (rest.n) {
        str_cut(rest, '\n', &one, &rest);
        n += str_starts(one, str_of(line)) && one.n > strlen(line) && one.p[strlen(line)] == ' ';
    }
    return n;
}

static void reply_cert(struct http_req *r, const char *path, struct str csr)
{
    struct world *w = the_world;
    struct str node = http_headers_get(http_req_headers(r), "k3s-node-name");
    auto_free char *cn = NULL;
    auto_buf pem = BUF(BUNDLE_MAX_BYTES);
    AUTO(key) struct key *pub = NULL;
    bool kubelet = strstr(path, "kubelet") != NULL, serving = strstr(path, "serving") != NULL;
    bool with_key = w->row->generation != GEN_N || !csr.n;
    int64_t now = clock_wall_s();
    struct err e = { 0 };

    if (kubelet) { /* both generations want all three headers */
        assert_int_equal(http_headers_get(http_req_headers(r), "k3s-node-password").n, 32);
        assert_true(str_is(http_headers_get(http_req_headers(r), "k3s-node-ip"),
                           serving ? "10.0.0.5,fd00::5,203.0.113.5" : "10.0.0.5,fd00::5"));
        assert_true(str_is(node, "edge-1"));
    }
    if (!with_key && csr_parse(&pub, csr, &e))
        fail_msg("%s: %s", path, e.text);
    cn = mem_printf(serving   ? STR_FMT
                    : kubelet ? "system:node:" STR_FMT
                              : "system:other" STR_FMT,
                    STR_ARG(node));
    sign(serving ? &w->server_ca : &w->client_ca, with_key ? w->shared : pub, cn,
         kubelet && !serving ? "system:nodes" : NULL, serving ? cn : NULL, serving, now, &pem);
    if (with_key && key_to_pem(w->shared, &pem, &e))
        fail_msg("%s", e.text);
    http_reply(r, 200, "text/plain", buf_str(&pem), NULL, 0);
}

static void answer(struct http_req *r, const char *line, bool has_basic, bool good, struct str csr)
{
    struct world *w = the_world;
    const char *path = strchr(line, ' ') + 1;

    for (size_t i = 0; i < ARRAY_LEN(w->row->rules); i++) {
        const struct rule *rule = &w->row->rules[i];
        if (rule->line && strcmp(rule->line, line) == 0 &&
            (!rule->nth || count_of(w, line) == rule->nth)) {
            http_reply(r, rule->status, "text/plain", str_of(rule->body), NULL, 0);
            return;
        }
    }
    if (strcmp(path, "/cacerts") == 0) {
        http_reply(r, 200, "text/plain", buf_str(&w->server_ca.pem), NULL, 0);
    } else if (!good) {
        http_reply(r, has_basic ? 401 : 403, "application/json",
                   has_basic ? STR("{\"kind\":\"Status\",\"message\":\"Unauthorized\"}")
                             : STR("{\"kind\":\"Status\",\"message\":\"forbidden\"}"),
                   NULL, 0);
    } else if (strcmp(path, "/v1-k3s/config") == 0) {
        http_reply(r, 200, "application/json", str_of(config_json), NULL, 0);
    } else if (strcmp(path, "/v1-k3s/client-ca.crt") == 0) {
        http_reply(r, 200, "text/plain", buf_str(&w->client_ca.pem), NULL, 0);
    } else if (strcmp(path, "/v1-k3s/server-ca.crt") == 0) {
        http_reply(r, 200, "text/plain", buf_str(&w->server_ca.pem), NULL, 0);
    } else if (str_starts(str_of(line), STR("POST ")) && w->row->generation == GEN_GET_405) {
        http_reply(r, 405, "text/plain", STR("method not allowed"), NULL, 0);
    } else if (str_starts(str_of(line), STR("POST ")) && w->row->generation == GEN_GET_404) {
        http_reply(r, 404, "text/plain", STR("404 page not found"), NULL, 0);
    } else {
        reply_cert(r, path, csr);
    }
}

/* As Coracle's server does; K3s's does not. */
static bool is_revival(const struct world *w, const struct tls_peer *peer, const char *line)
{
    return w->row->revives && peer->verify_error == X509_V_ERR_CERT_HAS_EXPIRED &&
           strcmp(line, "POST /v1-k3s/client-kubelet.crt") == 0;
}

static void on_body(struct http_req *r, void *arg, struct str body)
{
    struct world *w = the_world;
    struct str auth = http_headers_get(http_req_headers(r), "authorization");
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));
    bool cert = peer->leaf_der.n != 0;
    bool good =
        str_is(auth, BASIC) || str_is(auth, "Bearer " BOOTSTRAP) || (cert && !peer->verify_error);
    auto_free char *line = NULL;

    (void)arg;
    line =
        mem_printf(STR_FMT " " STR_FMT, STR_ARG(http_req_method(r)), STR_ARG(http_req_target(r)));
    assert_int_equal(buf_addf(&w->asked, "%s %s%s%s\n", line,
                              str_is(auth, BASIC)                 ? "basic"
                              : str_starts(auth, STR("Basic "))   ? "wrong-basic"
                              : str_is(auth, "Bearer " BOOTSTRAP) ? "bearer"
                              : auth.n                            ? "wrong-bearer"
                                                                  : "-",
                              cert ? " cert" : "", cert && peer->verify_error ? "(bad)" : ""),
                     0);
    good = good || is_revival(w, peer, line);
    answer(r, line, auth.n || cert, good, body);
}

static void on_request(struct http_req *r, void *arg)
{
    static const struct http_req_events none;

    http_req_accept(r, &none, arg);
    http_req_read_body(r, 1 << 20, on_body);
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->server, tls_server_wrap(w->tls, s));
}

static void set_server_cert(struct world *w, enum flaw flaw)
{
    int64_t now = clock_wall_s(), then = now - 2 * 365 * 86400;
    AUTO(key) struct key *key = NULL;
    auto_buf pem = BUF(BUNDLE_MAX_BYTES), key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    struct err e = { 0 };

    if (key_generate(&key, KEY_P256, &e) || key_to_pem(key, &key_pem, &e))
        fail_msg("%s", e.text);
    sign(&w->server_ca, key, "k3s", NULL, flaw == FLAW_NAME ? "edge.example.org" : "kubernetes",
         true, flaw == FLAW_EXPIRED ? then : now, &pem);
    int r = w->tls ? tls_server_config_reload(w->tls, buf_str(&pem), buf_str(&key_pem),
                                              buf_str(&w->client_ca.pem), &e)
                   : tls_server_config_new(&w->tls, buf_str(&pem), buf_str(&key_pem),
                                           buf_str(&w->client_ca.pem), NULL, &e);
    if (r)
        fail_msg("%s", e.text);
}

static void make_cas(struct world *w)
{
    int64_t then = clock_wall_s() - 3 * 365 * 86400;

    authority_init(&w->server_ca, "k3s-server", then);
    authority_init(&w->client_ca, "k3s-client", then);
}

static void world_init(struct world *w, const struct row *row)
{
    struct http_server_config sc = { .on_request = on_request, .arg = w };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    the_world = w;
    w->row = row;
    w->asked = BUF(1 << 16);
    snprintf(w->dir, sizeof w->dir, "/tmp/join-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->node_dir, sizeof w->node_dir, "%s/etc/node", w->dir);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    make_cas(w);
    if (key_generate(&w->shared, KEY_P256, &e))
        fail_msg("%s", e.text);
    set_server_cert(w, FLAW_NONE);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    w->port = listener_port(w->listener);
}

static void raise_flag(void *arg)
{
    ((struct world *)arg)->flag = true;
}

static void wait_for(struct world *w, const bool *flag)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (!*flag && clock_mono_ms() < until)
        uv_run(&w->loop, UV_RUN_ONCE);
    if (!*flag)
        fail_msg("%s: it took too long; asked so far:\n%s", w->row->name, buf_cstr(&w->asked));
}

static void world_deinit(struct world *w)
{
    struct err e;

    w->flag = false;
    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, raise_flag, w);
    wait_for(w, &w->flag);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    tls_server_config_free(w->tls);
    authority_deinit(&w->server_ca);
    authority_deinit(&w->client_ca);
    key_free(w->shared);
    buf_deinit(&w->asked);
    assert_int_equal(file_remove_tree(w->dir, &e), 0);
}
