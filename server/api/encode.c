#include "server/api/encode.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/proto.h"
#include "server/schema/crd.h"

#include <inttypes.h>

enum { STORED_BYTES = 2000 }; /* to begin with; most objects have less */

char *encode_stored(const struct schema_kind *k, const json_t *given)
{
    json_auto_t *converted = k->convert ? json_deep_copy(given) : NULL;
    const json_t *obj = converted ? converted : given;
    static const char *const front[] = { "kind", "apiVersion", "metadata", NULL };
    static const char *const never[] = { "resourceVersion", "selfLink", NULL };
    auto_buf b = BUF(SIZE_MAX / 2); /* of what a request brought: bounded */
    char api[SCHEMA_API_VERSION_MAX];

    if (converted)
        k->convert->to_stored(k, converted);
    if (buf_reserve(&b, STORED_BYTES) ||
        buf_join(&b, "{\"kind\":\"", k->kind, "\",\"apiVersion\":\"", schema_stored_version(k, api),
                 "\",\"metadata\":{") ||
        json_write_members(&b, json_object_get(obj, "metadata"), never) || buf_adds(&b, "},"))
        return mem_strdup("null");
    size_t n = b.n;
    if (json_write_members(&b, obj, front))
        return mem_strdup("null");
    b.n -= b.n == n; /* the comma */
    return buf_addc(&b, '}') ? mem_strdup("null") : buf_take(&b);
}

/* What is behind "metadata":{ of a stored value. */
static int behind_front(struct str *rest, struct str value, struct err *e)
{
    static const char mark[] = "\"metadata\":{";
    /* kind and apiVersion are short, and cannot hold the mark: a quote in them is escaped */
    const char *p = memmem(value.p, MIN(value.n, (size_t)1024), mark, sizeof mark - 1);

    if (!p)
        return err_set(e, ERR_IO, "stored object is damaged: no metadata at its start");
    p += sizeof mark - 1;
    *rest = str_n(p, (size_t)(value.p + value.n - p));
    return 0;
}

static int limit(struct err *e)
{
    return err_set(e, ERR_LIMIT, "answer is too large");
}

static int splice(struct buf *b, const struct schema_kind *k, bool front, struct str value,
                  int64_t rev, struct err *e)
{
    char api[SCHEMA_API_VERSION_MAX];
    struct str rest = { 0 };

    if (behind_front(&rest, value, e))
        return e->code;
    if (front ? buf_join(b, "{\"kind\":\"", k->kind, "\",\"apiVersion\":\"",
                         schema_api_version(k, api), "\",\"metadata\":{")
              : buf_adds(b, "{\"metadata\":{"))
        return limit(e);
    if ((rev && buf_addf(b, "\"resourceVersion\":\"%" PRId64 "\",", rev)) || buf_add_str(b, rest))
        return limit(e);
    return 0;
}

int encode_parse(json_t **out, const struct schema_kind *k, struct str value, int64_t rev,
                 struct err *e)
{
    char api[SCHEMA_API_VERSION_MAX];
    json_t *j;

    if (json_parse(&j, value, e)) {
        err_wrap(e, "stored object is damaged");
        return e->code = ERR_IO;
    }
    if (!json_is_object(j)) {
        json_decref(j);
        return err_set(e, ERR_IO, "stored object is damaged: it is no JSON object");
    }
    json_object_set_new(j, "kind", json_string(k->kind));
    json_object_set_new(j, "apiVersion", json_string(schema_api_version(k, api)));
    if (rev)
        meta_set_resource_version(j, rev);
    if (k->convert)
        k->convert->from_stored(k, j);
    *out = j;
    return 0;
}

static int write_json(struct buf *b, const json_t *j, struct err *e)
{
    return json_write(b, j) ? limit(e) : 0;
}

static const char *meta_version(const struct encode_form *f)
{
    return f->beta ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1";
}

static json_t *row_of(const struct encode_form *f, json_t *obj)
{
    json_t *row = table_row(f->kind, obj, f->include, clock_wall_s());

    if (f->beta && f->include == TABLE_METADATA)
        json_object_set_new(json_object_get(row, "object"), "apiVersion",
                            json_string(meta_version(f)));
    return row;
}

static json_t *partial_of(const struct encode_form *f, const json_t *obj)
{
    json_t *p = json_object();

    json_object_set_new(p, "kind", json_string("PartialObjectMetadata"));
    json_object_set_new(p, "apiVersion", json_string(meta_version(f)));
    json_object_set(p, "metadata", json_object_get(obj, "metadata"));
    return p;
}

/* ---- protobuf ---- */

static const struct schema_type *proto_type(const struct encode_form *f)
{
    return f->as == ACCEPT_PARTIAL ? schema_builtin_type("meta/v1", "PartialObjectMetadata")
                                   : f->kind->type;
}

/* The object, or its partial metadata. */
static int proto_shown(json_t **out, const struct encode_form *f, struct str value, int64_t rev,
                       struct err *e)
{
    json_auto_t *obj = NULL;

