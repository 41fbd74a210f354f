#pragma once
/*
 * Agent: the whole agent role: identity, registration, load balancer, tunnels, node, containers, on
 * one loop thread of its own.
 *
 * agent_new fails only for what waiting cannot mend (flags, folders, a port that somebody else
 * has); all else is retried for ever from agent_run. Everything the role owns is touched by that
 * thread only.
 */
#include "base/core/err.h"
#include "base/data/options.h"

struct agent;

struct agent_events {
    /* The node is registered and Ready. From the agent's thread; once. */
    void (*on_ready)(void *arg);
    void *arg;
};

MUST_USE int agent_new(struct agent **out, const struct node_options *o,
                       const struct agent_events *events, struct err *e);
/* Returns after agent_stop. Containers keep running, as with K3s, unless stop_pods was asked. */
void agent_run(struct agent *a);
void agent_stop(struct agent *a, bool stop_pods); /* any thread; once or more */
void agent_free(struct agent *a);

/*
 * `coracle agent status` and `coracle agent lb status`: what the running agent says over the Unix
 * socket <data_dir>/agent/status.sock (0600), as text for people or as JSON, appended to out.
 * Blocking. ERR_NOT_FOUND when no agent answers there (then the text says what the files tell).
 */
enum agent_report { AGENT_REPORT_STATUS, AGENT_REPORT_LB };
MUST_USE int agent_report(const char *data_dir, enum agent_report what, bool as_json,
                          struct buf *out, struct err *e);
