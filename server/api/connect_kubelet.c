/*
 * Connect to a kubelet: its endpoint, and the path that a session or a log of a pod has there
 * (kubelet/pkg/server, 1.32).
 */
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/connect_int.h"

#define NODE_CONNECTIONS 256 /* each followed log and each session holds one */
#define NODES_LINKED_MAX 4096

/* One kubelet's endpoint, kept for its pooled connections. */
struct node_link {
    struct api *api;
    char *node;
    char *host_port; /* as the node sees it */
    struct http_endpoint *ep;
};

static bool sub_is(const struct api_req *r, const char *name)
{
    return strcmp(r->sub->name, name) == 0;
}

/* ---- endpoints ---- */

static void dial_node(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct node_link *l = dial_arg;
    struct api_egress *g = &l->api->config.egress;

    g->dial(g->arg, l->node, l->host_port, timeout_ms, done, arg);
}

static void link_closed(void *arg)
{
    struct node_link *l = arg;

    struct api *a = l->api;

    free(l->node);
    free(l->host_port);
    free(l);
    api_handle_closed(a);
}

struct http_endpoint *kubelet_endpoint(struct api *a, const char *node, uint16_t port,
                                       enum kubelet_tls tls)
{
    static const char *const schemes[] = { "", "http:", "https:" };
    auto_free char *authority = mem_printf("%s:%u", node, port);
    auto_free char *key = mem_printf("%s%s", schemes[tls], authority);
    struct node_link *l = map_get(a->nodes, str_of(key));

    if (l)
        return l->ep;
    if (map_len(a->nodes) >= NODES_LINKED_MAX)
        return NULL;
    l = mem_alloc(sizeof *l);
    l->api = a;
    l->node = mem_strdup(node);
    l->host_port = mem_printf("127.0.0.1:%u", port);
    struct http_endpoint_config cfg = {
        .authority = authority, /* its host is the name that the certificate must have */
        .dial = dial_node,
        .dial_arg = l,
        .tls = tls == KUBELET_TLS ? a->config.kubelet_tls
               : tls == OTHER_TLS ? proxy_tls(a)
                                  : NULL,
        .proto = HTTP_H1,
        .dial_timeout_ms = CONNECT_DIAL_MS,
        .n_connections_max = NODE_CONNECTIONS,
    };
    http_endpoint_new(&l->ep, a->loop, &cfg);
    map_set(a->nodes, str_of(key), l);
    return l->ep;
}

void connect_deinit(struct api *a)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(a->nodes, &i, &key, &v);) {
        struct node_link *l = v;

        a->n_open_handles++;
        http_endpoint_close(l->ep, link_closed, l);
    }
    map_free(a->nodes);
    a->nodes = NULL;
}

/* ---- paths ---- */

/* PodExecOptions and PodAttachOptions as the kubelet's parameters. */
static int add_session_query(struct buf *b, struct str query)
{
    static const struct {
        const char *from, *to;
    } flags[] = {
        { "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" }
    };
    struct str name, value;
    char sep = '?';

    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        bool no = value.n && (str_is(value, "0") || str_eq_nocase(value, STR("false")));

        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if (str_is(name, flags[i].from) && !no) {
                if (buf_addf(b, "%c%s=1", sep, flags[i].to))
                    return ERR_LIMIT;
                sep = '&';
            }
        if (str_is(name, "command") || str_is(name, "port") || str_is(name, "ports")) {
            if (buf_addf(b, "%c%s=", sep, str_is(name, "command") ? "command" : "port") ||
                buf_add_str(b, value)) /* still encoded */
                return ERR_LIMIT;
            sep = '&';
        }
    }
    return 0;
}

/* The container that is meant: named, the only one, or the annotated default. NULL: answered. */
static char *container_of_pod(struct api_req *r, const json_t *pod)
{
    auto_buf named = BUF(256), names = BUF(8192);
    const char *deflt = meta_annotation(pod, "kubectl.kubernetes.io/default-container");
    const json_t *list = json_at(pod, "spec.containers");
    static const char *const lists[] = { "spec.containers", "spec.initContainers",
                                         "spec.ephemeralContainers" };
    size_t i;
    json_t *v;

    err_ignore(url_query_get(&named, connect_query(r), "container")); /* absent is fine */
    const char *want = named.n ? buf_cstr(&named) : deflt;
    for (size_t l = 0; *want && l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_at(pod, lists[l]), i,
                           v) if (strcmp(json_str_at(v, "name", ""), want) ==
                                  0) return mem_strdup(want);
    if (named.n) {
        connect_refuse(r, status_new(STATUS_BAD_REQUEST, "container %s is not valid for pod %s",
                                     buf_cstr(&named), r->route.name));
        return NULL;
    }
    if (json_array_size(list) == 1)
        return mem_strdup(json_str_at(json_array_get(list, 0), "name", ""));
    json_array_foreach(list, i, v)
        err_ignore(buf_addf(&names, "%s%s", i ? " " : "", json_str_at(v, "name", "")));
    connect_refuse(r,
                   status_new(STATUS_BAD_REQUEST,
                              "a container name must be specified for pod %s, choose one of: [%s]",
                              r->route.name, buf_cstr(&names)));
    return NULL;
}

