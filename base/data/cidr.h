#pragma once
/*
 * CIDR: a block of addresses, "10.42.0.0/16" or "fd00:42::/56", or one address, which is the block
 * of all its bits. Plain values; any thread.
 */
#include "base/core/str.h"

#include <netinet/in.h>

#define CIDR_TEXT_BYTES (INET6_ADDRSTRLEN + 4) /* with "/128" and the end */

struct cidr {
    int family;           /* AF_INET or AF_INET6 */
    unsigned char ip[16]; /* network order; the bits behind the prefix are zero */
    unsigned prefix_bits;
};

/* false: text is none, and *out is untouched. Host bits in the text are allowed and dropped. */
bool cidr_parse(struct cidr *out, struct str text);
/* The same for an address without a prefix: its prefix is 32 or 128 bits. "::ffff:10.42.0.5" is the
 * IPv4 address, in blocks too. */
bool cidr_parse_address(struct cidr *out, struct str text);

unsigned cidr_family_bits(int family); /* 32 or 128 */
/* inner lies in outer, or is the same. Never so for two families. */
bool cidr_has(const struct cidr *outer, const struct cidr *inner);

/* The n-th address of the block as text, 0 being the network's own; n is not checked against the
 * size of the block. out holds INET6_ADDRSTRLEN bytes. */
void cidr_nth(char *out, const struct cidr *c, unsigned n);
