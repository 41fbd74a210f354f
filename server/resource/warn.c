#include "server/resource/warn.h"

#include "base/core/mem.h"
#include "base/kube/metadata.h"
#include "base/data/json.h"
#include "base/kube/quantity.h"
#include "server/resource/pod_warnings.h"

#include <arpa/inet.h>
#include <string.h>

#define STORAGE_CLASS "volume.beta.kubernetes.io/storage-class"

struct text_of {
    const char *key, *say;
};

static const char *look_up(const struct text_of *rows, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return rows[i].say;
    return NULL;
}

static const char *text(const json_t *v, const char *key) /* "" when absent */
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

void warn_at(struct decode_notes *notes, const struct field_path *p, const char *fmt, ...)
{
    auto_free char *path = field_path_text(p);
    va_list ap;

    va_start(ap, fmt);
    auto_free char *why = mem_vprintf(fmt, ap);
    va_end(ap);
    decode_notes_add(notes, "%s: %s", path, why);
}

/* ---- parts that several kinds have ---- */

const char *warn_node_label(const char *label)
{
    static const struct text_of rows[] = {
        { "beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead" },
        { "beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead" },
        { "failure-domain.beta.kubernetes.io/region",
          "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead" },
        { "failure-domain.beta.kubernetes.io/zone",
          "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead" },
        { "beta.kubernetes.io/instance-type",
          "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead" },
        { "app.kubernetes.io/created-by", "deprecated since v1.9" },
        { "scheduler.alpha.kubernetes.io/preferAvoidPods",
          "deprecated since v1.22; use Taints and Tolerations instead" },
        { "node-role.kubernetes.io/master",
          "use \"node-role.kubernetes.io/control-plane\" instead" },
    };

    return look_up(rows, ARRAY_LEN(rows), label);
}

void warn_node_term(struct decode_notes *notes, const struct field_path *p, const json_t *term)
{
    const struct field_path *list = FIELD_AT(p, "matchExpressions");
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(term, "matchExpressions"), i, one)
    {
        const char *key = text(one, "key"), *why = warn_node_label(key);

        if (why)
            warn_at(notes, FIELD_AT(FIELD_INDEX(list, i), "key"), "%s is %s", key, why);
    }
}

void warn_fraction(struct decode_notes *notes, const struct field_path *p, const json_t *v,
                   const char *key)
{
    const char *given = json_str_at(v, key, "");
    char text[QUANTITY_TEXT_MAX];
    struct quantity q;
    struct err e;

    if (!*given || quantity_parse(&q, str_of(given), &e) || quantity_milli_value(&q) % 1000 == 0)
        return;
    quantity_print(text, &q);
    warn_at(notes, FIELD_KEY(p, key), "fractional byte value \"%s\" is invalid, must be an integer",
            text);
}

