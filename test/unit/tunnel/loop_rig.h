#pragma once
/*
 * Loop rig: a tunnel server behind a real HTTPS server, real clients, a port that echoes as the
 * kubelet; all on one loop over loopback.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "test/unit/base/io/certs.h"
#include "test/unit/base/io/io_end.h"
#include "tunnel/client_set.h"
#include "tunnel/server.h"

extern bool remotedialer; /* which protocol is spoken */
extern struct cert ca, other_ca, server_cert, node_cert;

enum { N_ECHOES = 64 };

struct world {
    uv_loop_t loop;
    struct tls_server_config *tls;
    struct http_server *http;
    struct listener *listener, *kubelet;
    struct tunnel_server *ts;
    struct tunnel_client_set *set;
    struct tunnel_authorizer authorizer;
    struct tunnel_client_status last; /* what on_state said */
    struct end *echoes[N_ECHOES];
    size_t n_echoes;
    size_t n_wanted;       /* for is_connected */
    int refuse_status;     /* the server answers this instead of 101 */
    bool kubelet_hangs_up; /* at once */
    bool kubelet_stays;    /* echoes, and ends its direction after ours */
    bool kubelet_serves;   /* HTTPS, with the same server as the tunnel's end */
    size_t kubelet_bytes;  /* sends so many as a pattern instead of an echo */
    char address[32], kubelet_address[32];
    int n_node_up, n_node_down, n_closed;
    struct end *survivor; /* a stream that outlives the tunnel server */
};

struct dialed {
    struct stream *s;
    struct err err;
    int n;
};

int make_certs(void **state);
int make_certs_again(void **state);
int free_certs(void **state);
void world_init(struct world *w, uint64_t silence_ms);
struct tunnel_client_options options(struct world *w, const struct cert *trust);
int is_connected(void *arg);
void connect_set(struct world *w, const struct cert *trust, const char *address);
void connected_world_init(struct world *w);
void end_finish(struct world *w, struct end *d);
void world_deinit(struct world *w);
void on_dialed(void *arg, struct stream *s, const struct err *e);
int dial_is_done(void *arg);
void dial(struct world *w, const char *node, const char *address, uint64_t timeout_ms,
          struct dialed *d);
int wait_no_streams(void *arg);
void on_state(void *arg, const struct tunnel_client_status *st);
void count_closed(void *arg);
