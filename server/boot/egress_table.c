#include "server/boot/egress_table.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/cidr.h"
#include "base/data/json.h"

#include <stdio.h>

#define IPS_MAX 32 /* of one node or pod; further ones are not known */
/* K3s pkg/nodeconfig: the agent lets servers reach pods by its tunnel. */
#define POD_EGRESS_LABEL "metadata.labels[\"egress.k3s.io/cluster\"]"

struct ip {
    struct cidr at; /* one address; all its bytes are the key in by_ip */
    bool external;  /* an agent knows its InternalIPs only */
};

/* Who has addresses: a node, or a pod. */
struct host {
    char *node; /* the node's name, or that of the pod's */
    bool is_node, leaving;
    struct ip *ips;
    size_t n_ips;
    /* nodes only: */
    uint16_t kubelet_port;
    bool pod_egress;
    char internal_ip[INET6_ADDRSTRLEN]; /* "": none */
};

struct egress_table {
    char *own_node;
    enum tunnel_egress_mode mode;
    struct map *nodes; /* name -> struct host * */
    struct map *pods;  /* "namespace/name" -> struct host * */
    struct map *by_ip; /* struct cidr -> struct host *, borrowed */
};

/* ---- addresses ---- */

static bool ip_parse(struct ip *out, const char *text)
{
    *out = (struct ip){ 0 };
    return cidr_parse_address(&out->at, str_of(text));
}

static struct str ip_key(const struct ip *ip)
{
    return str_n(&ip->at, sizeof ip->at);
}

static void give_up_ips(struct egress_table *t, struct host *h)
{
    for (size_t i = 0; i < h->n_ips; i++)
        if (map_get(t->by_ip, ip_key(&h->ips[i])) == h)
            map_remove(t->by_ip, ip_key(&h->ips[i]));
    free(STEAL(h->ips));
    h->n_ips = 0;
}

static void take_ips(struct egress_table *t, struct host *h, const struct ip *ips, size_t n)
{
    h->ips = mem_calloc(n + 1, sizeof *ips);
    for (size_t i = 0; i < n; i++) {
        if (h->leaving && map_get(t->by_ip, ip_key(&ips[i])))
            continue;
        h->ips[h->n_ips++] = ips[i];
        map_set(t->by_ip, ip_key(&ips[i]), h);
    }
}

/* ---- who has them ---- */

static struct host *host_of(struct map *m, const char *key)
{
    struct host *h = map_get(m, str_of(key));

    if (!h) {
        h = mem_alloc(sizeof *h);
        map_set(m, str_of(key), h);
    }
    return h;
}

static void host_free(struct egress_table *t, struct host *h)
{
    if (!h)
        return;
    give_up_ips(t, h);
    free(h->node);
    free(h);
}

void egress_table_set_node(struct egress_table *t, const json_t *node)
{
    const char *name = json_str_at(node, "metadata.name", "");
    struct host *h = host_of(t->nodes, name);
    int64_t port = json_i64_at(node, "status.daemonEndpoints.kubeletEndpoint.Port", 0);
    struct ip ips[IPS_MAX];
    const json_t *a;
    size_t n = 0, i;

    give_up_ips(t, h);
    h->is_node = true;
    h->internal_ip[0] = '\0';
    h->kubelet_port = port > 0 && port < 65536 ? (uint16_t)port : TUNNEL_KUBELET_PORT;
    h->pod_egress = json_at(node, POD_EGRESS_LABEL) != NULL; /* whatever its value, as K3s */
    free(h->node);
    h->node = mem_strdup(name);
    json_array_foreach(json_at(node, "status.addresses"), i, a)
    {
        const char *type = json_str_at(a, "type", ""), *text = json_str_at(a, "address", "");
        bool internal = strcmp(type, "InternalIP") == 0;

        if ((!internal && strcmp(type, "ExternalIP") != 0) || n == IPS_MAX ||
            !ip_parse(&ips[n], text))
            continue;
        ips[n++].external = !internal;
        if (internal && !h->internal_ip[0])
            snprintf(h->internal_ip, sizeof h->internal_ip, "%s", text);
    }
    take_ips(t, h, ips, n);
}

void egress_table_drop_node(struct egress_table *t, const char *name)
{
    host_free(t, map_remove(t->nodes, str_of(name)));
}

/* Those a pod is reached by: none in the host's network, whose addresses are the node's; none when
 * it has ended, for they may be another's already. */
static size_t ips_of_pod(struct ip ips[IPS_MAX], const json_t *pod)
{
    const char *phase = json_str_at(pod, "status.phase", "");
    const json_t *v;
    size_t n = 0, i;

    if (json_bool_at(pod, "spec.hostNetwork", false) || strcmp(phase, "Succeeded") == 0 ||
        strcmp(phase, "Failed") == 0)
        return 0;
    json_array_foreach(json_at(pod, "status.podIPs"), i, v)
    {
        if (n < IPS_MAX && ip_parse(&ips[n], json_str_at(v, "ip", "")))
            n++;
    }
    return n;
}

