#pragma once
/*
 * State file: the servers a balancer knew, kept over restarts, in K3s's format, so that an agent
 * starts again when the registration address is dead (docs/protocols/loadbalancer.md). Any thread.
 *
 *     {
 *       "ServerURL": "https://192.0.2.10:6443",
 *       "ServerAddresses": [
 *         "192.0.2.10:6443"
 *       ]
 *     }
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "lb/server_set.h"

struct lb_state_file {
    char server_url[LB_ADDRESS_MAX_BYTES + 16]; /* scheme://host:port of the default server */
    char addresses[LB_SERVERS_MAX][LB_ADDRESS_MAX_BYTES + 1];
    size_t n_addresses;
};

/* Sans-I/O: the text of a file. Unknown keys are ignored, addresses that are none are dropped. */
MUST_USE int lb_state_file_parse(struct lb_state_file *out, struct str text, struct err *e);
MUST_USE int lb_state_file_format(struct buf *out, const struct lb_state_file *f);

/* ERR_NOT_FOUND when there is none. */
MUST_USE int lb_state_file_read(struct lb_state_file *out, const char *path, struct err *e);
/* Atomic (rename), 0644; the folder is created. */
MUST_USE int lb_state_file_write(const char *path, const struct lb_state_file *f, struct err *e);
