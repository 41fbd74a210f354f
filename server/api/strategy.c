/*
 * Strategy: what each endpoint lets a write change (pkg/registry/<group>/<kind>/strategy.go). The
 * object keeps its status; status keeps the spec; the small ones change one thing each: finalize a
 * Namespace's spec.finalizers, ephemeralcontainers a Pod's list of them, approval the conditions of
 * a CertificateSigningRequest, whose request nobody changes once it is made.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/api/write.h"

static bool sub_is(const struct api_req *r, const char *name)
{
    return r->sub && strcmp(r->sub->name, name) == 0;
}

static bool kind_is(const struct api_req *r, const char *group, const char *plural)
{
    return strcmp(r->kind->plural, plural) == 0 && strcmp(r->kind->group, group) == 0;
}

static bool is_csr(const struct api_req *r)
{
    return kind_is(r, "certificates.k8s.io", "certificatesigningrequests");
}

bool strategy_differs(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;

    for (int turn = 0; turn < 2; turn++) {
        json_object_foreach((json_t *)(turn ? b : a), key, v)
        {
            if (strcmp(key, "metadata") == 0 || strcmp(key, "status") == 0 ||
                strcmp(key, "kind") == 0 || strcmp(key, "apiVersion") == 0)
                continue;
            if (!json_equal(v, json_object_get(turn ? a : b, key)))
                return true;
        }
    }
    return false;
}

/* to[key] is from's, or absent as there. */
static void take(json_t *to, const json_t *from, const char *key)
{
    json_t *v = json_object_get(from, key);

    if (v)
        json_object_set(to, key, v);
    else
        json_object_del(to, key);
}

static json_t *object_at(json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);

    if (!json_is_object(v)) {
        v = json_object();
        json_object_set_new(obj, key, v);
    }
    return v;
}

/* ---- metadata ---- */

/* apimachinery/pkg/apis/meta/v1, ResetObjectMetaForStatus */
static void keep_meta(json_t *meta, const json_t *old)
{
    static const char *const kept[] = { "labels", "annotations", "finalizers", "ownerReferences" };

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        take(meta, old, kept[i]);
}

/* What the status endpoints of 1.32 keep of the metadata, beyond what every update keeps. */
static void keep_status_meta(const struct api_req *r, json_t *meta, const json_t *old)
{
    static const struct {
        const char *group, *plural;
        const char *only; /* one member; NULL: all that can be kept */
    } kept[] = {
        { "", "pods", "ownerReferences" }, /* old kubelets broke them */
        { "apps", "deployments", "labels" },
        { "admissionregistration.k8s.io", "validatingadmissionpolicies", NULL },
        { "apiextensions.k8s.io", "customresourcedefinitions", NULL },
        { "apiregistration.k8s.io", "apiservices", NULL },
        { "flowcontrol.apiserver.k8s.io", "flowschemas", NULL },
        { "flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", NULL },
        { "storage.k8s.io", "volumeattachments", NULL },
    };

    if (!schema_is_builtin(r->kind)) {
        keep_meta(meta, old);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (!kind_is(r, kept[i].group, kept[i].plural))
            continue;
        if (kept[i].only)
            take(meta, old, kept[i].only);
        else
            keep_meta(meta, old);
    }
}

/* ---- certificate signing requests ---- */

static bool is_verdict(const json_t *condition)
{
    const char *type = json_str_at(condition, "type", "");

    return strcmp(type, "Approved") == 0 || strcmp(type, "Denied") == 0;
}

static const json_t *condition_of(const json_t *list, const char *type)
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

/* Status is for the signer: verdicts that are there stay as they were. One that comes or goes is
 * refused (server/schema/validate_csr.c). */
static void keep_verdicts(json_t *status, const json_t *old)
{
    json_t *list = json_object_get(status, "conditions"), *c;
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        c = json_array_get(list, i);
        const json_t *was =
            condition_of(json_object_get(old, "conditions"), json_str_at(c, "type", ""));

        if (was && is_verdict(c))
            json_array_set(list, i, (json_t *)(uintptr_t)was);
    }
}

/* Conditions without times get them. */
static void time_conditions(json_t *status, const json_t *old)
{
    json_t *c, *list = json_deep_copy(json_object_get(status, "conditions"));
    char now[TIME_TEXT_BYTES];
    size_t i;

    if (!list)
        return;
    time_text_s(now, clock_wall_s());
    json_array_foreach(list, i, c)
    {
        const json_t *was =
            condition_of(json_object_get(old, "conditions"), json_str_at(c, "type", ""));
        bool same =
            was && strcmp(json_str_at(was, "status", ""), json_str_at(c, "status", "")) == 0;

        if (!*json_str_at(c, "lastUpdateTime", ""))
            json_object_set_new(c, "lastUpdateTime", json_string(now));
        if (!*json_str_at(c, "lastTransitionTime", ""))
            json_object_set_new(
                c, "lastTransitionTime",
                json_string(same ? json_str_at(was, "lastTransitionTime", now) : now));
    }
    json_object_set_new(status, "conditions", list);
}

static json_t *groups_of(const struct identity *id)
{
    json_t *groups = json_array();

    for (size_t i = 0; i < id->n_groups; i++)
        json_array_append_new(groups, json_string(id->groups[i]));
    return groups;
}

void strategy_create(struct api_req *r, json_t *obj)
{
    if (!is_csr(r))
        return;
    json_t *spec = object_at(obj, "spec");
    json_object_set_new(spec, "username", json_string(r->id->user));
    json_object_set_new(spec, "groups", groups_of(r->id));
    json_object_del(spec, "uid");
    json_object_del(spec, "extra");
    if (r->id->uid)
        json_object_set_new(spec, "uid", json_string(r->id->uid));
    if (r->id->extra)
        json_object_set_new(spec, "extra", json_deep_copy(r->id->extra));
}

/* ---- the endpoints ---- */

static void put_finalizers(json_t *whole, const json_t *obj)
{
    json_t *f = json_object_get(json_object_get(obj, "spec"), "finalizers");
    json_t *spec = object_at(whole, "spec");

    if (json_array_size(f))
        json_object_set(spec, "finalizers", f);
    else
        json_object_del(spec, "finalizers");
}

json_t *strategy_update(struct api_req *r, json_t *obj_take)
{
    json_auto_t *obj = obj_take;

    if (!r->sub) {
        if (is_csr(r))
            take(obj, r->old_doc, "spec");
        if (schema_find_sub(r->kind, STR("status")))
            take(obj, r->old_doc, "status");
        return STEAL(obj);
    }
    json_t *whole = json_deep_copy(r->old_doc);
    json_t *meta = json_object_get(obj, "metadata");
    const json_t *old_meta = json_object_get(r->old_doc, "metadata");
    const json_t *old_status = json_object_get(r->old_doc, "status");

    if (sub_is(r, "finalize")) {
        put_finalizers(whole, obj);
        return whole;
    }
    if (sub_is(r, "status")) {
        keep_status_meta(r, meta, old_meta);
        take(whole, obj, "status");
        if (is_csr(r)) {
            keep_verdicts(object_at(whole, "status"), old_status);
            time_conditions(object_at(whole, "status"), old_status);
        }
    } else if (sub_is(r, "ephemeralcontainers")) {
        keep_meta(meta, old_meta);
        take(object_at(whole, "spec"), json_object_get(obj, "spec"), "ephemeralContainers");
    } else if (sub_is(r, "approval")) {
        take(object_at(whole, "status"), json_object_get(obj, "status"), "conditions");
        time_conditions(object_at(whole, "status"), old_status);
    }
    json_object_set(whole, "metadata", meta);
    return whole;
}
