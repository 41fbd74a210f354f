/* DeleteOptions: read, checked, and what they mean for an object's finalizers. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/remove.h"
#include "server/schema/decode.h"

#define ORPHAN     "orphan"
#define FOREGROUND "foregroundDeletion"

static void from_query(struct api_req *r)
{
    const struct params *p = &r->params;
    auto_buf orphan = BUF(64);
    struct str path, query;

    if (p->grace_period_s >= 0)
        json_object_set_new(r->opts, "gracePeriodSeconds", json_integer(p->grace_period_s));
    if (*p->propagation_policy)
        json_object_set_new(r->opts, "propagationPolicy", json_string(p->propagation_policy));
    str_cut(str_of(r->target), '?', &path, &query);
    if (url_query_get(&orphan, query, "orphanDependents") == 0) {
        bool no =
            strcmp(buf_cstr(&orphan), "0") == 0 || str_eq_nocase(buf_str(&orphan), STR("false"));

        json_object_set_new(r->opts, "orphanDependents", json_boolean(!no));
    }
}

/* False: answered. */
static bool from_body(struct api_req *r, const struct schema_type *t)
{
    const char *kind = json_str_at(r->opts, "kind", "");
    struct err e;

    if (*kind && strcmp(kind, "DeleteOptions") != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the body of a delete must be DeleteOptions, not %s", kind));
        return false;
    }
    json_object_del(r->opts, "kind");
    json_object_del(r->opts, "apiVersion");
    if (decode_value(t, r->opts, (struct str){ 0 }, DECODE_IGNORE, &r->notes, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    return true;
}

/* apimachinery/pkg/apis/meta/v1/validation, ValidateDeleteOptions. False: answered. */
static bool check(struct api_req *r)
{
    const struct field_path *p = FIELD_AT(NULL, "propagationPolicy");
    const char *policy = json_str_at(r->opts, "propagationPolicy", NULL);
    auto_field_errors fe = { 0 };
    json_t *dry, *list = json_object_get(r->opts, "dryRun");
    size_t i;

    if (policy && json_object_get(r->opts, "orphanDependents"))
        field_invalid(&fe, p, policy,
                      "orphanDependents and deletionPropagation cannot be both set");
    if (policy && strcmp(policy, "Background") != 0 && strcmp(policy, "Foreground") != 0 &&
        strcmp(policy, "Orphan") != 0)
        field_add(&fe, FIELD_NOT_SUPPORTED, p,
                  "Unsupported value: \"%.64s\": supported values: \"Foreground\", \"Background\", "
                  "\"Orphan\", \"nil\"",
                  policy);
    json_array_foreach(list, i, dry)
    {
        if (strcmp(json_string_value(dry), "All") != 0)
            field_add(&fe, FIELD_NOT_SUPPORTED, FIELD_AT(NULL, "dryRun"),
                      "Unsupported value: []string{\"%.64s\"}: supported values: \"All\"",
                      json_string_value(dry));
    }
    if (fe.n)
        req_invalid_as(r, "meta.k8s.io", "DeleteOptions", "", &fe);
    return fe.n == 0;
}

bool remove_options(struct api_req *r)
{
    const struct schema_type *t = schema_builtin_type("meta/v1", "DeleteOptions");

    if (!write_body(r, t, false))
        return false;
    buf_deinit(&r->body);
    r->opts = r->in ? r->in : json_object();
    if (!r->in)
        from_query(r);
    else if (r->in = NULL, !from_body(r, t))
        return false;
    if (!check(r))
        return false;
    if (json_i64_at(r->opts, "gracePeriodSeconds", 0) < 0)
        json_object_set_new(r->opts, "gracePeriodSeconds", json_integer(1)); /* as upstream */
    if (json_array_size(json_object_get(r->opts, "dryRun")))
        r->params.dry_run = true;
    return true;
}

/* ---- what becomes of the dependents ---- */

enum propagation { BACKGROUND_, FOREGROUND_, ORPHAN_, NO_COLLECTION };

/* The kinds whose strategies have a DefaultGarbageCollectionPolicy of their own. */
static enum propagation default_of(const struct schema_kind *k)
{
    static const struct {
        const char *group, *plural;
        enum propagation p;
    } own[] = {
        { "batch", "jobs", ORPHAN_ }, /* of batch/v1, for old clients' sake */
        { "", "replicationcontrollers", ORPHAN_ },
        { "", "events", NO_COLLECTION },
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(own[i].plural, k->plural) == 0 && strcmp(own[i].group, k->group) == 0)
            return own[i].p;
    return BACKGROUND_;
}

static enum propagation propagation_of(const struct schema_kind *k, const json_t *obj,
                                       const json_t *opts)
{
    const json_t *orphan = json_object_get(opts, "orphanDependents");
    const char *policy = json_str_at(opts, "propagationPolicy", "");
    enum propagation deflt = default_of(k);
    json_t *f;
    size_t i;

    if (deflt == NO_COLLECTION)
        return deflt;
    if (json_is_boolean(orphan))
        return json_is_true(orphan) ? ORPHAN_ : BACKGROUND_;
    if (*policy)
        return strcmp(policy, "Orphan") == 0       ? ORPHAN_
               : strcmp(policy, "Foreground") == 0 ? FOREGROUND_
                                                   : BACKGROUND_;
    json_array_foreach(json_at(obj, "metadata.finalizers"), i, f)
    {
        if (strcmp(json_string_value(f), ORPHAN) == 0)
            return ORPHAN_;
        if (strcmp(json_string_value(f), FOREGROUND) == 0)
            return FOREGROUND_;
    }
    return deflt;
}

bool remove_set_finalizers(const struct schema_kind *k, json_t *obj, const json_t *opts)
{
    enum propagation p = propagation_of(k, obj, opts);
    const char *want = p == ORPHAN_ ? ORPHAN : p == FOREGROUND_ ? FOREGROUND : NULL;
    json_t *old = json_at(obj, "metadata.finalizers"), *out = json_array(), *f;
    bool had = false, changed = false;
    size_t i;

    json_array_foreach(old, i, f)
    {
        const char *name = json_string_value(f);
        bool ours = strcmp(name, ORPHAN) == 0 || strcmp(name, FOREGROUND) == 0;

        had = had || (want && strcmp(name, want) == 0);
        changed = changed || (ours && (!want || strcmp(name, want) != 0));
        if (!ours)
            json_array_append(out, f);
    }
    changed = changed || (want && !had);
    if (want)
        json_array_append_new(out, json_string(want));
    if (changed && json_array_size(out))
        json_object_set(meta_of(obj), "finalizers", out);
    else if (changed)
        json_object_del(meta_of(obj), "finalizers");
    json_decref(out);
    return changed;
}
