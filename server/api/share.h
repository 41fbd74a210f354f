#pragma once
/*
 * Share: how many requests run at once, by class, and who gets the last places. Nobody waits in a
 * queue: what does not fit is answered with 429 and a Retry-After, and clients come again.
 *
 *   class    at once   one user   all but nodes and components of the system
 *   read         400        200   300
 *   write        200        100   150
 *   watch      20000      10000   15000
 *   stream      1000        500   750
 *
 * A node is a user of its own and has a quarter of the class at most. system:masters is never
 * refused, as upstream (pkg/server/filters/maxinflight.go), and calls of this process neither; they
 * take no place from the others.
 * Health, version, discovery and metrics count nowhere. Inside server/api only.
 */
#include "server/api/request.h"

#define SHARE_READS_MAX   400 /* upstream's --max-requests-inflight */
#define SHARE_WRITES_MAX  200 /* --max-mutating-requests-inflight */
#define SHARE_WATCHES_MAX 20000
#define SHARE_STREAMS_MAX 1000 /* exec, logs, proxies */

/* Moves r into class c. False: answered with 429. */
MUST_USE bool share_take(struct api_req *r, enum req_class c);
/* r ends: its place is free. */
void share_give(struct api_req *r);
void share_deinit(struct api *a); /* when no request is left */
