#pragma once
/* Rig: all controllers on the cluster of test/unit/server/cluster.h, as a server of 198.51.100.10.
 */
#include "test/unit/server/cluster.h"

#include "server/controller/controllers.h"

static inline struct controllers *rig_start(struct cluster *c)
{
    struct controllers_config config = { .loop = &c->loop,
                                         .api = c->api,
                                         .advertise_ip = "198.51.100.10",
                                         .advertise_port = 6443,
                                         .service_port = 6443,
                                         .cluster_cidr = "10.42.0.0/16",
                                         .service_ip = "10.43.0.1",
                                         .cluster_dns = "10.43.0.10",
                                         .cluster_domain = "cluster.local",
                                         .server_ca_pem = STR("CERTIFICATE\n"),
                                         .own_node = "own" };
    struct controllers *cs;

    controllers_start(&cs, &config);
    return cs;
}

static inline void rig_stop(struct cluster *c, struct controllers *cs)
{
    c->flag = false;
    controllers_close(cs, cluster_raise, &c->flag);
    cluster_until(c, cluster_is_true, &c->flag, "the controllers end");
}
