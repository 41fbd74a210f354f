#pragma once
/* Rig: a kubelet's port on loopback with certificates made on the spot, one pod "default/web" with
 * the container "app", and clients for it. Include instead of cmocka.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/stream/port_impl.h"
#include "base/core/mem.h"
#include "base/http/client.h"
#include "base/io/timer.h"

/* What agent/pod and agent/cri are here. */
struct pods {
    struct pods_container container;
    bool has_previous;
    const char *phase, *waiting_reason;
    char log_path[128], previous_path[128];
};
struct runtime {
    uv_loop_t *loop;
    char url[128];
    struct err err; /* instead of a URL */
    bool is_gone;   /* not there at all */
    bool is_slow;   /* answers when canceled only */
    int n_asked, n_canceled;
    char last_id[64];
    struct session_ask last; /* without argv */
    char last_argv[256];
};

struct ident { /* a CA or a leaf */
    struct x509 *cert;
    struct key *key;
    char *cert_pem, *key_pem;
};

struct rig {
    uv_loop_t loop;
    struct port *port;
    struct pods pods;
    struct runtime runtime;
    struct ident ca, serving, api_server;
    char dir[64];
    bool port_closed;
    /* the last fetch */
    int status;
    struct buf body;
    char type[128];
    struct err err;
    bool fetched;
};

void ident_ca(struct ident *i, const char *prefix);
void ident_leaf(struct ident *i, const struct ident *ca, const char *cn, const char *org,
                const char *san, int64_t age_s); /* valid for a day from then */
void ident_deinit(struct ident *i);

void rig_init(struct rig *g);
/* Closes what is open; the loop must be empty afterwards. */
void rig_deinit(struct rig *g);
void rig_append(const struct rig *g, const char *text); /* to the container's log */

/* A client of this identity (NULL: none) that trusts the rig's CA. */
struct client {
    struct tls_client_config *tls;
    struct http_endpoint *ep;
    bool closed;
};
void client_init(struct client *c, struct rig *g, const struct ident *i, const struct ident *trust);
void client_deinit(struct client *c, struct rig *g);

/* Fills status, body and err. */
void rig_fetch_as(struct rig *g, const struct ident *i, const char *method, const char *target);
void rig_fetch(struct rig *g, const char *method, const char *target); /* as the API server */
