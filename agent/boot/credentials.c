#include "agent/boot/credentials.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"
#include "base/pki/kubeconfig.h"
#include "base/pki/password.h"
#include "base/pki/x509.h"

#include <stdio.h>

const char *credential_name(enum credential which)
{
    static const char *const names[N_CREDENTIALS] = { "serving-kubelet", "client-kubelet",
                                                      "client-kube-proxy",
                                                      "client-k3s-controller" };
    return names[which];
}

static char *path_of(const struct credentials *c, enum credential which, const char *suffix)
{
    return mem_printf("%s/%s%s", c->agent_dir, credential_name(which), suffix);
}

/* ---- the node password ---- */

static int open_password(struct credentials *c, struct err *e)
{
    auto_free char *path = mem_printf("%s/password", c->node_dir);
    auto_free char *legacy = mem_printf("%s/node-password.txt", c->agent_dir);
    auto_free char *line = NULL;
    auto_buf text = BUF_SECRET(sizeof c->password - 1);
    bool is_legacy = false;

    if (file_read(path, text.max, &text, e)) {
        if (e->code != ERR_NOT_FOUND)
            return err_wrap(e, "node password");
        is_legacy = file_read(legacy, text.max, &text, e) == 0;
    }
    struct str value = str_trim(buf_str(&text));
    if (value.n)
        snprintf(c->password, sizeof c->password, STR_FMT, STR_ARG(value));
    else
        password_new(c->password);
    if (value.n && !is_legacy)
        return 0;
    line = mem_printf("%s\n", c->password);
    if (file_mkdirs(c->node_dir, 0755, e) || file_write_atomic(path, str_of(line), 0600, e))
        return err_wrap(e, "node password");
    explicit_bzero(line, strlen(line));
    return is_legacy ? file_remove(legacy, e) : 0;
}

/* ---- keys and certificates ---- */

static int take_key(struct pair *p, const struct key *k, struct err *e)
{
    buf_deinit(&p->key_pem);
    p->key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    return key_to_pem(k, &p->key_pem, e);
}

/* The leaf of pem must fit the key. */
static int take_cert(struct pair *p, struct str pem, const struct key *k, struct err *e)
{
    AUTO(x509) struct x509 *leaf = NULL;

    if (x509_parse_pem(&leaf, pem, e))
        return (int)e->code;
    if (!x509_fits_key(leaf, k))
        return err_set(e, ERR_INVALID, "certificate %s does not belong to our key", leaf->subject);
    buf_deinit(&p->cert_pem);
    p->cert_pem = BUF(BUNDLE_MAX_BYTES);
    if (buf_add_str(&p->cert_pem, pem))
        return err_set(e, ERR_LIMIT, "certificate %s: the chain is too long", leaf->subject);
    p->not_before_unix_s = leaf->not_before_unix_s;
    p->not_after_unix_s = leaf->not_after_unix_s;
    p->renew_at_unix_s = x509_renew_at_unix_s(leaf);
    return 0;
}

static int open_pair(struct credentials *c, enum credential which, struct err *e)
{
    auto_free char *key_path = path_of(c, which, ".key");
    auto_free char *cert_path = path_of(c, which, ".crt");
    auto_buf pem = BUF(BUNDLE_MAX_BYTES);
    AUTO(key) struct key *k = NULL;
    struct pair *p = &c->pairs[which];
    struct err why;

    if (key_load_or_create(&k, key_path, KEY_P256, NULL, e) || take_key(p, k, e))
        return (int)e->code;
    if (file_read(cert_path, BUNDLE_MAX_BYTES, &pem, &why) ||
        take_cert(p, buf_str(&pem), k, &why)) {
        if (why.code != ERR_NOT_FOUND)
            log_warn("certificate left out, a new one is asked for", kv("file", cert_path),
                     kv("why", why.text));
    }
    return 0;
}

static void open_ca(struct buf *out, const char *dir, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    struct err e;

    *out = BUF(BUNDLE_MAX_BYTES);
    if (file_read(path, BUNDLE_MAX_BYTES, out, &e))
        buf_clear(out); /* it comes with the join */
}

int credentials_open(struct credentials *c, const char *data_dir, const char *node_dir,
                     struct err *e)
{
    *c = (struct credentials){ .agent_dir = mem_printf("%s/agent", data_dir),
                               .node_dir = mem_strdup(node_dir) };
    open_ca(&c->server_ca, c->agent_dir, "server-ca.crt");
    open_ca(&c->client_ca, c->agent_dir, "client-ca.crt");
    if (file_mkdirs(data_dir, 0755, e) || file_mkdirs(c->agent_dir, 0700, e) || open_password(c, e))
        return (int)e->code;
    for (int i = 0; i < N_CREDENTIALS; i++)
        if (open_pair(c, (enum credential)i, e))
            return (int)e->code;
    return 0;
}

