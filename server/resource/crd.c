/*
 * CustomResourceDefinitions: the names that a new one asks for are accepted, and its kinds served,
 * by the controller of crd_names.c. One that is deleted stays until its objects are gone.
 */
#include "server/schema/crd.h"

#include "base/core/clock.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/resource/kinds.h"
#include "server/schema/crd_check.h"

#include <string.h>

static json_t *part(json_t *obj, const char *key, json_t *(*make)(void))
{
    json_t *p = json_object_get(obj, key);

    if (!p) {
        p = make();
        json_object_set_new(obj, key, p);
    }
    return p;
}

/* status.storedVersions holds every version that objects may be stored in. */
static void note_stored(json_t *obj)
{
    json_t *stored = part(part(obj, "status", json_object), "storedVersions", json_array);
    const json_t *v, *one;
    size_t i, k;

    json_array_foreach(json_at(obj, "spec.versions"), i, v)
    {
        const char *name = json_str_at(v, "name", "");
        bool there = false;

        if (!json_is_true(json_object_get(v, "storage")))
            continue;
        json_array_foreach(stored, k, one) there =
            there || (json_is_string(one) && strcmp(json_string_value(one), name) == 0);
        if (!there)
            json_array_append_new(stored, json_string(name));
    }
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    (void)env;
    (void)e;
    json_object_set_new(
        obj, "status",
        json_pack("{s:{s:s, s:s}, s:[]}", "acceptedNames", "kind", "", "plural", "", "conditions"));
    note_stored(obj);
    return 0;
}

static int prepare_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    (void)env;
    (void)old;
    (void)e;
    note_stored(obj);
    return 0;
}

static void validate(struct resource_env *env, const json_t *obj, struct field_errors *fe)
{
    (void)env;
    crd_check(obj, fe);
}

static void validate_update(struct resource_env *env, const json_t *obj, const json_t *old,
                            struct field_errors *fe)
{
    (void)env;
    crd_check_update(obj, old, fe);
}

static bool begin_delete(json_t *obj)
{
    json_t *finalizers = part(meta_of(obj), "finalizers", json_array);

    crd_set_condition(obj, clock_wall_s(), "Terminating", true, "InstanceDeletionPending",
                      "CustomResourceDefinition marked for deletion; CustomResource deletion will "
                      "begin soon");
    json_array_append_new(finalizers, json_string(CRD_FINALIZER));
    return true;
}

const struct resource_hooks resource_crds = {
    .group = CRD_GROUP,
    .plural = CRD_PLURAL,
    .needs_version = true,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .validate = validate,
    .validate_update = validate_update,
    .begin_delete = begin_delete,
};
