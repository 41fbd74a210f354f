#pragma once
/*
 * Loops: the controllers and the scheduler of this server. With a datastore of its own they all run
 * here. With a shared one most of them run on one server at a time, the elected one; when it is
 * that no longer, it stops them and goes on serving, without an end of the process. Each tells the
 * others that it lives (peers.h), and adds itself to the endpoints if nobody does (announce.h).
 *
 *   FOLLOWER --(elected)--> RUNNING --(lost)--> DEMOTING --(all are gone)--> FOLLOWER
 *                                                   +--(elected again)----> RUNNING
 *
 * Loop thread only.
 */
#include "server/controller/controllers.h"

struct loops;

struct loops_config {
    struct controllers_config controllers; /* part and live_servers are filled in here */
    const char *node, *server_id;          /* this server's, for the election; borrowed during the
                                            * call; server_id may be NULL */
    bool shared;
    bool no_scheduler;
};

void loops_start(struct loops **out, const struct loops_config *c);
void loops_node_news(struct loops *l, const char *node); /* as controllers_node_news, if it runs */
/* Stops them, then lets another server take over. */
void loops_close(struct loops *l, void (*done)(void *arg), void *arg);
