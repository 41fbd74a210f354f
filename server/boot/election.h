#pragma once
/*
 * Election: which server of the cluster runs the loops that must run once: the one that holds the
 * Lease kube-system/coracle-controllers. Times and rules are client-go's (tools/leaderelection,
 * 1.32): the holder renews every RETRY; who has not managed to for RENEW steps down by itself, and
 * others may take over when they have not seen a change for DURATION by their own clock, so clocks
 * need not agree.
 *
 * A holder's name is "<node>_<server id>_<start>". Whoever finds at its first look that an earlier
 * start of itself holds the Lease takes it at once: that process is dead, for it had this server's
 * folder. Only then: of two servers with one id (a copied folder) the second stops the first once,
 * and they do not take it from each other in turns.
 *
 *   FOLLOWER --(taken, or it was ours)--> LEADER --(10 s without a renewal, or another holds it)-->
 *      ^----------------------------------------------------------------------- on_lost
 * -----------+
 *
 * Loop thread only.
 */
#include "base/core/err.h"

#include <uv.h>

#define ELECTION_DURATION_MS 15000
#define ELECTION_RENEW_MS    10000
#define ELECTION_RETRY_MS    2000

struct api;
struct election;

struct election_config { /* borrowed texts are copied */
    uv_loop_t *loop;
    struct api *api;
    const char *node; /* part of our identity, for people */
    const char *id;   /* this server's, the same after a restart (server/boot/server_id.h); NULL: a
                       * new one each time */
    void (*on_elected)(void *arg);
    void (*on_lost)(void *arg); /* at once, in the turn in which it is known */
    void *arg;
};

void election_start(struct election **out, const struct election_config *c);
bool election_is_leader(const struct election *el);
/* No callback comes any more. Gives the lease up if it is held, so that another need not wait. */
void election_close(struct election *el, void (*done)(void *arg), void *arg);

/* ---- the decision, without I/O ---- */
enum election_step {
    ELECTION_WAIT,   /* another holds it */
    ELECTION_CREATE, /* there is no lease */
    ELECTION_TAKE,   /* it is free, its holder is silent, or it was us before this start */
    ELECTION_RENEW,  /* it is ours */
};
/* holder NULL: there is no lease. unchanged_ms: since it was last seen to change. before: how the
 * names of our earlier starts begin; NULL: they are nobody to us. */
enum election_step election_decide(const char *me, const char *before, const char *holder,
                                   uint64_t unchanged_ms);
