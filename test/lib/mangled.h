#pragma once
/*
 * Mangled: requests to an API server that are nearly right. Each is one of a table of good ones
 * with some of its bytes changed: in the path, the query, the headers or the body. The HTTP around
 * them stays well-formed, so that what is tested is what is behind it. The same seed makes the same
 * requests. Sans-I/O.
 */
#include "base/core/buf.h"
#include "base/http/http.h"
#include "test/fault/cut.h"

#define MANGLED_NS "mangle" /* where they write, most of the time */

struct mangled {
    const char *method;
    struct buf target;
    struct http_header headers[4]; /* views of the texts below */
    size_t n_headers;
    struct buf accept, content_type;
    struct buf body;
};

/* What only a server can give: an object in protobuf, and a continue token. May be empty. */
struct mangled_seeds {
    struct str proto, token;
};

void mangled_init(struct mangled *m, struct fault_rand *rand, const struct mangled_seeds *seeds);
void mangled_deinit(struct mangled *m);
