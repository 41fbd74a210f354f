#pragma once
/*
 * Host: what this machine is called and which addresses it has. Blocking but quick (reads /proc and
 * asks the kernel); called at start. Any thread.
 */
#include "base/core/err.h"

#include <stdbool.h>

#define HOST_NAME_BYTES 254
#define HOST_IP_BYTES   46

/* The host name in lower case. ERR_INVALID when it could not name a Kubernetes node (RFC 1123
 * subdomain): the text says to use --node-name. */
MUST_USE int host_name(char out[HOST_NAME_BYTES], struct err *e);

/*
 * The name of this machine's node: wanted (--node-name) or the host name, lower case, with
 * "-<8 hex>" of the file <node_dir>/id behind it when with_id is set; the file is made when it is
 * not there (0644, K3s's format: the digits and a newline), so that the name survives restarts.
 */
MUST_USE int host_node_name(char out[HOST_NAME_BYTES], const char *wanted, bool with_id,
                            const char *node_dir, struct err *e);

/*
 * The addresses by which others know this node: of the interface of the default route, the IPv4 one
 * or else the IPv6 one, the first global IPv4 and then the first global IPv6. Without a default
 * route: of the first interface that has one. n_out counts them; ERR_NOT_FOUND when the machine has
 * no address but loopback.
 */
#define HOST_IPS_MAX 2
MUST_USE int host_default_ips(char out[HOST_IPS_MAX][HOST_IP_BYTES], size_t *n_out, struct err *e);
