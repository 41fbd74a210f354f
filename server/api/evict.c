/*
 * Evict: deletes a pod if the PodDisruptionBudget that covers it allows one disruption more, which
 * it takes from the budget first (pkg/registry/core/pod/storage/eviction.go, 1.32).
 *
 *   START --> READ (pod) --------------------------------------+--> condition --> delete -->
 * (answer) ^    \--> list (budgets) --> take one from it --+                     | |
 * ^-----------------(lost race)---/                      |
 *               +------------------------(lost race, no version was named)-----------+
 * (the request stays in READ all the while: what it waits for are calls of its own)
 *
 * A pod that has not started or has ended asks no budget. One that is not ready is no loss while
 * the budget has enough healthy ones, or if the budget says so; then nothing may happen to the pod
 * between our look and its delete. What follows the look are calls of our own to the API, as
 * system:masters: who may evict need not be allowed to delete.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/http/url.h"
#include "base/kube/metadata.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/api/local.h"
#include "server/api/write.h"
#include "server/resource/disruption.h"

#include <inttypes.h>

#define TRIES_MAX     20   /* upstream's EvictionsRetry */
#define DISRUPTED_MAX 2000 /* upstream's MaxDisruptedPodSize */
#define RETRY_AFTER_S 10

#define VIOLATES "Cannot evict pod as it would violate the pod's disruption budget."

static const struct schema_kind *budgets(const struct api_req *r)
{
    return schema_find(r->api->schema, STR("policy"), STR("v1"), STR("poddisruptionbudgets"));
}

/* ---- the body ---- */

static void start(struct api_req *r)
{
    struct schema_kind k = { .group = "policy",
                             .version = "v1",
                             .kind = "Eviction",
                             .plural = "evictions",
                             .namespaced = true,
                             .type = schema_builtin_type("policy/v1", "Eviction") };

    if (!write_body(r, k.type, true))
        return;
    if (strcmp(json_str_at(r->in, "apiVersion", ""), "policy/v1beta1") == 0) /* kubectl 1.21 */
        json_object_set_new(r->in, "apiVersion", json_string("policy/v1"));
    if (!write_decode(r, &k, r->in, write_raw_json(r)) || !write_check_namespace(r, r->in))
        return;
    buf_deinit(&r->body);
    r->name = mem_strdup(r->route.name);
    if (strcmp(meta_name(r->in), r->name) != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "name in URL does not match name in Eviction object"));
        return;
    }
    r->opts = json_deep_copy(json_object_get(r->in, "deleteOptions"));
    if (!r->opts)
        r->opts = json_object();
    if (json_array_size(json_object_get(r->opts, "dryRun")))
        r->params.dry_run = true;
    else if (r->params.dry_run)
        json_object_set_new(r->opts, "dryRun", json_pack("[s]", "All"));
    r->key = resource_key(r->kind, req_ns(r), r->name);
    req_read(r);
}

static const char *asked_version(const struct api_req *r)
{
    return json_str_at(r->in, "deleteOptions.preconditions.resourceVersion", NULL);
}

/* Only the pod that we looked at may be deleted. */
static void fix_version(struct api_req *r, const char *version)
{
    json_t *p = json_object_get(r->opts, "preconditions");

    if (!p) {
        p = json_object();
        json_object_set_new(r->opts, "preconditions", p);
    }
    json_object_set_new(p, "resourceVersion", json_string(version));
}

/* ---- the pod goes ---- */

static json_t *in_process(const char *budget)
{
    json_t *s = status_too_many_requests(VIOLATES, RETRY_AFTER_S), *causes = json_array();

    status_cause_add(causes, "DisruptionBudget", "",
                     "The disruption budget %s is still being processed by the server.", budget);
    json_object_set_new(json_object_get(s, "details"), "causes", causes);
    return s;
}

static void read_again(struct api_req *r)
{
    json_object_del(json_object_get(r->opts, "preconditions"), "resourceVersion");
    if (asked_version(r))
        fix_version(r, asked_version(r));
    req_read(r);
}

/* The pod could not be deleted. */
static void failed(struct api_req *r, int code, const json_t *status)
{
    bool ours = json_at(r->opts, "preconditions.resourceVersion") && !asked_version(r);

    if (code == 409 && ours && r->obj) /* the pod may have become ready: its budget counts */
        req_status(r, in_process(meta_name(r->obj)));
    else if (code == 409 && !asked_version(r) && ++r->n_tries < TRIES_MAX)
        read_again(r);
    else
        req_status(r, json_incref((json_t *)status));
}

