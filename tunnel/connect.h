#pragma once
/*
 * Connect: one attempt to open the tunnel's websocket to a server: name, TCP, TLS, upgrade.
 *
 * GET /v1-k3s/connect over HTTP/1.1 with the client certificate of the TLS settings; no extensions,
 * no Origin, as K3s' agent sends it; our subprotocol is offered, which K3s' server ignores. done
 * comes once, from the loop; the attempt is gone by then. Cancel hurries it; then it brings
 * ERR_CANCELED. Loop thread only.
 */
#include "base/io/stream.h"
#include "base/io/tls.h"
#include "tunnel/client.h"
#include "tunnel/session.h"

struct tunnel_connect;

struct tunnel_connect_result {
    struct stream *stream; /* yours (stream_handover); NULL: it failed */
    struct str leftover;   /* read behind the head of the answer; valid during the call */
    const struct tunnel_framing *framing; /* what the server chose */
    enum tunnel_failure failure;
    int http_status; /* FAIL_HTTP: of an answer that is no upgrade; 0: there was none */
    struct err err;
};
typedef void (*tunnel_connect_fn)(void *arg, const struct tunnel_connect_result *r);

/* Which of the node's clients it is: a new connection of the same one replaces its last one, which
 * the server may not know to be dead yet. */
#define TUNNEL_CLIENT_ID_HEADER "X-Coracle-Tunnel-Client"
#define TUNNEL_CLIENT_ID_BYTES  33 /* 32 hex digits and '\0' */

#define TUNNEL_CONNECT_MS 10000 /* name, TCP and TLS; and again for the answer to the upgrade */

struct tunnel_connect_config { /* copied; what it points to must live until done */
    uv_loop_t *loop;
    const char *host; /* copied */
    uint16_t port;
    const char *tls_name; /* what the certificate must carry; NULL: host. Copied */
    struct tls_client_config *tls;
    const struct tunnel_dialer *dialer; /* NULL: tcp_dial */
    const char *client_id;              /* NULL: do not offer our own protocol */
};
void tunnel_connect_start(struct tunnel_connect **out, const struct tunnel_connect_config *cfg,
                          tunnel_connect_fn done, void *arg);
void tunnel_connect_cancel(struct tunnel_connect *c);
