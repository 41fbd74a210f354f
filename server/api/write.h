#pragma once
/*
 * Write: what the writing verbs share (write.c, remove.c, bind.c). Inside server/api only.
 */
#include "base/data/time.h"
#include "server/api/request.h"
#include "server/schema/managed.h"

/* Each returns false when it has answered. */
/* t: the type that the body holds, for protobuf. */
bool write_body(struct api_req *r, const struct schema_type *t, bool required);
bool write_admit(struct api_req *r, const char *verb, json_t *obj, const json_t *old, bool mutate);
bool write_parse_old(struct api_req *r);

/* Writes r->text under r->key, or deletes it (r->removes), if r->old is still the live object;
 * steps in COMMIT with r->err and r->list_rev (the revision). A dry run only steps. */
void write_commit(struct api_req *r);

/* ---- apply.c: who writes, and server-side apply ---- */
struct write_by {
    struct managed_by by; /* points into this and the request: it does not move */
    char name[MANAGED_NAME_MAX + 1], now[TIME_TEXT_BYTES];
};
void write_by_init(struct write_by *w, const struct api_req *r);
bool write_is_apply(const struct api_req *r);
/* fieldManager and force. False: answered with 422. */
bool write_check_options(struct api_req *r);
/* The body as r->in. False: answered. */
bool write_apply_body(struct api_req *r);
/* r->in laid over r->old (NULL: there is none), decoded, with its managedFields. New; NULL:
 * answered. */
json_t *write_applied(struct api_req *r);

void bind_step(struct api_req *r); /* bind.c: pods/binding and bindings */
