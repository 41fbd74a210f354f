/*
 * Descriptions: server/schema/text/<group>.txt, what `kubectl explain` says of types and fields.
 * The language is described at the top of text/meta.txt. Each type and each field of the tables
 * must have one; they are joined, packed with gzip and printed as bytes, to which the tables refer
 * by number.
 */
#include "tools/schemac.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { TEXT_MAX = 300, LIKE_DEPTH_MAX = 8 };

struct said {
    struct where at;
    const char *name, *text;
};

struct about { /* one type: what is said of it and of its fields */
    struct where at;
    const char *gv, *name, *text;
    const struct type *type;
    struct said *fields;
    size_t n_fields;
    const char *likes[USES_MAX]; /* types that describe the fields that are not described here */
    size_t n_likes;
};

/* ---- reading ---- */

/* Splits "name: text"; name has no blanks. */
static bool cut(struct compiler *c, char *line, const char **name, const char **text)
{
    size_t n = strcspn(line, ": \t");

    if (!n || line[n] != ':')
        return false;
    line[n] = '\0';
    *name = schemac_text(c, "%s", line);
    *text = schemac_text(c, "%s", line + n + 1 + strspn(line + n + 1, " "));
    return true;
}

static void read_like(struct compiler *c, struct about *a, const char *type)
{
    if (a->n_likes == USES_MAX)
        schemac_complain(c, c->at, "%s is like more than %d others", a->name, USES_MAX);
    else
        a->likes[a->n_likes++] = schemac_text(c, "%s", type);
}

/* An indented line: a field, "like TYPE", or (indented twice) more of the text before. */
static void read_inner(struct compiler *c, struct about *a, char *line, size_t indent,
                       const char **last)
{
    struct said f = { .at = c->at };

    if (indent >= 8) {
        *last = schemac_text(c, "%s %s", *last, line);
        return;
    }
    if (strncmp(line, "like ", 5) == 0) {
        read_like(c, a, line + 5);
        return;
    }
    if (!cut(c, line, &f.name, &f.text)) {
        schemac_complain(c, c->at, "want: FIELD: TEXT");
        return;
    }
    for (size_t i = 0; i < a->n_fields; i++)
        if (strcmp(a->fields[i].name, f.name) == 0)
            schemac_complain(c, c->at, "%s.%s is described already, in line %u", a->name, f.name,
                             a->fields[i].at.line);
    *PUSH(c, a->fields, a->n_fields) = f;
}

static struct about *read_type_line(struct compiler *c, const char *gv, char *line)
{
    struct about a = { .at = c->at, .gv = gv };

    if (!cut(c, line, &a.name, &a.text)) {
        schemac_complain(c, c->at, "want: TYPE: TEXT");
        return NULL;
    }
    for (size_t i = 0; i < c->n_abouts; i++)
        if (strcmp(c->abouts[i].gv, gv) == 0 && strcmp(c->abouts[i].name, a.name) == 0)
            schemac_complain(c, c->at, "%s is described already, in %s:%u", a.name,
                             c->abouts[i].at.file, c->abouts[i].at.line);
    struct about *new = PUSH(c, c->abouts, c->n_abouts);
    *new = a;
    return new;
}

void schemac_describe_read(struct compiler *c, const char *file, char *source)
{
    const char *gv = NULL, *nothing = NULL, **last = &nothing;
    struct about *a = NULL;

    c->at = (struct where){ schemac_text(c, "%s", file), 0 };
    for (char *next, *line = source; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        c->at.line++;
        size_t indent = strspn(line, " ");
        if (line[indent] == '\0' || line[indent] == '#')
            continue;
        if (strncmp(line, "group ", 6) == 0) {
            gv = schemac_text(c, "%s", line + 6);
            a = NULL;
        } else if (!gv) {
            schemac_complain(c, c->at, "\"%s\" before the first group", line);
        } else if (!indent) {
            a = read_type_line(c, gv, line);
            last = a ? &a->text : &nothing;
        } else if (!a) {
            schemac_complain(c, c->at, "an indented line outside of a type");
        } else {
            size_t had = a->n_fields;
            read_inner(c, a, line + indent, indent, last);
            if (a->n_fields > had)
                last = &a->fields[had].text;
        }
    }
}

/* ---- checking ---- */

/* Complains of a text that may not stand as it is. */
static void check_text(struct compiler *c, struct where at, const char *name, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (!isprint((unsigned char)text[i])) {
            schemac_complain(c, at, "%s: a byte that is no printable ASCII", name);
            return;
        }
    if (n > TEXT_MAX)
        schemac_complain(c, at, "%s: %zu characters, the most are %d", name, n, TEXT_MAX);
    else if (!n || text[n - 1] != '.')
        schemac_complain(c, at, "%s: does not end with a period", name);
    else if (strncasecmp(text, name, n - 1) == 0 && strlen(name) == n - 1)
        schemac_complain(c, at, "%s: says no more than its name", name);
}

static bool has_field(const struct compiler *c, const struct type *t, const char *name)
{
    for (size_t i = 0; i < t->n_flat; i++)
        if (strcmp(c->flat[t->first_flat + i].name, name) == 0)
            return true;
    return false;
}

static void bind_about(struct compiler *c, struct about *a)
{
    int type = schemac_find_in(c, a->gv, a->name);

    if (type < 0)
        type = schemac_find_in(c, "", a->name); /* "quantity" */
    if (type < 0 || c->types[type].variants) {
        schemac_complain(c, a->at, "%s has no type %s with fields", a->gv, a->name);
        return;
    }
    a->type = &c->types[type];
    c->types[type].about = a;
    c->types[type].text = a->text;
    check_text(c, a->at, a->name, a->text);
    for (size_t i = 0; i < a->n_fields; i++) {
        const struct said *f = &a->fields[i];
        if (!has_field(c, a->type, f->name))
            schemac_complain(c, f->at, "%s has no field %s", a->name, f->name);
        check_text(c, f->at, f->name, f->text);
    }
}

