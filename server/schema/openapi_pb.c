/*
 * OpenAPI v2 as protobuf (github.com/google/gnostic openapiv2/OpenAPIv2.proto): the only form that
 * kubectl before 1.27 asks for. What is read there: definitions, and which query parameters the
 * PATCH of a kind knows (dryRun).
 */
#include "base/core/err.h"
#include "base/data/json.h"
#include "base/data/wire.h"
#include "server/schema/openapi.h"

enum { DOC_MAX_BYTES = 16 * 1024 * 1024 };

enum { /* message Document */ DOC_SWAGGER = 1, DOC_INFO = 2, DOC_PATHS = 8, DOC_DEFINITIONS = 9 };
enum { /* message Info */ INFO_TITLE = 1, INFO_VERSION = 2 };
enum { /* message Paths, PathItem, Operation */ PATHS_PATH = 2,
       PATH_PATCH = 8,
       OPERATION_PARAMETERS = 8,
       OPERATION_EXTENSION = 13 };
enum { /* message Parameter, NonBodyParameter, QueryParameterSubSchema */ PARAMETER_NON_BODY = 2,
       NON_BODY_QUERY = 3,
       QUERY_NAME = 4 };
enum { /* message NamedSchema, NamedPathItem, NamedAny */ NAMED_NAME = 1, NAMED_VALUE = 2 };
enum { /* message Any */ ANY_YAML = 2 };
enum { /* the one field of a wrapper message: Definitions, Properties, TypeItem, ItemsItem,
          ParametersItem */
       ONLY = 1
};
enum { /* message Schema */
       SCHEMA_PB_REF = 1,
       SCHEMA_PB_FORMAT = 2,
       SCHEMA_PB_DESCRIPTION = 4,
       SCHEMA_PB_REQUIRED = 19,
       SCHEMA_PB_ADDITIONAL = 21,
       SCHEMA_PB_TYPE = 22,
       SCHEMA_PB_ITEMS = 23,
       SCHEMA_PB_PROPERTIES = 25,
       SCHEMA_PB_EXTENSION = 31
};

static int text(struct buf *b, unsigned field, const json_t *v)
{
    return json_is_string(v)
               ? wire_add_bytes(b, field, str_n(json_string_value(v), json_string_length(v)))
               : 0;
}

static int schema(struct buf *b, const json_t *s);

/* A message that holds one schema under a field of its own. */
static int wrapped_schema(struct buf *b, unsigned field, const json_t *s)
{
    auto_buf one = BUF(DOC_MAX_BYTES), wrapper = BUF(DOC_MAX_BYTES);

    if (schema(&one, s) || wire_add_bytes(&wrapper, ONLY, buf_str(&one)))
        return ERR_LIMIT;
    return wire_add_bytes(b, field, buf_str(&wrapper));
}

static int named_schemas(struct buf *b, unsigned field, const json_t *map)
{
    auto_buf all = BUF(DOC_MAX_BYTES);
    const char *name;
    json_t *s;

    json_object_foreach((json_t *)map, name, s)
    {
        auto_buf one = BUF(DOC_MAX_BYTES), named = BUF(DOC_MAX_BYTES);
        if (schema(&one, s) || wire_add_bytes(&named, NAMED_NAME, str_of(name)) ||
            wire_add_bytes(&named, NAMED_VALUE, buf_str(&one)) ||
            wire_add_bytes(&all, ONLY, buf_str(&named)))
            return ERR_LIMIT;
    }
    return wire_add_bytes(b, field, buf_str(&all));
}

static int extension(struct buf *b, unsigned field, const char *name, const json_t *v)
{
    auto_buf yaml = BUF(DOC_MAX_BYTES), any = BUF(DOC_MAX_BYTES), named = BUF(DOC_MAX_BYTES);

    if (json_write(&yaml, v) || wire_add_bytes(&any, ANY_YAML, buf_str(&yaml)) ||
        wire_add_bytes(&named, NAMED_NAME, str_of(name)) ||
        wire_add_bytes(&named, NAMED_VALUE, buf_str(&any)))
        return ERR_LIMIT;
    return wire_add_bytes(b, field, buf_str(&named));
}

