/* The server's own certificates. They are cheap to make again, so whatever is wrong with one is
 * mended by a new one, with a line in the log that says why. That also covers files that a power
 * cut left empty, so nobody waits for the disk here. */
#include "server/ca/ca_int.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/issue.h"
#include "base/pki/pemfile.h"

enum { DAY_S = 86400, RENEW_AT_START_S = 120 * DAY_S };

enum sans { SANS_NONE, SANS_API, SANS_LOCAL, SANS_ETCD };

static const struct def {
    const char *base, *cn, *org;
    enum authority_id ca;
    bool client, server;
    enum sans sans;
} table[N_LEAVES] = {
    [LEAF_ADMIN] = { "tls/client-admin", "system:admin", "system:masters", AUTH_CLIENT,
                     .client = true },
    [LEAF_SUPERVISOR] = { "tls/client-supervisor", "system:k3s-supervisor", "system:masters",
                          AUTH_CLIENT, .client = true },
    [LEAF_CONTROLLER] = { "tls/client-controller", "system:kube-controller-manager", NULL,
                          AUTH_CLIENT, .client = true },
    [LEAF_SCHEDULER] = { "tls/client-scheduler", "system:kube-scheduler", NULL, AUTH_CLIENT,
                         .client = true },
    [LEAF_API_SERVER] = { "tls/client-kube-apiserver", "system:apiserver", "system:masters",
                          AUTH_CLIENT, .client = true },
    [LEAF_CLOUD] = { "tls/client-k3s-cloud-controller", "k3s-cloud-controller-manager", NULL,
                     AUTH_CLIENT, .client = true },
    [LEAF_API_SERVING] = { "tls/serving-kube-apiserver", "kube-apiserver", NULL, AUTH_SERVER, false,
                           true, SANS_API },
    [LEAF_SCHEDULER_SERVING] = { "tls/kube-scheduler/kube-scheduler", "kube-scheduler", NULL,
                                 AUTH_SERVER, false, true, SANS_LOCAL },
    [LEAF_CONTROLLER_SERVING] = { "tls/kube-controller-manager/kube-controller-manager",
                                  "kube-controller-manager", NULL, AUTH_SERVER, false, true,
                                  SANS_LOCAL },
    [LEAF_AUTH_PROXY] = { "tls/client-auth-proxy", "system:auth-proxy", NULL, AUTH_HEADER,
                          .client = true },
    [LEAF_ETCD_SERVER] = { "tls/etcd/server-client", "etcd-server", NULL, AUTH_ETCD_SERVER, true,
                           true, SANS_ETCD },
    [LEAF_ETCD_PEER] = { "tls/etcd/peer-server-client", "etcd-peer", NULL, AUTH_ETCD_PEER, true,
                         true, SANS_ETCD },
    [LEAF_ETCD_CLIENT] = { "tls/etcd/client", "etcd-client", NULL, AUTH_ETCD_SERVER,
                           .client = true },
};

/* The wanted certificate; names point into c and constants, out->sans is the caller's array. */
static void spec_of(struct issue_spec *out, const struct def *d, const struct conf *c,
                    const char *sans[2 * NAMES_MAX])
{
    size_t n = 0;

    *out = (struct issue_spec){ .common_name = d->cn,
                                .organizations = &d->org,
                                .n_organizations = d->org ? 1 : 0,
                                .client_auth = d->client,
                                .server_auth = d->server,
                                .sans = sans };
    if (d->sans == SANS_API)
        for (size_t i = 0; i < c->api_names.n; i++)
            sans[n++] = c->api_names.v[i];
    if (d->sans == SANS_ETCD)
        sans[n++] = "kine.sock";
    if (d->sans == SANS_LOCAL) {
        sans[n++] = "localhost";
        sans[n++] = "127.0.0.1";
        sans[n++] = "::1";
    } else if (d->sans != SANS_NONE) {
        for (size_t i = 0; i < c->sans.n; i++)
            sans[n++] = c->sans.v[i];
    }
    out->n_sans = n;
}

const char *ca_leaf_reason(const struct x509 *cert, const struct authority *a,
                           const struct issue_spec *spec, int64_t now)
{
    if (a->created)
        return "the CA is new";
    if (cert->not_after_unix_s - now < RENEW_AT_START_S)
        return "it expires within 120 days";
    if (now < cert->not_before_unix_s)
        return "it is not valid yet: the clock was ahead when it was made";
    if (strcmp(cert->common_name, spec->common_name) != 0)
        return "its common name differs";
    if (cert->n_organizations != spec->n_organizations)
        return "its organisations differ";
    for (size_t i = 0; i < spec->n_organizations; i++)
        if (strcmp(cert->organizations[i], spec->organizations[i]) != 0)
            return "its organisations differ";
    for (size_t i = 0; i < spec->n_sans; i++)
        if (!x509_has_name(cert, spec->sans[i]))
            return "a name is missing";
    if (strcmp(cert->authority_key_id, a->cert->subject_key_id) != 0 ||
        !x509_signed_by(cert, a->cert))
        return "it is of another CA";
    return NULL;
}

