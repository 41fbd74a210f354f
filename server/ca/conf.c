#include "server/ca/ca_int.h"

#include "base/core/mem.h"

#include <unistd.h>

int ca_names_add(struct names *l, const char *name, struct err *e)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->v[i], name))
            return 0;
    if (l->n == NAMES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d names for the server's certificate", NAMES_MAX);
    l->v = mem_realloc(l->v, (l->n + 1) * sizeof *l->v);
    l->v[l->n++] = mem_strdup(name);
    return 0;
}

void ca_names_deinit(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct names){ 0 };
}

static int add_list(struct names *l, const char *const *v, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct str one, rest = str_of(v[i]);

        while (rest.n) { /* "--tls-san a,b" */
            str_cut(rest, ',', &one, &rest);
            one = str_trim(one);
            auto_free char *name = mem_strndup(one.p ? one.p : "", one.n);
            if (one.n && ca_names_add(l, name, e))
                return (int)e->code;
        }
    }
    return 0;
}

/* Spec 2.5, in this order. */
static int collect_sans(struct conf *c, const struct ca_options *o, struct err *e)
{
    struct str host, domain;
    struct names *l = &c->sans;

    if (add_list(l, o->tls_sans, o->n_tls_sans, e) || ca_names_add(l, "127.0.0.1", e) ||
        ca_names_add(l, "::1", e) || ca_names_add(l, "localhost", e) ||
        ca_names_add(l, c->node_name, e) ||
        add_list(l, o->node_external_ips, o->n_node_external_ips, e))
        return (int)e->code;
    if (str_cut(str_of(c->node_name), '.', &host, &domain)) {
        auto_free char *name = mem_strndup(host.p, host.n);
        if (ca_names_add(l, name, e))
            return (int)e->code;
    }
    if (add_list(l, o->node_ips, o->n_node_ips, e) ||
        ca_names_add(l, o->service_ip ? o->service_ip : "10.43.0.1", e) ||
        (o->advertise_ip && ca_names_add(l, o->advertise_ip, e)))
        return (int)e->code;
    auto_free char *full = mem_printf("kubernetes.default.svc.%s",
                                      o->cluster_domain ? o->cluster_domain : "cluster.local");
    if (ca_names_add(&c->api_names, "kubernetes", e) ||
        ca_names_add(&c->api_names, "kubernetes.default", e) ||
        ca_names_add(&c->api_names, "kubernetes.default.svc", e) ||
        ca_names_add(&c->api_names, full, e))
        return (int)e->code;
    return 0;
}

static char *dup_or_null(const char *s)
{
    return s && *s ? mem_strdup(s) : NULL;
}

static char *default_kubeconfig(void)
{
    const char *home = getenv("HOME");

    if (geteuid() == 0 || !home)
        return mem_strdup("/etc/rancher/k3s/k3s.yaml");
    return mem_printf("%s/.kube/k3s.yaml", home);
}

int ca_conf_init(struct conf *c, const struct ca_options *o, struct err *e)
{
    unsigned port = o->https_port ? o->https_port : 6443;
    const char *loopback = o->ipv6 ? "[::1]" : "127.0.0.1";
    const char *bind = o->bind_address;

    c->dir = mem_printf("%s/server", o->data_dir ? o->data_dir : "/var/lib/rancher/k3s");
    if (!o->node_name || !*o->node_name)
        return err_set(e, ERR_INVALID, "the server's node name is empty");
    c->node_name = mem_strdup(o->node_name);
    c->token = dup_or_null(o->token);
    c->agent_token = dup_or_null(o->agent_token);
    if (bind && *bind && strcmp(bind, "0.0.0.0") != 0 && strcmp(bind, "::") != 0)
        c->admin_url =
            mem_printf(strchr(bind, ':') ? "https://[%s]:%u" : "https://%s:%u", bind, port);
    else
        c->admin_url = mem_printf("https://%s:%u", loopback, port);
    c->component_url =
        mem_printf("https://%s:%u", loopback, o->apiserver_port ? o->apiserver_port : port);
    c->kubeconfig_default =
        o->kubeconfig_default ? mem_strdup(o->kubeconfig_default) : default_kubeconfig();
    c->kubeconfig = dup_or_null(o->kubeconfig);
    c->kubeconfig_name = dup_or_null(o->kubeconfig_name);
    c->kubeconfig_group = dup_or_null(o->kubeconfig_group);
    c->kubeconfig_mode = o->kubeconfig_mode ? o->kubeconfig_mode : 0600;
    c->no_kubeconfig = o->no_kubeconfig;
    return collect_sans(c, o, e);
}

static void secret_free(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void ca_conf_deinit(struct conf *c)
{
    ca_names_deinit(&c->sans);
    ca_names_deinit(&c->api_names);
    secret_free(c->token);
    secret_free(c->agent_token);
    free(c->dir);
    free(c->node_name);
    free(c->admin_url);
    free(c->component_url);
    free(c->kubeconfig);
    free(c->kubeconfig_default);
    free(c->kubeconfig_name);
    free(c->kubeconfig_group);
}

char *ca_conf_path(const struct conf *c, const char *rel)
{
    return mem_printf("%s/%s", c->dir, rel);
}