static int type_item(struct buf *b, const json_t *type)
{
    auto_buf item = BUF(256);

    if (!type)
        return 0;
    return text(&item, ONLY, type) || wire_add_bytes(b, SCHEMA_PB_TYPE, buf_str(&item));
}

static int schema(struct buf *b, const json_t *s)
{
    const json_t *items = json_object_get(s, "items"),
                 *properties = json_object_get(s, "properties");
    const json_t *additional = json_object_get(s, "additionalProperties");
    const char *key;
    json_t *v;
    size_t i;

    if (text(b, SCHEMA_PB_REF, json_object_get(s, "$ref")) ||
        text(b, SCHEMA_PB_FORMAT, json_object_get(s, "format")) ||
        text(b, SCHEMA_PB_DESCRIPTION, json_object_get(s, "description")))
        return ERR_LIMIT;
    json_array_foreach(json_object_get(s, "required"), i, v)
    {
        if (text(b, SCHEMA_PB_REQUIRED, v))
            return ERR_LIMIT;
    }
    if ((additional && wrapped_schema(b, SCHEMA_PB_ADDITIONAL, additional)) ||
        type_item(b, json_object_get(s, "type")) ||
        (items && wrapped_schema(b, SCHEMA_PB_ITEMS, items)) ||
        (properties && named_schemas(b, SCHEMA_PB_PROPERTIES, properties)))
        return ERR_LIMIT;
    json_object_foreach((json_t *)s, key, v)
    {
        if (strncmp(key, "x-", 2) == 0 && extension(b, SCHEMA_PB_EXTENSION, key, v))
            return ERR_LIMIT;
    }
    return 0;
}

static int parameter(struct buf *b, const json_t *p)
{
    auto_buf query = BUF(1024), non_body = BUF(1024), param = BUF(1024), item = BUF(1024);

    if (text(&query, QUERY_NAME, json_object_get(p, "name")) ||
        wire_add_bytes(&non_body, NON_BODY_QUERY, buf_str(&query)) ||
        wire_add_bytes(&param, PARAMETER_NON_BODY, buf_str(&non_body)) ||
        wire_add_bytes(&item, ONLY, buf_str(&param)))
        return ERR_LIMIT;
    return wire_add_bytes(b, OPERATION_PARAMETERS, buf_str(&item));
}

static int paths(struct buf *out, const json_t *all)
{
    static const char gvk[] = "x-kubernetes-group-version-kind";
    auto_buf list = BUF(DOC_MAX_BYTES);
    const char *path;
    json_t *item, *p;
    size_t i;

    json_object_foreach((json_t *)all, path, item)
    {
        const json_t *patch = json_object_get(item, "patch");
        auto_buf op = BUF(DOC_MAX_BYTES), one = BUF(DOC_MAX_BYTES), named = BUF(DOC_MAX_BYTES);

        if (!patch)
            continue; /* kubectl looks at no other operation */
        json_array_foreach(json_object_get(patch, "parameters"), i, p)
        {
            if (parameter(&op, p))
                return ERR_LIMIT;
        }
        if (extension(&op, OPERATION_EXTENSION, gvk, json_object_get(patch, gvk)) ||
            wire_add_bytes(&one, PATH_PATCH, buf_str(&op)) ||
            wire_add_bytes(&named, NAMED_NAME, str_of(path)) ||
            wire_add_bytes(&named, NAMED_VALUE, buf_str(&one)) ||
            wire_add_bytes(&list, PATHS_PATH, buf_str(&named)))
            return ERR_LIMIT;
    }
    return wire_add_bytes(out, DOC_PATHS, buf_str(&list));
}

int openapi_v2_pb(struct buf *out, const struct schema *s, const char *git_version)
{
    json_auto_t *doc = openapi_v2(s, git_version);
    auto_buf info = BUF(1024);

    if (wire_add_bytes(out, DOC_SWAGGER, STR("2.0")) ||
        wire_add_bytes(&info, INFO_TITLE, STR("Kubernetes")) ||
        wire_add_bytes(&info, INFO_VERSION, str_of(git_version)) ||
        wire_add_bytes(out, DOC_INFO, buf_str(&info)) || paths(out, json_object_get(doc, "paths")))
        return ERR_LIMIT;
    return named_schemas(out, DOC_DEFINITIONS, json_object_get(doc, "definitions"));
}
