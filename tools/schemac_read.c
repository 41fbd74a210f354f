/* The reader of the .kube language, and the memory of a run. */
#include "tools/schemac.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *schemac_get(struct compiler *c, size_t n)
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

void *schemac_grow(struct compiler *c, const void *p, size_t n, size_t size)
{
    if (n && (n & (n - 1)))
        return (void *)(uintptr_t)p; /* capacity is the next power of two */
    void *q = schemac_get(c, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(q, p, n * size);
    return q;
}

char *schemac_text(struct compiler *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = schemac_get(c, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void schemac_complain(struct compiler *c, struct where at, const char *fmt, ...)
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

void schemac_free(struct compiler *c)
{
    for (struct block *b = c->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
}

/* ---- words ---- */

const struct word schemac_base_types[] = {
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
    { "required", "SCHEMA_REQUIRED" },
    { "nonempty", "SCHEMA_NONEMPTY" },
    { "immutable", "SCHEMA_IMMUTABLE" },
    { "atomic", "SCHEMA_ATOMIC" },
    { "retain", "SCHEMA_PATCH_RETAIN" },
    { "replace", "SCHEMA_PATCH_REPLACE" },
    { "merge", "SCHEMA_PATCH_MERGE" },
    { "written", "SCHEMA_REQUIRED | SCHEMA_OPTIONAL" },
    { NULL, NULL },
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
            schemac_complain(c, c->at, "more than %d words in a line", WORDS_MAX);
            return false;
        }
        quoted[*n] = *p == '"';
        if (*p == '"') {
            char *end = strchr(++p, '"');
            if (!end) {
                schemac_complain(c, c->at, "a quoted word does not end");
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
    const char **l = schemac_get(c, (n + 1) * sizeof *l);

    for (size_t i = 0; i < n; i++)
        l[i] = schemac_text(c, "%s", word[i]);
    return l;
}

static const char **list_of_commas(struct compiler *c, const char *s)
{
    char *copy = schemac_text(c, "%s", s), *save = NULL, *word[16];
    size_t n = 0;

    for (char *p = strtok_r(copy, ",", &save); p && n < 16; p = strtok_r(NULL, ",", &save))
        word[n++] = p;
    return list_of(c, word, n);
}

/* ---- reading ---- */

static const char *join_flag(struct compiler *c, const char *flags, const char *flag)
{
    return flags ? schemac_text(c, "%s | %s", flags, flag) : flag;
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
        } else if (strcmp(w, "granular") == 0) {
            f->granular = true;
        } else {
            schemac_complain(c, c->at, "field %s: unknown attribute \"%s\"", f->name, w);
        }
    } else if (!*value) {
        schemac_complain(c, c->at, "field %s: %s= has no value", f->name, w);
    } else if (strcmp(w, "merge") == 0) {
        f->flags = join_flag(c, f->flags, "SCHEMA_PATCH_MERGE");
        f->merge_key = schemac_text(c, "%s", value);
        if (!f->keys)
            f->keys = list_of_commas(c, value);
    } else if (strcmp(w, "keys") == 0) {
        f->keys = list_of_commas(c, value);
    } else if (strcmp(w, "default") == 0) {
        f->deflt = schemac_text(c, "%s", value);
    } else if (strcmp(w, "is") == 0) {
        f->format = word_find(formats, value);
        if (!f->format)
            schemac_complain(c, c->at, "field %s: unknown form \"%s\"", f->name, value);
    } else {
        schemac_complain(c, c->at, "field %s: unknown attribute \"%s=\"", f->name, w);
    }
}

static void read_field(struct compiler *c, struct type *t, char **w, size_t n)
{
    struct field f = { .at = c->at, .name = schemac_text(c, "%s", w[0]) };
    char *end;

    if (n < 3) {
        schemac_complain(c, c->at, "field %s: want a number and a type", w[0]);
        return;
    }
    unsigned long number = strtoul(w[1], &end, 10);
    if (*end || !isdigit((unsigned char)w[1][0]) || number > 65535) {
        schemac_complain(c, c->at, "field %s: \"%s\" is no protobuf number", w[0], w[1]);
        return;
    }
    f.number = (unsigned)number;
    f.inlined = strcmp(w[0], "+") == 0;
    size_t len = strlen(w[2]);
    if (w[2][len - 1] == '?') {
        f.pointer = true;
        w[2][len - 1] = '\0';
    }
    f.type_text = schemac_text(c, "%s", w[2]);
    if (f.pointer)
        f.flags = "SCHEMA_POINTER";
    for (size_t i = 3; i < n; i++)
        read_attribute(c, &f, w[i]);
    for (size_t i = 0; i < t->n_fields && !f.inlined; i++)
        if (strcmp(t->fields[i].name, f.name) == 0)
            schemac_complain(c, c->at, "field %s is there already, in line %u", f.name,
                             t->fields[i].at.line);
    *PUSH(c, t->fields, t->n_fields) = f;
}

static void read_column(struct compiler *c, struct kind *k, char **w, const bool *quoted, size_t n)
{
    struct column col = { .name = n > 1 ? schemac_text(c, "%s", w[1]) : "", .format = "" };

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
        schemac_complain(c, c->at, "column %s: want a type and a source", col.name);
        return;
    } else {
        col.type = schemac_text(c, "%s", w[2]);
        col.source = schemac_text(c, "%s", w[3]);
        col.description = "";
        if (col.source[0] != '.' && col.source[0] != '=')
            schemac_complain(c, c->at,
                             "column %s: the source \"%s\" begins with neither '.' nor '='",
                             col.name, w[3]);
        if (strcmp(col.name, "Name") == 0)
            col.format = "name";
        for (size_t i = 4; i < n; i++) {
            if (quoted[i])
                col.description = schemac_text(c, "%s", w[i]);
            else if (strcmp(w[i], "wide") == 0)
                col.priority = 1;
            else if (strcmp(w[i], "name") == 0)
                col.format = "name";
            else
                schemac_complain(c, c->at, "column %s: what is \"%s\"?", col.name, w[i]);
        }
        const char *const known[] = { "string", "integer", "number", "boolean", "date" };
        bool ok = false;
        for (size_t i = 0; i < 5; i++)
            ok |= strcmp(known[i], col.type) == 0;
        if (!ok)
            schemac_complain(c, c->at, "column %s: unknown type \"%s\"", col.name, col.type);
    }
    *PUSH(c, k->columns, k->n_columns) = col;
}

static unsigned read_verbs(struct compiler *c, char **w, size_t from, size_t n)
{
    unsigned verbs = 0;

    for (size_t i = from; i < n; i++) {
        if (!verb_bit(w[i]))
            schemac_complain(c, c->at, "unknown verb \"%s\"", w[i]);
        verbs |= verb_bit(w[i]);
    }
    return verbs;
}

static void read_sub(struct compiler *c, struct kind *k, char **w, size_t n)
{
    struct sub s = { 0 };

    if (n < 2) {
        schemac_complain(c, c->at, "sub has no name");
        return;
    }
    s.name = schemac_text(c, "%s", w[1]);
    if (n == 2) {
        s.kind = k->kind;
        s.verbs = verb_bit("get") | verb_bit("patch") | verb_bit("update");
    } else {
        char *dot = strrchr(w[2], '.');
        if (dot)
            *dot = '\0';
        s.gv = dot ? schemac_text(c, "%s", w[2]) : NULL;
        s.kind = schemac_text(c, "%s", dot ? dot + 1 : w[2]);
        s.verbs = read_verbs(c, w, 3, n);
        if (!s.verbs)
            schemac_complain(c, c->at, "sub %s: want a kind and verbs", s.name);
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
        k->singular = schemac_text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "storage") == 0) {
        k->storage = schemac_text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "convert") == 0) {
        k->convert = schemac_text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "inert") == 0) {
        k->inert = schemac_text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "deprecated") == 0) {
        k->deprecated = schemac_text(c, "%s", w[1]);
    } else if (n == 2 && strcmp(key, "name") == 0) {
        k->name_format = word_find(formats, w[1]);
        if (!k->name_format)
            schemac_complain(c, c->at, "kind %s: unknown form \"%s\"", k->kind, w[1]);
    } else {
        schemac_complain(c, c->at, "kind %s: what is \"%s\"?", k->kind, key);
    }
}

