#include "base/kube/patch.h"

#include "base/core/mem.h"
#include "base/core/str.h"

/* Values that "copy" may add to a document: without a bound, thirty copies of a copy fill memory.
 */
enum { COPIED_VALUES_MAX = 200000, TOKENS_MAX = 200 };

/* ---- JSON merge patch, RFC 7386 2 ---- */

static int merge(json_t **out, const json_t *doc, const json_t *patch, unsigned depth,
                 struct err *e)
{
    const char *key;
    json_t *value;

    if (depth > PATCH_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "merge patch is nested deeper than %d", PATCH_DEPTH_MAX);
    if (!json_is_object(patch)) {
        *out = json_deep_copy(patch);
        return 0;
    }
    json_auto_t *o = json_is_object(doc) ? json_copy((json_t *)doc) : json_object();
    json_object_foreach((json_t *)patch, key, value)
    {
        json_t *merged = NULL;
        if (json_is_null(value)) {
            json_object_del(o, key);
            continue;
        }
        if (merge(&merged, json_object_get(o, key), value, depth + 1, e))
            return e->code;
        json_object_set_new(o, key, merged);
    }
    *out = json_incref(o);
    return 0;
}

int patch_merge(json_t **out, const json_t *doc, const json_t *patch, struct err *e)
{
    json_t *merged = NULL;

    if (merge(&merged, doc, patch, 0, e))
        return e->code;
    *out = json_deep_copy(merged); /* what the patch left alone is still doc's */
    json_decref(merged);
    return 0;
}

/* ---- JSON pointer, RFC 6901 ---- */

struct pointer {
    char *text; /* tokens, unescaped, each with its '\0' */
    const char *token[TOKENS_MAX];
    size_t n;
};

static int pointer_parse(struct pointer *p, const json_t *v, const char *member, struct err *e)
{
    const char *s = json_string_value(v);

    if (!s || strlen(s) != json_string_length(v))
        return err_set(e, ERR_INVALID, "json patch: \"%s\" is missing or no string", member);
    if (*s && *s != '/')
        return err_set(e, ERR_INVALID, "json patch: \"%s\" does not begin with '/'", member);
    p->n = 0;
    p->text = mem_strdup(s);
    char *to = p->text;
    for (const char *from = p->text; *from; from++) {
        if (*from == '/') {
            if (p->n == TOKENS_MAX)
                return err_set(e, ERR_LIMIT, "json patch: a path has more than %d parts",
                               TOKENS_MAX);
            if (p->n)
                *to++ = '\0';
            p->token[p->n++] = to;
        } else if (*from == '~' && (from[1] == '0' || from[1] == '1')) {
            *to++ = *++from == '0' ? '~' : '/';
        } else if (*from == '~') {
            return err_set(e, ERR_INVALID, "json patch: a '~' is not followed by 0 or 1");
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return 0;
}

/* An index without leading zeros; at most max. */
static bool index_of(const char *token, size_t max, size_t *out)
{
    uint64_t i;

    if (!str_to_u64(str_of(token), &i) || (token[0] == '0' && token[1]) || i > max)
        return false;
    *out = (size_t)i;
    return true;
}

static json_t *child(json_t *at, const char *token)
{
    size_t i;

    if (json_is_object(at))
        return json_object_get(at, token);
    if (json_is_array(at) && index_of(token, json_array_size(at), &i))
        return json_array_get(at, i);
    return NULL;
}

/* The value n tokens down; NULL when absent. */
static json_t *walk(json_t *doc, const struct pointer *p, size_t n)
{
    for (size_t i = 0; doc && i < n; i++)
        doc = child(doc, p->token[i]);
    return doc;
}

/* ---- JSON patch, RFC 6902 ---- */

struct patching {
    json_t *doc;
    size_t n_copied;
};

static unsigned depth_of(const json_t *v, size_t *n_values)
{
    unsigned deepest = 0, d;
    const char *key;
    json_t *item;
    size_t i;

    (*n_values)++;
    json_object_foreach((json_t *)v, key, item)
    {
        d = depth_of(item, n_values);
        deepest = MAX(deepest, d);
    }
    json_array_foreach(v, i, item)
    {
        d = depth_of(item, n_values);
        deepest = MAX(deepest, d);
    }
    return deepest + 1;
}

/* value is taken, also when it fails. */
static int add(struct patching *p, const struct pointer *at, json_t *value_take, struct err *e)
{
    json_auto_t *value = value_take;
    json_t *parent = at->n ? walk(p->doc, at, at->n - 1) : NULL;
    const char *last = at->n ? at->token[at->n - 1] : "";
    size_t i, n_values = 0;

    if (depth_of(value, &n_values) + at->n > PATCH_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "json patch: nests deeper than %d", PATCH_DEPTH_MAX);
    if (!at->n) {
        json_decref(p->doc);
        p->doc = STEAL(value);
        return 0;
    }
    if (json_is_object(parent)) {
        json_object_set(parent, last, value);
        return 0;
    }
    if (!json_is_array(parent))
        return err_set(e, ERR_INVALID, "json patch: add: the parent of \"%s\" does not exist",
                       last);
    if (strcmp(last, "-") == 0)
        i = json_array_size(parent);
    else if (!index_of(last, json_array_size(parent), &i))
        return err_set(e, ERR_INVALID, "json patch: add: \"%s\" is no index of the array", last);
    json_array_insert(parent, i, value);
    return 0;
}

/* *taken is the removed value, the caller's. */
static int take(struct patching *p, const struct pointer *at, const char *op, json_t **taken,
                struct err *e)
{
    json_t *value = walk(p->doc, at, at->n), *parent;
    size_t i;

    if (!value || !at->n)
        return err_set(e, ERR_INVALID, "json patch: %s: \"%s\" does not exist", op,
                       at->n ? at->token[at->n - 1] : "");
    *taken = json_incref(value);
    parent = walk(p->doc, at, at->n - 1);
    if (json_is_object(parent))
        json_object_del(parent, at->token[at->n - 1]);
    else if (index_of(at->token[at->n - 1], json_array_size(parent), &i))
        json_array_remove(parent, i);
    return 0;
}

/* RFC 6902 4.6: numbers are equal when their values are. */
static bool equal(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_object(a) && json_is_object(b)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        json_object_foreach((json_t *)a, key, item)
        {
            json_t *other = json_object_get(b, key);
            if (!other || !equal(item, other))
                return false;
        }
        return true;
    }
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        json_array_foreach(a, i, item) if (!equal(item, json_array_get(b, i))) return false;
        return true;
    }
    return json_equal(a, b);
}

