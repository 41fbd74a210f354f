/*
 * schemac: compiles server/schema/<group>.kube into the constant tables of server/schema/schema.h.
 *
 *     schemac OUT.c FILE.kube... FILE.txt...
 *
 * The languages are described at the top of server/schema/meta.kube and text/meta.txt. Three
 * passes: read every file into blocks; resolve type names, flatten embedded types and give each
 * type and field its description; print. Errors read "file:line: what", all of them are shown, and
 * nothing is written then. It runs on the build machine and uses libc and zlib only.
 */
#include "tools/schemac.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- printing ---- */

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

static const char *atomic_flag(const struct type *t)
{
    return t->atomic ? " | SCHEMA_ATOMIC" : "";
}

/* Where a field begins on the wire: its number, or those of the messages that it is embedded in. */
static void wire_path(const struct field *f, unsigned out[EMBED_MAX + 1])
{
    unsigned n = 0;

    memset(out, 0, (EMBED_MAX + 1) * sizeof *out);
    while (n < EMBED_MAX && f->embed[n]) {
        out[n] = f->embed[n];
        n++;
    }
    out[n] = f->number;
}

static const struct field *sorted_fields; /* qsort has no argument to hand through */

static int by_number(const void *a, const void *b)
{
    unsigned x[EMBED_MAX + 1], y[EMBED_MAX + 1];

    wire_path(&sorted_fields[*(const unsigned *)a], x);
    wire_path(&sorted_fields[*(const unsigned *)b], y);
    for (int i = 0; i <= EMBED_MAX; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* N<i>: the fields of type i that are on the protobuf wire, in its order. Their number. */
static size_t put_numbers(const struct compiler *c, size_t i, FILE *o, bool print)
{
    const struct type *t = &c->types[i];
    unsigned index[FLAT_MAX];
    size_t n = 0;

    for (unsigned j = 0; j < t->n_flat; j++)
        if (c->flat[t->first_flat + j].number)
            index[n++] = j;
    if (!print || !n)
        return n;
    sorted_fields = &c->flat[t->first_flat];
    qsort(index, n, sizeof *index, by_number);
    fprintf(o, "static const uint16_t N%zu[] = { ", i);
    for (size_t j = 0; j < n; j++)
        fprintf(o, "%u, ", index[j]);
    fputs("};\n", o);
    return n;
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
        fprintf(o, "    { .name = \"%s\", .type = &T[%d], .flags = %s%s, .number = %u", f->name,
                f->type, f->flags ? f->flags : "0",
                f->granular ? "" : atomic_flag(&c->types[f->type]), f->number);
        if (f->text_number)
            fprintf(o, ", .text = %u", f->text_number);
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
            fprintf(o,
                    "static const struct schema_field I%zu = { .type = &T[%d], .flags = 0%s };\n",
                    i, c->types[i].item, atomic_flag(&c->types[c->types[i].item]));
    for (size_t i = 0; i < c->n_types; i++)
        put_numbers(c, i, o, true);
    fprintf(o, "static const struct schema_type T[%zu] = {\n", c->n_types);
    for (size_t i = 0; i < c->n_types; i++) {
        const struct type *t = &c->types[i];
        bool named = t->item < 0 && t->gv[0];
        fprintf(o, "    { .name = \"%s\", .group_version = \"%s\", .shape = %s",
                named ? t->name : "", t->gv, t->shape);
        if (t->text_number)
            fprintf(o, ", .text = %u", t->text_number);
        if (t->item >= 0)
            fprintf(o, ", .item = &I%zu", i);
        if (t->n_flat)
            fprintf(o, ", .fields = &F[%zu], .n_fields = %zu", t->first_flat, t->n_flat);
        if (put_numbers(c, i, o, false))
            fprintf(o, ", .by_number = N%zu, .n_by_number = %zu", i, put_numbers(c, i, o, false));
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
        char *gv = schemac_text(c, "%s", k->group->gv);
        char *storage = schemac_text(c, "%s", k->storage ? k->storage : k->group->gv);
        char *version = strchr(gv, '/'), *storage_version = strchr(storage, '/');
        *version++ = '\0';
        if (storage_version)
            *storage_version++ = '\0';
        fprintf(o, "    { .group = \"%s\", .version = \"%s\", .kind = \"%s\", .plural = \"%s\",\n",
                strcmp(gv, "core") == 0 ? "" : gv, version, k->kind, k->plural);
        fprintf(o, "      .group_priority = %u, .version_priority = %u,\n", k->group->priority,
                k->group->version_priority);
        fprintf(o, "      .singular = \"%s\", .short_names = KS%zu, .categories = KC%zu,\n",
                k->singular, i, i);
        fprintf(o, "      .selectable = KF%zu, .namespaced = %d, .create_on_update = %d,\n", i,
                !k->cluster, k->create_on_update);
        fprintf(o, "      .generation = %d, .ephemeral = %d, .name_format = %s, .verbs = %u,\n",
                k->generation, k->ephemeral, k->name_format, k->verbs);
        fprintf(o, "      .type = &T[%d], ", k->type);
        if (k->n_subs)
            fprintf(o, ".subs = KU%zu, .n_subs = %zu, ", i, k->n_subs);
        for (size_t j = 0; j < k->n_subs; j++)
            if (strcmp(k->subs[j].name, "scale") == 0)
                fputs(".scale = &schema_scale_builtin, ", o);
        if (k->n_columns)
            fprintf(o, ".columns = KL%zu, .n_columns = %zu,\n      ", i, k->n_columns);
        fprintf(o, ".storage_group = \"%s\", .storage_version = \"%s\",\n      ", storage,
                storage_version ? storage_version : version);
        if (k->convert)
            fprintf(o, ".convert = &schema_convert_%s, ", k->convert);
        fputs(".inert = ", o);
        put_str(o, k->inert);
        fputs(", .deprecated = ", o);
        put_str(o, k->deprecated);
        fputs(" },\n", o);
    }
    fprintf(o, "};\nconst size_t schema_n_builtin_kinds = %zu;\n", c->n_kinds);
    fprintf(o, "const struct schema_type *const schema_builtin_types = T;\n");
    fprintf(o, "const size_t schema_n_builtin_types = %zu;\n", c->n_types);
}

/* ---- running ---- */

struct source {
    const char *file;
    char *text; /* changed while it is read */
};

/* 0: printed to out. 1: errors were said, nothing printed. */
static int compile(const struct source *s, size_t n, FILE *out, FILE *errors)
{
    struct compiler c = { .errors = errors };

    for (const struct word *w = schemac_base_types; w->word; w++)
        *PUSH(&c, c.types, c.n_types) =
            (struct type){ .name = w->word, .gv = "", .shape = w->c, .item = -1 };
    for (size_t i = 0; i < n; i++) {
        const char *dot = strrchr(s[i].file, '.');
        if (dot && strcmp(dot, ".txt") == 0)
            schemac_describe_read(&c, s[i].file, s[i].text);
        else
            schemac_read(&c, s[i].file, s[i].text);
    }
    if (!c.n_errors)
        schemac_resolve(&c);
    if (!c.n_errors)
        schemac_describe(&c);
    if (!c.n_errors) {
        fputs("/* Made by tools/schemac from the .kube files of server/schema: change those "
              "instead. */\n"
              "#include \"server/schema/convert.h\"\n"
              "#include \"server/schema/tables.h\"\n\n",
              out);
        schemac_describe_number(&c);
        put_types(&c, out);
        schemac_describe_put(&c, out);
        put_kinds(&c, out);
    } else if (c.n_errors > ERRORS_MAX) {
        fprintf(errors, "and %u more errors\n", c.n_errors - ERRORS_MAX);
    }
    schemac_free(&c);
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
        fputs("usage: schemac OUT.c FILE.kube... FILE.txt...\n", stderr);
        return 2;
    }
    size_t n = (size_t)argc - 2;
    struct source *s = calloc(n, sizeof *s);
    char *out = NULL;
    size_t out_n = 0;
    FILE *mem = open_memstream(&out, &out_n);
    if (!s || !mem) {
        free(s);
        return 1;
    }
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
