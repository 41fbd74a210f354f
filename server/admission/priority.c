/* Upstream plugin/pkg/admission/priority. */
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/admission/admission.h"

#include <string.h>

struct priority {
    int64_t value;
    const char *policy; /* borrowed */
};

/* The two that every cluster has: known before they are stored. */
static bool built_in(struct priority *out, const char *name)
{
    bool node = strcmp(name, "system-node-critical") == 0;

    if (!node && strcmp(name, "system-cluster-critical") != 0)
        return false;
    *out = (struct priority){ node ? 2000001000 : 2000000000, "PreemptLowerPriority" };
    return true;
}

/* The default class; of several the one with the lowest value. */
static bool look_for_default(void *arg, const json_t *class_)
{
    const json_t **found = arg;

    if (json_bool_at(class_, "globalDefault", false) &&
        (!*found || json_i64_at(class_, "value", 0) < json_i64_at(*found, "value", 0)))
        *found = class_;
    return true;
}

static const json_t *default_class(const struct admission *a)
{
    const json_t *found = NULL;

    a->world->each(a->world->arg, ADMISSION_PRIORITY_CLASSES, look_for_default, &found);
    return found;
}

static struct priority of_class(const json_t *class_)
{
    return (struct priority){ json_i64_at(class_, "value", 0),
                              json_str_at(class_, "preemptionPolicy", "PreemptLowerPriority") };
}

static int resolve(struct priority *out, const struct admission *a, json_t *spec, struct err *e)
{
    const char *name = json_str_at(spec, "priorityClassName", "");
    const json_t *class_;

    if (!*name) {
        class_ = default_class(a);
        *out = class_ ? of_class(class_) : (struct priority){ 0, "PreemptLowerPriority" };
        if (class_)
            json_object_set_new(spec, "priorityClassName", json_string(meta_name(class_)));
        return 0;
    }
    class_ = a->world->get(a->world->arg, ADMISSION_PRIORITY_CLASSES, "", name);
    if (class_)
        *out = of_class(class_);
    else if (!built_in(out, name))
        return err_set(e, ERR_DENIED, "no PriorityClass with name %s was found", name);
    return 0;
}

/* What was decided once stays when a client leaves it out. */
static void keep(json_t *spec, const json_t *old, const char *key)
{
    json_t *was = json_object_get(json_object_get(old, "spec"), key);

    if (was && !json_object_get(spec, key))
        json_object_set(spec, key, was);
}

int priority_mutate(const struct admission *a, struct err *e)
{
    json_t *spec = json_object_get(a->obj, "spec"), *given;
    struct priority p = { 0 };

    if (!admission_is(a, "", "pods") || !json_is_object(spec))
        return 0;
    if (!admission_creates(a)) {
        keep(spec, a->old, "priority");
        keep(spec, a->old, "preemptionPolicy");
        return 0;
    }
    if (resolve(&p, a, spec, e))
        return (int)e->code;
    given = json_object_get(spec, "priority");
    if (given && json_integer_value(given) != p.value)
        return err_set(e, ERR_DENIED,
                       "the integer value of priority (%lld) must not be provided in pod spec; "
                       "priority admission controller computed %lld from the given PriorityClass "
                       "name",
                       (long long)json_integer_value(given), (long long)p.value);
    json_object_set_new(spec, "priority", json_integer(p.value));
    const char *policy = json_str_at(spec, "preemptionPolicy", p.policy);
    if (strcmp(policy, p.policy) != 0)
        return err_set(e, ERR_DENIED,
                       "the string value of PreemptionPolicy (%.40s) must not be provided in pod "
                       "spec; priority admission controller computed %s from the given "
                       "PriorityClass name",
                       policy, p.policy);
    json_object_set_new(spec, "preemptionPolicy", json_string(p.policy));
    return 0;
}

int priority_validate(const struct admission *a, struct err *e)
{
    const json_t *other;

    if (!admission_is(a, "scheduling.k8s.io", "priorityclasses") || !a->obj ||
        !json_bool_at(a->obj, "globalDefault", false))
        return 0;
    other = default_class(a);
    if (!other || (!admission_creates(a) && strcmp(meta_name(other), meta_name(a->obj)) == 0))
        return 0;
    return err_set(
        e, ERR_DENIED,
        "PriorityClass %s is already marked as globalDefault. Only one default can exist",
        meta_name(other));
}
