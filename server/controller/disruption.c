/*
 * Disruption: keeps the status of each PodDisruptionBudget true: how many pods it covers, how many
 * are healthy, how many may go (pkg/controller/disruption of kubernetes, 1.32).
 *
 *   list the pods --> (a share is asked for) the scale of each controller of them --> write
 *
 * A share needs the number that the controllers want, not the number that is there: the owners are
 * asked one after the other, a Deployment for its ReplicaSets. What cannot be counted allows no
 * disruption. Keys are "namespace/name"; a budget is counted again when a pod changes that it
 * covers, or covered when it was counted last.
 */
#include "server/controller/disruption.h"

#include "base/core/clock.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/intorstring.h"
#include "base/kube/metadata.h"
#include "base/kube/selector.h"
#include "server/api/api.h"
#include "server/controller/controller.h"
#include "server/resource/disruption.h"
#include "server/schema/schema.h"

#define DELETION_TIMEOUT_S 120   /* an evicted pod that is still there counts again */
#define AGAIN_MS           200   /* between two counts of one budget: pods change in swarms */
#define FAILED_AGAIN_MS    60000 /* what cannot be counted is tried again, without an event */

struct budget {
    char *ns;
    struct label_selector *selector; /* NULL: covers none */
    struct map *pods;                /* names of those it covered when it was counted last */
    uint64_t counted_ms;
};

struct disruption {
    struct controller c;
    struct map *budgets; /* "ns/name" -> struct budget * */
};

/* ---- decisions ---- */

bool disruption_wants_scale(const json_t *budget)
{
    const json_t *min = json_at(budget, "spec.minAvailable");

    return json_at(budget, "spec.maxUnavailable") || json_is_string(min);
}

const json_t *disruption_controller_of(const json_t *obj)
{
    json_t *ref;
    size_t i;

    json_array_foreach(json_at(obj, "metadata.ownerReferences"), i, ref)
    {
        if (json_bool_at(ref, "controller", false))
            return ref;
    }
    return NULL;
}

/* The evicted pods that are still expected to go. The earliest end of that is *until_s. */
static json_t *still_disrupted(const json_t *budget, const json_t *pods, int64_t now_s,
                               int64_t *until_s)
{
    const json_t *map = json_at(budget, "status.disruptedPods");
    json_t *out = json_object(), *pod;
    size_t i;

    json_array_foreach(pods, i, pod)
    {
        const char *since = json_string_value(json_object_get(map, meta_name(pod)));
        int64_t us;

        if (!since || meta_is_deleting(pod) || !time_parse(&us, str_of(since)))
            continue;
        int64_t ends_s = us / 1000000 + DELETION_TIMEOUT_S;
        if (ends_s < now_s)
            continue;
        if (!*until_s || ends_s < *until_s)
            *until_s = ends_s;
        json_object_set_new(out, meta_name(pod), json_string(since));
    }
    return out;
}

static int64_t healthy(const json_t *pods, const json_t *disrupted)
{
    int64_t n = 0;
    json_t *pod;
    size_t i;

    json_array_foreach(pods, i, pod)
    {
        n += !meta_is_deleting(pod) && !json_object_get(disrupted, meta_name(pod)) &&
             disruption_pod_is_ready(pod);
    }
    return n;
}

/* ERR_INVALID: neither a count nor a percentage. */
static int desired(int64_t *out, int64_t *expected, const json_t *budget, size_t n_pods,
                   int64_t scale, struct err *e)
{
    const json_t *min = json_at(budget, "spec.minAvailable"),
                 *max = json_at(budget, "spec.maxUnavailable");
    int64_t n = 0;

    *expected = disruption_wants_scale(budget) ? scale : (int64_t)n_pods;
    if (max) {
        if (intorstring_scale(&n, max, scale, true, e))
            return err_wrap(e, "maxUnavailable");
        *out = MAX(*expected - n, (int64_t)0);
        return 0;
    }
    *out = 0;
    if (!min)
        *expected = 0;
    else if (intorstring_scale(out, min, scale, true, e))
        return err_wrap(e, "minAvailable");
    return 0;
}

