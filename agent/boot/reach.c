#include "agent/boot/reach.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/timer.h"
#include "base/kube/informer.h"

#define POD_IPS_MAX   8   /* one of each family is usual */
#define POD_PORTS_MAX 128 /* declared ports of a host-network pod; more are not in reach */
#define NODE_IPS_MAX  32

struct reach {
    struct reach_config c;
    struct informer *pods; /* NULL but in mode pod */
    char cidrs[CLUSTER_CIDRS_MAX][CLUSTER_CIDR_BYTES];
    size_t n_cidrs;
    struct timer timer; /* never started: its close makes done come from the loop */
    unsigned n_open;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- pods ---- */

bool reach_of_pod(struct tunnel_pod *out, const json_t *pod, const char **ips, size_t ips_max,
                  uint16_t *ports, size_t ports_max)
{
    struct tunnel_pod p = { .ips = ips, .tcp_ports = ports };
    const char *phase = json_str_at(pod, "status.phase", "");
    const json_t *v, *port;
    size_t i, k;

    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
        return false;
    p.host_network = json_bool_at(pod, "spec.hostNetwork", false);
    json_array_foreach(json_at(pod, "status.podIPs"), i, v)
    {
        const char *ip = json_str_at(v, "ip", "");
        if (*ip && p.n_ips < ips_max)
            ips[p.n_ips++] = ip;
    }
    json_array_foreach(json_at(pod, "spec.containers"), i, v){ json_array_foreach(
        json_object_get(v, "ports"), k, port){ int64_t n = json_i64_at(port, "containerPort", 0);
    if (n > 0 && n < 65536 && p.n_tcp_ports < ports_max &&
        strcmp(json_str_at(port, "protocol", "TCP"), "TCP") == 0)
        ports[p.n_tcp_ports++] = (uint16_t)n;
}
}
*out = p;
return p.host_network ? p.n_tcp_ports > 0 : p.n_ips > 0;
}

/* All of them anew: a node has a hundred pods or so. */
static void tell_pods(struct reach *r)
{
    size_t n_max = informer_n_objects(r->pods) + 1, n = 0;
    auto_free struct tunnel_pod *pods = mem_calloc(n_max, sizeof *pods);
    auto_free const char **ips = mem_calloc(n_max * POD_IPS_MAX, sizeof *ips);
    auto_free uint16_t *ports = mem_calloc(n_max * POD_PORTS_MAX, sizeof *ports);
    const json_t *pod;
    struct err e;

    for (size_t i = 0; n < n_max && (pod = informer_next(r->pods, &i));)
        n += reach_of_pod(&pods[n], pod, ips + n * POD_IPS_MAX, POD_IPS_MAX,
                          ports + n * POD_PORTS_MAX, POD_PORTS_MAX);
    if (tunnel_authorizer_set_pods(r->c.authorizer, pods, n, &e))
        log_warn("tunnels keep the pods they knew", kv("err", e.text));
}

static void on_pod(void *arg, json_t *pod)
{
    struct reach *r = arg;

    (void)pod;
    if (informer_is_synced(r->pods))
        tell_pods(r);
}

static void on_pod_update(void *arg, json_t *before, json_t *pod)
{
    (void)before;
    on_pod(arg, pod);
}

static void on_pods_synced(void *arg)
{
    tell_pods(arg);
}

static void watch_pods(struct reach *r)
{
    static const struct informer_events events = { .on_add = on_pod,
                                                   .on_update = on_pod_update,
                                                   .on_delete = on_pod,
                                                   .on_synced = on_pods_synced };
    auto_free char *selector = mem_printf("spec.nodeName=%s", r->c.node_name);
    struct informer_config ic = { .client = r->c.controller,
                                  .path = "/api/v1/pods",
                                  .field_selector = selector };

    informer_new(&r->pods, &ic, &events, r);
}

/* ---- the node's addresses ---- */

static int tell_node(struct reach *r, const char *const *ips, size_t n, struct err *e)
{
    const char *cidrs[CLUSTER_CIDRS_MAX];

    for (size_t i = 0; i < r->n_cidrs; i++)
        cidrs[i] = r->cidrs[i];
    return tunnel_authorizer_set_node(r->c.authorizer, ips, n, cidrs, r->n_cidrs, e);
}

void reach_seen(struct reach *r, const json_t *node)
{
    const char *ips[NODE_IPS_MAX];
    const json_t *v;
    size_t n = 0, i;
    struct err e;

    for (; n < r->c.n_ips && n < NODE_IPS_MAX; n++)
        ips[n] = r->c.ips[n];
    json_array_foreach(json_at(node, "status.addresses"), i, v)
    {
        if (n < NODE_IPS_MAX && strcmp(json_str_at(v, "type", ""), "InternalIP") == 0)
            ips[n++] = json_str_at(v, "address", "");
    }
    if (tell_node(r, ips, n, &e))
        log_warn("tunnels keep the addresses they knew", kv("err", e.text));
}

/* ---- life ---- */

int reach_start(struct reach **out, const struct reach_config *c, struct err *e)
{
    enum tunnel_egress_mode mode = c->authorizer->mode;
    struct reach *r = mem_alloc(sizeof *r);

    r->c = *c;
    r->n_open = 1;
    if (mode == TUNNEL_EGRESS_CLUSTER) {
        r->n_cidrs = c->cluster->n_cluster_cidrs;
        memcpy(r->cidrs, c->cluster->cluster_cidrs, sizeof r->cidrs);
    }
    if (tell_node(r, c->ips, c->n_ips, e)) {
        free(r);
        return err_wrap(e, "egress mode %s", c->cluster->egress_mode);
    }
    timer_init(&r->timer, c->loop);
    if (mode == TUNNEL_EGRESS_POD)
        watch_pods(r);
    *out = r;
    return 0;
}

static void on_part_closed(void *arg)
{
    struct reach *r = arg;
    void (*done)(void *) = r->done;
    void *done_arg = r->done_arg;

    if (--r->n_open)
        return;
    free(r);
    if (done)
        done(done_arg);
}

void reach_close(struct reach *r, void (*done)(void *arg), void *arg)
{
    r->done = done;
    r->done_arg = arg;
    if (r->pods) {
        r->n_open++;
        informer_close(STEAL(r->pods), on_part_closed, r);
    }
    timer_close(&r->timer, on_part_closed, r);
}
