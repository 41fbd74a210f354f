#pragma once
/*
 * IP range: which addresses of one service CIDR are held, IPv4 or IPv6
 * (pkg/registry/core/service/ipallocator Range, release 1.32): without the network's own address,
 * and of IPv4 without the last one. Errors are in upstream's words. Loop thread only.
 */
#include "base/core/err.h"

#include <netinet/in.h>

struct ip_range;
struct slots;

/* Bits of addresses that may differ: kube-apiserver's limits of --service-cluster-ip-range
 * (cmd/kube-apiserver/app/options, maxCIDRBits; ServiceIPRange: at least 8 addresses). */
enum { IP_RANGE_BITS_MIN = 3, IP_RANGE_BITS_MAX = 20, IP_RANGE_V6_N_MAX = 65535 };

/* keep_first: the first address is given only when it is asked for. ERR_INVALID. */
MUST_USE int ip_range_new(struct ip_range **out, const char *cidr, bool keep_first, struct err *e);
void ip_range_free(struct ip_range *r);

int ip_range_family(const struct ip_range *r); /* AF_INET or AF_INET6 */
/* Its places, to hold, give and count; a text that is no address of ours is place SIZE_MAX, which
 * is none. However an address is written, its place is the same. */
struct slots *ip_range_slots(struct ip_range *r);
size_t ip_range_place(const struct ip_range *r, const char *ip);

/* ERR_EXISTS, ERR_INVALID (outside of the range). */
MUST_USE int ip_range_take(struct ip_range *r, const char *ip, struct err *e);
/* Any free one. ERR_LIMIT: none is left. */
MUST_USE int ip_range_take_any(struct ip_range *r, char out[INET6_ADDRSTRLEN], struct err *e);
