#pragma once
/*
 * Server set: the servers that a load balancer knows, what state each is in and in which order to
 * try them. Pure: no I/O, no clock of its own, so that the model test can walk every state and
 * event. The states, their numbers (a metric) and transitions are those of K3s's balancer since
 * December 2024 (docs/protocols/loadbalancer.md). Loop thread only.
 *
 *   UNCHECKED --ok--> RECOVERING --check ok--> PREFERRED --dial ok--> ACTIVE
 *   FAILED ---ok-------^                          | 1 min of good checks      ^
 *                                                 +--> HEALTHY --dial ok------+
 *   any of RECOVERING, HEALTHY, PREFERRED, ACTIVE --failure--> FAILED
 *   STANDBY: the default server while it is not in the list; the last resort, never forgotten
 */
#include "base/core/err.h"
#include "base/core/list.h"
#include "base/core/str.h"
#include "base/io/backoff.h"

#define LB_SERVERS_MAX                                                                             \
    64 /* servers in one list; a longer one is cut, with a warning by the caller */
#define LB_ADDRESS_MAX_BYTES 263 /* DNS name (253) or bracketed IPv6, ':' and port */
#define LB_PREFERRED_MS      60000

enum lb_state {
    LB_INVALID,
    LB_FAILED,
    LB_STANDBY,
    LB_UNCHECKED,
    LB_RECOVERING,
    LB_HEALTHY,
    LB_PREFERRED,
    LB_ACTIVE,
};
#define LB_N_STATES 8
const char *lb_state_name(enum lb_state s); /* "ACTIVE" */

enum lb_event { LB_DIAL_OK, LB_DIAL_FAIL, LB_CHECK_OK, LB_CHECK_FAIL };
#define LB_N_EVENTS 4

/* The transition table alone, without what becoming ACTIVE means for others. *close_all is set when
 * the server's connections have to go. */
enum lb_state lb_next_state(enum lb_state s, enum lb_event ev, size_t n_conns, uint64_t in_state_ms,
                            bool *close_all);

struct lb_server {
    char address[LB_ADDRESS_MAX_BYTES + 1]; /* host:port */
    enum lb_state state;
    uint64_t since_ms; /* when the state began */
    size_t n_conns;    /* connections through it that are open now */
    uint64_t n_dials, n_failures;
    uint64_t n_up, n_down; /* bytes of the connections that have ended */
    bool reached;          /* the last outcome, of whatever kind, was good */
    uint64_t rtt_us;       /* of the last successful dial or probe; 0: none yet */
    struct err last_err;   /* code ERR_OK: none yet */
    uint64_t last_err_ms;
    struct list conns; /* these are the balancer's; the set never looks */
    struct backoff probe_backoff;
    uint64_t probe_at_ms;
    bool probing;
    int refs; /* the set's own and one per user that may outlive the membership */
};

struct lb_server_set;

/* close_conns is called when a server's connections have to be closed: from inside the functions
 * below, at their end. It must not call back into the set. May be NULL. */
void lb_server_set_new(struct lb_server_set **out,
                       void (*close_conns)(void *arg, struct lb_server *s), void *arg);
void lb_server_set_free(struct lb_server_set *set); /* servers still ref'd live on, INVALID */

/* The server of --server. Empty: none. The old default loses the mark; where it was STANDBY only,
 * it goes. The new one is found in the list or added as STANDBY. */
void lb_server_set_default(struct lb_server_set *set, struct str address, uint64_t now_ms);
/* Replaces the list. Returns whether it differed (then the state file is worth writing). */
bool lb_server_set_addresses(struct lb_server_set *set, const struct str *addresses, size_t n,
                             uint64_t now_ms);

/* One outcome for one server. e is NULL for *_OK. */
void lb_server_set_event(struct lb_server_set *set, struct lb_server *s, enum lb_event ev,
                         const struct err *e, uint64_t now_ms);

/* In the order to try them: state descending, then those that were reached, then open connections
 * descending. All states count. One exception: a STANDBY server that was reached comes before
 * UNCHECKED ones that were not, for what is only listed may be a private address that nobody can
 * reach from here. Returns n; out holds LB_SERVERS_MAX + 1 borrowed pointers. */
size_t lb_server_set_order(const struct lb_server_set *set, struct lb_server **out);
/* The list as it was given, without a STANDBY default: what the state file holds. */
size_t lb_server_set_listed(const struct lb_server_set *set, struct lb_server **out);
const struct lb_server *lb_server_set_get_default(const struct lb_server_set *set); /* NULL: none */
struct lb_server *lb_server_set_find(const struct lb_server_set *set, struct str address);

struct lb_server *lb_server_ref(struct lb_server *s);
void lb_server_unref(struct lb_server *s); /* NULL is fine */
