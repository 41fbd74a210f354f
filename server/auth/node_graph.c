#include "server/auth/node_graph.h"

#include "base/core/buf.h"
#include "base/core/map.h"
#include "base/core/mem.h"

/* What one pod refers to: texts "resource/ns/name", as in the index. */
struct pod {
    char *node;
    char **refs;
    size_t n_refs;
};

struct node_graph {
    struct map *pods; /* "ns/name" -> struct pod */
    struct map *refs; /* "node resource/ns/name" -> count in a uintptr_t */
};

void node_graph_new(struct node_graph **out)
{
    struct node_graph *g = mem_alloc(sizeof *g);

    g->pods = map_new();
    g->refs = map_new();
    *out = g;
}

static void pod_free(struct pod *p)
{
    for (size_t i = 0; i < p->n_refs; i++)
        free(p->refs[i]);
    free(p->refs);
    free(p->node);
    free(p);
}

void node_graph_free(struct node_graph *g)
{
    struct str key;
    void *v;

    if (!g)
        return;
    for (size_t i = 0; map_next(g->pods, &i, &key, &v);)
        pod_free(v);
    map_free(g->pods);
    map_free(g->refs);
    free(g);
}

static void count(struct node_graph *g, const char *node, const char *ref, bool up)
{
    auto_free char *key = mem_printf("%s %s", node, ref);
    uintptr_t n = (uintptr_t)map_get(g->refs, str_of(key));

    if (up)
        map_set(g->refs, str_of(key), (void *)(n + 1));
    else if (n > 1)
        map_set(g->refs, str_of(key), (void *)(n - 1));
    else
        map_remove(g->refs, str_of(key));
}

static void pod_refer(struct pod *p, const char *resource, const char *ns, const json_t *name)
{
    const char *s = json_string_value(name);

    if (!s || !*s)
        return;
    p->refs = mem_realloc(p->refs, (p->n_refs + 1) * sizeof *p->refs);
    p->refs[p->n_refs++] = mem_printf("%s/%s/%s", resource, ns, s);
}

static json_t *in(const json_t *o, const char *a, const char *b)
{
    return json_object_get(json_object_get(o, a), b);
}

static void refer_env(struct pod *p, const char *ns, const json_t *container)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(container, "envFrom"), i, v)
    {
        pod_refer(p, "configmaps", ns, in(v, "configMapRef", "name"));
        pod_refer(p, "secrets", ns, in(v, "secretRef", "name"));
    }
    json_array_foreach(json_object_get(container, "env"), i, v)
    {
        const json_t *from = json_object_get(v, "valueFrom");

        pod_refer(p, "configmaps", ns, in(from, "configMapKeyRef", "name"));
        pod_refer(p, "secrets", ns, in(from, "secretKeyRef", "name"));
    }
}

/* Every place in a PodSpec that names a secret (upstream: pkg/api/pod, VisitPodSecretNames). */
static void refer_volume(struct pod *p, const char *ns, const json_t *v)
{
    static const struct {
        const char *source, *ref;
    } by_ref[] = {
        { "cephfs", "secretRef" },     { "cinder", "secretRef" },
        { "flexVolume", "secretRef" }, { "rbd", "secretRef" },
        { "scaleIO", "secretRef" },    { "iscsi", "secretRef" },
        { "storageos", "secretRef" },  { "csi", "nodePublishSecretRef" },
    };
    size_t i;
    json_t *s;

    pod_refer(p, "secrets", ns, in(v, "secret", "secretName"));
    pod_refer(p, "configmaps", ns, in(v, "configMap", "name"));
    pod_refer(p, "persistentvolumeclaims", ns, in(v, "persistentVolumeClaim", "claimName"));
    pod_refer(p, "secrets", ns, in(v, "azureFile", "secretName"));
    for (i = 0; i < ARRAY_LEN(by_ref); i++)
        pod_refer(p, "secrets", ns,
                  in(json_object_get(v, by_ref[i].source), by_ref[i].ref, "name"));
    json_array_foreach(in(v, "projected", "sources"), i, s)
    {
        pod_refer(p, "secrets", ns, in(s, "secret", "name"));
        pod_refer(p, "configmaps", ns, in(s, "configMap", "name"));
    }
}

void node_graph_set_pod(struct node_graph *g, const json_t *doc)
{
    static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
    const json_t *spec = json_object_get(doc, "spec");
    const char *ns = json_string_value(in(doc, "metadata", "namespace"));
    const char *name = json_string_value(in(doc, "metadata", "name"));
    const char *node = json_string_value(json_object_get(spec, "nodeName"));
    size_t i;
    json_t *v;

    if (!ns || !name)
        return;
    node_graph_remove_pod(g, ns, name);
    if (!node || !*node)
        return;
    struct pod *p = mem_alloc(sizeof *p);
    p->node = mem_strdup(node);
    /* a mirror pod may name no secrets: node restriction refuses that at its creation */
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        json_array_foreach(json_object_get(spec, lists[l]), i, v) refer_env(p, ns, v);
    json_array_foreach(json_object_get(spec, "volumes"), i, v) refer_volume(p, ns, v);
    json_array_foreach(json_object_get(spec, "imagePullSecrets"), i, v)
        pod_refer(p, "secrets", ns, json_object_get(v, "name"));
    pod_refer(p, "serviceaccounts", ns, json_object_get(spec, "serviceAccountName"));
    for (i = 0; i < p->n_refs; i++)
        count(g, node, p->refs[i], true);
    auto_free char *key = mem_printf("%s/%s", ns, name);
    map_set(g->pods, str_of(key), p);
}

void node_graph_remove_pod(struct node_graph *g, const char *ns, const char *name)
{
    auto_free char *key = mem_printf("%s/%s", ns, name);
    struct pod *p = map_remove(g->pods, str_of(key));

    if (!p)
        return;
    for (size_t i = 0; i < p->n_refs; i++)
        count(g, p->node, p->refs[i], false);
    pod_free(p);
}

bool node_graph_owns_pod(const struct node_graph *g, const char *node, const char *ns,
                         const char *name)
{
    auto_free char *key = mem_printf("%s/%s", ns, name);
    const struct pod *p = map_get(g->pods, str_of(key));

    return p && strcmp(p->node, node) == 0;
}

bool node_graph_refers(const struct node_graph *g, const char *node, const char *resource,
                       const char *ns, const char *name)
{
    auto_free char *key = mem_printf("%s %s/%s/%s", node, resource, ns, name);

    return map_get(g->refs, str_of(key)) != NULL;
}
