#pragma once
/*
 * Hollow agent: all that a server sees of an agent, without containers: its identity and
 * registration, a tunnel to each server, the watches, the Lease and the status. Made of the real
 * agent's parts (agent/boot, agent/node), many in one process on one loop.
 *
 *   JOINING --> REGISTERING --> RUNNING          everything is retried for ever, as the agent does
 *
 * What differs from the agent: API calls go straight to the servers that the balancer lists, all
 * connections run over wires with faults (tools/hollow_wire.h), and no port is behind the tunnel:
 * a dial through it is answered with a refusal. Loop thread only.
 */
#include "agent/node/machine.h"
#include "tools/hollow_wire.h"

struct balancer;
struct hollow_agent;

struct hollow_agent_config { /* borrowed, outlives the agent */
    uv_loop_t *loop;
    struct balancer *joins;  /* many share it; the agents' tunnels tell it nothing, for one agent's
                              * broken tunnel is no news for the others */
    struct balancer *known;  /* what the tunnels tell of servers, and their addresses; shared too */
    struct machine *machine; /* what all say of their host */
    const char *dir;         /* a folder for each agent is made in it */
    const char *seed;        /* host:port */
    const char *token, *token_file;
    const char *prefix; /* of the nodes' names */
    uint64_t lease_ms, status_ms;
    bool remotedialer;
    /* Something failed that will be tried again: "join TCP", "watch timeout", "tunnel closed". */
    void (*on_error)(void *arg, const char *cause, const char *text);
    void *arg;
};

struct hollow_agent_state {
    bool joined;      /* it has its certificates */
    bool ready;       /* the Node is registered with Ready=True and the last Lease call was good */
    size_t n_tunnels; /* connected */
    size_t n_watches; /* that run, of its own Node and its pods */
    size_t n_connections;
    int64_t lease_unix_s;  /* 0: none yet */
    int64_t tunnel_unix_s; /* since when it has had a tunnel, as long as it has one */
    const char *why;       /* the last failure; "" */
};

/* Its node is named <prefix><number>. Starts at once. */
MUST_USE int hollow_agent_new(struct hollow_agent **out, const struct hollow_agent_config *c,
                              unsigned number, struct err *e);
void hollow_agent_state(const struct hollow_agent *a, struct hollow_agent_state *out);
const char *hollow_agent_name(const struct hollow_agent *a);
void hollow_agent_close(struct hollow_agent *a, void (*done)(void *arg), void *arg);

/* ---- misbehaving ---- */

void hollow_agent_fault(struct hollow_agent *a, enum wire_fault f);
void hollow_agent_cut(struct hollow_agent *a);
/* Asks for the list of all nodes, again and again; with WIRE_SLOW its answers pile up. */
void hollow_agent_greed(struct hollow_agent *a, bool on);
/* Opens one more tunnel with its certificate and writes random bytes into it: as websocket frames
 * and as raw bytes, in turns, until the server ends it. */
void hollow_agent_garbage(struct hollow_agent *a);