/* The type that t is like: "Event" as a file of t's group finds it, or "core/v1.Event". -1: none.
 */
static int find_like(struct compiler *c, const struct type *t, const char *like)
{
    char *gv = schemac_text(c, "%s", like), *dot = strrchr(gv, '.');

    if (!strchr(gv, '/') || !dot)
        return schemac_find_type(c, t->group, like);
    *dot = '\0';
    return schemac_find_in(c, gv, dot + 1);
}

/* What is said of t's field: at t, at the types that t is like, at those embedded in it; of what
 * every object has, at the one that has nothing else. NULL: nothing. */
static const char *text_of(struct compiler *c, const struct type *t, const char *name, int depth)
{
    const struct about *a = t->about;
    const char *text = NULL;

    if (depth == LIKE_DEPTH_MAX || !has_field(c, t, name))
        return NULL;
    for (size_t i = 0; a && i < a->n_fields; i++)
        if (strcmp(a->fields[i].name, name) == 0)
            return a->fields[i].text;
    for (size_t i = 0; a && !text && i < a->n_likes; i++) {
        int like = find_like(c, t, a->likes[i]);
        if (like >= 0)
            text = text_of(c, &c->types[like], name, depth + 1);
    }
    for (size_t i = 0; !text && i < t->n_fields; i++)
        if (t->fields[i].inlined)
            text = text_of(c, &c->types[t->fields[i].type], name, depth + 1);
    int bare = t->object ? schemac_find_in(c, "meta/v1", "PartialObjectMetadata") : -1;
    return text || bare < 0 ? text : text_of(c, &c->types[bare], name, depth + 1);
}

static void check_likes(struct compiler *c, const struct about *a)
{
    for (size_t i = 0; a->type && a->type->group && i < a->n_likes; i++)
        if (find_like(c, a->type, a->likes[i]) < 0)
            schemac_complain(c, a->at, "%s is like %s, which is no type", a->name, a->likes[i]);
}

/* A field's text, which kubectl shows before that of its type (or of its items' type). */
static void check_field_text(struct compiler *c, const struct type *t, const struct field *f)
{
    const struct type *of = &c->types[f->type];

    while (of->item >= 0)
        of = &c->types[of->item];
    if (!f->text)
        schemac_complain(c, f->at, "field %s.%s has no description", t->name, f->name);
    else if (of->text && strcmp(f->text, of->text) == 0)
        schemac_complain(c, f->at, "the description of %s.%s is that of its type", t->name,
                         f->name);
}

void schemac_describe(struct compiler *c)
{
    if (!c->n_abouts)
        return;
    for (size_t i = 0; i < c->n_abouts; i++)
        bind_about(c, &c->abouts[i]);
    for (size_t i = 0; i < c->n_abouts; i++)
        check_likes(c, &c->abouts[i]);
    for (size_t i = 0; i < c->n_types; i++) {
        const struct type *t = &c->types[i];
        if (!t->gv[0] || t->variants)
            continue;
        if (!t->about)
            schemac_complain(c, t->at, "type %s has no description", t->name);
        for (size_t j = 0; t->about && j < t->n_flat; j++) {
            struct field *f = &c->flat[t->first_flat + j];
            f->text = text_of(c, t, f->name, 0);
            check_field_text(c, t, f);
        }
    }
}

/* ---- printing ---- */

/* The number of a text, from 1; equal texts have the same. 0: no text. */
static unsigned number_of(struct compiler *c, const char *text)
{
    if (!text)
        return 0;
    for (size_t i = 0; i < c->n_texts; i++)
        if (c->texts[i] == text || strcmp(c->texts[i], text) == 0)
            return (unsigned)i + 1;
    *PUSH(c, c->texts, c->n_texts) = text;
    return (unsigned)c->n_texts;
}

void schemac_describe_number(struct compiler *c)
{
    for (size_t i = 0; i < c->n_types; i++) {
        struct type *t = &c->types[i];
        t->text_number = number_of(c, t->text);
        for (size_t j = 0; j < t->n_flat; j++)
            c->flat[t->first_flat + j].text_number = number_of(c, c->flat[t->first_flat + j].text);
    }
}

/* Every text with its zero, one after the other, as gzip. */
static size_t pack(struct compiler *c, unsigned char **packed, size_t *n_bytes)
{
    z_stream z = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < c->n_texts; i++)
        n += strlen(c->texts[i]) + 1;
    char *all = schemac_get(c, n + 1), *p = all;
    for (size_t i = 0; i < c->n_texts; i++)
        p = stpcpy(p, c->texts[i]) + 1;
    *n_bytes = n;
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    size_t room = deflateBound(&z, n);
    *packed = schemac_get(c, room);
    z.next_in = (Bytef *)all;
    z.avail_in = (uInt)n;
    z.next_out = *packed;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&z);
    return z.total_out;
}

void schemac_describe_put(struct compiler *c, FILE *o)
{
    unsigned char *packed;
    size_t bytes, n = pack(c, &packed, &bytes);

    fprintf(o, "const unsigned char schema_texts_packed[] = {");
    for (size_t i = 0; i < n; i++)
        fprintf(o, "%s%u,", i % 20 ? "" : "\n    ", packed[i]);
    fprintf(o, "\n};\nconst size_t schema_texts_packed_bytes = %zu, schema_texts_bytes = %zu,\n", n,
            bytes);
    fprintf(o, "             schema_n_texts = %zu;\n", c->n_texts);
}
