#pragma once
/*
 * Resource: what a kind does beyond its schema (tables, defaults, validation): the parts that need
 * memory or a policy. One struct of hooks per kind, one file each (server/resource/<kind>.c), found
 * by group and plural; NULL hooks mean "as every kind".
 *
 * Hooks run on the loop thread, between decoding/defaulting and the store, on documents they may
 * change (prepare_*) or only read (validate*). Problems of a field go to the list (422); an error
 * return is for everything else.
 */
#include "base/core/err.h"
#include "server/schema/decode.h"
#include "server/schema/field_error.h"
#include "server/schema/schema.h"

#include <jansson.h>

struct service_claims;
struct service_ips;

/* The memory that hooks share, one per API server. */
struct resource_env {
    struct service_ips *service_ips; /* server/resource/service_ip.h */
};

struct resource_hooks {
    const char *group, *plural; /* "", "pods" */
    bool keeps_status;          /* a create may carry a status (nodes) */
    bool returns_deleted;       /* DELETE answers the object, not a Status */
    bool needs_version;         /* an update must name its resourceVersion */

    /* After decoding and defaults, before validation. old is the stored object. */
    int (*prepare_create)(struct resource_env *env, json_t *obj, struct err *e);
    int (*prepare_update)(struct resource_env *env, json_t *obj, const json_t *old, struct err *e);
    int (*prepare_status)(struct resource_env *env, json_t *obj, const json_t *old, struct err *e);
    /* After prepare_*: takes what the object asks for (addresses, ports), all of it or nothing.
     * old: as above, NULL for a create. taken: of what it took, in the kind's shape, for undo; the
     * caller's, untouched for nothing. What is wrong goes to fe; an error: something ran out. */
    int (*allocate)(struct resource_env *env, json_t *obj, const json_t *old, json_t **taken,
                    struct field_errors *fe, struct err *e);
    /* Does a change that leaves the spec alone count as one (metadata.generation)? NULL: no. */
    bool (*counts)(const json_t *obj, const json_t *old);
    /* Rules beyond the schema's. */
    void (*validate)(struct resource_env *env, const json_t *obj, struct field_errors *fe);
    void (*validate_update)(struct resource_env *env, const json_t *obj, const json_t *old,
                            struct field_errors *fe);
    /* What allocate took is given back: nothing was stored. */
    void (*undo)(struct resource_env *env, const json_t *taken);
    /* The change is durable. obj NULL: deleted; old NULL: created. */
    void (*after_commit)(struct resource_env *env, const json_t *obj, const json_t *old);

    /* Keys that the commit of obj in place of old (either may be NULL) creates and deletes beside
     * it, where several servers share the datastore. ERR_LIMIT: too many. */
    int (*claims)(struct service_claims *out, const json_t *obj, const json_t *old, struct err *e);

    /* Grace of a DELETE in seconds; asked_s is -1 when the client named none. 0: remove at once.
     * NULL: 0. */
    int64_t (*grace_s)(const json_t *obj, int64_t asked_s);
    /* A DELETE may be refused: the text is the message, ERR_DENIED is 403, ERR_CONFLICT 409. */
    int (*check_delete)(const json_t *obj, struct err *e);
    /* Changes a document that begins to be deleted (Terminating); the object stays then, even
     * without finalizers, until its controller finishes it. True: it stays. */
    bool (*begin_delete)(json_t *obj);
    /* May the object go now, deletionTimestamp set and metadata.finalizers empty? NULL: yes. */
    bool (*is_finished)(const json_t *obj);
};

/* Never NULL: kinds without a file have all-default hooks. */
const struct resource_hooks *resource_hooks_find(const struct schema_kind *k);

/* Is it under this kind's own group, plural and version that its objects are stored? Of the kinds
 * that share objects one is; who walks over all objects takes that one. */
bool resource_is_home(const struct schema_kind *k);

/* "/registry/<group>/<plural>/[<ns>/]<name>"; the core group is "core". Heap, yours. */
char *resource_key(const struct schema_kind *k, const char *ns, const char *name);
/* ".../<ns>/", or all namespaces for ns "". */
char *resource_prefix(const struct schema_kind *k, const char *ns);
