#pragma once
/*
 * Etcd_link: the way to a cluster of etcd: one of its members at a time, another when that one is
 * dead, hung or without a leader. Loop thread only.
 *
 *   TRYING --(token, if there is a user; then a read that a majority has to confirm)--> UP
 *     ^  ^ \--(failed)--> the next endpoint; after a round of all --> WAITING (backoff) --> TRYING
 *     |  +--------------------------(the token is void: the same connection)------------- UP
 *     +--(silent for PROBE_AFTER_MS or suspected, and the probe failed: the next endpoint)-- UP
 *
 * Two connections to the member: one for calls, one for watches, so that long answers hold up no
 * event. Calls are made while it is UP only. When it falls, the calls that run end with
 * ERR_CANCELED and what they asked for may or may not have happened: asking again is the owner's
 * business.
 */
#include "base/http/grpc.h"
#include "server/store/etcd_endpoints.h"
#include "server/store/etcd_msg.h"

struct etcd_link;
struct tls_client_config;

struct etcd_link_config {
    uv_loop_t *loop;
    const struct etcd_endpoints *endpoints; /* outlives the link */
    const struct tls_client_config *tls;    /* for https; outlives the link */
    struct str probe_key;                   /* may be read by us; copied */
    /* Never from inside a call of the link's. */
    void (*on_up)(void *arg);
    void *arg;
};

void etcd_link_new(struct etcd_link **out, const struct etcd_link_config *c);
/* Calls and streams end with ERR_CANCELED before done. */
void etcd_link_close(struct etcd_link *l, void (*done)(void *arg), void *arg);

bool etcd_link_is_up(const struct etcd_link *l);
/* Why it is not up (code ERR_CLOSED), and for how long; before the first answer that is since it
 * was made. */
const struct err *etcd_link_why(const struct etcd_link *l);
uint64_t etcd_link_down_ms(const struct etcd_link *l); /* 0: up */
/* A call failed in a way that may be the member's state: look now rather than later. */
void etcd_link_suspect(struct etcd_link *l);
/* The token is not accepted any more: get another one. */
void etcd_link_renew_token(struct etcd_link *l);

/* ---- while it is up ---- */

/* a is valid during the call, NULL when e is set. */
typedef void (*etcd_reply_fn)(void *arg, const struct etcd_answer *a, const struct err *e);
struct etcd_call;
/* message is copied. done comes once, later. The handle is for cancel only, dead after done. */
struct etcd_call *etcd_link_call(struct etcd_link *l, const char *path, enum etcd_answer_kind kind,
                                 struct str message, uint64_t timeout_ms, etcd_reply_fn done,
                                 void *arg);
void etcd_call_cancel(struct etcd_call *c);

struct grpc_call *etcd_link_stream(struct etcd_link *l, const char *path,
                                   const struct grpc_call_events *events, void *arg);
