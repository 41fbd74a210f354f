#pragma once
/*
 * API: the Kubernetes API server, everything behind the supervisor's own paths.
 *
 *   accept -> authenticate -> authorize -> route -> verb -> (decode, default, admit, validate)
 *          -> store -> encode -> reply | watch | connect (logs, exec, node proxy)
 *
 * Loop thread only. The owner (server/boot) has the listener and hands over each request that is
 * none of its own with api_handle, from http_server_config.on_request. Controllers in this process
 * use server/api/local.h.
 */
#include "base/core/err.h"
#include "base/http/client.h"

#include <uv.h>

struct api;
struct authn;
struct http_req;
struct schema;
struct store;
struct tls_client_config;

/* The way to a node's loopback: the tunnel for other nodes, a plain dial for our own. Makes one raw
 * stream to host_port ("127.0.0.1:10250") as that node sees it; done comes once, later. Errors:
 * ERR_NOT_FOUND no session for the node (502), ERR_TIMEOUT, ERR_IO: the text reaches the user. */
struct api_egress {
    void (*dial)(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg);
    /* The same to an address as this server's network has it ("10.42.0.7:8080"), of a pod: by the
     * tunnel of its node where that is the way. NULL: pods/proxy and services/proxy answer 503. */
    void (*dial_address)(void *arg, const char *host_port, uint64_t timeout_ms, http_dialed_fn done,
                         void *done_arg);
    void *arg; /* of both */
    /* How a request for port of a node went: e NULL: the node answered. Else nothing came back, and
     * why, which holds e's text, may be made better for the user. NULL: not told. */
    void (*on_outcome)(void *arg, const char *node, uint16_t port, const struct err *e, char *why,
                       size_t why_bytes);
    void *outcome_arg;
};

struct api_config {
    uv_loop_t *loop;
    struct store *store; /* borrowed, outlives the api */
    struct authn *authn; /* borrowed: the owner's own paths use the same one */
    bool anonymous;      /* health and version for callers without credentials; K3s: false */
    const char *service_cidrs[2]; /* "10.43.0.0/16", and NULL or one of the other family; copied */
    const char *node_ports;       /* "30000-32767", which NULL means too */
    const char *version;          /* coracle's own version text, for gitVersion; copied */
    const char *commit; /* of the build, 40 hex digits for gitCommit; NULL: none; static */
    const char *advertise_host_port; /* "198.51.100.10:6443" for /api; copied */
    struct api_egress egress;        /* dial NULL: connect subresources answer 503 */
    /* For kubelets: trust, client-kube-apiserver certificate; NULL with dial NULL. Borrowed; the
     * owner renews it with tls_client_config_reload. */
    struct tls_client_config *kubelet_tls;
};

/* Copies what it needs. ERR_INVALID for service_cidrs or node_ports that are none. */
MUST_USE int api_new(struct api **out, const struct api_config *c, struct err *e);

/* Loads what lives in memory (service addresses, the pods of each node), makes the namespaces
 * default, kube-system, kube-public and kube-node-lease, and then calls done once, later: e NULL
 * when the API serves. Requests before that get 503. */
void api_start(struct api *a, void (*done)(void *arg, const struct err *e), void *arg);

/* Takes the exchange: answers it, now or later. */
void api_handle(struct api *a, struct http_req *r);

/* A named line of /readyz (and of /livez where live is true), for the parts that the owner runs;
 * the name is copied. */
void api_check_set(struct api *a, const char *name, bool ok, bool live);
bool api_is_ready(struct api *a);
/* What is started beside the API (tokens, egress, controllers) has heard of all objects once; a
 * line of /readyz (upstream's name of it is informer-sync). */
bool api_is_informed(struct api *a);

/* The kinds that are served now; borrowed. */
const struct schema *api_schema(const struct api *a);

/* Do other servers write to the same store? */
bool api_is_shared(const struct api *a);

/* Ends watches and streams, waits for running requests (at most 5 s), then done; a is gone. The
 * HTTP server may still be open. The store must still be open. */
void api_close(struct api *a, void (*done)(void *arg), void *arg);
