/* A request target, then lines for Accept and a continue token: all that is read of a head. */
#include "server/api/accept.h"
#include "server/api/cursor.h"
#include "server/api/params.h"
#include "server/api/route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str target, accept, token, path, query, rest = str_n(data, n);
    struct route r;
    struct params p;
    struct accept as;
    struct err e;
    int64_t rev;

    str_cut(rest, '\n', &target, &rest);
    str_cut(rest, '\n', &accept, &token);
    str_cut(target, '?', &path, &query);
    if (route_parse(&r, path, &e) == 0) {
        if (r.is_resource && (!*r.resource || !*r.version))
            abort();
        route_deinit(&r);
    }
    if (params_parse(&p, query, &e) == 0)
        params_deinit(&p);
    err_ignore(!accept_parse(&as, accept)); /* only the reading is of interest */
    char *text = str_dup(token);
    auto_buf key = BUF(CURSOR_MAX_BYTES);
    if (cursor_parse(text, STR("/registry/core/pods/"), &rev, &key, &e) == 0 &&
        !str_starts(buf_str(&key), STR("/registry/core/pods/")))
        abort();
    free(text);
    return 0;
}
