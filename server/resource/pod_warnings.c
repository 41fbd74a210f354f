#include "server/resource/pod_warnings.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/name.h"
#include "server/resource/warn.h"

#include <string.h>

#define PORTS_MAX 256 /* each is compared with all before it; nobody reads more warnings */

struct pod { /* or a template of one */
    const json_t *spec, *annotations;
    const struct field_path *spec_at, *annotations_at;
    bool template;
    struct decode_notes *notes;
};

static const char *text_of(const json_t *v, const char *key) /* "" when absent */
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

/* ---- labels of nodes ---- */

static void check_node_labels(const struct pod *p)
{
    const json_t *affinity = json_at(p->spec, "affinity.nodeAffinity");
    const struct field_path *selector = FIELD_AT(p->spec_at, "nodeSelector");
    const struct field_path *at = FIELD_AT(FIELD_AT(p->spec_at, "affinity"), "nodeAffinity");
    const char *required = "requiredDuringSchedulingIgnoredDuringExecution";
    const char *preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    const struct field_path *terms = FIELD_AT(FIELD_AT(at, required), "nodeSelectorTerms");
    const struct field_path *weighted = FIELD_AT(at, preferred);
    const char *key;
    json_t *v;
    size_t i;

    json_object_foreach(json_object_get(p->spec, "nodeSelector"), key, v)
    {
        if (warn_node_label(key))
            warn_at(p->notes, FIELD_KEY(selector, key), "%s", warn_node_label(key));
    }
    json_array_foreach(json_object_get(json_object_get(affinity, required), "nodeSelectorTerms"), i,
                       v) warn_node_term(p->notes, FIELD_INDEX(terms, i), v);
    json_array_foreach(json_object_get(affinity, preferred), i, v)
        warn_node_term(p->notes, FIELD_AT(FIELD_INDEX(weighted, i), "preference"),
                       json_object_get(v, "preference"));
}

static void check_spread(const struct pod *p)
{
    const struct field_path *list = FIELD_AT(p->spec_at, "topologySpreadConstraints");
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(p->spec, "topologySpreadConstraints"), i, v)
    {
        const char *key = text_of(v, "topologyKey"), *why = warn_node_label(key);
        const struct field_path *at = FIELD_INDEX(list, i);
        if (why)
            warn_at(p->notes, FIELD_AT(at, "topologyKey"), "%s is %s", key, why);
        if (!json_object_get(v, "labelSelector"))
            warn_at(p->notes, FIELD_AT(at, "labelSelector"),
                    "a null labelSelector results in matching no pod");
    }
}

static void check_pod_affinity(const struct pod *p, const char *kind)
{
    static const char *const keys[] = { "requiredDuringSchedulingIgnoredDuringExecution",
                                        "preferredDuringSchedulingIgnoredDuringExecution" };
    const json_t *affinity = json_object_get(json_object_get(p->spec, "affinity"), kind), *term;
    const struct field_path *at = FIELD_AT(FIELD_AT(p->spec_at, "affinity"), kind);
    json_t *v;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        const struct field_path *list = FIELD_AT(at, keys[k]);

        json_array_foreach(json_object_get(affinity, keys[k]), i, v)
        {
            const struct field_path *item = FIELD_INDEX(list, i);
            const struct field_path *where = k ? FIELD_AT(item, "podAffinityTerm") : item;
            term = k ? json_object_get(v, "podAffinityTerm") : v;
            if (!json_object_get(term, "labelSelector"))
                warn_at(p->notes, FIELD_AT(where, "labelSelector"),
                        "a null labelSelector results in matching no pod");
        }
    }
}

/* ---- annotations ---- */

#define SECCOMP_POD       "seccomp.security.alpha.kubernetes.io/pod"
#define SECCOMP_CONTAINER "container.seccomp.security.alpha.kubernetes.io/"
#define APPARMOR          "container.apparmor.security.beta.kubernetes.io/"

static void check_annotation(const struct pod *p, const char *key, const char *why)
{
    if (json_object_get(p->annotations, key))
        warn_at(p->notes, FIELD_KEY(p->annotations_at, key), "%s", why);
}

