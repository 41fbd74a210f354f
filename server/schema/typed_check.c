/*
 * What is wrong with an object to be applied, in upstream's words (typed/validate.go and its
 * helpers.go). Values are shown as Go's %v and %#v show them, for that is what those words are.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/go_text.h"
#include "server/schema/typed_walk.h"

#include <string.h>

#define PROBLEMS_MAX 32 /* upstream lists them all; the object is refused anyhow */

struct check {
    struct buf *out;
    struct arena a;
    struct buf path, first;
    size_t n;
};

static void problem(struct check *c, const char *fmt, ...) PRINTF_FMT(2, 3);
static void problem(struct check *c, const char *fmt, ...)
{
    va_list ap;
    auto_buf line = BUF(16 * 1024);

    if (c->n == PROBLEMS_MAX)
        return;
    va_start(ap, fmt);
    if (buf_addf(&line, "%s%s", buf_cstr(&c->path), c->path.n ? ": " : "") ||
        buf_vaddf(&line, fmt, ap))
        buf_clear(&line); /* a value that nobody wants to read */
    va_end(ap);
    c->n++;
    if (c->n == 1) {
        err_ignore(buf_add_str(&c->first, buf_str(&line)));
        return;
    }
    if (c->n == 2)
        err_ignore(buf_addf(c->out, "errors:\n  %s", buf_cstr(&c->first)));
    err_ignore(buf_addf(c->out, "\n  %s", buf_cstr(&line))); /* out is cut at its limit */
}

/* "&{x}", or "&value.valueUnstructured{Value:x}" */
static void expected(struct check *c, const char *what, const json_t *v, bool sharp)
{
    auto_buf b = BUF(8 * 1024);

    if (buf_adds(&b, sharp ? "&value.valueUnstructured{Value:" : "&{") || go_text(&b, v, sharp) ||
        buf_addc(&b, '}')) {
        buf_clear(&b);
        err_ignore(buf_adds(&b, "a value too long to be shown"));
    }
    problem(c, "expected %s, got %s", what, buf_cstr(&b));
}

static const char *go_type(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return "string";
    case JSON_ARRAY:
        return "[]interface {}";
    case JSON_OBJECT:
        return "map[string]interface {}";
    default:
        return "bool";
    }
}

/* ---- the walk ---- */

static void check_scalar(struct check *c, const struct schema_field *f, const json_t *v)
{
    switch (f->type->shape) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_DURATION:
        if (!json_is_string(v))
            expected(c, "string", v, true);
        break;
    case SCHEMA_BOOL:
        if (!json_is_boolean(v))
            expected(c, "boolean", v, false);
        break;
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_NUMBER:
        if (!json_is_number(v))
            problem(c, "expected numeric (int or float), got %s", go_type(v));
        break;
    default: /* a time, a quantity: any scalar */
        if (json_is_array(v) || json_is_object(v))
            expected(c, "any scalar", v, false);
        break;
    }
}

static void check(struct check *c, const struct schema_field *f, const json_t *v);

static void check_part(struct check *c, const struct schema_field *f, const char *element,
                       const json_t *v)
{
    size_t at = c->path.n;

    if (fieldset_print_element(&c->path, element))
        return; /* deeper than any object that is read */
    if (f)
        check(c, f, v);
    else
        problem(c, "field not declared in schema");
    c->path.n = at;
    c->path.p[at] = '\0';
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_list(struct check *c, const struct schema_field *f, const json_t *v)
{
    bool items = typed_how(f, v) == TYPED_ITEMS;
    size_t n = json_array_size(v), i, n_seen = 0;
    const char **seen = arena_alloc(&c->a, (n + 1) * sizeof *seen);
    json_t *child;

    json_array_foreach(v, i, child)
    {
        auto_free char *why = NULL, *index = mem_printf("i:%zu", i);
        const char *element = items ? typed_item(&c->a, f, child, NULL, &why) : index;

        if (!element) {
            problem(c, "element %zu: %s", i, why);
            return;
        }
        if (items)
            seen[n_seen++] = element;
        check_part(c, f->type->item, element, child);
    }
    qsort(seen, n_seen, sizeof *seen, by_text);
    for (i = 1; i < n_seen; i++) {
        auto_buf key = BUF(FIELDSET_ELEMENT_MAX);

        if (strcmp(seen[i - 1], seen[i]) == 0 && (i == 1 || strcmp(seen[i - 2], seen[i]) != 0) &&
            !fieldset_print_element(&key, seen[i]))
            problem(c, "duplicate entries for key %s", buf_cstr(&key));
    }
}

static void check(struct check *c, const struct schema_field *f, const json_t *v)
{
    enum schema_shape shape = f->type->shape;
    const char *key;
    json_t *child;

    if (json_is_null(v) || shape == SCHEMA_ANY || shape == SCHEMA_OBJECT)
        return;
    if (shape == SCHEMA_LIST) {
        if (json_is_array(v))
            check_list(c, f, v);
        else
            expected(c, "list", v, false);
        return;
    }
    if (shape != SCHEMA_MAP && shape != SCHEMA_STRUCT) {
        check_scalar(c, f, v);
        return;
    }
    if (!json_is_object(v)) {
        expected(c, "map", v, false);
        return;
    }
    json_object_foreach((json_t *)v, key, child)
    {
        const struct schema_field *p = typed_child(f, key);

        if (p || !f->type->preserve_unknown)
            check_part(c, p, fieldset_field(&c->a, key), child);
    }
}

void typed_check(struct buf *out, const struct schema_type *t, const json_t *v)
{
    const struct schema_field root = { .type = t };
    struct check c = {
        .out = out, .a = ARENA_UNBOUNDED, .path = BUF(64 * 1024), .first = BUF(16 * 1024)
    };

    check(&c, &root, v);
    if (c.n == 1)
        err_ignore(buf_add_str(out, buf_str(&c.first)));
    arena_deinit(&c.a);
    buf_deinit(&c.path);
    buf_deinit(&c.first);
}
