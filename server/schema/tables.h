#pragma once
/* Tables: what tools/schemac generates (build/gen/schema_tables.c); for schema.c and texts.c only.
 */
#include "server/schema/schema.h"

extern const struct schema_kind schema_builtin_kinds[];
extern const size_t schema_n_builtin_kinds;
extern const struct schema_type *const schema_builtin_types;
extern const size_t schema_n_builtin_types;

/* texts.c: all descriptions, each with its zero, as gzip (RFC 1952). */
extern const unsigned char schema_texts_packed[];
extern const size_t schema_texts_packed_bytes, schema_texts_bytes, schema_n_texts;
