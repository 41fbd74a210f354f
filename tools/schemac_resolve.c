/* Names of types become indices, embedded types lie flat; what only then can be checked is. */
#include "tools/schemac.h"

#include <stdlib.h>
#include <string.h>

int schemac_find_in(const struct compiler *c, const char *gv, const char *name)
{
    for (size_t i = 0; i < c->n_types; i++)
        if (strcmp(c->types[i].gv, gv) == 0 && strcmp(c->types[i].name, name) == 0)
            return (int)i;
    return -1;
}

int schemac_find_type(const struct compiler *c, const struct group *g, const char *name)
{
    int i = schemac_find_in(c, "", name); /* base types and anonymous ones */

    if (i < 0)
        i = schemac_find_in(c, g->gv, name);
    for (size_t u = 0; i < 0 && u < g->n_uses; u++)
        i = schemac_find_in(c, g->uses[u], name);
    return i < 0 ? schemac_find_in(c, "meta/v1", name) : i;
}

/* A type's index for "T", "[T]" or "{T}"; -1 with an error said. */
static int resolve_text(struct compiler *c, struct where at, const struct group *g, const char *s)
{
    size_t n = strlen(s);

    if (s[0] == '[' || s[0] == '{') {
        char close = s[0] == '[' ? ']' : '}';
        if (n < 3 || s[n - 1] != close) {
            schemac_complain(c, at, "type \"%s\" does not end with %c", s, close);
            return -1;
        }
        int item = resolve_text(c, at, g, schemac_text(c, "%.*s", (int)n - 2, s + 1));
        if (item < 0)
            return -1;
        const char *key = schemac_text(c, "%c%d%c", s[0], item, close);
        int have = schemac_find_in(c, "", key);
        if (have >= 0)
            return have;
        struct type *t = PUSH(c, c->types, c->n_types);
        *t = (struct type){ .at = at,
                            .name = key,
                            .gv = "",
                            .shape = close == ']' ? "SCHEMA_LIST" : "SCHEMA_MAP",
                            .item = item };
        return (int)c->n_types - 1;
    }
    int i = schemac_find_type(c, g, s);
    if (i < 0)
        schemac_complain(c, at, "unknown type \"%s\"", s);
    return i;
}

static bool shape_is(const struct compiler *c, int type, const char *shape)
{
    return strcmp(c->types[type].shape, shape) == 0;
}

static void check_field(struct compiler *c, struct field *f)
{
    bool is_list = shape_is(c, f->type, "SCHEMA_LIST");

    if ((f->keys || f->list_type) && !is_list)
        schemac_complain(c, f->at, "field %s: keys and set are for lists", f->name);
    if (f->keys && f->flags && strstr(f->flags, "SCHEMA_ATOMIC"))
        f->keys = NULL; /* merge=key atomic: by key for a patch, as a whole for apply */
    if (f->keys)
        f->list_type = "SCHEMA_LIST_MAP";
    for (size_t i = 0; f->keys && is_list && f->keys[i]; i++) {
        const struct type *item = &c->types[c->types[f->type].item];
        bool found = false;
        for (size_t j = 0; j < item->n_fields; j++)
            found |= strcmp(item->fields[j].name, f->keys[i]) == 0 || item->fields[j].inlined;
        if (!found)
            schemac_complain(c, f->at, "field %s: %s has no field \"%s\" to be a key", f->name,
                             item->name, f->keys[i]);
    }
    if (!f->deflt)
        return;
    if (shape_is(c, f->type, "SCHEMA_STRING") && f->deflt[0] != '"')
        f->deflt = schemac_text(c, "\"%s\"", f->deflt);
    bool number = f->deflt[strspn(f->deflt, "-0123456789")] == '\0';
    bool boolean = strcmp(f->deflt, "true") == 0 || strcmp(f->deflt, "false") == 0;
    const char *const *v = (const char *const *)c->types[f->type].variants;
    if ((shape_is(c, f->type, "SCHEMA_INT32") || shape_is(c, f->type, "SCHEMA_INT64")) && !number)
        schemac_complain(c, f->at, "field %s: default %s is no number", f->name, f->deflt);
    if (shape_is(c, f->type, "SCHEMA_BOOL") && !boolean)
        schemac_complain(c, f->at, "field %s: default %s is no bool", f->name, f->deflt);
    if (v) {
        while (*v &&
               (strncmp(*v, f->deflt + 1, strlen(*v)) != 0 || strlen(*v) + 2 != strlen(f->deflt)))
            v++;
        if (!*v)
            schemac_complain(c, f->at, "field %s: default %s is no %s", f->name, f->deflt,
                             c->types[f->type].name);
    }
}

static int by_field_name(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

/* Adds t's fields to out, those of embedded types in place. */
static size_t flatten(struct compiler *c, const struct type *t, const unsigned *embed,
                      unsigned depth, struct field *out, size_t n)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        struct field f = t->fields[i];
        memcpy(f.embed, embed, sizeof f.embed);
        if (f.inlined && (depth == EMBED_MAX || !shape_is(c, f.type, "SCHEMA_STRUCT"))) {
            schemac_complain(c, f.at, "\"+ %s\" is embedded too deep or is no type with fields",
                             f.type_text);
        } else if (f.inlined) {
            f.embed[depth] = f.number;
            n = flatten(c, &c->types[f.type], f.embed, depth + 1, out, n);
        } else if (n == FLAT_MAX) {
            schemac_complain(c, f.at, "%s has more than %d fields", t->name, FLAT_MAX);
        } else {
            out[n++] = f;
        }
    }
    return n;
}

void schemac_resolve(struct compiler *c)
{
    for (size_t i = 0; i < c->n_types; i++)
        for (size_t j = 0; j < c->types[i].n_fields; j++) {
            struct field *f = &c->types[i].fields[j];
            const struct group *g = c->types[i].group;
            int type = resolve_text(c, f->at, g, f->type_text); /* types may move */
            f->type = type;
            if (type >= 0)
                check_field(c, f);
        }
    if (c->n_errors)
        return;
    for (size_t i = 0; i < c->n_types; i++) {
        struct field all[FLAT_MAX];
        const unsigned none[EMBED_MAX] = { 0 };
        struct type *t = &c->types[i];
        t->n_flat = flatten(c, t, none, 0, all, 0);
        t->first_flat = c->n_flat;
        qsort(all, t->n_flat, sizeof all[0], by_field_name);
        for (size_t j = 0; j < t->n_flat; j++) {
            if (j && strcmp(all[j].name, all[j - 1].name) == 0)
                schemac_complain(c, all[j].at, "%s has two fields %s, one of them embedded",
                                 t->name, all[j].name);
            *PUSH(c, c->flat, c->n_flat) = all[j];
        }
    }
    for (size_t i = 0; i < c->n_kinds; i++) {
        struct kind *k = &c->kinds[i];
        k->type = schemac_find_in(c, k->group->gv, k->kind);
        if (k->type < 0 || !shape_is(c, k->type, "SCHEMA_STRUCT"))
            schemac_complain(c, k->at, "kind %s has no object or type of that name", k->kind);
    }
}
