/* Certificates for nodes, as answers to serving-kubelet.crt and its three sisters. */
#include "server/ca/ca_int.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/issue.h"
#include "base/pki/pemfile.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

enum { NODE_NAME_MAX = 253 }; /* RFC 1123 subdomain, as Kubernetes demands of node names */

static const char *const shared_files[N_SHARED] = {
    [SHARED_SERVING_KUBELET] = "tls/serving-kubelet.key",
    [SHARED_CLIENT_KUBELET] = "tls/client-kubelet.key",
    [SHARED_PROXY] = "tls/client-kube-proxy.key",
    [SHARED_K3S] = "tls/client-k3s-controller.key",
};

int ca_shared_open(struct shared *s, const struct conf *c, struct err *e)
{
    static const char *const stale[] = { "tls/client-kube-proxy.crt",
                                         "tls/client-k3s-controller.crt" };

    for (size_t i = 0; i < N_SHARED; i++) {
        auto_free char *path = ca_conf_path(c, shared_files[i]);

        s[i].pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
        if (ca_key_open(&s[i].key, c, path, e) || key_to_pem(s[i].key, &s[i].pem, e))
            return err_wrap(e, "shared node key");
    }
    for (size_t i = 0; i < ARRAY_LEN(stale); i++) { /* older K3s kept certificates beside them */
        auto_free char *path = ca_conf_path(c, stale[i]);
        unlink(path);
    }
    return 0;
}

void ca_shared_deinit(struct shared *s)
{
    for (size_t i = 0; i < N_SHARED; i++) {
        key_free(s[i].key);
        buf_deinit(&s[i].pem);
    }
}

static int lower_node_name(char out[NODE_NAME_MAX + 1], const char *node, struct err *e)
{
    size_t n = strlen(node);

    if (!n || n > NODE_NAME_MAX)
        return err_set(e, ERR_INVALID, "a node name has 1 to %d characters, not %zu", NODE_NAME_MAX,
                       n);
    for (size_t i = 0; i <= n; i++)
        out[i] = (char)(node[i] >= 'A' && node[i] <= 'Z' ? node[i] + 32 : node[i]);
    for (size_t i = 0; i < n; i++) {
        bool alnum = (out[i] >= 'a' && out[i] <= 'z') || (out[i] >= '0' && out[i] <= '9');
        bool inner = i > 0 && i + 1 < n && out[i - 1] != '.' && out[i + 1] != '.';

        if (alnum || (inner && out[i] == '-') ||
            (out[i] == '.' && inner && out[i - 1] != '-' && out[i + 1] != '-'))
            continue;
        return err_set(e, ERR_INVALID, "\"%.80s\" is no node name (RFC 1123 subdomain)", node);
    }
    return 0;
}

/* Leaf, CA bundle, and the shared key where the node brought none. */
static int issue(struct ca *ca, enum authority_id by, enum shared_id shared,
                 const struct issue_spec *spec, const struct key *pub, struct buf *out,
                 struct err *e)
{
    const struct authority *a = &ca->authorities[by];
    const struct key *key = pub ? pub : ca->shared[shared].key;
    AUTO(x509) struct x509 *leaf = NULL;
    size_t n_before = out->n;

    if (issue_leaf(&leaf, a->cert, a->key, key, spec, clock_wall_s(), e))
        return (int)e->code;
    if (!x509_to_pem(leaf, out) && !ca_authority_add_bundle(out, a, e) &&
        (pub || !buf_add_str(out, buf_str(&ca->shared[shared].pem))))
        return 0;
    out->n = n_before;
    if (out->p)
        out->p[n_before] = '\0';
    return err_set(e, ERR_LIMIT, "the certificate of %s does not fit", spec->common_name);
}

int ca_issue_serving_kubelet(struct ca *ca, const char *node, const char *const *ips, size_t n_ips,
                             const struct key *pub, struct buf *pem_out, struct err *e)
{
    const char *sans[4 + CA_NODE_IPS_MAX];
    char name[NODE_NAME_MAX + 1];
    unsigned char ip[16];
    const struct issue_spec spec = {
        .common_name = name, .server_auth = true, .sans = sans, .n_sans = 4 + n_ips
    };

    if (lower_node_name(name, node, e))
        return (int)e->code;
    if (n_ips > CA_NODE_IPS_MAX)
        return err_set(e, ERR_LIMIT, "%zu addresses for node %s, at most %d", n_ips, name,
                       CA_NODE_IPS_MAX);
    sans[0] = name;
    sans[1] = "localhost";
    sans[2] = "127.0.0.1";
    sans[3] = "::1";
    for (size_t i = 0; i < n_ips; i++) {
        if (inet_pton(AF_INET, ips[i], ip) != 1 && inet_pton(AF_INET6, ips[i], ip) != 1)
            return err_set(e, ERR_INVALID, "\"%.60s\" of node %s is no address", ips[i], name);
        sans[4 + i] = ips[i];
    }
    return issue(ca, AUTH_SERVER, SHARED_SERVING_KUBELET, &spec, pub, pem_out, e);
}

int ca_issue_client_kubelet(struct ca *ca, const char *node, const struct key *pub,
                            struct buf *pem_out, struct err *e)
{
    static const char *const org = "system:nodes";
    char name[NODE_NAME_MAX + 1], cn[NODE_NAME_MAX + 16];
    const struct issue_spec spec = {
        .common_name = cn, .organizations = &org, .n_organizations = 1, .client_auth = true
    };

    if (lower_node_name(name, node, e))
        return (int)e->code;
    snprintf(cn, sizeof cn, "system:node:%s", name);
    return issue(ca, AUTH_CLIENT, SHARED_CLIENT_KUBELET, &spec, pub, pem_out, e);
}

int ca_issue_kube_proxy(struct ca *ca, const struct key *pub, struct buf *pem_out, struct err *e)
{
    static const struct issue_spec spec = { .common_name = "system:kube-proxy",
                                            .client_auth = true };

    return issue(ca, AUTH_CLIENT, SHARED_PROXY, &spec, pub, pem_out, e);
}

int ca_issue_k3s_controller(struct ca *ca, const struct key *pub, struct buf *pem_out,
                            struct err *e)
{
    static const struct issue_spec spec = { .common_name = "system:k3s-controller",
                                            .client_auth = true };

    return issue(ca, AUTH_CLIENT, SHARED_K3S, &spec, pub, pem_out, e);
}

int ca_parse_ips(struct str header, char (*ips)[46], size_t *n_ips, struct err *e)
{
    char found[CA_NODE_IPS_MAX][46];
    struct str one, rest = header;
    size_t n = 0;
    bool more = str_trim(header).n > 0;

    while (more) {
        unsigned char ip[16];

        more = str_cut(rest, ',', &one, &rest);
        one = str_trim(one);
        if (n == CA_NODE_IPS_MAX)
            return err_set(e, ERR_LIMIT, "more than %d node addresses", CA_NODE_IPS_MAX);
        snprintf(found[n], sizeof found[n], STR_FMT, STR_ARG(one));
        if (one.n >= sizeof found[n] || strlen(found[n]) != one.n ||
            (inet_pton(AF_INET, found[n], ip) != 1 && inet_pton(AF_INET6, found[n], ip) != 1))
            return err_set(e, ERR_INVALID, "node address \"%.45s\" is no IP address", found[n]);
        n++;
    }
    memcpy(ips, found, n * sizeof found[0]);
    *n_ips = n;
    return 0;
}
