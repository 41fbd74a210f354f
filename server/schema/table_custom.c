/* Cells of custom kinds: what a JSONPath leads to (apiextensions-apiserver
 * pkg/registry/customresource/tableconvertor). */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/jsonpath.h"
#include "base/data/time.h"
#include "server/schema/table_cells.h"

/* A value in a column of texts: as it is, or as JSON. */
static json_t *as_text(const json_t *v)
{
    if (json_is_string(v))
        return json_incref((json_t *)v);
    if (json_is_boolean(v))
        return json_string(json_is_true(v) ? "true" : "false");
    auto_free char *text = v ? json_text(v) : NULL;
    return text ? json_string(text) : json_null();
}

static json_t *as_age(const json_t *v, int64_t now_s)
{
    char age[CELL_AGE_MAX];
    int64_t us;

    if (!json_is_string(v))
        return json_null();
    if (!time_parse(&us, str_of(json_string_value(v))))
        return json_string("<invalid>");
    cell_since(age, json_string_value(v), now_s);
    return json_string(age);
}

/* arg: "<type of the column>:<path>" */
static json_t *jsonpath_cell(const struct cell *c, const char *arg)
{
    AUTO(jsonpath) struct jsonpath *p = NULL;
    struct str type, path;
    struct err e;

    str_cut(str_of(arg), ':', &type, &path);
    if (jsonpath_new(&p, path, &e))
        return json_null(); /* the definition's check has refused it */
    const json_t *v = jsonpath_first(p, c->obj);
    if (!v || json_is_null(v))
        return json_null();
    if (str_is(type, "string"))
        return as_text(v);
    if (str_is(type, "date"))
        return as_age(v, c->now_s);
    if (str_is(type, "integer"))
        return json_is_number(v) ? json_integer((json_int_t)json_number_value(v)) : json_null();
    if (str_is(type, "number"))
        return json_is_number(v) ? json_incref((json_t *)v) : json_null();
    return json_is_boolean(v) ? json_incref((json_t *)v) : json_null();
}

const struct cell_entry cells_of_custom[] = {
    { "jsonpath", jsonpath_cell },
    { NULL, NULL },
};
