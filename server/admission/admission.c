#include "server/admission/admission.h"

static const struct {
    int (*mutate)(const struct admission *a, struct err *e);
    int (*validate)(const struct admission *a, struct err *e);
} PLUGINS[] = {
    { pod_defaults_mutate, NULL },
    { NULL, node_restriction_validate },
};

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
