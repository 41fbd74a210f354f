#pragma once
/*
 * Pod warnings: what a client should know of a pod, or of the template of one, that is accepted
 * nevertheless (pkg/api/pod/warnings.go and the strategies of kubernetes, 1.32): one Warning header
 * each, in upstream's words. Any thread.
 */
#include "server/schema/decode.h"

/* k: any kind. old: what obj replaces, or NULL; pods are looked at when they are made, templates
 * when they change too. */
void pod_warnings(const struct schema_kind *k, const json_t *obj, const json_t *old,
                  struct decode_notes *notes);
