#pragma once
/*
 * Pod amounts: what a pod as a whole asks for or is bounded to: the sum over its containers, or
 * what an init container needs, whichever is more (k8s.io/component-helpers resource,
 * AggregateContainerRequests, without overhead). Any thread.
 */
#include <jansson.h>

/* key: "requests" or "limits". A new object of quantities. */
json_t *pod_amounts(const json_t *spec, const char *key);
