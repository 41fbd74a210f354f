#pragma once
/*
 * Etcd_endpoints: where etcd is, as --datastore-endpoint says it:
 * "http://10.0.0.1:2379,https://...". No I/O; any thread.
 */
#include "base/core/err.h"

#include <stddef.h>

#define ETCD_ENDPOINTS_MAX 16

struct etcd_endpoint {
    char *authority; /* "host:port" */
    bool tls;
};

struct etcd_endpoints {
    struct etcd_endpoint v[ETCD_ENDPOINTS_MAX];
    size_t n;
    char *user, *password; /* NULL: no password is given; the first that has one counts for all */
};

/* ERR_INVALID names what is wrong with which; no password is in its text. */
MUST_USE int etcd_endpoints_parse(struct etcd_endpoints *out, const char *list, struct err *e);
void etcd_endpoints_deinit(struct etcd_endpoints *ep);
