#pragma once
/*
 * Reporter: keeps the history of what was wrong (agent/boot/history.h) and tells it every server as
 * soon as there is a tunnel to it again (docs/protocols/node-why.md). Only servers that speak
 * coracle.v1 are told: K3s' have no such path.
 *
 *   IDLE --(tunnel came, spell began or ended, wall clock jumped)--> WAIT --> SEND --> IDLE
 *                                                   backoff: ^----- failure --+
 *
 * One report at a time, over a connection of its own: it must reach the very server of the tunnel,
 * which the balancer does not promise. Loop thread only.
 */
#include "agent/boot/credentials.h"
#include "base/kube/cause.h"
#include "tunnel/client.h"

#include <uv.h>

struct balancer;
struct reporter;

struct reporter_config { /* borrowed */
    uv_loop_t *loop;
    struct balancer *balancer;             /* dials as its tunnels do; NULL: tcp_dial, for tests */
    const struct credentials *credentials; /* read when a report is sent */
    uint64_t delay_min_ms, delay_max_ms;   /* before a report; 0: 200 and 2000 */
    uint64_t interval_ms;                  /* between two, unless a tunnel came; 0: 5 s */
};

void reporter_new(struct reporter **out, const struct reporter_config *c);
/* What is wrong with about ("joining", "node") now; CAUSE_NONE: nothing any more. */
void reporter_note(struct reporter *r, const char *about, enum cause c, const char *text);
/* The state of a tunnel changed. Fits servers_config.on_tunnel; arg is the struct reporter. */
void reporter_on_tunnel(void *arg, const struct tunnel_client_status *st);
/* A report under way is given up; then done (may be NULL), and it is gone. */
void reporter_close(struct reporter *r, void (*done)(void *arg), void *arg);