static void on_deleted(void *arg, int code, json_t *doc)
{
    struct api_req *r = arg;

    if (!write_call_ended(r))
        return;
    if (code < 400)
        write_success(r);
    else
        failed(r, code, doc);
}

static void delete_pod(struct api_req *r)
{
    auto_buf target = BUF(HTTP_TARGET_MAX_BYTES);

    if (buf_adds(&target, "/api/v1/namespaces/") || url_encode(&target, str_of(req_ns(r))) ||
        buf_adds(&target, "/pods/") || url_encode(&target, str_of(r->name))) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR, "name is too long to delete"));
        return;
    }
    r->n_pending++;
    api_call(r->api, identity_masters(), "DELETE", buf_cstr(&target), NULL, r->opts, on_deleted, r);
}

static void on_marked(void *arg, int code, const json_t *pod, const struct err *e)
{
    struct api_req *r = arg;

    if (!write_call_ended(r))
        return;
    if (e) {
        failed(r, code, pod); /* a lost race, or it is gone */
        return;
    }
    if (json_at(r->opts, "preconditions.resourceVersion"))
        fix_version(r, meta_str(pod, "resourceVersion"));
    delete_pod(r);
}

/* Its condition DisruptionTarget says why it ends. */
static void mark_pod(struct api_req *r)
{
    struct local_ref ref = {
        .resource = "pods", .ns = req_ns(r), .name = r->name, .subresource = "status"
    };
    const char *version = json_str_at(r->opts, "preconditions.resourceVersion", NULL);
    const char *uid = json_str_at(r->opts, "preconditions.uid", NULL);
    bool says_so = disruption_is_target(r->old_doc);
    char now[TIME_TEXT_BYTES];

    if (says_so || r->params.dry_run || (uid && strcmp(uid, meta_uid(r->old_doc)) != 0)) {
        delete_pod(r); /* which also refuses another pod of that name */
        return;
    }
    time_now_s(now);
    json_auto_t *patch = json_pack(
        "{s:{s:s}, s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "metadata", "uid", meta_uid(r->old_doc),
        "status", "conditions", "type", "DisruptionTarget", "status", "True", "reason",
        "EvictionByEvictionAPI", "message", "Eviction API: evicting", "lastTransitionTime", now);
    if (version)
        json_object_set_new(json_object_get(patch, "metadata"), "resourceVersion",
                            json_string(version));
    r->n_pending++;
    local_patch(r->api, &ref, LOCAL_PATCH_STRATEGIC, patch, on_marked, r);
}

/* ---- the budget ---- */

static void list_budgets(struct api_req *r);

static void on_taken(void *arg, int code, const json_t *budget, const struct err *e)
{
    struct api_req *r = arg;

    (void)code;
    if (!write_call_ended(r))
        return;
    if (!e) {
        json_decref(r->obj);
        r->obj = NULL; /* the budget has agreed */
        mark_pod(r);
    } else if (e->code != ERR_CONFLICT) {
        req_status(r, json_incref((json_t *)budget));
    } else if (++r->n_tries < TRIES_MAX) {
        list_budgets(r);
    } else {
        req_status(r, status_new(STATUS_TIMEOUT,
                                 "Timeout: couldn't update PodDisruptionBudget \"%s\" due to "
                                 "conflicts",
                                 meta_name(r->obj)));
    }
}

/* r->obj is the budget. NULL: one may go. */
static json_t *refusal(const struct api_req *r)
{
    const json_t *status = json_object_get(r->obj, "status");
    int64_t allowed = json_i64_at(status, "disruptionsAllowed", 0);
    json_t *s, *causes;

    if (json_i64_at(status, "observedGeneration", 0) < meta_generation(r->obj))
        return in_process(meta_name(r->obj));
    if (allowed < 0)
        return status_forbidden("policy", "poddisruptionbudget", meta_name(r->obj),
                                "pdb disruptions allowed is negative");
    if (json_object_size(json_object_get(status, "disruptedPods")) > DISRUPTED_MAX)
        return status_forbidden("policy", "poddisruptionbudget", meta_name(r->obj),
                                "DisruptedPods map too big - too many evictions not confirmed by "
                                "PDB controller");
    if (allowed)
        return NULL;
    s = status_too_many_requests(VIOLATES, 0);
    causes = json_array();
    status_cause_add(causes, "DisruptionBudget", "",
                     "The disruption budget %s needs %" PRId64 " healthy pods and has %" PRId64
                     " currently",
                     meta_name(r->obj), json_i64_at(status, "desiredHealthy", 0),
                     json_i64_at(status, "currentHealthy", 0));
    json_object_set_new(json_object_get(s, "details"), "causes", causes);
    return s;
}

