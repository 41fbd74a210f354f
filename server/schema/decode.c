#include "server/schema/decode.h"

#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/intorstring.h"
#include "base/kube/quantity.h"
#include "server/schema/crd.h"
#include "server/schema/crd_object.h"
#include "server/schema/decode_parts.h"

#include <math.h>
#include <stdio.h>

/*
 * The walk follows the tables, not the document: a field that the tables do not know is noted and
 * dropped. What stays is what upstream would write again after reading it into Go structs, whose
 * rules the flags carry: a value field that is zero and not required is left out (omitempty), a
 * pointer keeps its zero, an embedded struct is always there.
 */
struct walk {
    struct decode_notes *notes; /* NULL: nothing is noted */
    struct err *e;
    bool from_map; /* not from JSON text: upstream's errors have other words then */
};

void decode_notes_deinit(struct decode_notes *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    *n = (struct decode_notes){ 0 };
}

void decode_notes_cut(struct decode_notes *n, size_t to)
{
    while (n->n > to)
        free(n->v[--n->n]);
}

void decode_notes_add(struct decode_notes *n, const char *fmt, ...)
{
    va_list ap;

    if (n->n == DECODE_NOTES_MAX)
        return;
    if (!n->v)
        n->v = mem_calloc(DECODE_NOTES_MAX, sizeof *n->v);
    va_start(ap, fmt);
    n->v[n->n++] = mem_vprintf(fmt, ap);
    va_end(ap);
}

void decode_note(struct decode_notes *n, const char *what, const struct field_path *p)
{
    if (!n || n->n == DECODE_NOTES_MAX)
        return;
    auto_free char *path = field_path_text(p);
    decode_notes_add(n, "%s field \"%s\"", what, path);
}

bool decode_mode_of(enum decode_mode *out, struct str text)
{
    if (!text.n || str_is(text, "Warn"))
        *out = DECODE_WARN;
    else if (str_is(text, "Strict"))
        *out = DECODE_STRICT;
    else if (str_is(text, "Ignore"))
        *out = DECODE_IGNORE;
    else
        return false;
    return true;
}

/* ---- errors of type ---- */

static int go_name(struct buf *b, const struct schema_type *t)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "string",
        [SCHEMA_BOOL] = "bool",
        [SCHEMA_INT32] = "int32",
        [SCHEMA_INT64] = "int64",
        [SCHEMA_NUMBER] = "float64",
        [SCHEMA_BYTES] = "[]uint8",
        [SCHEMA_TIME] = "string",
        [SCHEMA_MICROTIME] = "string",
        [SCHEMA_DURATION] = "string",
        [SCHEMA_QUANTITY] = "resource.Quantity",
        [SCHEMA_INT_OR_STRING] = "intstr.IntOrString",
        [SCHEMA_ANY] = "interface {}",
        [SCHEMA_OBJECT] = "map[string]interface {}",
    };

    if (t->shape == SCHEMA_LIST)
        return buf_adds(b, "[]") || go_name(b, t->item->type);
    if (t->shape == SCHEMA_MAP)
        return buf_adds(b, "map[string]") || go_name(b, t->item->type);
    if (t->shape == SCHEMA_STRUCT || t->name[0])
        return buf_addf(b, "v1.%s", t->name);
    return buf_adds(b, names[t->shape]);
}

/* The names on the way, without indices and keys: "spec.containers.image". */
static int go_path(struct buf *b, const struct field_path *p)
{
    if (!p)
        return 0;
    if (go_path(b, p->parent))
        return 1;
    return p->name ? buf_addf(b, "%s%s", b->n ? "." : "", p->name) : 0;
}

/* apimachinery/pkg/runtime/converter.go, fromUnstructured: no place is told. */
static int wrong_in_map(struct walk *w, const struct schema_type *t, const json_t *v)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "map",    [JSON_ARRAY] = "slice",  [JSON_STRING] = "string",
        [JSON_INTEGER] = "int64", [JSON_REAL] = "float64", [JSON_TRUE] = "bool",
        [JSON_FALSE] = "bool",    [JSON_NULL] = "invalid"
    };
    const char *from = kinds[json_typeof(v)];
    auto_buf name = BUF(256);

    err_ignore(go_name(&name, t));
    switch (t->shape) {
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        return err_set(w->e, ERR_INVALID, "cannot restore map from %s", from);
    case SCHEMA_LIST:
    case SCHEMA_BYTES:
        return err_set(w->e, ERR_INVALID, "cannot restore slice from %s", from);
    case SCHEMA_STRUCT:
        return err_set(w->e, ERR_INVALID, "cannot restore struct from: %s", from);
    default: /* Go converts a number to any number and to a string, and is then asked not to */
        return json_is_number(v) && t->shape != SCHEMA_BOOL &&
                       (json_is_integer(v) || t->shape != SCHEMA_STRING)
                   ? err_set(w->e, ERR_INVALID, "cannot convert %s to %s", from, buf_cstr(&name))
                   : err_set(w->e, ERR_INVALID, "unrecognized type: %s", buf_cstr(&name));
    }
}

