/*
 * Jobs: a selector and labels of its own, so that no other controller sees its pods
 * (pkg/registry/batch/job/strategy.go, generateSelector). Labels that a client chose stay; whether
 * they are the right ones is for validation to say. An update gets none: it must bring them.
 */
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/resource/kinds.h"

static json_t *part(json_t *obj, const char *key)
{
    json_t *p = json_object_get(obj, key);

    if (!json_is_object(p)) {
        p = json_object();
        json_object_set_new(obj, key, p);
    }
    return p;
}

static void label(json_t *labels, const char *key, const char *value)
{
    if (!json_object_get(labels, key))
        json_object_set_new(labels, key, json_string(value));
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    json_t *spec = json_object_get(obj, "spec"), *template_ = json_object_get(spec, "template");

    (void)env;
    (void)e;
    if (!json_is_object(template_) || json_is_true(json_object_get(spec, "manualSelector")))
        return 0;
    json_t *labels = part(part(template_, "metadata"), "labels");
    label(labels, "job-name", meta_name(obj));
    label(labels, "batch.kubernetes.io/job-name", meta_name(obj));
    label(labels, "controller-uid", meta_uid(obj));
    label(labels, "batch.kubernetes.io/controller-uid", meta_uid(obj));
    label(part(part(spec, "selector"), "matchLabels"), "batch.kubernetes.io/controller-uid",
          meta_uid(obj));
    return 0;
}

const struct resource_hooks resource_jobs = {
    .group = "batch",
    .plural = "jobs",
    .prepare_create = prepare_create,
};