static bool is_prefix(const struct pointer *a, const struct pointer *b)
{
    if (a->n >= b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->token[i], b->token[i]) != 0)
            return false;
    return true;
}

static int transfer(struct patching *p, const struct pointer *from, const struct pointer *to,
                    bool move, struct err *e)
{
    json_t *value = NULL;

    if (move) {
        if (is_prefix(from, to))
            return err_set(e, ERR_INVALID, "json patch: move: \"from\" contains \"path\"");
        if (take(p, from, "move", &value, e))
            return e->code;
        return add(p, to, value, e);
    }
    value = walk(p->doc, from, from->n);
    if (!value)
        return err_set(e, ERR_INVALID, "json patch: copy: \"from\" does not exist");
    (void)depth_of(value, &p->n_copied);
    if (p->n_copied > COPIED_VALUES_MAX)
        return err_set(e, ERR_LIMIT, "json patch: copies more than %d values", COPIED_VALUES_MAX);
    return add(p, to, json_deep_copy(value), e);
}

static int apply_at(struct patching *p, const char *op, const struct pointer *path,
                    const struct pointer *from, const json_t *value, struct err *e)
{
    if (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0)
        return transfer(p, from, path, op[0] == 'm', e);
    if (strcmp(op, "remove") == 0) {
        json_auto_t *gone = NULL;
        return take(p, path, op, &gone, e);
    }
    if (!value)
        return err_set(e, ERR_INVALID, "json patch: %s: \"value\" is missing", op);
    if (strcmp(op, "add") == 0)
        return add(p, path, json_deep_copy(value), e);
    if (strcmp(op, "replace") == 0) {
        json_auto_t *gone = NULL;
        if (path->n && take(p, path, op, &gone, e))
            return e->code;
        return add(p, path, json_deep_copy(value), e);
    }
    if (strcmp(op, "test") == 0) {
        const json_t *have = walk(p->doc, path, path->n);
        if (!(have ? equal(have, value) : json_is_null(value)))
            return err_set(e, ERR_CONFLICT, "test failed"); /* apply_op names the path */
        return 0;
    }
    return err_set(e, ERR_INVALID, "json patch: unexpected kind: %.40s", op);
}

static int apply_op(struct patching *p, const json_t *o, struct err *e)
{
    const char *op = json_string_value(json_object_get(o, "op"));
    struct pointer path = { 0 }, from = { 0 };
    int r = 0;

    if (!op)
        return err_set(e, ERR_INVALID, "json patch: an operation has no \"op\"");
    r = pointer_parse(&path, json_object_get(o, "path"), "path", e);
    if (!r && (strcmp(op, "move") == 0 || strcmp(op, "copy") == 0))
        r = pointer_parse(&from, json_object_get(o, "from"), "from", e);
    if (!r)
        r = apply_at(p, op, &path, &from, json_object_get(o, "value"), e);
    if (r == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, "testing path %s failed: the value is another one",
                json_string_value(json_object_get(o, "path")));
    free(path.text);
    free(from.text);
    return r;
}

int patch_json(json_t **out, const json_t *doc, const json_t *ops, struct err *e)
{
    struct patching p = { 0 };
    json_t *o;
    size_t i;

    if (!json_is_array(ops))
        return err_set(e, ERR_INVALID, "json patch: is no array of operations");
    if (json_array_size(ops) > PATCH_OPS_MAX)
        return err_set(e, ERR_LIMIT,
                       "The allowed maximum operations in a JSON patch is %d, got %zu",
                       PATCH_OPS_MAX, json_array_size(ops));
    p.doc = json_deep_copy(doc);
    json_array_foreach(ops, i, o)
    {
        if (apply_op(&p, o, e)) {
            json_decref(p.doc);
            return e->code;
        }
    }
    *out = p.doc;
    return 0;
}
