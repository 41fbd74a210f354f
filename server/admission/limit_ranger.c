/* Upstream plugin/pkg/admission/limitranger: the defaults of the LimitRanges of a namespace go into
 * new pods, and pods and claims must keep to their bounds. */
#include "base/core/buf.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/quantity.h"
#include "server/admission/admission.h"
#include "server/resource/pod_amounts.h"

#include <stdlib.h>
#include <string.h>

#define ANNOTATION "kubernetes.io/limit-ranger"

struct walk {
    const struct admission *a;
    void (*fn)(struct walk *w, const json_t *limit); /* each item of each range */
    struct buf text;                                 /* notes or errors */
    size_t n;
};

static bool on_range(void *arg, const json_t *range)
{
    struct walk *w = arg;
    json_t *limit;
    size_t i;

    if (strcmp(meta_namespace(range), w->a->namespace_) != 0)
        return true;
    json_array_foreach(json_at(range, "spec.limits"), i, limit) w->fn(w, limit);
    return true;
}

static void walk_ranges(struct walk *w)
{
    w->a->world->each(w->a->world->arg, ADMISSION_LIMIT_RANGES, on_range, w);
}

static bool is_type(const json_t *limit, const char *type)
{
    return strcmp(json_str_at(limit, "type", ""), type) == 0;
}

/* ---- defaults ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Amounts that the container has not; "cpu, memory request for container c" into the notes. */
static void merge(struct walk *w, json_t *container, const char *what, const json_t *defaults,
                  const char *key, const char *word)
{
    json_t *resources = json_object_get(container, "resources"), *v;
    const char *set[32], *name;
    size_t n = 0;
    int r;

    json_object_foreach((json_t *)defaults, name, v)
    {
        if (!resources) {
            resources = json_object();
            json_object_set_new(container, "resources", resources);
        }
        json_t *amounts = json_object_get(resources, key);
        if (json_object_get(amounts, name) || n == ARRAY_LEN(set))
            continue;
        if (!amounts) {
            amounts = json_object();
            json_object_set_new(resources, key, amounts);
        }
        json_object_set(amounts, name, v);
        set[n++] = name;
    }
    if (!n)
        return;
    qsort(set, n, sizeof *set, by_name);
    r = w->n++ ? buf_adds(&w->text, "; ") : 0;
    for (size_t i = 0; !r && i < n; i++)
        r = buf_addf(&w->text, "%s%s", i ? ", " : "", set[i]);
    if (!r)
        err_ignore(buf_addf(&w->text, " %s for %s %s", word, what,
                            json_str_at(container, "name", ""))); /* a note may be cut */
}

static void merge_limit(struct walk *w, const json_t *limit)
{
    static const struct {
        const char *list, *what;
    } lists[] = { { "containers", "container" }, { "initContainers", "init container" } };
    json_t *spec = json_object_get(w->a->obj, "spec"), *c;
    size_t i;

    if (!is_type(limit, "Container"))
        return;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_object_get(spec, lists[l].list), i, c)
        {
            merge(w, c, lists[l].what, json_object_get(limit, "defaultRequest"), "requests",
                  "request");
            merge(w, c, lists[l].what, json_object_get(limit, "default"), "limits", "limit");
        }
}

int limit_ranger_mutate(const struct admission *a, struct err *e)
{
    struct walk w = { .a = a, .fn = merge_limit, .text = BUF(64 * 1024) };

    (void)e;
    if (!admission_is(a, "", "pods") || !admission_creates(a))
        return 0;
    walk_ranges(&w);
    if (w.n) {
        json_t *annotations = json_object_get(meta_of(a->obj), "annotations");
        if (!annotations) {
            annotations = json_object();
            json_object_set_new(meta_of(a->obj), "annotations", annotations);
        }
        json_object_set_new(annotations, ANNOTATION,
                            json_sprintf("LimitRanger plugin set: %s", buf_cstr(&w.text)));
    }
    buf_deinit(&w.text);
    return 0;
}

/* ---- bounds ---- */

PRINTF_FMT(2, 3) static void complain(struct walk *w, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_ignore(buf_addf(&w->text, "%s%s", w->n++ ? ", " : "", text)); /* the first ones will do */
}

/* One amount of one thing. */
struct bound {
    struct walk *w;
    const char *type, *resource; /* "Container", "cpu" */
    const char *enforced;
    const json_t *requests, *limits;
};

static bool amount(struct quantity *out, const char **text, const json_t *map, const char *name)
{
    struct err e;

    *text = json_string_value(json_object_get(map, name));
    return *text && quantity_parse(out, str_of(*text), &e) == 0;
}

static void check_min(const struct bound *b, const struct quantity *min)
{
    struct quantity request, limit;
    const char *request_text, *limit_text;

    if (!amount(&request, &request_text, b->requests, b->resource))
        complain(b->w, "minimum %s usage per %s is %s.  No request is specified", b->resource,
                 b->type, b->enforced);
    else if (quantity_cmp(&request, min) < 0)
        complain(b->w, "minimum %s usage per %s is %s, but request is %s", b->resource, b->type,
                 b->enforced, request_text);
    else if (amount(&limit, &limit_text, b->limits, b->resource) && quantity_cmp(&limit, min) < 0)
        complain(b->w, "minimum %s usage per %s is %s, but limit is %s", b->resource, b->type,
                 b->enforced, limit_text);
}

