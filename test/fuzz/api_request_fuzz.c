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
    if (params_parse(&p, query, &e) == 0) {
        if (p.limit < 0 || p.resource_version < 0 || p.deadline_ms < 0 || p.grace_period_s < -1)
            abort();
        params_deinit(&p);
    }
    for (unsigned without = ACCEPT_ALL; without <= (ACCEPT_NO_PROTO | ACCEPT_NO_TABLE); without++)
        if (accept_parse(&as, accept, without) &&
            as.proto + as.yaml + (as.as == ACCEPT_TABLE && as.proto) > 1)
            abort();
    err_ignore(!accept_gzip(accept)); /* only the reading is of interest */
    char *text = str_dup(token);
    auto_buf key = BUF(CURSOR_MAX_BYTES);
    if (cursor_parse(text, STR("/registry/core/pods/"), &rev, &key, &e) == 0) {
        char *again = cursor_text(rev, buf_str(&key));
        auto_buf same = BUF(CURSOR_MAX_BYTES);
        int64_t rev_again = 0;

        if (!str_starts(buf_str(&key), STR("/registry/core/pods/")))
            abort();
        /* ours may be longer: other writers need not escape as we do */
        if (cursor_parse(again, STR("/registry/core/pods/"), &rev_again, &same, &e) == 0 &&
            (rev != rev_again || !str_eq(buf_str(&key), buf_str(&same))))
            abort();
        free(again);
    }
    free(text);
    return 0;
}
