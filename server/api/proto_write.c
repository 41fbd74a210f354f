/*
 * What is always on the wire, though JSON leaves it out (gogo/protobuf marshals a field that is no
 * pointer, list or map without a look at its value): empty texts, zeros, empty messages. Times are
 * messages of seconds and nanoseconds, and the zero time is an empty one
 * (apimachinery/pkg/apis/meta/v1/time_proto.go).
 */
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/data/wire.h"
#include "server/api/proto.h"

#include <string.h>

static const char MAGIC[4] = { 'k', '8', 's', '\0' };

struct writer {
    struct buf *b;
    struct err *e;
    unsigned depth;
};

static int limit(struct err *e)
{
    return err_set(e, ERR_LIMIT, "answer is too large");
}

static int wrong(struct writer *w, const struct schema_type *t)
{
    return err_set(w->e, ERR_IO, "protobuf: a value is no %s", t->name[0] ? t->name : "such thing");
}

/* 0, or the limit with w->e filled. */
static int done(struct writer *w, int rc)
{
    return rc ? limit(w->e) : 0;
}

static struct str text_of(const json_t *v)
{
    return str_n(json_string_value(v), json_string_length(v));
}

/* ---- values with an encoding of their own; v NULL: the zero value ---- */

static int write_time(struct writer *w, unsigned number, const json_t *v, bool micro)
{
    int64_t us, seconds, nanos;
    size_t at;

    if (!v)
        return done(w, wire_add_bytes(w->b, number, (struct str){ 0 }));
    if (!time_parse(&us, text_of(v)))
        return err_set(w->e, ERR_IO, "protobuf: \"%.40s\" is no time", json_string_value(v));
    nanos = us % 1000000 * 1000;
    seconds = us / 1000000 - (nanos < 0);
    nanos = micro ? nanos + (nanos < 0) * (int64_t)1000000000 : 0;
    return done(w, wire_open(w->b, number, &at) || wire_add_int(w->b, 1, (uint64_t)seconds) ||
                       wire_add_int(w->b, 2, (uint64_t)nanos) || wire_close(w->b, at));
}

static int write_int_or_string(struct writer *w, unsigned number, const json_t *v)
{
    bool is_text = json_is_string(v);
    size_t at;

    return done(w, wire_open(w->b, number, &at) || wire_add_int(w->b, 1, is_text) ||
                       wire_add_int(w->b, 2, (uint64_t)json_integer_value(v)) ||
                       wire_add_bytes(w->b, 3, is_text ? text_of(v) : (struct str){ 0 }) ||
                       wire_close(w->b, at));
}

/* {1: bytes}, without them when there are none. */
static int write_raw(struct writer *w, unsigned number, const json_t *v)
{
    size_t at, inner;

    if (wire_open(w->b, number, &at))
        return limit(w->e);
    if (v && (wire_open(w->b, 1, &inner) || json_write(w->b, v) || wire_close(w->b, inner)))
        return limit(w->e);
    return done(w, wire_close(w->b, at));
}

static int write_base64(struct writer *w, unsigned number, const json_t *v)
{
    auto_buf raw = BUF(json_string_length(v) + 4);

    if (base64_decode(&raw, text_of(v), true))
        return err_set(w->e, ERR_IO, "protobuf: a value is no base64");
    return done(w, wire_add_bytes(w->b, number, buf_str(&raw)));
}

static int write_real(struct writer *w, unsigned number, const json_t *v)
{
    double d = json_number_value(v);
    uint64_t bits;

    memcpy(&bits, &d, sizeof bits);
    return done(w, wire_add_fixed64(w->b, number, bits));
}

/* ---- the walk ---- */

static int write_struct(struct writer *w, const struct schema_type *t, const json_t *v);

static bool fits(const struct schema_type *t, const json_t *v)
{
    switch (t->shape) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
    case SCHEMA_DURATION:
    case SCHEMA_QUANTITY:
        return json_is_string(v);
    case SCHEMA_BOOL:
        return json_is_boolean(v);
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return json_is_integer(v);
    case SCHEMA_NUMBER:
        return json_is_number(v);
    case SCHEMA_INT_OR_STRING:
        return json_is_integer(v) || json_is_string(v);
    case SCHEMA_LIST:
        return json_is_array(v);
    case SCHEMA_MAP:
    case SCHEMA_STRUCT:
        return json_is_object(v);
    case SCHEMA_ANY:
    case SCHEMA_OBJECT:
        break;
    }
    return true;
}

