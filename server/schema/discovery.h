#pragma once
/*
 * Discovery: the documents that tell clients what is served: /api, /apis and what lies below, the
 * aggregated form (apidiscovery.k8s.io), /openapi/v2, /openapi/v3 and below. All are made from the
 * schema, on first use, kept as bytes with an ETag (half a megabyte of them), and made anew when
 * the schema's generation has grown. One thread.
 */
#include "base/core/str.h"
#include "server/schema/schema.h"

struct discovery;

/* s is borrowed and outlives it. server_address: "host:port" for /api. */
struct discovery *discovery_new(const struct schema *s, const char *server_address,
                                const char *git_version);
void discovery_free(struct discovery *d);

struct discovery_doc {
    struct str body; /* borrowed until the next discovery_get, or until the schema changes */
    const char *content_type;
    const char *etag; /* quoted, as in the header */
};
/* path: "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v2", "/openapi/v3",
 * "/openapi/v3/apis/apps/v1". accept: the request's Accept header (may be empty), by which
 * "/api" and "/apis" choose the aggregated form. False: no such document, answer 404. */
MUST_USE bool discovery_get(struct discovery *d, struct str path, struct str accept,
                            struct discovery_doc *out);
/* The hash by which the root of /openapi/v3 links a document ("?hash=") is its ETag without the
 * quotes. A client with the right one may keep the document for ever. */
bool discovery_hash_is(const struct discovery_doc *doc, struct str hash);

DEFINE_AUTO(discovery);
