/*
 * DaemonSets: the number of the template, which apps/v1 keeps as an annotation
 * (pkg/apis/apps/v1/conversion.go): 1 at first, one more with every change of the template, never
 * what a client says (pkg/registry/apps/daemonset/strategy.go).
 */
#include "base/core/str.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/resource/kinds.h"

#include <stdio.h>

#define KEY "deprecated.daemonset.template.generation"

static int64_t number_of(const json_t *obj)
{
    int64_t n;

    return str_to_i64(str_of(meta_annotation(obj, KEY)), &n) && n > 0 ? n : 0;
}

static void put_number(json_t *obj, int64_t n)
{
    json_t *annotations = json_object_get(meta_of(obj), "annotations");
    char text[24];

    if (!json_is_object(annotations)) {
        annotations = json_object();
        json_object_set_new(meta_of(obj), "annotations", annotations);
    }
    snprintf(text, sizeof text, "%lld", (long long)n);
    json_object_set_new(annotations, KEY, json_string(text));
}

static int prepare_create(struct resource_env *env, json_t *obj, struct err *e)
{
    int64_t n = number_of(obj);

    (void)env;
    (void)e;
    put_number(obj, n ? n : 1);
    return 0;
}

static int prepare_update(struct resource_env *env, json_t *obj, const json_t *old, struct err *e)
{
    json_t *now = json_at(obj, "spec.template"), *was = json_at(old, "spec.template");

    (void)env;
    (void)e;
    put_number(obj, number_of(old) + !(now && was && json_equal(now, was)));
    return 0;
}

const struct resource_hooks resource_daemonsets = {
    .group = "apps",
    .plural = "daemonsets",
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
};
