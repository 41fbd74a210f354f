#pragma once
/*
 * What the files of this folder share (nobody else includes it). One struct ca; the files each fill
 * a part of it:
 *
 *   ca.c         open, getters, renewal            node.c      certificates for nodes
 *   conf.c       options, names (SANs), paths      tokens.c    passwords, token files, psk
 *   authority.c  the five CAs                      listener.c  the supervisor's certificate
 *   leaf.c       the server's own certificates     files.c     kubeconfigs, service key
 */
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "server/ca/ca.h"
#include "server/ca/passwd.h"

#define CA_FILE_MAX_BYTES (256 * 1024) /* BUNDLE_MAX_BYTES */

/* A short list of owned texts without duplicates. */
struct names {
    char **v;
    size_t n;
};
#define NAMES_MAX 200 /* less than ISSUE_SANS_MAX: the fixed ones come on top */
int ca_names_add(struct names *l, const char *name, struct err *e);
void ca_names_deinit(struct names *l);

struct conf {  /* options, copied and completed */
    char *dir; /* <data>/server */
    char *node_name;
    struct names sans;         /* spec 2.5 */
    struct names api_names;    /* kubernetes, kubernetes.default, ... */
    char *token, *agent_token; /* as given, NULL: not */
    char *admin_url, *component_url;
    char *kubeconfig, *kubeconfig_default, *kubeconfig_name, *kubeconfig_group;
    mode_t kubeconfig_mode;
    bool no_kubeconfig;
    bool fresh; /* no start has gone through yet: there is no cred/passwd */
};
int ca_conf_init(struct conf *c, const struct ca_options *o, struct err *e);
void ca_conf_deinit(struct conf *c);
char *ca_conf_path(const struct conf *c, const char *rel); /* heap */

enum authority_id {
    AUTH_CLIENT,
    AUTH_SERVER,
    AUTH_HEADER,
    AUTH_ETCD_SERVER,
    AUTH_ETCD_PEER,
    N_AUTHS
};

struct authority {
    struct buf pem; /* the file as it is: signing CA, intermediates, root */
    struct x509 *cert;
    struct key *key;
    bool created; /* in this run */
    int64_t warned_unix_s;
};
int ca_authorities_open(struct authority *a, const struct conf *c, int64_t now, struct err *e);
/* A line in the log for each that ends within a year or is not valid, once a day. */
void ca_authorities_warn(struct authority *a, int64_t now);
void ca_authorities_deinit(struct authority *a);
/* Appends a PEM text, and a newline where it lacks the last one. */
int ca_authority_add_bundle(struct buf *out, const struct authority *a, struct err *e);

enum leaf_id {
    LEAF_ADMIN,
    LEAF_SUPERVISOR,
    LEAF_CONTROLLER,
    LEAF_SCHEDULER,
    LEAF_API_SERVER,
    LEAF_CLOUD,
    LEAF_API_SERVING,
    LEAF_SCHEDULER_SERVING,
    LEAF_CONTROLLER_SERVING,
    LEAF_AUTH_PROXY,
    LEAF_ETCD_SERVER,
    LEAF_ETCD_PEER,
    LEAF_ETCD_CLIENT,
    N_LEAVES
};

struct leaf {
    struct buf pem;     /* leaf and CA bundle, as in the file */
    struct buf key_pem; /* secret */
    struct x509 *cert;
};
int ca_leaves_open(struct leaf *l, const struct conf *c, const struct authority *a, int64_t now,
                   struct err *e);
/* Replaces key and certificate of one, files and memory; on failure the old one stays. */
int ca_leaf_renew(struct leaf *l, enum leaf_id id, const struct conf *c, const struct authority *a,
                  int64_t now, struct err *e);
void ca_leaves_deinit(struct leaf *l);
/* Spec 2.4; NULL: none, else the words for the log. */
struct issue_spec;
const char *ca_leaf_reason(const struct x509 *cert, const struct authority *a,
                           const struct issue_spec *spec, int64_t now);

struct listener {
    struct buf pem, key_pem;
    struct x509 *cert;
    struct names names; /* in the certificate */
};
int ca_listener_open(struct listener *l, const struct conf *c, const struct authority *server,
                     int64_t now, struct err *e);
int ca_listener_renew(struct listener *l, const struct conf *c, const struct authority *server,
                      int64_t now, struct err *e);
int ca_listener_add(struct listener *l, const struct conf *c, const struct authority *server,
                    const char *san, int64_t now, bool *added, struct err *e);
/* Appends the Secret's JSON. */
int ca_listener_json(const struct listener *l, struct buf *out, struct err *e);
void ca_listener_deinit(struct listener *l);

enum shared_id {
    SHARED_SERVING_KUBELET,
    SHARED_CLIENT_KUBELET,
    SHARED_PROXY,
    SHARED_K3S,
    N_SHARED
};
struct shared {
    struct key *key;
    struct buf pem; /* secret */
};
int ca_shared_open(struct shared *s, const struct conf *c, struct err *e);
void ca_shared_deinit(struct shared *s);

struct secrets { /* tokens.c */
    struct passwd *passwd;
    char *psk;
    char *token;
};
int ca_secrets_open(struct secrets *s, const struct conf *c, const char *ca_hash, struct err *e);
void ca_secrets_deinit(struct secrets *s);

/* files.c */
/* Starts to make the RSA key in a thread when the file is missing; ca_service_key_wait ends that.
 */
struct service_key;
struct service_key *ca_service_key_begin(const struct conf *c);
int ca_service_key_wait(struct service_key *s_take, struct buf *out, struct err *e);
int ca_component_kubeconfigs(const struct conf *c, struct err *e);
int ca_admin_kubeconfig(const struct conf *c, const struct authority *server,
                        const struct leaf *admin, struct err *e);
/* Durable; in a first start lazy, with one sync before it counts as done. */
int ca_write(const struct conf *c, const char *path, struct str bytes, mode_t mode, struct err *e);
/* Is it there? Empty files of a first start that was cut short are not. */
bool ca_has(const struct conf *c, const char *path);
int ca_key_open(struct key **out, const struct conf *c, const char *path, struct err *e);
/* For files that are made again at every start. Writes only when contents or mode differ: flash
 * wears out. */
int ca_write_if_changed(const char *path, struct str bytes, mode_t mode, struct err *e);

struct ca {
    struct conf conf;
    struct authority authorities[N_AUTHS];
    struct leaf leaves[N_LEAVES];
    struct shared shared[N_SHARED];
    struct listener listener;
    struct secrets secrets;
    struct buf service_key;
    char hash[65];
    bool kubeconfig_stale; /* the admin's certificate is newer than its kubeconfig */
};
