/*
 *   (new) --> NamesAccepted: its kinds are served --> Established --> ...
 *                 \--> not accepted: again when a definition of its group changes or goes
 *
 * Established comes one event later, so whoever waits for it finds the kinds served; where several
 * servers share a datastore, a moment later still, until each of them has seen the names accepted.
 */
#include "server/controller/crd_names.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/schema/crd.h"

#include <string.h>

#define ESTABLISH_AFTER_MS 500 /* with several servers; upstream waits 5 s */

static const char *text(const json_t *o, const char *key)
{
    return json_str_at(o, key, "");
}

/* ---- what is taken ---- */

void crd_taken_init(struct crd_taken *t)
{
    t->resources = json_object();
    t->kinds = json_object();
}

void crd_taken_deinit(struct crd_taken *t)
{
    json_decref(t->resources);
    json_decref(t->kinds);
}

static void take(json_t *set, const char *name)
{
    if (*name)
        json_object_set_new(set, name, json_true());
}

void crd_taken_add(struct crd_taken *t, const json_t *names)
{
    const json_t *v;
    size_t i;

    take(t->resources, text(names, "plural"));
    take(t->resources, text(names, "singular"));
    json_array_foreach(json_object_get(names, "shortNames"), i, v) if (json_is_string(v))
        take(t->resources, json_string_value(v));
    take(t->kinds, text(names, "kind"));
    take(t->kinds, text(names, "listKind"));
}

void crd_taken_add_builtin(struct crd_taken *t, const struct schema *s, const char *group)
{
    size_t n;
    const struct schema_kind *const *k = schema_kinds(s, &n);

    for (size_t i = 0; i < n; i++) {
        if (k[i]->custom || strcmp(k[i]->group, group) != 0)
            continue;
        take(t->resources, k[i]->plural);
        take(t->resources, k[i]->singular);
        for (const char *const *name = k[i]->short_names; *name; name++)
            take(t->resources, *name);
        take(t->kinds, k[i]->kind);
    }
}

/* ---- what it gets ---- */

struct naming {
    const json_t *wanted, *had;
    json_t *gets;
    const char *reason; /* of the last conflict; NULL: none */
    char *message;
};

static void refuse(struct naming *n, const char *reason, char *message_take)
{
    free(n->message);
    n->message = message_take;
    n->reason = reason;
}

static void get_name(struct naming *n, const char *key, const json_t *taken, const char *reason)
{
    const char *wanted = text(n->wanted, key);

    if (strcmp(wanted, text(n->had, key)) != 0 && json_object_get(taken, wanted))
        refuse(n, reason, mem_printf("\"%s\" is already in use", wanted));
    else if (*wanted)
        json_object_set_new(n->gets, key, json_string(wanted));
    else
        json_object_del(n->gets, key);
}

static bool holds(const json_t *list, const char *name)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), name) == 0)
            return true;
    }
    return false;
}

static void get_short_names(struct naming *n, const json_t *taken)
{
    const json_t *wanted = json_object_get(n->wanted, "shortNames"),
                 *had = json_object_get(n->had, "shortNames"), *v;
    auto_buf why = BUF(4096);
    size_t i, n_refused = 0;

    json_array_foreach(wanted, i, v)
    {
        const char *name = json_string_value(v) ? json_string_value(v) : "";

        if (holds(had, name) || strcmp(name, text(n->had, "plural")) == 0 ||
            strcmp(name, text(n->had, "singular")) == 0 || !json_object_get(taken, name))
            continue;
        err_ignore(buf_addf(&why, "%s\"%s\" is already in use", n_refused++ ? ", " : "", name));
    }
    if (n_refused)
        refuse(n, "ShortNamesConflict",
               n_refused > 1 ? mem_printf("[%s]", buf_cstr(&why)) : mem_strdup(buf_cstr(&why)));
    else if (json_array_size(wanted))
        json_object_set(n->gets, "shortNames", (json_t *)wanted);
    else
        json_object_del(n->gets, "shortNames");
}

