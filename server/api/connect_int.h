#pragma once
/*
 * Connect: the parts of connect.c, connect_kubelet.c and connect_proxy.c. Inside server/api only.
 */
#include "base/http/client.h"
#include "base/http/url.h"
#include "server/api/request.h"

#define CONNECT_DIAL_MS 15000

struct pump;
struct connect_backend; /* connect_proxy.c: a pod, or a port of a node that is no kubelet's */
struct proxy_search;    /* connect_proxy.c: for the one to connect to */

/* How the client's upgrade is asked of the kubelet (connect_form.c). */
enum connect_form {
    FORM_SAME,
    FORM_V5_AS_V4, /* the channels of v5 without its sign that one is closed: nobody will send it */
    FORM_TUNNEL,   /* SPDY in a websocket */
};

struct connect {
    struct api_req *req;
    char *node;    /* whose kubelet; of a backend: where it runs, "" when unknown */
    char *target;  /* path?query there */
    uint16_t port; /* of the kubelet, named in the request; 0: the node's, until it is known */
    bool have_pod;
    enum connect_form form;
    bool upgrade, started, replied, paused_call, paused_req;
    struct connect_backend *backend; /* NULL: a kubelet */
    struct proxy_search *search;     /* while it looks for a backend */
    struct http_call *call;
    struct pump *pump;
    int refused_with; /* the kubelet's status for a log that it cannot give; 0: none */
    struct buf refusal;
};

/* ---- connect.c ---- */
/* v without the headers whose names begin with start; returns how many are left. */
size_t connect_drop_headers(struct http_header *v, size_t n, const char *start);
void connect_free(struct connect *c);                        /* nothing runs yet, or any more */
void connect_refuse(struct api_req *r, json_t *status_take); /* nothing runs yet */
void connect_call(struct api_req *r, struct http_endpoint *ep, const struct http_header *extra,
                  size_t n_extra);
void connect_redirect(struct api_req *r, const char *location); /* 301; nothing runs yet */
void connect_read(struct api_req *r, const char *plural, const char *ns, const char *name);
struct str connect_query(const struct api_req *r);

/* ---- connect_form.c ---- */
/* False: no kubelet would understand it, and the client is told so and asks in another way. */
bool form_of(const struct api_req *r, enum connect_form *out);
/* The headers of the client's upgrade as the kubelet gets them; returns how many. */
size_t form_ask(const struct connect *c, struct http_header *v, size_t n);
/* The headers of the kubelet's 101 as the client gets them. */
size_t form_answer(const struct connect *c, struct http_header *v, size_t n);
/* FORM_TUNNEL: the client's end, after the handshake with it. ERR_INVALID: it has been refused. */
MUST_USE int form_tunnel(struct stream **out, struct http_req *r, struct err *e);

/* ---- connect_kubelet.c ---- */
/* The kubelet's port is known by its certificate; others of a node by their word. */
enum kubelet_tls { KUBELET_TLS, OTHER_PLAIN, OTHER_TLS };
/* The kubelet's path for a session or log of this pod as c->node and c->target. False: answered. */
bool kubelet_target(struct api_req *r, const json_t *pod);
/* Kept for its pooled connections. NULL: too many. */
struct http_endpoint *kubelet_endpoint(struct api *a, const char *node, uint16_t port,
                                       enum kubelet_tls tls);

/* ---- connect_proxy.c ---- */
/* pods/proxy, services/proxy, nodes/proxy. True: c->node is to be looked up. */
bool proxy_start(struct api_req *r);
void proxy_have_object(struct api_req *r);                /* r->old was read for it, not a node */
bool proxy_is_tls(const struct api_req *r);               /* nodes/https:name:port */
const struct tls_client_config *proxy_tls(struct api *a); /* believes everybody; NULL: failed */
void proxy_search_free(struct proxy_search *s);
void connect_backend_close(struct connect_backend *b);
/* A Location header of the backend's, for clients of ours. Heap, yours. */
char *proxy_location(const struct api_req *r, struct str location);
