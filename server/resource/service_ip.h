#pragma once
/*
 * Service IPs: what services hold, in memory, rebuilt from the stored services at start: addresses
 * of the service CIDR and node ports (30000-32767). IPv4 now. The CIDR's first address is the
 * kubernetes Service's and is given only when it is asked for. Loop thread only.
 */
#include "base/core/err.h"

#include <jansson.h>

struct service_ips;
#define SERVICE_IPS_MAX (1u << 16) /* of a larger CIDR the first /16 is used */

/* ERR_INVALID: no IPv4 CIDR of /8 to /30. */
MUST_USE int service_ips_new(struct service_ips **out, const char *cidr, struct err *e);
void service_ips_free(struct service_ips *s);

/* What a stored Service holds; and what obj holds and kept (may be NULL) does not is free again. */
void service_ips_hold(struct service_ips *s, const json_t *service);
void service_ips_release(struct service_ips *s, const json_t *service, const json_t *kept);

/* ip lies in the CIDR: takes it. ERR_EXISTS, ERR_INVALID (in upstream's words). */
MUST_USE int service_ips_take(struct service_ips *s, const char *ip, struct err *e);
/* Any free one, from a random place on. ERR_LIMIT: none is left. */
MUST_USE int service_ips_take_any(struct service_ips *s, char out[16], struct err *e);
MUST_USE int service_ips_take_port(struct service_ips *s, int64_t port, struct err *e);
MUST_USE int service_ips_take_any_port(struct service_ips *s, int64_t *out, struct err *e);