    if (encode_parse(&obj, f->kind, value, rev, e))
        return e->code;
    *out = f->as == ACCEPT_PARTIAL ? partial_of(f, obj) : json_incref(obj);
    return 0;
}

static int proto_list_head(struct buf *b, const struct encode_form *f, const char *kind,
                           const char *version, int64_t rev, const char *continue_,
                           int64_t n_remaining, struct err *e)
{
    auto_free char *list_kind = mem_printf("%sList", kind);
    json_auto_t *meta = json_object();
    struct proto_list l = {
        .api_version = version, .kind = list_kind, .meta = meta, .items_bytes = f->items_bytes
    };

    if (rev)
        json_object_set_new(meta, "resourceVersion", json_sprintf("%" PRId64, rev));
    json_object_set_new(meta, "continue", json_string(continue_));
    if (n_remaining >= 0)
        json_object_set_new(meta, "remainingItemCount", json_integer(n_remaining));
    return proto_write_list_head(b, &l, e);
}

static int proto_event(struct buf *b, const struct encode_form *f, const char *type,
                       struct str value, int64_t rev, struct err *e)
{
    json_auto_t *shown = NULL;

    if (proto_shown(&shown, f, value, rev, e))
        return e->code;
    return proto_write_event(b, type, proto_type(f), shown, e);
}

static int proto_bookmark(struct buf *b, const struct encode_form *f, int64_t rev, bool initial_end,
                          struct err *e)
{
    char api[SCHEMA_API_VERSION_MAX];
    bool partial = f->as == ACCEPT_PARTIAL;
    json_auto_t *obj = json_pack(
        "{s:s, s:s, s:{}}", "kind", partial ? "PartialObjectMetadata" : f->kind->kind, "apiVersion",
        partial ? meta_version(f) : schema_api_version(f->kind, api), "metadata");

    meta_set_resource_version(obj, rev);
    if (initial_end)
        json_object_set_new(meta_of(obj), "annotations",
                            json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
    return proto_write_event(b, "BOOKMARK", proto_type(f), obj, e);
}

/* ---- the doors ---- */

/* A Status, the kind, or what a subresource of it answers. */
static const struct schema_type *type_of_doc(const struct encode_form *f, const json_t *doc)
{
    const char *kind = json_str_at(doc, "kind", "");

    if (strcmp(kind, "Status") == 0)
        return schema_builtin_type("meta/v1", "Status");
    if (f->kind && strcmp(kind, f->kind->kind) == 0)
        return f->kind->type;
    return schema_builtin_type(json_str_at(doc, "apiVersion", ""), kind);
}

int encode_doc(struct buf *b, const struct encode_form *f, const json_t *doc, struct err *e)
{
    const struct schema_type *t = f->proto ? type_of_doc(f, doc) : NULL;

    if (f->proto && !t)
        return err_set(e, ERR_IO, "%s has no protobuf form", json_str_at(doc, "kind", ""));
    return f->proto ? proto_write(b, t, doc, e) : write_json(b, doc, e);
}

/* The object, partial metadata, or a whole one-row table. */
static int add_form(struct buf *b, const struct encode_form *f, struct str value, int64_t rev,
                    bool with_columns, struct err *e)
{
    json_auto_t *obj = NULL, *shown = NULL;

    if (f->as == ACCEPT_OBJECT && !f->kind->convert)
        return splice(b, f->kind, true, value, rev, e);
    if (encode_parse(&obj, f->kind, value, rev, e))
        return e->code;
    if (f->as == ACCEPT_OBJECT)
        return write_json(b, obj, e);
    if (f->as == ACCEPT_PARTIAL) {
        shown = partial_of(f, obj);
    } else {
        json_t *rows = json_array(), *meta = json_object();

        json_array_append_new(rows, row_of(f, obj));
        json_object_set(meta, "resourceVersion",
                        json_object_get(json_object_get(obj, "metadata"), "resourceVersion"));
        shown = table_new(f->kind, rows, meta, with_columns);
        json_object_set_new(shown, "apiVersion", json_string(meta_version(f)));
    }
    return write_json(b, shown, e);
}

int encode_object(struct buf *b, const struct encode_form *f, struct str value, int64_t rev,
                  struct err *e)
{
    json_auto_t *shown = NULL;