static void take_one(struct api_req *r)
{
    struct local_ref ref = { .group = "policy",
                             .resource = "poddisruptionbudgets",
                             .ns = req_ns(r),
                             .name = meta_name(r->obj),
                             .subresource = "status" };
    json_t *refused = refusal(r);
    char now[TIME_TEXT_BYTES];

    if (refused) {
        req_status(r, refused);
        return;
    }
    if (r->params.dry_run) {
        delete_pod(r);
        return;
    }
    json_t *status = json_object_get(r->obj, "status");
    json_t *disrupted = json_object_get(status, "disruptedPods");
    int64_t left = json_i64_at(status, "disruptionsAllowed", 0) - 1;

    if (!disrupted) {
        disrupted = json_object();
        json_object_set_new(status, "disruptedPods", disrupted);
    }
    time_now_s(now);
    json_object_set_new(disrupted, r->name, json_string(now));
    json_object_set_new(status, "disruptionsAllowed", json_integer(left));
    if (left == 0)
        disruption_set_condition(status, now);
    r->n_pending++;
    local_update(r->api, &ref, r->obj, on_taken, r);
}

/* A pod that is not ready: is it no loss? */
static bool is_no_loss(const struct api_req *r)
{
    int64_t desired = json_i64_at(r->obj, "status.desiredHealthy", 0);

    if (disruption_pod_is_ready(r->old_doc))
        return false;
    return strcmp(json_str_at(r->obj, "spec.unhealthyPodEvictionPolicy", ""), "AlwaysAllow") == 0 ||
           (json_i64_at(r->obj, "status.currentHealthy", 0) >= desired && desired > 0);
}

static void on_budgets(void *arg, const struct store_list *l, const struct err *e)
{
    struct api_req *r = arg;
    const struct schema_kind *k = budgets(r);
    size_t n = 0;

    if (!write_call_ended(r))
        return;
    if (e) {
        req_err(r, e);
        return;
    }
    json_decref(r->obj);
    r->obj = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const json_t *budget = req_parsed(r->api, l->v[i], k);

        if (!budget || !disruption_covers(budget, r->old_doc))
            continue;
        if (!n++)
            r->obj = json_deep_copy(budget);
    }
    if (n > 1) {
        json_t *s = status_new(STATUS_INTERNAL_ERROR,
                               "This pod has more than one PodDisruptionBudget, which the eviction "
                               "subresource does not support.");

        json_object_del(s, "reason"); /* as upstream's */
        req_status(r, s);
    } else if (!n) {
        mark_pod(r);
    } else if (is_no_loss(r)) {
        if (!asked_version(r))
            fix_version(r, meta_str(r->old_doc, "resourceVersion"));
        mark_pod(r);
    } else {
        take_one(r);
    }
}

static void list_budgets(struct api_req *r)
{
    const struct schema_kind *k = budgets(r);

    if (!k) { /* none can be */
        mark_pod(r);
        return;
    }
    auto_free char *prefix = resource_prefix(k, req_ns(r));
    r->n_pending++;
    store_list(r->api->store, str_of(prefix), &(struct store_list_opts){ 0 }, on_budgets, r);
}

/* ---- the pod ---- */

static void have_pod(struct api_req *r)
{
    if (!r->old) {
        req_not_found(r, r->name);
        return;
    }
    if (!write_parse_old(r) || !write_admit(r, "create", NULL, r->old_doc, false))
        return;
    const char *phase = json_str_at(r->old_doc, "status.phase", "");
    bool ended = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0 ||
                 meta_is_deleting(r->old_doc);

    if (!ended && strcmp(phase, "Pending") != 0) {
        list_budgets(r);
        return;
    }
    if (!ended && !asked_version(r)) /* it may become ready, and then has a budget to ask */
        fix_version(r, meta_str(r->old_doc, "resourceVersion"));
    mark_pod(r);
}

void evict_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        start(r);
        break;
    case REQ_READ:
        have_pod(r);
        break;
    default:
        break;
    }
}
