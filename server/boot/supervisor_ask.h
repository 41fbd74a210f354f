#pragma once
/*
 * Supervisor's inside: one exchange that waits for its body, a password, the store. For
 * server/boot/supervisor*.c.
 */
#include "base/core/str.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/kube/status.h"
#include "server/auth/authenticate.h"
#include "server/boot/supervisor.h"

#include <jansson.h>

struct supervisor {
    struct supervisor_config c;
    struct node_passwords *passwords; /* NULL before supervisor_start */
    unsigned n_reads, n_writes;
    uint64_t busy_since_ms; /* start of the window */
    unsigned n_refused, n_refused_before;
};

enum role { ROLE_ANYBODY, ROLE_AGENT, ROLE_NODE, ROLE_SERVER, ROLE_MASTERS };

struct route;
struct ask {
    struct supervisor *s;
    struct http_req *req; /* NULL: the peer is gone */
    const struct route *route;
    struct identity *id;
    bool waiting, is_write, counted;
    bool returning;    /* its certificate has expired: a new one needs more proof */
    char node[254];    /* of the node headers, lower case */
    struct key *pub;   /* of the CSR; NULL: shared key */
    int snapshot_what; /* of /db/snapshot */
    char *snapshot_dir, *snapshot_node;
};

enum node_cert { CERT_NONE, CERT_SERVING_KUBELET, CERT_KUBELET, CERT_PROXY, CERT_CONTROLLER };

struct route {
    const char *path;
    enum role role;
    void (*run)(struct ask *a);
    bool limited;        /* counts towards the join limits */
    enum node_cert cert; /* what run_cert issues; the kubelet's two want the node password */
};

/* Answers, where somebody is there to hear them. */
void ask_reply_status(struct http_req *r, json_t *status_take);
void ask_refuse(struct ask *a, enum status_reason reason, const char *text);
void ask_reply_text(struct ask *a, struct str text);
void ask_reply_json(struct ask *a, struct str text);
/* What was waited for came: false when nobody is there to hear the answer. */
bool ask_resume(struct ask *a);

/* ---- handlers of paths ---- */
void supervisor_run_cert(struct ask *a);     /* supervisor_certs.c */
void supervisor_run_snapshot(struct ask *a); /* supervisor_snapshots.c */
void supervisor_run_report(struct ask *a);   /* supervisor_why.c */
void supervisor_run_why(struct ask *a);
void supervisor_note_refusal(struct supervisor *s, const struct http_req *r);
/* "10.0.0.1", without the port */
void supervisor_address_of(const struct http_req *r, char out[TCP_ADDR_TEXT_BYTES]);
