#pragma once
/*
 * Resource: what a kind does beyond its schema table. One struct of hooks per kind, one file each
 * (server/resource/<kind>.c), found by group and resource; NULL hooks mean "as every kind".
 *
 * Hooks run on the loop thread, between decoding/defaulting and the store, on documents they may
 * change (prepare_*) or only read (validate*). Problems are causes for the 422 (status_cause_add);
 * an error return is for everything that is no fault of one field.
 */
#include "base/core/err.h"

#include <jansson.h>

struct service_ips;

/* The memory that hooks share, one per API server. */
struct resource_env {
    struct service_ips *service_ips; /* server/resource/service_ip.h */
};

struct resource_hooks {
    const char *group, *resource; /* "", "pods" */
    bool ephemeral;               /* the store may checkpoint it late (leases) */
    bool no_generation;           /* metadata.generation is not kept (kinds without a spec) */
    bool names_are_paths;         /* names are path segments, not DNS subdomains (RBAC) */
    bool names_are_labels;        /* names are DNS labels (services, namespaces) */
    bool has_status;              /* /status: writes to it keep spec and metadata, others status */
    bool delete_is_graceful;      /* see grace_s */
    bool allow_unconditional;     /* update without resourceVersion is fine */
    bool create_on_update;        /* PUT to an absent name creates */

    /* Before validation. For updates old is the stored object; status was kept or reset already. */
    int (*prepare_create)(struct resource_env *env, json_t *obj, struct err *e);
    int (*prepare_update)(struct resource_env *env, json_t *obj, const json_t *old, struct err *e);
    /* Semantic rules beyond the schema's. */
    void (*validate)(struct resource_env *env, const json_t *obj, json_t *causes);
    void (*validate_update)(struct resource_env *env, const json_t *obj, const json_t *old,
                            json_t *causes);
    /* Instead of validate_update, for the status subresource. */
    void (*validate_status)(struct resource_env *env, const json_t *obj, const json_t *old,
                            json_t *causes);
    /* Grace for a DELETE: asked_s is -1 when the client named none. 0: remove at once. */
    int64_t (*grace_s)(const json_t *obj, int64_t asked_s);
    /* A DELETE is refused by returning an error (its text is the message, ERR_DENIED: 403). */
    int (*check_delete)(const json_t *obj, struct err *e);
    /* What prepare_create took (an address) is given back: the commit failed or was a dry run. */
    void (*undo_create)(struct resource_env *env, const json_t *obj);
    /* The change is durable. obj NULL: deleted; old NULL: created. */
    void (*after_commit)(struct resource_env *env, const json_t *obj, const json_t *old);
};

/* Never NULL: kinds without a file have all-default hooks. */
const struct resource_hooks *resource_hooks_find(const char *group, const char *resource);

/* "/registry/<group>/<resource>/[<ns>/]<name>"; the core group is "core". Without name the prefix
 * with its '/'. ns "" for cluster scope, or for all namespaces in a prefix. */
char *resource_key(const char *group, const char *resource, const char *ns, const char *name);
