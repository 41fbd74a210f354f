/*
 * Namespaces: one that is deleted turns Terminating and stays until its content is gone and the
 * namespace controller takes "kubernetes" out of spec.finalizers (/finalize).
 */
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/resource/kinds.h"

#include <string.h>

static void label(json_t *obj)
{
    json_t *labels = json_object_get(meta_of(obj), "labels");

    if (!json_is_object(labels)) {
        labels = json_object();
        json_object_set_new(meta_of(obj), "labels", labels);
    }
    json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(meta_name(obj)));
}

static json_t *part(json_t *obj, const char *key)
{
    json_t *p = json_object_get(obj, key);

    if (!json_is_object(p)) {
        p = json_object();
        json_object_set_new(obj, key, p);
    }
    return p;
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    json_t *finalizers = json_array();

    (void)env;
    (void)e;
    label(obj);
    json_array_append_new(finalizers, json_string("kubernetes"));
    json_object_set_new(part(obj, "spec"), "finalizers", finalizers);
    json_object_set_new(part(obj, "status"), "phase", json_string("Active"));
    return 0;
}

static int prepare_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *finalizers = json_at(old, "spec.finalizers");

    (void)env;
    (void)e;
    label(obj);
    if (finalizers)
        json_object_set(part(obj, "spec"), "finalizers", finalizers);
    else
        json_object_del(part(obj, "spec"), "finalizers");
    return 0;
}

/* upstream's NamespaceLifecycle plugin */
static int check_delete(const json_t *obj, struct err *e)
{
    static const char *const kept[] = { "default", "kube-system", "kube-public" };

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (strcmp(meta_name(obj), kept[i]) == 0)
            return err_set(e, ERR_DENIED, "this namespace may not be deleted");
    return 0;
}

static bool is_finished(const json_t *obj)
{
    return json_array_size(json_at(obj, "spec.finalizers")) == 0;
}

static bool begin_delete(json_t *obj)
{
    json_object_set_new(part(obj, "status"), "phase", json_string("Terminating"));
    return !is_finished(obj);
}

const struct resource_hooks resource_namespaces = {
    .group = "",
    .plural = "namespaces",
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .check_delete = check_delete,
    .begin_delete = begin_delete,
    .is_finished = is_finished,
};
