#include "server/admission/admission.h"

#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <string.h>

#define TOLERATION_S 300 /* --default-not-ready-toleration-seconds */

static bool tolerates(const json_t *tolerations, const char *taint)
{
    size_t i;
    json_t *t;

    json_array_foreach(tolerations, i, t)
    {
        const char *key = json_str_at(t, "key", ""), *effect = json_str_at(t, "effect", "");

        if ((strcmp(key, taint) == 0 || !*key) && (!*effect || strcmp(effect, "NoExecute") == 0))
            return true;
    }
    return false;
}

static void tolerate(json_t *spec, const char *taint)
{
    json_t *list = json_object_get(spec, "tolerations");

    if (tolerates(list, taint))
        return;
    if (!list) {
        list = json_array();
        json_object_set_new(spec, "tolerations", list);
    }
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:i}", "key", taint, "operator", "Exists",
                                    "effect", "NoExecute", "tolerationSeconds", TOLERATION_S));
}

/* The account, and the old name of the same field. An update that leaves it out keeps it: with the
 * plugin upstream refuses that, without it (as its own tests of kubectl run) there is none. */
static void account(const struct admission *a, json_t *spec)
{
    const json_t *was = json_object_get(a->old, "spec");
    const char *name = json_str_at(spec, "serviceAccountName", "");

    if (!*name)
        name = json_str_at(spec, "serviceAccount", "");
    if (!*name)
        name = admission_creates(a) ? "default" : json_str_at(was, "serviceAccountName", "");
    if (*name && !*meta_annotation(a->obj, "kubernetes.io/config.mirror"))
        json_object_set_new(spec, "serviceAccountName", json_string(name));
    if (*json_str_at(spec, "serviceAccountName", ""))
        json_object_set(spec, "serviceAccount", json_object_get(spec, "serviceAccountName"));
}

int pod_defaults_mutate(const struct admission *a, struct err *e)
{
    json_t *spec;

    (void)e;
    if (!admission_is(a, "", "pods") || !a->obj)
        return 0;
    spec = json_object_get(a->obj, "spec");
    if (!json_is_object(spec))
        return 0; /* validation says so in its words */
    account(a, spec);
    tolerate(spec, "node.kubernetes.io/not-ready");
    tolerate(spec, "node.kubernetes.io/unreachable");
    return 0;
}
