#pragma once
/*
 * Claims: keys that a commit creates and deletes beside the object's own, so that what only one
 * object may have (a Service's address) is given out once by all servers of a datastore together.
 * Which keys is the kind's affair (resource_hooks.claims). Inside server/api only.
 *
 * Where one server has the datastore for itself there are none: its memory is the truth.
 */
#include "server/api/request.h"

/* Adds the operations that go with r's commit; keys is where their texts lie until store_commit has
 * copied them. ERR_LIMIT: too many. */
MUST_USE int claims_add(const struct api_req *r, struct service_claims *keys, struct store_op *ops,
                        size_t *n, struct err *e);

/* Servers of before this: objects that lie there get the claims that they lack, and claims that no
 * object has any more go. services is a whole list of them. step is called when it is through; 0:
 * there is nothing to do, and it is not. */
size_t claims_repair(struct api *a, const struct store_list *services, void (*step)(struct api *a));
