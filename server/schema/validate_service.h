#pragma once
/*
 * Validate service: hooks of Services and Endpoints (ValidateService, ValidateServiceUpdate,
 * ValidateLoadBalancerStatus, validateEndpointSubsets of pkg/apis/core/validation, release 1.32).
 * For validate_hooks.c, and for what allocates addresses. Any thread.
 */
#include "server/schema/field_error.h"

void validate_service(const json_t *v, const struct field_path *p, struct field_errors *fe);
void validate_service_update(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_service_status(const json_t *v, const json_t *old, struct field_errors *fe);
void validate_endpoint_subset(const json_t *v, const struct field_path *p, struct field_errors *fe);

/* clusterIPs, ipFamilies and ipFamilyPolicy of a Service's spec agree: also asked before addresses
 * are given (ValidateServiceClusterIPsRelatedFields). */
void validate_service_ips(const json_t *spec, struct field_errors *fe);
