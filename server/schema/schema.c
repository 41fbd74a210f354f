#include "server/schema/schema.h"

#include "base/core/buf.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "server/schema/tables.h"

#include <stdio.h>
#include <stdlib.h>

const struct schema_scale schema_scale_builtin = { "spec.replicas", "status.replicas",
                                                   "spec.selector" };

struct schema {
    const struct schema_kind **v; /* see schema_kinds */
    size_t n;
    struct map *by_key; /* "group/version/plural" and "group/version#Kind" to the kind */
    uint64_t generation;
};

enum { KEY_MAX = 1024 };

static char *put(char *p, struct str s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static struct str make_key(char out[KEY_MAX], struct str group, struct str version, char sign,
                           struct str name)
{
    if (group.n + version.n + name.n + 2 >= KEY_MAX)
        return STR("");
    char *p = put(out, group);
    *p++ = '/';
    p = put(p, version);
    *p++ = sign;
    p = put(p, name);
    return str_n(out, (size_t)(p - out));
}

static struct str key_of(char out[KEY_MAX], const struct schema_kind *k, bool by_kind)
{
    return make_key(out, str_of(k->group), str_of(k->version), by_kind ? '#' : '/',
                    str_of(by_kind ? k->kind : k->plural));
}

/* "v2beta1": its major, stage (GA is the highest) and minor. False: no such version. */
static bool parse_version(const char *s, unsigned long out[3])
{
    static const struct {
        const char *word;
        unsigned long stage;
    } stages[] = { { "beta", 1 }, { "alpha", 0 } };
    char *end;

    if (s[0] != 'v' || s[1] < '1' || s[1] > '9')
        return false;
    out[0] = strtoul(s + 1, &end, 10);
    out[1] = 2;
    out[2] = 0;
    if (!*end)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        size_t n = strlen(stages[i].word);
        if (strncmp(end, stages[i].word, n) != 0 || end[n] < '1' || end[n] > '9')
            continue;
        out[1] = stages[i].stage;
        out[2] = strtoul(end + n, &end, 10);
        return !*end;
    }
    return false;
}

int schema_version_order(const char *a, const char *b)
{
    static const int places[] = { 1, 0, 2 }; /* the stage decides first */
    unsigned long x[3], y[3];
    bool is_a = parse_version(a, x), is_b = parse_version(b, y);

    if (!is_a || !is_b)
        return is_a ? -1 : is_b ? 1 : strcmp(a, b);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (x[places[i]] != y[places[i]])
            return x[places[i]] > y[places[i]] ? -1 : 1;
    return 0;
}

/* Kinds of one group lie together: whoever joins it takes its place. */
static int group_priority(const struct schema *s, const struct schema_kind *k)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i]->group, k->group) == 0)
            return s->v[i]->group_priority;
    return k->group_priority;
}

static int order(const struct schema *s, const struct schema_kind *a, const struct schema_kind *b)
{
    int d = strcmp(a->group, b->group);

    if (d) {
        int other = group_priority(s, b) - group_priority(s, a);
        return other ? other : d;
    }
    d = b->version_priority - a->version_priority;
    if (!d)
        d = schema_version_order(a->version, b->version);
    return d ? d : strcmp(a->plural, b->plural);
}

bool schema_add(struct schema *s, const struct schema_kind *k)
{
    char key[KEY_MAX], kind_key[KEY_MAX];
    struct str plural = key_of(key, k, false), kind = key_of(kind_key, k, true);

    if (!plural.n || !kind.n || map_get(s->by_key, plural) || map_get(s->by_key, kind))
        return false;
    s->v = mem_realloc(s->v, (s->n + 1) * sizeof *s->v);
    size_t i = s->n;
    for (; i > 0 && order(s, k, s->v[i - 1]) < 0; i--)
        continue;
    memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof *s->v);
    s->v[i] = k;
    s->n++;
    map_set(s->by_key, plural, (void *)(uintptr_t)k);
    map_set(s->by_key, kind, (void *)(uintptr_t)k);
    s->generation++;
    return true;
}

