#include "server/schema/managed_list.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd.h"

/* ---- reading and writing ---- */

static int read_entry(struct managed_list *l, json_t *j, bool ours, struct err *e)
{
    const char *operation = json_str_at(j, "operation", ""),
               *type = json_str_at(j, "fieldsType", "");
    const json_t *fields = json_object_get(j, "fieldsV1");
    struct managed_entry m = {
        .manager = json_str_at(j, "manager", ""),
        .api_version = json_str_at(j, "apiVersion", ""),
        .subresource = json_str_at(j, "subresource", ""),
        .time = json_str_at(j, "time", NULL),
        .json = j,
        .applied = strcmp(operation, "Apply") == 0,
    };

    if (!m.applied && strcmp(operation, "Update") != 0)
        return err_set(e, ERR_INVALID, "operation must be `Apply` or `Update`");
    if (!*m.api_version)
        return err_set(e, ERR_INVALID, "apiVersion must not be empty");
    if (strcmp(type, "FieldsV1") != 0)
        return err_set(e, ERR_INVALID, "invalid fieldsType \"%.40s\" in managed fields entry",
                       type);
    if (strlen(m.manager) > MANAGED_NAME_MAX)
        return err_set(e, ERR_INVALID, "manager may not be more than %d bytes", MANAGED_NAME_MAX);
    if (fields && fieldset_read(&m.set, l->a, fields, ours, e))
        return err_wrap(e, "error decoding set");
    m.as_read = ours ? m.set : NULL;
    m.as_read_time = m.time;
    struct managed_entry *have = managed_find(l, &m);
    if (have)
        *have = m;
    else
        managed_add(l, &m);
    return 0;
}

int managed_read(struct managed_list *l, const json_t *entries, bool ours, struct err *e)
{
    json_t *j;
    size_t i;

    json_array_foreach(entries, i, j)
    {
        if (!read_entry(l, j, ours, e))
            continue;
        l->n = 0;
        return e->code;
    }
    return 0;
}

static json_t *entry_json(const struct managed_entry *m)
{
    bool same = m->as_read && m->as_read == m->set;
    json_t *j;

    if (same && m->as_read_time == m->time)
        return json_incref(m->json);
    j = json_object();

    if (*m->manager)
        json_object_set_new(j, "manager", json_string(m->manager));
    json_object_set_new(j, "operation", json_string(m->applied ? "Apply" : "Update"));
    json_object_set_new(j, "apiVersion", json_string(m->api_version));
    if (m->time)
        json_object_set_new(j, "time", json_string(m->time));
    json_object_set_new(j, "fieldsType", json_string("FieldsV1"));
    if (same)
        json_object_set(j, "fieldsV1", json_object_get(m->json, "fieldsV1"));
    else
        json_object_set_new(j, "fieldsV1", fieldset_json(m->set));
    if (*m->subresource)
        json_object_set_new(j, "subresource", json_string(m->subresource));
    return j;
}

/* Times are all in one form, so their texts sort as they do; no time is the oldest. */
static int by_time(const struct managed_entry *x, const struct managed_entry *y)
{
    if (!x->time || !y->time)
        return (x->time != NULL) - (y->time != NULL);
    return strcmp(x->time, y->time);
}

static int by_place(const void *a, const void *b)
{
    const struct managed_entry *x = a, *y = b;
    int d = (int)y->applied - (int)x->applied;

    if (!d)
        d = by_time(x, y);
    if (!d)
        d = strcmp(x->manager, y->manager);
    if (!d)
        d = strcmp(x->api_version, y->api_version);
    return d ? d : strcmp(x->subresource, y->subresource);
}

json_t *managed_json(struct managed_list *l)
{
    json_t *out = l->n ? json_array() : NULL;

    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_place);
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(out, entry_json(&l->v[i]));
    return out;
}

/* ---- entries ---- */

struct managed_entry *managed_find(struct managed_list *l, const struct managed_entry *like)
{
    for (size_t i = 0; i < l->n; i++) {
        struct managed_entry *m = &l->v[i];
        if (m->applied == like->applied && strcmp(m->manager, like->manager) == 0 &&
            strcmp(m->subresource, like->subresource) == 0 &&
            (m->applied || strcmp(m->api_version, like->api_version) == 0))
            return m;
    }
    return NULL;
}

