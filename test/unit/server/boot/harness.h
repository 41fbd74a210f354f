#pragma once
/*
 * Harness: the parts of a server that stand behind its port, on a fresh folder: CA, store, API,
 * authentication, tunnels, egress, supervisor, on a TLS listener of 127.0.0.1. No controllers. One
 * client that waits for each answer.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/client.h"
#include "base/http/server.h"
#include "base/io/listener.h"
#include "base/pki/key.h"
#include "server/api/api.h"
#include "server/api/local.h"
#include "server/auth/authenticate.h"
#include "server/boot/bootstrap_tokens.h"
#include "server/boot/egress.h"
#include "server/boot/node_password.h"
#include "server/boot/node_why.h"
#include "server/boot/supervisor.h"
#include "server/ca/ca.h"
#include "server/store/store.h"
#include "tunnel/server.h"

#define SERVER_PASSWORD "server-secret"
#define AGENT_PASSWORD  "agent-secret"
#define CONFIG_DOC      "{\"ClusterDNS\":\"10.43.0.10\"}\n"
#define OWN_NODE        "own-1"

struct tls_client_config;
struct tls_server_config;

struct harness {
    uv_loop_t loop;
    char dir[64], db[96];
    struct ca *ca;
    struct store *store;
    struct authn *authn;
    struct api *api;
    struct tunnel_server *tunnels;
    struct egress *egress;
    struct node_why *why;
    struct tls_client_config *kubelet_tls;
    struct bootstrap_tokens *bootstrap;
    struct supervisor *supervisor;
    struct tls_server_config *tls;
    struct http_server *http;
    struct listener *listener;
    uint16_t port;
    bool flag; /* what harness_wait waits for */
};

void harness_open(struct harness *h, enum tunnel_egress_mode mode);
void harness_close(struct harness *h);
void harness_start_supervisor(struct harness *h); /* harness_open leaves it "starting" */
/* Runs the loop until *flag, at most 30 s. */
void harness_wait(struct harness *h, const bool *flag);
void harness_turns(struct harness *h, unsigned n);

/* Who asks: a header or a certificate, or both; NULL: none. */
struct caller {
    const char *authorization;
    const char *cert_pem, *key_pem;
};
/* "Basic ..." on the heap */
char *basic(const char *user, const char *password);

struct answer {
    int code;
    struct buf body;
    json_t *doc; /* NULL: no JSON */
    char retry_after[16], content_type[64];
    bool closes; /* Connection: close */
};
void answer_deinit(struct answer *a);
#define auto_answer __attribute__((cleanup(answer_deinit))) struct answer
struct answer ask(struct harness *h, const struct caller *who, const char *method,
                  const char *target, const struct http_header *headers, size_t n_headers,
                  struct str body);
/* An endpoint to the server in that name; close it with endpoint_gone. */
struct http_endpoint *endpoint_of(struct harness *h, const struct caller *who,
                                  struct tls_client_config **tls_out);
void endpoint_gone(struct harness *h, struct http_endpoint *ep, struct tls_client_config *tls);

/* The order of server.c: nothing is dialed any more. */
void harness_stop_dials(struct harness *h);

/* The API from inside; both wait. code_out may be NULL. get returns a new reference or NULL. */
int create(struct harness *h, const char *resource, const char *ns, const char *text);
/* A merge patch of its status; it must succeed. */
void patch_status(struct harness *h, const char *resource, const char *ns, const char *name,
                  const char *text);
json_t *get(struct harness *h, const char *resource, const char *ns, const char *name);
json_t *list(struct harness *h, const char *resource, const char *ns);
void delete (struct harness *h, const char *resource, const char *ns, const char *name);

/* A node's client certificate of this cluster; texts are heap. */
void node_cert(struct harness *h, const char *node, char **cert_pem, char **key_pem);
/* The same, of a cluster that is not ours. */
void stranger_cert(const char *node, char **cert_pem, char **key_pem);
