#pragma once
/*
 * Tunnel client: the agent's end of the tunnel to one server.
 *
 * Connects to wss://HOST:PORT/v1-k3s/connect with the node's client certificate, serves what the
 * server dials (as far as the authorizer allows), and connects again for ever: 0.5 to 2.5 s
 * (random) after the way there failed, 1 to 4 s after the server refused; twice that when it has
 * been down for two minutes, six times after ten. Loop thread only.
 *
 *   CONNECTING --> CONNECTED --> WAITING --> CONNECTING ...
 *        +----------------------^
 *
 * Deadlines: 10 s each for connecting (DNS, TCP, TLS together) and for the answer to the upgrade;
 * a silent server ends the session after less than 10 s (docs/protocols/tunnel.md).
 */
#include "base/http/client.h"
#include "base/io/stream.h"
#include "tunnel/authorizer.h"

struct tunnel_client;

enum tunnel_client_state {
    TUNNEL_CLIENT_CONNECTING,
    TUNNEL_CLIENT_CONNECTED,
    TUNNEL_CLIENT_WAITING, /* until the next attempt; the last failure says why */
};

enum tunnel_failure { /* where it failed, from near to far */
                      TUNNEL_OK,
                      TUNNEL_FAIL_DNS,      /* the server's name does not resolve */
                      TUNNEL_FAIL_TCP,      /* no connection */
                      TUNNEL_FAIL_TLS,      /* certificate or handshake */
                      TUNNEL_FAIL_HTTP,     /* the upgrade was answered with something else */
                      TUNNEL_FAIL_CLOSED,   /* a working session was closed by the other end */
                      TUNNEL_FAIL_SILENT,   /* a working session: no pong in time */
                      TUNNEL_FAIL_PROTOCOL, /* the other end broke the protocol */
};
const char *tunnel_failure_name(enum tunnel_failure f); /* "dns", "tcp", ... "" for OK */

struct tunnel_client_status {
    char address[264]; /* "host:port" */
    enum tunnel_client_state state;
    enum tunnel_failure failure; /* of the last attempt or session; OK while connected */
    int http_status;             /* for FAIL_HTTP */
    char error[256];             /* its text */
    int64_t since_unix_s;        /* of state */
    uint64_t n_connects;         /* successes so far */
    size_t n_streams;
    uint64_t rtt_ms;   /* of the last ping; 0: none yet */
    bool own_protocol; /* CONNECTED: coracle.v1, else remotedialer */
};

/* How servers are dialed in place of tcp_dial: through a proxy, say. Failures have the codes of
 * tcp_dial (base/io/tcp.h). */
struct tunnel_dialer {
    /* Starts a dial; done comes once, later. What it returns is for cancel, until done came. */
    void *(*dial)(void *arg, const char *host, uint16_t port, uint64_t timeout_ms,
                  http_dialed_fn done, void *done_arg);
    void (*cancel)(void *dial); /* hurries done, which brings ERR_CANCELED */
    void *arg;
};

struct tunnel_client_options {
    struct str ca_pem;                          /* trust for the server's certificate; copied */
    struct str cert_chain_pem, key_pem;         /* the node's client certificate; copied */
    const struct tunnel_authorizer *authorizer; /* borrowed: outlives the client */
    /* The name that the server's certificate must carry; NULL: the host of the address. Borrowed:
     * outlives the client. */
    const char *tls_name;
    const struct tunnel_dialer *dialer; /* NULL: tcp_dial. Borrowed: outlives the client */
    /* The state changed. Do not close the client from inside. May be NULL. */
    void (*on_state)(void *arg, const struct tunnel_client_status *st);
    void *arg;
    uint64_t reconnect_min_ms, reconnect_max_ms; /* 0: as above; for tests */
    size_t n_streams_max;                        /* 0: 1024 */
    bool remotedialer; /* never offer our own protocol; for tests and comparisons */
};

/* Are these credentials usable? ERR_INVALID and why not. */
MUST_USE int tunnel_client_check(struct str ca_pem, struct str cert_chain_pem, struct str key_pem,
                                 struct err *e);

/* ERR_INVALID when the credentials or the address ("host:port", "[v6]:port") are not usable.
 * Connects at once, from the loop. */
MUST_USE int tunnel_client_new(struct tunnel_client **out, uv_loop_t *loop, const char *address,
                               const struct tunnel_client_options *o, struct err *e);

/* New credentials for the connections to come; the present session goes on (its certificate was
 * good when it began). On failure the old ones stay. */
MUST_USE int tunnel_client_reload(struct tunnel_client *c, struct str ca_pem,
                                  struct str cert_chain_pem, struct str key_pem, struct err *e);

/* There is reason to think that its server is gone: a session asks it now, and ends when there is
 * no answer (tunnel/session.h). */
void tunnel_client_doubt(struct tunnel_client *c);

/* Sans-I/O: between which waits the random one before the next attempt lies, for a tunnel that has
 * been down for so long. */
void tunnel_client_wait_range(uint64_t *min_ms, uint64_t *max_ms, bool refused, uint64_t down_ms);

void tunnel_client_status(const struct tunnel_client *c, struct tunnel_client_status *out);

/* Drops the session or the attempt, then calls done (may be NULL) and is gone, soon. */
void tunnel_client_close(struct tunnel_client *c, void (*done)(void *arg), void *arg);
