#pragma once
/*
 * Flow defaults: the FlowSchemas and PriorityLevelConfigurations that every cluster has
 * (staging/src/k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap/default.go of kubernetes, 1.32), and
 * when one that somebody has edited is made right again (pkg/registry/flowcontrol/ensurer). Pure
 * functions over documents.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FLOW_AUTOUPDATE "apf.kubernetes.io/autoupdate-spec"

/* The i-th name; NULL: there are no more. Mandatory ones are edited back whatever is said. */
const char *flow_level_name(size_t i);
const char *flow_schema_name(size_t i);

/* The whole object, new, with all defaults; NULL: it is none of ours. */
json_t *flow_level_default(const char *name, bool *mandatory);
json_t *flow_schema_default(const char *name, bool *mandatory);

/* current as it should be, new; NULL: it is. A suggested one keeps its spec when the annotation is
 * "false", or is missing and the spec was changed since it was made. */
json_t *flow_repaired(const json_t *current, const json_t *wanted, bool mandatory);

/* The condition that says whether the level of a schema is there; new. NULL: schema has it. */
json_t *flow_dangling(const json_t *schema, bool level_is_there, const char *now);
