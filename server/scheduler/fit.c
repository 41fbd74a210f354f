#include "server/scheduler/fit.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <stdio.h>
#include <string.h>

/* A container that asks for nothing still costs something (upstream's DefaultMilliCPURequest and
 * DefaultMemoryRequest). */
#define CPU_FLOOR_MILLI    100
#define MEMORY_FLOOR_BYTES (200 * 1024 * 1024)
#define SUMMARY_MAX_BYTES  (16 * 1024)

/* ---- pods ---- */

void fit_pod_init(struct fit_pod *p, const json_t *pod)
{
    const json_t *c, *port;
    size_t i, k;

    *p = (struct fit_pod){ 0 };
    resources_of_pod(&p->requests, pod);
    json_array_foreach(json_at(pod, "spec.containers"), i, c)
        json_array_foreach(json_object_get(c, "ports"), k, port)
    {
        int64_t n = json_i64_at(port, "hostPort", 0);

        if (n < 1 || n > 65535)
            continue;
        p->ports = mem_realloc(p->ports, (p->n_ports + 1) * sizeof *p->ports);
        struct fit_port *at = &p->ports[p->n_ports++];
        const char *ip = json_str_at(port, "hostIP", "");
        at->port = (uint16_t)n;
        snprintf(at->ip, sizeof at->ip, "%s", *ip ? ip : "0.0.0.0");
        snprintf(at->protocol, sizeof at->protocol, "%s", json_str_at(port, "protocol", "TCP"));
    }
}

void fit_pod_deinit(struct fit_pod *p)
{
    resources_deinit(&p->requests);
    free(p->ports);
    *p = (struct fit_pod){ 0 };
}

const char *fit_unknown(const json_t *pod)
{
#define REQUIRED ".requiredDuringSchedulingIgnoredDuringExecution"
    static const char *const asks[][2] = {
        { "spec.affinity.nodeAffinity" REQUIRED, "spec.affinity.nodeAffinity" },
        { "spec.affinity.podAffinity" REQUIRED, "spec.affinity.podAffinity" },
        { "spec.affinity.podAntiAffinity" REQUIRED, "spec.affinity.podAntiAffinity" },
        { "spec.resourceClaims", "spec.resourceClaims" },
    };
    const json_t *v;
    size_t i;

    for (i = 0; i < ARRAY_LEN(asks); i++) {
        v = json_at(pod, asks[i][0]);
        if (json_array_size(v) || json_object_size(v))
            return asks[i][1];
    }
    json_array_foreach(json_at(pod, "spec.topologySpreadConstraints"), i,
                       v) if (strcmp(json_str_at(v, "whenUnsatisfiable", ""), "ScheduleAnyway") !=
                              0) return "spec.topologySpreadConstraints";
    json_array_foreach(
        json_at(pod, "spec.volumes"), i,
        v) if (json_object_get(v, "persistentVolumeClaim") ||
               json_object_get(v, "ephemeral")) return "spec.volumes[].persistentVolumeClaim";
    return NULL;
}

/* ---- nodes ---- */

void fit_node_init(struct fit_node *n, const json_t *node)
{
    const json_t *c;
    size_t i;

    *n = (struct fit_node){ .name = mem_strdup(meta_name(node)) };
    n->labels = json_incref(json_at(node, "metadata.labels"));
    n->taints = json_incref(json_at(node, "spec.taints"));
    n->unschedulable = json_bool_at(node, "spec.unschedulable", false);
    json_array_foreach(json_at(node, "status.conditions"), i,
                       c) if (strcmp(json_str_at(c, "type", ""), "Ready") == 0) n->ready =
        strcmp(json_str_at(c, "status", ""), "True") == 0;
    resources_of_node(&n->allocatable, node);
}

void fit_node_deinit(struct fit_node *n)
{
    free(n->name);
    json_decref(n->labels);
    json_decref(n->taints);
    resources_deinit(&n->allocatable);
    resources_deinit(&n->used);
    free(n->ports);
    *n = (struct fit_node){ 0 };
}

static bool same_json(const json_t *a, const json_t *b)
{
    return a == b || (a && b && json_equal(a, b));
}

bool fit_node_same(const struct fit_node *a, const struct fit_node *b)
{
    const struct resources *x = &a->allocatable, *y = &b->allocatable;

    if (a->ready != b->ready || a->unschedulable != b->unschedulable ||
        !same_json(a->labels, b->labels) || !same_json(a->taints, b->taints) ||
        x->cpu_milli != y->cpu_milli || x->memory_bytes != y->memory_bytes ||
        x->ephemeral_bytes != y->ephemeral_bytes || x->n_pods != y->n_pods ||
        x->n_extended != y->n_extended)
        return false;
    for (size_t i = 0; i < x->n_extended; i++)
        if (resources_extended(y, x->extended[i].name) != x->extended[i].value)
            return false;
    return true;
}