/* One field that is there; v NULL: with its zero value. No list and no map. */
static int write_value(struct writer *w, const struct schema_type *t, unsigned number,
                       const json_t *v)
{
    static const char quantity_zero[] = "0";
    size_t at;

    if (v && !fits(t, v))
        return wrong(w, t);
    switch (t->shape) {
    case SCHEMA_STRING:
        return done(w, wire_add_bytes(w->b, number, v ? text_of(v) : (struct str){ 0 }));
    case SCHEMA_BOOL:
        return done(w, wire_add_int(w->b, number, json_is_true(v)));
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return done(w, wire_add_int(w->b, number, (uint64_t)json_integer_value(v)));
    case SCHEMA_NUMBER:
        return write_real(w, number, v);
    case SCHEMA_BYTES:
        return write_base64(w, number, v);
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
        return write_time(w, number, v, t->shape == SCHEMA_MICROTIME);
    case SCHEMA_QUANTITY:
        return done(w, wire_open(w->b, number, &at) ||
                           wire_add_bytes(w->b, 1, v ? text_of(v) : str_of(quantity_zero)) ||
                           wire_close(w->b, at));
    case SCHEMA_INT_OR_STRING:
        return write_int_or_string(w, number, v);
    case SCHEMA_ANY:
    case SCHEMA_OBJECT:
        return write_raw(w, number, v);
    case SCHEMA_STRUCT:
        if (wire_open(w->b, number, &at))
            return limit(w->e);
        if (write_struct(w, t, v))
            return w->e->code;
        return done(w, wire_close(w->b, at));
    case SCHEMA_DURATION: /* in custom resources only, which have no protobuf form */
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        break;
    }
    return wrong(w, t);
}

