#pragma once
/*
 * Texts: what the built-in types and fields say of themselves in OpenAPI, from
 * server/schema/text/<group>.txt. The program holds them packed; who writes a document unpacks all
 * of them (some 200 kB, a millisecond) for as long as that takes. Any thread.
 */
#include "base/core/mem.h"

struct texts;

struct texts *texts_new(void);
void texts_free(struct texts *t);
/* number: of a struct schema_type or schema_field. NULL for 0, no text. Lives as long as t. */
const char *texts_get(const struct texts *t, unsigned number);

DEFINE_AUTO(texts);