void fit_node_put(struct fit_node *n, const struct fit_pod *p)
{
    resources_add(&n->used, &p->requests);
    if (!p->n_ports)
        return;
    n->ports = mem_realloc(n->ports, (n->n_ports + p->n_ports) * sizeof *n->ports);
    memcpy(n->ports + n->n_ports, p->ports, p->n_ports * sizeof *p->ports);
    n->n_ports += p->n_ports;
}

static bool same_port(const struct fit_port *a, const struct fit_port *b)
{
    return a->port == b->port && strcmp(a->protocol, b->protocol) == 0 && strcmp(a->ip, b->ip) == 0;
}

void fit_node_take(struct fit_node *n, const struct fit_pod *p)
{
    resources_sub(&n->used, &p->requests);
    for (size_t i = 0; i < p->n_ports; i++)
        for (size_t k = 0; k < n->n_ports; k++)
            if (same_port(&n->ports[k], &p->ports[i])) {
                n->ports[k] = n->ports[--n->n_ports];
                break;
            }
}

/* ---- checks, in upstream's order ---- */

/* core/v1 Toleration.ToleratesTaint */
static bool tolerates(const json_t *tolerations, const char *key, const char *value,
                      const char *effect)
{
    const json_t *t;
    size_t i;

    json_array_foreach(tolerations, i, t)
    {
        const char *op = json_str_at(t, "operator", ""), *k = json_str_at(t, "key", "");
        const char *eff = json_str_at(t, "effect", "");

        if ((*eff && strcmp(eff, effect) != 0) || (*k && strcmp(k, key) != 0))
            continue;
        if (strcmp(op, "Exists") == 0)
            return true;
        if (*k && (!*op || strcmp(op, "Equal") == 0) &&
            strcmp(json_str_at(t, "value", ""), value) == 0)
            return true;
    }
    return false;
}

typedef size_t (*check_fn)(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                           char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES]);

static size_t check_unschedulable(const json_t *pod, const struct fit_pod *p,
                                  const struct fit_node *n,
                                  char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    (void)p;
    if (!n->unschedulable || tolerates(json_at(pod, "spec.tolerations"),
                                       "node.kubernetes.io/unschedulable", "", "NoSchedule"))
        return 0;
    snprintf(reasons[0], FIT_REASON_BYTES, "node(s) were unschedulable");
    return 1;
}

static size_t say_taint(const char *key, const char *value,
                        char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    snprintf(reasons[0], FIT_REASON_BYTES, "node(s) had untolerated taint {%s: %s}", key, value);
    return 1;
}

static size_t check_taints(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                           char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    static const char not_ready[] = "node.kubernetes.io/not-ready";
    const json_t *tolerations = json_at(pod, "spec.tolerations"), *t;
    size_t i;

    (void)p;
    json_array_foreach(n->taints, i, t)
    {
        const char *key = json_str_at(t, "key", ""), *effect = json_str_at(t, "effect", "");
        const char *value = json_str_at(t, "value", "");

        if ((strcmp(effect, "NoSchedule") == 0 || strcmp(effect, "NoExecute") == 0) &&
            !tolerates(tolerations, key, value, effect))
            return say_taint(key, value, reasons);
    }
    /* a node that has just come, before its taint of the same meaning */
    if (!n->ready && !tolerates(tolerations, not_ready, "", "NoSchedule"))
        return say_taint(not_ready, "", reasons);
    return 0;
}

static size_t check_selector(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                             char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    const char *key;
    json_t *v;

    (void)p;
    json_object_foreach(json_at(pod, "spec.nodeSelector"), key, v)
    {
        const json_t *has = json_object_get(n->labels, key);

        if (has && json_equal(has, v))
            continue;
        snprintf(reasons[0], FIT_REASON_BYTES, "node(s) didn't match Pod's node affinity/selector");
        return 1;
    }
    return 0;
}

static bool clash(const struct fit_port *a, const struct fit_port *b)
{
    return a->port == b->port && strcmp(a->protocol, b->protocol) == 0 &&
           (strcmp(a->ip, b->ip) == 0 || strcmp(a->ip, "0.0.0.0") == 0 ||
            strcmp(b->ip, "0.0.0.0") == 0);
}

static size_t check_ports(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                          char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    (void)pod;
    for (size_t i = 0; i < p->n_ports; i++)
        for (size_t k = 0; k < n->n_ports; k++)
            if (clash(&p->ports[i], &n->ports[k])) {
                snprintf(reasons[0], FIT_REASON_BYTES,
                         "node(s) didn't have free ports for the requested pod ports");
                return 1;
            }
    return 0;
}

