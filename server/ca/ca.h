#pragma once
/*
 * CA: the identity of a cluster on a server's disk: CAs, the server's own certificates, tokens,
 * passwords and kubeconfigs, laid out as K3s does (its pkg/daemons/control/deps).
 *
 * ca_open creates what is missing and loads the rest; it blocks (some hundred milliseconds, an RSA
 * key is made on fresh disks) and is called before the loop runs. After it everything is in memory
 * and on the loop thread. Issuing takes well under a millisecond.
 * Keys stay inside: getters that hand out a private key say so.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <sys/types.h>

struct ca;
struct key;
struct passwd;

struct ca_options {              /* copied */
    const char *data_dir;        /* NULL: /var/lib/rancher/k3s; files go to <data_dir>/server */
    const char *node_name;       /* of this server, lower case */
    const char *const *node_ips; /* internal addresses */
    size_t n_node_ips;
    const char *const *node_external_ips;
    size_t n_node_external_ips;
    const char *const *tls_sans; /* --tls-san, comma lists allowed */
    size_t n_tls_sans;
    const char *advertise_ip;   /* NULL: none besides the node's */
    const char *service_ip;     /* first address of the service CIDR; NULL: 10.43.0.1 */
    const char *cluster_domain; /* NULL: cluster.local */
    const char *bind_address;   /* NULL: all; else it is the host of k3s.yaml's URL */
    unsigned https_port;        /* 0: 6443 */
    /* Port in the components' kubeconfigs. 0: https_port. K3s has an internal API server on
     * https_port+1; ours answers on https_port. */
    unsigned apiserver_port;
    bool ipv6;                      /* the cluster's first family is IPv6: [::1] in URLs */
    const char *token;              /* --token: a K10 text or a password; NULL: keep or make one */
    const char *agent_token;        /* --agent-token; NULL: the same password as the server's */
    const char *kubeconfig;         /* --write-kubeconfig; NULL: kubeconfig_default only */
    const char *kubeconfig_default; /* NULL: /etc/rancher/k3s/k3s.yaml (root), ~/.kube/k3s.yaml */
    const char *kubeconfig_name;    /* NULL: default */
    mode_t kubeconfig_mode;         /* 0: 0600 */
    const char *kubeconfig_group;   /* group name or number; NULL: as created */
    bool no_kubeconfig;             /* write no admin kubeconfig */
};

/* ERR_INVALID: a file is broken or does not fit another; the text names it and what to do. */
MUST_USE int ca_open(struct ca **out, const struct ca_options *o, struct err *e);
void ca_free(struct ca *ca);
DEFINE_AUTO(ca);

/* ---- what the supervisor serves; views live until the next ca_renew_due or ca_free ---- */
struct str ca_cacerts(const struct ca *ca);   /* bytes of /cacerts: tls/server-ca.crt as it is */
struct str ca_client_ca(const struct ca *ca); /* tls/client-ca.crt */
struct str ca_request_header_ca(const struct ca *ca);
const char *ca_hash(const struct ca *ca);         /* the hash in tokens */
struct passwd *ca_passwd(struct ca *ca);          /* users of Basic authentication */
const char *ca_ipsec_psk(const struct ca *ca);    /* secret: 96 hex digits */
struct str ca_listener_cert(const struct ca *ca); /* chain for base/io/tls */
struct str ca_listener_key(const struct ca *ca);  /* secret */
struct str ca_service_key(const struct ca *ca);   /* secret: the file; its first key signs JWTs */
const char *ca_token(const struct ca *ca);        /* secret: K10 text of <srv>/token, no newline */
const char *ca_server_dir(const struct ca *ca);   /* <data>/server */
/* <srv>/rel, on the heap, yours */
char *ca_path(const struct ca *ca, const char *rel);

/* The server's own client certificates, for loops inside the process that speak TLS. */
enum ca_client {
    CA_CLIENT_ADMIN,
    CA_CLIENT_SUPERVISOR,
    CA_CLIENT_API_SERVER,
    CA_CLIENT_AUTH_PROXY
};
struct str ca_client_cert(const struct ca *ca, enum ca_client which);
struct str ca_client_key(const struct ca *ca, enum ca_client which); /* secret */

/* ---- certificates for nodes: appends the answer's body ---- */
/* pub: the key of the CSR: leaf and CA bundle. pub NULL (no CSR): leaf for the shared key, CA
 * bundle, that private key: pem_out must then be a BUF_SECRET. node is taken in lower case.
 * ERR_INVALID: a node name or address that is none. */
#define CA_NODE_PEM_MAX_BYTES (256 * 1024)
MUST_USE int ca_issue_serving_kubelet(struct ca *ca, const char *node, const char *const *ips,
                                      size_t n_ips, const struct key *pub, struct buf *pem_out,
                                      struct err *e);
MUST_USE int ca_issue_client_kubelet(struct ca *ca, const char *node, const struct key *pub,
                                     struct buf *pem_out, struct err *e);
MUST_USE int ca_issue_kube_proxy(struct ca *ca, const struct key *pub, struct buf *pem_out,
                                 struct err *e);
MUST_USE int ca_issue_k3s_controller(struct ca *ca, const struct key *pub, struct buf *pem_out,
                                     struct err *e);
/* The k3s-Node-IP header: comma-joined IPs. Texts are copied to ips, an array
 * of CA_NODE_IPS_MAX. ERR_INVALID names the part that is no address, ERR_LIMIT: more than 16. */
#define CA_NODE_IPS_MAX 16
MUST_USE int ca_parse_ips(struct str header, char (*ips)[46], size_t *n_ips, struct err *e);

/* ---- renewal ---- */
enum ca_changed {
    CA_CHANGED_LISTENER = 1 << 0, /* reload TLS: ca_listener_cert and _key are new */
    CA_CHANGED_CLIENT = 1 << 1,   /* some ca_client_cert is new */
    CA_CHANGED_OTHER = 1 << 2,    /* files only */
};
/* Re-issues what is due at now (x509_is_due) and warns of CAs that end. *changed gets bits of enum
 * ca_changed. A look costs next to nothing: call it every few seconds, for a clock may be set.
 * Failure leaves the rest in place; *changed then tells what was renewed before it. */
MUST_USE int ca_renew_due(struct ca *ca, int64_t now_unix_s, unsigned *changed, struct err *e);
/* Appends the JSON of the Secret kube-system/k3s-serving as it should be in the store; secret. */
#define CA_LISTENER_SECRET_MAX_BYTES (1024 * 1024)
MUST_USE int ca_listener_secret(const struct ca *ca, struct buf *out, struct err *e);
/* Adds a name or address to the listener's certificate (an accepted connection's local address).
 * *changed tells whether a new one was issued. ERR_LIMIT: too many names. */
MUST_USE int ca_listener_add_san(struct ca *ca, const char *san, bool *changed, struct err *e);
