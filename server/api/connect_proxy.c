/*
 * Proxies: pods/proxy, services/proxy and nodes/proxy, to whatever listens there (ResourceLocation
 * of pkg/registry/core/{pod,service,node}; apimachinery/pkg/util/proxy/transport.go).
 *
 *   pods/[scheme:]name[:port]        READ the pod, its first port unless one is named
 *   services/[scheme:]name[:port]    READ the service (a number is turned into the port's name)
 *                                    --> READ its Endpoints, or list its EndpointSlices
 *                                    --> READ the pod of one address after the other, from a random
 *                                        one on, until one is there and has the address
 *   nodes/[scheme:]name[:port]       READ the node; the kubelet's port is connect.c's
 *
 * Only addresses of pods are dialed, by egress: who may write Endpoints must not reach into the
 * server's own network. TLS to a pod is not verified, as upstream's; the caller's credentials do
 * not go on. A call has a connection of its own.
 */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/io/tls.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/connect_int.h"
#include "server/api/local.h"

#include <arpa/inet.h>

#define ADDRESSES_MAX 1000 /* of one service: an Endpoints holds no more */

/* ---- the backend ---- */

struct connect_backend {
    struct list link; /* api.feeds: the API waits until it is closed */
    struct api *api;
    struct http_endpoint *ep;
    char *address;
};

static void dial_backend(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct connect_backend *b = dial_arg;
    struct api_egress *g = &b->api->config.egress;

    g->dial_address(g->arg, b->address, timeout_ms, done, arg);
}

static void on_closed(void *arg)
{
    struct connect_backend *b = arg;

    list_remove(&b->link);
    free(b->address);
    free(b);
}

void connect_backend_close(struct connect_backend *b)
{
    if (b)
        http_endpoint_close(b->ep, on_closed, b);
}

const struct tls_client_config *proxy_tls(struct api *a)
{
    static const char *const alpn[] = { "http/1.1", NULL };
    struct tls_client_options o = { .insecure = true, .alpn = alpn };
    struct err e;

    if (!a->proxy_tls && tls_client_config_new(&a->proxy_tls, &o, &e))
        return NULL;
    return a->proxy_tls;
}

/* Calls host:port, of a pod or on a node. */
static void call_backend(struct api_req *r, const char *host, uint16_t port, bool https)
{
    auto_buf address = BUF(300);
    const struct tls_client_config *tls = https ? proxy_tls(r->api) : NULL;
    struct connect *c = r->connect;
    struct connect_backend *b;

    if (url_join_host_port(&address, str_of(host), port) || (https && !tls) ||
        !r->api->config.egress.dial_address) {
        connect_refuse(r, status_new(STATUS_SERVICE_UNAVAILABLE,
                                     "error trying to reach service: this server has no way to "
                                     "pods"));
        return;
    }
    b = mem_alloc(sizeof *b);
    b->api = r->api;
    b->address = buf_take(&address);
    struct http_endpoint_config cfg = { .authority = b->address,
                                        .dial = dial_backend,
                                        .dial_arg = b,
                                        .tls = tls,
                                        .proto = HTTP_H1,
                                        .no_keep_alive = true,
                                        .dial_timeout_ms = CONNECT_DIAL_MS,
                                        .n_connections_max = 1 };
    http_endpoint_new(&b->ep, r->api->loop, &cfg);
    list_push(&r->api->feeds, &b->link);
    c->backend = b;
    auto_free char *path = mem_strdup(r->route.path);
    struct http_header forwarded[] = {
        { STR("X-Forwarded-Uri"), str_of(path) },
        { STR("X-Forwarded-Host"), http_headers_get(http_req_headers(r->http), "host") },
    };
    connect_call(r, b->ep, forwarded, forwarded[1].value.n ? 2 : 1);
}

/* ---- what is asked for ---- */

enum looking { LOOK_POD, LOOK_NODE, LOOK_SERVICE, LOOK_ENDPOINTS, LOOK_ADDRESS };

struct address {
    char *ip, *pod; /* the pod of the service's namespace that has it */
    uint16_t port;
};

struct proxy_search {
    enum looking looking;
    bool https;
    char *name, *port;
    struct address *v;
    size_t n, at, tried;
};

