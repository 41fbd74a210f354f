/*
 * A write in three steps: what changed between the live object and the new one (typed_compare,
 * without what the endpoint resets), who loses these fields, who has them now. An update takes what
 * it changed from everybody. An apply owns what it says, conflicts with others whose fields it
 * changes, and takes away what it owned before and says no longer, unless somebody else owns it.
 */
#include "server/schema/managed.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/schema/managed_list.h"

#include <ctype.h>
#include <stdalign.h>
#include <stddef.h>

#define KUBECTL      "kubectl" /* the manager whose applies keep kubectl's annotation up to date */
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

#define ROOM_BYTES 6144 /* most writes need no more */

#define ANNOTATIONS_MAX_BYTES (256 * 1024) /* apimachinery/pkg/api/validation, objectmeta.go */

void managed_name(char out[MANAGED_NAME_MAX + 1], struct str user_agent)
{
    struct str name, rest;
    size_t n = 0;

    str_cut(user_agent, '/', &name, &rest);
    for (size_t i = 0; i < name.n && n < MANAGED_NAME_MAX; i++)
        if (isprint((unsigned char)name.p[i]))
            out[n++] = name.p[i];
    out[n] = '\0';
}

struct write {
    struct arena a;
    const struct schema_kind *kind;
    const struct managed_by *by;
    char api_version[SCHEMA_API_VERSION_MAX];
    struct managed_list list;
    alignas(max_align_t) char room[ROOM_BYTES]; /* the arena's first */
};

static void write_init(struct write *w, const struct schema_kind *k, const struct managed_by *by)
{
    w->a = ARENA_UNBOUNDED;
    arena_lend(&w->a, w->room, sizeof w->room);
    w->kind = k;
    w->by = by;
    w->list = (struct managed_list){ .a = &w->a };
    schema_api_version(k, w->api_version);
}

static struct managed_entry entry_of(const struct write *w, const char *manager, bool applied)
{
    return (struct managed_entry){ .manager = *manager ? manager : "unknown",
                                   .api_version = w->api_version,
                                   .subresource = w->by->subresource,
                                   .applied = applied };
}

/* metadata.managedFields, at its end. */
static void set_list(struct write *w, json_t *obj)
{
    json_t *list = managed_json(&w->list);

    json_object_del(meta_of(obj), "managedFields");
    if (list)
        json_object_set_new(meta_of(obj), "managedFields", list);
}

/* From live (NULL: a new object) to obj, without what the endpoint resets. */
static void changes_of(struct write *w, const json_t *live, const json_t *obj,
                       struct typed_changes *c)
{
    const struct fieldset *reset = managed_reset(w->kind, w->by->subresource);
    json_auto_t *none = live ? NULL : json_object();

    typed_compare(c, &w->a, w->kind->type, live ? live : none, obj);
    c->added = fieldset_difference_deep(&w->a, c->added, reset);
    c->modified = fieldset_difference_deep(&w->a, c->modified, reset);
    c->removed = fieldset_difference_deep(&w->a, c->removed, reset);
}

/* Everybody but keep loses what changed. */
static void take_away(struct write *w, const struct typed_changes *c,
                      const struct managed_entry *keep)
{
    const struct fieldset *gone =
        fieldset_union(&w->a, c->removed, fieldset_union(&w->a, c->modified, c->added));

    for (size_t i = 0; i < w->list.n; i++)
        if (&w->list.v[i] != keep)
            w->list.v[i].set = fieldset_difference(&w->a, w->list.v[i].set, gone);
}

/* manager changed these fields. What it had stays its own as far as it is still there; a set that
 * holds them all already is not made anew. */
static void give(struct write *w, const char *manager, const struct typed_changes *c)
{
    struct managed_entry like = entry_of(w, manager, false);
    struct managed_entry *have = managed_find(&w->list, &like);
    const struct fieldset *took =
        fieldset_difference(&w->a, fieldset_union(&w->a, c->modified, c->added), &managed_never);

    take_away(w, c, have);
    if (have) {
        have->set = fieldset_union(&w->a, fieldset_difference(&w->a, have->set, c->removed), took);
    } else if (took) {
        like.set = took;
        have = managed_add(&w->list, &like);
    }
    if (took)
        have->time = w->by->now;
    managed_prune(&w->list, w->kind);
    managed_cap(&w->list);
}

/* ---- update ---- */