int disruption_count(json_t **out, int64_t *until_s, const json_t *budget, const json_t *pods,
                     int64_t scale, int64_t now_s, struct err *e)
{
    json_t *status = json_object(), *old = json_at(budget, "status.conditions");
    int64_t want, expected, allowed;
    char now[TIME_TEXT_BYTES];

    if (desired(&want, &expected, budget, json_array_size(pods), scale, e)) {
        json_decref(status);
        return e->code;
    }
    *until_s = 0;
    time_text_s(now, now_s);
    json_auto_t *disrupted = still_disrupted(budget, pods, now_s, until_s);
    int64_t have = healthy(pods, disrupted);
    allowed = expected > 0 && have > want ? have - want : 0;
    json_object_set_new(status, "observedGeneration", json_integer(meta_generation(budget)));
    if (json_object_size(disrupted))
        json_object_set(status, "disruptedPods", disrupted);
    json_object_set_new(status, "disruptionsAllowed", json_integer(allowed));
    json_object_set_new(status, "currentHealthy", json_integer(have));
    json_object_set_new(status, "desiredHealthy", json_integer(want));
    json_object_set_new(status, "expectedPods", json_integer(expected));
    if (old)
        json_object_set_new(status, "conditions", json_deep_copy(old));
    if (!disruption_condition_is_set(status) ||
        json_i64_at(budget, "status.observedGeneration", 0) != meta_generation(budget))
        disruption_set_condition(status, now);
    *out = status;
    return 0;
}

json_t *disruption_failed(const json_t *budget, const char *why, int64_t now_s)
{
    json_t *status = json_deep_copy(json_object_get(budget, "status"));
    char now[TIME_TEXT_BYTES];

    if (!status)
        status = json_object();
    time_text_s(now, now_s);
    json_object_set_new(status, "disruptionsAllowed", json_integer(0));
    disruption_set_condition_to(status, false, "SyncFailed", why, now);
    return status;
}

/* ---- one count ---- */

struct owner {   /* of some of the pods */
    json_t *ref; /* an ownerReference: of the pods, then of their owner */
    char *pod;   /* the name of one of them */
    char *uid;   /* whose scale it is: a Deployment's for its ReplicaSets */
    int64_t scale;
};

struct count {
    struct disruption *d;
    struct queue_item *it;
    json_t *budget, *pods;
    struct owner *owners;
    size_t n_owners, at_owner;
    bool up;        /* the owner's own controller is asked */
    bool unmanaged; /* some pod has no controller */
};

static void ask_owner(struct count *k);

static void count_free(struct count *k)
{
    for (size_t i = 0; i < k->n_owners; i++) {
        json_decref(k->owners[i].ref);
        free(k->owners[i].pod);
        free(k->owners[i].uid);
    }
    free(k->owners);
    json_decref(k->budget);
    json_decref(k->pods);
    free(k);
}

struct written {
    struct queue_item *it;
    uint64_t again_ms; /* 0: not */
};

static void on_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct written w = *(struct written *)arg;

    free(arg);
    if (!e && w.again_ms)
        queue_done_again(w.it, w.again_ms);
    else
        queue_done_local(w.it, code, obj, e);
}

/* Ends the count; status is taken. */
static void write_status(struct count *k, json_t *status_take, uint64_t again_ms)
{
    struct controller *c = &k->d->c;
    struct local_ref ref = { .group = "policy",
                             .resource = "poddisruptionbudgets",
                             .ns = meta_namespace(k->budget),
                             .name = meta_name(k->budget),
                             .subresource = "status" };
    struct queue_item *it = k->it;
    json_auto_t *status = status_take, *budget = json_deep_copy(k->budget);

    if (json_equal(status, json_object_get(k->budget, "status"))) {
        count_free(k);
        if (again_ms)
            queue_done_again(it, again_ms);
        else
            queue_done(it, NULL);
        return;
    }
    json_auto_t *about = controller_reference(k->budget);
    if (json_array_size(k->pods) == 0)
        controller_event(c, about, "Normal", "NoPods", "No matching pods found");
    if (k->unmanaged)
        controller_event(c, about, "Warning", "UnmanagedPods",
                         "Pods that this PodDisruptionBudget selects have no controller, so its "
                         "status cannot be calculated. Set .spec.minAvailable to an integer to "
                         "account for them.");
    json_object_set(budget, "status", status);
    struct written *w = mem_alloc(sizeof *w);
    *w = (struct written){ it, again_ms };
    local_update(c->env->config.api, &ref, budget, on_written, w);
    count_free(k);
}

static void fail(struct count *k, const char *why)
{
    write_status(k, disruption_failed(k->budget, why, clock_wall_s()), FAILED_AGAIN_MS);
}

