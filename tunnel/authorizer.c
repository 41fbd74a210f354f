#include "tunnel/authorizer.h"

#include "base/http/url.h"

#include <stdio.h>

int tunnel_authorizer_init(struct tunnel_authorizer *a, struct str mode, struct err *e)
{
    struct tunnel_authorizer made = { .kubelet_port = TUNNEL_KUBELET_PORT };

    if (str_is(mode, "agent"))
        made.mode = TUNNEL_EGRESS_AGENT;
    else if (str_is(mode, "disabled"))
        made.mode = TUNNEL_EGRESS_DISABLED;
    else
        return err_set(e, ERR_INVALID,
                       "egress-selector-mode \"" STR_FMT
                       "\" is not supported; agent and disabled are",
                       STR_ARG(mode));
    *a = made;
    return 0;
}

int tunnel_authorizer_check(const struct tunnel_authorizer *a, struct str proto, struct str address,
                            struct tunnel_target *out, struct err *e)
{
    struct tunnel_target t = { 0 };
    struct str host;
    struct err why;

    if (url_split_host_port(&host, &t.port, address, 0, &why))
        return err_set(e, ERR_INVALID, "not host:port: " STR_FMT, STR_ARG(address));
    if (!str_is(proto, "tcp") || (!str_is(host, "127.0.0.1") && !str_is(host, "::1")) ||
        (t.port != a->kubelet_port && t.port != TUNNEL_CRI_STREAM_PORT))
        return err_set(e, ERR_DENIED, "not allowed: " STR_FMT "/" STR_FMT, STR_ARG(proto),
                       STR_ARG(address));
    if (t.port == a->kubelet_port && a->kubelet_host[0])
        host = str_of(a->kubelet_host);
    snprintf(t.host, sizeof t.host, STR_FMT, STR_ARG(host));
    *out = t;
    return 0;
}
