#include "server/schema/crd_object.h"

#include "base/core/mem.h"
#include "server/schema/decode_parts.h"
#include "server/schema/field_error.h"

#include <math.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53: above it a double skips integers */

/* What lies in one part of an object, by its name. NULL: nobody knows it. */
static const struct crd_node *part_of(const struct crd_node *n, const char *name)
{
    const struct crd_node *p = crd_node_prop(n, name);

    return p ? p : n->additional;
}

static bool is_meta(const char *name)
{
    return strcmp(name, "metadata") == 0 || strcmp(name, "apiVersion") == 0 ||
           strcmp(name, "kind") == 0;
}

/* ---- prune ---- */

struct prune {
    struct decode_notes *notes;
    bool some;
};

/* keep: what n does not know stays, as in the items of a list that preserves unknown fields. */
static void prune(struct prune *w, const struct crd_node *n, json_t *v, bool has_meta, bool keep,
                  const struct field_path *p)
{
    const char *key;
    json_t *child;
    void *next;
    size_t i;

    keep |= n && n->preserve_unknown;
    if (json_is_array(v)) {
        json_array_foreach(v, i, child)
            prune(w, n ? n->items : NULL, child, n && n->items && n->items->embedded, keep,
                  FIELD_INDEX(p, i));
        return;
    }
    json_object_foreach_safe(v, next, key, child)
    {
        const struct field_path *at = FIELD_AT(p, key);
        const struct crd_node *part = n ? part_of(n, key) : NULL;

        if (has_meta && is_meta(key))
            continue;
        if (part || (n && n->has_additional && !n->preserve_unknown)) {
            prune(w, part, child, part && part->embedded, false, at);
        } else if (!keep) {
            decode_note(w->notes, "unknown", at);
            json_object_del(v, key);
            w->some = true;
        }
    }
}

bool crd_prune(const struct crd_node *n, json_t *v, bool is_root, struct decode_notes *notes)
{
    struct prune w = { .notes = notes };

    prune(&w, n, v, is_root || (n && n->embedded), false, NULL);
    return w.some;
}

/* ---- nulls and defaults ---- */

static bool wrong_null(const struct crd_node *n, const json_t *v)
{
    return n && json_is_null(v) && !n->nullable;
}

bool crd_drop_nulls(const struct crd_node *n, json_t *v)
{
    bool some = false;
    const char *key;
    json_t *child;
    void *next;
    size_t i;

    if (!n)
        return false;
    json_array_foreach(v, i, child) some |= crd_drop_nulls(n->items, child);
    json_object_foreach_safe(v, next, key, child)
    {
        const struct crd_node *part = part_of(n, key);

        if (wrong_null(part, child) && !part->deflt && part->type != CRD_ANY) {
            json_object_del(v, key);
            some = true;
        } else {
            some |= crd_drop_nulls(part, child);
        }
    }
    return some;
}

bool crd_default(const struct crd_node *n, json_t *v)
{
    bool some = false;
    const char *key;
    json_t *child;
    size_t i;

    if (!n || !n->has_defaults)
        return false;
    if (json_is_array(v) && n->items) {
        json_array_foreach(v, i, child)
        {
            if (wrong_null(n->items, child) && n->items->deflt) {
                json_array_set_new(v, i, json_deep_copy(n->items->deflt));
                some = true;
            }
            some |= crd_default(n->items, json_array_get(v, i));
        }
    }
    if (!json_is_object(v))
        return some;
    for (i = 0; i < n->n_props; i++) {
        const struct crd_prop *p = &n->props[i];

        child = json_object_get(v, p->name);
        if (p->node->deflt && (!child || wrong_null(p->node, child))) {
            json_object_set_new(v, p->name, json_deep_copy(p->node->deflt));
            some = true;
        }
        some |= crd_default(p->node, json_object_get(v, p->name));
    }
    if (!n->additional)
        return some;
    json_object_foreach(v, key, child)
    {
        if (crd_node_prop(n, key))
            continue;
        if (wrong_null(n->additional, child) && n->additional->deflt) {
            json_object_set_new(v, key, json_deep_copy(n->additional->deflt));
            some = true;
        }
        some |= crd_default(n->additional, json_object_get(v, key));
    }
    return some;
}

/* ---- decode ---- */

struct coerce {
    struct decode_notes *notes;
    struct err *e;
};

/* metadata is read as any object's; apiVersion and kind are texts. */
static int coerce_meta(struct coerce *c, json_t *v, const struct field_path *p)
{
    static const char *const texts[] = { "apiVersion", "kind" };
    json_t *meta = json_object_get(v, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const json_t *text = json_object_get(v, texts[i]);
        if (text && !json_is_string(text)) {
            auto_free char *path = field_path_text(FIELD_AT(p, texts[i]));
            return err_set(c->e, ERR_INVALID, "%s: must be a string", path);
        }
    }
    if (!meta)
        return 0;
    if (json_is_null(meta)) {
        json_object_del(v, "metadata");
        return 0;
    }
    return decode_part(schema_builtin_type("meta/v1", "ObjectMeta"), meta, FIELD_AT(p, "metadata"),
                       c->notes, c->e);
}

static int coerce(struct coerce *c, const struct crd_node *n, json_t *v, bool is_root,
                  const struct field_path *p)
{
    const char *key;
    json_t *child;
    size_t i;

    if (!n)
        return 0;
    if ((is_root || n->embedded) && json_is_object(v) && coerce_meta(c, v, p))
        return c->e->code;
    json_array_foreach(v, i, child)
    {
        if (coerce(c, n->items, child, false, FIELD_INDEX(p, i)))
            return c->e->code;
    }
    json_object_foreach(v, key, child)
    {
        if ((is_root || n->embedded) && is_meta(key))
            continue;
        if (coerce(c, part_of(n, key), child, false, FIELD_AT(p, key)))
            return c->e->code;
    }
    return 0;
}

/* 1.0 is written 1 again, as upstream does. New; NULL: v is no such number. */
static json_t *whole_number(const json_t *v)
{
    double d = json_is_real(v) ? json_real_value(v) : 0.5;

    return d == floor(d) && fabs(d) < WHOLE_MAX ? json_integer((json_int_t)d) : NULL;
}

static void write_numbers_whole(json_t *v)
{
    const char *key;
    json_t *child, *whole;
    size_t i;

    json_array_foreach(v, i, child)
    {
        if ((whole = whole_number(child)))
            json_array_set_new(v, i, whole);
        else
            write_numbers_whole(child);
    }
    json_object_foreach(v, key, child)
    {
        if ((whole = whole_number(child)))
            json_object_set_new(v, key, whole);
        else
            write_numbers_whole(child);
    }
}

int crd_decode(const struct crd_node *root, json_t *obj, struct str raw, enum decode_mode mode,
               struct decode_notes *notes, struct err *e)
{
    struct coerce c = { .notes = mode == DECODE_IGNORE ? NULL : notes, .e = e };
    size_t before = notes->n;

    if (c.notes && raw.n)
        decode_duplicates(raw, c.notes);
    write_numbers_whole(obj);
    crd_drop_nulls(root, obj);
    if (coerce(&c, root, obj, true, NULL))
        return e->code;
    crd_prune(root, obj, true, c.notes);
    if (mode == DECODE_STRICT && notes->n > before)
        return decode_strict_error(notes, e);
    return 0;
}
