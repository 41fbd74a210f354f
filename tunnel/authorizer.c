#include "tunnel/authorizer.h"

#include "base/core/mem.h"
#include "base/http/url.h"

#include <stdio.h>

static const char *const modes[] = { "agent", "disabled", "pod", "cluster" };

int tunnel_egress_mode_parse(enum tunnel_egress_mode *out, struct str text, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (str_is(text, modes[i])) {
            *out = (enum tunnel_egress_mode)i;
            return 0;
        }
    return err_set(e, ERR_INVALID,
                   "egress-selector-mode \"" STR_FMT
                   "\" does not exist; agent, disabled, pod and cluster do",
                   STR_ARG(text));
}

int tunnel_authorizer_init(struct tunnel_authorizer *a, struct str mode, struct err *e)
{
    enum tunnel_egress_mode m;

    if (tunnel_egress_mode_parse(&m, mode, e))
        return e->code;
    *a = (struct tunnel_authorizer){ .mode = m, .kubelet_port = TUNNEL_KUBELET_PORT };
    return 0;
}

void tunnel_authorizer_deinit(struct tunnel_authorizer *a)
{
    free(STEAL(a->node_ips));
    free(STEAL(a->cidrs));
    free(STEAL(a->pod_ips));
    free(STEAL(a->host_ports));
    a->n_node_ips = a->n_cidrs = a->n_pod_ips = a->n_host_ports = 0;
}

/* ---- addresses ---- */

static bool any_has(const struct cidr *nets, size_t n, const struct cidr *ip)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_has(&nets[i], ip))
            return true;
    return false;
}

static int nets_parse(struct cidr *out, const char *const *texts, size_t n, bool block,
                      struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!cidr_parse_address(&out[i], str_of(texts[i])) &&
            (!block || !cidr_parse(&out[i], str_of(texts[i]))))
            return err_set(e, ERR_INVALID, "not an %s: %s", block ? "address block" : "IP address",
                           texts[i]);
    return 0;
}

/* ---- what the owner tells ---- */

int tunnel_authorizer_set_node(struct tunnel_authorizer *a, const char *const *ips, size_t n_ips,
                               const char *const *cidrs, size_t n_cidrs, struct err *e)
{
    auto_free struct cidr *new_ips = mem_calloc(n_ips + 1, sizeof *new_ips);
    auto_free struct cidr *new_cidrs = mem_calloc(n_cidrs + 1, sizeof *new_cidrs);

    if (nets_parse(new_ips, ips, n_ips, false, e) || nets_parse(new_cidrs, cidrs, n_cidrs, true, e))
        return e->code;
    free(a->node_ips);
    free(a->cidrs);
    a->node_ips = STEAL(new_ips);
    a->n_node_ips = n_ips;
    a->cidrs = STEAL(new_cidrs);
    a->n_cidrs = n_cidrs;
    return 0;
}

int tunnel_authorizer_set_pods(struct tunnel_authorizer *a, const struct tunnel_pod *pods,
                               size_t n_pods, struct err *e)
{
    auto_free struct cidr *ips = NULL;
    auto_free uint16_t *ports = NULL;
    size_t n_ips = 0, n_ports = 0;

    for (size_t i = 0; i < n_pods; i++) {
        n_ips += pods[i].host_network ? 0 : pods[i].n_ips;
        n_ports += pods[i].host_network ? pods[i].n_tcp_ports : 0;
    }
    ips = mem_calloc(n_ips + 1, sizeof *ips);
    ports = mem_calloc(n_ports + 1, sizeof *ports);
    n_ips = n_ports = 0;
    for (size_t i = 0; i < n_pods; i++) {
        const struct tunnel_pod *p = &pods[i];

        for (size_t j = 0; p->host_network && j < p->n_tcp_ports; j++)
            ports[n_ports++] = p->tcp_ports[j];
        if (p->host_network) /* its addresses are the node's */
            continue;
        if (nets_parse(ips + n_ips, p->ips, p->n_ips, false, e))
            return e->code;
        n_ips += p->n_ips;
    }
    free(a->pod_ips);
    free(a->host_ports);
    a->pod_ips = STEAL(ips);
    a->n_pod_ips = n_ips;
    a->host_ports = STEAL(ports);
    a->n_host_ports = n_ports;
    return 0;
}

/* ---- the question ---- */

static bool is_host_port(const struct tunnel_authorizer *a, uint16_t port)
{
    for (size_t i = 0; i < a->n_host_ports; i++)
        if (a->host_ports[i] == port)
            return true;
    return false;
}

static bool mode_allows(const struct tunnel_authorizer *a, struct str host, uint16_t port)
{
    struct cidr ip;

    if (!cidr_parse_address(&ip, host))
        return false;
    switch (a->mode) {
    case TUNNEL_EGRESS_AGENT:
    case TUNNEL_EGRESS_DISABLED:
        return false;
    case TUNNEL_EGRESS_POD:
        return any_has(a->pod_ips, a->n_pod_ips, &ip) ||
               (is_host_port(a, port) && any_has(a->node_ips, a->n_node_ips, &ip));
    case TUNNEL_EGRESS_CLUSTER:
        return any_has(a->node_ips, a->n_node_ips, &ip) || any_has(a->cidrs, a->n_cidrs, &ip);
    }
    return false;
}

int tunnel_authorizer_check(const struct tunnel_authorizer *a, struct str proto, struct str address,
                            struct tunnel_target *out, struct err *e)
{
    struct tunnel_target t = { 0 };
    bool own;
    struct str host;
    struct err why;

    if (url_split_host_port(&host, &t.port, address, 0, &why))
        return err_set(e, ERR_INVALID, "not host:port: " STR_FMT, STR_ARG(address));
    own = (str_is(host, "127.0.0.1") || str_is(host, "::1")) &&
          (t.port == a->kubelet_port || t.port == TUNNEL_CRI_STREAM_PORT);
    if (!str_is(proto, "tcp") || (!own && !mode_allows(a, host, t.port)))
        return err_set(e, ERR_DENIED, "not allowed: " STR_FMT "/" STR_FMT, STR_ARG(proto),
                       STR_ARG(address));
    if (own && t.port == a->kubelet_port && a->kubelet_host[0])
        host = str_of(a->kubelet_host);
    snprintf(t.host, sizeof t.host, STR_FMT, STR_ARG(host));
    *out = t;
    return 0;
}