struct managed_entry *managed_add(struct managed_list *l, const struct managed_entry *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct managed_entry *v = arena_alloc(l->a, cap * sizeof *v);

        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n] = *e;
    return &l->v[l->n++];
}

bool managed_is_same_form(const struct schema_kind *k, const char *api_version)
{
    char own[SCHEMA_API_VERSION_MAX];
    size_t n = 0;
    const struct crd_version *v = k->custom ? crd_versions(k->custom->crd, &n) : NULL;

    if (strcmp(schema_api_version(k, own), api_version) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (strcmp(schema_api_version(&v[i].kind, own), api_version) == 0)
            return true;
    return false;
}

void managed_prune(struct managed_list *l, const struct schema_kind *k)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].set && managed_is_same_form(k, l->v[i].api_version))
            l->v[n++] = l->v[i];
    l->n = n;
}

static void drop(struct managed_list *l, struct managed_entry *m)
{
    size_t at = (size_t)(m - l->v);

    memmove(m, m + 1, (l->n - at - 1) * sizeof *m);
    l->n--;
}

/* Of the updates; neither x nor y, which may be NULL. */
static struct managed_entry *oldest_but(struct managed_list *l, const struct managed_entry *x,
                                        const struct managed_entry *y)
{
    struct managed_entry *found = NULL;

    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].applied && &l->v[i] != x && &l->v[i] != y &&
            (!found || by_place(&l->v[i], found) < 0))
            found = &l->v[i];
    return found;
}

static size_t n_updates(const struct managed_list *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += !l->v[i].applied;
    return n;
}

/* capmanagers.go: the oldest one becomes the bucket if there is none; then the oldest others join
 * it, and it has the time of the last that did. */
void managed_cap(struct managed_list *l)
{
    while (n_updates(l) > MANAGED_UPDATES_MAX) {
        struct managed_entry *first = oldest_but(l, NULL, NULL);
        struct managed_entry like = { .manager = "ancient-changes",
                                      .subresource = "",
                                      .api_version = first->api_version };
        struct managed_entry *bucket = managed_find(l, &like);
        struct managed_entry *next = oldest_but(l, first, bucket);

        if (!bucket) {
            bucket = first;
            bucket->as_read = NULL; /* under another name */
            bucket->manager = like.manager;
            bucket->subresource = like.subresource;
        }
        bucket->set = fieldset_union(l->a, next->set, bucket->set);
        bucket->time = next->time;
        drop(l, next);
    }
}

/* ---- fields apart ---- */

static const struct fieldset METADATA = { 9,
                                          { { "f:clusterName", NULL, true },
                                            { "f:creationTimestamp", NULL, true },
                                            { "f:generation", NULL, true },
                                            { "f:managedFields", NULL, true },
                                            { "f:name", NULL, true },
                                            { "f:namespace", NULL, true },
                                            { "f:resourceVersion", NULL, true },
                                            { "f:selfLink", NULL, true },
                                            { "f:uid", NULL, true } } };
const struct fieldset managed_never = {
    3,
    { { "f:apiVersion", NULL, true }, { "f:kind", NULL, true }, { "f:metadata", &METADATA, true } }
};

static const struct fieldset SPEC = { 1, { { "f:spec", NULL, true } } };
static const struct fieldset STATUS = { 1, { { "f:status", NULL, true } } };
static const struct fieldset POD_METADATA = {
    2, { { "f:deletionTimestamp", NULL, true }, { "f:ownerReferences", NULL, true } }
};
static const struct fieldset POD_SPEC = {
    2, { { "f:metadata", &POD_METADATA, false }, { "f:spec", NULL, true } }
};

const struct fieldset *managed_reset(const struct schema_kind *k, const char *subresource)
{
    bool pod = k->group[0] == '\0' && strcmp(k->kind, "Pod") == 0;

    if (strcmp(subresource, "status") == 0 || strcmp(subresource, "approval") == 0)
        return pod ? &POD_SPEC : &SPEC;
    return schema_find_sub(k, STR("status")) ? &STATUS : NULL;
}
