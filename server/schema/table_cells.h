#pragma once
/*
 * Table cells: the functions that columns of the .kube files name ("=age", "=none:.spec.x"). A cell
 * is a new JSON value. Texts are upstream's (pkg/printers/internalversion/printers.go, 1.32). For
 * table.c only.
 */
#include "server/schema/schema.h"

struct cell {
    const json_t *obj;
    int64_t now_s;
};
/* arg: what follows the first ':' of the source, else "". */
typedef json_t *(*cell_fn)(const struct cell *c, const char *arg);

/* source: "=none:.spec.nodeName". NULL: nobody has that name. *arg points into source. */
cell_fn cell_find(const char *source, const char **arg);

/* ---- shared by the files of cells ---- */
struct cell_entry {
    const char *name;
    cell_fn fn;
};
/* Each ends with a NULL name. */
extern const struct cell_entry cells_of_kinds[];   /* table_kinds.c */
extern const struct cell_entry cells_of_pods[];    /* table_pods.c */
extern const struct cell_entry cells_of_network[]; /* table_network.c */
extern const struct cell_entry cells_of_storage[]; /* table_storage.c */
extern const struct cell_entry cells_of_scaling[]; /* table_scaling.c */
extern const struct cell_entry cells_of_custom[];  /* table_custom.c */

const json_t *cell_at(const json_t *obj, const char *path); /* ".a.b"; NULL when absent */
const char *cell_str(const json_t *v, const char *key);     /* "" when absent */
json_t *cell_text(const char *s, const char *otherwise);    /* otherwise when s is "" */
#define CELL_AGE_MAX 48
/* Time since an RFC 3339 text in kubectl's short form: "41s", "3d4h"; "<unknown>" for none. */
void cell_since(char out[CELL_AGE_MAX], const char *time, int64_t now_s);
void cell_duration(char out[CELL_AGE_MAX], int64_t seconds);
/* "a=b,c=d" by key; "<none>" for none. */
json_t *cell_labels(const json_t *labels);
/* A LabelSelector as labels.Selector writes it: requirements by key; "" for one that has none or
 * is none, wrong for one that cannot be. */
json_t *cell_selector(const json_t *selector, const char *wrong);
/* The texts of key in each object of a list (of its strings, for key NULL), joined by commas. */
json_t *cell_join(const json_t *list, const char *key);
/* One more part of a line; parts past a full buffer are left out: nobody reads that far. */
struct buf;
void cell_part(struct buf *b, const char *sep, const char *s);
/* Texts by the alphabet, each once. v is sorted. */
void cell_part_set(struct buf *b, const char **v, size_t n);

/* Up to max texts; the others are counted. */
struct cell_shown {
    struct buf *b;
    const char *sep;
    unsigned n, max;
};
void cell_show(struct cell_shown *s, const char *text);
/* "a,b,c + 2 more...", or otherwise when nothing was shown. */
json_t *cell_shown_end(struct cell_shown *s, const char *otherwise);