static int64_t sum(const struct count *k)
{
    int64_t n = 0;

    for (size_t i = 0; i < k->n_owners; i++) {
        bool seen = false;

        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(k->owners[j].uid, k->owners[i].uid) == 0;
        if (!seen)
            n += k->owners[i].scale;
    }
    return n;
}

static void finish(struct count *k)
{
    int64_t now_s = clock_wall_s(), until_s;
    json_t *status;
    struct err e;

    if (disruption_count(&status, &until_s, k->budget, k->pods, sum(k), now_s, &e))
        fail(k, e.text);
    else
        write_status(k, status, until_s ? (uint64_t)(until_s - now_s + 1) * 1000 : 0);
}

/* ---- whose pods they are ---- */

static const struct schema_kind *kind_of(const struct count *k, const json_t *ref)
{
    return schema_find_api(api_schema(k->d->c.env->config.api), json_str_at(ref, "apiVersion", ""),
                           json_str_at(ref, "kind", ""));
}

static void on_owner(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct count *k = arg;
    struct owner *o = &k->owners[k->at_owner];
    const json_t *up = disruption_controller_of(obj);
    bool is_it = !e && strcmp(meta_uid(obj), json_str_at(o->ref, "uid", "")) == 0;
    const struct schema_kind *kind = kind_of(k, o->ref);

    (void)code;
    if (queue_is_closing(k->it) || (e && e->code != ERR_NOT_FOUND)) {
        struct queue_item *it = k->it;

        count_free(k);
        queue_done(it, e);
        return;
    }
    if (!is_it && !k->up) {
        auto_free char *why = mem_printf("found no controllers for pod \"%s\"", o->pod);

        fail(k, why);
        return;
    }
    if (is_it && kind && kind->scale) { /* a ReplicaSet whose Deployment is gone keeps its own */
        free(o->uid);
        o->uid = mem_strdup(meta_uid(obj));
        o->scale = json_i64_at(obj, kind->scale->spec_path, 0);
    }
    if (is_it && kind && !k->up && up && strcmp(kind->kind, "ReplicaSet") == 0 &&
        strcmp(json_str_at(up, "kind", ""), "Deployment") == 0) {
        json_decref(o->ref);
        o->ref = json_deep_copy(up);
        k->up = true;
    } else {
        k->up = false;
        k->at_owner++;
    }
    ask_owner(k);
}

static void ask_owner(struct count *k)
{
    if (k->at_owner == k->n_owners) {
        finish(k);
        return;
    }
    const struct owner *o = &k->owners[k->at_owner];
    const struct schema_kind *kind = kind_of(k, o->ref);
    if (!kind || !kind->scale) {
        auto_free char *why = kind ? mem_printf("%s%s%s does not implement the scale subresource",
                                                kind->plural, *kind->group ? "." : "", kind->group)
                                   : mem_printf("found no controllers for pod \"%s\"", o->pod);

        fail(k, why);
        return;
    }
    struct local_ref ref = { .group = kind->group,
                             .version = kind->version,
                             .resource = kind->plural,
                             .ns = kind->namespaced ? meta_namespace(k->budget) : NULL,
                             .name = json_str_at(o->ref, "name", "") };
    local_get(k->d->c.env->config.api, &ref, on_owner, k);
}

static void collect_owners(struct count *k)
{
    json_t *pod;
    size_t i;

    k->owners = mem_calloc(json_array_size(k->pods) + 1, sizeof *k->owners);
    json_array_foreach(k->pods, i, pod)
    {
        const json_t *ref = disruption_controller_of(pod);
        bool seen = false;

        if (!ref)
            k->unmanaged = true;
        for (size_t j = 0; ref && j < k->n_owners; j++)
            seen = seen || strcmp(json_str_at(k->owners[j].ref, "uid", ""),
                                  json_str_at(ref, "uid", "")) == 0;
        if (ref && !seen)
            k->owners[k->n_owners++] =
                (struct owner){ .ref = json_deep_copy(ref),
                                .pod = mem_strdup(meta_name(pod)),
                                .uid = mem_strdup(json_str_at(ref, "uid", "")) };
    }
}

/* ---- the pods ---- */

static void have_pods(struct count *k, json_t *pods)
{
    struct budget *b = map_get(k->d->budgets, str_of(queue_key(k->it)));
    json_t *pod;
    size_t i;

    k->pods = json_incref(pods);
    if (b) {
        map_free(b->pods);
        b->pods = map_new();
        json_array_foreach(pods, i, pod) map_set(b->pods, str_of(meta_name(pod)), b);
    }
    if (disruption_wants_scale(k->budget))
        collect_owners(k);
    ask_owner(k);
}

