#pragma once
/*
 * Node verdict: from what is known of a node, the one line that says why it cannot be reached, or
 * that it can (docs/protocols/node-why.md). Pure.
 *
 * The reason ("session: its tunnel ended at ...") is what 502 bodies, Ready conditions and
 * `node why` have in common, so it holds no ages, only times, and nothing that a stranger can
 * change. The line of `node why` adds what else is worth knowing.
 */
#include "base/kube/cause.h"

#include <stdbool.h>
#include <stdint.h>

#define NODE_REASON_BYTES 400
#define NODE_LINE_BYTES   2400
#define NODE_CLOCK_OFF_S  10 /* less may be the way of the report: an agent gives it 10 s */

struct node_refusal {  /* somebody who is, or says he is, the node was sent away */
    enum cause cause;  /* NONE: nobody was */
    int64_t at_unix_s; /* the last time */
    uint32_t n_times;
    const char *text;
};

/* Texts are borrowed, "" or NULL when there is none. Times by this server's clock, 0: never. */
struct node_facts {
    /* the Node object */
    bool has_object;
    int64_t deleted_unix_s;
    const char *not_ready; /* the message of a Ready condition that is not True */
    uint16_t kubelet_port;
    /* its tunnel to this server */
    bool connected;
    int64_t tunnel_unix_s;   /* when it came or went last */
    const char *tunnel_text; /* from where it came; why it ended */
    /* its lease */
    bool lease_stale;
    int64_t lease_unix_s; /* not renewed since */
    /* its kubelet port, the last time that somebody wanted something there */
    enum cause kubelet; /* NONE: it answered, or nobody asked */
    int64_t kubelet_unix_s;
    const char *kubelet_text;
    /* who was refused */
    struct node_refusal refused;    /* proved to be the node */
    struct node_refusal with_token; /* proved to know a token, not to be the node */
    struct node_refusal claimed;    /* proved nothing */
    /* what its agent told when it was back */
    bool clock_known;
    int64_t clock_ahead_s; /* negative: behind */
    enum cause away;       /* why it was away the last time; NONE: not told */
    int64_t away_from_unix_s, away_until_unix_s;
    const char *away_text;
};

struct node_setting {
    bool needs_tunnel;      /* false: this server's own node, or --egress-selector-mode=disabled */
    int64_t started_unix_s; /* nothing from before is known */
};

struct node_verdict {
    bool known; /* false: neither a Node object nor anybody of that name */
    bool reachable;
    enum cause cause;               /* NONE when reachable or not known */
    char reason[NODE_REASON_BYTES]; /* "CAUSE: text"; "reachable"; why nothing is known */
    char line[NODE_LINE_BYTES];     /* "NODE: [not reachable: ]reason; more" */
};

/* f NULL: nothing at all is known. */
void node_verdict(struct node_verdict *out, const char *node, const struct node_facts *f,
                  const struct node_setting *s);

/* "45 s", "3 h 12 min", "2 d 3 h" */
#define NODE_DURATION_BYTES 32
char *node_duration_text(char out[NODE_DURATION_BYTES], int64_t s);
