#include "server/store/etcd_endpoints.h"

#include "base/core/mem.h"
#include "base/http/url.h"

#include <string.h>

#define CLIENT_PORT 2379

static char *decoded(struct str s)
{
    struct buf b = BUF_SECRET(URL_MAX_BYTES);

    if (url_decode(&b, s)) {
        buf_deinit(&b);
        return NULL;
    }
    return buf_take(&b);
}

/* "user:password@" in front of the host is not kept in any text that may be shown. */
static int take_user(struct etcd_endpoints *ep, struct str *rest, size_t at, struct err *e)
{
    struct str info, host, user, password;

    if (!memchr(rest->p, '@', rest->n))
        return 0;
    str_cut(*rest, '@', &info, &host);
    if (!str_cut(info, ':', &user, &password) || !user.n || !password.n)
        return err_set(e, ERR_INVALID, "endpoint %zu: before the @ belongs user:password", at);
    *rest = host;
    if (ep->user)
        return 0;
    ep->user = decoded(user);
    ep->password = decoded(password);
    if (!ep->user || !ep->password)
        return err_set(e, ERR_INVALID, "endpoint %zu: bad escape in user or password", at);
    return 0;
}

static int parse_one(struct etcd_endpoints *ep, struct str s, size_t at, struct err *e)
{
    struct etcd_endpoint *one = &ep->v[ep->n];
    struct str rest, host;
    auto_buf authority = BUF(1024);
    uint16_t port;

    if (str_starts(s, STR("https://"))) {
        one->tls = true;
        rest = str_n(s.p + 8, s.n - 8);
    } else if (str_starts(s, STR("http://"))) {
        one->tls = false;
        rest = str_n(s.p + 7, s.n - 7);
    } else {
        return err_set(e, ERR_INVALID, "endpoint %zu begins with neither http:// nor https://", at);
    }
    while (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (take_user(ep, &rest, at, e))
        return (int)e->code;
    if (memchr(rest.p, '/', rest.n) || memchr(rest.p, '?', rest.n) || memchr(rest.p, '@', rest.n))
        return err_set(e, ERR_INVALID, "endpoint %zu: nothing may follow host and port", at);
    if (url_split_host_port(&host, &port, rest, CLIENT_PORT, e) ||
        url_join_host_port(&authority, host, port))
        return err_wrap(e, "endpoint %zu", at);
    one->authority = buf_take(&authority);
    ep->n++;
    return 0;
}

int etcd_endpoints_parse(struct etcd_endpoints *out, const char *list, struct err *e)
{
    struct etcd_endpoints ep = { .n = 0 };
    struct str rest = str_of(list), one;
    bool more = true;

    for (size_t at = 1; more; at++) {
        more = str_cut(rest, ',', &one, &rest);
        one = str_trim(one);
        if (at > ETCD_ENDPOINTS_MAX)
            err_set(e, ERR_INVALID, "more than %d endpoints", ETCD_ENDPOINTS_MAX);
        else if (one.n == 0)
            err_set(e, ERR_INVALID, "endpoint %zu is empty", at);
        else if (!parse_one(&ep, one, at, e))
            continue;
        etcd_endpoints_deinit(&ep);
        return (int)e->code;
    }
    *out = ep;
    return 0;
}

void etcd_endpoints_deinit(struct etcd_endpoints *ep)
{
    for (size_t i = 0; i < ep->n; i++)
        free(ep->v[i].authority);
    free(ep->user);
    if (ep->password)
        explicit_bzero(ep->password, strlen(ep->password));
    free(ep->password);
    *ep = (struct etcd_endpoints){ .n = 0 };
}
