#pragma once
/*
 * Write: what the writing verbs share (write.c, remove.c, bind.c). Inside server/api only.
 */
#include "server/api/request.h"

/* Each returns false when it has answered. */
/* t: the type that the body holds, for protobuf. */
bool write_body(struct api_req *r, const struct schema_type *t, bool required);
bool write_admit(struct api_req *r, const char *verb, json_t *obj, const json_t *old, bool mutate);
bool write_parse_old(struct api_req *r);

/* Writes r->text under r->key, or deletes it (r->removes), if r->old is still the live object;
 * steps in COMMIT with r->err and r->list_rev (the revision). A dry run only steps. */
void write_commit(struct api_req *r);

void bind_step(struct api_req *r); /* bind.c: pods/binding and bindings */
