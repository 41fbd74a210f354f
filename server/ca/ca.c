#include "server/ca/ca.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/pemfile.h"
#include "server/ca/ca_int.h"

#include <unistd.h>

static int make_folders(const struct conf *c, struct err *e)
{
    static const char *const folders[] = { "tls",
                                           "tls/etcd",
                                           "tls/kube-scheduler",
                                           "tls/kube-controller-manager",
                                           "tls/temporary-certs",
                                           "cred" };

    if (pemfile_mkdir(c->dir, 0700, e))
        return (int)e->code;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        auto_free char *path = ca_conf_path(c, folders[i]);

        if (pemfile_mkdir(path, 0700, e))
            return (int)e->code;
    }
    return 0;
}

/* All but the ServiceAccount key, which a thread may be busy with. */
static int open_parts(struct ca *ca, int64_t now, struct err *e)
{
    const struct conf *c = &ca->conf;

    if (ca_authorities_open(ca->authorities, c, now, e))
        return (int)e->code;
    bundle_ca_hash(ca->hash, ca_cacerts(ca), X509_ANY_TIME);
    if (ca_leaves_open(ca->leaves, c, ca->authorities, now, e) ||
        ca_shared_open(ca->shared, c, e) ||
        ca_listener_open(&ca->listener, c, &ca->authorities[AUTH_SERVER], now, e) ||
        ca_component_kubeconfigs(c, e) ||
        ca_admin_kubeconfig(c, &ca->authorities[AUTH_SERVER], &ca->leaves[LEAF_ADMIN], e))
        return (int)e->code;
    return 0;
}

int ca_open(struct ca **out, const struct ca_options *o, struct err *e)
{
    AUTO(ca) struct ca *ca = mem_alloc(sizeof *ca);
    struct service_key *service_key;
    struct err key_e = { 0 };
    int r;

    ca->service_key = BUF_SECRET(CA_FILE_MAX_BYTES);
    if (ca_conf_init(&ca->conf, o, e) || make_folders(&ca->conf, e))
        return err_wrap(e, "server identity");
    auto_free char *passwd = ca_path(ca, "cred/passwd");
    ca->conf.fresh = access(passwd, F_OK) != 0;
    service_key = ca_service_key_begin(&ca->conf);
    r = open_parts(ca, clock_wall_s(), e);
    if (ca_service_key_wait(service_key, r ? NULL : &ca->service_key, &key_e)) {
        *e = key_e;
        r = (int)e->code;
    }
    /* last: cred/passwd says that a first start went through */
    if (r || ca_secrets_open(&ca->secrets, &ca->conf, ca->hash, e))
        return err_wrap(e, "server identity");
    *out = STEAL(ca);
    return 0;
}

void ca_free(struct ca *ca)
{
    if (!ca)
        return;
    ca_secrets_deinit(&ca->secrets);
    ca_listener_deinit(&ca->listener);
    ca_shared_deinit(ca->shared);
    ca_leaves_deinit(ca->leaves);
    ca_authorities_deinit(ca->authorities);
    buf_deinit(&ca->service_key);
    ca_conf_deinit(&ca->conf);
    free(ca);
}

struct str ca_cacerts(const struct ca *ca)
{
    return buf_str(&ca->authorities[AUTH_SERVER].pem);
}

struct str ca_client_ca(const struct ca *ca)
{
    return buf_str(&ca->authorities[AUTH_CLIENT].pem);
}

struct str ca_request_header_ca(const struct ca *ca)
{
    return buf_str(&ca->authorities[AUTH_HEADER].pem);
}

const char *ca_hash(const struct ca *ca)
{
    return ca->hash;
}

struct passwd *ca_passwd(struct ca *ca)
{
    return ca->secrets.passwd;
}

const char *ca_ipsec_psk(const struct ca *ca)
{
    return ca->secrets.psk;
}

struct str ca_listener_cert(const struct ca *ca)
{
    return buf_str(&ca->listener.pem);
}

struct str ca_listener_key(const struct ca *ca)
{
    return buf_str(&ca->listener.key_pem);
}

struct str ca_service_key(const struct ca *ca)
{
    return buf_str(&ca->service_key);
}

const char *ca_token(const struct ca *ca)
{
    return ca->secrets.token;
}

const char *ca_server_dir(const struct ca *ca)
{
    return ca->conf.dir;
}

char *ca_path(const struct ca *ca, const char *rel)
{
    return ca_conf_path(&ca->conf, rel);
}

static const enum leaf_id client_leaves[] = {
    [CA_CLIENT_ADMIN] = LEAF_ADMIN,
    [CA_CLIENT_SUPERVISOR] = LEAF_SUPERVISOR,
    [CA_CLIENT_API_SERVER] = LEAF_API_SERVER,
    [CA_CLIENT_AUTH_PROXY] = LEAF_AUTH_PROXY,
};

struct str ca_client_cert(const struct ca *ca, enum ca_client which)
{
    return buf_str(&ca->leaves[client_leaves[which]].pem);
}

struct str ca_client_key(const struct ca *ca, enum ca_client which)
{
    return buf_str(&ca->leaves[client_leaves[which]].key_pem);
}

static unsigned changed_by(enum leaf_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(client_leaves); i++)
        if (client_leaves[i] == id)
            return CA_CHANGED_CLIENT;
    return CA_CHANGED_OTHER;
}

int ca_renew_due(struct ca *ca, int64_t now_unix_s, unsigned *changed, struct err *e)
{
    const struct conf *c = &ca->conf;

    ca_authorities_warn(ca->authorities, now_unix_s);
    *changed = 0; /* counts also what was renewed before a failure */
    if (x509_is_due(ca->listener.cert, now_unix_s)) {
        if (ca_listener_renew(&ca->listener, c, &ca->authorities[AUTH_SERVER], now_unix_s, e))
            return (int)e->code;
        *changed |= CA_CHANGED_LISTENER;
    }
    for (size_t i = 0; i < N_LEAVES; i++) {
        if (!x509_is_due(ca->leaves[i].cert, now_unix_s))
            continue;
        if (ca_leaf_renew(&ca->leaves[i], (enum leaf_id)i, c, ca->authorities, now_unix_s, e))
            return (int)e->code;
        *changed |= changed_by((enum leaf_id)i);
        ca->kubeconfig_stale |= i == LEAF_ADMIN;
    }
    if (ca->kubeconfig_stale &&
        ca_admin_kubeconfig(c, &ca->authorities[AUTH_SERVER], &ca->leaves[LEAF_ADMIN], e))
        return (int)e->code; /* the next call tries again */
    ca->kubeconfig_stale = false;
    return 0;
}

int ca_listener_secret(const struct ca *ca, struct buf *out, struct err *e)
{
    return ca_listener_json(&ca->listener, out, e);
}

int ca_listener_add_san(struct ca *ca, const char *san, bool *changed, struct err *e)
{
    return ca_listener_add(&ca->listener, &ca->conf, &ca->authorities[AUTH_SERVER], san,
                           clock_wall_s(), changed, e);
}