static struct kind *read_kind(struct compiler *c, char **w, size_t n)
{
    if (n < 3 || n > 4 || (n == 4 && strcmp(w[3], "cluster") != 0)) {
        schemac_complain(c, c->at, "want: kind NAME PLURAL [cluster]");
        return NULL;
    }
    for (size_t i = 0; i < c->n_kinds; i++)
        if (c->kinds[i].group == c->group && strcmp(c->kinds[i].kind, w[1]) == 0)
            schemac_complain(c, c->at, "kind %s is there already, in %s:%u", w[1],
                             c->kinds[i].at.file, c->kinds[i].at.line);
    char *singular = schemac_text(c, "%s", w[1]);
    for (char *p = singular; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    struct kind *k = PUSH(c, c->kinds, c->n_kinds);
    *k = (struct kind){ .at = c->at,
                        .kind = schemac_text(c, "%s", w[1]),
                        .plural = schemac_text(c, "%s", w[2]),
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

    bool atomic = !is_enum && n == 3 && strcmp(w[2], "atomic") == 0;

    if (n < 2 || (is_enum ? n < 3 : n > 2 && !atomic)) {
        schemac_complain(c, c->at, is_enum ? "want: enum NAME VALUE..." : "want: %s NAME [atomic]",
                         w[0]);
        return NULL;
    }
    for (size_t i = 0; i < c->n_types; i++)
        if (c->types[i].group == c->group && strcmp(c->types[i].name, w[1]) == 0)
            schemac_complain(c, c->at, "%s is there already, in %s:%u", w[1], c->types[i].at.file,
                             c->types[i].at.line);
    struct type *t = PUSH(c, c->types, c->n_types);
    *t = (struct type){ .at = c->at,
                        .name = schemac_text(c, "%s", w[1]),
                        .gv = c->group->gv,
                        .group = c->group,
                        .shape = is_enum ? "SCHEMA_STRING" : "SCHEMA_STRUCT",
                        .object = strcmp(w[0], "object") == 0,
                        .atomic = atomic,
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

/* 0: no such number */
static unsigned priority_of(const char *s)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);

    return *end || n > 20000 ? 0 : (unsigned)n;
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
            schemac_complain(c, c->at, "an indented line outside of kind, object and type");
        return;
    }
    *k = NULL;
    *t = NULL;
    if (strcmp(w[0], "group") == 0) {
        if (n != 2 || !strchr(w[1], '/')) {
            schemac_complain(c, c->at, "want: group NAME/VERSION");
            return;
        }
        c->group = schemac_get(c, sizeof *c->group);
        c->group->gv = schemac_text(c, "%s", w[1]);
    } else if (!c->group) {
        schemac_complain(c, c->at, "\"%s\" before the first group", w[0]);
    } else if (strcmp(w[0], "use") == 0) {
        for (size_t i = 1; i < n; i++) {
            if (c->group->n_uses == USES_MAX)
                schemac_complain(c, c->at, "more than %d groups used", USES_MAX);
            else
                c->group->uses[c->group->n_uses++] = schemac_text(c, "%s", w[i]);
        }
    } else if (strcmp(w[0], "priority") == 0) {
        if (n != 3 || !(c->group->priority = priority_of(w[1])) ||
            !(c->group->version_priority = priority_of(w[2])))
            schemac_complain(c, c->at, "want: priority GROUP VERSION, numbers from 1 to 20000");
    } else if (strcmp(w[0], "kind") == 0) {
        *k = read_kind(c, w, n);
    } else if (strcmp(w[0], "type") == 0 || strcmp(w[0], "object") == 0 ||
               strcmp(w[0], "enum") == 0) {
        *t = read_type(c, w, n);
    } else {
        schemac_complain(c, c->at, "unknown word \"%s\"", w[0]);
    }
}

void schemac_read(struct compiler *c, const char *file, char *source)
{
    struct kind *k = NULL;
    struct type *t = NULL;

    c->group = NULL;
    c->at = (struct where){ schemac_text(c, "%s", file), 0 };
    for (char *next, *line = source; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        c->at.line++;
        read_line(c, line, &k, &t);
    }
}
