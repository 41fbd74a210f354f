/*
 * JSON values as YAML text. Plain scalars are few on purpose: a letter first and nothing but
 * letters, digits and "_-./:@" behind it, and no word that YAML 1.1 takes for a bool or a null.
 * All other texts are quoted as JSON quotes them, which YAML reads alike.
 */
#include "base/core/mem.h"
#include "base/data/yaml.h"

#include <inttypes.h>

#define KEY_MAX 900 /* a longer key is not "simple" (YAML 1.1, 9.2.1: 1024 characters) */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
}

static bool is_plain(struct str s)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on",
                                         "off",  "null",  "y",   "n",  NULL };

    if (s.n == 0 || !is_letter(s.p[0]) || s.p[s.n - 1] == ':')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter(s.p[i]) && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
            s.p[i] != '.' && s.p[i] != ':' && s.p[i] != '@')
            return false;
    for (size_t i = 0; words[i]; i++)
        if (str_eq_nocase(s, str_of(words[i])))
            return false;
    return true;
}

/* What JSON leaves as it is and YAML does not read as it stands, in UTF-8: controls, its other line
 * breaks, and what is no character. How many bytes, 0: an ordinary one. */
static size_t special(const unsigned char *p, size_t n, unsigned *code)
{
    *code = p[0];
    if (p[0] == 0x7f)
        return 1;
    if (n >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
        *code = p[1];
        return 2;
    }
    if (n < 3 || (p[0] & 0xf0) != 0xe0)
        return 0;
    *code = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ? 3 : 0;
}

static int add_text(struct buf *b, struct str s)
{
    auto_buf json = BUF(b->max);
    unsigned code;

    if (is_plain(s))
        return buf_add_str(b, s);
    if (json_write_str(&json, s))
        return ERR_LIMIT;
    const unsigned char *p = (const unsigned char *)json.p;
    for (size_t i = 0, from = 0; i <= json.n; i++) {
        size_t n = i < json.n ? special(p + i, json.n - i, &code) : 0;

        if (!n && i < json.n)
            continue;
        if (buf_add(b, p + from, i - from) || (n && buf_addf(b, "\\u%04x", code)))
            return ERR_LIMIT;
        from = i + n;
        i += n ? n - 1 : 0;
    }
    return 0;
}

static int add_value(struct buf *b, const json_t *j, unsigned indent, bool in_list);

static int add_indent(struct buf *b, unsigned indent)
{
    return buf_addf(b, "%*s", (int)indent, "");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_member(struct buf *b, const char *key, const json_t *value, unsigned indent)
{
    size_t at = b->n;

    if (add_text(b, str_of(key)))
        return ERR_LIMIT;
    if (b->n - at > KEY_MAX) { /* "? key" and ": value" on lines of their own */
        b->n = at;
        if (buf_adds(b, "? ") || add_text(b, str_of(key)) || buf_addc(b, '\n') ||
            add_indent(b, indent))
            return ERR_LIMIT;
    }
    return buf_addc(b, ':') ? ERR_LIMIT : add_value(b, value, indent, false);
}

/* The first line goes on where the caller is: behind "- ", or on a line that is indented. */
static int add_members(struct buf *b, const json_t *j, unsigned indent)
{
    size_t n = json_object_size(j), i = 0;
    auto_free const char **keys = mem_calloc(n, sizeof *keys);
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)j, key, v) keys[i++] = key;
    qsort(keys, n, sizeof *keys, by_name);
    for (i = 0; i < n; i++)
        if ((i && add_indent(b, indent)) ||
            add_member(b, keys[i], json_object_get(j, keys[i]), indent))
            return ERR_LIMIT;
    return 0;
}

static int add_items(struct buf *b, const json_t *j, unsigned indent)
{
    size_t i;
    json_t *v;

    json_array_foreach((json_t *)j, i, v)
    {
        if ((i && add_indent(b, indent)) || buf_addc(b, '-') || add_value(b, v, indent, true))
            return ERR_LIMIT;
    }
    return 0;
}

static int add_scalar(struct buf *b, const json_t *j)
{
    if (json_is_string(j))
        return add_text(b, str_n(json_string_value(j), json_string_length(j)));
    if (json_is_object(j))
        return buf_adds(b, "{}");
    if (json_is_array(j))
        return buf_adds(b, "[]");
    return json_write(b, j);
}

static bool is_block(const json_t *j)
{
    return json_object_size(j) > 0 || json_array_size(j) > 0;
}

/* Behind "key:" or "-", up to the end of its last line. indent is that of the key or the dash. */
static int add_value(struct buf *b, const json_t *j, unsigned indent, bool in_list)
{
    if (!is_block(j))
        return buf_addc(b, ' ') || add_scalar(b, j) || buf_addc(b, '\n') ? ERR_LIMIT : 0;
    if (in_list) /* "- a: 1" and "- - 1" */
        return buf_addc(b, ' ') || (json_is_object(j) ? add_members(b, j, indent + 2)
                                                      : add_items(b, j, indent + 2))
                   ? ERR_LIMIT
                   : 0;
    unsigned inner = json_is_object(j) ? indent + 2 : indent;
    if (buf_addc(b, '\n') || add_indent(b, inner))
        return ERR_LIMIT;
    return json_is_object(j) ? add_members(b, j, inner) : add_items(b, j, inner);
}

int yaml_write(struct buf *b, const json_t *j)
{
    if (json_is_object(j) && is_block(j))
        return add_members(b, j, 0);
    if (is_block(j))
        return add_items(b, j, 0);
    return add_scalar(b, j) || buf_addc(b, '\n') ? ERR_LIMIT : 0;
}
