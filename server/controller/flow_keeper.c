/*
 * The default FlowSchemas and PriorityLevelConfigurations (flow_defaults.h): made at the start,
 * again when they are deleted, right again when they were edited; and the condition Dangling of
 * every FlowSchema (staging/src/k8s.io/apiserver/pkg/util/flowcontrol of kubernetes, 1.32).
 *
 * Keys are "flowschemas/NAME" and "prioritylevelconfigurations/NAME". Each look writes one thing;
 * the event of that brings the key again for the next.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"
#include "server/controller/flow_defaults.h"

#include <string.h>

#define GROUP   "flowcontrol.apiserver.k8s.io"
#define SCHEMAS "flowschemas"
#define LEVELS  "prioritylevelconfigurations"

static void add(struct controller *c, const char *resource, const char *name)
{
    auto_free char *key = mem_printf("%s/%s", resource, name);

    queue_add(c->queue, key);
}

static void start(struct controller *c)
{
    for (size_t i = 0; flow_level_name(i); i++)
        add(c, LEVELS, flow_level_name(i));
    for (size_t i = 0; flow_schema_name(i); i++)
        add(c, SCHEMAS, flow_schema_name(i));
}

/* ---- events ---- */

struct of_level {
    struct controller *c;
    const char *level;
};

static bool add_of_level(void *arg, const json_t *schema)
{
    const struct of_level *o = arg;

    if (strcmp(json_str_at(schema, "spec.priorityLevelConfiguration.name", ""), o->level) == 0)
        add(o->c, SCHEMAS, meta_name(schema));
    return true;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct of_level o = { c, meta_name(obj) };

    add(c, w == WATCH_LEVELS ? LEVELS : SCHEMAS, meta_name(obj));
    if (w == WATCH_LEVELS && ev != LOCAL_MODIFIED && c->env->watches[WATCH_FLOWS])
        local_watch_each(c->env->watches[WATCH_FLOWS], add_of_level, &o);
}

/* ---- work ---- */

/* False: it is right, nothing was begun. */
static bool keep(struct controller *c, struct queue_item *it, const struct local_ref *ref,
                 const json_t *current)
{
    bool mandatory = false;
    json_auto_t *wanted = strcmp(ref->resource, LEVELS) == 0
                              ? flow_level_default(ref->name, &mandatory)
                              : flow_schema_default(ref->name, &mandatory);

    if (!wanted)
        return false;
    if (!current) {
        struct local_ref all = *ref;

        all.name = NULL;
        local_create(c->env->config.api, &all, wanted, queue_done_local, it);
        return true;
    }
    json_auto_t *better = flow_repaired(current, wanted, mandatory);
    if (!better)
        return false;
    local_update(c->env->config.api, ref, better, queue_done_local, it);
    return true;
}

static void tell_dangling(struct controller *c, struct queue_item *it, const struct local_ref *ref,
                          const json_t *schema)
{
    const char *level = json_str_at(schema, "spec.priorityLevelConfiguration.name", "");
    struct local_ref status = *ref;
    char now[TIME_TEXT_BYTES];
    bool there = local_watch_get(c->env->watches[WATCH_LEVELS], "", level) != NULL;

    time_now_s(now);
    json_t *condition = flow_dangling(schema, there, now);
    if (!condition) {
        queue_done(it, NULL);
        return;
    }
    status.subresource = "status";
    json_auto_t *patch = controller_patch_of(schema);
    json_object_set_new(patch, "status", json_pack("{s:[o]}", "conditions", condition));
    local_patch(c->env->config.api, &status, LOCAL_PATCH_STRATEGIC, patch, queue_done_local, it);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct str resource, name;

    str_cut(str_of(queue_key(it)), '/', &resource, &name);
    bool level = str_is(resource, LEVELS);
    auto_free char *name_text = str_dup(name);
    struct local_ref ref = { .group = GROUP,
                             .resource = level ? LEVELS : SCHEMAS,
                             .name = name_text };
    const json_t *current =
        local_watch_get(c->env->watches[level ? WATCH_LEVELS : WATCH_FLOWS], "", name_text);

    if (current && meta_is_deleting(current)) {
        queue_done(it, NULL);
        return;
    }
    if (keep(c, it, &ref, current))
        return;
    if (current && !level)
        tell_dangling(c, it, &ref, current);
    else
        queue_done(it, NULL);
}

const struct controller_ops flow_keeper_controller = {
    .name = "flow_keeper",
    .watches = WATCH_BIT(WATCH_FLOWS) | WATCH_BIT(WATCH_LEVELS),
    .n_parallel = 16, /* they share commits */
    .start = start,
    .on_event = on_event,
    .work = work,
};
