#pragma once
/*
 * Charge: what a write takes from the ResourceQuotas of its namespace. The object and the quotas'
 * new status are one commit, so that nothing is charged that is not stored and nothing is stored
 * that is not charged, whatever ends in between; a quota that somebody else has changed meanwhile
 * fails the commit, and the write is judged again by what is there now. Writes that charge the same
 * namespace take turns, each server for itself: so they lose no races to each other.
 *
 *   (the object is built) --> QUOTA: its turn --> COMMIT --> (answer)
 *                               ^------ a quota has changed ----+
 *
 * Each server follows the quotas; what it has written itself or was told by a failed commit it
 * knows before its informer does. Inside server/api only.
 */
#include "server/api/request.h"

struct charges; /* an api's */

struct charges *charges_new(struct api *a);
/* synced is called once, when all quotas are known. */
void charges_start(struct charges *cs, void (*synced)(void *arg), void *arg);
void charges_stop(struct charges *cs); /* it follows no more */
void charges_free(struct charges *cs); /* NULL is fine; no request is left */

/* In place of write_commit for r->obj over r->old: charges it first, or answers. Ends the caller's
 * work: r may be gone. */
void charge_commit(struct api_req *r);
void charge_step(struct api_req *r); /* in QUOTA */

/* For write_commit: the operations of r's charge; their texts stay until they are copied.
 * ERR_LIMIT: too many. */
MUST_USE int charge_add(const struct api_req *r, struct store_op *ops, size_t *n, struct err *e);
/* What write_commit's store_commit came back with. True: it failed at a quota, and r has to go
 * through QUOTA once more. */
bool charge_lost(struct api_req *r, size_t failed, struct store_obj *current, int64_t rev,
                 const struct err *e);
/* r ends, or begins anew: somebody else's turn. */
void charge_leave(struct api_req *r);
