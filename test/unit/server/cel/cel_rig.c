#include "cel_rig.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdio.h>

#define T(kind) (&cel_types[kind])

static const struct cel_type list_int = { .kind = CEL_LIST,
                                          .elem = T(CEL_INT),
                                          .max_elements = 10 };
static const struct cel_type list_string = { .kind = CEL_LIST,
                                             .elem = T(CEL_STRING),
                                             .max_elements = CEL_UNBOUNDED };
static const struct cel_type list_empty = { .kind = CEL_LIST, .elem = T(CEL_DURATION) };
static const struct cel_type set = { .kind = CEL_LIST, .elem = T(CEL_INT), .list = CEL_LIST_SET };
static const struct cel_field item_fields[] = { { "k", "k", T(CEL_STRING) },
                                                { "v", "v", T(CEL_INT) } };
static const struct cel_type item = { .kind = CEL_OBJECT, .fields = item_fields, .n_fields = 2 };
static const struct cel_type map = { .kind = CEL_MAP, .key = T(CEL_STRING), .elem = T(CEL_INT) };
static const struct cel_type null_string = { .kind = CEL_STRING, .nullable = true };
static const struct cel_type date = { .kind = CEL_TIMESTAMP, .text = CEL_TEXT_DATE };
static const struct cel_type moment = { .kind = CEL_TIMESTAMP, .text = CEL_TEXT_DATE_TIME };
static const struct cel_type span = { .kind = CEL_DURATION, .text = CEL_TEXT_DURATION };
static const struct cel_type base64 = { .kind = CEL_BYTES, .text = CEL_TEXT_BASE64 };
static const struct cel_type either = { .kind = CEL_DYN, .int_or_string = true };
static struct cel_type by_key = { .kind = CEL_LIST, .elem = &item, .list = CEL_LIST_BY_KEY };

static const struct cel_field fields[] = {
    /* sorted */
    { "__namespace__", "namespace", T(CEL_STRING) },
    { "absent", "absent", T(CEL_STRING) },
    { "b", "b", T(CEL_BOOL) },
    { "by", "by", &by_key },
    { "bytes", "bytes", &base64 },
    { "d", "d", T(CEL_DOUBLE) },
    { "date", "date", &date },
    { "dur", "dur", &span },
    { "empty", "empty", &list_empty },
    { "i", "i", T(CEL_INT) },
    { "iors", "iors", &either },
    { "l", "l", &list_int },
    { "ls", "ls", &list_string },
    { "m", "m", &map },
    { "moment", "moment", &moment },
    { "nul", "nul", &null_string },
    { "o", "o", &item },
    { "s", "s", T(CEL_STRING) },
    { "set", "set", &set },
};
const struct cel_type cel_rig_self = { .kind = CEL_OBJECT,
                                       .name = "self",
                                       .fields = fields,
                                       .n_fields = ARRAY_LEN(fields),
                                       .max_elements = CEL_UNBOUNDED };

static const char text[] =
    "{\"i\":3, \"d\":1.5, \"b\":true, \"s\":\"h\xc3\xa9llo\", \"l\":[1,2,3],"
    "\"ls\":[\"a\",\"b\"], \"m\":{\"x\":1,\"y\":2}, \"o\":{\"k\":\"a\",\"v\":7}, \"nul\":null,"
    "\"moment\":\"2024-02-29T12:30:45.5Z\", \"date\":\"2024-02-29\", \"dur\":\"1h30m\","
    "\"bytes\":\"YWJj\", \"iors\":\"50%\", \"namespace\":\"ns\", \"set\":[1,2], \"empty\":[],"
    "\"by\":[{\"k\":\"a\",\"v\":1},{\"k\":\"b\",\"v\":2}]}";

static void show(struct buf *b, struct cel_run *r, const struct cel_value *v)
{
    struct cel_value one, key;
    struct str s = STR("?");
    int rc = 0;

    switch (v->kind) {
    case CEL_ERROR:
        rc = buf_addf(b, "error: " STR_FMT, STR_ARG(v->s));
        break;
    case CEL_LIST:
    case CEL_MAP:
    case CEL_OBJECT:
        rc = buf_addc(b, v->kind == CEL_LIST ? '[' : '{');
        for (size_t i = 0; i < v->items.n; i++) {
            rc |= buf_adds(b, i ? ", " : "");
            if (v->kind == CEL_LIST) {
                one = cel_item(r, v, i);
            } else {
                cel_entry(r, v, i, &key, &one);
                show(b, r, &key);
                rc |= buf_adds(b, ": ");
            }
            show(b, r, &one);
        }
        rc |= buf_addc(b, v->kind == CEL_LIST ? ']' : '}');
        break;
    case CEL_OPTIONAL:
        rc = buf_adds(b, v->of ? "some(" : "none");
        if (v->of) {
            show(b, r, v->of);
            rc |= buf_addc(b, ')');
        }
        break;
    case CEL_NULL:
        s = STR("null");
        rc = buf_add_str(b, s);
        break;
    case CEL_BOOL:
        rc = buf_adds(b, v->b ? "true" : "false");
        break;
    case CEL_INT:
        rc = buf_addf(b, "%lld", (long long)v->i);
        break;
    case CEL_UINT:
        rc = buf_addf(b, "%lluu", (unsigned long long)v->u);
        break;
    case CEL_DOUBLE:
        rc = buf_addf(b, "%g", v->d);
        break;
    case CEL_STRING:
    case CEL_BYTES:
        rc = buf_add_str(b, v->s);
        break;
    case CEL_TYPE:
        rc = buf_adds(b, cel_kind_name(v->type));
        break;
    case CEL_TIMESTAMP:
        rc = buf_addf(b, "t%lld.%09d", (long long)v->t.s, v->t.ns);
        break;
    case CEL_DURATION:
        rc = buf_addf(b, "%lldns", (long long)v->i);
        break;
    default:
        rc = buf_add_str(b, s);
    }
    err_ignore(rc);
}

static char *run(const char *expr, uint64_t cost_max, uint64_t *cost)
{
    const struct cel_var vars[] = { { "self", &cel_rig_self }, { "oldSelf", &cel_rig_self } };
    auto_arena a = ARENA(CEL_ARENA_MAX), programs = ARENA_UNBOUNDED;
    AUTO(cel_prog) struct cel_prog *p = NULL;
    struct cel_run r = { .a = &a, .cost_max = UINT64_MAX };
    auto_buf b = BUF(1024 * 1024);
    char *why;
    uint64_t spent;

    json_auto_t *keys = json_loads("[\"k\"]", 0, NULL);
    json_auto_t *doc = json_loads(text, 0, NULL);
    by_key.list_keys = keys;
    if (cel_compile(&p, &programs, vars, 2, str_of(expr), &why))
        return why;
    struct cel_value self = cel_value_of_json(doc, &cel_rig_self, &a);
    struct cel_value both[] = { self, self };
    struct cel_value v = cel_eval(p, both, &a, cost_max, &spent);
    if (cost)
        *cost = spent;
    show(&b, &r, &v);
    by_key.list_keys = NULL;
    return b.p ? buf_take(&b) : mem_strdup("");
}

char *cel_rig_run(const char *expr, uint64_t *cost)
{
    return run(expr, CEL_COST_MAX, cost);
}

char *cel_rig_run_limited(const char *expr, uint64_t cost_max)
{
    return run(expr, cost_max, NULL);
}
