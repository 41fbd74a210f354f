#pragma once
/*
 * Report: the agent's own account of itself, served over a Unix socket (0600) to
 * `coracle agent status` and `coracle agent lb status`: GET /status and GET /lb, JSON. Loop thread.
 */
#include "agent/boot/agent.h"

#include <jansson.h>
#include <uv.h>

#define REPORT_SOCKET "status.sock" /* in <data>/agent */

struct report;
/* make returns a new reference each time it is asked. */
MUST_USE int report_start(struct report **out, uv_loop_t *loop, const char *socket_path,
                          json_t *(*make)(void *arg, enum agent_report what), void *arg,
                          struct err *e);
void report_close(struct report *r, void (*done)(void *arg), void *arg);

/* Sans-I/O: the documents as text for people. */
MUST_USE int report_text(struct buf *out, enum agent_report what, const json_t *doc);