json_t *crd_names_status(const json_t *doc, const struct crd_taken *taken, bool may_establish,
                         int64_t now_s)
{
    json_auto_t *out = json_deep_copy(doc);
    json_t *status = json_object_get(out, "status");
    bool established = crd_condition_is_true(doc, "Established");
    bool accepted_before = crd_condition_is_true(doc, "NamesAccepted");

    if (!status)
        json_object_set_new(out, "status", status = json_object());
    struct naming n = { .wanted = json_at(doc, "spec.names"),
                        .had = json_at(doc, "status.acceptedNames"),
                        .gets = json_deep_copy(json_at(doc, "status.acceptedNames")) };
    if (!n.gets)
        n.gets = json_object();
    get_name(&n, "plural", taken->resources, "PluralConflict");
    get_name(&n, "singular", taken->resources, "SingularConflict");
    get_short_names(&n, taken->resources);
    get_name(&n, "kind", taken->kinds, "KindConflict");
    get_name(&n, "listKind", taken->kinds, "ListKindConflict");
    if (json_object_get(n.wanted, "categories"))
        json_object_set(n.gets, "categories", json_object_get(n.wanted, "categories"));
    else
        json_object_del(n.gets, "categories");
    json_object_set_new(status, "acceptedNames", n.gets);
    crd_set_condition(out, now_s, "NamesAccepted", !n.reason, n.reason ? n.reason : "NoConflicts",
                      n.reason ? n.message : "no conflicts found");
    if (!established && n.reason)
        crd_set_condition(out, now_s, "Established", false, "NotAccepted",
                          "not all names are accepted");
    else if (!established && accepted_before && may_establish)
        crd_set_condition(out, now_s, "Established", true, "InitialNamesAccepted",
                          "the initial names have been accepted");
    else if (!established)
        crd_set_condition(out, now_s, "Established", false, "Installing",
                          "the initial names have been accepted");
    free(n.message);
    return json_equal(out, (json_t *)doc) ? NULL : STEAL(out);
}

/* ---- the controller ---- */

struct others {
    struct crd_taken *taken;
    const char *name, *group;
};

static bool add_other(void *arg, const json_t *doc)
{
    struct others *o = arg;

    if (strcmp(json_str_at(doc, "spec.group", ""), o->group) == 0 &&
        strcmp(meta_name(doc), o->name) != 0)
        crd_taken_add(o->taken, json_at(doc, "status.acceptedNames"));
    return true;
}

static void work(struct controller *c, struct queue_item *it)
{
    struct api *api = c->env->config.api;
    const json_t *doc = local_watch_get(c->env->watches[WATCH_CRDS], "", queue_key(it));
    struct local_ref ref = {
        .group = CRD_GROUP, .resource = CRD_PLURAL, .name = queue_key(it), .subresource = "status"
    };
    struct crd_taken taken;
    json_t *patch, *status;

    if (!doc || meta_is_deleting(doc)) {
        queue_done(it, NULL);
        return;
    }
    crd_taken_init(&taken);
    struct others o = { &taken, meta_name(doc), json_str_at(doc, "spec.group", "") };
    local_watch_each(c->env->watches[WATCH_CRDS], add_other, &o);
    crd_taken_add_builtin(&taken, api_schema(api), o.group);
    json_auto_t *now = crd_names_status(doc, &taken, true, clock_wall_s());
    crd_taken_deinit(&taken);
    if (!now) {
        queue_done(it, NULL);
        return;
    }
    patch = controller_patch_of(doc);
    status = json_object_get(now, "status");
    /* lists are replaced as a whole, and what is there no more is told by null */
    json_t *names = json_deep_copy(json_object_get(status, "acceptedNames")), *was;
    const char *key;
    json_object_foreach(json_at(doc, "status.acceptedNames"), key, was)
    {
        if (!json_object_get(names, key))
            json_object_set_new(names, key, json_null());
    }
    json_object_set_new(patch, "status",
                        json_pack("{s:o, s:O}", "acceptedNames", names, "conditions",
                                  json_object_get(status, "conditions")));
    controller_patch(c, it, &ref, patch);
}

static bool is_new(const json_t *doc)
{
    return crd_condition_is_true(doc, "NamesAccepted") &&
           !crd_condition_is_true(doc, "Established");
}

struct group {
    struct controller *c;
    const char *name;
};

static bool add_of_group(void *arg, const json_t *doc)
{
    struct group *g = arg;

    if (strcmp(json_str_at(doc, "spec.group", ""), g->name) == 0 &&
        !crd_condition_is_true(doc, "NamesAccepted"))
        queue_add(g->c->queue, meta_name(doc));
    return true;
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *doc)
{
    struct group g = { c, json_str_at(doc, "spec.group", "") };

    (void)w;
    if (ev != LOCAL_DELETED && is_new(doc) && api_is_shared(c->env->config.api))
        queue_at(c->queue, meta_name(doc), ESTABLISH_AFTER_MS);
    else if (ev != LOCAL_DELETED)
        queue_add(c->queue, meta_name(doc));
    if (c->env->watches[WATCH_CRDS]) /* names may be free now */
        local_watch_each(c->env->watches[WATCH_CRDS], add_of_group, &g);
}

const struct controller_ops crd_names_controller = {
    .name = "crd_names",
    .watches = WATCH_BIT(WATCH_CRDS),
    .n_parallel = 1, /* two that ask for one name: one after the other */
    .retry_max_ms = 15000,
    .on_event = on_event,
    .work = work,
};
