#include "base/core/macros.h"
#include "base/http/http.h"
#include "server/auth/impersonate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A line is a header, its value behind the first colon. Every right has a resource and a name, and
 * the identity has a group at least. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(impersonation) struct impersonation *m = NULL;
    struct str rest = str_n(data, n), line, name, value;
    struct http_headers h;
    struct authz_attrs a;
    struct err e;

    http_headers_init(&h, HTTP_HEADERS_MAX_BYTES);
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        str_cut(line, ':', &name, &value);
        if (http_headers_add(&h, name, value))
            break;
    }
    if (!impersonation_parse(&m, &h, &e) && m) {
        for (size_t i = 0; impersonation_right(m, i, NULL, &a); i++)
            if (!a.resource || !a.name || !a.subresource || !a.namespace_)
                abort();
        struct identity *id = impersonation_identity(m);
        if (!id->n_groups || !*id->user)
            abort();
        identity_unref(id);
    }
    http_headers_deinit(&h);
    return 0;
}
