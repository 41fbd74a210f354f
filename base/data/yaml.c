/*
 * libyaml's event parser drives a small recursive builder. A document stream is parsed one document
 * at a time: yaml_parse_next begins again at the offset where the last document ended, so the
 * caller may stop early and errors name lines of the whole text.
 */
#include "base/data/yaml.h"

#include "base/core/map.h"
#include "base/core/mem.h"

#include <errno.h>
#include <math.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct map *anchors; /* name -> json_t, one reference each */
    size_t n_nodes;
    unsigned depth;
    size_t line0;
};

static int fail(struct builder *b, struct err *e, enum err_code code, const char *what, size_t line)
{
    return err_set(e, code, "invalid YAML at line %zu: %s", b->line0 + line + 1, what);
}

static int next(struct builder *b, yaml_event_t *ev, struct err *e)
{
    if (yaml_parser_parse(&b->parser, ev))
        return 0;
    return fail(b, e, ERR_INVALID, b->parser.problem ? b->parser.problem : "cannot read",
                b->parser.problem_mark.line);
}

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_is(s, *words))
            return true;
    return false;
}

static json_t *number_of(struct str s)
{
    char text[64];
    char *end;
    const char *digits = text;
    int base = 10;
    bool is_float = false;

    if (!s.n || s.n >= sizeof text)
        return NULL;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (*digits == '-' || *digits == '+')
        digits++;
    if (!(*digits >= '0' && *digits <= '9') &&
        !(*digits == '.' && digits[1] >= '0' && digits[1] <= '9'))
        return NULL;
    if (digits[0] == '0' && digits[1] == 'x') {
        base = 16;
    } else if (digits[0] == '0' && digits[1] == 'o') {
        base = 8;
        memmove((char *)digits + 1, digits + 2, strlen(digits + 2) + 1);
    } else if (digits[0] == '0' && digits[1] && strspn(digits, "01234567") == strlen(digits)) {
        base = 8; /* YAML 1.1 octal: 0644 */
    } else {
        is_float = strpbrk(digits, ".eE") != NULL;
    }
    errno = 0;
    if (is_float) {
        double d = strtod(text, &end);
        return *end || errno || !isfinite(d) ? NULL : json_real(d);
    }
    long long v = strtoll(text, &end, base);
    return *end || errno ? NULL : json_integer(v);
}

/* YAML 1.1 (yaml.org/type): what sigs.k8s.io/yaml, which kubectl and the API server use, resolves.
 */
static json_t *plain_scalar(struct str s)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes",
                                         "YES",  "on",   "On",   "ON",  NULL };
    static const char *const falses[] = { "false", "False", "FALSE", "no",  "No",
                                          "NO",    "off",   "Off",   "OFF", NULL };
    json_t *number;

    if (is_one_of(s, nulls))
        return json_null();
    if (is_one_of(s, trues))
        return json_true();
    if (is_one_of(s, falses))
        return json_false();
    number = number_of(s);
    return number ? number : json_str_of(s);
}

static json_t *scalar(const yaml_event_t *ev)
{
    struct str s = str_n(ev->data.scalar.value, ev->data.scalar.length);
    const char *tag = (const char *)ev->data.scalar.tag;

    if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || (tag && strcmp(tag, YAML_STR_TAG) == 0))
        return json_str_of(s);
    return plain_scalar(s);
}

static void remember(struct builder *b, const yaml_char_t *anchor, json_t *j)
{
    if (anchor)
        json_decref(map_set(b->anchors, str_of((const char *)anchor), json_incref(j)));
}

static size_t count(const json_t *j, size_t left)
{
    size_t n = 1, i;
    const char *k;
    json_t *v;

    if (json_is_array(j)) {
        json_array_foreach(j, i, v) if (n < left) n += count(v, left - n);
    } else if (json_is_object(j)) {
        json_object_foreach((json_t *)j, k, v) if (n < left) n += count(v, left - n);
    }
    return n;
}

static int build(struct builder *b, json_t **out, const yaml_event_t *first, struct err *e);

/* The next node, or *end set when the event that came closes the collection. */
static int build_next(struct builder *b, json_t **out, yaml_event_type_t closer, bool *end,
                      struct err *e)
{
    yaml_event_t ev;
    int r;

    if (next(b, &ev, e))
        return (int)e->code;
    *end = ev.type == closer;
    r = *end ? 0 : build(b, out, &ev, e);
    yaml_event_delete(&ev);
    return r;
}

/* "<<: *base": keys of the merged mapping(s) that are not there already. */
static int merge(struct builder *b, json_t *into, const json_t *from, size_t line, struct err *e)
{
    size_t i;
    json_t *v;

    if (json_is_object(from)) {
        json_object_update_missing(into, (json_t *)from);
        return 0;
    }
    if (!json_is_array(from))
        return fail(b, e, ERR_INVALID, "a merge key wants a mapping", line);
    json_array_foreach(from, i, v) if (merge(b, into, v, line, e)) return (int)e->code;
    return 0;
}

