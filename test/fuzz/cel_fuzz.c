/* An expression, up to the first byte 0, and the JSON that self and oldSelf are, read by types that
 * have all of what a schema can declare. */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/cel/cel.h"

#include <stdlib.h>

#define T(kind) (&cel_types[kind])

static const struct cel_type list = { .kind = CEL_LIST, .elem = T(CEL_INT), .max_elements = 9 };
static const struct cel_type set = { .kind = CEL_LIST,
                                     .elem = T(CEL_STRING),
                                     .list = CEL_LIST_SET };
static const struct cel_type map = { .kind = CEL_MAP, .key = T(CEL_STRING), .elem = T(CEL_DYN) };
static const struct cel_type when = { .kind = CEL_TIMESTAMP, .text = CEL_TEXT_DATE_TIME };
static const struct cel_type span = { .kind = CEL_DURATION, .text = CEL_TEXT_DURATION };
static const struct cel_type bytes = { .kind = CEL_BYTES, .text = CEL_TEXT_BASE64 };
static const struct cel_type either = { .kind = CEL_DYN, .int_or_string = true };
static const struct cel_type text = { .kind = CEL_STRING, .nullable = true };
static const struct cel_field fields[] = {
    { "b", "b", T(CEL_BOOL) }, { "d", "d", T(CEL_DOUBLE) },  { "e", "e", &either },
    { "i", "i", T(CEL_INT) },  { "l", "l", &list },          { "m", "m", &map },
    { "r", "r", &span },       { "s", "s", &text },          { "set", "set", &set },
    { "t", "t", &when },       { "u", "u", T(CEL_UNKNOWN) }, { "y", "y", &bytes },
};
static const struct cel_type self = { .kind = CEL_OBJECT,
                                      .fields = fields,
                                      .n_fields = ARRAY_LEN(fields),
                                      .max_elements = CEL_UNBOUNDED };
static const struct cel_var vars[] = { { "self", &self }, { "oldSelf", &self } };

/* What is a text is one in full; what is a list can be walked. */
static uint64_t touch(struct cel_run *r, const struct cel_value *v, unsigned depth)
{
    uint64_t sum = cel_size(v);

    if (v->kind == CEL_STRING || v->kind == CEL_BYTES || v->kind == CEL_ERROR)
        for (size_t i = 0; i < v->s.n; i++)
            sum += (unsigned char)v->s.p[i];
    for (size_t i = 0; v->kind == CEL_LIST && depth < 4 && i < MIN(v->items.n, 100UL); i++) {
        struct cel_value one = cel_item(r, v, i);
        sum += touch(r, &one, depth + 1);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena programs = ARENA_UNBOUNDED, a = ARENA(1024 * 1024);
    AUTO(cel_prog) struct cel_prog *p = NULL; /* given back before what it lies in */
    json_auto_t *doc = NULL;
    struct cel_run r = { .a = &a };
    struct str expr, rest;
    uint64_t cost;
    char *why = NULL;
    struct err e;

    str_cut(str_n(data, n), '\0', &expr, &rest);
    if (cel_compile(&p, &programs, vars, 2, expr, &why)) {
        if (strncmp(why, "ERROR: <input>:", 15) != 0)
            abort();
        free(why);
        return 0;
    }
    if (json_parse(&doc, rest, &e))
        doc = json_object();
    struct cel_value v = cel_value_of_json(doc, &self, &a), both[] = { v, v };
    v = cel_eval(p, both, &a, 10000, &cost);
    if (cost > 10000 && v.kind != CEL_ERROR)
        abort();
    return touch(&r, &v, 0) == UINT64_MAX;
}