    if (f->proto) {
        if (proto_shown(&shown, f, value, rev, e))
            return e->code;
        return proto_write(b, proto_type(f), shown, e);
    }
    if (add_form(b, f, value, rev, true, e))
        return e->code;
    return buf_addc(b, '\n') ? limit(e) : 0;
}

int encode_list_head(struct buf *b, const struct encode_form *f, int64_t rev, const char *continue_,
                     int64_t n_remaining, struct err *e)
{
    char api[SCHEMA_API_VERSION_MAX];
    const char *kind = f->as == ACCEPT_TABLE     ? "Table"
                       : f->as == ACCEPT_PARTIAL ? "PartialObjectMetadata"
                                                 : f->kind->kind;
    const char *version =
        f->as == ACCEPT_OBJECT ? schema_api_version(f->kind, api) : meta_version(f);
    bool named = f->as == ACCEPT_OBJECT && f->kind->custom; /* its list has a name of its own */

    if (f->proto)
        return proto_list_head(b, f, kind, version, rev, continue_, n_remaining, e);
    if (buf_addf(b, "{\"kind\":\"%s%s\",\"apiVersion\":\"%s\",\"metadata\":{",
                 named ? f->kind->custom->list_kind : kind,
                 named || f->as == ACCEPT_TABLE ? "" : "List", version))
        return limit(e);
    if (rev && buf_addf(b, "\"resourceVersion\":\"%" PRId64 "\"", rev))
        return limit(e);
    if (*continue_ && buf_addf(b, ",\"continue\":\"%s\"", continue_))
        return limit(e);
    if (n_remaining >= 0 && buf_addf(b, ",\"remainingItemCount\":%" PRId64, n_remaining))
        return limit(e);
    if (f->as != ACCEPT_TABLE)
        return buf_adds(b, "},\"items\":[") ? limit(e) : 0;
    json_auto_t *columns = table_columns(f->kind);
    if (buf_adds(b, "},\"columnDefinitions\":") || json_write(b, columns) ||
        buf_adds(b, ",\"rows\":["))
        return limit(e);
    return 0;
}

int encode_list_item(struct buf *b, const struct encode_form *f, struct str value, int64_t rev,
                     bool first, struct err *e)
{
    json_auto_t *obj = NULL, *shown = NULL;

    if (f->proto) {
        if (proto_shown(&shown, f, value, rev, e))
            return e->code;
        return proto_write_item(b, proto_type(f), shown, e);
    }
    if (!first && buf_addc(b, ','))
        return limit(e);
    if (f->as == ACCEPT_OBJECT && !f->kind->convert)
        return splice(b, f->kind, false, value, rev, e);
    if (encode_parse(&obj, f->kind, value, rev, e))
        return e->code;
    if (f->as == ACCEPT_OBJECT && !f->kind->custom) { /* upstream's unstructured lists keep them */
        json_object_del(obj, "kind");
        json_object_del(obj, "apiVersion");
    }
    if (f->as == ACCEPT_OBJECT)
        return write_json(b, obj, e);
    shown = f->as == ACCEPT_TABLE ? row_of(f, obj) : partial_of(f, obj);
    return write_json(b, shown, e);
}

int encode_list_tail(struct buf *b, const struct encode_form *f, struct err *e)
{
    if (f->proto)
        return proto_write_list_tail(b, e);
    return buf_adds(b, "]}\n") ? limit(e) : 0;
}

int encode_event(struct buf *b, const struct encode_form *f, const char *type, struct str value,
                 int64_t rev, bool with_columns, struct err *e)
{
    if (f->proto)
        return proto_event(b, f, type, value, rev, e);
    if (buf_addf(b, "{\"type\":\"%s\",\"object\":", type))
        return limit(e);
    if (add_form(b, f, value, rev, with_columns, e))
        return e->code;
    return buf_adds(b, "}\n") ? limit(e) : 0;
}

int encode_bookmark(struct buf *b, const struct encode_form *f, int64_t rev, bool initial_end,
                    struct err *e)
{
    char api[SCHEMA_API_VERSION_MAX];
    bool partial = f->as == ACCEPT_PARTIAL;
    const char *end =
        initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "";

    if (f->proto)
        return proto_bookmark(b, f, rev, initial_end, e);
    if (f->as == ACCEPT_TABLE) {
        if (buf_addf(b,
                     "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Table\",\"apiVersion\":\"%s\","
                     "\"metadata\":{\"resourceVersion\":\"%" PRId64
                     "\"},\"columnDefinitions\":null,\"rows\":[{\"cells\":[],\"object\":{\"kind\":"
                     "\"PartialObjectMetadata\",\"apiVersion\":\"%s\",\"metadata\":{"
                     "\"resourceVersion\":\"%" PRId64 "\",\"creationTimestamp\":null%s}}}]}}\n",
                     meta_version(f), rev, meta_version(f), rev, end))
            return limit(e);
        return 0;
    }
    if (buf_addf(b,
                 "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
                 "\"metadata\":{\"resourceVersion\":\"%" PRId64
                 "\",\"creationTimestamp\":null%s}}}\n",
                 partial ? "PartialObjectMetadata" : f->kind->kind,
                 partial ? meta_version(f) : schema_api_version(f->kind, api), rev, end))
        return limit(e);
    return 0;
}

int encode_error_event(struct buf *b, const struct encode_form *f, const json_t *status,
                       struct err *e)
{
    if (f->proto)
        return proto_write_event(b, "ERROR", schema_builtin_type("meta/v1", "Status"), status, e);
    if (buf_adds(b, "{\"type\":\"ERROR\",\"object\":") || json_write(b, status) ||
        buf_adds(b, "}\n"))
        return limit(e);
    return 0;
}