static void on_pods(void *arg, int code, const json_t *list, const struct err *e)
{
    struct count *k = arg;

    (void)code;
    if (e || queue_is_closing(k->it)) {
        struct queue_item *it = k->it;

        count_free(k);
        queue_done(it, e);
        return;
    }
    have_pods(k, json_object_get(list, "items"));
}

static void count_budget(struct controller *c, struct queue_item *it)
{
    struct disruption *d = (struct disruption *)c;
    struct budget *b = map_get(d->budgets, str_of(queue_key(it)));
    const char *name = strchr(queue_key(it), '/') + 1;
    uint64_t now_ms = controller_now_ms(c);
    const json_t *doc = b ? local_watch_get(c->env->watches[WATCH_BUDGETS], b->ns, name) : NULL;

    if (!doc || meta_is_deleting(doc)) {
        queue_done(it, NULL);
        return;
    }
    if (b->counted_ms && now_ms - b->counted_ms < AGAIN_MS) {
        queue_done_again(it, b->counted_ms + AGAIN_MS - now_ms);
        return;
    }
    b->counted_ms = now_ms;
    struct count *k = mem_alloc(sizeof *k);
    k->d = d;
    k->it = it;
    k->budget = json_deep_copy(doc);
    if (!b->selector) {
        json_auto_t *none = json_array();

        have_pods(k, none);
        return;
    }
    auto_free char *selector = label_selector_text(b->selector);
    struct local_ref ref = { .resource = "pods", .ns = b->ns };
    struct local_list_opts o = { .label_selector = selector };
    local_list(c->env->config.api, &ref, &o, on_pods, k);
}

static void work(struct controller *c, struct queue_item *it)
{
    if (str_starts(str_of(queue_key(it)), STR(DISRUPTION_STALE)))
        disruption_stale_work(c, it);
    else
        count_budget(c, it);
}

/* ---- events ---- */

static void budget_free(struct budget *b)
{
    if (!b)
        return;
    label_selector_free(b->selector);
    map_free(b->pods);
    free(b->ns);
    free(b);
}

static void on_budget(struct disruption *d, enum local_event ev, const json_t *obj)
{
    auto_free char *key = mem_printf("%s/%s", meta_namespace(obj), meta_name(obj));
    const json_t *selector = json_at(obj, "spec.selector");
    struct budget *b = map_get(d->budgets, str_of(key));
    struct err e;

    if (ev == LOCAL_DELETED) {
        budget_free(map_remove(d->budgets, str_of(key)));
        return;
    }
    if (!b) {
        b = mem_alloc(sizeof *b);
        b->ns = mem_strdup(meta_namespace(obj));
        b->pods = map_new();
        map_set(d->budgets, str_of(key), b);
    }
    label_selector_free(b->selector);
    b->selector = NULL;
    if (selector && label_selector_from_json(&b->selector, selector, &e))
        b->selector = NULL; /* an invalid one covers none */
    queue_add(d->c.queue, key);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct disruption *d = (struct disruption *)c;
    const char *ns = meta_namespace(obj);
    const json_t *labels = json_at(obj, "metadata.labels");
    struct str key;
    void *v;

    if (w == WATCH_BUDGETS) {
        on_budget(d, ev, obj);
        return;
    }
    if (ev != LOCAL_DELETED)
        disruption_stale_on_pod(c, obj);
    for (size_t i = 0; map_next(d->budgets, &i, &key, &v);) {
        const struct budget *b = v;

        if (strcmp(b->ns, ns) != 0 || !(map_get(b->pods, str_of(meta_name(obj))) ||
                                        (b->selector && label_selector_match(b->selector, labels))))
            continue;
        auto_free char *text = str_dup(key);
        queue_add(c->queue, text);
    }
}

static struct controller *make(const struct controllers_config *config)
{
    struct disruption *d = mem_alloc(sizeof *d);

    (void)config;
    d->budgets = map_new();
    return &d->c;
}

static void disruption_free(struct controller *c)
{
    struct disruption *d = (struct disruption *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(d->budgets, &i, &key, &v);)
        budget_free(v);
    map_free(d->budgets);
    free(d);
}

const struct controller_ops disruption_controller = {
    .name = "disruption",
    .watches = WATCH_BIT(WATCH_BUDGETS) | WATCH_BIT(WATCH_PODS),
    .n_parallel = 4,
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = disruption_free,
};