/* [{}] and []: the client wants the object to be tracked no longer. */
static bool is_reset(const json_t *list)
{
    const json_t *only = json_array_get(list, 0);

    return json_is_array(list) &&
           (json_array_size(list) == 0 ||
            (json_array_size(list) == 1 && json_is_object(only) && json_object_size(only) == 0));
}

/* The client's own entries count if it sent any that can be read (not through a subresource), else
 * the live object's: who does not know of them must not lose them. */
static void read_entries(struct write *w, const json_t *live, const json_t *sent)
{
    const json_t *own = json_object_get(json_object_get(live, "metadata"), "managedFields");
    struct err ignored;

    if (!*w->by->subresource && sent) {
        if (is_reset(sent))
            return;
        if (!json_equal((json_t *)sent, (json_t *)own) &&
            !managed_read(&w->list, sent, false, &ignored) && w->list.n)
            return;
    }
    err_ignore(managed_read(&w->list, own, true, &ignored)); /* none then, as upstream */
}

void managed_update(const struct schema_kind *k, const struct managed_by *by, const json_t *live,
                    json_t *obj)
{
    json_auto_t *sent = json_incref(json_object_get(meta_of(obj), "managedFields"));
    struct typed_changes c;
    struct write w;

    write_init(&w, k, by);
    read_entries(&w, live, sent);
    json_object_del(meta_of(obj), "managedFields");
    if (w.list.n || (!live && !k->ephemeral)) {
        changes_of(&w, live, obj, &c);
        give(&w, by->manager, &c);
        set_list(&w, obj);
    }
    arena_deinit(&w.a);
}

/* ---- conflicts ---- */

/* `"kubectl" with subresource "status" using v1` (internal/conflict.go, printManager) */
static char *name_of(const struct managed_entry *m)
{
    auto_free char *sub =
        *m->subresource ? mem_printf(" with subresource \"%s\"", m->subresource) : mem_strdup("");

    return m->applied ? mem_printf("\"%s\"%s", m->manager, sub)
                      : mem_printf("\"%s\"%s using %s", m->manager, sub, m->api_version);
}

struct conflicts {
    json_t *causes;
    struct buf text; /* "conflicts with "x":\n- .a\n- .b\nconflicts with ..." */
    char *manager;
};

static void add_conflict(void *arg, const char *path)
{
    struct conflicts *c = arg;

    err_ignore(buf_addf(&c->text, "\n- %s", path)); /* cut where nobody reads on */
    status_cause_add(c->causes, "FieldManagerConflict", path, "conflict with %s", c->manager);
}

static int by_manager(const void *a, const void *b)
{
    const struct managed_entry *x = *(struct managed_entry *const *)a,
                               *y = *(struct managed_entry *const *)b;
    int d = strcmp(x->manager, y->manager);

    return d ? d : (int)x->applied - (int)y->applied;
}

/* Others' fields that c changes; allowed ones left out. NULL: none. */
static json_t *conflict_status(struct write *w, const struct typed_changes *c,
                               const struct managed_entry *self, const struct fieldset *allowed)
{
    const struct fieldset *changed = fieldset_union(&w->a, c->modified, c->added);
    struct managed_entry **sorted =
        arena_alloc(&w->a, (w->list.n + 1) * sizeof(struct managed_entry *));
    struct conflicts all = { .causes = json_array(), .text = BUF(64 * 1024) };
    json_t *s = NULL;

    for (size_t i = 0; i < w->list.n; i++)
        sorted[i] = &w->list.v[i];
    qsort(sorted, w->list.n, sizeof *sorted, by_manager);
    for (size_t i = 0; i < w->list.n; i++) {
        const struct fieldset *both = fieldset_difference(
            &w->a, fieldset_intersection(&w->a, sorted[i]->set, changed), allowed);

        if (!both || sorted[i] == self || !managed_is_same_form(w->kind, sorted[i]->api_version))
            continue;
        all.manager = name_of(sorted[i]);
        err_ignore(
            buf_addf(&all.text, "%sconflicts with %s:", all.text.n ? "\n" : "", all.manager));
        fieldset_each(both, add_conflict, &all);
        free(all.manager);
    }
    size_t n = json_array_size(all.causes);
    const json_t *only = json_array_get(all.causes, 0);
    if (n == 1)
        s = status_new(STATUS_CONFLICT, "Apply failed with 1 conflict: %s: %s",
                       json_str_at(only, "message", ""), json_str_at(only, "field", ""));
    else if (n)
        s = status_new(STATUS_CONFLICT, "Apply failed with %zu conflicts: %s", n,
                       buf_cstr(&all.text));
    if (s)
        json_object_set_new(s, "details", json_pack("{s:O}", "causes", all.causes));
    json_decref(all.causes);
    buf_deinit(&all.text);
    return s;
}

