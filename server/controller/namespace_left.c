#include "server/controller/namespace_left.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (32 * 1024) /* upstream's limit of a condition's message */

static const struct {
    const char *type, *reason, *message; /* while nothing is wrong */
} fine[] = {
    { "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered",
      "All resources successfully discovered" },
    { "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
      "All legacy kube types successfully parsed" },
    { "NamespaceDeletionContentFailure", "ContentDeleted",
      "All content successfully deleted, may be waiting on finalization" },
    { "NamespaceContentRemaining", "ContentRemoved", "All content successfully removed" },
    { "NamespaceFinalizersRemaining", "ContentRemoved", "All content successfully removed" },
};
enum { CONTENT_FAILURE = 2, CONTENT_REMAINING, FINALIZERS_REMAINING };

void namespace_left_init(struct namespace_left *l)
{
    *l = (struct namespace_left){ 0, json_object(), json_object(), json_array() };
}

void namespace_left_deinit(struct namespace_left *l)
{
    json_decref(l->resources);
    json_decref(l->finalizers);
    json_decref(l->errors);
}

static void count(json_t *in, const char *key)
{
    json_object_set_new(in, key, json_integer(1 + json_integer_value(json_object_get(in, key))));
}

void namespace_left_add(struct namespace_left *l, const char *group, const char *plural,
                        const json_t *obj)
{
    auto_free char *what = mem_printf("%s.%s", plural, group);
    json_t *f;
    size_t i;

    l->n_objects++;
    count(l->resources, what);
    json_array_foreach(json_at(obj, "metadata.finalizers"), i, f)
        count(l->finalizers, json_string_value(f));
}

void namespace_left_failed(struct namespace_left *l, const char *why)
{
    json_array_append_new(l->errors, json_string(why));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a has 2 resource instances, b has 1 resource instances", sorted; heap. */
static char *counts_text(const json_t *counts, const char *middle)
{
    size_t n = 0;
    char **v = mem_calloc(json_object_size(counts) + 1, sizeof *v);
    auto_buf b = BUF(TEXT_MAX);
    const char *key;
    json_t *k;

    json_object_foreach((json_t *)(uintptr_t)counts, key, k) v[n++] =
        mem_printf("%s %s %lld resource instances", key, middle, (long long)json_integer_value(k));
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++) {
        err_ignore(buf_addf(&b, "%s%s", i ? ", " : "", v[i])); /* cut is fine */
        free(v[i]);
    }
    free(v);
    return mem_strdup(buf_cstr(&b));
}

static char *errors_text(const json_t *errors)
{
    size_t i, n = json_array_size(errors);
    const char **v = mem_calloc(n + 1, sizeof *v);
    auto_buf b = BUF(TEXT_MAX);
    json_t *text;

    json_array_foreach(errors, i, text) v[i] = json_string_value(text);
    qsort(v, n, sizeof *v, by_text);
    for (i = 0; i < n; i++)
        err_ignore(buf_addf(&b, "%s%s", i ? ", " : "", v[i])); /* cut is fine */
    free(v);
    return mem_strdup(buf_cstr(&b));
}

static json_t *condition_of(json_t *list, const char *type)
{
    json_t *c;
    size_t i;

    json_array_foreach(list, i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) == 0)
            return c;
    }
    return NULL;
}

static bool set(json_t *list, const char *type, const char *status, const char *reason,
                const char *message, const char *now)
{
    json_t *c = condition_of(list, type);

    if (!c) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", type, "status",
                                              status, "lastTransitionTime", now, "reason", reason,
                                              "message", message));
        return true;
    }
    bool turned = strcmp(json_str_at(c, "status", ""), status) != 0;
    if (!turned && strcmp(json_str_at(c, "reason", ""), reason) == 0 &&
        strcmp(json_str_at(c, "message", ""), message) == 0)
        return false;
    if (turned)
        json_object_set_new(c, "lastTransitionTime", json_string(now));
    json_object_set_new(c, "status", json_string(status));
    json_object_set_new(c, "reason", json_string(reason));
    json_object_set_new(c, "message", json_string(message));
    return true;
}

bool namespace_left_conditions(const struct namespace_left *l, json_t *status, const char *now)
{
    json_t *list = json_object_get(status, "conditions");
    bool changed = false;

    if (!list) {
        list = json_array();
        json_object_set_new(status, "conditions", list);
    }
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        auto_free char *all = NULL, *message = NULL;
        const char *reason = "";

        if (i == CONTENT_FAILURE && json_array_size(l->errors)) {
            all = errors_text(l->errors);
            reason = "ContentDeletionFailed";
            message = mem_printf("Failed to delete all resource types, %zu remaining: %s",
                                 json_array_size(l->errors), all);
        } else if (i == CONTENT_REMAINING && json_object_size(l->resources)) {
            all = counts_text(l->resources, "has");
            reason = "SomeResourcesRemain";
            message = mem_printf("Some resources are remaining: %s", all);
        } else if (i == FINALIZERS_REMAINING && json_object_size(l->finalizers)) {
            all = counts_text(l->finalizers, "in");
            reason = "SomeFinalizersRemain";
            message = mem_printf("Some content in the namespace has finalizers remaining: %s", all);
        }
        changed |= message ? set(list, fine[i].type, "True", reason, message, now)
                           : set(list, fine[i].type, "False", fine[i].reason, fine[i].message, now);
    }
    return changed;
}
