#include "server/resource/quota_charge.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <stdlib.h>
#include <string.h>

#define REASON_MAX_BYTES (1024 * 1024) /* all that a quota of the largest size may name */

bool quota_is_charged(const char *resource, bool update)
{
    auto_free char *name = mem_printf("count/%s", resource);
    auto_free char *whose = quota_counts(name);

    if (!update)
        return whose != NULL;
    return strcmp(resource, "services") == 0 || strcmp(resource, "persistentvolumeclaims") == 0;
}

/* Does hard bound anything that objects of the resource use? */
static bool bounds(const json_t *hard, const char *resource)
{
    json_auto_t *names = json_object();

    quota_begin(names, hard, resource);
    return json_object_size(names) > 0;
}

/* ---- texts ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of map, sorted, "a,b"; with what: "a=1,b=2" by the amounts that it has. */
static char *list_text(const json_t *map, const json_t *what)
{
    auto_buf out = BUF(REASON_MAX_BYTES);
    size_t n = 0, max = json_object_size(map);
    auto_free const char **names = mem_calloc(max + 1, sizeof *names);
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)map, name, v) names[n++] = name;
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        char text[QUANTITY_TEXT_MAX] = "0";
        struct quantity q;

        if (quota_amount(&q, what, names[i]))
            quantity_print(text, &q);
        if (buf_addf(&out, "%s%s%s%s", i ? "," : "", names[i], what ? "=" : "", what ? text : ""))
            break; /* long enough */
    }
    return mem_strdup(buf_cstr(&out));
}

/* ---- what pods have to say ---- */

/* The names that a quota makes every container say something about (upstream: a mistake that stays
 * for compatibility), in the order in which they are told. */
static const struct {
    const char *name, *key, *resource;
} demands[] = {
    { "cpu", "requests", "cpu" },
    { "limits.cpu", "limits", "cpu" },
    { "limits.memory", "limits", "memory" },
    { "memory", "requests", "memory" },
    { "requests.cpu", "requests", "cpu" },
    { "requests.memory", "requests", "memory" },
};

static void find_silent(json_t *silent, const json_t *containers, size_t demand)
{
    json_t *c;
    size_t i;

    json_array_foreach(containers, i, c)
    {
        const json_t *said = json_object_get(json_object_get(c, "resources"), demands[demand].key);
        if (!json_object_get(said, demands[demand].resource))
            json_object_set_new(silent, json_str_at(c, "name", ""), json_null());
    }
}

char *quota_demand(const json_t *quota, const char *resource, const json_t *obj)
{
    const json_t *hard = json_at(quota, "status.hard");
    auto_buf out = BUF(REASON_MAX_BYTES);

    if (strcmp(resource, "pods") != 0 || !quota_covers(quota, resource, obj))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(demands); i++) {
        json_auto_t *silent = json_object();

        if (!json_object_get(hard, demands[i].name))
            continue;
        find_silent(silent, json_at(obj, "spec.containers"), i);
        find_silent(silent, json_at(obj, "spec.initContainers"), i);
        if (!json_object_size(silent))
            continue;
        auto_free char *names = list_text(silent, NULL);
        if (buf_addf(&out, "%s%s for: %s", out.n ? "; " : "", demands[i].name, names))
            break; /* long enough */
    }
    return out.n ? mem_printf("failed quota: %s: must specify %s", meta_name(quota), buf_cstr(&out))
                 : NULL;
}

/* ---- amounts ---- */

static json_t *usage(const json_t *hard, const char *resource, const json_t *obj, int64_t now_s)
{
    json_t *used = json_object();

    quota_begin(used, hard, resource);
    quota_use(used, resource, obj, now_s);
    return used;
}

/* What comes on top; nothing is in it that stays the same or shrinks: the controller gives that
 * back. */
static json_t *taken(const json_t *quota, const char *resource, const json_t *obj,
                     const json_t *old, int64_t now_s)
{
    const json_t *hard = json_at(quota, "status.hard");
    json_auto_t *now = usage(hard, resource, obj, now_s);
    json_auto_t *was =
        old && quota_covers(quota, resource, old) ? usage(hard, resource, old, now_s) : NULL;
    json_t *out = json_object(), *v;
    const char *name;

    json_object_foreach(now, name, v)
    {
        struct quantity more, before;
        char text[QUANTITY_TEXT_MAX];

        if (!quota_amount(&more, now, name))
            continue;
        if (quota_amount(&before, was, name))
            more = quantity_sub(more, &before);
        if (more.nano <= 0)
            continue;
        quantity_print(text, &more);
        json_object_set_new(out, name, json_string(text));
    }
    return out;
}

/* Some name that obj uses is in spec.hard only. */
static bool is_uncounted(const json_t *quota, const char *resource)
{
    const json_t *counted = json_at(quota, "status.hard");
    json_auto_t *names = json_object();
    const char *name;
    json_t *v;

    quota_begin(names, json_at(quota, "spec.hard"), resource);
    json_object_foreach(names, name, v)
    {
        if (!json_object_get(counted, name))
            return true;
    }
    return false;
}

/* Names that hard bounds and nobody has counted. NULL: none. */
static char *unknown(const json_t *quota, const char *resource)
{
    json_auto_t *names = json_object();
    bool known = true;
    const char *name;
    json_t *v;

    quota_begin(names, json_at(quota, "status.hard"), resource);
    json_object_foreach(names, name, v)
    {
        known = known && json_object_get(json_at(quota, "status.used"), name);
    }
    return known ? NULL : list_text(names, NULL);
}

static json_t *with_used(const json_t *quota, const json_t *used)
{
    json_t *out = json_copy((json_t *)quota);
    json_auto_t *status = json_copy(json_object_get(quota, "status"));

    json_object_set(status, "used", (json_t *)used);
    json_object_set(out, "status", status);
    return out;
}

bool quota_charge(json_t **out, char **why, const json_t *quota, const char *resource,
                  const json_t *obj, const json_t *old, int64_t now_s)
{
    const json_t *hard = json_at(quota, "status.hard"), *used = json_at(quota, "status.used");
    bool uncounted = is_uncounted(quota, resource);
    json_auto_t *exceeded = json_object();
    const char *name;
    json_t *v;

    *out = NULL;
    *why = NULL;
    if (!quota_covers(quota, resource, obj) || (!uncounted && !bounds(hard, resource)))
        return true;
    auto_free char *names = unknown(quota, resource);
    if (names) {
        *why = mem_printf("status unknown for quota: %s, resources: %s", meta_name(quota), names);
        return false;
    }
    json_auto_t *more = taken(quota, resource, obj, old, now_s);
    json_auto_t *after = json_copy((json_t *)used);
    json_object_foreach(more, name, v)
    {
        struct quantity sum, add, limit;

        if (!quota_amount(&sum, used, name) || !quota_amount(&add, more, name) ||
            !quota_amount(&limit, hard, name))
            continue;
        quota_add_to(after, name, &add);
        if (quota_amount(&sum, after, name) && quantity_cmp(&sum, &limit) > 0)
            json_object_set_new(exceeded, name, json_null());
    }
    if (json_object_size(exceeded)) {
        auto_free char *asked = list_text(exceeded, more), *was = list_text(exceeded, used),
                       *limited = list_text(exceeded, hard);
        *why = mem_printf("exceeded quota: %s, requested: %s, used: %s, limited: %s",
                          meta_name(quota), asked, was, limited);
        return false;
    }
    if (json_object_size(more))
        *out = with_used(quota, after);
    else if (uncounted)
        *out = json_incref((json_t *)quota);
    return true;
}
