#pragma once
/*
 * Route: what a request path means (apiserver/pkg/endpoints/request/requestinfo.go).
 *
 *   /api/v1/[namespaces/<ns>/]<resource>[/<name>[/<subresource>[/<rest>]]]
 *   /apis/<group>/<version>/...the same
 *   /api/v1/watch/...                   the old form of ?watch=1
 *
 * Everything else is a plain path (/healthz, /apis, /api/v1), also what has an empty part where a
 * name must be. Sans-I/O. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"

struct route {
    bool is_resource;
    bool old_watch;
    /* decoded; "" where absent; they live in text */
    const char *group, *version, *namespace_, *resource, *name, *subresource;
    struct str
        rest; /* behind the subresource, as sent, with its '/': for proxies; a view of path */
    const char *path; /* the whole path, decoded */
    struct buf text;
};

/* path is the request's, before '?', and must outlive the route. ERR_INVALID: bad escapes, no
 * leading '/', or ".." where a name must be. */
MUST_USE int route_parse(struct route *out, struct str path, struct err *e);
void route_deinit(struct route *r);
