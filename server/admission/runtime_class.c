/* Upstream plugin/pkg/admission/runtimeclass. */
#include "base/data/json.h"
#include "server/admission/admission.h"

#include <string.h>

static bool is_new_pod(const struct admission *a)
{
    return admission_is(a, "", "pods") && admission_creates(a) &&
           json_is_object(json_object_get(a->obj, "spec"));
}

/* *out NULL: the pod names none. */
static int class_of(const json_t **out, const struct admission *a, struct err *e)
{
    const char *name = json_str_at(a->obj, "spec.runtimeClassName", NULL);

    *out = name ? a->world->get(a->world->arg, ADMISSION_RUNTIME_CLASSES, "", name) : NULL;
    if (name && !*out)
        return err_set(e, ERR_DENIED, "pod rejected: RuntimeClass \"%s\" not found", name);
    return 0;
}

static int set_selector(json_t *spec, const json_t *wanted, struct err *e)
{
    json_t *selector = json_object_get(spec, "nodeSelector"), *v;
    const char *key;

    if (json_object_size(wanted) && !selector) {
        selector = json_object();
        json_object_set_new(spec, "nodeSelector", selector);
    }
    json_object_foreach((json_t *)wanted, key, v)
    {
        json_t *has = json_object_get(selector, key);
        if (has && !json_equal(has, v))
            return err_set(e, ERR_DENIED,
                           "conflict: runtimeClass.scheduling.nodeSelector[%.60s] = %.40s; "
                           "pod.spec.nodeSelector[%.60s] = %.40s",
                           key, json_string_value(v), key, json_string_value(has));
        json_object_set(selector, key, v);
    }
    return 0;
}

static void add_tolerations(json_t *spec, const json_t *wanted)
{
    json_t *list = json_object_get(spec, "tolerations"), *v, *has;
    size_t i, k;

    json_array_foreach(wanted, i, v)
    {
        bool there = false;
        json_array_foreach(list, k, has) there |= json_equal(has, v) == 1;
        if (there)
            continue;
        if (!list) {
            list = json_array();
            json_object_set_new(spec, "tolerations", list);
        }
        json_array_append(list, v);
    }
}

#define MISMATCH "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"

int runtime_class_mutate(const struct admission *a, struct err *e)
{
    json_t *spec = json_object_get(a->obj, "spec"), *given, *fixed;
    const json_t *class_;

    if (!is_new_pod(a))
        return 0;
    if (class_of(&class_, a, e))
        return (int)e->code;
    fixed = json_at(class_, "overhead.podFixed");
    given = json_object_get(spec, "overhead");
    if (fixed && given && !json_equal(fixed, given))
        return err_set(e, ERR_DENIED, MISMATCH);
    if (fixed)
        json_object_set(spec, "overhead", fixed);
    if (set_selector(spec, json_at(class_, "scheduling.nodeSelector"), e))
        return (int)e->code;
    add_tolerations(spec, json_at(class_, "scheduling.tolerations"));
    return 0;
}

int runtime_class_validate(const struct admission *a, struct err *e)
{
    const json_t *class_;
    json_t *fixed, *given;

    if (!is_new_pod(a))
        return 0;
    if (class_of(&class_, a, e))
        return (int)e->code;
    fixed = json_at(class_, "overhead.podFixed");
    given = json_at(a->obj, "spec.overhead");
    if (fixed && !(given && json_equal(fixed, given)))
        return err_set(e, ERR_DENIED, MISMATCH);
    if (!fixed && json_object_size(given))
        return err_set(
            e, ERR_DENIED,
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    return 0;
}