static size_t check_resources(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                              char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    const struct resources *ask = &p->requests, *has = &n->allocatable, *used = &n->used;
    const struct {
        const char *name;
        int64_t ask, left;
    } rows[] = {
        { "cpu", ask->cpu_milli, has->cpu_milli - used->cpu_milli },
        { "memory", ask->memory_bytes, has->memory_bytes - used->memory_bytes },
        { "ephemeral-storage", ask->ephemeral_bytes, has->ephemeral_bytes - used->ephemeral_bytes },
    };
    size_t m = 0;

    (void)pod;
    if (has->n_pods - used->n_pods < 1)
        snprintf(reasons[m++], FIT_REASON_BYTES, "Too many pods");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].ask > 0 && rows[i].ask > rows[i].left)
            snprintf(reasons[m++], FIT_REASON_BYTES, "Insufficient %s", rows[i].name);
    for (size_t i = 0; i < ask->n_extended && m < FIT_REASONS_MAX; i++) {
        const char *name = ask->extended[i].name;

        if (ask->extended[i].value > 0 &&
            ask->extended[i].value > resources_extended(has, name) - resources_extended(used, name))
            snprintf(reasons[m++], FIT_REASON_BYTES, "Insufficient %s", name);
    }
    return m;
}

size_t fit_check(const json_t *pod, const struct fit_pod *p, const struct fit_node *n,
                 char reasons[FIT_REASONS_MAX][FIT_REASON_BYTES])
{
    static const check_fn checks[] = { check_unschedulable, check_taints, check_selector,
                                       check_ports, check_resources };

    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        size_t m = checks[i](pod, p, n, reasons);

        if (m)
            return m;
    }
    return 0;
}

/* ---- score ---- */

static int64_t percent_left(int64_t has, int64_t used, int64_t ask)
{
    if (has <= 0 || used + ask >= has)
        return 0;
    return (int64_t)((double)(has - used - ask) * 100 / (double)has);
}

int64_t fit_score(const json_t *pod, const struct fit_pod *p, const struct fit_node *n)
{
    const json_t *tolerations = json_at(pod, "spec.tolerations"), *t;
    int64_t cpu = MAX(p->requests.cpu_milli, (int64_t)CPU_FLOOR_MILLI);
    int64_t memory = MAX(p->requests.memory_bytes, (int64_t)MEMORY_FLOOR_BYTES);
    int64_t score = (percent_left(n->allocatable.cpu_milli, n->used.cpu_milli, cpu) +
                     percent_left(n->allocatable.memory_bytes, n->used.memory_bytes, memory)) /
                    2;
    size_t i;

    json_array_foreach(n->taints, i,
                       t) if (strcmp(json_str_at(t, "effect", ""), "PreferNoSchedule") == 0 &&
                              !tolerates(tolerations, json_str_at(t, "key", ""),
                                         json_str_at(t, "value", ""), "PreferNoSchedule")) score -=
        1000;
    return score;
}

/* ---- the sentence ---- */

struct fit_summary {
    struct map *counts; /* reason -> number of nodes, as a pointer */
};

struct fit_summary *fit_summary_new(void)
{
    struct fit_summary *s = mem_alloc(sizeof *s);

    s->counts = map_new();
    return s;
}

void fit_summary_free(struct fit_summary *s)
{
    if (!s)
        return;
    map_free(s->counts);
    free(s);
}

void fit_summary_add(struct fit_summary *s, const char *reason)
{
    uintptr_t n = (uintptr_t)map_get(s->counts, str_of(reason));

    map_set(s->counts, str_of(reason), (void *)(n + 1));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *fit_summary_text(const struct fit_summary *s, size_t n_nodes)
{
    auto_buf b = BUF(SUMMARY_MAX_BYTES); /* past it, reasons are left out */
    size_t n = 0, n_parts = map_len(s->counts);
    char **parts = mem_calloc(n_parts + 1, sizeof *parts);
    struct str reason;
    void *count;

    if (n_nodes == 0) {
        free(parts);
        return mem_strdup("no nodes available to schedule pods");
    }
    for (size_t i = 0; map_next(s->counts, &i, &reason, &count);)
        parts[n++] = mem_printf("%zu " STR_FMT, (size_t)(uintptr_t)count, STR_ARG(reason));
    qsort(parts, n, sizeof *parts, by_text);
    err_ignore(buf_addf(&b, "0/%zu nodes are available: ", n_nodes));
    for (size_t i = 0; i < n; i++) {
        err_ignore(buf_addf(&b, "%s%s", i ? ", " : "", parts[i]));
        free(parts[i]);
    }
    err_ignore(buf_addc(&b, '.'));
    free(parts);
    return buf_take(&b);
}