void credentials_deinit(struct credentials *c)
{
    for (size_t i = 0; i < N_CREDENTIALS; i++) {
        buf_deinit(&c->pairs[i].cert_pem);
        buf_deinit(&c->pairs[i].key_pem);
    }
    buf_deinit(&c->server_ca);
    buf_deinit(&c->client_ca);
    explicit_bzero(c->password, sizeof c->password);
    free(c->agent_dir);
    free(c->node_dir);
}

int credentials_csr(const struct credentials *c, enum credential which, struct buf *der,
                    struct err *e)
{
    AUTO(key) struct key *k = NULL;

    if (key_parse_pem(&k, buf_str(&c->pairs[which].key_pem), e))
        return (int)e->code;
    return csr_make(der, k, e);
}

int credentials_answer(struct credentials *c, enum credential which, struct str body, struct err *e)
{
    auto_buf certs = BUF(BUNDLE_MAX_BYTES);
    auto_buf keys = BUF_SECRET(KEY_PEM_MAX_BYTES);
    auto_free char *key_path = path_of(c, which, ".key");
    auto_free char *cert_path = path_of(c, which, ".crt");
    AUTO(key) struct key *k = NULL;
    struct pair *p = &c->pairs[which];

    if (bundle_split(body, &certs, &keys, e))
        return err_wrap(e, "%s.crt", credential_name(which));
    /* servers older than 2025 hand out a shared key */
    if (key_parse_pem(&k, keys.n ? buf_str(&keys) : buf_str(&p->key_pem), e))
        return err_wrap(e, "%s.key", credential_name(which));
    if (take_cert(p, buf_str(&certs), k, e)) /* first: a key without its certificate is a loss */
        return err_wrap(e, "%s.crt", credential_name(which));
    if (keys.n &&
        (take_key(p, k, e) || file_write_if_changed(key_path, buf_str(&p->key_pem), 0600, NULL, e)))
        return err_wrap(e, "%s.key", credential_name(which));
    if (file_write_if_changed(cert_path, buf_str(&certs), 0600, NULL, e))
        return err_wrap(e, "%s.crt", credential_name(which));
    return 0;
}

int credentials_set_ca(struct credentials *c, bool server, struct str pem, struct err *e)
{
    struct buf *b = server ? &c->server_ca : &c->client_ca;
    auto_free char *path =
        mem_printf("%s/%s", c->agent_dir, server ? "server-ca.crt" : "client-ca.crt");

    if (!bundle_n_certs(pem))
        return err_set(e, ERR_INVALID, "%s-ca.crt: the answer holds no certificate",
                       server ? "server" : "client");
    buf_clear(b);
    if (buf_add_str(b, pem))
        return err_set(e, ERR_LIMIT, "CA bundle is too long");
    return file_write_if_changed(path, pem, 0600, NULL, e);
}

int credentials_write_kubeconfigs(const struct credentials *c, uint16_t lb_port, struct err *e)
{
    static const struct {
        const char *file;
        enum credential which;
    } configs[] = { { "kubelet", CRED_KUBELET },
                    { "kubeproxy", CRED_PROXY },
                    { "k3scontroller", CRED_CONTROLLER } };
    auto_free char *url = mem_printf("https://127.0.0.1:%u", lb_port);
    auto_free char *ca = mem_printf("%s/server-ca.crt", c->agent_dir);

    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        auto_free char *path = mem_printf("%s/%s.kubeconfig", c->agent_dir, configs[i].file);
        auto_free char *cert = path_of(c, configs[i].which, ".crt");
        auto_free char *key = path_of(c, configs[i].which, ".key");
        auto_buf text = BUF(KUBECONFIG_MAX_BYTES);
        struct kubeconfig_paths p = { url, ca, cert, key };

        if (kubeconfig_files(&text, &p, e) ||
            file_write_if_changed(path, buf_str(&text), 0600, NULL, e))
            return err_wrap(e, "%s.kubeconfig", configs[i].file);
    }
    return 0;
}

bool credentials_complete(const struct credentials *c, int64_t now_unix_s)
{
    const struct pair *k = &c->pairs[CRED_KUBELET];

    for (size_t i = 0; i < N_CREDENTIALS; i++)
        if (!c->pairs[i].cert_pem.n)
            return false;
    return c->server_ca.n && c->client_ca.n && k->not_after_unix_s > now_unix_s;
}

bool credentials_have_joined(const struct credentials *c)
{
    return c->server_ca.n && c->client_ca.n && c->pairs[CRED_KUBELET].cert_pem.n;
}

int64_t credentials_renew_at_unix_s(const struct credentials *c)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < N_CREDENTIALS; i++)
        first = MIN(first, c->pairs[i].renew_at_unix_s);
    return first;
}

bool credentials_are_due(const struct credentials *c, int64_t now_unix_s)
{
    for (size_t i = 0; i < N_CREDENTIALS; i++)
        if (now_unix_s < c->pairs[i].not_before_unix_s)
            return true;
    return now_unix_s >= credentials_renew_at_unix_s(c);
}