void schema_remove(struct schema *s, const struct schema_kind *k)
{
    char key[KEY_MAX];

    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i] != k)
            continue;
        map_remove(s->by_key, key_of(key, k, false));
        map_remove(s->by_key, key_of(key, k, true));
        memmove(s->v + i, s->v + i + 1, (s->n - i - 1) * sizeof *s->v);
        s->n--;
        s->generation++;
        return;
    }
}

struct schema *schema_new(void)
{
    struct schema *s = mem_alloc(sizeof *s);

    s->by_key = map_new();
    for (size_t i = 0; i < schema_n_builtin_kinds; i++)
        (void)!schema_add(s, &schema_builtin_kinds[i]); /* schemac has refused doubles */
    return s;
}

void schema_free(struct schema *s)
{
    if (!s)
        return;
    map_free(s->by_key);
    free(s->v);
    free(s);
}

uint64_t schema_generation(const struct schema *s)
{
    return s->generation;
}

const struct schema_kind *schema_find(const struct schema *s, struct str group, struct str version,
                                      struct str plural)
{
    char key[KEY_MAX];

    return map_get(s->by_key, make_key(key, group, version, '/', plural));
}

const struct schema_kind *schema_find_kind(const struct schema *s, struct str group,
                                           struct str version, struct str kind)
{
    char key[KEY_MAX];

    return map_get(s->by_key, make_key(key, group, version, '#', kind));
}

const struct schema_kind *schema_find_api(const struct schema *s, const char *api_version,
                                          const char *kind)
{
    struct str group, version;

    if (!str_cut(str_of(api_version), '/', &group, &version)) {
        version = group;
        group = STR("");
    }
    return schema_find_kind(s, group, version, str_of(kind));
}

bool schema_has_version(const struct schema *s, struct str group, struct str version)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_is(group, s->v[i]->group) && str_is(version, s->v[i]->version))
            return true;
    return false;
}

bool schema_is_builtin(const struct schema_kind *k)
{
    return k >= schema_builtin_kinds && k < schema_builtin_kinds + schema_n_builtin_kinds;
}

const struct schema_sub *schema_find_sub(const struct schema_kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_subs; i++)
        if (str_is(name, k->subs[i].name))
            return &k->subs[i];
    return NULL;
}

const struct schema_kind *const *schema_kinds(const struct schema *s, size_t *n)
{
    *n = s->n;
    return s->v;
}

const char *schema_verb_name(unsigned bit_index)
{
    static const char *const names[] = { "create", "delete", "deletecollection", "get",
                                         "list",   "patch",  "update",           "watch" };

    return bit_index < ARRAY_LEN(names) ? names[bit_index] : NULL;
}

const char *schema_api_version(const struct schema_kind *k, char *out)
{
    str_join(out, SCHEMA_API_VERSION_MAX, k->group, k->group[0] ? "/" : "", k->version);
    return out;
}

/* "core" is the store's name of the group that has none. */
static const char *stored_group(const struct schema_kind *k)
{
    const char *group = k->storage_group ? k->storage_group : "";

    return strcmp(group, "core") == 0 ? "" : group;
}

const char *schema_stored_version(const struct schema_kind *k, char *out)
{
    const char *group = stored_group(k);

    if (!k->convert)
        return schema_api_version(k, out);
    str_join(out, SCHEMA_API_VERSION_MAX, group, *group ? "/" : "", k->storage_version);
    return out;
}

const struct schema_kind *schema_stored_kind(const struct schema_kind *k)
{
    for (size_t i = 0; k->convert && i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *s = &schema_builtin_kinds[i];
        if (strcmp(s->kind, k->kind) == 0 && strcmp(s->group, stored_group(k)) == 0 &&
            strcmp(s->version, k->storage_version) == 0)
            return s;
    }
    return k;
}

const struct schema_field *schema_field(const struct schema_type *t, const char *name)
{
    size_t low = 0, high = t->shape == SCHEMA_STRUCT ? t->n_fields : 0;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = strcmp(name, t->fields[mid].name);
        if (!d)
            return &t->fields[mid];
        if (d < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct schema_type *schema_builtin_type(const char *group_version, const char *name)
{
    for (size_t i = 0; i < schema_n_builtin_types; i++) {
        const struct schema_type *t = &schema_builtin_types[i];
        if (strcmp(t->name, name) == 0 && strcmp(t->group_version, group_version) == 0)
            return t;
    }
    return NULL;
}
