#include "server/scheduler/resources.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/quantity.h"

#include <string.h>

void resources_deinit(struct resources *r)
{
    for (size_t i = 0; i < r->n_extended; i++)
        free(r->extended[i].name);
    free(r->extended);
    *r = (struct resources){ 0 };
}

static int64_t *extended_at(struct resources *r, const char *name)
{
    for (size_t i = 0; i < r->n_extended; i++)
        if (strcmp(r->extended[i].name, name) == 0)
            return &r->extended[i].value;
    r->extended = mem_realloc(r->extended, (r->n_extended + 1) * sizeof *r->extended);
    r->extended[r->n_extended].name = mem_strdup(name);
    r->extended[r->n_extended].value = 0;
    return &r->extended[r->n_extended++].value;
}

int64_t resources_extended(const struct resources *r, const char *name)
{
    for (size_t i = 0; i < r->n_extended; i++)
        if (strcmp(r->extended[i].name, name) == 0)
            return r->extended[i].value;
    return 0;
}

/* A sum that a hostile pod cannot make negative. */
static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static int64_t *slot(struct resources *r, const char *name)
{
    if (strcmp(name, "cpu") == 0)
        return &r->cpu_milli;
    if (strcmp(name, "memory") == 0)
        return &r->memory_bytes;
    if (strcmp(name, "ephemeral-storage") == 0)
        return &r->ephemeral_bytes;
    if (strcmp(name, "pods") == 0)
        return &r->n_pods;
    return extended_at(r, name);
}

/* A ResourceList on top; what cannot be read counts as nothing (validation does not let it in). */
static void add_list(struct resources *r, const json_t *list)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)list, name, v)
    {
        struct quantity q;
        struct err e;
        int64_t *at;

        if (!json_is_string(v) || quantity_parse(&q, str_of(json_string_value(v)), &e))
            continue;
        at = slot(r, name);
        *at = plus(*at, at == &r->cpu_milli ? quantity_milli_value(&q) : quantity_value(&q));
    }
}

static void apply(struct resources *r, const struct resources *what,
                  int64_t (*fn)(int64_t, int64_t))
{
    r->cpu_milli = fn(r->cpu_milli, what->cpu_milli);
    r->memory_bytes = fn(r->memory_bytes, what->memory_bytes);
    r->ephemeral_bytes = fn(r->ephemeral_bytes, what->ephemeral_bytes);
    r->n_pods = fn(r->n_pods, what->n_pods);
    for (size_t i = 0; i < what->n_extended; i++) {
        int64_t *at = extended_at(r, what->extended[i].name);

        *at = fn(*at, what->extended[i].value);
    }
}

static int64_t minus(int64_t a, int64_t b)
{
    return plus(a, -b);
}

static int64_t larger(int64_t a, int64_t b)
{
    return MAX(a, b);
}

void resources_add(struct resources *r, const struct resources *what)
{
    apply(r, what, plus);
}

void resources_sub(struct resources *r, const struct resources *what)
{
    apply(r, what, minus);
}

void resources_of_node(struct resources *out, const json_t *node)
{
    *out = (struct resources){ 0 };
    add_list(out, json_at(node, "status.allocatable"));
}

void resources_of_pod(struct resources *out, const json_t *pod)
{
    struct resources sidecars = { 0 }, init = { 0 };
    json_t *c;
    size_t i;

    *out = (struct resources){ 0 };
    json_array_foreach(json_at(pod, "spec.containers"), i, c)
        add_list(out, json_at(c, "resources.requests"));
    json_array_foreach(json_at(pod, "spec.initContainers"), i, c)
    {
        struct resources one = { 0 };

        add_list(&one, json_at(c, "resources.requests"));
        if (strcmp(json_str_at(c, "restartPolicy", ""), "Always") == 0) {
            resources_add(&sidecars, &one); /* it runs on beside the containers */
            apply(&init, &sidecars, larger);
        } else {
            resources_add(&one, &sidecars);
            apply(&init, &one, larger);
        }
        resources_deinit(&one);
    }
    resources_add(out, &sidecars);
    apply(out, &init, larger);
    add_list(out, json_at(pod, "spec.overhead"));
    out->n_pods = 1;
    resources_deinit(&sidecars);
    resources_deinit(&init);
}