void proxy_search_free(struct proxy_search *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].ip);
        free(s->v[i].pod);
    }
    free(s->v);
    free(s->name);
    free(s->port);
    free(s);
}

/* "name", "name:port", "scheme:name:port" (apimachinery/pkg/util/net, SplitSchemeNamePort). */
static bool split(struct proxy_search *s, struct str id)
{
    struct str part[3], rest = id;
    size_t n = 0;

    for (bool more = true; more;) {
        if (n == ARRAY_LEN(part))
            return false;
        more = str_cut(rest, ':', &part[n++], &rest);
    }
    struct str scheme = n == 3 ? part[0] : STR(""), name = part[n == 3],
               port = n > 1 ? part[n - 1] : STR("");
    if (!name.n || (scheme.n && !str_is(scheme, "http") && !str_is(scheme, "https")))
        return false;
    s->https = str_is(scheme, "https");
    s->name = str_dup(name);
    s->port = str_dup(port);
    return true;
}

/* 0: none, or no number of a port. */
static uint16_t port_number(const char *text)
{
    uint64_t n = 0;

    return str_to_u64(str_of(text), &n) && n < 65536 ? (uint16_t)n : 0;
}

/* An address that pods may have: no server of ours listens there. */
static bool is_unicast(const char *ip)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, ip, &v4) == 1) {
        uint32_t a = ntohl(v4.s_addr);

        return a != 0 && a != UINT32_MAX && a >> 24 != 127 && a >> 28 != 14 && a >> 16 != 0xa9fe;
    }
    return inet_pton(AF_INET6, ip, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
           !IN6_IS_ADDR_LOOPBACK(&v6) && !IN6_IS_ADDR_MULTICAST(&v6) &&
           !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6);
}

static const char *ip_of(const json_t *pod)
{
    return json_str_at(pod, "status.podIPs[0].ip", json_str_at(pod, "status.podIP", ""));
}

/* ---- pods ---- */

static void have_pod(struct api_req *r, const json_t *pod)
{
    struct proxy_search *s = r->connect->search;
    const char *ip = ip_of(pod);
    uint16_t port = port_number(s->port);
    json_t *c;
    size_t i;

    if (*s->port && !port) {
        connect_refuse(r,
                       status_new(STATUS_BAD_REQUEST, "invalid pod request \"%s\"", r->route.name));
        return;
    }
    json_array_foreach(json_at(pod, "spec.containers"), i, c)
    {
        if (!port)
            port = (uint16_t)json_i64_at(c, "ports[0].containerPort", 0);
    }
    if (!is_unicast(ip)) {
        connect_refuse(r, status_new(STATUS_BAD_REQUEST, "address not allowed"));
        return;
    }
    r->connect->node = mem_strdup(json_str_at(pod, "spec.nodeName", ""));
    call_backend(r, ip, port ? port : s->https ? 443 : 80, s->https);
}

/* ---- services ---- */

static void no_endpoints(struct api_req *r)
{
    connect_refuse(r, status_new(STATUS_SERVICE_UNAVAILABLE,
                                 "no endpoints available for service \"%s\"", r->route.name));
}

static void next_address(struct api_req *r)
{
    struct proxy_search *s = r->connect->search;

    if (s->tried >= s->n) {
        no_endpoints(r);
        return;
    }
    if (s->tried++ && ++s->at == s->n)
        s->at = 0;
    s->looking = LOOK_ADDRESS;
    connect_read(r, "pods", r->route.namespace_, s->v[s->at].pod);
}

static bool has_ip(const json_t *pod, const char *ip)
{
    json_t *p;
    size_t i;

    json_array_foreach(json_at(pod, "status.podIPs"), i, p)
    {
        if (strcmp(json_str_at(p, "ip", ""), ip) == 0)
            return true;
    }
    return strcmp(json_str_at(pod, "status.podIP", ""), ip) == 0;
}

/* pod NULL: it is gone. */
static void have_address(struct api_req *r, const json_t *pod)
{
    struct proxy_search *s = r->connect->search;
    const struct address *a = &s->v[s->at];

    if (!pod || !has_ip(pod, a->ip) || !is_unicast(a->ip)) {
        next_address(r);
        return;
    }
    r->connect->node = mem_strdup(json_str_at(pod, "spec.nodeName", ""));
    call_backend(r, a->ip, a->port, s->https);
}