static int wrong_type(struct walk *w, const struct field_path *p, const struct schema_type *owner,
                      const struct schema_type *t, const json_t *v)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "object",  [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_INTEGER] = "number", [JSON_REAL] = "number", [JSON_TRUE] = "bool",
        [JSON_FALSE] = "bool",     [JSON_NULL] = "null"
    };
    auto_buf path = BUF(512), name = BUF(256);
    char number[40] = "";

    if (w->from_map)
        return wrong_in_map(w, t, v);
    err_ignore(go_path(&path, p)); /* cut: the text is cut at 255 bytes anyhow */
    err_ignore(go_name(&name, t));
    if (json_is_real(v))
        snprintf(number, sizeof number, " %.15g", json_real_value(v));
    else if (json_is_integer(v) && (t->shape == SCHEMA_INT32 || t->shape == SCHEMA_INT64))
        snprintf(number, sizeof number, " %" JSON_INTEGER_FORMAT, json_integer_value(v));
    return err_set(w->e, ERR_INVALID,
                   "json: cannot unmarshal %s%s into Go struct field %s.%s of type %s",
                   kinds[json_typeof(v)], number, owner->name, buf_cstr(&path), buf_cstr(&name));
}

/* ---- scalars: *out is v itself (borrowed) or a new value ------------------------------------- */

static int time_value(struct walk *w, json_t *v, enum schema_shape shape, json_t **out)
{
    char text[TIME_TEXT_BYTES];
    int64_t us;

    if (!time_parse(&us, str_n(json_string_value(v), json_string_length(v))))
        return err_set(w->e, ERR_INVALID,
                       "parsing time \"%.64s\" as \"%s\": cannot parse \"%.64s\" as RFC 3339",
                       json_string_value(v),
                       shape == SCHEMA_TIME ? "2006-01-02T15:04:05Z07:00"
                                            : "2006-01-02T15:04:05.000000Z07:00",
                       json_string_value(v));
    if (shape == SCHEMA_TIME)
        time_text_s(text, us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000));
    else
        time_text_us(text, us);
    if (strcmp(text, json_string_value(v)) != 0)
        *out = json_string(text);
    return 0;
}

static int quantity_value_of(struct walk *w, json_t *v, json_t **out)
{
    char text[QUANTITY_TEXT_MAX];
    struct quantity q;

    if (json_is_integer(v))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, sizeof text, "%.15g", json_real_value(v));
    struct str s =
        json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : str_of(text);
    if (quantity_parse(&q, s, w->e))
        return w->e->code;
    quantity_print(text, &q);
    if (!json_is_string(v) || strcmp(text, json_string_value(v)) != 0)
        *out = json_string(text);
    return 0;
}

static bool fits(const struct schema_type *t, const json_t *v)
{
    switch (t->shape) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
    case SCHEMA_DURATION:
        return json_is_string(v);
    case SCHEMA_BOOL:
        return json_is_boolean(v);
    case SCHEMA_INT32:
        return json_is_integer(v) && json_integer_value(v) >= INT32_MIN &&
               json_integer_value(v) <= INT32_MAX;
    case SCHEMA_INT64:
        return json_is_integer(v);
    case SCHEMA_NUMBER:
        return json_is_number(v);
    case SCHEMA_QUANTITY:
        return json_is_string(v) || json_is_number(v);
    case SCHEMA_INT_OR_STRING:
        return intorstring_valid(v);
    case SCHEMA_ANY:
        return true;
    case SCHEMA_LIST:
        return json_is_array(v);
    case SCHEMA_OBJECT:
    case SCHEMA_MAP:
    case SCHEMA_STRUCT:
        return json_is_object(v);
    }
    return false;
}

