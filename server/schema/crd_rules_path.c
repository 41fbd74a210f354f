/* fieldPath of a rule: fields and keys below where the rule stands, by their names. */
#include "base/core/mem.h"
#include "server/schema/crd_rules.h"

#include <ctype.h>

char *crd_rules_trimmed(const char *s)
{
    return str_dup(str_trim(str_of(s)));
}

static char *fail(char **why, const char *fmt, ...) PRINTF_FMT(2, 3);
static char *fail(char **why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    *why = mem_vprintf(fmt, ap);
    va_end(ap);
    return NULL;
}

/* The next token: one of . [ ], a quoted text, or what is up to one of these. Empty: the end. */
static struct str token(const char **at)
{
    const char *from = *at, *p = from;

    if (*p == '\'') {
        for (p++; *p && !(*p == '\'' && p[-1] != '\\');)
            p++;
        p += *p == '\'';
    } else if (*p && strchr(".[]", *p)) {
        p++;
    } else {
        while (*p && !strchr(".[]", *p))
            p++;
    }
    *at = p;
    return str_n(from, (size_t)(p - from));
}

static char *unescaped(struct str s, char **why)
{
    static const char letters[] = "abfnrtv'\\", meaning[] = "\a\b\f\n\r\t\v'\\";
    auto_buf b = BUF(16 * 1024);

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            const char *at = strchr(letters, s.p[++i]);
            if (!at)
                return fail(why, "invalid string literal: invalid escape char \\%c", s.p[i]);
            c = meaning[at - letters];
        }
        if (buf_addc(&b, c))
            return fail(why, "is too long");
    }
    return b.p ? buf_take(&b) : mem_strdup("");
}

char *crd_rules_path(const struct crd_node *n, const char *path, char **why)
{
    auto_buf out = BUF(16 * 1024);
    const char *at = path;
    int rc = 0;

    *why = NULL;
    while (*at && !rc) {
        struct str t = token(&at);
        auto_free char *name = NULL;

        if (str_is(t, "[")) {
            t = token(&at);
            if (!t.n)
                return fail(why, "unexpected end of JSON path");
            if (t.n < 2 || t.p[0] != '\'' || t.p[t.n - 1] != '\'')
                return fail(why, "expected single quoted string but got " STR_FMT, STR_ARG(t));
            if (!(name = unescaped(str_n(t.p + 1, t.n - 2), why)))
                return NULL;
            t = token(&at);
            if (!t.n)
                return fail(why, "unexpected end of JSON path");
            if (!str_is(t, "]"))
                return fail(why, "expected ] but got " STR_FMT, STR_ARG(t));
        } else if (str_is(t, ".")) {
            t = token(&at);
            if (!t.n)
                return fail(why, "unexpected end of JSON path");
            name = str_dup(t);
        } else {
            return fail(why, "expected [ or . but got: " STR_FMT, STR_ARG(t));
        }
        if (n->n_props) {
            rc = buf_addf(&out, "%s%s", out.n ? "." : "", name);
            n = crd_node_prop(n, name);
        } else {
            rc = buf_addf(&out, "[%s]", name);
            n = n->additional;
        }
        if (!n)
            return fail(why, "does not refer to a valid field");
    }
    return rc ? fail(why, "is too long") : out.p ? buf_take(&out) : mem_strdup("");
}
