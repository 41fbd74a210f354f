#pragma once
/*
 * Service family: the addresses and address families of a Service's spec that go together:
 * clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy (pkg/registry/core/service/storage
 * normalizeClusterIPs and initIPFamilyFields, release 1.32). Documents in and out; loop thread
 * only.
 */
#include "server/schema/field_error.h"

#define SERVICE_FAMILIES_MAX 2

struct service_families {                    /* of the cluster's services */
    const char *names[SERVICE_FAMILIES_MAX]; /* "IPv4", "IPv6"; the first is the default; static */
    size_t n;
};

/* clusterIPs follow clusterIP where the client wrote only one of them. old NULL: a create. */
void service_family_normalize(json_t *spec, const json_t *old);

/*
 * An update that leaves a PreferDualStack Service as it is changes nothing of its addresses, even
 * when the cluster has got or lost a family since (isMatchingPreferDualStackClusterIPFields).
 * Asked before service_family_init, which sets what it compares.
 */
bool service_family_is_settled(const json_t *spec, const json_t *old);
/* Sets the policy and families that the client left out. What is wrong goes to fe. */
void service_family_init(json_t *spec, const json_t *old, const struct service_families *f,
                         struct field_errors *fe);
