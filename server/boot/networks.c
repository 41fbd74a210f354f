#include "server/boot/networks.h"

#include "base/core/mem.h"
#include "base/data/cidr.h"
#include "base/kube/families.h"

#include <string.h>

void networks_default(struct server_options *o, const char *node_ip)
{
    static char pods4[] = "10.42.0.0/16", services4[] = "10.43.0.0/16";
    static char pods6[] = "fd00:42::/56", services6[] = "fd00:43::/112";
    static char *pods[] = { pods4, pods6 }, *services[] = { services4, services6 };
    size_t i = strchr(node_ip, ':') ? 1 : 0;

    if (!o->cluster_cidr.n)
        o->cluster_cidr = (struct flag_list){ &pods[i], 1 };
    if (!o->service_cidr.n)
        o->service_cidr = (struct flag_list){ &services[i], 1 };
}

static int read_list(struct families *out, const char *flag, const struct flag_list *l,
                     struct err *e)
{
    const char *example = strcmp(flag, "cluster-cidr") == 0 ? "10.42.0.0/16" : "10.43.0.0/16";
    struct cidr c;

    if (!l->n)
        return err_set(e, ERR_INVALID, "--%s: at least one network is needed", flag);
    for (size_t i = 0; i < l->n; i++)
        if (!cidr_parse(&c, str_of(l->v[i])))
            return err_set(e, ERR_INVALID, "--%s: \"%s\" is not a network like %s", flag, l->v[i],
                           example);
    families_of(out, (const char *const *)l->v, l->n);
    if (l->n > 2)
        return err_set(e, ERR_INVALID, "--%s: two networks at most, one of each family", flag);
    if (l->n == 2 && !families_dual(out))
        return err_set(e, ERR_INVALID, "--%s: %s and %s are of one IP family", flag, l->v[0],
                       l->v[1]);
    return 0;
}

/* Each node gets a /24 or a /64 (--node-cidr-mask-size of kube-controller-manager), and of IPv6 no
 * more than 16 bits tell the nodes apart (its cidrset). */
static int check_pods(const struct flag_list *l, struct err *e)
{
    struct cidr c;

    for (size_t i = 0; i < l->n; i++) {
        if (!cidr_parse(&c, str_of(l->v[i])))
            continue;
        if (c.prefix_bits > (c.family == AF_INET ? 24u : 64u))
            return err_set(e, ERR_INVALID,
                           "--cluster-cidr: %s is smaller than the /%d that each node gets",
                           l->v[i], c.family == AF_INET ? 24 : 64);
        if (c.family == AF_INET6 && c.prefix_bits < 48)
            return err_set(e, ERR_INVALID, "--cluster-cidr: %s is too large: at least /48 for IPv6",
                           l->v[i]);
    }
    return 0;
}

int networks_check(const struct server_options *o, const char *const *node_ips, size_t n_node_ips,
                   struct err *e)
{
    struct families pods, services, node;

    if (read_list(&pods, "cluster-cidr", &o->cluster_cidr, e) ||
        read_list(&services, "service-cidr", &o->service_cidr, e) ||
        check_pods(&o->cluster_cidr, e))
        return (int)e->code;
    if (!families_same(&pods, &services))
        return err_set(e, ERR_INVALID,
                       "cluster-cidr: %s and service-cidr: %s, must share the same IP version "
                       "(IPv4, IPv6 or dual-stack)",
                       pods.text, services.text);
    families_of(&node, node_ips, n_node_ips);
    if (!o->disable_agent && !families_has_all(&node, &pods))
        return err_set(e, ERR_INVALID,
                       "cluster-cidr: %s and node-ip: %s, must share the same IP version "
                       "(IPv4, IPv6 or dual-stack)",
                       pods.text, node.text);
    return 0;
}
