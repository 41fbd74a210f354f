/*
 * The certificates that a server shows while it runs: the one of its listeners, and the API server's
 * own towards kubelets. The CA on disk makes them (server/ca); here they are put to use, renewed in
 * time without a restart, and given the addresses that clients reach the server by.
 *
 * Belongs to the loop's thread.
 */
#ifndef SERVER_BOOT_SERVER_CERTS_H
#define SERVER_BOOT_SERVER_CERTS_H

#include "base/core/err.h"

#include <uv.h>

struct ca;
struct server_certs;
struct stream;
struct tls_client_config;
struct tls_server_config;

/* 'ca' must outlive it. Nothing is renewed before server_certs_start. */
MUST_USE int server_certs_new(struct server_certs **out, uv_loop_t *loop, struct ca *ca,
                              struct err *e);

/* From now on what is due is renewed, at once and then as time goes on (a clock that was set is
 * noticed within seconds). A renewal that fails is logged and tried again each minute; what is shown
 * stays. */
void server_certs_start(struct server_certs *c);

/* Nothing is renewed any more, and the loop is left. What the two below gave stays valid. */
void server_certs_stop(struct server_certs *c);

/* After the loop is gone, or after a failed start; NULL is fine. */
void server_certs_free(struct server_certs *c);

/* For what listens, with ALPN h2 and http/1.1. Lives as long as 'c'. */
struct tls_server_config *server_certs_listener(struct server_certs *c);
/* For calls to kubelets. Lives as long as 'c'. */
struct tls_client_config *server_certs_kubelet(struct server_certs *c);

/* Somebody was accepted: the local address he came to goes into the listener's certificate, if it is
 * not there (as K3s's dynamiclistener does it). */
void server_certs_saw(struct server_certs *c, const struct stream *accepted);

#endif
