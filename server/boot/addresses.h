#pragma once
/*
 * Addresses: what a server is called and where it is found: its node, what it tells agents, its
 * ports, and what follows from the networks of the cluster. Read from the options once, at start;
 * then constant.
 */
#include "base/core/err.h"
#include "base/data/cidr.h"
#include "base/data/options.h"
#include "base/io/host.h"

#define NODE_IPS_MAX 16

struct addresses {
    char node_name[HOST_NAME_BYTES];
    const char *node_ips[NODE_IPS_MAX]; /* at least one; of the options or of found */
    size_t n_node_ips;
    char advertise_ip[HOST_NAME_BYTES]; /* IPv6 as RFC 5952 */
    uint16_t advertise_port;
    uint16_t api_port, supervisor_port; /* the same, or supervisor and API on ports of their own */
    char service_ip[HOST_IP_BYTES];     /* of the kubernetes Service */
    char dns_ip[HOST_IP_BYTES];         /* the first one of the cluster's DNS */
    char pod_networks[2 * CIDR_TEXT_BYTES]; /* one, or two with a comma */
    bool ipv6;                              /* the primary family of the cluster */
    char found[HOST_IPS_MAX][HOST_IP_BYTES];
};

/* Fills in the networks that o left out (networks.h). Not to be copied: it points into itself.
 * ERR_INVALID names the flag. */
MUST_USE int addresses_init(struct addresses *out, struct server_options *o, struct err *e);
bool addresses_is_split(const struct addresses *a); /* two ports */
