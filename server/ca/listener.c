/* The certificate that the supervisor's port shows: CN=k3s, O=k3s, all names an agent may dial. K3s
 * keeps it in the Secret kube-system/k3s-serving and caches that Secret's JSON in a file; so do we,
 * to take a K3s server's disk over and give it back (rancher/dynamiclistener). */
#include "server/ca/ca_int.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/pki/bundle.h"
#include "base/pki/issue.h"
#include "base/pki/pemfile.h"

#include <stdio.h>
#include <unistd.h>

#define CN_PREFIX "listener.cattle.io/cn-"

static void spec_of(struct issue_spec *out, const struct names *names)
{
    static const char *const k3s = "k3s";

    *out = (struct issue_spec){ .common_name = k3s,
                                .organizations = &k3s,
                                .n_organizations = 1,
                                .server_auth = true,
                                .sans = (const char *const *)names->v,
                                .n_sans = names->n };
}

static void init(struct listener *l)
{
    *l = (struct listener){ .pem = BUF(CA_FILE_MAX_BYTES),
                            .key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES) };
}

void ca_listener_deinit(struct listener *l)
{
    ca_names_deinit(&l->names);
    x509_free(l->cert);
    buf_deinit(&l->pem);
    buf_deinit(&l->key_pem);
    *l = (struct listener){ 0 };
}

static int wanted(struct names *out, const struct conf *c, struct err *e)
{
    for (size_t i = 0; i < c->sans.n; i++)
        if (ca_names_add(out, c->sans.v[i], e))
            return (int)e->code;
    for (size_t i = 0; i < c->api_names.n; i++)
        if (ca_names_add(out, c->api_names.v[i], e))
            return (int)e->code;
    return 0;
}

/* The names that are in a certificate, which may have grown at run time. */
static int take_names(struct names *out, const struct x509 *x, struct err *e)
{
    for (size_t i = 0; i < x->n_dns_names; i++)
        if (ca_names_add(out, x->dns_names[i], e))
            return (int)e->code;
    for (size_t i = 0; i < x->n_ips; i++)
        if (ca_names_add(out, x->ips[i], e))
            return (int)e->code;
    return 0;
}

/* An annotation's key has 63 characters at most and neither ':' nor '*' (dynamiclistener's rule).
 */
static void annotation_key(char out[128], const char *san)
{
    char full[512], hash[BUNDLE_HASH_CHARS + 1];
    size_t n = (size_t)snprintf(full, sizeof full, CN_PREFIX "%s", san);

    if (n < 64 && !strpbrk(full, ":*")) {
        memcpy(out, full, n + 1);
        return;
    }
    bundle_sha256_hex(hash, str_of(full));
    for (char *p = full; *p; p++)
        if (*p == ':' || *p == '*')
            *p = '_';
    snprintf(out, 128, "%.56s-%.6s", full, hash);
}

int ca_listener_json(const struct listener *l, struct buf *out, struct err *e)
{
    auto_buf cert = BUF(2 * CA_FILE_MAX_BYTES), key = BUF_SECRET(2 * KEY_PEM_MAX_BYTES);
    char fingerprint[41], sha1[48], name[128];
    json_auto_t *annotations = json_object();
    json_auto_t *secret = NULL;

    for (size_t i = 0; i < l->names.n; i++) {
        annotation_key(name, l->names.v[i]);
        json_object_set_new(annotations, name, json_string(l->names.v[i]));
    }
    x509_fingerprint_sha1(l->cert, fingerprint);
    snprintf(sha1, sizeof sha1, "SHA1=%s", fingerprint);
    json_object_set_new(annotations, "listener.cattle.io/fingerprint", json_string(sha1));
    if (base64_add(&cert, buf_str(&l->pem)) || base64_add(&key, buf_str(&l->key_pem)))
        return err_set(e, ERR_LIMIT, "the supervisor's certificate is too large");
    secret = json_pack("{s:s, s:s, s:{s:s, s:s, s:O}, s:{s:s, s:s}, s:s}", "kind", "Secret",
                       "apiVersion", "v1", "metadata", "name", "k3s-serving", "namespace",
                       "kube-system", "annotations", annotations, "data", "tls.crt",
                       buf_cstr(&cert), "tls.key", buf_cstr(&key), "type", "kubernetes.io/tls");
    if (!secret || json_write(out, secret))
        return err_set(e, ERR_LIMIT, "the Secret of the supervisor's certificate is too large");
    return 0;
}

static int save(const struct listener *l, const struct conf *c, struct err *e)
{
    auto_free char *path = ca_conf_path(c, "tls/dynamic-cert.json");
    auto_buf text = BUF_SECRET(4 * CA_FILE_MAX_BYTES);

    return ca_listener_json(l, &text, e) || pemfile_write_lazy(path, buf_str(&text), 0600, e)
               ? (int)e->code
               : 0;
}

