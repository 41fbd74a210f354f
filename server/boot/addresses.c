#include "server/boot/addresses.h"

#include "base/core/mem.h"
#include "server/boot/networks.h"

#include <stdio.h>
#include <string.h>

static int find_node_ips(struct addresses *out, const struct node_options *n, struct err *e)
{
    size_t n_found = 0;
    struct cidr ip;

    for (size_t i = 0; i < n->node_ip.n && i < NODE_IPS_MAX; i++) {
        if (!cidr_parse_address(&ip, str_of(n->node_ip.v[i])))
            return err_set(e, ERR_INVALID, "--node-ip: \"%s\" is not an address", n->node_ip.v[i]);
        out->node_ips[out->n_node_ips++] = n->node_ip.v[i];
    }
    if (out->n_node_ips)
        return 0;
    if (host_default_ips(out->found, &n_found, e))
        return (int)e->code;
    for (size_t i = 0; i < n_found; i++)
        out->node_ips[out->n_node_ips++] = out->found[i];
    return 0;
}

static void read_advertised(struct addresses *out, const struct server_options *o)
{
    const char *text = o->advertise_address         ? o->advertise_address
                       : o->node.node_external_ip.n ? o->node.node_external_ip.v[0]
                                                    : out->node_ips[0];
    struct cidr ip;

    /* Objects and Leases of all servers show it, so it is written one way. */
    if (cidr_parse_address(&ip, str_of(text)))
        cidr_nth(out->advertise_ip, &ip, 0);
    else
        snprintf(out->advertise_ip, sizeof out->advertise_ip, "%s", text);
}

static int read_ports(struct addresses *out, const struct server_options *o, struct err *e)
{
    if (o->https_listen_port < 1 || o->https_listen_port > 65535 || o->advertise_port < 0 ||
        o->advertise_port > 65535 || o->supervisor_port < 0 || o->supervisor_port > 65535)
        return err_set(e, ERR_INVALID,
                       "--https-listen-port, --supervisor-port and --advertise-port: 1 to 65535");
    out->api_port = (uint16_t)o->https_listen_port;
    out->supervisor_port = o->supervisor_port ? (uint16_t)o->supervisor_port : out->api_port;
    out->advertise_port = o->advertise_port ? (uint16_t)o->advertise_port : out->api_port;
    if (addresses_is_split(out) && !o->disable_agent &&
        o->node.lb_server_port == o->https_listen_port + 1)
        return err_set(e, ERR_INVALID,
                       "--supervisor-port: this machine's own node balances the API on the port "
                       "below --lb-server-port, which is the API's own, %lld; choose another "
                       "--lb-server-port, or 0",
                       (long long)o->https_listen_port);
    return 0;
}

int addresses_init(struct addresses *out, struct server_options *o, struct err *e)
{
    const struct node_options *n = &o->node;
    struct cidr services;

    *out = (struct addresses){ 0 };
    if (find_node_ips(out, n, e))
        return (int)e->code;
    read_advertised(out, o);
    networks_default(o, out->node_ips[0]);
    if (networks_check(o, out->node_ips, out->n_node_ips, e))
        return (int)e->code;
    if (!cidr_parse(&services, str_of(o->service_cidr.v[0])))
        return err_set(e, ERR_INVALID, "--service-cidr"); /* it was checked */
    out->ipv6 = services.family != AF_INET;
    cidr_nth(out->service_ip, &services, 1);
    if (o->cluster_dns.n)
        snprintf(out->dns_ip, sizeof out->dns_ip, "%s", o->cluster_dns.v[0]);
    else
        cidr_nth(out->dns_ip, &services, 10);
    snprintf(out->pod_networks, sizeof out->pod_networks, "%s%s%s", o->cluster_cidr.v[0],
             o->cluster_cidr.n > 1 ? "," : "", o->cluster_cidr.n > 1 ? o->cluster_cidr.v[1] : "");
    if (read_ports(out, o, e))
        return (int)e->code;
    return host_node_name(out->node_name, n->node_name, n->with_node_id, n->node_dir, e);
}

bool addresses_is_split(const struct addresses *a)
{
    return a->supervisor_port != a->api_port;
}
