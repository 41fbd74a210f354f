#pragma once
/*
 * Service IPs: what services hold, in memory, rebuilt from the stored services at start: addresses
 * of one service CIDR or of two, one of each family, and node ports, those of health checks among
 * them. The first CIDR's family is the primary one; its first address is the kubernetes Service's
 * and is given only when it is asked for.
 * Errors are in upstream's words (pkg/registry/core/service/{ipallocator,portallocator},
 * release 1.32). Loop thread only.
 */
#include "base/core/err.h"
#include "server/resource/service_family.h"

#include <jansson.h>
#include <netinet/in.h>

struct service_ips;

struct service_ips_config {
    const char *cidrs[SERVICE_FAMILIES_MAX]; /* [1] NULL: one family */
    const char *ports;                       /* NULL: "30000-32767" */
};

/* ERR_INVALID: no CIDRs that ip_range.h takes, two of one family, no range of ports. */
MUST_USE int service_ips_new(struct service_ips **out, const struct service_ips_config *c,
                             struct err *e);
void service_ips_free(struct service_ips *s);
struct service_families service_ips_families(const struct service_ips *s);

/* What a stored Service holds; and what obj holds and kept (may be NULL) does not is free again. */
void service_ips_hold(struct service_ips *s, const json_t *service);
void service_ips_release(struct service_ips *s, const json_t *service, const json_t *kept);

/* ip lies in the CIDR of its family: takes it. ERR_EXISTS, ERR_INVALID. */
MUST_USE int service_ips_take(struct service_ips *s, const char *ip, struct err *e);
/* Any free one of that family ("IPv6"), from a random place on; the lower part, where people choose
 * theirs, comes last. ERR_LIMIT: none is left. ERR_INVALID: the family is not configured. */
MUST_USE int service_ips_take_any(struct service_ips *s, const char *family,
                                  char out[INET6_ADDRSTRLEN], struct err *e);
MUST_USE int service_ips_take_port(struct service_ips *s, int64_t port, struct err *e);
MUST_USE int service_ips_take_any_port(struct service_ips *s, int64_t *out, struct err *e);
void service_ips_give(struct service_ips *s, const char *ip); /* others are ignored */
void service_ips_give_port(struct service_ips *s, int64_t port);

/*
 * A recount against the store finds what was lost: an answer that never came, a crash of another
 * server. begin; see every stored Service, which also holds what it names; end. What no Service had
 * at two ends in a row is free again: in between, a write has come to its end. Returns how many.
 */
void service_ips_recount_begin(struct service_ips *s);
void service_ips_recount_see(struct service_ips *s, const json_t *service);
size_t service_ips_recount_end(struct service_ips *s);