const char *warn_volume_source(const char *key, const char **shown)
{
    static const struct text_of rows[] = {
        { "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
        { "gitRepo", "deprecated in v1.11" },
        { "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
        { "flocker", "deprecated in v1.22, non-functional in v1.25+" },
        { "storageos", "deprecated in v1.22, non-functional in v1.25+" },
        { "quobyte", "deprecated in v1.22, non-functional in v1.25+" },
        { "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
        { "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
        { "rbd", "deprecated in v1.28, non-functional in v1.31+" },
    };

    *shown = strcmp(key, "storageos") == 0 ? "storageOS" : key;
    return look_up(rows, ARRAY_LEN(rows), key);
}

void warn_claim_spec(struct decode_notes *notes, const struct field_path *p, const json_t *spec)
{
    const struct field_path *r = FIELD_AT(p, "resources");
    const json_t *resources = json_object_get(spec, "resources");

    warn_fraction(notes, FIELD_AT(r, "requests"), json_object_get(resources, "requests"),
                  "storage");
    warn_fraction(notes, FIELD_AT(r, "limits"), json_object_get(resources, "limits"), "storage");
}

/* ---- kinds ---- */

struct write {
    const json_t *obj, *old, *spec;
    const struct field_path *p; /* of spec */
    struct decode_notes *notes;
    bool changed; /* the spec, or all of it is new */
};

static bool is(const json_t *v, const char *key, const char *value)
{
    return strcmp(text(v, key), value) == 0;
}

static bool annotated(const json_t *obj, const char *key)
{
    return json_object_get(json_at(obj, "metadata.annotations"), key) != NULL;
}

static void annotation(const struct write *w, const char *key, const char *why)
{
    const struct field_path *p = FIELD_AT(FIELD_AT(NULL, "metadata"), "annotations");

    if (annotated(w->obj, key))
        warn_at(w->notes, FIELD_KEY(p, key), "%s", why);
}

static void stateful_set(const struct write *w)
{
    const struct field_path *claims = FIELD_AT(w->p, "volumeClaimTemplates");
    json_t *claim;
    size_t i;

    json_array_foreach(json_object_get(w->spec, "volumeClaimTemplates"), i, claim) warn_claim_spec(
        w->notes, FIELD_INDEX(claims, i), json_object_get(claim, "spec")); /* upstream's path */
    if (json_i64_at(w->spec, "revisionHistoryLimit", 0) < 0)
        warn_at(w->notes, FIELD_AT(w->p, "revisionHistoryLimit"),
                "a negative value retains all historical revisions; a value >= 0 is recommended");
}

static void indexes(const struct write *w, const struct field_path *p, const json_t *spec)
{
    if (w->changed && strcmp(text(spec, "completionMode"), "Indexed") == 0 &&
        json_i64_at(spec, "completions", 0) > 100000 && json_i64_at(spec, "parallelism", 0) > 10000)
        warn_at(w->notes, p,
                "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "
                "higher than 10^4, Kubernetes might not be able to track completedIndexes when a "
                "big number of indexes fail");
}

static void job(const struct write *w)
{
    indexes(w, w->p, w->spec);
}

static void cron_job(const struct write *w)
{
    indexes(w, FIELD_AT(FIELD_AT(w->p, "jobTemplate"), "spec"),
            json_at(w->spec, "jobTemplate.spec"));
}

/* Who compares addresses as text does not find this one (RFC 5952). cidr: it has a "/n". */
static void address(struct decode_notes *notes, const struct field_path *p, const char *text,
                    bool cidr)
{
    char bare[INET6_ADDRSTRLEN], canonical[INET6_ADDRSTRLEN + 8];
    const char *slash = cidr ? strchr(text, '/') : NULL;
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    struct in6_addr a;

    if (n >= sizeof bare || !memchr(text, ':', n))
        return;
    memcpy(bare, text, n);
    bare[n] = '\0';
    if (inet_pton(AF_INET6, bare, &a) != 1 || !inet_ntop(AF_INET6, &a, bare, sizeof bare))
        return;
    snprintf(canonical, sizeof canonical, "%s%.7s", bare, slash ? slash : "");
    if (strcmp(canonical, text) != 0)
        warn_at(notes, p,
                "IPv6 %s \"%s\" is not in RFC 5952 canonical format (\"%s\"), which may cause "
                "controller apply-loops",
                cidr ? "prefix" : "address", text, canonical);
}

static void addresses(const struct write *w, const char *key, bool cidr)
{
    const struct field_path *list = FIELD_AT(w->p, key);
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(w->spec, key), i, v)
        address(w->notes, FIELD_INDEX(list, i), json_string_value(v), cidr);
}

static void service(const struct write *w)
{
    const json_t *spec = w->spec;
    bool external_name = is(spec, "type", "ExternalName"),
         headless = is(spec, "type", "ClusterIP") && is(spec, "clusterIP", "None"),
         external_ips = json_array_size(json_object_get(spec, "externalIPs")) > 0;

    if (annotated(w->obj, "service.kubernetes.io/topology-aware-hints"))
        decode_notes_add(w->notes,
                         "annotation service.kubernetes.io/topology-aware-hints is deprecated, "
                         "please use service.kubernetes.io/topology-mode instead");
    if (!headless)
        addresses(w, "clusterIPs", false);
    if (headless && *text(spec, "loadBalancerIP"))
        decode_notes_add(w->notes, "spec.loadBalancerIP is ignored for headless services");
    if (headless && external_ips)
        decode_notes_add(w->notes, "spec.externalIPs is ignored for headless services");
    if (headless && !is(spec, "sessionAffinity", "None"))
        decode_notes_add(w->notes, "spec.SessionAffinity is ignored for headless services");
    addresses(w, "externalIPs", false);
    if (*text(spec, "loadBalancerIP"))
        address(w->notes, FIELD_AT(w->p, "loadBalancerIP"), text(spec, "loadBalancerIP"), false);
    addresses(w, "loadBalancerSourceRanges", true);
    if (external_name && external_ips)
        decode_notes_add(w->notes,
                         "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    if (!external_name && *text(spec, "externalName"))
        decode_notes_add(w->notes,
                         "spec.externalName is ignored when spec.type is not \"ExternalName\"");
}

static void claim(const struct write *w)
{
    annotation(w, STORAGE_CLASS,
               "deprecated since v1.8; use \"storageClassName\" attribute instead");
    warn_claim_spec(w->notes, w->p, w->spec);
}

static void volume(const struct write *w)
{
    const struct field_path *required = FIELD_AT(FIELD_AT(w->p, "nodeAffinity"), "required"),
                            *terms = FIELD_AT(required, "nodeSelectorTerms");
    const char *key, *shown;
    json_t *v;
    size_t i;

    annotation(w, STORAGE_CLASS,
               "deprecated since v1.8; use \"storageClassName\" attribute instead");
    annotation(w, "volume.beta.kubernetes.io/mount-options",
               "deprecated since v1.31; use \"mountOptions\" attribute instead");
    if (is(w->spec, "persistentVolumeReclaimPolicy", "Recycle"))
        warn_at(w->notes, FIELD_AT(w->p, "persistentVolumeReclaimPolicy"),
                "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to "
                "use dynamic provisioning.");
    json_array_foreach(json_at(w->spec, "nodeAffinity.required.nodeSelectorTerms"), i, v)
        warn_node_term(w->notes, FIELD_INDEX(terms, i), v);
    json_object_foreach((json_t *)w->spec, key, v)
    {
        const char *why = warn_volume_source(key, &shown);

        if (why)
            warn_at(w->notes, FIELD_AT(w->p, shown), "%s", why);
    }
}

static void ingress(const struct write *w)
{
    if (!w->old && !json_object_get(w->spec, "ingressClassName") &&
        annotated(w->obj, "kubernetes.io/ingress.class"))
        decode_notes_add(w->notes, "annotation \"kubernetes.io/ingress.class\" is deprecated, "
                                   "please use 'spec.ingressClassName' instead");
}

static void service_account(const struct write *w)
{
    static const char key[] = "kubernetes.io/enforce-mountable-secrets";

    if (!annotated(w->old, key))
        annotation(w, key,
                   "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted "
                   "secrets");
}

static void node(const struct write *w)
{
    if (json_object_get(w->spec, "configSource"))
        decode_notes_add(w->notes, "spec.configSource: the feature is removed");
    if (*text(w->spec, "externalID"))
        decode_notes_add(w->notes,
                         "spec.externalID: this field is deprecated, and is unused by Kubernetes");
}

static void runtime_class(const struct write *w)
{
    const struct field_path *p = FIELD_AT(FIELD_AT(NULL, "scheduling"), "nodeSelector");
    const char *key;
    json_t *v;

    json_object_foreach(json_at(w->obj, "scheduling.nodeSelector"), key, v)
    {
        const char *why = warn_node_label(key);

        if (why)
            warn_at(w->notes, p, "%s", why);
    }
}

void warn_object(const struct schema_kind *k, const json_t *obj, const json_t *old,
                 struct decode_notes *notes)
{
    static const struct {
        const char *group, *kind;
        void (*warn)(const struct write *w);
    } rows[] = {
        { "", "Service", service },
        { "", "ServiceAccount", service_account },
        { "", "Node", node },
        { "", "PersistentVolume", volume },
        { "", "PersistentVolumeClaim", claim },
        { "apps", "StatefulSet", stateful_set },
        { "batch", "Job", job },
        { "batch", "CronJob", cron_job },
        { "networking.k8s.io", "Ingress", ingress },
        { "node.k8s.io", "RuntimeClass", runtime_class },
    };
    const struct write w = {
        .obj = obj,
        .old = old,
        .notes = notes,
        .spec = json_object_get(obj, "spec"),
        .p = FIELD_AT(NULL, "spec"),
        .changed = !old || meta_generation(obj) != meta_generation(old),
    };

    pod_warnings(k, obj, old, notes);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].kind, k->kind) == 0 && strcmp(rows[i].group, k->group) == 0)
            rows[i].warn(&w);
}