/* ---- apply ---- */

/* Not one of the API's own errors: no reason, as upstream answers then. */
static json_t *failed(const char *what, const json_t *config, const char *why)
{
    const char *api = json_str_at(config, "apiVersion", "");
    json_t *s = status_new(STATUS_INTERNAL_ERROR, "failed to %s (%s/%s; %s%s, Kind=%s): %s", what,
                           meta_namespace(config), meta_name(config), strchr(api, '/') ? "" : "/",
                           api, json_str_at(config, "kind", ""), why);

    json_object_del(s, "reason");
    return s;
}

static json_t *check_config(const struct write *w, const json_t *config)
{
    const char *api = json_str_at(config, "apiVersion", ""),
               *kind = json_str_at(config, "kind", "");
    auto_buf problems = BUF(64 * 1024);

    if (strcmp(api, w->api_version) != 0 || strcmp(kind, w->kind->kind) != 0)
        return status_new(STATUS_BAD_REQUEST, "invalid object type: %s%s, Kind=%s",
                          strchr(api, '/') ? "" : "/", api, kind);
    if (json_object_get(json_object_get(config, "metadata"), "managedFields"))
        return status_new(STATUS_BAD_REQUEST, "metadata.managedFields must be nil");
    typed_check(&problems, w->kind->type, config);
    return problems.n ? failed("create typed patch object", config, buf_cstr(&problems)) : NULL;
}

static const struct fieldset *all_fields(struct write *w, const json_t *v)
{
    return typed_named(&w->a, w->kind->type, typed_fields(&w->a, w->kind->type, v));
}

/* merged without what last owned and nobody owns now (merge/update.go, prune): what it owned goes;
 * what others own comes back, and so does what lay there without an owner. */
static json_t *pruned(struct write *w, json_t *merged_take, const struct fieldset *last)
{
    const struct schema_type *t = w->kind->type;
    json_auto_t *merged = merged_take, *less = NULL;
    const struct fieldset *named = typed_named(&w->a, t, last), *owned = NULL, *all, *gone;

    if (!last)
        return json_incref(merged);
    for (size_t i = 0; i < w->list.n; i++)
        if (managed_is_same_form(w->kind, w->list.v[i].api_version))
            owned = fieldset_union(&w->a, owned, w->list.v[i].set);
    less = typed_remove(t, merged, named);
    all = all_fields(w, merged);
    gone = fieldset_difference(
        &w->a, all, fieldset_union(&w->a, all_fields(w, less), typed_named(&w->a, t, owned)));
    json_decref(less);
    less = typed_remove(t, merged, gone);
    gone =
        fieldset_intersection(&w->a, fieldset_difference(&w->a, all, all_fields(w, less)), named);
    return typed_remove(t, merged, gone);
}

/* The client-side apply's annotation, as far as the object still is what it says: its fields may be
 * taken over by kubectl's first server-side apply (internal/lastappliedmanager.go). */
static const struct fieldset *last_applied(struct write *w, const json_t *live)
{
    json_auto_t *last = NULL;
    auto_buf problems = BUF(64 * 1024);
    struct typed_changes c;
    struct err ignored;

    if (json_parse(&last, str_of(meta_annotation(live, LAST_APPLIED)), &ignored) ||
        strcmp(json_str_at(last, "apiVersion", ""), w->api_version) != 0)
        return NULL;
    typed_check(&problems, w->kind->type, last);
    if (problems.n)
        return NULL;
    typed_compare(&c, &w->a, w->kind->type, last, live);
    const struct fieldset *s = typed_fields(&w->a, w->kind->type, last);
    s = fieldset_difference(&w->a, s, c.modified);
    s = fieldset_difference(&w->a, s, c.added);
    return fieldset_difference(&w->a, s, c.removed);
}

/* internal/lastappliedupdater.go: the annotation says what was applied last, if it is there. */
static void update_last_applied(json_t *obj, const json_t *config)
{
    json_t *annotations = json_object_get(json_object_get(obj, "metadata"), "annotations"), *v;
    json_auto_t *copy = json_deep_copy(config);
    const char *key;
    size_t n = 0;

    if (!*meta_annotation(obj, LAST_APPLIED))
        return;
    json_object_del(json_object_get(json_object_get(copy, "metadata"), "annotations"),
                    LAST_APPLIED);
    auto_free char *text = json_text_sorted(copy);
    auto_free char *line = mem_printf("%s\n", text);
    json_object_set_new(annotations, LAST_APPLIED, json_string(line));
    json_object_foreach(annotations, key, v) n += strlen(key) + json_string_length(v);
    if (n > ANNOTATIONS_MAX_BYTES)
        json_object_del(annotations, LAST_APPLIED);
}

