#pragma once
/*
 * Peers: which servers of the cluster live. Each one renews a Lease of its own in kube-system every
 * RENEW_MS; one that was not seen to change for DEAD_MS, by our own clock, is dead, as with
 * kube-apiserver's lease reconciler (pkg/controlplane/reconcilers/lease.go, 15 s). A server that
 * stops in order takes its Lease away; that of one which stays dead for FORGET_MS is taken away by
 * the others.
 *
 * Loop thread only.
 */
#include "base/core/err.h"

#include <uv.h>

#define PEERS_RENEW_MS  5000
#define PEERS_DEAD_MS   15000
#define PEERS_FORGET_MS (10 * 60 * 1000)

struct api;
struct peers;

struct peers_config { /* texts are copied */
    uv_loop_t *loop;
    struct api *api;
    const char *own_ip;           /* what the kubernetes endpoints say of this server */
    void (*on_change)(void *arg); /* the set changed; from the loop */
    void *arg;
    uint64_t forget_ms; /* 0: PEERS_FORGET_MS */
};

void peers_start(struct peers **out, const struct peers_config *c);
/* The addresses of those that live, our own first; borrowed until the next turn. Returns how many.
 */
size_t peers_live(const struct peers *p, const char **ips, size_t max);
void peers_close(struct peers *p, void (*done)(void *arg), void *arg);