static void check_max(const struct bound *b, const struct quantity *max)
{
    struct quantity request, limit;
    const char *request_text, *limit_text;

    if (!amount(&limit, &limit_text, b->limits, b->resource))
        complain(b->w, "maximum %s usage per %s is %s.  No limit is specified", b->resource,
                 b->type, b->enforced);
    else if (quantity_cmp(&limit, max) > 0)
        complain(b->w, "maximum %s usage per %s is %s, but limit is %s", b->resource, b->type,
                 b->enforced, limit_text);
    else if (amount(&request, &request_text, b->requests, b->resource) &&
             quantity_cmp(&request, max) > 0)
        complain(b->w, "maximum %s usage per %s is %s, but request is %s", b->resource, b->type,
                 b->enforced, request_text);
}

/* Of claims, which have no limits. */
static void check_max_request(const struct bound *b, const struct quantity *max)
{
    struct quantity request;
    const char *text;

    if (!amount(&request, &text, b->requests, b->resource))
        complain(b->w, "maximum %s usage per %s is %s.  No request is specified", b->resource,
                 b->type, b->enforced);
    else if (quantity_cmp(&request, max) > 0)
        complain(b->w, "maximum %s usage per %s is %s, but request is %s", b->resource, b->type,
                 b->enforced, text);
}

static void check_ratio(const struct bound *b, const struct quantity *ratio)
{
    struct quantity request, limit;
    const char *text;

    if (!amount(&request, &text, b->requests, b->resource) || request.nano == 0)
        complain(b->w,
                 "%s max limit to request ratio per %s is %s, but no request is specified or "
                 "request is 0",
                 b->resource, b->type, b->enforced);
    else if (!amount(&limit, &text, b->limits, b->resource) || limit.nano == 0)
        complain(b->w,
                 "%s max limit to request ratio per %s is %s, but no limit is specified or limit "
                 "is 0",
                 b->resource, b->type, b->enforced);
    else if ((double)limit.nano / (double)request.nano > (double)ratio->nano / 1e9)
        complain(b->w, "%s max limit to request ratio per %s is %s, but provided ratio is %f",
                 b->resource, b->type, b->enforced, (double)limit.nano / (double)request.nano);
}

static void check_amounts(struct walk *w, const json_t *limit, const json_t *requests,
                          const json_t *limits)
{
    static const struct {
        const char *key;
        void (*check)(const struct bound *b, const struct quantity *q);
    } checks[] = { { "min", check_min },
                   { "max", check_max },
                   { "maxLimitRequestRatio", check_ratio } };
    struct bound b = {
        .w = w, .type = json_str_at(limit, "type", ""), .requests = requests, .limits = limits
    };
    bool claim = is_type(limit, "PersistentVolumeClaim");
    json_t *v;

    for (size_t i = 0; i < (claim ? 2 : ARRAY_LEN(checks)); i++)
        json_object_foreach(json_object_get(limit, checks[i].key), b.resource, v)
        {
            struct quantity q;
            if (!amount(&q, &b.enforced, json_object_get(limit, checks[i].key), b.resource))
                continue;
            if (claim && checks[i].check == check_max)
                check_max_request(&b, &q);
            else
                checks[i].check(&b, &q);
        }
}

static void check_pod(struct walk *w, const json_t *limit)
{
    static const char *const lists[] = { "containers", "initContainers" };
    json_t *spec = json_object_get(w->a->obj, "spec"), *c;
    size_t i;

    if (is_type(limit, "Pod")) {
        json_auto_t *requests = pod_amounts(spec, "requests"),
                    *limits = pod_amounts(spec, "limits");
        check_amounts(w, limit, requests, limits);
    }
    for (size_t l = 0; is_type(limit, "Container") && l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_object_get(spec, lists[l]), i, c) check_amounts(
            w, limit, json_at(c, "resources.requests"), json_at(c, "resources.limits"));
}

static void check_claim(struct walk *w, const json_t *limit)
{
    if (is_type(limit, "PersistentVolumeClaim"))
        check_amounts(w, limit, json_at(w->a->obj, "spec.resources.requests"), NULL);
}

int limit_ranger_validate(const struct admission *a, struct err *e)
{
    struct walk w = { .a = a, .text = BUF(64 * 1024) };

    if (!a->obj)
        return 0;
    if (admission_is(a, "", "pods") && admission_creates(a))
        w.fn = check_pod;
    else if (admission_is(a, "", "persistentvolumeclaims"))
        w.fn = check_claim;
    else
        return 0;
    walk_ranges(&w);
    if (w.n) /* as apimachinery's aggregate of errors prints itself */
        err_set(e, ERR_DENIED, w.n > 1 ? "[%s]" : "%s", buf_cstr(&w.text));
    buf_deinit(&w.text);
    return w.n ? (int)e->code : 0;
}