/* A list inside a map is a message with its items as field 1 (ExtraValue and its kin). */
static int write_list(struct writer *w, const struct schema_type *t, unsigned number,
                      const json_t *v)
{
    json_t *item;
    size_t i;

    json_array_foreach(v, i, item)
    {
        if (write_value(w, t->item->type, number, json_is_null(item) ? NULL : item))
            return w->e->code;
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_entry(struct writer *w, const struct schema_type *t, unsigned number,
                       const char *key, const json_t *v)
{
    const struct schema_type *vt = t->item->type;
    size_t at, inner;

    if (wire_open(w->b, number, &at) || wire_add_bytes(w->b, 1, str_of(key)))
        return limit(w->e);
    if (vt->shape == SCHEMA_LIST) {
        if (wire_open(w->b, 2, &inner))
            return limit(w->e);
        if (write_list(w, vt, 1, v))
            return w->e->code;
        if (wire_close(w->b, inner))
            return limit(w->e);
    } else if (!(vt->shape == SCHEMA_BYTES && json_is_null(v)) &&
               write_value(w, vt, 2, json_is_null(v) ? NULL : v)) {
        return w->e->code;
    }
    return done(w, wire_close(w->b, at));
}

static int write_map(struct writer *w, const struct schema_type *t, unsigned number,
                     const json_t *v)
{
    size_t n = json_object_size(v), i = 0;
    const char **keys = mem_calloc(n + 1, sizeof *keys), *key;
    json_t *item;
    int rc = 0;

    json_object_foreach((json_t *)v, key, item) keys[i++] = key;
    qsort(keys, n, sizeof *keys, by_text);
    for (i = 0; i < n && !rc; i++)
        rc = write_entry(w, t, number, keys[i], json_object_get(v, keys[i]));
    free(keys);
    return rc;
}

static int write_field(struct writer *w, const struct schema_field *f, const json_t *v)
{
    enum schema_shape shape = f->type->shape;

    if (json_is_null(v))
        v = NULL;
    if (!v && (f->flags & SCHEMA_POINTER || shape == SCHEMA_LIST || shape == SCHEMA_MAP ||
               shape == SCHEMA_BYTES))
        return 0;
    if ((shape == SCHEMA_LIST || shape == SCHEMA_MAP) && !fits(f->type, v))
        return wrong(w, f->type);
    if (shape == SCHEMA_LIST)
        return write_list(w, f->type, f->number, v);
    return shape == SCHEMA_MAP ? write_map(w, f->type, f->number, v)
                               : write_value(w, f->type, f->number, v);
}

/* Fields of embedded structs lie in messages of their own: at[i] is where the i-th open one began.
 */
static int write_struct(struct writer *w, const struct schema_type *t, const json_t *v)
{
    enum { EMBED_MAX = sizeof((struct schema_field *)NULL)->embed / sizeof(uint16_t) };
    uint16_t open[EMBED_MAX] = { 0 };
    size_t at[EMBED_MAX];
    unsigned n_open = 0;

    if (++w->depth > PROTO_DEPTH_MAX)
        return err_set(w->e, ERR_LIMIT, "protobuf: nested deeper than %d", PROTO_DEPTH_MAX);
    for (uint16_t i = 0; i <= t->n_by_number; i++) {
        const struct schema_field *f =
            i < t->n_by_number ? &t->fields[t->by_number[i]] : NULL; /* NULL: closes what is open */
        unsigned same = 0;

        while (f && same < n_open && f->embed[same] == open[same])
            same++;
        for (; n_open > same; n_open--)
            if (wire_close(w->b, at[n_open - 1]))
                return limit(w->e);
        for (; f && n_open < EMBED_MAX && f->embed[n_open]; n_open++) {
            open[n_open] = f->embed[n_open];
            if (wire_open(w->b, open[n_open], &at[n_open]))
                return limit(w->e);
        }
        if (f && write_field(w, f, json_object_get(v, f->name)))
            return w->e->code;
    }
    w->depth--;
    return 0;
}

/* ---- envelopes ---- */

/* Magic and type; the object comes next. */
static int envelope_head(struct buf *b, const char *api_version, const char *kind)
{
    size_t at;

    return buf_add(b, MAGIC, sizeof MAGIC) || wire_open(b, 1, &at) ||
           wire_add_bytes(b, 1, str_of(api_version)) || wire_add_bytes(b, 2, str_of(kind)) ||
           wire_close(b, at);
}

static int envelope_tail(struct buf *b) /* no content encoding, no content type */
{
    return wire_add_bytes(b, 3, (struct str){ 0 }) || wire_add_bytes(b, 4, (struct str){ 0 });
}

int proto_write(struct buf *b, const struct schema_type *t, const json_t *v, struct err *e)
{
    struct writer w = { .b = b, .e = e };
    size_t at;

    if (envelope_head(b, json_str_at(v, "apiVersion", ""), json_str_at(v, "kind", "")) ||
        wire_open(b, 2, &at))
        return limit(e);
    if (write_struct(&w, t, v))
        return e->code;
    return wire_close(b, at) || envelope_tail(b) ? limit(e) : 0;
}

int proto_write_list_head(struct buf *b, const struct proto_list *l, struct err *e)
{
    auto_buf meta = BUF(64 * 1024);
    struct writer w = { .b = &meta, .e = e };
    size_t at;

    if (wire_open(&meta, 1, &at))
        return limit(e);
    if (write_struct(&w, schema_builtin_type("meta/v1", "ListMeta"), l->meta))
        return e->code;
    if (wire_close(&meta, at) || envelope_head(b, l->api_version, l->kind) ||
        wire_add_head(b, 2, meta.n + l->items_bytes) || buf_add_str(b, buf_str(&meta)))
        return limit(e);
    return 0;
}

int proto_write_item(struct buf *b, const struct schema_type *t, const json_t *v, struct err *e)
{
    struct writer w = { .b = b, .e = e };

    return write_value(&w, t, 2, v);
}

int proto_write_list_tail(struct buf *b, struct err *e)
{
    return envelope_tail(b) ? limit(e) : 0;
}

int proto_write_event(struct buf *b, const char *type, const struct schema_type *t, const json_t *v,
                      struct err *e)
{
    size_t begin = b->n, extension, raw;

    if (buf_add(b, "\0\0\0", 4) || wire_add_bytes(b, 1, str_of(type)) ||
        wire_open(b, 2, &extension) || wire_open(b, 1, &raw))
        return limit(e);
    if (proto_write(b, t, v, e))
        return e->code;
    if (wire_close(b, raw) || wire_close(b, extension))
        return limit(e);
    size_t n = b->n - begin - 4;
    for (unsigned i = 0; i < 4; i++) /* big endian */
        b->p[begin + i] = (char)(n >> (24 - 8 * i));
    return 0;
}