/* An integer that came as 1.0 or 1e3 is one. */
static json_t *whole_number(const struct schema_type *t, const json_t *v)
{
    double d = json_is_real(v) ? json_real_value(v) : 0.5;

    if ((t->shape != SCHEMA_INT32 && t->shape != SCHEMA_INT64) || d != floor(d) || fabs(d) >= 9e15)
        return NULL;
    return json_integer((json_int_t)d);
}

/* What null means where a value must be. */
static json_t *zero(const struct schema_type *t)
{
    switch (t->shape) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
        return json_string("");
    case SCHEMA_BOOL:
        return json_false();
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_NUMBER:
    case SCHEMA_INT_OR_STRING:
        return json_integer(0);
    case SCHEMA_QUANTITY:
        return json_string("0");
    case SCHEMA_STRUCT:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        return json_object();
    case SCHEMA_LIST:
        return json_array();
    default:
        return json_null();
    }
}

static bool is_zero(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return json_string_length(v) == 0;
    case JSON_INTEGER:
        return json_integer_value(v) == 0;
    case JSON_REAL:
        return json_real_value(v) == 0;
    case JSON_ARRAY:
        return json_array_size(v) == 0;
    case JSON_OBJECT:
        return json_object_size(v) == 0;
    case JSON_FALSE:
    case JSON_NULL:
        return true;
    case JSON_TRUE:
        break;
    }
    return false;
}

/* ---- the walk ---- */

static int struct_value(struct walk *w, const struct field_path *p, const struct schema_type *t,
                        json_t *v);

static int one_value(struct walk *w, const struct field_path *p, const struct schema_type *owner,
                     const struct schema_field *f, json_t *v, json_t **out);

static int list_value(struct walk *w, const struct field_path *p, const struct schema_type *owner,
                      const struct schema_type *t, json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *out = NULL;
        if (one_value(w, FIELD_INDEX(p, i), owner, t->item, json_array_get(v, i), &out))
            return w->e->code;
        if (out)
            json_array_set_new(v, i, out);
    }
    return 0;
}

static int map_value(struct walk *w, const struct field_path *p, const struct schema_type *owner,
                     const struct schema_type *t, json_t *v)
{
    const char *key;
    json_t *item;

    json_object_foreach(v, key, item)
    {
        json_t *out = NULL;
        if (one_value(w, FIELD_KEY(p, key), owner, t->item, item, &out))
            return w->e->code;
        if (out) /* replacing the value of a key that is there leaves the walk alone */
            json_object_set_new(v, key, out);
    }
    return 0;
}

/* Checks v. *out stays NULL when v (changed in place) is right, else it is the new value. */
static int one_value(struct walk *w, const struct field_path *p, const struct schema_type *owner,
                     const struct schema_field *f, json_t *v, json_t **out)
{
    const struct schema_type *t = f->type;

    if (json_is_null(v) && t->shape != SCHEMA_ANY) {
        *out = zero(t);
        return t->shape == SCHEMA_STRUCT ? struct_value(w, p, t, *out) : 0;
    }
    if (!fits(t, v) && !(*out = whole_number(t, v)))
        return wrong_type(w, p, owner, t, v);
    switch (t->shape) {
    case SCHEMA_BYTES:
        if (!base64_valid(str_n(json_string_value(v), json_string_length(v))))
            return err_set(w->e, ERR_INVALID, "illegal base64 data at input byte 0");
        return 0;
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
        return time_value(w, v, t->shape, out);
    case SCHEMA_QUANTITY:
        return quantity_value_of(w, v, out);
    case SCHEMA_LIST:
        return list_value(w, p, owner, t, v);
    case SCHEMA_MAP:
        return map_value(w, p, owner, t, v);
    case SCHEMA_STRUCT:
        return struct_value(w, p, t, v);
    default:
        return 0;
    }
}

/* Fields that upstream writes even when nobody sets them. */
static int fill(struct walk *w, const struct field_path *p, const struct schema_type *t, json_t *v)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct schema_field *f = &t->fields[i];
        enum schema_shape shape = f->type->shape;
        if (f->flags & SCHEMA_POINTER || json_object_get(v, f->name))
            continue;
        if (shape == SCHEMA_STRUCT) {
            json_t *empty = json_object();
            json_object_set_new(v, f->name, empty);
            if (struct_value(w, FIELD_AT(p, f->name), f->type, empty))
                return w->e->code;
        } else if (f->flags & SCHEMA_REQUIRED && shape <= SCHEMA_INT64) {
            json_object_set_new(v, f->name, zero(f->type));
        }
    }
    return 0;
}

