#pragma once
/*
 * Node companion: the objects that live and die with their Node: its password
 * (Secret kube-system/<node>.node-password.k3s, registration.md "Node password") and its heartbeat
 * (Lease kube-node-lease/<node>). The rule of what to do with one, pure.
 */
#include <stdbool.h>
#include <stdint.h>

/* A password is there before its Node is: only after so long without one it is an orphan. */
#define COMPANION_ORPHAN_MS 600000

struct companion_facts {
    bool has_node;
    bool owned;         /* an ownerReference names the Node that is there now */
    bool wants_owner;   /* the reference is ours to set */
    bool doomed;        /* the Node it belonged to was deleted */
    uint64_t orphan_ms; /* for so long no Node has been seen */
};
enum companion_verdict { COMPANION_KEEP, COMPANION_OWN, COMPANION_DELETE, COMPANION_WAIT };
enum companion_verdict companion_judge(const struct companion_facts *f);
