#pragma once
/*
 * Port: the kubelet's HTTPS port (10250): health, metrics, the node's pods, container logs, and the
 * sessions (exec, attach, port-forward) that go on to the container runtime.
 *
 * Everything but a TLS handshake needs a client certificate of the client CA: 401 without one or
 * with a bad one, 403 when it is not the API server's (CN system:apiserver or kube-apiserver, or
 * O system:masters). Paths and texts as the kubelet has them (kubelet/pkg/server, 1.32). Loop
 * thread only.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <uv.h>

struct port;
struct pods;    /* agent/pod/pods.h */
struct runtime; /* agent/cri/runtime.h */

#define PORT_DEFAULT 10250

/* PEM texts; copied. */
struct port_tls {
    struct str cert_chain; /* serving-kubelet, leaf first */
    struct str key;
    struct str client_ca;
};

struct port_config {
    uv_loop_t *loop;
    const char *bind_address; /* NULL or "": every address */
    uint16_t port;            /* 0: any free one (port_number tells) */
    struct port_tls tls;
    struct pods *pods;       /* NULL until port_set_pods: then there are none */
    struct runtime *runtime; /* NULL until port_set_pods: sessions are refused with 503 */
    const char *node_name;   /* copied */
    const char *version;     /* of kubernetes_build_info; copied */
    /* More Prometheus text behind our own, called for each GET of /metrics. May be NULL. */
    void (*add_metrics)(void *arg, struct buf *out);
    void *add_metrics_arg;
};

/* Listens at once. ERR_EXISTS: the port is taken; ERR_INVALID: bad PEM or address. */
MUST_USE int port_new(struct port **out, const struct port_config *c, struct err *e);
/* New connections get the new certificate, key and client CA; on failure the old ones stay. */
MUST_USE int port_reload(struct port *p, const struct port_tls *tls, struct err *e);
/* Both borrowed until port_close's done, or until set to something else (NULL is fine). */
void port_set_pods(struct port *p, struct pods *pods, struct runtime *runtime);
uint16_t port_number(const struct port *p);
/* Closes the listener, every connection and every session; then done (may be NULL) and it is gone.
 */
void port_close(struct port *p, void (*done)(void *arg), void *arg);
