#pragma once
/*
 * Validate: the rules of an object that is decoded and has its defaults. Structural rules come from
 * the tables (required, allowed values, formats, keys of lists, immutable fields); metadata has its
 * own (validate_meta.h); what else a kind demands is a hook in validate_<noun>.c, registered in
 * validate_hooks.c. Errors are added to fe, in upstream's words. Any thread.
 */
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

void validate_create(const struct schema_kind *k, const json_t *obj, struct field_errors *fe);
/* old is the stored object. metadata's own immutables (name, namespace, uid, creationTimestamp) are
 * compared too; an object that is being deleted gets no new finalizers. */
void validate_update(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe);
/* The status subresource: metadata, and the structural rules below status. */
void validate_status(const struct schema_kind *k, const json_t *obj, const json_t *old,
                     struct field_errors *fe);
/* The subresource ephemeralcontainers: the object, and that those which are there stay. */
void validate_ephemeral(const struct schema_kind *k, const json_t *obj, const json_t *old,
                        struct field_errors *fe);
/* The approval subresource of a CertificateSigningRequest. */
void validate_approval(const struct schema_kind *k, const json_t *obj, const json_t *old,
                       struct field_errors *fe);
/* What upstream answers for a bad name in a URL or generateName. True: fine. */
bool validate_name(const struct schema_kind *k, const char *name, bool is_prefix,
                   struct field_errors *fe);