static void leaf_deinit(struct leaf *l)
{
    x509_free(l->cert);
    buf_deinit(&l->pem);
    buf_deinit(&l->key_pem);
    *l = (struct leaf){ 0 };
}

static void leaf_init(struct leaf *l)
{
    *l = (struct leaf){ .pem = BUF(CA_FILE_MAX_BYTES), .key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES) };
}

/* key_or_null: one that stays in use; else a new one is made. */
static int issue(struct leaf *l, const struct def *d, const struct conf *c,
                 const struct authority *a, struct key *key_or_null, int64_t now, struct err *e)
{
    auto_free char *cert_path = mem_printf("%s/%s.crt", c->dir, d->base);
    auto_free char *key_path = mem_printf("%s/%s.key", c->dir, d->base);
    AUTO(key) struct key *made = NULL;
    const char *sans[2 * NAMES_MAX];
    struct issue_spec spec;
    struct leaf fresh;

    leaf_init(&fresh);
    spec_of(&spec, d, c, sans);
    if (!key_or_null && key_generate(&made, KEY_P256, e))
        goto fail;
    key_or_null = key_or_null ? key_or_null : made;
    if (issue_leaf(&fresh.cert, a->cert, a->key, key_or_null, &spec, now, e) ||
        key_to_pem(key_or_null, &fresh.key_pem, e))
        goto fail;
    if (x509_to_pem(fresh.cert, &fresh.pem)) {
        err_set(e, ERR_LIMIT, "it is too large");
        goto fail;
    }
    if (ca_authority_add_bundle(&fresh.pem, a, e) ||
        (made && pemfile_write_lazy(key_path, buf_str(&fresh.key_pem), 0600, e)) ||
        pemfile_write_lazy(cert_path, buf_str(&fresh.pem), 0644, e))
        goto fail;
    leaf_deinit(l);
    *l = fresh;
    return 0;
fail:
    leaf_deinit(&fresh);
    return err_wrap(e, "new certificate %s", cert_path);
}

static int leaf_open(struct leaf *l, const struct def *d, const struct conf *c,
                     const struct authority *a, int64_t now, struct err *e)
{
    auto_free char *cert_path = mem_printf("%s/%s.crt", c->dir, d->base);
    auto_free char *key_path = mem_printf("%s/%s.key", c->dir, d->base);
    AUTO(key) struct key *key = NULL;
    const char *sans[2 * NAMES_MAX], *why = NULL;
    struct issue_spec spec;
    struct err cert_e = { 0 }, key_e = { 0 };
    bool key_missing, cert_missing;

    leaf_init(l);
    spec_of(&spec, d, c, sans);
    key_missing = pemfile_read(&l->key_pem, key_path, &key_e) == ERR_NOT_FOUND;
    if (!key_e.code && key_parse_pem(&key, buf_str(&l->key_pem), &key_e))
        key = NULL; /* looked at below */
    cert_missing = pemfile_read(&l->pem, cert_path, &cert_e) == ERR_NOT_FOUND;
    if (!cert_e.code && x509_parse_pem(&l->cert, buf_str(&l->pem), &cert_e))
        l->cert = NULL;

    if (key_e.code == ERR_DENIED || cert_e.code == ERR_DENIED) { /* not ours to mend */
        *e = key_e.code == ERR_DENIED ? key_e : cert_e;
        return (int)e->code;
    }
    if (!key)
        why = key_missing ? "its key is missing" : "its key is broken";
    else if (!l->cert)
        why = cert_missing ? "it is missing" : "it is broken";
    else if (!x509_fits_key(l->cert, key))
        why = "its key is another";
    else
        why = ca_leaf_reason(l->cert, a, &spec, now);
    if (!why)
        return 0;
    if (!a->created)
        log_info("making a new certificate", kv("file", cert_path), kv("why", why));
    /* a key outlives only the plain loss of its certificate (spec 2.4) */
    return issue(l, d, c, a, key && cert_missing && !a->created ? key : NULL, now, e);
}

int ca_leaves_open(struct leaf *l, const struct conf *c, const struct authority *a, int64_t now,
                   struct err *e)
{
    for (size_t i = 0; i < N_LEAVES; i++)
        if (leaf_open(&l[i], &table[i], c, &a[table[i].ca], now, e))
            return (int)e->code;
    return 0;
}

int ca_leaf_renew(struct leaf *l, enum leaf_id id, const struct conf *c, const struct authority *a,
                  int64_t now, struct err *e)
{
    return issue(l, &table[id], c, &a[table[id].ca], NULL, now, e);
}

void ca_leaves_deinit(struct leaf *l)
{
    for (size_t i = 0; i < N_LEAVES; i++)
        leaf_deinit(&l[i]);
}
