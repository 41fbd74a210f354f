#include "lb/metrics.h"

#include <stdio.h>

static int add_servers(struct buf *out, const struct balancer *b, bool health)
{
    struct balancer_server_status st[LB_SERVERS_MAX + 1];
    size_t n = balancer_status(b, st, ARRAY_LEN(st));
    int r = 0;

    for (size_t i = 0; !r && i < n; i++)
        r = buf_addf(out, "k3s_loadbalancer_server_%s{name=\"%s\",server=\"%s\"} %zu\n",
                     health ? "health" : "connections", balancer_name(b), st[i].address,
                     health ? (size_t)st[i].state : st[i].n_conns);
    return r;
}

static int add_dials(struct buf *out, const struct balancer *b)
{
    static const char *const statuses[2] = { "success", "error" };
    const struct lb_dial_times *times = balancer_dial_times(b);
    const char *name = balancer_name(b);
    int r = 0;

    for (size_t k = 0; k < 2; k++) {
        uint64_t n = 0;
        for (size_t i = 0; i < LB_DIAL_BUCKETS; i++) {
            char le[24] = "+Inf";
            n += times[k].n[i];
            if (i + 1 < LB_DIAL_BUCKETS) /* 1 ms * 2^i, in seconds */
                snprintf(le, sizeof le, "%u.%03u", (1u << i) / 1000, (1u << i) % 1000);
            r = r ? r
                  : buf_addf(out,
                             "k3s_loadbalancer_dial_duration_seconds_bucket{name=\"%s\",status=\"%s"
                             "\",le=\"%s\"} %llu\n",
                             name, statuses[k], le, (unsigned long long)n);
        }
        r = r ? r
              : buf_addf(out,
                         "k3s_loadbalancer_dial_duration_seconds_sum{name=\"%s\",status=\"%s\"} "
                         "%llu.%06llu\n"
                         "k3s_loadbalancer_dial_duration_seconds_count{name=\"%s\",status=\"%s\"} "
                         "%llu\n",
                         name, statuses[k], (unsigned long long)(times[k].sum_us / 1000000),
                         (unsigned long long)(times[k].sum_us % 1000000), name, statuses[k],
                         (unsigned long long)n);
    }
    return r;
}

int lb_metrics_add(struct buf *out, const struct balancer *const *balancers, size_t n)
{
    int r = buf_adds(out,
                     "# HELP k3s_loadbalancer_server_connections Open connections to each server.\n"
                     "# TYPE k3s_loadbalancer_server_connections gauge\n");

    for (size_t i = 0; !r && i < n; i++)
        r = add_servers(out, balancers[i], false);
    r = r ? r
          : buf_adds(out,
                     "# HELP k3s_loadbalancer_server_health State of each server: 0 INVALID, 1 "
                     "FAILED, 2 STANDBY, 3 UNCHECKED, 4 RECOVERING, 5 HEALTHY, 6 PREFERRED, 7 "
                     "ACTIVE.\n# TYPE k3s_loadbalancer_server_health gauge\n");
    for (size_t i = 0; !r && i < n; i++)
        r = add_servers(out, balancers[i], true);
    r = r ? r
          : buf_adds(out, "# HELP k3s_loadbalancer_dial_duration_seconds From accepting a "
                          "connection to having a server for it.\n"
                          "# TYPE k3s_loadbalancer_dial_duration_seconds histogram\n");
    for (size_t i = 0; !r && i < n; i++)
        r = add_dials(out, balancers[i]);
    return r;
}
