/*
 * Types with an encoding of their own: Time {1: seconds, 2: nanos}, Quantity {1: text}, IntOrString
 * {1: kind, 2: int, 3: text}, raw extensions {1: bytes of JSON}.
 * Embedded Go structs are messages on the wire and flat in JSON (schema_field.embed).
 */
#include "server/api/proto.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/data/wire.h"

struct walk {
    struct err *e;
    size_t n_nodes;
};

static int malformed(struct walk *w, const char *what)
{
    return err_set(w->e, ERR_INVALID, "protobuf: %s", what);
}

/* The last item of that number in a small message; number 0 in *out when absent. */
static int pick(struct walk *w, struct str message, uint32_t number, struct wire_item *out)
{
    struct wire_cursor c = wire_over(message);
    struct wire_item it;
    int rc;

    *out = (struct wire_item){ 0 };
    while ((rc = wire_next(&c, &it)) > 0)
        if (it.number == number)
            *out = it;
    return rc < 0 ? malformed(w, "broken message") : 0;
}

/* ---- values; *out stays NULL for a zero that JSON writes as absent ---- */

static int add_struct(struct walk *w, const struct schema_type *t, const uint16_t *path,
                      unsigned n_path, struct str bytes, json_t *into, unsigned depth);

static int add_value(struct walk *w, const struct schema_type *t, const struct wire_item *it,
                     json_t **out, unsigned depth);

static int text_value(struct walk *w, struct str s, json_t **out)
{
    if (s.n && memchr(s.p, '\0', s.n)) /* as our JSON reader does */
        return malformed(w, "a text holds a NUL");
    *out = json_stringn(s.p ? s.p : "", s.n);
    return *out ? 0 : malformed(w, "a text is not UTF-8");
}

static int time_value(struct walk *w, struct str m, bool micro, json_t **out)
{
    struct wire_item s, ns;
    char text[TIME_TEXT_BYTES];

    if (m.n == 0) /* Go's zero time */
        return 0;
    if (pick(w, m, 1, &s) || pick(w, m, 2, &ns))
        return w->e->code;
    int64_t seconds = (int64_t)s.n;
    if (seconds < -62135596800 || seconds > 253402300799)
        return malformed(w, "a time lies outside the years 1 to 9999");
    if (micro)
        time_text_us(text, seconds * 1000000 + (int64_t)(ns.n % 1000000000) / 1000);
    else
        time_text_s(text, seconds);
    *out = json_string(text);
    return 0;
}

static int intstr_value(struct walk *w, struct str m, json_t **out)
{
    struct wire_item kind, n, s;

    if (pick(w, m, 1, &kind) || pick(w, m, 2, &n) || pick(w, m, 3, &s))
        return w->e->code;
    if (kind.n == 1)
        return text_value(w, s.bytes, out);
    *out = json_integer((int32_t)n.n);
    return 0;
}

static int raw_value(struct walk *w, struct str m, json_t **out)
{
    struct wire_item raw;

    if (pick(w, m, 1, &raw))
        return w->e->code;
    if (raw.bytes.n == 0)
        return 0;
    return json_parse(out, raw.bytes, w->e) ? err_wrap(w->e, "protobuf: raw JSON") : 0;
}

static int bytes_value(struct walk *w, struct str s, json_t **out)
{
    auto_buf b = BUF(8 * 1024 * 1024);

    if (base64_add(&b, s))
        return malformed(w, "too many bytes");
    *out = json_stringn(buf_cstr(&b), b.n);
    return 0;
}

static int number_value(const struct wire_item *it, bool is_double, json_t **out)
{
    double d;

    if (!is_double) {
        *out = json_integer((json_int_t)it->n);
        return 0;
    }
    memcpy(&d, &it->n, sizeof d);
    *out = json_real(d); /* NULL for NaN and infinities: left out */
    return 0;
}

