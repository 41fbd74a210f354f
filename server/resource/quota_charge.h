#pragma once
/*
 * Quota charge: what a write takes from a ResourceQuota, and whether that may be
 * (staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go of kubernetes,
 * 1.32). What counts are the bounds of status.hard, which the controller has counted; of names that
 * only spec.hard has nothing is refused yet. Pure functions over documents. Any thread.
 *
 * obj is the object that is written, old what it replaces (NULL: it is new); resource is as of
 * quota_counts.
 */
#include "base/core/err.h"
#include "server/resource/quota.h"

/* Does a write of that resource (an update, or a create) ever take from a quota? */
bool quota_is_charged(const char *resource, bool update);

/* Why obj may not be made under this quota, whatever is left of it; yours. NULL: it may. */
char *quota_demand(const json_t *quota, const char *resource, const json_t *obj);

/* False: it is too much, *why says so in upstream's words and is yours.
 * True: *out is the quota after it, new, with a higher status.used; the same as before when it is
 * not counted yet, so that who counts sees that something happened. NULL: nothing is taken. */
MUST_USE bool quota_charge(json_t **out, char **why, const json_t *quota, const char *resource,
                           const json_t *obj, const json_t *old, int64_t now_s);
