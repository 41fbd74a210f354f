#pragma once
/*
 * Credentials: what identifies this node, on disk under <data>/agent and <node_dir> in K3s's layout
 * and modes (docs/cli.md), and in memory: the node password, the cluster's CAs, four key pairs with
 * their certificates, the kubeconfigs. Loop thread; the files are small and local.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

enum credential { CRED_SERVING, CRED_KUBELET, CRED_PROXY, CRED_CONTROLLER };
#define N_CREDENTIALS 4

struct pair {
    struct buf cert_pem; /* leaf and CA bundle as the server sent it; empty: none yet */
    struct buf key_pem;  /* secret */
    int64_t not_before_unix_s, not_after_unix_s, renew_at_unix_s; /* of the leaf */
};

struct credentials {
    char *agent_dir; /* <data>/agent */
    char *node_dir;
    char password[128]; /* secret */
    struct buf server_ca, client_ca;
    struct pair pairs[N_CREDENTIALS];
};

/* Makes the folders (0700, node_dir 0755) and loads what is there; what is missing stays empty, but
 * keys are made. The node password is read, moved from its place of old K3s releases, or made. A
 * broken certificate is left out with a warning; a broken key is ERR_INVALID. */
MUST_USE int credentials_open(struct credentials *c, const char *data_dir, const char *node_dir,
                              struct err *e);
void credentials_deinit(struct credentials *c); /* wipes */

/* "serving-kubelet", ...: the base name of files and the last part of the URL without ".crt" */
const char *credential_name(enum credential which);

/* The DER request for POST; an answer's body, certificates and perhaps a key that replaces ours.
 * The certificate must fit the key. Both write the files (0600). */
MUST_USE int credentials_csr(const struct credentials *c, enum credential which, struct buf *der,
                             struct err *e);
MUST_USE int credentials_answer(struct credentials *c, enum credential which, struct str body,
                                struct err *e);
/* server-ca.crt, client-ca.crt: only written when they changed. */
MUST_USE int credentials_set_ca(struct credentials *c, bool server, struct str pem, struct err *e);

/* kubelet, kubeproxy and k3scontroller.kubeconfig, for that balancer port. */
MUST_USE int credentials_write_kubeconfigs(const struct credentials *c, uint16_t lb_port,
                                           struct err *e);

/* All of it is there and the kubelet's certificate is valid now. */
bool credentials_complete(const struct credentials *c, int64_t now_unix_s);
/* The CAs and the kubelet's certificate are there, expired or not: this node has joined before, and
 * the agent may start without a token. */
bool credentials_have_joined(const struct credentials *c);
/* When the first of the certificates is to be renewed (x509_renew_at_unix_s). */
int64_t credentials_renew_at_unix_s(const struct credentials *c);
/* Then, or when one is not valid yet. */
bool credentials_are_due(const struct credentials *c, int64_t now_unix_s);
