#pragma once
/*
 * Server: the whole server role: CAs, store, API, supervisor endpoints, tunnel server, controllers,
 * on one loop thread of its own.
 *
 * server_new does all that can fail before serving (it blocks: keys, files, database). server_run
 * runs the loop on the calling thread until server_stop. Everything the role owns is touched by
 * that thread only.
 */
#include "base/core/err.h"
#include "base/data/options.h"

struct server;

struct server_events {
    /* The supervisor and the API answer. From the server's thread, once. */
    void (*on_ready)(void *arg);
    void *arg;
};

/* o and what it points to must outlive the server. */
MUST_USE int server_new(struct server **out, const struct server_options *o,
                        const struct server_events *events, struct err *e);
/* Returns after server_stop, with everything closed and durable. */
void server_run(struct server *s);
/* Any thread, any time after server_new; once or more. */
void server_stop(struct server *s);
void server_free(struct server *s); /* after server_run has returned, or without it */

/* What an agent on this machine needs to join it: https://127.0.0.1:<port>; borrowed. */
const char *server_url(const struct server *s);
/* The full token of agents (K10...::node:...), borrowed: pass it on, never log it. */
const char *server_agent_token(const struct server *s);
