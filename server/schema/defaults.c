#include "server/schema/defaults.h"

#include "base/data/json.h"
#include "base/kube/quantity.h"
#include "server/schema/crd.h"
#include "server/schema/crd_object.h"
#include "server/schema/defaults_hooks.h"

/* A default's text is ours: schemac has looked at it, a CRD's reader at its own. */
static void set_default(json_t *v, const struct schema_field *f)
{
    json_t *d = json_from(f->deflt);

    if (d)
        json_object_set_new(v, f->name, d);
}

/* upstream's SetDefaults_ResourceList: amounts are kept to the thousandth */
static void round_amounts(json_t *map)
{
    char text[QUANTITY_TEXT_MAX];
    struct quantity q;
    const char *key;
    json_t *v;
    struct err e;

    json_object_foreach(map, key, v)
    {
        if (!json_is_string(v) || quantity_parse(&q, str_of(json_string_value(v)), &e) ||
            !quantity_round_milli(&q))
            continue;
        quantity_print(text, &q);
        json_object_set_new(map, key, json_string(text));
    }
}

static void walk_struct(const struct schema_type *t, json_t *v);

static void walk(const struct schema_type *t, json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;

    switch (t->shape) {
    case SCHEMA_STRUCT:
        if (json_is_object(v))
            walk_struct(t, v);
        break;
    case SCHEMA_LIST:
        if (t->item->type->shape >= SCHEMA_LIST)
            json_array_foreach(v, i, item) walk(t->item->type, item);
        break;
    case SCHEMA_MAP:
        if (t->item->type->shape == SCHEMA_QUANTITY)
            round_amounts(v);
        if (t->item->type->shape >= SCHEMA_LIST)
            json_object_foreach(v, key, item) walk(t->item->type, item);
        break;
    default:
        break;
    }
}

static void walk_struct(const struct schema_type *t, json_t *v)
{
    defaults_hook_fn hook = defaults_hook(t);

    for (size_t i = 0; i < t->n_fields; i++)
        if (t->fields[i].deflt && !json_object_get(v, t->fields[i].name))
            set_default(v, &t->fields[i]);
    if (hook)
        hook(v);
    for (size_t i = 0; i < t->n_fields; i++) {
        json_t *child =
            t->fields[i].type->shape >= SCHEMA_LIST ? json_object_get(v, t->fields[i].name) : NULL;
        if (child)
            walk(t->fields[i].type, child);
    }
}

void defaults_apply(const struct schema_kind *k, json_t *obj)
{
    if (k->custom)
        crd_default(k->custom->root, obj);
    else
        walk(k->type, obj);
}

void defaults_apply_type(const struct schema_type *t, json_t *value)
{
    walk(t, value);
}

static bool is_core(const struct schema_kind *k, const char *kind)
{
    return k->group[0] == '\0' && strcmp(k->kind, kind) == 0;
}

void defaults_prepare_create(const struct schema_kind *k, json_t *obj)
{
    json_t *metadata = json_object_get(obj, "metadata");

    /* Node is the exception: a kubelet registers itself with its status. */
    if (schema_find_sub(k, STR("status")) && !is_core(k, "Node")) {
        const struct schema_field *f = schema_field(k->type, "status");
        json_object_del(obj, "status");
        if (f && !(f->flags & SCHEMA_POINTER))
            json_object_set_new(obj, "status", json_object());
    }
    if (is_core(k, "Namespace")) {
        json_object_set_new(obj, "spec", json_pack("{s:[s]}", "finalizers", "kubernetes"));
        json_object_set_new(obj, "status", json_pack("{s:s}", "phase", "Active"));
    } else if (is_core(k, "Pod")) {
        json_object_set_new(obj, "status",
                            json_pack("{s:s, s:s}", "phase", "Pending", "qosClass",
                                      defaults_pod_qos(json_object_get(obj, "spec"))));
    } else if (is_core(k, "Service")) {
        json_object_set_new(obj, "status", json_pack("{s:{}}", "loadBalancer"));
    }
    if (k->generation && metadata)
        json_object_set_new(metadata, "generation", json_integer(1));
}
