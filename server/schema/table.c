#include "server/schema/table.h"

#include "server/schema/table_cells.h"

bool table_include_of(enum table_include *out, struct str text)
{
    if (!text.n || str_is(text, "Metadata"))
        *out = TABLE_METADATA;
    else if (str_is(text, "Object"))
        *out = TABLE_OBJECT;
    else if (str_is(text, "None"))
        *out = TABLE_NONE;
    else
        return false;
    return true;
}

/* What a kind shows that names no columns: upstream's default for kinds without a printer. */
static const struct schema_column plain[] = {
    { "Name", "string", "name", "Name, unique among its kind in a namespace", ".metadata.name", 0 },
    { "Created At", "date", "", "Time when it was made", ".metadata.creationTimestamp", 0 },
};

static const struct schema_column *columns_of(const struct schema_kind *k, size_t *n)
{
    *n = k->n_columns ? k->n_columns : ARRAY_LEN(plain);
    return k->n_columns ? k->columns : plain;
}

json_t *table_columns(const struct schema_kind *k)
{
    size_t n;
    const struct schema_column *c = columns_of(k, &n);
    json_t *out = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", c[i].name, "type",
                                             c[i].type, "format", c[i].format, "description",
                                             c[i].description, "priority", c[i].priority));
    return out;
}

static json_t *cell_of(const struct schema_column *column, const struct cell *c)
{
    const char *arg;
    cell_fn fn;
    const json_t *v;

    if (column->source[0] == '=') {
        fn = cell_find(column->source, &arg);
        return fn ? fn(c, arg) : json_null();
    }
    v = cell_at(c->obj, column->source);
    if (v)
        return json_deep_copy(v);
    return strcmp(column->type, "string") == 0 ? json_string("") : json_null();
}

/* A pod that has ended carries a condition that lets clients leave it out. */
static json_t *conditions_of(const struct schema_kind *k, const json_t *obj)
{
    const char *phase = cell_str(json_object_get(obj, "status"), "phase");
    bool failed = strcmp(phase, "Failed") == 0;

    if (k->group[0] || strcmp(k->kind, "Pod") != 0 || (!failed && strcmp(phase, "Succeeded") != 0))
        return NULL;
    return json_pack("[{s:s, s:s, s:s, s:s}]", "type", "Completed", "status", "True", "reason",
                     phase, "message",
                     failed ? "The pod failed." : "The pod has completed successfully.");
}

json_t *table_row(const struct schema_kind *k, json_t *obj, enum table_include include,
                  int64_t now_s)
{
    /* columns are those of the stored form: one printer serves all versions */
    json_auto_t *stored = schema_stored_kind(k) != k ? json_deep_copy(obj) : NULL;
    const struct cell c = { .obj = stored ? stored : obj, .now_s = now_s };
    json_t *row = json_object(), *cells = json_array(), *conditions = conditions_of(k, obj);
    size_t n;
    const struct schema_column *column = columns_of(k, &n);

    if (stored)
        k->convert->to_stored(k, stored);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(cells, cell_of(&column[i], &c));
    json_object_set_new(row, "cells", cells);
    if (conditions)
        json_object_set_new(row, "conditions", conditions);
    if (include == TABLE_OBJECT)
        json_object_set(row, "object", obj);
    else if (include == TABLE_METADATA)
        json_object_set_new(row, "object",
                            json_pack("{s:s, s:s, s:O}", "kind", "PartialObjectMetadata",
                                      "apiVersion", "meta.k8s.io/v1", "metadata",
                                      json_object_get(obj, "metadata")));
    return row;
}

json_t *table_new(const struct schema_kind *k, json_t *rows_take, json_t *metadata_take,
                  bool with_columns)
{
    json_t *t = json_pack("{s:s, s:s}", "kind", "Table", "apiVersion", "meta.k8s.io/v1");

    json_object_set_new(t, "metadata", metadata_take ? metadata_take : json_object());
    json_object_set_new(t, "columnDefinitions", with_columns ? table_columns(k) : json_array());
    json_object_set_new(t, "rows", rows_take);
    return t;
}
