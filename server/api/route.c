#include "server/api/route.h"

#include "base/http/url.h"

#define SEGMENTS_MAX 12
#define TEXT_MAX     (64 * 1024) /* the head of a request is far smaller */

/* Adds the decoded segment and its '\0'; the text has been reserved, so it does not move. */
static int add(struct route *r, struct str segment, const char **out, struct err *e)
{
    size_t at = r->text.n;

    if (url_decode(&r->text, segment) || buf_addc(&r->text, '\0'))
        return err_set(e, ERR_INVALID, "path: bad escape in \"" STR_FMT "\"", STR_ARG(segment));
    *out = r->text.p + at;
    if (strcmp(*out, "..") == 0 || strcmp(*out, ".") == 0)
        return err_set(e, ERR_INVALID, "path: \"%s\" is no name", *out);
    return 0;
}

/* Names below a version: [namespaces/<ns>/]resource/name/subresource/rest */
static void assign(struct route *r, const char **seg, const struct str *raw, size_t n,
                   struct str path)
{
    size_t i = 0;

    if (n && strcmp(seg[0], "watch") == 0 && n > 1) {
        r->old_watch = true;
        i++;
    }
    if (n - i >= 2 && strcmp(seg[i], "namespaces") == 0) {
        r->namespace_ = seg[i + 1];
        /* "namespaces/x", "namespaces/x/status" and ".../finalize" are about the namespace itself
         */
        if (n - i >= 3 && strcmp(seg[i + 2], "status") != 0 && strcmp(seg[i + 2], "finalize") != 0)
            i += 2;
    }
    r->is_resource = true;
    r->resource = seg[i++];
    if (i < n)
        r->name = seg[i++];
    if (i < n) {
        r->subresource = seg[i];
        r->rest = str_n(raw[i].p + raw[i].n, (size_t)(path.p + path.n - raw[i].p) - raw[i].n);
    }
}

int route_parse(struct route *out, struct str path, struct err *e)
{
    struct route r = { .group = "",
                       .version = "",
                       .namespace_ = "",
                       .resource = "",
                       .name = "",
                       .subresource = "",
                       .text = BUF(TEXT_MAX) };
    struct str raw[SEGMENTS_MAX], rest = path;
    const char *seg[SEGMENTS_MAX];
    size_t n = 0;

    if (path.n == 0 || path.p[0] != '/')
        return err_set(e, ERR_INVALID, "path: does not start with '/'");
    /* decoded segments and the whole path, each no longer than what was sent, and their ends */
    if (buf_reserve(&r.text, 2 * path.n + SEGMENTS_MAX + 2))
        return err_set(e, ERR_LIMIT, "path: too long");
    if (add(&r, path, &r.path, e))
        goto fail;
    rest = str_n(rest.p + 1, rest.n - 1);
    for (bool more = rest.n > 0; more && n < SEGMENTS_MAX;) {
        more = str_cut(rest, '/', &raw[n], &rest);
        if (raw[n].n == 0 && !more)
            break; /* a trailing slash */
        if (add(&r, raw[n], &seg[n], e))
            goto fail;
        n++;
    }
    size_t below = n >= 3 && strcmp(seg[0], "api") == 0    ? 2
                   : n >= 4 && strcmp(seg[0], "apis") == 0 ? 3
                                                           : 0;
    for (size_t i = 0; i < MIN(n, below + 4); i++)
        if (!*seg[i])
            below = 0; /* nothing has an empty name: a plain path that leads nowhere */
    if (below) {
        r.group = below == 3 ? seg[1] : "";
        r.version = seg[below - 1];
        assign(&r, seg + below, raw + below, n - below, path);
    }
    *out = r;
    return 0;
fail:
    buf_deinit(&r.text);
    return e->code;
}

void route_deinit(struct route *r)
{
    buf_deinit(&r->text);
}
