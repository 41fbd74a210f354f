#pragma once
/*
 * Defaults hooks: defaults that depend on other values, by the type they are in, so that a pod's
 * hooks work in every template too. Values are those of upstream's pkg/apis/<group>/v1/defaults.go,
 * release 1.32. For defaults.c only.
 */
#include "server/schema/schema.h"

/* v is an object of the type; table defaults are set already, its children's are not. */
typedef void (*defaults_hook_fn)(json_t *v);
defaults_hook_fn defaults_hook(const struct schema_type *t); /* NULL: none */

/* "Guaranteed", "Burstable" or "BestEffort", from requests and limits. */
const char *defaults_pod_qos(const json_t *spec);