/* Only what is a pod: other addresses may be anybody's. */
static void add_address(struct proxy_search *s, const char *ip, const json_t *target, int64_t port)
{
    if (s->n == ADDRESSES_MAX || !*ip || port <= 0 || port > 65535 ||
        strcmp(json_str_at(target, "kind", ""), "Pod") != 0 || !*json_str_at(target, "name", ""))
        return;
    s->v = mem_realloc(s->v, (s->n + 1) * sizeof *s->v);
    s->v[s->n++] = (struct address){ .ip = mem_strdup(ip),
                                     .pod = mem_strdup(json_str_at(target, "name", "")),
                                     .port = (uint16_t)port };
}

/* Of ports: the number of the one that is asked for; 0: it is not there. */
static int64_t port_named(const json_t *ports, const char *name)
{
    json_t *p;
    size_t i;

    json_array_foreach(ports, i, p)
    {
        if (strcmp(json_str_at(p, "name", ""), name) == 0)
            return json_i64_at(p, "port", 0);
    }
    return 0;
}

static void choose(struct api_req *r)
{
    struct proxy_search *s = r->connect->search;

    if (s->n)
        s->at = rand_below((uint32_t)s->n);
    next_address(r);
}

static void on_slices(void *arg, int code, const json_t *list, const struct err *e)
{
    struct api_req *r = arg;
    json_t *slice, *x;
    size_t i, j;

    (void)code;
    r->n_pending--;
    if (r->gone) {
        req_release(r);
        return;
    }
    struct proxy_search *s = r->connect->search;
    json_array_foreach(json_object_get(e ? NULL : list, "items"), i, slice)
    {
        int64_t port = port_named(json_object_get(slice, "ports"), s->port);

        json_array_foreach(json_object_get(slice, "endpoints"), j, x)
        {
            if (json_bool_at(x, "conditions.ready", true))
                add_address(s, json_str_at(x, "addresses[0]", ""), json_object_get(x, "targetRef"),
                            port);
        }
    }
    choose(r);
}

/* endpoints NULL: the service has only slices. */
static void have_endpoints(struct api_req *r, const json_t *endpoints)
{
    struct proxy_search *s = r->connect->search;
    json_t *subset, *x;
    size_t i, j;

    if (!endpoints) {
        auto_free char *selector = mem_printf("kubernetes.io/service-name=%s", s->name);
        struct local_ref ref = { .group = "discovery.k8s.io",
                                 .resource = "endpointslices",
                                 .ns = r->route.namespace_ };
        struct local_list_opts o = { .label_selector = selector };

        r->n_pending++;
        local_list(r->api, &ref, &o, on_slices, r);
        return;
    }
    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        int64_t port = port_named(json_object_get(subset, "ports"), s->port);

        json_array_foreach(json_object_get(subset, "addresses"), j, x)
            add_address(s, json_str_at(x, "ip", ""), json_object_get(x, "targetRef"), port);
    }
    choose(r);
}

static void read_endpoints(struct api_req *r)
{
    r->connect->search->looking = LOOK_ENDPOINTS;
    connect_read(r, "endpoints", r->route.namespace_, r->connect->search->name);
}

/* A number stands for the port of that number; from here on it is its name. */
static void have_service(struct api_req *r, const json_t *service)
{
    struct proxy_search *s = r->connect->search;
    uint16_t number = port_number(s->port);
    json_t *p;
    size_t i;

    json_array_foreach(json_at(service, "spec.ports"), i, p)
    {
        if (json_i64_at(p, "port", 0) != number)
            continue;
        free(s->port);
        s->port = mem_strdup(json_str_at(p, "name", ""));
        read_endpoints(r);
        return;
    }
    connect_refuse(r, status_new(STATUS_SERVICE_UNAVAILABLE,
                                 "no service port %u found for service \"%s\"", number, s->name));
}

/* ---- steps ---- */