/* A number of the log's options; false: it is not there. What is no number is 0. */
static bool log_number(int64_t *out, struct str query, const char *name)
{
    auto_buf text = BUF(64);

    *out = 0;
    if (url_query_get(&text, query, name))
        return false;
    if (!str_to_i64(buf_str(&text), out))
        *out = -1;
    return true;
}

/* pkg/apis/core/validation, ValidatePodLogOptions. False: answered. */
static bool check_log_options(struct api_req *r)
{
    struct str query = connect_query(r);
    auto_buf since = BUF(64);
    auto_field_errors fe = { 0 };
    int64_t n;

    if (log_number(&n, query, "tailLines") && n < 0)
        field_add(&fe, FIELD_INVALID, FIELD_AT(NULL, "tailLines"),
                  "Invalid value: %lld: must be greater than or equal to 0", (long long)n);
    if (log_number(&n, query, "limitBytes") && n < 1)
        field_add(&fe, FIELD_INVALID, FIELD_AT(NULL, "limitBytes"),
                  "Invalid value: %lld: must be greater than 0", (long long)n);
    if (log_number(&n, query, "sinceSeconds")) {
        if (url_query_get(&since, query, "sinceTime") == 0)
            field_forbidden(&fe, NULL,
                            "at most one of `sinceTime` or `sinceSeconds` may be specified");
        else if (n < 1)
            field_add(&fe, FIELD_INVALID, FIELD_AT(NULL, "sinceSeconds"),
                      "Invalid value: %lld: must be greater than 0", (long long)n);
    }
    if (!fe.n)
        return true;
    auto_free char *name = mem_strdup(r->route.name);
    connect_free(r->connect);
    req_invalid_as(r, "", "PodLogOptions", name, &fe);
    return false;
}

bool kubelet_target(struct api_req *r, const json_t *pod)
{
    struct connect *c = r->connect;
    const char *node = json_str_at(pod, "spec.nodeName", "");
    auto_buf t = BUF(HTTP_TARGET_MAX_BYTES);
    auto_free char *container = NULL;
    int rc = 0;

    if (!*node) {
        connect_refuse(r, status_new(STATUS_BAD_REQUEST, "pod %s does not have a host assigned",
                                     r->route.name));
        return false;
    }
    c->node = mem_strdup(node);
    if (sub_is(r, "log") && !check_log_options(r))
        return false;
    if (!sub_is(r, "portforward") && !(container = container_of_pod(r, pod)))
        return false;
    rc = buf_addf(&t, "/%s/",
                  sub_is(r, "log")           ? "containerLogs"
                  : sub_is(r, "portforward") ? "portForward"
                                             : r->sub->name) ||
         url_encode(&t, str_of(r->route.namespace_)) || buf_addc(&t, '/') ||
         url_encode(&t, str_of(r->route.name));
    if (!rc && container)
        rc = buf_addc(&t, '/') || url_encode(&t, str_of(container));
    if (!rc &&
        sub_is(r, "log")) { /* the kubelet knows the same options: container is in the path */
        struct str name, value;
        char sep = '?';

        for (struct str rest = connect_query(r); !rc && url_query_next(&rest, &name, &value);) {
            if (str_is(name, "container"))
                continue;
            rc = buf_addc(&t, sep) || buf_add_str(&t, name) || buf_addc(&t, '=') ||
                 buf_add_str(&t, value);
            sep = '&';
        }
    } else if (!rc) {
        rc = add_session_query(&t, connect_query(r));
    }
    if (rc) {
        connect_refuse(r,
                       status_new(STATUS_REQUEST_TOO_LARGE, "the request's options are too long"));
        return false;
    }
    c->target = buf_take(&t);
    return true;
}
