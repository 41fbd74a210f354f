#pragma once
/*
 * Managed: who owns which fields of an object, kept in metadata.managedFields as upstream keeps it
 * (apimachinery/pkg/util/managedfields, structured-merge-diff/v4/merge/update.go).
 *
 * An entry is a manager with an operation: Update for what create, update and patch changed, Apply
 * for the whole configuration that was applied. Who changes a field owns it alone; who applies the
 * value that is there owns it too. An object that has no entries is not tracked until something is
 * applied to it; those of ephemeral kinds (leases) begin so, which is ours alone. Names, versions and other fields that the server keeps are owned by nobody, nor
 * are those that an endpoint resets (the status on the object itself, the spec on its status).
 * Any thread.
 */
#include "server/schema/schema.h"

#define MANAGED_UPDATES_MAX 10  /* entries of updates; older ones become "ancient-changes" */
#define MANAGED_NAME_MAX    128 /* bytes of a manager's name */

struct managed_by {
    const char *manager;     /* "": "unknown" */
    const char *subresource; /* "" for the object itself */
    const char *now;         /* RFC 3339 in whole seconds */
};

/* The name for a client that gave none: its User-Agent up to the first '/', what is printable of
 * it, at most MANAGED_NAME_MAX bytes. */
void managed_name(char out[MANAGED_NAME_MAX + 1], struct str user_agent);

/* obj is decoded and has its defaults; what the client sent as its managedFields counts as upstream
 * lets it count, and what is to be stored replaces it. live NULL: a create. */
void managed_update(const struct schema_kind *k, const struct managed_by *by, const json_t *live,
                    json_t *obj);

/* Lays config over live (NULL: there is none). NULL: *out is the new object with its managedFields,
 * not decoded yet. Else a new Status: 400 for a config of another kind or with managedFields, 409
 * with a cause for each field that another manager owns and config changes (unless force), 500 for
 * one that does not fit the schema. */
MUST_USE json_t *managed_apply(json_t **out, const struct schema_kind *k,
                               const struct managed_by *by, bool force, const json_t *live,
                               const json_t *config);

/* Entries that differ from live's in their times only keep live's, when all the rest of obj is
 * live's too: then nothing has to be written. */
void managed_settle(json_t *obj, const json_t *live);