void egress_table_set_pod(struct egress_table *t, const json_t *pod)
{
    const char *ns = json_str_at(pod, "metadata.namespace", "");
    const char *name = json_str_at(pod, "metadata.name", "");
    const char *node = json_str_at(pod, "spec.nodeName", "");
    auto_free char *key = mem_printf("%s/%s", ns, name);
    struct ip ips[IPS_MAX];
    size_t n = ips_of_pod(ips, pod);

    if (!n || !*node) {
        egress_table_drop_pod(t, ns, name);
        return;
    }
    struct host *h = host_of(t->pods, key);
    give_up_ips(t, h);
    free(h->node);
    h->node = mem_strdup(node);
    h->leaving = json_at(pod, "metadata.deletionTimestamp") != NULL;
    take_ips(t, h, ips, n);
}

void egress_table_drop_pod(struct egress_table *t, const char *ns, const char *name)
{
    auto_free char *key = mem_printf("%s/%s", ns, name);

    host_free(t, map_remove(t->pods, str_of(key)));
}

/* ---- the way ---- */

static void set_target(struct egress_route *out, enum egress_way way, const char *node,
                       struct str host, uint16_t port)
{
    *out = (struct egress_route){ .way = way, .port = port };
    snprintf(out->node, sizeof out->node, "%s", node);
    snprintf(out->host, sizeof out->host, STR_FMT, STR_ARG(host));
}

static bool is_own(const struct egress_table *t, const char *node)
{
    return *t->own_node && strcmp(node, t->own_node) == 0;
}

void egress_table_kubelet(const struct egress_table *t, const char *node, uint16_t port,
                          struct egress_route *out)
{
    const struct host *h = map_get(t->nodes, str_of(node));

    if (is_own(t, node))
        set_target(out, EGRESS_DIRECT, node, STR("127.0.0.1"), port);
    else if (t->mode == TUNNEL_EGRESS_DISABLED && h && h->internal_ip[0])
        set_target(out, EGRESS_DIRECT, node, str_of(h->internal_ip), port);
    else /* also a node that tells no address: its tunnel, if it has one, is the only way */
        set_target(out, EGRESS_TUNNEL, node, STR("127.0.0.1"), port);
}

/* The agent would refuse an address that it does not take for its own, and K3s's agents end the
 * whole session then. */
static bool agent_takes(const struct egress_table *t, const struct host *h, const struct ip *ip)
{
    const struct host *node = map_get(t->nodes, str_of(h->node));

    if (t->mode == TUNNEL_EGRESS_DISABLED || is_own(t, h->node) || !node || !node->pod_egress)
        return false;
    for (size_t i = 0; i < h->n_ips; i++)
        if (str_eq(ip_key(&h->ips[i]), ip_key(ip)))
            return !h->ips[i].external;
    return false;
}

int egress_table_route(const struct egress_table *t, struct str host, uint16_t port,
                       struct egress_route *out, struct err *e)
{
    char text[sizeof out->host];
    const struct host *h;
    struct ip ip;

    if (host.n >= sizeof text)
        return err_set(e, ERR_INVALID, "the name has more than %zu characters", sizeof text - 1);
    snprintf(text, sizeof text, STR_FMT, STR_ARG(host));
    if (!ip_parse(&ip, text)) {
        egress_table_kubelet(t, text, port, out);
        return 0;
    }
    h = map_get(t->by_ip, ip_key(&ip));
    if (h && h->is_node && (port == h->kubelet_port || port == TUNNEL_CRI_STREAM_PORT))
        egress_table_kubelet(t, h->node, port, out);
    else if (h && agent_takes(t, h, &ip))
        set_target(out, EGRESS_TUNNEL_PREFERRED, h->node, host, port);
    else
        set_target(out, EGRESS_DIRECT, h ? h->node : "", host, port);
    return 0;
}

/* ---- life ---- */

struct egress_table *egress_table_new(const char *own_node, enum tunnel_egress_mode mode)
{
    struct egress_table *t = mem_alloc(sizeof *t);

    t->own_node = mem_strdup(own_node);
    t->mode = mode;
    t->nodes = map_new();
    t->pods = map_new();
    t->by_ip = map_new();
    return t;
}

bool egress_table_wants_pods(const struct egress_table *t)
{
    return t->mode == TUNNEL_EGRESS_POD || t->mode == TUNNEL_EGRESS_CLUSTER;
}

static void free_hosts(struct egress_table *t, struct map *m)
{
    struct str key;
    void *value;

    for (size_t i = 0; map_next(m, &i, &key, &value);)
        host_free(t, value);
    map_free(m);
}

void egress_table_free(struct egress_table *t)
{
    if (!t)
        return;
    free_hosts(t, t->nodes);
    free_hosts(t, t->pods);
    map_free(t->by_ip);
    free(t->own_node);
    free(t);
}
