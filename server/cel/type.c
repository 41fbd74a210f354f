#include "server/cel/type.h"

#include "base/core/mem.h"

#define DYN (&cel_types[CEL_DYN])

const struct cel_type cel_types[CEL_PARAM + 1] = {
    [CEL_ERROR] = { .kind = CEL_ERROR },
    [CEL_DYN] = { .kind = CEL_DYN, .max_elements = CEL_UNBOUNDED },
    [CEL_NULL] = { .kind = CEL_NULL },
    [CEL_BOOL] = { .kind = CEL_BOOL, .min_bytes = 4 },
    [CEL_INT] = { .kind = CEL_INT, .min_bytes = 1 },
    [CEL_UINT] = { .kind = CEL_UINT, .min_bytes = 1 },
    [CEL_DOUBLE] = { .kind = CEL_DOUBLE, .min_bytes = 1 },
    [CEL_STRING] = { .kind = CEL_STRING, .max_elements = CEL_UNBOUNDED, .min_bytes = 2 },
    [CEL_BYTES] = { .kind = CEL_BYTES, .max_elements = CEL_UNBOUNDED, .min_bytes = 2 },
    [CEL_TIMESTAMP] = { .kind = CEL_TIMESTAMP },
    [CEL_DURATION] = { .kind = CEL_DURATION },
    [CEL_LIST] = { .kind = CEL_LIST, .max_elements = CEL_UNBOUNDED, .elem = DYN },
    [CEL_MAP] = { .kind = CEL_MAP, .max_elements = CEL_UNBOUNDED, .key = DYN, .elem = DYN },
    [CEL_OBJECT] = { .kind = CEL_OBJECT, .max_elements = CEL_UNBOUNDED, .name = "object" },
    [CEL_OPTIONAL] = { .kind = CEL_OPTIONAL, .max_elements = CEL_UNBOUNDED, .elem = DYN },
    [CEL_TYPE] = { .kind = CEL_TYPE, .elem = DYN },
    [CEL_QUANTITY] = { .kind = CEL_QUANTITY },
    [CEL_IP] = { .kind = CEL_IP },
    [CEL_CIDR] = { .kind = CEL_CIDR },
    [CEL_URL] = { .kind = CEL_URL },
    [CEL_FORMAT] = { .kind = CEL_FORMAT },
    [CEL_UNKNOWN] = { .kind = CEL_UNKNOWN, .max_elements = CEL_UNBOUNDED },
    [CEL_PARAM] = { .kind = CEL_PARAM },
};

static const char *const names[] = {
    [CEL_ERROR] = "error",
    [CEL_DYN] = "dyn",
    [CEL_NULL] = "null_type",
    [CEL_BOOL] = "bool",
    [CEL_INT] = "int",
    [CEL_UINT] = "uint",
    [CEL_DOUBLE] = "double",
    [CEL_STRING] = "string",
    [CEL_BYTES] = "bytes",
    [CEL_TIMESTAMP] = "google.protobuf.Timestamp",
    [CEL_DURATION] = "google.protobuf.Duration",
    [CEL_LIST] = "list",
    [CEL_MAP] = "map",
    [CEL_OBJECT] = "object",
    [CEL_OPTIONAL] = "optional_type",
    [CEL_TYPE] = "type",
    [CEL_QUANTITY] = "kubernetes.Quantity",
    [CEL_IP] = "net.IP",
    [CEL_CIDR] = "net.CIDR",
    [CEL_URL] = "kubernetes.URL",
    [CEL_FORMAT] = "kubernetes.NamedFormat",
    [CEL_UNKNOWN] = "unknown",
};

const char *cel_kind_name(enum cel_kind k)
{
    return names[k];
}

enum cel_kind cel_kind_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (i != CEL_ERROR && i != CEL_DYN && i != CEL_OBJECT && i != CEL_UNKNOWN &&
            str_is(name, names[i]))
            return (enum cel_kind)i;
    return CEL_PARAM;
}

const struct cel_type *cel_type_of(struct arena *a, enum cel_kind kind, const struct cel_type *key,
                                   const struct cel_type *elem)
{
    struct cel_type *t = arena_alloc(a, sizeof *t);

    *t = cel_types[kind];
    t->key = key;
    t->elem = elem;
    return t;
}

const struct cel_field *cel_type_field(const struct cel_type *t, struct str name)
{
    size_t low = 0, high = t->n_fields;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *at = t->fields[mid].name;
        size_t n = strlen(at);
        int c = memcmp(at, name.p, MIN(n, name.n));

        c = c ? c : (n > name.n) - (n < name.n);
        if (c == 0)
            return &t->fields[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

int cel_type_print(struct buf *b, const struct cel_type *t)
{
    int rc;

    switch (t->kind) {
    case CEL_ERROR:
        return buf_adds(b, "!error!");
    case CEL_NULL:
        return buf_adds(b, "null");
    case CEL_TIMESTAMP:
        return buf_adds(b, "timestamp");
    case CEL_DURATION:
        return buf_adds(b, "duration");
    case CEL_OBJECT:
        return buf_adds(b, t->name ? t->name : "object");
    case CEL_PARAM:
        return buf_addf(b, "%c", 'A' + (char)(t->param % 26));
    case CEL_LIST:
    case CEL_OPTIONAL:
    case CEL_TYPE:
    case CEL_MAP:
        rc = buf_addf(b, "%s(", names[t->kind]);
        if (!rc && t->kind == CEL_MAP)
            rc = cel_type_print(b, t->key) || buf_adds(b, ", ");
        if (!rc)
            rc = cel_type_print(b, t->elem);
        return rc ? rc : buf_addc(b, ')');
    case CEL_DYN:
    case CEL_BOOL:
    case CEL_INT:
    case CEL_UINT:
    case CEL_DOUBLE:
    case CEL_STRING:
    case CEL_BYTES:
    case CEL_QUANTITY:
    case CEL_IP:
    case CEL_CIDR:
    case CEL_URL:
    case CEL_FORMAT:
    case CEL_UNKNOWN:
        break;
    }
    return buf_adds(b, names[t->kind]);
}
