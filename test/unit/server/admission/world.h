#pragma once
/* World: what a plugin under test looks up, from a text; and requests that it decides about. */
#include "server/admission/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "test/unit/json_text.h"

struct world {
    json_t *kinds[ADMISSION_KINDS_N]; /* arrays of objects; NULL: none */
};

static inline const json_t *world_get(void *arg, enum admission_kind k, const char *ns,
                                      const char *name)
{
    const struct world *w = arg;
    json_t *v;
    size_t i;

    json_array_foreach(w->kinds[k], i, v)
    {
        if (strcmp(meta_name(v), name) == 0 && strcmp(meta_namespace(v), ns) == 0)
            return v;
    }
    return NULL;
}

static inline void world_each(void *arg, enum admission_kind k,
                              bool (*fn)(void *fn_arg, const json_t *obj), void *fn_arg)
{
    const struct world *w = arg;
    json_t *v;
    size_t i;

    json_array_foreach(w->kinds[k], i, v)
    {
        if (!fn(fn_arg, v))
            return;
    }
}

/* The error's text; "" when nothing is refused. e must outlive it. */
static inline const char *admit(struct world *w, const char *api, const char *kind,
                                const char *verb, json_t *obj, const json_t *old, struct err *e)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct admission_world world = { world_get, world_each, w };
    struct admission a = { .world = &world,
                           .user = "ann",
                           .verb = verb,
                           .kind = schema_find_api(schema, api, kind),
                           .subresource = "",
                           .namespace_ = "default",
                           .name = meta_name(obj),
                           .obj = obj,
                           .old = old };

    *e = (struct err){ 0 };
    if (admission_mutate(&a, e) || admission_validate(&a, e))
        assert_int_equal(e->code, ERR_DENIED);
    return e->text;
}
