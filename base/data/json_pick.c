/*
 * One walk over the bytes. At each object, `wanted` is the set of paths that lead into it, each
 * reduced to what is left of it there; a member that ends a path is parsed, one on the way to some
 * is walked into, all others are skipped by their quotes and brackets.
 */
#include "base/data/json_pick.h"

#include "base/data/json.h"

#include <string.h>

struct scan {
    const char *p, *end;
    size_t n_left; /* paths that were not found yet */
};

struct wanted {
    const char *v[JSON_PICK_PATHS_MAX];
    size_t n;
};

static void blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* Behind the quote that ends the string which begins at p. False: it has no end. */
static bool skip_string(struct scan *s)
{
    for (s->p++; s->p < s->end;) {
        const char *quote = memchr(s->p, '"', (size_t)(s->end - s->p)), *back;

        if (!quote)
            break;
        for (back = quote; back > s->p && back[-1] == '\\'; back--)
            ;
        s->p = quote + 1;
        if ((quote - back) % 2 == 0)
            return true;
    }
    return false;
}

/* A member's name, and the colon behind it. */
static bool take_name(struct scan *s, struct str *name)
{
    blanks(s);
    const char *begin = s->p + 1;
    if (s->p == s->end || *s->p != '"' || !skip_string(s))
        return false;
    *name = str_n(begin, (size_t)(s->p - 1 - begin));
    return take(s, ':');
}

static bool skip_value(struct scan *s)
{
    size_t depth = 0;

    blanks(s);
    while (s->p < s->end) {
        switch (*s->p) {
        case '"':
            if (!skip_string(s))
                return false;
            if (!depth)
                return true;
            break;
        case '{':
        case '[':
            depth++;
            s->p++;
            break;
        case '}':
        case ']':
            if (!depth) /* the end of a number or word, and of what holds it */
                return true;
            s->p++;
            if (!--depth)
                return true;
            break;
        case ',':
            if (!depth)
                return true;
            s->p++;
            break;
        default:
            s->p++;
        }
    }
    return false;
}

/* The paths that go through this member; *ends: one ends here. */
static void narrow(struct wanted *out, const struct wanted *w, struct str name, bool *ends)
{
    out->n = 0;
    *ends = false;
    for (size_t i = 0; i < w->n; i++) {
        const char *rest = w->v[i] + name.n; /* of the path, if it begins with the name */

        if ((name.n && w->v[i][0] != name.p[0]) || !str_starts(str_of(w->v[i]), name))
            continue;
        if (*rest == '\0')
            *ends = true;
        else if (*rest == '.')
            out->v[out->n++] = rest + 1;
    }
}

static bool walk(struct scan *s, json_t *out, const struct wanted *w, unsigned depth);

/* *n_left: paths that no member so far began. */
static bool member(struct scan *s, json_t *out, const struct wanted *w, struct str name,
                   size_t *n_left, unsigned depth)
{
    struct wanted inside;
    bool ends;
    json_t *v = NULL;
    const char *begin;
    struct err e;

    narrow(&inside, w, name, &ends);
    *n_left -= MIN(*n_left, inside.n + ends);
    blanks(s);
    begin = s->p;
    if (ends) {
        s->n_left--;
        if (!skip_value(s) || json_parse(&v, str_n(begin, (size_t)(s->p - begin)), &e))
            return false;
    } else if (inside.n && s->p < s->end && *s->p == '{') {
        v = json_object();
        if (!walk(s, v, &inside, depth + 1)) {
            json_decref(v);
            return false;
        }
    } else {
        return skip_value(s);
    }
    return json_object_setn_new(out, name.p, name.n, v) == 0;
}

static bool walk(struct scan *s, json_t *out, const struct wanted *w, unsigned depth)
{
    size_t n_left = w->n;

    if (depth > JSON_DEPTH_MAX || !take(s, '{'))
        return false;
    if (take(s, '}'))
        return true;
    do {
        struct str name;
        if (!take_name(s, &name) || !member(s, out, w, name, &n_left, depth))
            return false;
        if (!s->n_left || (depth == 0 && !n_left)) /* all was found, or where it would be */
            return true;
    } while (take(s, ','));
    return take(s, '}');
}

bool json_find(struct str *out, struct str text, const char *path)
{
    struct scan s = { .p = text.p, .end = text.p + text.n };
    struct str part, rest = str_of(path), name;
    bool more = true;

    while (more) {
        more = str_cut(rest, '.', &part, &rest);
        if (!take(&s, '{'))
            return false;
        do {
            if (!take_name(&s, &name))
                return false;
            if (str_eq(name, part))
                break;
            if (!skip_value(&s))
                return false;
            name.n = 0;
        } while (take(&s, ','));
        if (!str_eq(name, part))
            return false;
    }
    blanks(&s);
    const char *begin = s.p;
    if (!skip_value(&s))
        return false;
    *out = str_n(begin, (size_t)(s.p - begin));
    return true;
}

int json_pick(json_t **out, struct str text, const char *const *paths, size_t n_paths,
              struct err *e)
{
    struct scan s = { .p = text.p, .end = text.p + text.n, .n_left = n_paths };
    struct wanted w = { .n = n_paths };
    json_t *j;

    if (n_paths > JSON_PICK_PATHS_MAX)
        return err_set(e, ERR_LIMIT, "too many paths");
    for (size_t i = 0; i < n_paths; i++)
        w.v[i] = paths[i];
    j = json_object();
    if (!walk(&s, j, &w, 0)) {
        json_decref(j);
        return err_set(e, ERR_INVALID, "no JSON object, or one that is cut short");
    }
    *out = j;
    return 0;
}
