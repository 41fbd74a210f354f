#include "server/admission/admission.h"

#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <string.h>

static bool is(const struct admission *a, const char *group, const char *plural)
{
    return strcmp(a->kind->group, group) == 0 && strcmp(a->kind->plural, plural) == 0;
}

/* A mirror pod of the node itself, without access to the cluster's secrets. */
static int check_new_pod(const struct admission *a, struct err *e)
{
    static const char *const refused[] = { "secret", "configMap", "persistentVolumeClaim",
                                           "projected" };
    size_t i;
    json_t *v;

    if (!*meta_annotation(a->obj, "kubernetes.io/config.mirror"))
        return err_set(e, ERR_DENIED,
                       "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"%s\" "
                       "can only create mirror pods",
                       a->node);
    if (strcmp(json_str_at(a->obj, "spec.nodeName", ""), a->node) != 0)
        return err_set(e, ERR_DENIED,
                       "node \"%s\" can only create pods with spec.nodeName set to itself",
                       a->node);
    if (*json_str_at(a->obj, "spec.serviceAccountName", ""))
        return err_set(e, ERR_DENIED,
                       "node \"%s\" can not create pods that reference a service account", a->node);
    json_array_foreach(
        json_at(a->obj, "spec.volumes"), i,
        v) for (size_t k = 0; k < ARRAY_LEN(refused);
                k++) if (json_object_get(v,
                                         refused[k])) return err_set(e, ERR_DENIED,
                                                                     "node \"%s\" can not create "
                                                                     "pods that reference a %s",
                                                                     a->node, refused[k]);
    return 0;
}

/* Labels under kubernetes.io and k8s.io that a kubelet may set on its node
 * (KEP 279; kubelet/apis/well_known_labels.go). */
static bool kubelet_label(const char *key)
{
    static const char *const known[] = {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    };
    struct str ns, name;

    if (!str_cut(str_of(key), '/', &ns, &name))
        return true;
    bool reserved = str_is(ns, "kubernetes.io") || str_ends(ns, STR(".kubernetes.io")) ||
                    str_is(ns, "k8s.io") || str_ends(ns, STR(".k8s.io"));
    if (!reserved || str_is(ns, "kubelet.kubernetes.io") || str_is(ns, "node.kubernetes.io") ||
        str_ends(ns, STR(".kubelet.kubernetes.io")) || str_ends(ns, STR(".node.kubernetes.io")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], key) == 0)
            return true;
    return false;
}

static int check_labels(const struct admission *a, struct err *e)
{
    const json_t *now = json_at(a->obj, "metadata.labels");
    const json_t *was = a->old ? json_at(a->old, "metadata.labels") : NULL;
    const char *key;
    json_t *v;

    json_object_foreach(
        (json_t *)now, key,
        v) if (!json_equal(v, json_object_get(was, key)) &&
               !kubelet_label(key)) return err_set(e, ERR_DENIED,
                                                   "is not allowed to modify labels: %s", key);
    json_object_foreach(
        (json_t *)was, key,
        v) if (!json_object_get(now, key) &&
               !kubelet_label(key)) return err_set(e, ERR_DENIED,
                                                   "is not allowed to modify labels: %s", key);
    return 0;
}

static int check_node(const struct admission *a, struct err *e)
{
    const char *name = a->obj ? meta_name(a->obj) : a->name;

    if (strcmp(name, a->node) != 0)
        return err_set(e, ERR_DENIED, "node \"%s\" is not allowed to modify node \"%s\"", a->node,
                       name);
    if (!a->obj)
        return 0;
    if (json_at(a->obj, "spec.configSource"))
        return err_set(e, ERR_DENIED, "node \"%s\" is not allowed to set spec.configSource",
                       a->node);
    if (a->old && !*a->subresource) {
        const json_t *now = json_at(a->obj, "spec.taints"), *was = json_at(a->old, "spec.taints");

        if (!(now == was || (now && was && json_equal(now, was))))
            return err_set(e, ERR_DENIED, "node \"%s\" is not allowed to modify taints", a->node);
    }
    if (a->old &&
        !json_equal(json_at(a->obj, "metadata.ownerReferences"),
                    json_at(a->old, "metadata.ownerReferences")) &&
        (json_at(a->obj, "metadata.ownerReferences") ||
         json_at(a->old, "metadata.ownerReferences")))
        return err_set(e, ERR_DENIED, "node \"%s\" is not allowed to modify ownerReferences",
                       a->node);
    return check_labels(a, e);
}

int node_restriction_validate(const struct admission *a, struct err *e)
{
    if (!a->node)
        return 0;
    if (is(a, "", "nodes"))
        return check_node(a, e);
    if (is(a, "", "pods") && !*a->subresource && strcmp(a->verb, "create") == 0)
        return check_new_pod(a, e);
    if (is(a, "", "pods") && strcmp(a->subresource, "eviction") == 0 && a->old &&
        strcmp(json_str_at(a->old, "spec.nodeName", ""), a->node) != 0)
        return err_set(e, ERR_DENIED,
                       "node \"%s\" can only evict pods with spec.nodeName set to itself", a->node);
    if (is(a, "", "pods") && strcmp(a->subresource, "status") == 0) {
        const json_t *now = json_at(a->obj, "metadata.labels"),
                     *was = json_at(a->old, "metadata.labels");

        if (!(now == was || (now && was && json_equal(now, was))))
            return err_set(e, ERR_DENIED, "node \"%s\" cannot update labels through pod status",
                           a->node);
    }
    if ((is(a, "coordination.k8s.io", "leases") || is(a, "storage.k8s.io", "csinodes")) && a->obj &&
        strcmp(meta_name(a->obj), a->node) != 0)
        return err_set(e, ERR_DENIED, "node \"%s\" can only write its own %s", a->node,
                       a->kind->singular);
    return 0;
}
