/* Claims and ingresses that name no class get the default one: upstream
 * plugin/pkg/admission/storage/storageclass/setdefault and network/defaultingressclass. Of several
 * defaults the newest counts, then the first by name. */
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/admission/admission.h"

#include <string.h>

struct wanted {
    const char *const *annotations; /* NULL-terminated: any of them "true" */
    const json_t *found;
};

static bool is_before(const json_t *a, const json_t *b)
{
    int by_time = strcmp(meta_str(a, "creationTimestamp"), meta_str(b, "creationTimestamp"));

    return by_time ? by_time > 0 : strcmp(meta_name(a), meta_name(b)) < 0;
}

static bool look(void *arg, const json_t *class_)
{
    struct wanted *w = arg;
    bool is_default = false;

    for (size_t i = 0; w->annotations[i]; i++)
        is_default |= strcmp(meta_annotation(class_, w->annotations[i]), "true") == 0;
    if (is_default && (!w->found || is_before(class_, w->found)))
        w->found = class_;
    return true;
}

static void fill(const struct admission *a, enum admission_kind k, const char *annotation,
                 const char *const *default_annotations, const char *key)
{
    json_t *spec = json_object_get(a->obj, "spec");
    struct wanted w = { .annotations = default_annotations };

    if (!json_is_object(spec) || json_object_get(spec, key) ||
        json_object_get(json_at(a->obj, "metadata.annotations"), annotation))
        return;
    a->world->each(a->world->arg, k, look, &w);
    if (w.found)
        json_object_set_new(spec, key, json_string(meta_name(w.found)));
}

int default_classes_mutate(const struct admission *a, struct err *e)
{
    static const char *const storage[] = { "storageclass.kubernetes.io/is-default-class",
                                           "storageclass.beta.kubernetes.io/is-default-class",
                                           NULL };
    static const char *const ingress[] = { "ingressclass.kubernetes.io/is-default-class", NULL };

    (void)e;
    if (!admission_creates(a))
        return 0;
    if (admission_is(a, "", "persistentvolumeclaims"))
        fill(a, ADMISSION_STORAGE_CLASSES, "volume.beta.kubernetes.io/storage-class", storage,
             "storageClassName");
    else if (admission_is(a, "networking.k8s.io", "ingresses"))
        fill(a, ADMISSION_INGRESS_CLASSES, "kubernetes.io/ingress.class", ingress,
             "ingressClassName");
    return 0;
}
