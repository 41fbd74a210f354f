/* The five CAs. They are the cluster's identity: made once on an empty disk, never repaired, and a
 * broken or half-missing pair stops the server with the name of the file. Operators may place their
 * own before the first start (signing CA first, then intermediates, then the root). */
#include "server/ca/ca_int.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/issue.h"
#include "base/pki/pemfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DAY_S = 86400, WARN_DAYS = 365 };

static const struct {
    const char *prefix, *cert, *key;
    const char *nochain; /* copy of the first certificate only */
} table[N_AUTHS] = {
    [AUTH_CLIENT] = { "k3s-client", "tls/client-ca.crt", "tls/client-ca.key",
                      "tls/client-ca.nochain.crt" },
    [AUTH_SERVER] = { "k3s-server", "tls/server-ca.crt", "tls/server-ca.key",
                      "tls/server-ca.nochain.crt" },
    [AUTH_HEADER] = { "k3s-request-header", "tls/request-header-ca.crt",
                      "tls/request-header-ca.key", NULL },
    [AUTH_ETCD_SERVER] = { "etcd-server", "tls/etcd/server-ca.crt", "tls/etcd/server-ca.key",
                           NULL },
    [AUTH_ETCD_PEER] = { "etcd-peer", "tls/etcd/peer-ca.crt", "tls/etcd/peer-ca.key", NULL },
};

#define RESTORE                                                                                    \
    "restore it from a backup; removing both makes a new CA that no node and no token knows"

/* The key is written first: a power cut then leaves a key without certificate, which the next start
 * completes as long as no start has gone through (no cred/passwd yet). */
static int create(struct authority *a, const struct conf *c, const char *prefix,
                  const char *cert_path, const char *key_path, int64_t now, struct err *e)
{
    if (ca_key_open(&a->key, c, key_path, e) || issue_ca(&a->cert, a->key, prefix, now, e))
        return err_wrap(e, "new CA %s", prefix);
    if (x509_to_pem(a->cert, &a->pem))
        return err_set(e, ERR_LIMIT, "new CA %s: too large", prefix);
    a->created = true;
    if (ca_write(c, cert_path, buf_str(&a->pem), 0644, e))
        return err_wrap(e, "new CA %s", prefix);
    return 0;
}

static int load(struct authority *a, const char *cert_path, const char *key_path, struct err *e)
{
    auto_buf key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    auto_x509_list all = { 0 };

    if (pemfile_read(&a->pem, cert_path, e) || pemfile_read(&key_pem, key_path, e))
        return (int)e->code;
    if (x509_list_parse_pem(&all, buf_str(&a->pem), e)) {
        e->code = ERR_INVALID; /* not "not found": the file is there */
        return err_wrap(e, "%s is broken (" RESTORE ")", cert_path);
    }
    if (key_parse_pem(&a->key, buf_str(&key_pem), e))
        return err_wrap(e, "%s is broken (" RESTORE ")", key_path);
    a->cert = STEAL(all.v[0]);
    if (!a->cert->is_ca)
        return err_set(e, ERR_INVALID,
                       "%s: its first certificate %s is no CA; the signing CA comes first",
                       cert_path, a->cert->subject);
    if (!x509_fits_key(a->cert, a->key))
        return err_set(e, ERR_INVALID, "%s is not the key of %s: " RESTORE, key_path, cert_path);
    return 0;
}

static int authority_open(struct authority *a, size_t id, const struct conf *c, int64_t now,
                          struct err *e)
{
    auto_free char *cert_path = ca_conf_path(c, table[id].cert);
    auto_free char *key_path = ca_conf_path(c, table[id].key);
    bool has_cert, has_key;

    a->pem = BUF(CA_FILE_MAX_BYTES);
    if (id == AUTH_SERVER) { /* names of very old K3s */
        auto_free char *old_cert = ca_conf_path(c, "tls/token-ca.crt");
        auto_free char *old_key = ca_conf_path(c, "tls/token-ca.key");
        err_ignore(link(old_cert, cert_path)); /* mostly they do not exist, or the new ones do */
        err_ignore(link(old_key, key_path));
    }
    has_cert = ca_has(c, cert_path);
    has_key = ca_has(c, key_path);
    if (has_key && !has_cert && c->fresh)
        return create(a, c, table[id].prefix, cert_path, key_path, now, e);
    if (has_cert != has_key)
        return err_set(e, ERR_INVALID, "%s is missing but %s is there: " RESTORE,
                       has_cert ? key_path : cert_path, has_cert ? cert_path : key_path);
    if (!has_cert)
        return create(a, c, table[id].prefix, cert_path, key_path, now, e);
    return load(a, cert_path, key_path, e);
}

void ca_authorities_warn(struct authority *a, int64_t now)
{
    for (size_t i = 0; i < N_AUTHS; i++) {
        const struct x509 *cert = a[i].cert;
        int64_t left_days = (cert->not_after_unix_s - now) / DAY_S;

        if (llabs(now - a[i].warned_unix_s) < DAY_S)
            continue;
        if (now < cert->not_before_unix_s || now > cert->not_after_unix_s)
            log_error("a CA certificate is not valid now: it has expired, or this machine's clock "
                      "is wrong",
                      kv("file", table[i].cert), kv("days_left", left_days));
        else if (left_days < WARN_DAYS)
            log_warn("a CA certificate ends within a year: nodes and tokens depend on it",
                     kv("file", table[i].cert), kv("days_left", left_days));
        else
            continue;
        a[i].warned_unix_s = now;
    }
}

int ca_authorities_open(struct authority *a, const struct conf *c, int64_t now, struct err *e)
{
    for (size_t i = 0; i < N_AUTHS; i++) {
        if (authority_open(&a[i], i, c, now, e))
            return (int)e->code;
        if (table[i].nochain) {
            auto_buf first = BUF(CA_FILE_MAX_BYTES);
            auto_free char *path = ca_conf_path(c, table[i].nochain);

            if (bundle_first_cert(buf_str(&a[i].pem), &first, e) ||
                ca_write_if_changed(path, buf_str(&first), 0644, e))
                return (int)e->code;
        }
    }
    return 0;
}

void ca_authorities_deinit(struct authority *a)
{
    for (size_t i = 0; i < N_AUTHS; i++) {
        x509_free(a[i].cert);
        key_free(a[i].key);
        buf_deinit(&a[i].pem);
    }
}

int ca_authority_add_bundle(struct buf *out, const struct authority *a, struct err *e)
{
    struct str pem = buf_str(&a->pem);

    if (buf_add_str(out, pem) || (!str_ends(pem, STR("\n")) && buf_addc(out, '\n')))
        return err_set(e, ERR_LIMIT, "the CA bundle of %s does not fit", a->cert->subject);
    return 0;
}
