#pragma once
/*
 * Proto body: a request body in the Kubernetes protobuf encoding, as JSON. kubectl's typed
 * commands, kubelets and client-go controllers send these; answers are JSON, which all of them
 * accept.
 *
 * The body is "k8s\0" and a runtime.Unknown (apimachinery/pkg/runtime/serializer/protobuf); the
 * field numbers come from the schema. Unknown fields are skipped, as protobuf wants it. Sans-I/O,
 * bounded, any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"
#include "server/schema/schema.h"

#include <jansson.h>

#define PROTO_DEPTH_MAX 100
#define PROTO_NODES_MAX                                                                            \
    500000 /* JSON values made of one body: they need more memory than bytes                       \
            */

/* t: the type that the body must hold. apiVersion and kind are set from the envelope. ERR_INVALID,
 * ERR_LIMIT. */
MUST_USE int proto_body_parse(json_t **out, const struct schema_type *t, struct str body,
                              struct err *e);