/* Replaces l by a certificate with these names; on failure l stays. */
static int issue(struct listener *l, const struct conf *c, const struct authority *server,
                 const struct names *names, int64_t now, struct err *e)
{
    AUTO(key) struct key *key = NULL;
    struct issue_spec spec;
    struct listener fresh;
    int r = 0;

    init(&fresh);
    spec_of(&spec, names);
    for (size_t i = 0; i < names->n && !r; i++)
        r = ca_names_add(&fresh.names, names->v[i], e);
    if (!r && (key_generate(&key, KEY_P256, e) ||
               issue_leaf(&fresh.cert, server->cert, server->key, key, &spec, now, e) ||
               key_to_pem(key, &fresh.key_pem, e)))
        r = (int)e->code;
    if (!r && x509_to_pem(fresh.cert, &fresh.pem))
        r = err_set(e, ERR_LIMIT, "it is too large");
    if (!r && (ca_authority_add_bundle(&fresh.pem, server, e) || save(&fresh, c, e)))
        r = (int)e->code;
    if (r) {
        ca_listener_deinit(&fresh);
        return err_wrap(e, "new supervisor certificate");
    }
    ca_listener_deinit(l);
    *l = fresh;
    return 0;
}

static int load(struct listener *l, struct str text, struct err *e)
{
    AUTO(key) struct key *key = NULL;
    json_auto_t *secret = NULL;
    const char *cert64, *key64;

    if (json_parse(&secret, text, e) || json_path_str(&cert64, secret, "data[\"tls.crt\"]", e) ||
        json_path_str(&key64, secret, "data[\"tls.key\"]", e))
        return (int)e->code;
    if (base64_decode(&l->pem, str_of(cert64), false) ||
        base64_decode(&l->key_pem, str_of(key64), false))
        return err_set(e, ERR_INVALID, "its data is no base64");
    if (x509_parse_pem(&l->cert, buf_str(&l->pem), e) ||
        key_parse_pem(&key, buf_str(&l->key_pem), e))
        return (int)e->code;
    if (!x509_fits_key(l->cert, key))
        return err_set(e, ERR_INVALID, "its key is another");
    return take_names(&l->names, l->cert, e);
}

/* Merges what is wanted into what the old certificate had and issues it. */
static int reissue(struct listener *l, const struct conf *c, const struct authority *server,
                   int64_t now, struct err *e)
{
    struct names all = { 0 };
    struct err full;
    int r = wanted(&all, c, e); /* first: they must find room */

    for (size_t i = 0; !r && i < l->names.n; i++)
        if (ca_names_add(&all, l->names.v[i], &full)) {
            log_warn("some names of the old supervisor certificate are dropped",
                     kv("err", full.text));
            break;
        }
    if (!r)
        r = issue(l, c, server, &all, now, e);
    ca_names_deinit(&all);
    return r;
}

int ca_listener_open(struct listener *l, const struct conf *c, const struct authority *server,
                     int64_t now, struct err *e)
{
    auto_free char *path = ca_conf_path(c, "tls/dynamic-cert.json");
    auto_free char *trigger = ca_conf_path(c, "tls/dynamic-cert-regenerate");
    auto_buf text = BUF_SECRET(4 * CA_FILE_MAX_BYTES);
    const char *why = NULL;
    struct names names = { 0 };
    struct issue_spec spec;
    struct err load_e = { 0 };
    int r;

    init(l);
    r = pemfile_read(&text, path, &load_e);
    if (r == ERR_DENIED || r == ERR_IO) {
        *e = load_e;
        return r;
    }
    if (r == ERR_NOT_FOUND) {
        why = "there is none";
    } else if (r || load(l, buf_str(&text), &load_e)) {
        why = load_e.text;
        ca_names_deinit(&l->names);
    }
    if (access(trigger, F_OK) == 0) {
        why = "tls/dynamic-cert-regenerate asks for it";
        ca_names_deinit(&l->names);
    }
    if (!why) { /* the chain of today: old K3s stored only the leaf */
        buf_clear(&l->pem);
        if (x509_to_pem(l->cert, &l->pem))
            return err_set(e, ERR_LIMIT, "the supervisor's certificate is too large");
        if (ca_authority_add_bundle(&l->pem, server, e))
            return (int)e->code;
        r = wanted(&names, c, e);
        spec_of(&spec, &names);
        why = r ? NULL : ca_leaf_reason(l->cert, server, &spec, now);
        ca_names_deinit(&names);
        if (r || !why)
            return r;
    }
    if (!server->created)
        log_info("making a new supervisor certificate", kv("why", why));
    r = reissue(l, c, server, now, e);
    if (!r)
        unlink(trigger);
    return r;
}

int ca_listener_renew(struct listener *l, const struct conf *c, const struct authority *server,
                      int64_t now, struct err *e)
{
    return reissue(l, c, server, now, e);
}

int ca_listener_add(struct listener *l, const struct conf *c, const struct authority *server,
                    const char *san, int64_t now, bool *added, struct err *e)
{
    struct names all = { 0 };
    int r = 0;

    *added = false;
    if (x509_has_name(l->cert, san))
        return 0;
    for (size_t i = 0; !r && i < l->names.n; i++)
        r = ca_names_add(&all, l->names.v[i], e);
    if (!r)
        r = ca_names_add(&all, san, e);
    if (!r)
        r = issue(l, c, server, &all, now, e);
    ca_names_deinit(&all);
    *added = !r;
    return r;
}
