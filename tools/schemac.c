/*
 * schemac: compiles server/schema/<group>.kube into the constant tables of server/schema/schema.h.
 *
 *     schemac OUT.c FILE.kube...
 *
 * The language is described at the top of server/schema/meta.kube. Three passes: read every file
 * into blocks; resolve type names and flatten embedded types; print. Errors read "file:line: what",
 * all of them are shown, and nothing is written then. It runs on the build machine and uses libc
 * only.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 96, EMBED_MAX = 2, USES_MAX = 8, FLAT_MAX = 256, ERRORS_MAX = 20 };

struct block { /* memory of one run, freed as a whole */
    struct block *next;
    max_align_t bytes[];
};

struct where {
    const char *file;
    unsigned line;
};

struct field {
    struct where at;
    const char *name, *type_text;
    unsigned number, embed[EMBED_MAX];
    bool pointer, inlined;
    const char *flags; /* "SCHEMA_REQUIRED | ..." */
    const char *list_type, *format, *merge_key, *deflt;
    const char **keys;
    int type; /* index into types, after resolve */
};

struct group {
    const char *gv; /* "apps/v1" */
    const char *uses[USES_MAX];
    size_t n_uses;
};

struct type {
    struct where at;
    const char *name, *gv, *shape;
    const struct group *group;
    bool object;
    struct field *fields;
    size_t n_fields;
    const char **variants;
    int item; /* type index of the items, -1 */
    size_t first_flat, n_flat;
};

struct sub {
    const char *name, *kind, *gv;
    unsigned verbs;
};

struct column {
    const char *name, *type, *format, *description, *source;
    int priority;
};

struct kind {
    struct where at;
    const char *kind, *plural, *singular, *name_format, *storage, *unserved;
    const struct group *group;
    const char **shorts, **categories, **selects;
    bool cluster, create_on_update, generation, ephemeral;
    unsigned verbs;
    struct sub *subs;
    size_t n_subs;
    struct column *columns;
    size_t n_columns;
    int type;
};

struct compiler {
    struct block *blocks;
    FILE *errors;
    unsigned n_errors;
    struct where at;
    struct group *group;
    struct type *types;
    size_t n_types;
    struct kind *kinds;
    size_t n_kinds;
    struct field *flat; /* every struct's fields with embedded ones, sorted by name */
    size_t n_flat;
};

static void *get(struct compiler *c, size_t n)
{
    struct block *b = calloc(1, sizeof *b + n);

    if (!b) {
        fputs("schemac: out of memory\n", stderr);
        exit(1);
    }
    b->next = c->blocks;
    c->blocks = b;
    return b->bytes;
}

