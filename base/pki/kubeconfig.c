#include "base/pki/kubeconfig.h"

#include "base/data/base64.h"

/* Plain YAML scalars only: what we write are URLs, paths and names. */
static int check_plain(const char *what, const char *s, struct err *e)
{
    if (!*s || strchr("&*!|>'\"%@`#,[]{}?- ", *s) || strstr(s, ": ") || strstr(s, " #") ||
        s[strlen(s) - 1] == ' ' || s[strlen(s) - 1] == ':')
        return err_set(e, ERR_INVALID, "\"%s\" is not fit as %s of a kubeconfig", s, what);
    for (const char *at = s; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return err_set(e, ERR_INVALID, "the %s of a kubeconfig holds a control byte", what);
    return 0;
}

static int too_large(struct buf *out, size_t n_before, struct err *e)
{
    out->n = n_before;
    if (out->p)
        out->p[n_before] = '\0';
    return err_set(e, ERR_LIMIT, "the kubeconfig does not fit %zu bytes", out->max);
}

int kubeconfig_embedded(struct buf *out, const struct kubeconfig_data *d, struct err *e)
{
    const char *name = d->name ? d->name : "default";
    size_t n_before = out->n;

    if (check_plain("name", name, e) || check_plain("server", d->server_url, e))
        return (int)e->code;
    if (buf_adds(out, "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: ") ||
        base64_add(out, d->ca_pem) ||
        buf_addf(out, "\n    server: %s\n  name: %s\ncontexts:\n- context:\n    cluster: %s\n",
                 d->server_url, name, name) ||
        buf_addf(out, "    user: %s\n  name: %s\ncurrent-context: %s\nkind: Config\n", name, name,
                 name) ||
        buf_addf(out, "preferences: {}\nusers:\n- name: %s\n  user:\n", name) ||
        buf_adds(out, "    client-certificate-data: ") || base64_add(out, d->cert_pem) ||
        buf_adds(out, "\n    client-key-data: ") || base64_add(out, d->key_pem) ||
        buf_addc(out, '\n'))
        return too_large(out, n_before, e);
    return 0;
}

int kubeconfig_files(struct buf *out, const struct kubeconfig_paths *p, struct err *e)
{
    size_t n_before = out->n;

    if (check_plain("server", p->server_url, e) || check_plain("CA path", p->ca_path, e) ||
        check_plain("certificate path", p->cert_path, e) || check_plain("key path", p->key_path, e))
        return (int)e->code;
    if (buf_addf(out,
                 "apiVersion: v1\nclusters:\n- cluster:\n    server: %s\n"
                 "    certificate-authority: %s\n  name: local\n",
                 p->server_url, p->ca_path) ||
        buf_adds(out, "contexts:\n- context:\n    cluster: local\n    namespace: default\n"
                      "    user: user\n  name: Default\ncurrent-context: Default\nkind: Config\n"
                      "preferences: {}\nusers:\n- name: user\n  user:\n") ||
        buf_addf(out, "    client-certificate: %s\n    client-key: %s\n", p->cert_path,
                 p->key_path))
        return too_large(out, n_before, e);
    return 0;
}
