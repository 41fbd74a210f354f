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
extern const struct cell_entry cells_of_kinds[]; /* table_kinds.c, ends with a NULL name */
extern const struct cell_entry cells_of_pods[];  /* table_pods.c, the same */

const json_t *cell_at(const json_t *obj, const char *path); /* ".a.b"; NULL when absent */
const char *cell_str(const json_t *v, const char *key);     /* "" when absent */
json_t *cell_text(const char *s, const char *otherwise);    /* otherwise when s is "" */
#define CELL_AGE_MAX 48
/* Time since an RFC 3339 text in kubectl's short form: "41s", "3d4h"; "<unknown>" for none. */
void cell_since(char out[CELL_AGE_MAX], const char *time, int64_t now_s);
void cell_duration(char out[CELL_AGE_MAX], int64_t seconds);
/* "a=b,c=d" by key; "<none>" for none. */
json_t *cell_labels(const json_t *labels);
