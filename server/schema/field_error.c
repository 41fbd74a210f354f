#include "server/schema/field_error.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdio.h>

enum { PATH_MAX_BYTES = 4096, VALUE_MAX_BYTES = 8192 };

const char *field_reason_name(enum field_reason r)
{
    static const char *const names[] = {
        [FIELD_INVALID] = "FieldValueInvalid",
        [FIELD_REQUIRED] = "FieldValueRequired",
        [FIELD_NOT_SUPPORTED] = "FieldValueNotSupported",
        [FIELD_FORBIDDEN] = "FieldValueForbidden",
        [FIELD_DUPLICATE] = "FieldValueDuplicate",
        [FIELD_NOT_FOUND] = "FieldValueNotFound",
        [FIELD_TOO_LONG] = "FieldValueTooLong",
        [FIELD_TOO_MANY] = "FieldValueTooMany",
        [FIELD_TYPE_INVALID] = "FieldValueTypeInvalid",
        [FIELD_INTERNAL] = "InternalError",
    };
    return names[r];
}

static int add_path(struct buf *b, const struct field_path *p)
{
    if (!p)
        return 0;
    int r = add_path(b, p->parent);
    if (r)
        return r;
    if (p->name)
        return buf_addf(b, "%s%s", b->n ? "." : "", p->name);
    if (p->key)
        return buf_addf(b, "[%s]", p->key);
    return buf_addf(b, "[%zu]", p->index);
}

char *field_path_text(const struct field_path *p)
{
    auto_buf b = BUF(PATH_MAX_BYTES);

    err_ignore(add_path(&b, p)); /* a longer path is cut */
    return b.p ? buf_take(&b) : mem_strdup("");
}

void field_errors_deinit(struct field_errors *fe)
{
    for (size_t i = 0; i < fe->n; i++) {
        free(fe->v[i].field);
        free(fe->v[i].detail);
    }
    free(fe->v);
    for (size_t i = 0; i < fe->n_warnings; i++)
        free(fe->warnings[i]);
    free(fe->warnings);
    *fe = (struct field_errors){ 0 };
}

static void add(struct field_errors *fe, enum field_reason r, const struct field_path *p,
                char *detail_take)
{
    if (fe->n == FIELD_ERRORS_MAX) {
        free(detail_take);
        return;
    }
    if (fe->n % 16 == 0)
        fe->v = mem_realloc(fe->v, (fe->n + 16) * sizeof *fe->v);
    fe->v[fe->n++] =
        (struct field_error){ .reason = r, .field = field_path_text(p), .detail = detail_take };
}

void field_add(struct field_errors *fe, enum field_reason r, const struct field_path *p,
               const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(fe, r, p, mem_vprintf(fmt, ap));
    va_end(ap);
}

/* The text in double quotes, escaped. Yours. */
static char *quoted(const char *s)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);

    if (json_write_str(&b, str_of(s)))
        return mem_strdup("\"...\"");
    return buf_take(&b);
}

static void add_value(struct field_errors *fe, enum field_reason r, const struct field_path *p,
                      const char *label, const char *value, const char *detail)
{
    field_add(fe, r, p, "%s: %s%s%s", label, value, detail[0] ? ": " : "", detail);
}

void field_invalid(struct field_errors *fe, const struct field_path *p, const char *value,
                   const char *detail)
{
    auto_free char *q = quoted(value);

    add_value(fe, FIELD_INVALID, p, "Invalid value", q, detail);
}

void field_invalid_json(struct field_errors *fe, const struct field_path *p, const json_t *value,
                        const char *detail)
{
    auto_buf b = BUF(VALUE_MAX_BYTES);

    if (json_write(&b, value)) {
        buf_clear(&b);
        err_ignore(buf_adds(&b, "...")); /* a value that is too long to be shown */
    }
    add_value(fe, FIELD_INVALID, p, "Invalid value", buf_cstr(&b), detail);
}

void field_required(struct field_errors *fe, const struct field_path *p, const char *detail)
{
    field_add(fe, FIELD_REQUIRED, p, "Required value%s%s", detail[0] ? ": " : "", detail);
}

void field_not_supported(struct field_errors *fe, const struct field_path *p, const char *value,
                         const char *const *variants)
{
    auto_free char *q = quoted(value);
    auto_buf b = BUF(VALUE_MAX_BYTES);

    for (size_t i = 0; variants[i]; i++)
        if (buf_addf(&b, "%s\"%s\"", b.n ? ", " : "supported values: ", variants[i]))
            break;
    add_value(fe, FIELD_NOT_SUPPORTED, p, "Unsupported value", q, buf_cstr(&b));
}

void field_forbidden(struct field_errors *fe, const struct field_path *p, const char *detail)
{
    field_add(fe, FIELD_FORBIDDEN, p, "Forbidden%s%s", detail[0] ? ": " : "", detail);
}

void field_duplicate(struct field_errors *fe, const struct field_path *p, const char *value)
{
    auto_free char *q = quoted(value);

    add_value(fe, FIELD_DUPLICATE, p, "Duplicate value", q, "");
}

void field_not_found(struct field_errors *fe, const struct field_path *p, const char *value)
{
    auto_free char *q = quoted(value);

    add_value(fe, FIELD_NOT_FOUND, p, "Not found", q, "");
}

void field_too_long(struct field_errors *fe, const struct field_path *p, size_t max_bytes)
{
    field_add(fe, FIELD_TOO_LONG, p, "Too long: may not be more than %zu bytes", max_bytes);
}

void field_too_many(struct field_errors *fe, const struct field_path *p, size_t n, size_t max)
{
    field_add(fe, FIELD_TOO_MANY, p, "Too many: %zu: must have at most %zu items", n, max);
}

void field_errors_copy(struct field_errors *to, const struct field_errors *from)
{
    for (size_t i = 0; i < from->n; i++)
        field_add(to, from->v[i].reason, FIELD_AT(NULL, from->v[i].field), "%s", from->v[i].detail);
}

void field_errors_warn(struct field_errors *fe, const struct field_errors *from)
{
    for (size_t i = 0; i < from->n && fe->n_warnings < FIELD_WARNINGS_MAX; i++) {
        if (!fe->warnings)
            fe->warnings = mem_calloc(FIELD_WARNINGS_MAX, sizeof *fe->warnings);
        fe->warnings[fe->n_warnings++] = mem_printf("%s: %s", from->v[i].field, from->v[i].detail);
    }
}

char *field_errors_text(const struct field_errors *fe)
{
    auto_buf b = BUF((size_t)FIELD_ERRORS_MAX * (PATH_MAX_BYTES + 2 * VALUE_MAX_BYTES));
    bool many = fe->n > 1;
    int r = many ? buf_addc(&b, '[') : 0;

    for (size_t i = 0; !r && i < fe->n; i++)
        r = buf_addf(&b, "%s%s: %s", i ? ", " : "", fe->v[i].field, fe->v[i].detail);
    if (!r && many)
        r = buf_addc(&b, ']');
    return b.p ? buf_take(&b) : mem_strdup("");
}
