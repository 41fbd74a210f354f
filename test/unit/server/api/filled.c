/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/macros.h"
#include "test/unit/server/api/filled.h"

static json_t *value(struct filled *f, const struct schema_field *field);

static bool is_inside(const struct filled *f, const struct schema_type *t)
{
    while (t->shape == SCHEMA_LIST || t->shape == SCHEMA_MAP)
        t = t->item->type;
    for (unsigned i = 0; i < f->n_inside; i++)
        if (f->inside[i] == t)
            return true;
    return false;
}

json_t *filled_struct(struct filled *f, const struct schema_type *t)
{
    json_t *o = json_object();

    assert_true(f->n_inside < ARRAY_LEN(f->inside));
    f->inside[f->n_inside++] = t;
    for (uint16_t i = 0; i < t->n_fields; i++)
        if ((t->fields[i].number || !f->wire_only) && !is_inside(f, t->fields[i].type))
            json_object_set_new(o, t->fields[i].name, value(f, &t->fields[i]));
    f->n_inside--;
    return o;
}

static json_t *text(const struct schema_field *field, unsigned n)
{
    const char *const *v = field->variants ? field->variants : field->type->variants;
    unsigned count = 0;

    if (!v)
        return json_sprintf("s%u\xc3\xa9", n);
    while (v[count])
        count++;
    for (unsigned i = 0; i < count; i++)
        if (*v[(n + i) % count])
            return json_string(v[(n + i) % count]);
    fail_msg("no text is allowed");
    return NULL;
}

static json_t *value(struct filled *f, const struct schema_field *field)
{
    const struct schema_type *t = field->type;
    unsigned n = ++f->n;
    json_t *v;

    switch (t->shape) {
    case SCHEMA_STRING:
        return text(field, n);
    case SCHEMA_BOOL:
        return json_true();
    case SCHEMA_INT32:
        return json_integer(n % 2 ? (int)n : -(int)n);
    case SCHEMA_INT64:
        return json_integer((json_int_t)n << 33);
    case SCHEMA_NUMBER:
        return json_real(n + 0.5);
    case SCHEMA_BYTES:
        return json_string("AAH/");
    case SCHEMA_TIME:
        return json_sprintf("%04u-02-03T04:05:06Z", 1 + n % 9998);
    case SCHEMA_MICROTIME:
        return json_sprintf("%04u-02-03T04:05:06.000007Z", 1 + n % 9998);
    case SCHEMA_QUANTITY:
        return json_sprintf("%u", n % 1000 ? n : n + 1); /* 1000 would be written 1k */
    case SCHEMA_INT_OR_STRING:
        return n % 2 ? json_integer(-(int)n) : json_sprintf("%u%%", n);
    case SCHEMA_ANY:
    case SCHEMA_OBJECT:
        return json_pack("{s:[i, n, s, {}]}", "raw", (int)n, "x");
    case SCHEMA_LIST:
        v = json_array();
        for (int i = 0; i < 2; i++)
            json_array_append_new(v, value(f, t->item));
        return v;
    case SCHEMA_MAP:
        v = json_object();
        json_object_set_new(v, "z", value(f, t->item));
        json_object_set_new(v, "a/b", value(f, t->item));
        return v;
    case SCHEMA_STRUCT:
        return filled_struct(f, t);
    case SCHEMA_DURATION:
        break;
    }
    fail_msg("a shape that no kind has");
    return NULL;
}
