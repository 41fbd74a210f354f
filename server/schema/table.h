#pragma once
/*
 * Table: objects as rows of meta.k8s.io/v1 Table, what `kubectl get` prints. Columns are in the
 * schema; a column that is computed names a C function of table_cells.c. Any thread.
 */
#include "server/schema/schema.h"

enum table_include { TABLE_METADATA, TABLE_OBJECT, TABLE_NONE }; /* the includeObject parameter */
/* "" is Metadata. False: not one of Metadata, Object, None. */
MUST_USE bool table_include_of(enum table_include *out, struct str text);

/* All return new references. */
json_t *table_columns(const struct schema_kind *k);
/* obj is borrowed. now_s: Unix seconds that ages are counted to. */
json_t *table_row(const struct schema_kind *k, json_t *obj, enum table_include include,
                  int64_t now_s);
/* {"kind":"Table",...}: rows and metadata (a ListMeta, may be NULL) are taken. Without columns for
 * every event of a watch but the first. */
json_t *table_new(const struct schema_kind *k, json_t *rows_take, json_t *metadata_take,
                  bool with_columns);
