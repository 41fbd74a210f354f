/*
 * Connect forms: upgrades of kubectl 1.30 and later in websockets, asked of kubelets that know
 * their older forms only (apiserver/pkg/util/proxy: streamtranslator.go, streamtunnel.go).
 *
 *   exec, attach in v5.channel.k8s.io    v4, whose frames are the same. v5 adds a frame that says
 *                                        that the input has ended; where input without a terminal
 *                                        goes in, somebody needs that: refused, kubectl takes SPDY
 *   portforward in a SPDY tunnel         SPDY/3.1; its bytes are the payload of the websocket
 */
#include "base/http/ws.h"
#include "base/http/ws_stream.h"
#include "server/api/connect_int.h"

#define V4     "v4.channel.k8s.io"
#define V5     "v5.channel.k8s.io"
#define TUNNEL "SPDY/3.1+portforward.k8s.io"

static bool is_set(const struct api_req *r, const char *name)
{
    auto_buf value = BUF(64);

    return url_query_get(&value, connect_query(r), name) == 0 && !str_is(buf_str(&value), "0") &&
           !str_eq_nocase(buf_str(&value), STR("false"));
}

bool form_of(const struct api_req *r, enum connect_form *out)
{
    static const char *const known[] = { V4, "v4.base64.channel.k8s.io", "channel.k8s.io",
                                         "base64.channel.k8s.io" };
    static const char name[] = "sec-websocket-protocol";
    const struct http_headers *h = http_req_headers(r->http);
    const char *sub = r->sub->name;

    *out = FORM_SAME;
    if (strcmp(sub, "proxy") == 0 ||
        !str_eq_nocase(http_headers_get(h, "upgrade"), STR("websocket")) ||
        !http_headers_get(h, name).n)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (http_headers_has_token(h, name, known[i]))
            return true;
    if (strcmp(sub, "portforward") == 0) {
        *out = FORM_TUNNEL; /* whose handshake is ours to end */
        return http_headers_has_token(h, name, TUNNEL) &&
               http_headers_get(h, "sec-websocket-key").n &&
               str_is(http_headers_get(h, "sec-websocket-version"), "13");
    }
    *out = FORM_V5_AS_V4;
    return http_headers_has_token(h, name, V5) && (!is_set(r, "stdin") || is_set(r, "tty"));
}

size_t form_ask(const struct connect *c, struct http_header *v, size_t n)
{
    if (c->form == FORM_SAME)
        return n;
    n = connect_drop_headers(v, n,
                             c->form == FORM_TUNNEL ? "sec-websocket-" : "sec-websocket-protocol");
    if (c->form == FORM_TUNNEL)
        v[n++] =
            (struct http_header){ STR("X-Stream-Protocol-Version"), STR("portforward.k8s.io") };
    else
        v[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), STR(V4) };
    return n;
}

size_t form_answer(const struct connect *c, struct http_header *v, size_t n)
{
    if (c->form != FORM_V5_AS_V4)
        return n;
    n = connect_drop_headers(v, n, "sec-websocket-protocol");
    v[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), STR(V5) };
    return n;
}

int form_tunnel(struct stream **out, struct http_req *r, struct err *e)
{
    static const char *const protocols[] = { TUNNEL, NULL };
    auto_buf leftover = BUF(1024 * 1024);
    struct stream *raw;

    if (ws_upgrade(r, protocols, NULL, &raw, &leftover, e))
        return e->code;
    *out = ws_stream_new(raw, buf_str(&leftover));
    return 0;
}
