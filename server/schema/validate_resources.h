#pragma once
/*
 * Validate resources: names and amounts of what containers, quotas and nodes count
 * (pkg/apis/core/helper/helpers.go and validateResourceRequirements, release 1.32). For
 * validate*.c. Any thread.
 */
#include "base/core/map.h"
#include "server/schema/field_error.h"

bool resource_is_native(const char *name);   /* without a domain, or of kubernetes.io */
bool resource_is_extended(const char *name); /* "example.com/gpu" */
bool resource_is_hugepages(const char *name);
bool resource_is_integer(const char *name); /* counted in whole units */
/* Limits may be above requests. */
bool resource_may_overcommit(const char *name);
bool resource_is_standard_quota(const char *name);

void check_resource_name(struct field_errors *fe, const struct field_path *p, const char *name);
void check_container_resource_name(struct field_errors *fe, const struct field_path *p,
                                   const char *name);
void check_quota_resource_name(struct field_errors *fe, const struct field_path *p,
                               const char *name);
/* Not negative; whole where the resource is counted. */
void check_resource_amount(struct field_errors *fe, const struct field_path *p, const char *name,
                           const char *amount);
/* A ResourceRequirements. claims: names of the pod's resourceClaims; NULL for none. */
void check_resource_requirements(struct field_errors *fe, const struct field_path *p,
                                 const json_t *v, const json_t *pod_claims);
/* The limits and requests of a pod as a whole. */
void check_pod_resources(struct field_errors *fe, const struct field_path *p, const json_t *v);