bool proxy_start(struct api_req *r)
{
    struct connect *c = r->connect;
    struct proxy_search *s = c->search = mem_alloc(sizeof *s);
    const char *plural = r->kind->plural;
    struct str query = connect_query(r), method = http_req_method(r->http);

    if (!split(s, str_of(r->route.name))) {
        connect_refuse(r, status_new(STATUS_BAD_REQUEST, "invalid %s request \"%s\"",
                                     r->kind->singular, r->route.name));
        return false;
    }
    bool upgrade = http_headers_has_token(http_req_headers(r->http), "connection", "upgrade");
    if (!r->route.rest.n && !upgrade && (str_is(method, "GET") || str_is(method, "HEAD"))) {
        struct str path, ignored;

        str_cut(str_of(r->target), '?', &path, &ignored);
        auto_free char *to =
            mem_printf(STR_FMT "/%s" STR_FMT, STR_ARG(path), query.n ? "?" : "", STR_ARG(query));
        connect_redirect(r, to);
        return false;
    }
    c->target = mem_printf("%s" STR_FMT "%s" STR_FMT, r->route.rest.n ? "" : "/",
                           STR_ARG(r->route.rest), query.n ? "?" : "", STR_ARG(query));
    if (strcmp(plural, "nodes") == 0) {
        c->node = mem_strdup(s->name);
        s->looking = LOOK_NODE;
        if (*s->port && !port_number(s->port)) {
            connect_refuse(
                r, status_new(STATUS_BAD_REQUEST, "invalid node request \"%s\"", r->route.name));
            return false;
        }
        c->port = port_number(s->port);
        return true;
    }
    if (strcmp(plural, "pods") == 0) {
        s->looking = LOOK_POD;
        connect_read(r, "pods", r->route.namespace_, s->name);
    } else if (port_number(s->port)) {
        s->looking = LOOK_SERVICE;
        connect_read(r, "services", r->route.namespace_, s->name);
    } else {
        read_endpoints(r);
    }
    return false;
}

void proxy_have_object(struct api_req *r)
{
    static const char *const plurals[] = { [LOOK_POD] = "pods",
                                           [LOOK_SERVICE] = "services",
                                           [LOOK_ENDPOINTS] = "endpoints",
                                           [LOOK_ADDRESS] = "pods" };
    const struct proxy_search *s = r->connect->search;
    enum looking l = s->looking;
    const json_t *doc =
        r->old ? req_parsed(r->api, r->old,
                            schema_find(r->api->schema, STR(""), STR("v1"), str_of(plurals[l])))
               : NULL;

    if (!doc && (l == LOOK_POD || l == LOOK_SERVICE)) {
        connect_refuse(r, status_not_found("", plurals[l], s->name));
        return;
    }
    switch (l) {
    case LOOK_POD:
        have_pod(r, doc);
        break;
    case LOOK_SERVICE:
        have_service(r, doc);
        break;
    case LOOK_ENDPOINTS:
        have_endpoints(r, doc);
        break;
    case LOOK_ADDRESS:
        have_address(r, doc);
        break;
    case LOOK_NODE:
        break;
    }
}

bool proxy_is_tls(const struct api_req *r)
{
    return r->connect->search && r->connect->search->https;
}

/* ---- the answer ---- */

char *proxy_location(const struct api_req *r, struct str location)
{
    const struct connect *c = r->connect;
    struct str prefix, query, rest = location, host = STR(""), ignored;
    struct str own = http_headers_get(http_req_headers(r->http), "host");

    str_cut(str_of(r->target), '?', &prefix, &query);
    prefix.n -= r->route.rest.n;
    if (str_starts(rest, STR("http://")) || str_starts(rest, STR("https://"))) {
        str_cut(rest, ':', &ignored, &rest);
        rest = str_n(rest.p + 2, rest.n - 2);
        host = str_n(rest.p, 0);
        while (host.n < rest.n && !strchr("/?#", rest.p[host.n]))
            host.n++;
        rest = str_n(rest.p + host.n, rest.n - host.n);
        bool backend = c->backend && str_is(host, c->backend->address);
        if (!backend && !(own.n && str_eq(host, own)))
            return str_dup(location); /* elsewhere */
        if (!rest.n)
            return mem_printf(STR_FMT "/", STR_ARG(prefix));
    }
    if (!str_starts(rest, STR("/")) || str_starts(rest, STR("//")) || str_starts(rest, prefix))
        return str_dup(rest); /* relative, or our own path already */
    return mem_printf(STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(rest));
}
