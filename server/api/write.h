#pragma once
/*
 * Write: what the writing verbs share (write.c, remove.c, bind.c, scale.c, evict.c). Inside
 * server/api only.
 */
#include "base/data/time.h"
#include "server/api/request.h"
#include "server/schema/managed.h"

#define WRITE_TRIES_MAX 8 /* generated names that exist, and lost races */

/* ---- write_parts.c: each returns false when it has answered ---- */
/* The body as a document in r->in. t: the type that it holds, for protobuf. */
bool write_body(struct api_req *r, const struct schema_type *t, bool required);
bool write_patch_body(struct api_req *r); /* a patch, not an apply */
/* The text of the body that duplicate fields are searched in; empty when its reader saw none. */
struct str write_raw_json(const struct api_req *r);
/* Decodes doc as a k; fills in or checks apiVersion and kind. */
bool write_decode(struct api_req *r, const struct schema_kind *k, json_t *doc, struct str raw);
/* The same for what a patch left (write_patched): 422 and about the patch when it is no k. */
bool write_decode_patched(struct api_req *r, const struct schema_kind *k, json_t *doc);
/* The document's namespace and name are the URL's; r->name is set. */
bool write_check_namespace(struct api_req *r, json_t *doc);
bool write_check_name(struct api_req *r, const json_t *doc);
/* live with the patch r->in laid over it, new; NULL: answered. */
json_t *write_patched(struct api_req *r, const struct schema_type *t, const json_t *live);
bool write_admit(struct api_req *r, const char *verb, json_t *obj, const json_t *old, bool mutate);

/* ---- strategy.c: what an endpoint lets a write change ---- */
/* What r->id alone may say of a new object is set. */
void strategy_create(struct api_req *r, json_t *obj);
/* obj with the parts of r->old_doc that this endpoint does not change. Takes obj, returns it or
 * another one. */
json_t *strategy_update(struct api_req *r, json_t *obj_take);
/* In more than metadata and status? */
bool strategy_differs(const json_t *a, const json_t *b);

/* ---- write.c ---- */
bool write_parse_old(struct api_req *r);             /* r->old as r->old_doc. False: answered */
void write_set(struct api_req *r, json_t *obj_take); /* r->obj, without its text yet */
void write_track(struct api_req *r, const json_t *live, json_t *obj); /* managedFields */
bool write_is_unchanged(const struct api_req *r);  /* r->obj is the stored object */
bool write_names_version(const struct api_req *r); /* the client did: a lost race is its affair */
void write_conflict(struct api_req *r);            /* answers 409 */
void write_success(struct api_req *r); /* answers 201 with a Status: for what is no object */

/* Writes r->text under r->key, or deletes it (r->removes), if r->old is still the live object;
 * steps in COMMIT with r->err and r->list_rev (the revision). A dry run only steps. */
void write_commit(struct api_req *r);
void write_give_back(struct api_req *r); /* nothing is stored: what the hooks took is free again */

/* A call of r's own has ended. False: nobody waits for the answer any more, r may be gone. */
bool write_call_ended(struct api_req *r);

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

void bind_step(struct api_req *r);  /* bind.c: pods/binding and bindings */
void scale_step(struct api_req *r); /* scale.c */
void evict_step(struct api_req *r); /* evict.c: pods/eviction */