/* An array that grows by one: p has n elements already. Old copies stay until the end. */
static void *grow(struct compiler *c, const void *p, size_t n, size_t size)
{
    if (n && (n & (n - 1)))
        return (void *)(uintptr_t)p; /* capacity is the next power of two */
    void *q = get(c, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(q, p, n * size);
    return q;
}
#define PUSH(c, array, n)                                                                          \
    ((array) = grow((c), (array), (n), sizeof *(array)), (n)++, &(array)[(n)-1])

static char *text(struct compiler *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static char *text(struct compiler *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = get(c, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

static void fail(struct compiler *c, struct where at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct compiler *c, struct where at, const char *fmt, ...)
{
    va_list ap;

    if (c->n_errors++ >= ERRORS_MAX)
        return;
    fprintf(c->errors, "%s:%u: ", at.file, at.line);
    va_start(ap, fmt);
    vfprintf(c->errors, fmt, ap);
    va_end(ap);
    fputc('\n', c->errors);
}

/* ---- words --------------------------------------------------------------------------------------
 */

static const struct word {
    const char *word, *c;
} base_types[] = {
    { "string", "SCHEMA_STRING" },     { "bool", "SCHEMA_BOOL" },
    { "int32", "SCHEMA_INT32" },       { "int64", "SCHEMA_INT64" },
    { "number", "SCHEMA_NUMBER" },     { "bytes", "SCHEMA_BYTES" },
    { "time", "SCHEMA_TIME" },         { "microtime", "SCHEMA_MICROTIME" },
    { "duration", "SCHEMA_DURATION" }, { "quantity", "SCHEMA_QUANTITY" },
    { "any", "SCHEMA_ANY" },           { "intorstring", "SCHEMA_INT_OR_STRING" },
    { "object", "SCHEMA_OBJECT" },     { NULL, NULL },
};

static const struct word formats[] = {
    { "label", "SCHEMA_FMT_LABEL" },
    { "label35", "SCHEMA_FMT_LABEL35" },
    { "subdomain", "SCHEMA_FMT_SUBDOMAIN" },
    { "path", "SCHEMA_FMT_PATH_SEGMENT" },
    { "qualified", "SCHEMA_FMT_QUALIFIED" },
    { "label-value", "SCHEMA_FMT_LABEL_VALUE" },
    { "ip", "SCHEMA_FMT_IP" },
    { "cidr", "SCHEMA_FMT_CIDR" },
    { "port", "SCHEMA_FMT_PORT" },
    { "port-name", "SCHEMA_FMT_PORT_NAME" },
    { "env-name", "SCHEMA_FMT_ENV_NAME" },
    { "config-key", "SCHEMA_FMT_CONFIG_KEY" },
    { "non-negative", "SCHEMA_FMT_NON_NEGATIVE" },
    { "positive", "SCHEMA_FMT_POSITIVE" },
    { "absolute-path", "SCHEMA_FMT_ABSOLUTE_PATH" },
    { NULL, NULL },
};

static const struct word field_flags[] = {
    { "required", "SCHEMA_REQUIRED" },   { "nonempty", "SCHEMA_NONEMPTY" },
    { "immutable", "SCHEMA_IMMUTABLE" }, { "atomic", "SCHEMA_ATOMIC" },
    { "retain", "SCHEMA_PATCH_RETAIN" }, { "replace", "SCHEMA_PATCH_REPLACE" },
    { "merge", "SCHEMA_PATCH_MERGE" },   { NULL, NULL },
};

static const char *const verb_words[] = { "create", "delete", "deletecollection", "get",
                                          "list",   "patch",  "update",           "watch" };

static const char *word_find(const struct word *w, const char *s)
{
    for (; w->word; w++)
        if (strcmp(w->word, s) == 0)
            return w->c;
    return NULL;
}

static unsigned verb_bit(const char *s)
{
    for (unsigned i = 0; i < sizeof verb_words / sizeof verb_words[0]; i++)
        if (strcmp(verb_words[i], s) == 0)
            return 1U << i;
    return 0;
}

/* Splits a line; "..." is one word (its quotes kept as a mark in quoted[]). False: a bad line. */
static bool split(struct compiler *c, char *line, char **word, bool *quoted, size_t *n)
{
    char *p = line;

    *n = 0;
    for (;;) {
        p += strspn(p, " \t\r\n");
        if (!*p || *p == '#')
            return true;
        if (*n == WORDS_MAX) {
            fail(c, c->at, "more than %d words in a line", WORDS_MAX);
            return false;
        }
        quoted[*n] = *p == '"';
        if (*p == '"') {
            char *end = strchr(++p, '"');
            if (!end) {
                fail(c, c->at, "a quoted word does not end");
                return false;
            }
            word[(*n)++] = p;
            *end = '\0';
            p = end + 1;
            continue;
        }
        word[(*n)++] = p;
        p += strcspn(p, " \t\r\n");
        if (*p)
            *p++ = '\0';
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A NULL-terminated list of copies. */
static const char **list_of(struct compiler *c, char **word, size_t n)
{
    const char **l = get(c, (n + 1) * sizeof *l);

    for (size_t i = 0; i < n; i++)
        l[i] = text(c, "%s", word[i]);
    return l;
}

static const char **list_of_commas(struct compiler *c, const char *s)
{
    char *copy = text(c, "%s", s), *save = NULL, *word[16];
    size_t n = 0;

    for (char *p = strtok_r(copy, ",", &save); p && n < 16; p = strtok_r(NULL, ",", &save))
        word[n++] = p;
    return list_of(c, word, n);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static const char *join_flag(struct compiler *c, const char *flags, const char *flag)
{
    return flags ? text(c, "%s | %s", flags, flag) : flag;
}

static void read_attribute(struct compiler *c, struct field *f, char *w)
{
    char *value = strchr(w, '=');

    if (value)
        *value++ = '\0';
    if (!value) {
        const char *flag = word_find(field_flags, w);
        if (flag) {
            f->flags = join_flag(c, f->flags, flag);
        } else if (strcmp(w, "set") == 0) {
            f->list_type = "SCHEMA_LIST_SET";
        } else {
            fail(c, c->at, "field %s: unknown attribute \"%s\"", f->name, w);
        }
    } else if (!*value) {
        fail(c, c->at, "field %s: %s= has no value", f->name, w);
    } else if (strcmp(w, "merge") == 0) {
        f->flags = join_flag(c, f->flags, "SCHEMA_PATCH_MERGE");
        f->merge_key = text(c, "%s", value);
        if (!f->keys)
            f->keys = list_of_commas(c, value);
    } else if (strcmp(w, "keys") == 0) {
        f->keys = list_of_commas(c, value);
    } else if (strcmp(w, "default") == 0) {
        f->deflt = text(c, "%s", value);
    } else if (strcmp(w, "is") == 0) {
        f->format = word_find(formats, value);
        if (!f->format)
            fail(c, c->at, "field %s: unknown form \"%s\"", f->name, value);
    } else {
        fail(c, c->at, "field %s: unknown attribute \"%s=\"", f->name, w);
    }
}

static void read_field(struct compiler *c, struct type *t, char **w, size_t n)
{
    struct field f = { .at = c->at, .name = text(c, "%s", w[0]) };
    char *end;

    if (n < 3) {
        fail(c, c->at, "field %s: want a number and a type", w[0]);
        return;
    }
    unsigned long number = strtoul(w[1], &end, 10);
    if (*end || !isdigit((unsigned char)w[1][0]) || number > 65535) {
        fail(c, c->at, "field %s: \"%s\" is no protobuf number", w[0], w[1]);
        return;
    }
    f.number = (unsigned)number;
    f.inlined = strcmp(w[0], "+") == 0;
    size_t len = strlen(w[2]);
    if (w[2][len - 1] == '?') {
        f.pointer = true;
        w[2][len - 1] = '\0';
    }
    f.type_text = text(c, "%s", w[2]);
    if (f.pointer)
        f.flags = "SCHEMA_POINTER";
    for (size_t i = 3; i < n; i++)
        read_attribute(c, &f, w[i]);
    for (size_t i = 0; i < t->n_fields && !f.inlined; i++)
        if (strcmp(t->fields[i].name, f.name) == 0)
            fail(c, c->at, "field %s is there already, in line %u", f.name, t->fields[i].at.line);
    *PUSH(c, t->fields, t->n_fields) = f;
}

static void read_column(struct compiler *c, struct kind *k, char **w, const bool *quoted, size_t n)
{
    struct column col = { .name = n > 1 ? text(c, "%s", w[1]) : "", .format = "" };

    if (n == 2 && strcmp(w[1], "Name") == 0) {
        col.type = "string";
        col.format = "name";
        col.source = ".metadata.name";
        col.description = "Name, unique among its kind in a namespace";
    } else if (n == 2 && strcmp(w[1], "Age") == 0) {
        col.type = "string";
        col.source = "=age";
        col.description = "Time since it was made";
    } else if (n < 4) {
        fail(c, c->at, "column %s: want a type and a source", col.name);
        return;
    } else {
        col.type = text(c, "%s", w[2]);
        col.source = text(c, "%s", w[3]);
        col.description = "";
        if (col.source[0] != '.' && col.source[0] != '=')
            fail(c, c->at, "column %s: the source \"%s\" begins with neither '.' nor '='", col.name,
                 w[3]);
        if (strcmp(col.name, "Name") == 0)
            col.format = "name";
        for (size_t i = 4; i < n; i++) {
            if (quoted[i])
                col.description = text(c, "%s", w[i]);
            else if (strcmp(w[i], "wide") == 0)
                col.priority = 1;
            else
                fail(c, c->at, "column %s: what is \"%s\"?", col.name, w[i]);
        }
        const char *const known[] = { "string", "integer", "number", "boolean", "date" };
        bool ok = false;
        for (size_t i = 0; i < 5; i++)
            ok |= strcmp(known[i], col.type) == 0;
        if (!ok)
            fail(c, c->at, "column %s: unknown type \"%s\"", col.name, col.type);
    }
    *PUSH(c, k->columns, k->n_columns) = col;
}

static unsigned read_verbs(struct compiler *c, char **w, size_t from, size_t n)
{
    unsigned verbs = 0;

    for (size_t i = from; i < n; i++) {
        if (!verb_bit(w[i]))
            fail(c, c->at, "unknown verb \"%s\"", w[i]);
        verbs |= verb_bit(w[i]);
    }
    return verbs;
}

static void read_sub(struct compiler *c, struct kind *k, char **w, size_t n)
{
    struct sub s = { 0 };

    if (n < 2) {
        fail(c, c->at, "sub has no name");
        return;
    }
    s.name = text(c, "%s", w[1]);
    if (n == 2) {
        s.kind = k->kind;
        s.verbs = verb_bit("get") | verb_bit("patch") | verb_bit("update");
    } else {
        char *dot = strrchr(w[2], '.');
        if (dot)
            *dot = '\0';
        s.gv = dot ? text(c, "%s", w[2]) : NULL;
        s.kind = text(c, "%s", dot ? dot + 1 : w[2]);
        s.verbs = read_verbs(c, w, 3, n);
        if (!s.verbs)
            fail(c, c->at, "sub %s: want a kind and verbs", s.name);
    }
    *PUSH(c, k->subs, k->n_subs) = s;
}

static void read_kind_line(struct compiler *c, struct kind *k, char **w, const bool *quoted,
                           size_t n)
{
    const char *key = w[0];

    if (strcmp(key, "column") == 0) {
        read_column(c, k, w, quoted, n);
    } else if (strcmp(key, "sub") == 0) {
        read_sub(c, k, w, n);
    } else if (strcmp(key, "short") == 0) {
        k->shorts = list_of(c, w + 1, n - 1);
    } else if (strcmp(key, "category") == 0) {
        k->categories = list_of(c, w + 1, n - 1);
    } else if (strcmp(key, "select") == 0) {
        k->selects = list_of(c, w + 1, n - 1);
    } else if (strcmp(key, "verbs") == 0) {
        k->verbs = read_verbs(c, w, 1, n);
    } else if (strcmp(key, "generation") == 0 && n == 1) {
        k->generation = true;
    } else if (strcmp(key, "create-on-update") == 0 && n == 1) {
        k->create_on_update = true;
    } else if (strcmp(key, "ephemeral") == 0 && n == 1) {
        k->ephemeral = true;
    } else if (n == 2 && strcmp(key, "singular") == 0) {
        k->singular = text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "storage") == 0) {
        k->storage = text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "unserved") == 0) {
        k->unserved = text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "name") == 0) {
        k->name_format = word_find(formats, w[1]);
        if (!k->name_format)
            fail(c, c->at, "kind %s: unknown form \"%s\"", k->kind, w[1]);
    } else {
        fail(c, c->at, "kind %s: what is \"%s\"?", k->kind, key);
    }
}

static struct kind *read_kind(struct compiler *c, char **w, size_t n)
{
    if (n < 3 || n > 4 || (n == 4 && strcmp(w[3], "cluster") != 0)) {
        fail(c, c->at, "want: kind NAME PLURAL [cluster]");
        return NULL;
    }
    for (size_t i = 0; i < c->n_kinds; i++)
        if (c->kinds[i].group == c->group && strcmp(c->kinds[i].kind, w[1]) == 0)
            fail(c, c->at, "kind %s is there already, in %s:%u", w[1], c->kinds[i].at.file,
                 c->kinds[i].at.line);
    char *singular = text(c, "%s", w[1]);
    for (char *p = singular; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    struct kind *k = PUSH(c, c->kinds, c->n_kinds);
    *k = (struct kind){ .at = c->at,
                        .kind = text(c, "%s", w[1]),
                        .plural = text(c, "%s", w[2]),
                        .singular = singular,
                        .group = c->group,
                        .name_format = "SCHEMA_FMT_NONE",
                        .cluster = n == 4,
                        .verbs = 255 };
    return k;
}

static struct type *read_type(struct compiler *c, char **w, size_t n)
{
    bool is_enum = strcmp(w[0], "enum") == 0;

    if (n < 2 || (is_enum ? n < 3 : n > 2)) {
        fail(c, c->at, is_enum ? "want: enum NAME VALUE..." : "want: %s NAME", w[0]);
        return NULL;
    }
    for (size_t i = 0; i < c->n_types; i++)
        if (c->types[i].group == c->group && strcmp(c->types[i].name, w[1]) == 0)
            fail(c, c->at, "%s is there already, in %s:%u", w[1], c->types[i].at.file,
                 c->types[i].at.line);
    struct type *t = PUSH(c, c->types, c->n_types);
    *t = (struct type){ .at = c->at,
                        .name = text(c, "%s", w[1]),
                        .gv = c->group->gv,
                        .group = c->group,
                        .shape = is_enum ? "SCHEMA_STRING" : "SCHEMA_STRUCT",
                        .object = strcmp(w[0], "object") == 0,
                        .item = -1 };
    if (is_enum) {
        t->variants = list_of(c, w + 2, n - 2);
        qsort(t->variants, n - 2, sizeof *t->variants, by_text);
        return NULL;
    }
    if (t->object) {
        const struct field head[] = {
            { .at = c->at, .name = "apiVersion", .type_text = "string" },
            { .at = c->at, .name = "kind", .type_text = "string" },
            { .at = c->at, .name = "metadata", .type_text = "ObjectMeta", .number = 1 },
        };
        for (size_t i = 0; i < 3; i++)
            *PUSH(c, t->fields, t->n_fields) = head[i];
    }
    return t;
}

static void read_line(struct compiler *c, char *line, struct kind **k, struct type **t)
{
    bool indented = isspace((unsigned char)line[0]);
    char *w[WORDS_MAX];
    bool quoted[WORDS_MAX];
    size_t n;

    if (!split(c, line, w, quoted, &n) || n == 0)
        return;
    if (indented) {
        if (*k)
            read_kind_line(c, *k, w, quoted, n);
        else if (*t)
            read_field(c, *t, w, n);
        else
            fail(c, c->at, "an indented line outside of kind, object and type");
        return;
    }
    *k = NULL;
    *t = NULL;
    if (strcmp(w[0], "group") == 0) {
        if (n != 2 || !strchr(w[1], '/')) {
            fail(c, c->at, "want: group NAME/VERSION");
            return;
        }
        c->group = get(c, sizeof *c->group);
        c->group->gv = text(c, "%s", w[1]);
    } else if (!c->group) {
        fail(c, c->at, "\"%s\" before the first group", w[0]);
    } else if (strcmp(w[0], "use") == 0) {
        for (size_t i = 1; i < n; i++) {
            if (c->group->n_uses == USES_MAX)
                fail(c, c->at, "more than %d groups used", USES_MAX);
            else
                c->group->uses[c->group->n_uses++] = text(c, "%s", w[i]);
        }
    } else if (strcmp(w[0], "kind") == 0) {
        *k = read_kind(c, w, n);
    } else if (strcmp(w[0], "type") == 0 || strcmp(w[0], "object") == 0 ||
               strcmp(w[0], "enum") == 0) {
        *t = read_type(c, w, n);
    } else {
        fail(c, c->at, "unknown word \"%s\"", w[0]);
    }
}

/* text is changed. */
static void read_source(struct compiler *c, const char *file, char *source)
{
    struct kind *k = NULL;
    struct type *t = NULL;

    c->group = NULL;
    c->at = (struct where){ text(c, "%s", file), 0 };
    for (char *next, *line = source; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        c->at.line++;
        read_line(c, line, &k, &t);
    }
}

/* ---- resolving ----------------------------------------------------------------------------------
 */

static int find_in(const struct compiler *c, const char *gv, const char *name)
{
    for (size_t i = 0; i < c->n_types; i++)
        if (strcmp(c->types[i].gv, gv) == 0 && strcmp(c->types[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int find_type(struct compiler *c, const struct group *g, const char *name)
{
    int i = find_in(c, "", name); /* base types and anonymous ones */

    if (i < 0)
        i = find_in(c, g->gv, name);
    for (size_t u = 0; i < 0 && u < g->n_uses; u++)
        i = find_in(c, g->uses[u], name);
    return i < 0 ? find_in(c, "meta/v1", name) : i;
}

/* A type's index for "T", "[T]" or "{T}"; -1 with an error said. */
static int resolve_text(struct compiler *c, struct where at, const struct group *g, const char *s)
{
    size_t n = strlen(s);

    if (s[0] == '[' || s[0] == '{') {
        char close = s[0] == '[' ? ']' : '}';
        if (n < 3 || s[n - 1] != close) {
            fail(c, at, "type \"%s\" does not end with %c", s, close);
            return -1;
        }
        int item = resolve_text(c, at, g, text(c, "%.*s", (int)n - 2, s + 1));
        if (item < 0)
            return -1;
        const char *key = text(c, "%c%d%c", s[0], item, close);
        int have = find_in(c, "", key);
        if (have >= 0)
            return have;
        struct type *t = PUSH(c, c->types, c->n_types);
        *t = (struct type){ .at = at,
                            .name = key,
                            .gv = "",
                            .shape = close == ']' ? "SCHEMA_LIST" : "SCHEMA_MAP",
                            .item = item };
        return (int)c->n_types - 1;
    }
    int i = find_type(c, g, s);
    if (i < 0)
        fail(c, at, "unknown type \"%s\"", s);
    return i;
}

static bool shape_is(const struct compiler *c, int type, const char *shape)
{
    return strcmp(c->types[type].shape, shape) == 0;
}

static void check_field(struct compiler *c, struct field *f)
{
    bool is_list = shape_is(c, f->type, "SCHEMA_LIST");

    if ((f->keys || f->list_type) && !is_list)
        fail(c, f->at, "field %s: keys and set are for lists", f->name);
    if (f->keys)
        f->list_type = "SCHEMA_LIST_MAP";
    for (size_t i = 0; f->keys && is_list && f->keys[i]; i++) {
        const struct type *item = &c->types[c->types[f->type].item];
        bool found = false;
        for (size_t j = 0; j < item->n_fields; j++)
            found |= strcmp(item->fields[j].name, f->keys[i]) == 0 || item->fields[j].inlined;
        if (!found)
            fail(c, f->at, "field %s: %s has no field \"%s\" to be a key", f->name, item->name,
                 f->keys[i]);
    }
    if (!f->deflt)
        return;
    if (shape_is(c, f->type, "SCHEMA_STRING") && f->deflt[0] != '"')
        f->deflt = text(c, "\"%s\"", f->deflt);
    bool number = f->deflt[strspn(f->deflt, "-0123456789")] == '\0';
    bool boolean = strcmp(f->deflt, "true") == 0 || strcmp(f->deflt, "false") == 0;
    const char *const *v = (const char *const *)c->types[f->type].variants;
    if ((shape_is(c, f->type, "SCHEMA_INT32") || shape_is(c, f->type, "SCHEMA_INT64")) && !number)
        fail(c, f->at, "field %s: default %s is no number", f->name, f->deflt);
    if (shape_is(c, f->type, "SCHEMA_BOOL") && !boolean)
        fail(c, f->at, "field %s: default %s is no bool", f->name, f->deflt);
    if (v) {
        while (*v &&
               (strncmp(*v, f->deflt + 1, strlen(*v)) != 0 || strlen(*v) + 2 != strlen(f->deflt)))
            v++;
        if (!*v)
            fail(c, f->at, "field %s: default %s is no %s", f->name, f->deflt,
                 c->types[f->type].name);
    }
}

static int by_field_name(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

/* Adds t's fields to out, those of embedded types in place. */
static size_t flatten(struct compiler *c, const struct type *t, const unsigned *embed,
                      unsigned depth, struct field *out, size_t n)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        struct field f = t->fields[i];
        memcpy(f.embed, embed, sizeof f.embed);
        if (f.inlined && (depth == EMBED_MAX || !shape_is(c, f.type, "SCHEMA_STRUCT"))) {
            fail(c, f.at, "\"+ %s\" is embedded too deep or is no type with fields", f.type_text);
        } else if (f.inlined) {
            f.embed[depth] = f.number;
            n = flatten(c, &c->types[f.type], f.embed, depth + 1, out, n);
        } else if (n == FLAT_MAX) {
            fail(c, f.at, "%s has more than %d fields", t->name, FLAT_MAX);
        } else {
            out[n++] = f;
        }
    }
    return n;
}

static void resolve(struct compiler *c)
{
    for (size_t i = 0; i < c->n_types; i++)
        for (size_t j = 0; j < c->types[i].n_fields; j++) {
            struct field *f = &c->types[i].fields[j];
            const struct group *g = c->types[i].group;
            int type = resolve_text(c, f->at, g, f->type_text); /* types may move */
            f->type = type;
            if (type >= 0)
                check_field(c, f);
        }
    if (c->n_errors)
        return;
    for (size_t i = 0; i < c->n_types; i++) {
        struct field all[FLAT_MAX];
        const unsigned none[EMBED_MAX] = { 0 };
        struct type *t = &c->types[i];
        t->n_flat = flatten(c, t, none, 0, all, 0);
        t->first_flat = c->n_flat;
        qsort(all, t->n_flat, sizeof all[0], by_field_name);
        for (size_t j = 0; j < t->n_flat; j++) {
            if (j && strcmp(all[j].name, all[j - 1].name) == 0)
                fail(c, all[j].at, "%s has two fields %s, one of them embedded", t->name,
                     all[j].name);
            *PUSH(c, c->flat, c->n_flat) = all[j];
        }
    }
    for (size_t i = 0; i < c->n_kinds; i++) {
        struct kind *k = &c->kinds[i];
        k->type = find_in(c, k->group->gv, k->kind);
        if (k->type < 0 || !shape_is(c, k->type, "SCHEMA_STRUCT"))
            fail(c, k->at, "kind %s has no object or type of that name", k->kind);
    }
}

/* ---- printing -----------------------------------------------------------------------------------
 */

static void put_str(FILE *o, const char *s)
{
    if (!s) {
        fputs("NULL", o);
        return;
    }
    fputc('"', o);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fputc('\\', o);
        fputc(*s, o);
    }
    fputc('"', o);
}

static void put_list(FILE *o, const char *name, size_t i, const char *const *l)
{
    fprintf(o, "static const char *const %s%zu[] = { ", name, i);
    for (; l && *l; l++) {
        put_str(o, *l);
        fputs(", ", o);
    }
    fputs("NULL };\n", o);
}

static void put_types(const struct compiler *c, FILE *o)
{
    fprintf(o, "static const struct schema_type T[%zu];\n", c->n_types);
    for (size_t i = 0; i < c->n_types; i++)
        if (c->types[i].variants)
            put_list(o, "V", i, c->types[i].variants);
    for (size_t i = 0; i < c->n_flat; i++)
        if (c->flat[i].keys)
            put_list(o, "K", i, c->flat[i].keys);
    fprintf(o, "static const struct schema_field F[] = {\n");
    for (size_t i = 0; i < c->n_flat; i++) {
        const struct field *f = &c->flat[i];
        fprintf(o, "    { .name = \"%s\", .type = &T[%d], .flags = %s, .number = %u", f->name,
                f->type, f->flags ? f->flags : "0", f->number);
        if (f->list_type)
            fprintf(o, ", .list_type = %s", f->list_type);
        if (f->format)
            fprintf(o, ", .format = %s", f->format);
        if (f->embed[0])
            fprintf(o, ", .embed = { %u, %u }", f->embed[0], f->embed[1]);
        if (f->merge_key)
            fprintf(o, ", .merge_key = \"%s\"", f->merge_key);
        if (f->keys)
            fprintf(o, ", .list_keys = K%zu", i);
        if (f->deflt) {
            fputs(", .deflt = ", o);
            put_str(o, f->deflt);
        }
        fputs(" },\n", o);
    }
    fputs("};\n", o);
    for (size_t i = 0; i < c->n_types; i++)
        if (c->types[i].item >= 0)
            fprintf(o, "static const struct schema_field I%zu = { .type = &T[%d] };\n", i,
                    c->types[i].item);
    fprintf(o, "static const struct schema_type T[%zu] = {\n", c->n_types);
    for (size_t i = 0; i < c->n_types; i++) {
        const struct type *t = &c->types[i];
        bool named = t->item < 0 && t->gv[0];
        fprintf(o, "    { .name = \"%s\", .group_version = \"%s\", .shape = %s",
                named ? t->name : "", t->gv, t->shape);
        if (t->item >= 0)
            fprintf(o, ", .item = &I%zu", i);
        if (t->n_flat)
            fprintf(o, ", .fields = &F[%zu], .n_fields = %zu", t->first_flat, t->n_flat);
        if (t->variants)
            fprintf(o, ", .variants = V%zu", i);
        fputs(" },\n", o);
    }
    fputs("};\n", o);
}

static void put_kind_parts(const struct kind *k, size_t i, FILE *o)
{
    put_list(o, "KS", i, k->shorts);
    put_list(o, "KC", i, k->categories);
    put_list(o, "KF", i, k->selects);
    if (k->n_subs) {
        fprintf(o, "static const struct schema_sub KU%zu[] = {\n", i);
        for (size_t j = 0; j < k->n_subs; j++) {
            const struct sub *s = &k->subs[j];
            fprintf(o, "    { \"%s\", \"%s\", ", s->name, s->kind);
            put_str(o, s->gv);
            fprintf(o, ", %u },\n", s->verbs);
        }
        fputs("};\n", o);
    }
    if (k->n_columns) {
        fprintf(o, "static const struct schema_column KL%zu[] = {\n", i);
        for (size_t j = 0; j < k->n_columns; j++) {
            const struct column *l = &k->columns[j];
            fprintf(o, "    { \"%s\", \"%s\", \"%s\", ", l->name, l->type, l->format);
            put_str(o, l->description);
            fprintf(o, ", \"%s\", %d },\n", l->source, l->priority);
        }
        fputs("};\n", o);
    }
}

static void put_kinds(struct compiler *c, FILE *o)
{
    for (size_t i = 0; i < c->n_kinds; i++)
        put_kind_parts(&c->kinds[i], i, o);
    fputs("const struct schema_kind schema_builtin_kinds[] = {\n", o);
    for (size_t i = 0; i < c->n_kinds; i++) {
        const struct kind *k = &c->kinds[i];
        char *gv = text(c, "%s", k->group->gv);
        char *storage = text(c, "%s", k->storage ? k->storage : k->group->gv);
        char *version = strchr(gv, '/'), *storage_version = strchr(storage, '/');
        *version++ = '\0';
        if (storage_version)
            *storage_version++ = '\0';
        fprintf(o, "    { .group = \"%s\", .version = \"%s\", .kind = \"%s\", .plural = \"%s\",\n",
                strcmp(gv, "core") == 0 ? "" : gv, version, k->kind, k->plural);
        fprintf(o, "      .singular = \"%s\", .short_names = KS%zu, .categories = KC%zu,\n",
                k->singular, i, i);
        fprintf(o, "      .selectable = KF%zu, .namespaced = %d, .create_on_update = %d,\n", i,
                !k->cluster, k->create_on_update);
        fprintf(o, "      .generation = %d, .ephemeral = %d, .name_format = %s, .verbs = %u,\n",
                k->generation, k->ephemeral, k->name_format, k->verbs);
        fprintf(o, "      .type = &T[%d], ", k->type);
        if (k->n_subs)
            fprintf(o, ".subs = KU%zu, .n_subs = %zu, ", i, k->n_subs);
        if (k->n_columns)
            fprintf(o, ".columns = KL%zu, .n_columns = %zu,\n      ", i, k->n_columns);
        fprintf(o, ".storage_group = \"%s\", .storage_version = \"%s\", .unserved = ", storage,
                storage_version ? storage_version : version);
        put_str(o, k->unserved);
        fputs(" },\n", o);
    }
    fprintf(o, "};\nconst size_t schema_n_builtin_kinds = %zu;\n", c->n_kinds);
    fprintf(o, "const struct schema_type *const schema_builtin_types = T;\n");
    fprintf(o, "const size_t schema_n_builtin_types = %zu;\n", c->n_types);
}

/* ---- running ------------------------------------------------------------------------------------
 */

struct source {
    const char *file;
    char *text; /* changed while it is read */
};

/* 0: printed to out. 1: errors were said, nothing printed. */
static int compile(const struct source *s, size_t n, FILE *out, FILE *errors)
{
    struct compiler c = { .errors = errors };

    for (const struct word *w = base_types; w->word; w++)
        *PUSH(&c, c.types, c.n_types) =
            (struct type){ .name = w->word, .gv = "", .shape = w->c, .item = -1 };
    for (size_t i = 0; i < n; i++)
        read_source(&c, s[i].file, s[i].text);
    if (!c.n_errors)
        resolve(&c);
    if (!c.n_errors) {
        fputs("/* Made by tools/schemac from the .kube files of server/schema: change those instead. */\n"
              "#include \"server/schema/tables.h\"\n\n",
              out);
        put_types(&c, out);
        put_kinds(&c, out);
    } else if (c.n_errors > ERRORS_MAX) {
        fprintf(errors, "and %u more errors\n", c.n_errors - ERRORS_MAX);
    }
    for (struct block *b = c.blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    return c.n_errors != 0;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *s = NULL;
    size_t n = 0;

    if (!f || getdelim(&s, &n, '\0', f) < 0) {
        fprintf(stderr, "schemac: read %s: %s\n", path, strerror(errno));
        exit(1);
    }
    fclose(f);
    return s;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: schemac OUT.c FILE.kube...\n", stderr);
        return 2;
    }
    size_t n = (size_t)argc - 2;
    struct source *s = calloc(n, sizeof *s);
    char *out = NULL;
    size_t out_n = 0;
    FILE *mem = open_memstream(&out, &out_n);
    if (!s || !mem)
        return 1;
    for (size_t i = 0; i < n; i++)
        s[i] = (struct source){ argv[2 + i], read_file(argv[2 + i]) };
    int failed = compile(s, n, mem, stderr);
    for (size_t i = 0; i < n; i++)
        free(s[i].text);
    free(s);
    FILE *f = NULL;
    if (fclose(mem) == 0 && !failed && (f = fopen(argv[1], "w")))
        failed = fwrite(out, 1, out_n, f) != out_n;
    free(out);
    if (!failed && (!f || fclose(f) != 0)) {
        fprintf(stderr, "schemac: write %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    return failed;
}