static int struct_value(struct walk *w, const struct field_path *p, const struct schema_type *t,
                        json_t *v)
{
    const char *key;
    json_t *item;
    void *next;

    json_object_foreach_safe(v, next, key, item)
    {
        const struct schema_field *f = schema_field(t, key);
        json_t *out = NULL;
        if (!f && !t->preserve_unknown) {
            decode_note(w->notes, "unknown", FIELD_AT(p, key));
            json_object_del(v, key);
        }
        if (!f)
            continue;
        if (json_is_null(item) && f->type->shape != SCHEMA_ANY) {
            json_object_del(v, key);
            continue;
        }
        if (one_value(w, FIELD_AT(p, f->name), t, f, item, &out))
            return w->e->code;
        if (out)
            json_object_set_new(v, f->name, out);
        item = json_object_get(v, f->name);
        if (!(f->flags & (SCHEMA_POINTER | SCHEMA_REQUIRED)) && is_zero(item) &&
            f->type->shape != SCHEMA_STRUCT && f->type->shape != SCHEMA_ANY &&
            f->type->shape != SCHEMA_QUANTITY)
            json_object_del(v, f->name);
    }
    return fill(w, p, t, v);
}

/* ---- duplicate fields ---- */

struct scan { /* over text that is known to be JSON */
    struct str rest;
    struct decode_notes *notes; /* NULL: below an unknown field, where nothing counts */
    struct map *unknown;        /* notes of fields that are unknown, by their texts; may be NULL */
};

static char scan_skip(struct scan *s, const char *set)
{
    while (s->rest.n && strchr(set, s->rest.p[0]))
        s->rest = str_n(s->rest.p + 1, s->rest.n - 1);
    return s->rest.n ? s->rest.p[0] : '\0';
}

static struct str scan_string(struct scan *s) /* at a '"' */
{
    size_t i = 1;

    while (i < s->rest.n && s->rest.p[i] != '"')
        i += s->rest.p[i] == '\\' ? 2 : 1;
    i = MIN(i, s->rest.n - 1);
    struct str text = str_n(s->rest.p + 1, i > 0 ? i - 1 : 0);
    s->rest = str_n(s->rest.p + i + 1, s->rest.n - i - 1);
    return text;
}

static void scan_value(struct scan *s, const struct field_path *p, unsigned depth);

/* Is the field at p one of those that are unknown? Its note comes where it stands first. */
static bool note_unknown(struct scan *s, const struct field_path *p, bool again)
{
    auto_free char *path = field_path_text(p);
    auto_free char *text = mem_printf("unknown field \"%s\"", path);
    char *note = map_get(s->unknown, str_of(text));

    if (note && !again)
        decode_notes_add(s->notes, "%s", note);
    return note != NULL;
}

static void scan_object(struct scan *s, const struct field_path *p, unsigned depth)
{
    AUTO(map) struct map *seen = map_new();
    static char mark;

    while (scan_skip(s, "{, \t\r\n") == '"') {
        struct str key = scan_string(s);
        auto_free char *name = str_dup(key);
        const struct field_path *at = FIELD_AT(p, name);
        struct decode_notes *notes = s->notes;
        bool again = map_set(seen, key, &mark) != NULL;
        if (s->unknown && notes && note_unknown(s, at, again))
            s->notes = NULL;
        else if (again)
            decode_note(notes, "duplicate", at);
        scan_skip(s, ": \t\r\n");
        scan_value(s, at, depth + 1);
        s->notes = notes;
    }
    if (s->rest.n)
        s->rest = str_n(s->rest.p + 1, s->rest.n - 1);
}

static void scan_array(struct scan *s, const struct field_path *p, unsigned depth)
{
    s->rest = str_n(s->rest.p + 1, s->rest.n - 1);
    for (size_t i = 0; s->rest.n && scan_skip(s, ", \t\r\n") != ']' && s->rest.n; i++)
        scan_value(s, FIELD_INDEX(p, i), depth + 1);
    if (s->rest.n)
        s->rest = str_n(s->rest.p + 1, s->rest.n - 1);
}

static void scan_value(struct scan *s, const struct field_path *p, unsigned depth)
{
    char c = scan_skip(s, " \t\r\n");

    if (depth > JSON_DEPTH_MAX) {
        s->rest.n = 0;
    } else if (c == '{') {
        s->rest = str_n(s->rest.p + 1, s->rest.n - 1);
        scan_object(s, p, depth);
    } else if (c == '[') {
        scan_array(s, p, depth);
    } else if (c == '"') {
        scan_string(s);
    } else {
        size_t n = 0;
        while (n < s->rest.n && !strchr(",]} \t\r\n", s->rest.p[n]))
            n++;
        n = n ? n : MIN(s->rest.n, (size_t)1); /* always forward */
        s->rest = str_n(s->rest.p + n, s->rest.n - n);
    }
}