static int add_value(struct walk *w, const struct schema_type *t, const struct wire_item *it,
                     json_t **out, unsigned depth)
{
    struct wire_item in;

    if (++w->n_nodes > PROTO_NODES_MAX)
        return err_set(w->e, ERR_LIMIT, "protobuf: more than %d values", PROTO_NODES_MAX);
    bool scalar = t->shape == SCHEMA_BOOL || t->shape == SCHEMA_INT32 || t->shape == SCHEMA_INT64 ||
                  t->shape == SCHEMA_NUMBER;
    if (scalar ? it->type == WIRE_BYTES : it->type != WIRE_BYTES)
        return malformed(w, "a field has another type than in the schema");
    switch (t->shape) {
    case SCHEMA_STRING:
        return text_value(w, it->bytes, out);
    case SCHEMA_BOOL:
        *out = json_boolean(it->n != 0);
        return 0;
    case SCHEMA_INT32:
        *out = json_integer((int32_t)it->n);
        return 0;
    case SCHEMA_INT64:
        *out = json_integer((int64_t)it->n);
        return 0;
    case SCHEMA_NUMBER:
        return number_value(it, it->type == WIRE_FIXED64, out);
    case SCHEMA_BYTES:
        return bytes_value(w, it->bytes, out);
    case SCHEMA_TIME:
    case SCHEMA_MICROTIME:
        return time_value(w, it->bytes, t->shape == SCHEMA_MICROTIME, out);
    case SCHEMA_QUANTITY:
        if (pick(w, it->bytes, 1, &in))
            return w->e->code;
        return text_value(w, in.bytes, out);
    case SCHEMA_INT_OR_STRING:
        return intstr_value(w, it->bytes, out);
    case SCHEMA_ANY:
    case SCHEMA_OBJECT:
        return raw_value(w, it->bytes, out);
    case SCHEMA_STRUCT:
        *out = json_object();
        return add_struct(w, t, NULL, 0, it->bytes, *out, depth + 1);
    case SCHEMA_DURATION: /* in custom resources only, which have no protobuf form */
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        break; /* only by way of add_field */
    }
    return malformed(w, "a field's type has no protobuf form");
}

/* A list in a map is a message of its own with the items as field 1 (ExtraValue and its kin). */
static int list_message(struct walk *w, const struct schema_type *t, struct str m, json_t **out,
                        unsigned depth)
{
    struct wire_cursor c = wire_over(m);
    struct wire_item it;
    int rc;

    *out = json_array();
    while ((rc = wire_next(&c, &it)) > 0) {
        json_t *v = NULL;

        if (it.number != 1)
            continue;
        if (add_value(w, t->item->type, &it, &v, depth + 1)) {
            json_decref(v);
            return w->e->code;
        }
        if (v)
            json_array_append_new(*out, v);
    }
    return rc < 0 ? malformed(w, "broken list") : 0;
}

static int add_entry(struct walk *w, const struct schema_type *t, struct str m, json_t *map,
                     unsigned depth)
{
    const struct schema_type *vt = t->item->type;
    struct wire_item key, val;
    json_t *v = NULL;
    int rc;

    if (pick(w, m, 1, &key) || pick(w, m, 2, &val))
        return w->e->code;
    if (val.number == 0) { /* a zero value may be left out */
        bool scalar = vt->shape == SCHEMA_BOOL || vt->shape == SCHEMA_INT32 ||
                      vt->shape == SCHEMA_INT64 || vt->shape == SCHEMA_NUMBER;
        val = (struct wire_item){ .number = 2, .type = scalar ? WIRE_VARINT : WIRE_BYTES };
    }
    rc = vt->shape == SCHEMA_LIST ? list_message(w, vt, val.bytes, &v, depth)
                                  : add_value(w, vt, &val, &v, depth);
    if (rc || !v) {
        json_decref(v);
        return rc;
    }
    if ((key.bytes.n && memchr(key.bytes.p, '\0', key.bytes.n)) ||
        json_object_setn_new(map, key.bytes.p ? key.bytes.p : "", key.bytes.n, json_incref(v))) {
        json_decref(v);
        return malformed(w, "a key is not UTF-8 or holds a NUL");
    }
    json_decref(v);
    return 0;
}

/* Numbers of a list may come packed into one field. */
static int add_packed(struct walk *w, const struct schema_type *t, struct str bytes, json_t *list)
{
    struct wire_cursor c = wire_over(bytes);
    json_t *v = NULL;

    while (c.p < c.end) {
        struct wire_item it = { .number = 1, .type = WIRE_VARINT };

        if (!wire_varint(&c, &it.n))
            return malformed(w, "broken packed list");
        if (add_value(w, t, &it, &v, 0))
            return w->e->code;
        json_array_append_new(list, v);
    }
    return 0;
}