static void check_annotations(const struct pod *p)
{
    static const char *const rows[][2] = {
        { "scheduler.alpha.kubernetes.io/critical-pod",
          "non-functional in v1.16+; use the \"priorityClassName\" field instead" },
        { "security.alpha.kubernetes.io/sysctls",
          "non-functional in v1.11+; use the \"sysctls\" field instead" },
        { "security.alpha.kubernetes.io/unsafe-sysctls",
          "non-functional in v1.11+; use the \"sysctls\" field instead" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_annotation(p, rows[i][0], rows[i][1]);
    if (!json_at(p->spec, "securityContext.seccompProfile"))
        check_annotation(p, SECCOMP_POD,
                         "non-functional in v1.27+; use the \"seccompProfile\" field instead");
}

static void check_container_annotations(const struct pod *p, const json_t *c)
{
    const json_t *security = json_object_get(c, "securityContext");
    auto_free char *seccomp = mem_printf(SECCOMP_CONTAINER "%s", text_of(c, "name"));
    auto_free char *apparmor = mem_printf(APPARMOR "%s", text_of(c, "name"));

    if (!json_object_get(security, "seccompProfile"))
        check_annotation(p, seccomp,
                         "non-functional in v1.27+; use the \"seccompProfile\" field instead");
    if (p->template && !json_object_get(security, "appArmorProfile") &&
        !json_at(p->spec, "securityContext.appArmorProfile"))
        check_annotation(p, apparmor,
                         "deprecated since v1.30; use the \"appArmorProfile\" field instead");
}

/* ---- amounts ---- */

static void check_amounts(const struct pod *p, const json_t *c, const struct field_path *at)
{
    static const char *const names[] = { "memory", "ephemeral-storage" };
    static const char *const kinds[] = { "limits", "requests" };
    const struct field_path *resources = FIELD_AT(at, "resources");

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            warn_fraction(p->notes, FIELD_AT(resources, kinds[k]),
                          json_object_get(json_object_get(c, "resources"), kinds[k]), names[i]);
}

/* ---- volumes ---- */

static void check_volumes(const struct pod *p)
{
    const struct field_path *list = FIELD_AT(p->spec_at, "volumes");
    const char *key, *shown;
    json_t *v, *source;
    size_t i;

    json_array_foreach(json_object_get(p->spec, "volumes"), i, v)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const struct field_path *claim =
            FIELD_AT(FIELD_AT(FIELD_AT(at, "ephemeral"), "volumeClaimTemplate"), "spec");

        json_object_foreach(v, key, source)
        {
            const char *why = warn_volume_source(key, &shown);

            if (why)
                warn_at(p->notes, FIELD_AT(at, shown), "%s", why);
        }
        warn_claim_spec(p->notes, claim, json_at(v, "ephemeral.volumeClaimTemplate.spec"));
    }
}

static void collect_token_paths(struct map *paths, const json_t *volumes)
{
    json_t *v, *source;
    size_t i, k;

    json_array_foreach(volumes, i, v)
    {
        json_array_foreach(json_at(v, "projected.sources"), k, source)
        {
            const json_t *token = json_object_get(source, "serviceAccountToken");
            if (token)
                map_set(paths, str_of(text_of(token, "path")), paths);
        }
    }
}

/* A file that a token hides. The names in the paths are upstream's. */
static void check_projected(const struct pod *p)
{
    static const char *const kinds[][2] = { { "configMap", "configMap" },
                                            { "secret", "secrets" },
                                            { "downwardAPI", "downwardAPI" } };
    const struct field_path *list = FIELD_AT(p->spec_at, "volumes");
    AUTO(map) struct map *tokens = map_new();
    json_t *v, *source, *item;
    size_t i, k, n;

    collect_token_paths(tokens, json_object_get(p->spec, "volumes"));
    json_array_foreach(json_object_get(p->spec, "volumes"), i, v)
    {
        const struct field_path *projected = FIELD_AT(FIELD_INDEX(list, i), "projected");
        const struct field_path *sources = FIELD_AT(projected, "sources");
        json_array_foreach(json_at(v, "projected.sources"), k, source)
        {
            for (size_t t = 0; t < ARRAY_LEN(kinds); t++) {
                const struct field_path *at = FIELD_AT(sources, kinds[t][1]);
                const json_t *items =
                    json_object_get(json_object_get(source, kinds[t][0]), "items");
                json_array_foreach(items, n, item)
                {
                    if (map_get(tokens, str_of(text_of(item, "path"))))
                        warn_at(p->notes, FIELD_INDEX(at, n),
                                "has duplicated path with ServiceAccountToken \"%s\"",
                                text_of(item, "path"));
                }
            }
        }
    }
}

/* ---- names that are there twice ---- */

static void check_twice(const struct pod *p, const char *list, const char *key)
{
    const struct field_path *at = FIELD_AT(p->spec_at, list);
    AUTO(map) struct map *seen = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(p->spec, list), i, v)
    {
        const char *s = text_of(v, key);
        if (map_set(seen, str_of(s), seen))
            warn_at(p->notes, FIELD_AT(FIELD_INDEX(at, i), key), "duplicate %s \"%s\"", key, s);
    }
}

