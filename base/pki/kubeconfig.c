#include "base/pki/kubeconfig.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/yaml.h"
#include "base/io/file.h"

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

/* ---- reading ---- */

/* The entry of that name in doc.<list>; NULL: there is none. */
static const json_t *entry(const json_t *doc, const char *list, const char *name)
{
    const json_t *x;
    size_t i;

    json_array_foreach(json_object_get(doc, list), i, x)
    {
        if (strcmp(json_str_at(x, "name", ""), name) == 0)
            return x;
    }
    return NULL;
}

/* <what>-data of the entry, or the file that <what> names, taken from the folder of path. */
static int read_pem(struct buf *out, const json_t *x, const char *what, const char *path,
                    struct err *e)
{
    auto_free char *data_key = mem_printf("%s-data", what);
    const char *data = json_string_value(json_object_get(x, data_key));
    const char *file = json_string_value(json_object_get(x, what)), *slash = strrchr(path, '/');

    *out = BUF_SECRET(KUBECONFIG_MAX_BYTES);
    if (data)
        return base64_decode(out, str_of(data), true)
                   ? err_set(e, ERR_INVALID, "%s is no base64", data_key)
                   : 0;
    if (!file)
        return 0;
    int dir_n = *file == '/' || !slash ? 0 : (int)(slash - path + 1);
    auto_free char *full = mem_printf("%.*s%s", dir_n, path, file);
    return file_read(full, KUBECONFIG_MAX_BYTES, out, e);
}

static int take_context(struct kubeconfig *k, const json_t *doc, const char *path, struct err *e)
{
    const char *current = json_str_at(doc, "current-context", "");
    const json_t *context = entry(doc, "contexts", current);
    const json_t *cluster = entry(doc, "clusters", json_str_at(context, "context.cluster", ""));
    const json_t *user = entry(doc, "users", json_str_at(context, "context.user", ""));
    const char *url = json_str_at(cluster, "cluster.server", NULL);

    if (!context || !cluster || !user || !url)
        return err_set(e, ERR_INVALID, "context \"%s\" has no %s", current,
                       !context   ? "entry"
                       : !cluster ? "cluster"
                       : !user    ? "user"
                                  : "server");
    cluster = json_object_get(cluster, "cluster");
    user = json_object_get(user, "user");
    if (read_pem(&k->ca_pem, cluster, "certificate-authority", path, e) ||
        read_pem(&k->cert_pem, user, "client-certificate", path, e) ||
        read_pem(&k->key_pem, user, "client-key", path, e))
        return (int)e->code;
    k->server_url = mem_strdup(url);
    return 0;
}

int kubeconfig_read(struct kubeconfig *out, const char *path, struct err *e)
{
    auto_buf text = BUF_SECRET(KUBECONFIG_MAX_BYTES);
    struct kubeconfig k = { 0 };
    json_auto_t *doc = NULL;

    if (file_read(path, KUBECONFIG_MAX_BYTES, &text, e))
        return err_wrap(e, "kubeconfig");
    if (yaml_parse(&doc, buf_str(&text), e) || take_context(&k, doc, path, e)) {
        kubeconfig_deinit(&k);
        return err_wrap(e, "kubeconfig %s", path);
    }
    *out = k;
    return 0;
}

void kubeconfig_deinit(struct kubeconfig *k)
{
    free(k->server_url);
    k->server_url = NULL;
    buf_deinit(&k->ca_pem);
    buf_deinit(&k->cert_pem);
    buf_deinit(&k->key_pem);
}