static int add_field(struct walk *w, const struct schema_field *f, const struct wire_item *it,
                     json_t *into, unsigned depth)
{
    const struct schema_type *t = f->type;
    json_t *whole = json_object_get(into, f->name), *v = NULL;

    if (t->shape == SCHEMA_LIST || t->shape == SCHEMA_MAP) {
        if (!whole) {
            whole = t->shape == SCHEMA_LIST ? json_array() : json_object();
            json_object_set_new(into, f->name, whole);
        }
        if (t->shape == SCHEMA_MAP)
            return it->type == WIRE_BYTES ? add_entry(w, t, it->bytes, whole, depth)
                                          : malformed(w, "a map entry is no message");
        enum schema_shape s = t->item->type->shape;
        if (it->type == WIRE_BYTES && (s == SCHEMA_INT32 || s == SCHEMA_INT64 || s == SCHEMA_BOOL))
            return add_packed(w, t->item->type, it->bytes, whole);
        if (add_value(w, t->item->type, it, &v, depth)) {
            json_decref(v);
            return w->e->code;
        }
        if (v)
            json_array_append_new(whole, v);
        return 0;
    }
    if (add_value(w, t, it, &v, depth)) {
        json_decref(v);
        return w->e->code;
    }
    if (v)
        json_object_set_new(into, f->name, v);
    return 0;
}

/* Does f lie in the embedded messages path[0..n)? 2: directly, 1: deeper, 0: no. */
static int lies_in(const struct schema_field *f, const uint16_t *path, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (f->embed[i] != path[i])
            return 0;
    return n == ARRAY_LEN(f->embed) || f->embed[n] == 0 ? 2 : 1;
}

static int add_struct(struct walk *w, const struct schema_type *t, const uint16_t *path,
                      unsigned n_path, struct str bytes, json_t *into, unsigned depth)
{
    struct wire_cursor c = wire_over(bytes);
    struct wire_item it;
    int rc;

    if (depth > PROTO_DEPTH_MAX)
        return err_set(w->e, ERR_LIMIT, "protobuf: nested deeper than %d", PROTO_DEPTH_MAX);
    while ((rc = wire_next(&c, &it)) > 0) {
        const struct schema_field *f = NULL;
        uint16_t inner[ARRAY_LEN(f->embed)];
        bool embedded = false;

        for (unsigned i = 0; i < t->n_fields && !f; i++) {
            int where = lies_in(&t->fields[i], path, n_path);

            if (where == 2 && t->fields[i].number == it.number)
                f = &t->fields[i];
            embedded |= where == 1 && t->fields[i].embed[n_path] == it.number;
        }
        if (f) {
            if (add_field(w, f, &it, into, depth))
                return w->e->code;
        } else if (embedded && it.type == WIRE_BYTES) {
            if (n_path)
                memcpy(inner, path, n_path * sizeof *inner);
            inner[n_path] = (uint16_t)it.number;
            if (add_struct(w, t, inner, n_path + 1, it.bytes, into, depth + 1))
                return w->e->code;
        }
    }
    return rc < 0 ? malformed(w, "broken message") : 0;
}

static int set_type(struct walk *w, json_t *doc, const char *key, struct str text)
{
    json_t *v;

    if (text.n == 0)
        return 0;
    if (text_value(w, text, &v))
        return w->e->code;
    return json_object_set_new(doc, key, v);
}

int proto_read(json_t **out, const struct schema_type *t, struct str body, struct err *e)
{
    struct walk w = { .e = e };
    struct wire_item type, raw, version, kind, encoding;
    json_auto_t *doc = json_object();

    if (body.n < 4 || memcmp(body.p, "k8s\0", 4) != 0)
        return malformed(&w, "the body does not begin with \"k8s\\0\"");
    body = str_n(body.p + 4, body.n - 4);
    if (pick(&w, body, 1, &type) || pick(&w, body, 2, &raw) || pick(&w, body, 3, &encoding) ||
        pick(&w, type.bytes, 1, &version) || pick(&w, type.bytes, 2, &kind))
        return e->code;
    if (encoding.bytes.n)
        return malformed(&w, "the envelope's contentEncoding is not supported");
    if (set_type(&w, doc, "kind", kind.bytes) || set_type(&w, doc, "apiVersion", version.bytes) ||
        add_struct(&w, t, NULL, 0, raw.bytes, doc, 0))
        return e->code;
    *out = json_incref(doc);
    return 0;
}
