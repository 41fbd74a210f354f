#pragma once
/*
 * OpenAPI: the tables as OpenAPI v3 (one document per group and version) and v2 (one for all), as
 * far as clients read them: schemas with their types, required fields, list and patch extensions,
 * and the PATCH operations by which kubectl learns that fields are validated here. Any thread.
 */
#include "base/core/buf.h"
#include "server/schema/schema.h"

struct texts;

/* New references. group and version must be served. texts: for who asks for several documents;
 * NULL: unpacked for this one. */
json_t *openapi_v3(const struct schema *s, const struct texts *texts, struct str group,
                   struct str version, const char *git_version);
json_t *openapi_v2(const struct schema *s, const char *git_version);
/* What kubectl reads of v2 in the protobuf form of gnostic, at the end of out. 0 or ERR_LIMIT. */
MUST_USE int openapi_v2_pb(struct buf *out, const struct schema *s, const char *git_version);
