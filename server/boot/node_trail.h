#pragma once
/*
 * Node trail: what this server knows of every node's comings and goings: the facts that the verdict
 * is made of (server/boot/node_verdict.h) and the last transitions with their times. Sans-I/O;
 * times are Unix seconds by this server's clock.
 *
 * Three kinds of sources, kept apart so that none can push out another:
 *
 *   server   what this server saw: tunnel, lease, Node object, kubelet port, certificates of ours
 *            that are out of date
 *   agent    what the node's own agent told of the times when it was away (base/kube/node_report.h)
 *   claim    refusals of somebody who only said that he is the node. At most one event per cause;
 *            names that are known by claims alone have places of their own; the whole is limited
 *            to TRAIL_CLAIMS_PER_S
 *
 * Bounds: TRAIL_NODES_MAX nodes, those longest without news go first, the connected ones last;
 * TRAIL_EVENTS_MAX events of each of the first two kinds per node.
 */
#include "base/kube/node_report.h"
#include "server/boot/node_verdict.h"

#define TRAIL_NODES_MAX        8192 /* as many as there may be tunnels */
#define TRAIL_CLAIMED_MAX      256  /* names that nobody has proved */
#define TRAIL_CLAIMS_PER_S     20
#define TRAIL_CLAIMS_BURST     100
#define TRAIL_EVENTS_MAX       20
#define TRAIL_CLAIM_EVENTS_MAX 4 /* per node: one per cause */
#define TRAIL_MERGED_MAX       (2 * TRAIL_EVENTS_MAX + TRAIL_CLAIM_EVENTS_MAX)

struct node_trail;

enum trail_from { TRAIL_SERVER, TRAIL_AGENT, TRAIL_CLAIM, N_TRAIL_FROM };
const char *trail_from_name(enum trail_from f); /* "server", "agent", "claim" */

struct trail_event {
    int64_t at_unix_s;
    int64_t until_unix_s; /* it was over, or seen last; 0: not known */
    enum trail_from from;
    bool up;          /* what cause names works now; false: it does not */
    enum cause cause; /* never NONE */
    uint32_t n_times;
    char *text; /* borrowed by readers */
};

void node_trail_new(struct node_trail **out, int64_t now_unix_s);
void node_trail_free(struct node_trail *t);
int64_t node_trail_started_unix_s(const struct node_trail *t);

/* Node names are those of Node objects or of certificates that this cluster issued, unless it is
 * said otherwise. Texts are copied, cut and cleaned for terminals. */

/* Its first session came (text: from where) or its last one went (text: why). */
void node_trail_tunnel(struct node_trail *t, const char *node, bool connected, const char *text,
                       int64_t now_unix_s);
/* The lease is stale since then (unix_s 0: it is renewed again). */
void node_trail_lease(struct node_trail *t, const char *node, int64_t stale_since_unix_s,
                      int64_t now_unix_s);
/* Somebody wanted something of the kubelet port. CAUSE_NONE: it answered. */
void node_trail_kubelet(struct node_trail *t, const char *node, enum cause c, const char *text,
                        int64_t now_unix_s);
struct trail_object {
    uint16_t kubelet_port;
    const char *not_ready; /* NULL or "": Ready is True */
    bool is_news;          /* false: it is of the first list, nothing happened now */
};
/* The Node object as it is; o NULL: it was deleted. */
void node_trail_object(struct node_trail *t, const char *node, const struct trail_object *o,
                       int64_t now_unix_s);
/* The node itself was refused: it proved who it is, but is out of date. */
void node_trail_refused(struct node_trail *t, const char *node, enum cause c, const char *text,
                        int64_t now_unix_s);
/* Somebody who says he is the node was refused. node may be any name. has_token: he proved to know
 * a token of this cluster. */
void node_trail_claim(struct node_trail *t, const char *node, enum cause c, const char *text,
                      bool has_token, int64_t now_unix_s);
/* The node's agent tells of itself. */
void node_trail_report(struct node_trail *t, const char *node, const struct node_report *r,
                       int64_t now_unix_s);

/* NULL: nothing is known. Borrowed until the next change. */
const struct node_facts *node_trail_facts(const struct node_trail *t, const char *node);
/* The last n_max transitions (at most TRAIL_MERGED_MAX), oldest first; returns how many. */
size_t node_trail_events(const struct node_trail *t, const char *node, struct trail_event *out,
                         size_t n_max);
/* Every name that something is known of, in no order:
 * for (size_t i = 0; node_trail_next(t, &i, &name);) */
bool node_trail_next(const struct node_trail *t, size_t *i, const char **name);
size_t node_trail_n_nodes(const struct node_trail *t); /* without names that are only claimed */
