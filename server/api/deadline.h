#pragma once
/*
 * Deadline: a request that said how long it waits (?timeout=10s) is answered with 504 when nothing
 * came by then (apiserver/pkg/endpoints/filters/request_deadline.go). What it started goes on.
 * Inside server/api only.
 */
#include "server/api/request.h"

#define DEADLINE_MAX_MS 60000 /* a longer one is none, as upstream's --request-timeout */

void deadline_start(struct api_req *r); /* if its parameters name one */
void deadline_stop(struct api_req *r);  /* the request goes; running or not */
