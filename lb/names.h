#pragma once
/*
 * Names: which addresses a "host:port" has. IP literals need no resolver. Names are resolved in the
 * pool, once for all who ask, and again every minute while they are used, so that a dial rarely
 * waits and a record that changed is noticed; while the resolver is silent the last known addresses
 * serve. Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/list.h"
#include "base/core/str.h"

#include <netinet/in.h>
#include <uv.h>

#define LB_ADDRS_MAX 16 /* A and AAAA records of one name that are tried; more are left out */

struct lb_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u;
    socklen_t n;
};
bool lb_addr_eq(const struct lb_addr *a, const struct lb_addr *b);
bool lb_addr_of_peer(struct lb_addr *out, int fd); /* false: it is not connected any more */

struct lb_addrs {
    struct lb_addr v[LB_ADDRS_MAX];
    size_t n;
};

/* Blocking, in a pool thread: fills out. The default asks getaddrinfo. */
typedef int (*lb_resolve_fn)(const char *host, const char *port, struct lb_addrs *out,
                             struct err *e);

struct lb_names;
struct lb_names *lb_names_new(uv_loop_t *loop, lb_resolve_fn resolve); /* NULL: the default */

/* A literal, or a name that was resolved a short while ago: true, and out is filled. */
bool lb_names_get(struct lb_names *n, const char *address, struct lb_addrs *out);
/* What it was at last, however long ago. False: never resolved. */
bool lb_names_known(const struct lb_names *n, const char *address, struct lb_addrs *out);

/* Embedded in who waits; zero-initialised. */
struct lb_name_wait {
    struct list link;
    void (*fn)(void *arg, const struct lb_addrs *addrs, const struct err *e);
    void *arg;
};
/* Resolves now (or joins who does already). fn comes once, later: with addresses, old ones where
 * the resolver failed, or with e. address must pass lb_address_split. */
void lb_names_resolve(struct lb_names *n, const char *address, struct lb_name_wait *w,
                      void (*fn)(void *arg, const struct lb_addrs *addrs, const struct err *e),
                      void *arg);
void lb_name_wait_cancel(struct lb_name_wait *w); /* fn does not come; legal in any state */
/* This one took a connection: the next dial begins with it, unless it was silent a short while ago.
 */
void lb_names_worked(struct lb_names *n, const char *address, const struct lb_addr *which);
/* This one takes connections and says nothing: dials of all names try it last from now on, and the
 * names are resolved anew. False: address, if it is a name, has no other. */
bool lb_names_silent(struct lb_names *n, const char *address, const struct lb_addr *which);
/* It said something: it is silent no more. */
void lb_names_heard(struct lb_names *n, const struct lb_addr *which);

/* Nobody waits any more. done (may be NULL) comes later, without waiting for a resolver that hangs.
 */
void lb_names_close(struct lb_names *n, void (*done)(void *arg), void *arg);

/* Sans-I/O: "host:port", "[v6]:port", numeric. False: a name, or nothing usable. */
bool lb_addr_parse(struct lb_addr *out, const char *address);
/* Splits host and port (of at most 5 digits); false when it is not host:port. */
bool lb_address_split(const char *address, char *host, size_t host_bytes, char port[6]);