/* The live object that nobody is known to have written belongs to "before-first-apply". */
static void adopt(struct write *w, const json_t *live)
{
    struct typed_changes c;

    changes_of(w, NULL, live, &c);
    give(w, "before-first-apply", &c);
}

static json_t *apply(struct write *w, json_t **out, bool force, const json_t *live,
                     const json_t *config)
{
    struct managed_entry like = entry_of(w, w->by->manager, true), *self;
    json_auto_t *none = live ? NULL : json_object(), *made = NULL;
    const struct fieldset *reset, *last, *allowed = NULL;
    struct typed_changes c;
    json_t *refused = NULL;

    if (live && !w->list.n)
        adopt(w, live);
    self = managed_find(&w->list, &like);
    last = self ? self->set : NULL;
    if (self && !managed_is_same_form(w->kind, self->api_version))
        last = NULL; /* of a version that is gone */
    if (!self)
        self = managed_add(&w->list, &like);
    reset = managed_reset(w->kind, w->by->subresource);
    *self = (struct managed_entry){
        .manager = like.manager,
        .api_version = like.api_version,
        .subresource = like.subresource,
        .time = self->time,
        .set = fieldset_difference_deep(&w->a, typed_fields(&w->a, w->kind->type, config), reset),
        .as_read = self->as_read,
        .as_read_time = self->as_read_time,
        .json = self->json,
        .applied = true,
    };
    made = pruned(w, typed_merge(w->kind->type, live ? live : none, config), last);
    changes_of(w, live, made, &c);
    if (!force) {
        if (live && strcmp(w->by->manager, KUBECTL) == 0)
            allowed = last_applied(w, live);
        refused = conflict_status(w, &c, self, allowed);
    }
    if (refused)
        return refused;
    take_away(w, &c, self);
    self->set = fieldset_difference(&w->a, self->set, &managed_never);
    if (!live || !json_equal(made, (json_t *)live))
        self->time = w->by->now;
    managed_prune(&w->list, w->kind);
    if (strcmp(w->by->manager, KUBECTL) == 0)
        update_last_applied(made, config);
    set_list(w, made);
    *out = json_incref(made);
    return NULL;
}

json_t *managed_apply(json_t **out, const struct schema_kind *k, const struct managed_by *by,
                      bool force, const json_t *live, const json_t *config)
{
    struct write w;
    json_t *s;
    struct err e;

    write_init(&w, k, by);
    s = check_config(&w, config);
    if (!s &&
        managed_read(&w.list, json_object_get(json_object_get(live, "metadata"), "managedFields"),
                     true, &e)) {
        s = status_new(STATUS_INTERNAL_ERROR, "failed to decode managed fields: %s", e.text);
        json_object_del(s, "reason");
    }
    if (!s)
        s = apply(&w, out, force, live, config);
    arena_deinit(&w.a);
    return s;
}

/* ---- times ---- */

static bool same_but(const json_t *a, const json_t *b, const char *x, const char *y)
{
    const char *key;
    json_t *v;

    for (int turn = 0; turn < 2; turn++) {
        json_object_foreach((json_t *)(turn ? b : a), key, v)
        {
            if (strcmp(key, x) != 0 && strcmp(key, y) != 0 &&
                !json_equal(v, json_object_get(turn ? a : b, key)))
                return false;
        }
    }
    return true;
}

static bool same_but_times(const json_t *a, const json_t *b)
{
    const json_t *entry;
    size_t i;

    if (json_array_size(a) != json_array_size(b))
        return false;
    json_array_foreach(a, i, entry)
    {
        if (!same_but(entry, json_array_get(b, i), "time", "time"))
            return false;
    }
    return true;
}

void managed_settle(json_t *obj, const json_t *live)
{
    json_t *meta = json_object_get(obj, "metadata");
    const json_t *was = json_object_get(live, "metadata");
    json_t *list = json_object_get(meta, "managedFields"),
           *old = json_object_get(was, "managedFields");

    /* the objects first: a write mostly changes them, and their difference is found sooner */
    if (list && old && same_but(obj, live, "metadata", "metadata") &&
        same_but(meta, was, "managedFields", "resourceVersion") && same_but_times(list, old))
        json_object_set(meta, "managedFields", old);
}
