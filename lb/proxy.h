#pragma once
/*
 * Proxy: dialing through an HTTP proxy (CONNECT, RFC 9110 9.3.6) or a SOCKS 5 proxy (RFC 1928, user
 * and password of RFC 1929), sans I/O: the settings, whom they are for, and the talk before the
 * tunnel stands. Names go to the proxy unresolved. Any thread.
 *
 *   HTTP:   CONNECT host:port --> 2xx --> OPEN
 *   SOCKS:  greeting --> method [--> user, password --> ok] --> CONNECT --> reply --> OPEN
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define LB_PROXY_HOST_BYTES   260
#define LB_PROXY_SECRET_BYTES 256 /* RFC 1929: 255 each */
#define LB_PROXY_ANSWER_MAX   (16 * 1024)

enum lb_proxy_kind { LB_PROXY_NONE, LB_PROXY_HTTP, LB_PROXY_SOCKS5 };

struct lb_proxy { /* plain memory; holds a password: wipe it with lb_proxy_deinit */
    enum lb_proxy_kind kind;
    char address[LB_PROXY_HOST_BYTES + 8]; /* host:port of the proxy */
    bool has_user;
    char user[LB_PROXY_SECRET_BYTES], password[LB_PROXY_SECRET_BYTES];
};
void lb_proxy_deinit(struct lb_proxy *p);

/* "http://[user:password@]host[:port]", "socks5://..." (socks5h:// too); without a scheme it is
 * http, as in Go. ERR_INVALID names a scheme that is not possible, never the credentials. */
MUST_USE int lb_proxy_parse(struct lb_proxy *out, struct str url, struct err *e);

/* K3s's rule: with allowed "true" (K3S_AGENT_HTTP_PROXY_ALLOWED), https_proxy counts for the server
 * unless no_proxy has it. NULL and "" are unset. kind NONE: connect straight. */
MUST_USE int lb_proxy_choose(struct lb_proxy *out, const char *server, const char *allowed,
                             const char *https_proxy, const char *no_proxy, struct err *e);
/* The same from the environment, upper-case names first, as Go. */
MUST_USE int lb_proxy_from_env(struct lb_proxy *out, const char *server, struct err *e);

/* Go's rules: "*"; addresses and networks (10.0.0.0/8); "a.b" is that name and those below, ".a.b"
 * and "*.a.b" those below only; each with or without ":port". localhost and loopback addresses
 * always bypass. server is host:port. */
bool lb_proxy_bypassed(const char *server, const char *no_proxy);

struct lb_proxy_talk {
    const struct lb_proxy *proxy;
    const char *target; /* host:port; both borrowed */
    int state;
};
enum lb_proxy_step { LB_PROXY_MORE, LB_PROXY_OPEN, LB_PROXY_FAILED };

/* Appends the first bytes to send. */
MUST_USE int lb_proxy_begin(struct lb_proxy_talk *t, const struct lb_proxy *p, const char *target,
                            struct buf *out, struct err *e);
/* in: all unread bytes from the proxy. *n_used of them were taken; the rest belongs to what comes
 * after. Appends what has to be sent. MORE: call again when there are more bytes than those left;
 * FAILED: e. */
enum lb_proxy_step lb_proxy_feed(struct lb_proxy_talk *t, struct str in, size_t *n_used,
                                 struct buf *out, struct err *e);
