#pragma once
/*
 * schemac's inside: what was read from the .kube files (schemac_read.c), how names become indices
 * (schemac_resolve.c), what describes them (schemac_describe.c); schemac.c writes the tables. A
 * run's memory is freed as a whole by schemac_free.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

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
    bool pointer, inlined, granular;
    const char *flags; /* "SCHEMA_REQUIRED | ..." */
    const char *list_type, *format, *merge_key, *deflt;
    const char **keys;
    int type; /* index into types, after resolve */
    const char *text;
    unsigned text_number;
};

struct group {
    const char *gv; /* "apps/v1" */
    unsigned priority, version_priority;
    const char *uses[USES_MAX];
    size_t n_uses;
};

struct type {
    struct where at;
    const char *name, *gv, *shape;
    const struct group *group;
    bool object;
    bool atomic; /* wherever it is used, but for fields that say granular */
    struct field *fields;
    size_t n_fields;
    const char **variants;
    int item; /* type index of the items, -1 */
    size_t first_flat, n_flat;
    const struct about *about;
    const char *text;
    unsigned text_number;
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
    const char *kind, *plural, *singular, *name_format, *storage, *convert, *inert, *deprecated;
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
    struct about *abouts; /* what the .txt files say */
    size_t n_abouts;
    const char **texts; /* by number, from 1: without those that are there already */
    size_t n_texts;
};

struct word { /* a word of the language and what it is in C */
    const char *word, *c;
};
extern const struct word schemac_base_types[];

void *schemac_get(struct compiler *c, size_t n); /* zeroed */
/* An array that grows by one: p has n elements already. Old copies stay until the end. */
void *schemac_grow(struct compiler *c, const void *p, size_t n, size_t size);
#define PUSH(c, array, n)                                                                          \
    ((array) = schemac_grow((c), (array), (n), sizeof *(array)), (n)++, &(array)[(n)-1])

char *schemac_text(struct compiler *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One line "file:line: what" on c->errors. */
void schemac_complain(struct compiler *c, struct where at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void schemac_free(struct compiler *c);

/* source is changed. */
void schemac_read(struct compiler *c, const char *file, char *source);
void schemac_resolve(struct compiler *c);
/* A type's index, -1: there is none. find_in looks in one group only, "" has the base types;
 * find_type where a name in a file of g may lie. */
int schemac_find_in(const struct compiler *c, const char *gv, const char *name);
int schemac_find_type(const struct compiler *c, const struct group *g, const char *name);

/* Descriptions: read a .txt file (source is changed); after schemac_resolve, give each type and
 * field its own and complain of those that have none; number them; print them, packed. */
void schemac_describe_read(struct compiler *c, const char *file, char *source);
void schemac_describe(struct compiler *c);
void schemac_describe_number(struct compiler *c);
void schemac_describe_put(struct compiler *c, FILE *out);
