#pragma once
/*
 * Subnets: which parts of a cluster CIDR are taken: /24 of an IPv4 one, /64 of an IPv6 one (K3s's
 * node-cidr-mask-size). Plain memory, rebuilt from what the Nodes say. Loop thread only.
 */
#include "base/core/err.h"

struct subnets;
#define SUBNETS_MAX       65536u /* of a larger CIDR the first so many are used */
#define SUBNET_TEXT_BYTES 64

/* ERR_INVALID: no CIDR, or one that is smaller than a node's part. */
MUST_USE int subnets_new(struct subnets **out, const char *cidr, struct err *e);
void subnets_free(struct subnets *s);

/* One more holder of that text; false, and nothing happens, when it is none of ours (a CIDR of
 * another cluster, or of another size). */
bool subnets_hold(struct subnets *s, const char *text);
void subnets_release(struct subnets *s, const char *text);
/* The next free one behind the one given last, held. ERR_LIMIT: none is left. */
MUST_USE int subnets_take(struct subnets *s, char out[SUBNET_TEXT_BYTES], struct err *e);

DEFINE_AUTO(subnets);
