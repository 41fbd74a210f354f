#pragma once
/*
 * Service family: the addresses and address families of a Service's spec that go together:
 * clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy (pkg/registry/core/service/storage
 * normalizeClusterIPs and initIPFamilyFields, release 1.32) on a cluster whose services have IPv4
 * addresses. Loop thread only.
 */
#include "server/schema/field_error.h"

/* clusterIPs follow clusterIP where the client wrote only one of them. old NULL: a create. */
void service_family_normalize(json_t *spec, const json_t *old);
/* Sets the policy and families that the client left out. What is wrong goes to fe. */
void service_family_init(json_t *spec, const json_t *old, struct field_errors *fe);