static int build_mapping(struct builder *b, json_t *object, struct err *e)
{
    for (;;) {
        json_auto_t *key = NULL, *value = NULL, *merged = NULL;
        size_t line = b->parser.mark.line;
        bool end, unused;
        char number[32];
        const char *name;

        if (build_next(b, &key, YAML_MAPPING_END_EVENT, &end, e))
            return (int)e->code;
        if (end)
            return 0;
        if (build_next(b, &value, YAML_NO_EVENT, &unused, e))
            return (int)e->code;
        if (json_is_string(key)) {
            name = json_string_value(key);
        } else if (json_is_integer(key)) {
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(key));
            name = number;
        } else if (json_is_boolean(key)) {
            name = json_is_true(key) ? "true" : "false";
        } else {
            return fail(b, e, ERR_INVALID, "a key is not a string", line);
        }
        if (strcmp(name, "<<") == 0) {
            merged = json_copy(value);
            if (merge(b, object, merged, line, e))
                return (int)e->code;
            continue;
        }
        if (json_object_get(object, name) && !json_object_get(object, "<<"))
            return err_set(e, ERR_INVALID,
                           "invalid YAML at line %zu: key \"%.100s\" already set in map",
                           b->line0 + line + 1, name);
        if (json_object_set(object, name, value))
            return fail(b, e, ERR_INVALID, "a key is not UTF-8", line);
    }
}

static int build_sequence(struct builder *b, json_t *array, struct err *e)
{
    for (;;) {
        json_auto_t *value = NULL;
        bool end;

        if (build_next(b, &value, YAML_SEQUENCE_END_EVENT, &end, e))
            return (int)e->code;
        if (end)
            return 0;
        json_array_append(array, value);
    }
}

static int build(struct builder *b, json_t **out, const yaml_event_t *first, struct err *e)
{
    json_auto_t *j = NULL;
    size_t line = first->start_mark.line;
    int r = 0;

    if (++b->n_nodes > YAML_NODES_MAX)
        return fail(b, e, ERR_LIMIT, "too many nodes", line);
    if (++b->depth > JSON_DEPTH_MAX)
        return fail(b, e, ERR_LIMIT, "nested too deep", line);
    switch (first->type) {
    case YAML_ALIAS_EVENT: {
        json_t *known = map_get(b->anchors, str_of((const char *)first->data.alias.anchor));
        if (!known)
            return fail(b, e, ERR_INVALID, "unknown alias", line);
        b->n_nodes += count(known, YAML_NODES_MAX + 1 - MIN(b->n_nodes, (size_t)YAML_NODES_MAX));
        if (b->n_nodes > YAML_NODES_MAX)
            return fail(b, e, ERR_LIMIT, "aliases expand to too many nodes", line);
        j = json_deep_copy(known);
        break;
    }
    case YAML_SCALAR_EVENT:
        j = scalar(first);
        remember(b, first->data.scalar.anchor, j);
        break;
    case YAML_SEQUENCE_START_EVENT:
        j = json_array();
        r = build_sequence(b, j, e);
        remember(b, first->data.sequence_start.anchor, j);
        break;
    case YAML_MAPPING_START_EVENT:
        j = json_object();
        r = build_mapping(b, j, e);
        remember(b, first->data.mapping_start.anchor, j);
        break;
    default:
        return fail(b, e, ERR_INVALID, "unexpected structure", line);
    }
    b->depth--;
    if (r)
        return r;
    *out = STEAL(j);
    return 0;
}

static void builder_deinit(struct builder *b)
{
    size_t i = 0;
    struct str key;
    void *value;

    while (map_next(b->anchors, &i, &key, &value))
        json_decref(value);
    map_free(b->anchors);
    yaml_parser_delete(&b->parser);
}

/* libyaml's marks count characters. */
static size_t bytes_of(struct str s, size_t n_chars)
{
    size_t i = 0;

    while (i < s.n && n_chars--)
        for (i++; i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80;)
            i++;
    return i;
}

int yaml_parse_next(json_t **out, struct str text, size_t *offset, struct err *e)
{
    struct builder b = { .anchors = map_new() };
    json_auto_t *j = NULL;
    yaml_event_t ev;
    bool end = false;
    int r = 0;

    for (size_t i = 0; i < *offset; i++)
        b.line0 += text.p[i] == '\n';
    if (!yaml_parser_initialize(&b.parser)) {
        map_free(b.anchors);
        return err_set(e, ERR_LIMIT, "YAML parser: out of memory");
    }
    const char *rest = text.n ? text.p + *offset : "";
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)rest, text.n - *offset);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    while (!r && !end && (r = next(&b, &ev, e)) == 0) {
        if (ev.type == YAML_STREAM_END_EVENT) {
            *offset = text.n;
            end = true;
        } else if (ev.type == YAML_DOCUMENT_END_EVENT) {
            *offset += bytes_of(str_n(rest, text.n - *offset), ev.end_mark.index);
            end = true;
        } else if (ev.type != YAML_STREAM_START_EVENT && ev.type != YAML_DOCUMENT_START_EVENT) {
            json_decref(j);
            j = NULL;
            r = build(&b, &j, &ev, e);
        }
        yaml_event_delete(&ev);
    }
    builder_deinit(&b);
    if (r)
        return r;
    *out = STEAL(j);
    return 0;
}

int yaml_parse(json_t **out, struct str text, struct err *e)
{
    json_auto_t *first = NULL, *second = NULL;
    size_t offset = 0;

    if (yaml_parse_next(&first, text, &offset, e) || yaml_parse_next(&second, text, &offset, e))
        return (int)e->code;
    if (second && !json_is_null(second))
        return err_set(e, ERR_INVALID, "invalid YAML: more than one document");
    *out = first ? STEAL(first) : json_null();
    return 0;
}
