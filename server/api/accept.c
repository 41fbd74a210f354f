#include "server/api/accept.h"

#define CLAUSES_MAX 16

struct clause {
    struct str type;
    struct str as, g, v, stream;
    bool pretty;
    unsigned q; /* thousandths */
};

/* "0.5" in thousandths; anything odd counts as 1 */
static unsigned quality(struct str s)
{
    unsigned q = 0, unit = 100;

    if (s.n == 0 || s.p[0] != '0')
        return 1000;
    for (size_t i = 2; i < s.n && unit; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 1000;
        q += unit * (unsigned)(s.p[i] - '0');
    }
    return q;
}

static struct clause parse_clause(struct str s)
{
    struct clause c = { .q = 1000 };
    struct str param, name, value;
    bool more = str_cut(s, ';', &c.type, &s);

    c.type = str_trim(c.type);
    while (more) {
        more = str_cut(s, ';', &param, &s);
        str_cut(param, '=', &name, &value);
        name = str_trim(name);
        value = str_trim(value);
        if (str_is(name, "as"))
            c.as = value;
        else if (str_is(name, "g"))
            c.g = value;
        else if (str_is(name, "v"))
            c.v = value;
        else if (str_is(name, "stream"))
            c.stream = value;
        else if (str_is(name, "pretty"))
            c.pretty = str_is(value, "1");
        else if (str_is(name, "q"))
            c.q = quality(value);
    }
    return c;
}

static bool serves(const struct clause *c, struct accept *out)
{
    *out = (struct accept){
        .proto = str_eq_nocase(c->type, STR("application/vnd.kubernetes.protobuf")),
        .yaml = str_eq_nocase(c->type, STR("application/yaml")),
        .pretty = c->pretty,
    };
    if (!out->proto && !out->yaml && !str_eq_nocase(c->type, STR("application/json")) &&
        !str_is(c->type, "application/*") && !str_is(c->type, "*/*"))
        return false;
    if (c->stream.n && (!str_is(c->stream, "watch") || out->yaml))
        return false;
    if (c->as.n == 0)
        return true;
    out->beta = str_is(c->v, "v1beta1");
    if (!str_is(c->g, "meta.k8s.io") || (!out->beta && !str_is(c->v, "v1")))
        return false;
    if (str_is(c->as, "Table")) {
        out->as = ACCEPT_TABLE;
        return !out->proto; /* handlers/rest.go, AllowsMediaTypeTransform */
    }
    if (out->beta && out->proto) /* its list has other numbers than v1's */
        return false;
    out->as = ACCEPT_PARTIAL;
    out->as_list = str_is(c->as, "PartialObjectMetadataList");
    return out->as_list || str_is(c->as, "PartialObjectMetadata");
}

/* Of equal quality the more specific type is better, then the earlier one. */
static unsigned rank(const struct clause *c)
{
    return 4 * c->q + (str_is(c->type, "*/*") ? 1 : str_ends(c->type, STR("/*")) ? 2 : 3);
}

bool accept_parse(struct accept *out, struct str accept, unsigned without)
{
    struct accept as;
    struct str item, rest = accept;
    bool more = true, found = false;
    unsigned best = 0;

    *out = (struct accept){ 0 };
    if (str_trim(accept).n == 0)
        return true;
    for (size_t n = 0; more && n < CLAUSES_MAX; n++) {
        more = str_cut(rest, ',', &item, &rest);
        struct clause c = parse_clause(item);

        if (c.q == 0 || rank(&c) <= best || !serves(&c, &as) ||
            (as.proto && as.as == ACCEPT_OBJECT && without & ACCEPT_NO_PROTO) ||
            (as.as == ACCEPT_TABLE && without & ACCEPT_NO_TABLE))
            continue;
        best = rank(&c);
        *out = as;
        found = true;
    }
    return found;
}

bool accept_gzip(struct str header)
{
    struct str item, rest = header;

    for (bool more = header.n > 0; more;) {
        more = str_cut(rest, ',', &item, &rest);
        if (str_is(str_trim(item), "gzip"))
            return true;
    }
    return false;
}

enum content_type content_type_of(struct str header)
{
    static const struct {
        const char *name;
        enum content_type type;
    } known[] = {
        { "application/json", CONTENT_JSON },
        { "application/yaml", CONTENT_YAML },
        { "application/vnd.kubernetes.protobuf", CONTENT_PROTOBUF },
        { "application/json-patch+json", CONTENT_JSON_PATCH },
        { "application/merge-patch+json", CONTENT_MERGE_PATCH },
        { "application/strategic-merge-patch+json", CONTENT_STRATEGIC_PATCH },
        { "application/apply-patch+yaml", CONTENT_APPLY_PATCH },
    };
    struct str type, rest;

    str_cut(header, ';', &type, &rest);
    type = str_trim(type);
    if (type.n == 0)
        return CONTENT_JSON;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq_nocase(type, str_of(known[i].name)))
            return known[i].type;
    return CONTENT_OTHER;
}