static void check_env(const struct pod *p, const json_t *c, const struct field_path *at)
{
    const struct field_path *list = FIELD_AT(at, "env");
    AUTO(map) struct map *seen = map_new();
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(c, "env"), i, v)
    {
        const char *name = text_of(v, "name"), *value = text_of(v, "value");
        auto_free char *ref = mem_printf("$(%s)", name);
        /* "$(X) and more" builds on what was there before */
        bool builds =
            !json_object_get(v, "valueFrom") && strcmp(value, ref) != 0 && strstr(value, ref);
        if (map_set(seen, str_of(name), seen) && !builds)
            warn_at(p->notes, FIELD_INDEX(list, i),
                    "hides previous definition of \"%s\", which may be dropped when using apply",
                    name);
    }
}

/* ---- ports ---- */

struct port {
    const json_t *doc;
    char *where;
    int64_t host;
    const char *ip;
};

static void compare_ports(const struct pod *p, const struct field_path *at, const struct port *now,
                          const struct port *other)
{
    bool same_host = now->host == other->host;

    if (json_i64_at(now->doc, "containerPort", 0) != json_i64_at(other->doc, "containerPort", 0) ||
        strcmp(text_of(now->doc, "protocol"), text_of(other->doc, "protocol")) != 0)
        return;
    if (same_host && strcmp(now->ip, other->ip) == 0)
        warn_at(p->notes, at, "duplicate port definition with %s", other->where);
    else if (!now->host || !other->host)
        warn_at(p->notes, at, "overlapping port definition with %s", other->where);
    else if (same_host && !*now->ip != !*other->ip)
        warn_at(p->notes, at, "dangerously ambiguous port definition with %s", other->where);
}

struct ports {
    struct port v[PORTS_MAX];
    size_t n;
};

static void check_ports(const struct pod *p, const json_t *c, const struct field_path *at,
                        struct ports *all)
{
    const struct field_path *list = FIELD_AT(at, "ports");
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(c, "ports"), i, v)
    {
        const struct field_path *here = FIELD_INDEX(list, i);
        struct port now = { v, NULL, json_i64_at(v, "hostPort", 0), text_of(v, "hostIP") };
        if (*now.ip && !now.host)
            warn_at(
                p->notes, here,
                "hostIP set without hostPort: {Name:%s HostPort:0 ContainerPort:%lld Protocol:%s "
                "HostIP:%s}",
                text_of(v, "name"), (long long)json_i64_at(v, "containerPort", 0),
                text_of(v, "protocol"), now.ip);
        for (size_t k = 0; k < all->n; k++)
            compare_ports(p, here, &now, &all->v[k]);
        if (all->n == PORTS_MAX)
            continue;
        now.where = field_path_text(here);
        all->v[all->n++] = now;
    }
}

/* ---- all of it ---- */

