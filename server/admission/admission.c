#include "server/admission/admission.h"

#include <string.h>

/* In upstream's order (pkg/kubeapiserver/options/plugins.go, AllOrderedPlugins). */
static const struct {
    int (*mutate)(const struct admission *a, struct err *e);
    int (*validate)(const struct admission *a, struct err *e);
} PLUGINS[] = {
    { limit_ranger_mutate, limit_ranger_validate },
    { pod_defaults_mutate, NULL },
    { NULL, node_restriction_validate },
    { priority_mutate, priority_validate },
    { default_classes_mutate, NULL },
    { runtime_class_mutate, runtime_class_validate },
    { NULL, certificate_subject_validate },
};

bool admission_is(const struct admission *a, const char *group, const char *plural)
{
    return !*a->subresource && strcmp(a->kind->group, group) == 0 &&
           strcmp(a->kind->plural, plural) == 0;
}

bool admission_creates(const struct admission *a)
{
    return strcmp(a->verb, "create") == 0;
}

int admission_mutate(const struct admission *a, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(PLUGINS); i++)
        if (PLUGINS[i].mutate && PLUGINS[i].mutate(a, e))
            return e->code;
    return 0;
}

int admission_validate(const struct admission *a, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(PLUGINS); i++)
        if (PLUGINS[i].validate && PLUGINS[i].validate(a, e))
            return e->code;
    return 0;
}
