#pragma once
/*
 * Metadata: the parts of ObjectMeta that a server or client touches on a json_t object.
 *
 * Getters borrow and answer "" (or 0) when a field is absent or of another type. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

json_t *meta_of(json_t *obj); /* obj.metadata, made when absent or no object; borrowed */
const char *meta_str(const json_t *obj, const char *key); /* metadata.<key> */
static inline const char *meta_name(const json_t *obj)
{
    return meta_str(obj, "name");
}
static inline const char *meta_namespace(const json_t *obj)
{
    return meta_str(obj, "namespace");
}
static inline const char *meta_uid(const json_t *obj)
{
    return meta_str(obj, "uid");
}
int64_t meta_generation(const json_t *obj);
/* metadata.resourceVersion as a number: 0 when absent; ERR_INVALID when it is no number. */
MUST_USE int meta_resource_version(const json_t *obj, int64_t *out, struct err *e);
const char *meta_label(const json_t *obj, const char *key);
const char *meta_annotation(const json_t *obj, const char *key);
bool meta_is_deleting(const json_t *obj); /* has a deletionTimestamp */
bool meta_has_finalizers(const json_t *obj);

void meta_set_str(json_t *obj, const char *key, const char *value); /* NULL removes */
void meta_set_int(json_t *obj, const char *key, int64_t value);
void meta_set_resource_version(json_t *obj, int64_t rev);

/* generateName: base (cut to 58 bytes) plus five of upstream's 27 safe characters. */
void meta_generate_name(char out[64], const char *base);
/* For a new object: uid, creationTimestamp; drops what a client may not choose (uid,
 * creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, selfLink, resourceVersion). */
void meta_init_new(json_t *obj, int64_t now_unix_s);
/* For an update: those fields come from old; resourceVersion is dropped. */
void meta_carry_over(json_t *obj, const json_t *old);