static void check_containers(const struct pod *p)
{
    static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
    auto_free struct ports *ports = mem_alloc(sizeof *ports);
    json_t *c;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        const struct field_path *list = FIELD_AT(p->spec_at, lists[k]);

        json_array_foreach(json_object_get(p->spec, lists[k]), i, c)
        {
            const struct field_path *at = FIELD_INDEX(list, i);
            check_container_annotations(p, c);
            check_amounts(p, c, at);
            check_env(p, c, at);
            check_ports(p, c, at, ports);
        }
    }
    for (i = 0; i < ports->n; i++)
        free(ports->v[i].where);
}

static void check(const struct pod *p)
{
    const struct field_path *overhead = FIELD_AT(p->spec_at, "overhead");
    const struct field_path *secrets = FIELD_AT(p->spec_at, "imagePullSecrets");
    const json_t *overheads = json_object_get(p->spec, "overhead");
    json_t *v;
    size_t i;

    check_node_labels(p);
    check_spread(p);
    check_annotations(p);
    check_volumes(p);
    check_projected(p);
    check_twice(p, "hostAliases", "ip");
    check_twice(p, "imagePullSecrets", "name");
    json_array_foreach(json_object_get(p->spec, "imagePullSecrets"), i, v)
    {
        if (!*text_of(v, "name"))
            warn_at(p->notes, FIELD_AT(FIELD_INDEX(secrets, i), "name"), "invalid empty name \"\"");
    }
    warn_fraction(p->notes, overhead, overheads, "memory");
    warn_fraction(p->notes, overhead, overheads, "ephemeral-storage");
    check_containers(p);
    if (json_i64_at(p->spec, "terminationGracePeriodSeconds", 0) < 0)
        warn_at(p->notes, FIELD_AT(p->spec_at, "terminationGracePeriodSeconds"),
                "must be >= 0; negative values are invalid and will be treated as 1");
    check_pod_affinity(p, "podAffinity");
    check_pod_affinity(p, "podAntiAffinity");
}

static void check_name(const json_t *obj, const char *use, struct decode_notes *notes)
{
    const char *why = name_check_label(str_of(meta_name(obj)));

    if (why)
        decode_notes_add(notes,
                         "metadata.name: this is used in %s, which can result in surprising "
                         "behavior; a DNS label is recommended: [%s]",
                         use, why);
}

static const struct holder {
    const char *group, *plural;
    const char *path; /* of the template; "": the pod itself */
    const char *use;  /* of the name; NULL: none */
} holders[] = {
    { "", "pods", "", "the Pod's hostname" },
    { "", "podtemplates", "template", NULL },
    { "", "replicationcontrollers", "spec.template", "Pod names and hostnames" },
    { "apps", "deployments", "spec.template", "Pod names and hostnames" },
    { "apps", "replicasets", "spec.template", "Pod names and hostnames" },
    { "apps", "statefulsets", "spec.template", NULL },
    { "apps", "daemonsets", "spec.template", NULL },
    { "batch", "jobs", "spec.template", "Pod names and hostnames" },
    { "batch", "cronjobs", "spec.jobTemplate.spec.template", "Pod names and hostnames" },
};

void pod_warnings(const struct schema_kind *k, const json_t *obj, const json_t *old,
                  struct decode_notes *notes)
{
    const struct holder *h = NULL;

    for (size_t i = 0; i < ARRAY_LEN(holders); i++)
        if (strcmp(holders[i].plural, k->plural) == 0 && strcmp(holders[i].group, k->group) == 0)
            h = &holders[i];
    if (!h || (old && (!*h->path || meta_generation(obj) == meta_generation(old))))
        return;
    const struct field_path *at = *h->path ? FIELD_AT(NULL, h->path) : NULL;
    const json_t *pod = *h->path ? json_at(obj, h->path) : obj;
    if (h->use && !old)
        check_name(obj, h->use, notes);
    check(&(struct pod){ .spec = json_object_get(pod, "spec"),
                         .annotations = json_at(pod, "metadata.annotations"),
                         .spec_at = FIELD_AT(at, "spec"),
                         .annotations_at = FIELD_AT(FIELD_AT(at, "metadata"), "annotations"),
                         .template = at != NULL,
                         .notes = notes });
}
