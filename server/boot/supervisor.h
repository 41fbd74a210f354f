#pragma once
/*
 * Supervisor: K3s's own paths on the server's port: /ping, /cacerts, /v1-k3s/... and CONNECT, what
 * an agent of any K3s generation needs before and beside the Kubernetes API
 * (docs/protocols/registration.md); and ours, /v1-coracle/... (docs/protocols/node-why.md). All
 * other paths are the API's.
 *
 * Requests are authenticated (Basic first, then client certificate, then bearer tokens), checked
 * against the role of the path, counted (20 reads and 10 writes of agents at once, above that 429
 * with a Retry-After that grows with the crowd), and answered. Errors are Status documents, but for
 * readyz. Loop thread only.
 */
#include "base/core/err.h"

#include <uv.h>

struct api;
struct authn;
struct ca;
struct egress;
struct http_req;
struct node_why;
struct snapshots;
struct supervisor;
struct tunnel_server;

#define SUPERVISOR_READS_MAX  20 /* K3s's limits */
#define SUPERVISOR_WRITES_MAX 10

struct supervisor_config { /* all borrowed, outlive the supervisor */
    uv_loop_t *loop;
    struct ca *ca;
    struct authn *authn;
    struct api *api;
    struct tunnel_server *tunnels;
    struct egress *egress;
    struct node_why *why;        /* learns who was refused, and answers /v1-coracle/... */
    const char *config_doc;      /* the answer of /v1-k3s/config */
    struct snapshots *snapshots; /* NULL: this server has none of its own */
};

void supervisor_new(struct supervisor **out, const struct supervisor_config *c);
/* Takes the exchange and answers it, or returns false: the path is not the supervisor's. */
bool supervisor_handle(struct supervisor *s, struct http_req *r);
/* Cluster things (node passwords, addresses) can be asked from here on; before, those paths get
 * 503. */
void supervisor_start(struct supervisor *s);
/* Before the API and the snapshots go: checks under way end, with 503; then done. */
void supervisor_stop(struct supervisor *s, void (*done)(void *arg), void *arg);
/* After the HTTP server has gone; then done, and it is gone. */
void supervisor_close(struct supervisor *s, void (*done)(void *arg), void *arg);
