#pragma once
/*
 * Join: from a token to certificates: checks the cluster's CA against the token, fetches the config
 * and the CAs, and has the node's four certificates issued, all through the local balancer. Tries
 * for ever, with backoff and jitter; each change of what is wrong is one log line. Later the same
 * object renews the certificates. (docs/protocols/registration.md; K3s pkg/agent/config)
 *
 *   CACERTS --> VERIFY --> CONFIG --> CLIENT_CA --> SERVER_CA --> SERVING --> KUBELET --> PROXY
 *      ^   (these two only with a token)                                                     |
 *      |                                                          JOINED <-- CONTROLLER <----+
 *   BACKOFF <-- any failure (429: goes on where it was)              |  renewal
 *      ^-------------------------------------------------------------+
 *
 *   REVIVE --> CONFIG     our certificate has expired, and there is no token or it was refused: the
 *                         certificate renews itself, with the node password
 *   TIME --> the start    the server's certificate does not fit our clock, or its Date header: asks
 *                         what time it is (agent/boot/server_time.h says what the answer is worth)
 *
 * The server is verified by the name "kubernetes", which every K3s server's certificate carries and
 * no kubelet's does, under the CA that the token pins. Loop thread only.
 */
#include "agent/boot/cluster_config.h"
#include "agent/boot/credentials.h"
#include "base/core/str.h"
#include "base/kube/cause.h"

#include <uv.h>

struct balancer;
struct join;

#define JOIN_SERVER_NAME "kubernetes"

struct join_config {
    uv_loop_t *loop;
    struct balancer *balancer;       /* all calls go through it; its errors explain ours */
    struct credentials *credentials; /* filled in */
    const char *token, *token_file;  /* either, or neither when this node has joined before */
    const char *node_name;
    const char *node_ips;          /* comma-joined internal addresses */
    const char *node_external_ips; /* comma-joined, "" for none */
    /* Every certificate is there; config holds during the call and until the next. Also after each
     * renewal, with renewed set. */
    void (*on_joined)(void *arg, const struct cluster_config *config, bool renewed);
    /* What is wrong, whenever that changes; CAUSE_NONE when it is mended. text is for people. */
    void (*on_cause)(void *arg, enum cause c, const char *text);
    void *arg;
};

/* Starts at once, from the loop. ERR_INVALID: the token is malformed, or there is none and this
 * node has not joined before. */
MUST_USE int join_new(struct join **out, const struct join_config *c, struct err *e);
/* Have new certificates issued now; on_joined(renewed) follows. Does nothing while joining. */
void join_renew(struct join *j);
/* A server said, over a connection that was verified, what time it is: it is asked again where that
 * is not our time. */
void join_heard_time(struct join *j, int64_t server_unix_s);
/* A handshake failed by its dates: a server is asked what time it is. */
void join_doubt_time(struct join *j);
/* "CACERTS", ... "JOINED", "BACKOFF" */
const char *join_state_name(const struct join *j);
void join_close(struct join *j, void (*done)(void *arg), void *arg);
