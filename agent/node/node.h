#pragma once
/*
 * Node: this machine's Node and Lease in the cluster: registers it, renews the Lease every ten
 * seconds, writes the status when it changes and at least every five minutes, as kubelet does.
 *
 *   START --> CREATE --> METADATA (it was there) --> STATUS --> RUNNING <--> (lease, status)
 *      ^---------+-----------+-------------------------+  backoff          |
 *                                                       GONE <-------------+ the Node was deleted
 *
 * A Node that somebody deletes stays deleted until the agent starts again, as with kubelet: the
 * operator's word counts. Loop thread only.
 */
#include "agent/node/node_object.h"
#include "base/kube/client.h"

struct node;

enum node_state { NODE_REGISTERING, NODE_RUNNING, NODE_GONE };

struct node_config {
    uv_loop_t *loop;
    struct kube_client *client; /* kubelet's identity; borrowed */
    const struct node_object
        *object;             /* borrowed; the owner may change runtime_* and call node_touch */
    struct machine *machine; /* the one in object; refreshed here */
    const char *data_dir;
    void (*on_state)(void *arg,
                     enum node_state st); /* NODE_RUNNING: registered and status written */
    /* The Date of an answer to a renewed lease. May be NULL. */
    void (*on_server_time)(void *arg, int64_t unix_s);
    /* A call failed, with node_last_error's text, or succeeds again: "". May be NULL. */
    void (*on_error)(void *arg, const char *text);
    void *arg;
    uint64_t lease_interval_ms;  /* 0: 10 s */
    uint64_t status_interval_ms; /* 0: 5 min */
    uint64_t given_up_ms; /* after so long without a Lease the cluster may say NotReady; 0: 35 s */
};

/* Starts at once. ERR_INVALID: a label or taint of the options is none. */
MUST_USE int node_start(struct node **out, const struct node_config *c, struct err *e);
/* Something in the object changed: write the status now. */
void node_touch(struct node *n);
/* The Node as the cluster has it now (a watch): where its Ready condition is not what we say,
 * because the server gave us up while we were cut off, the status is written again at once. */
void node_seen(struct node *n, const json_t *object);
/* A server is in reach again (a tunnel came up): a lease that could not be renewed is tried now. */
void node_hurry(struct node *n);
enum node_state node_state(const struct node *n);
/* The last failure ("" after a success) and when the lease was last renewed (Unix s, 0: never). */
const char *node_last_error(const struct node *n);
int64_t node_lease_renewed_unix_s(const struct node *n);
void node_close(struct node *n, void (*done)(void *arg), void *arg);
