#pragma once
/*
 * Tunnel client set: one tunnel to each server of a list, so that any server finds this node
 * locally. The list comes from the configured server at first and from the cluster later; it may
 * change at any time. Loop thread only.
 */
#include "tunnel/client.h"

#define TUNNEL_SERVERS_MAX 32 /* servers of one cluster; K3s' embedded etcd stops far below */

struct tunnel_client_set;

/* o as for tunnel_client_new; o->on_state hears of every client (status.address tells which). */
MUST_USE int tunnel_client_set_new(struct tunnel_client_set **out, uv_loop_t *loop,
                                   const struct tunnel_client_options *o, struct err *e);

/* Replaces the list of "host:port" addresses: tunnels to new ones start, those to vanished ones
 * are closed, the others are not touched. Duplicates are one. An empty list closes all. On failure
 * (ERR_INVALID: an address, ERR_LIMIT: more than TUNNEL_SERVERS_MAX) the old list stays. */
MUST_USE int tunnel_client_set_servers(struct tunnel_client_set *set, const char *const *addresses,
                                       size_t n, struct err *e);

/* tunnel_client_reload for all of them and for those to come; all or none. */
MUST_USE int tunnel_client_set_reload(struct tunnel_client_set *set, struct str ca_pem,
                                      struct str cert_chain_pem, struct str key_pem, struct err *e);

void tunnel_client_set_doubt(struct tunnel_client_set *set); /* tunnel_client_doubt for all */
size_t tunnel_client_set_n_connected(const struct tunnel_client_set *set);
/* Fills at most n_max; returns how many there are. */
size_t tunnel_client_set_status(const struct tunnel_client_set *set,
                                struct tunnel_client_status *out, size_t n_max);

/* Closes all; then done (may be NULL) is called and it is gone. */
void tunnel_client_set_close(struct tunnel_client_set *set, void (*done)(void *arg), void *arg);