/* ---- doors ---- */

#define STRICT_ERROR "strict decoding error: "

int decode_strict_error(const struct decode_notes *n, struct err *e)
{
    auto_buf b = BUF(sizeof e->text * 2);

    for (size_t i = 0; i < n->n; i++)
        if (buf_addf(&b, "%s%s", i ? ", " : "", n->v[i]))
            break; /* err_set cuts it anyhow */
    return err_set(e, ERR_INVALID, STRICT_ERROR "%s", buf_cstr(&b));
}

void decode_duplicates(struct str raw, struct decode_notes *notes)
{
    struct scan s = { .rest = raw, .notes = notes };

    scan_value(&s, NULL, 0);
}

static bool has_note(const struct decode_notes *notes, size_t from, const char *text)
{
    for (size_t i = from; i < notes->n; i++)
        if (strcmp(notes->v[i], text) == 0)
            return true;
    return false;
}

/* The notes from that one on are of unknown fields: the duplicate ones go between them, all in the
 * order of the text, as a reader finds them that goes through it once. A name that is written with
 * escapes is not found there, and comes last. */
static void note_duplicates(struct decode_notes *notes, size_t from, struct str raw)
{
    AUTO(map) struct map *unknown = map_new();
    struct scan s = { .rest = raw, .notes = notes, .unknown = unknown };
    size_t n = notes->n - from;
    auto_free char **texts = mem_calloc(n + 1, sizeof *texts);

    for (size_t i = 0; i < n; i++) {
        texts[i] = notes->v[from + i];
        map_set(unknown, str_of(texts[i]), texts[i]);
    }
    notes->n = from;
    scan_value(&s, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        if (!has_note(notes, from, texts[i]))
            decode_notes_add(notes, "%s", texts[i]);
        free(texts[i]);
    }
}

int decode_part(const struct schema_type *t, json_t *v, const struct field_path *p,
                struct decode_notes *notes, struct err *e)
{
    struct walk w = { .notes = notes, .e = e };

    return json_is_object(v) ? struct_value(&w, p, t, v) : wrong_type(&w, p, t, t, v);
}

static int whole(const struct schema_type *t, json_t *obj, struct str raw, bool from_map,
                 enum decode_mode mode, struct decode_notes *notes, struct err *e)
{
    struct walk w = { mode == DECODE_IGNORE ? NULL : notes, e, from_map };
    size_t before = notes->n;

    if (!json_is_object(obj))
        return wrong_type(&w, NULL, t, t, obj);
    if (struct_value(&w, NULL, t, obj))
        return e->code;
    if (w.notes && raw.n)
        note_duplicates(notes, before, raw);
    if (mode == DECODE_STRICT && notes->n > before)
        return decode_strict_error(notes, e);
    return 0;
}

int decode_value(const struct schema_type *t, json_t *obj, struct str raw, enum decode_mode mode,
                 struct decode_notes *notes, struct err *e)
{
    return whole(t, obj, raw, false, mode, notes, e);
}

int decode_map(const struct schema_type *t, json_t *obj, enum decode_mode mode,
               struct decode_notes *notes, struct err *e)
{
    return whole(t, obj, (struct str){ 0 }, true, mode, notes, e);
}

int decode_object(const struct schema_kind *k, json_t *obj, struct str raw, enum decode_mode mode,
                  struct decode_notes *notes, struct err *e)
{
    if (k->custom)
        return crd_decode(k->custom->root, obj, raw, mode, notes, e);
    return decode_value(k->type, obj, raw, mode, notes, e);
}

char *decode_bad_request(const struct schema_kind *k, const struct decode_notes *notes,
                         const struct err *e)
{
    bool strict = strncmp(e->text, STRICT_ERROR, sizeof STRICT_ERROR - 1) == 0;
    auto_buf all = BUF(64 * 1024);

    for (size_t i = 0; strict && i < notes->n; i++)
        if (buf_addf(&all, "%s%s", i ? ", " : STRICT_ERROR, notes->v[i]))
            break;
    return mem_printf("%s in version \"%s\" cannot be handled as a %s: %s", k->kind, k->version,
                      k->kind, strict ? buf_cstr(&all) : e->text);
}
