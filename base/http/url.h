#pragma once
/*
 * Url: absolute http, https and wss addresses, host:port pairs, percent-encoding and query strings
 * (RFC 3986). Strict: what is not plainly right is ERR_INVALID. Views point into the input. No I/O.
 * Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"

#define URL_MAX_BYTES (8 * 1024)

struct url {
    struct str scheme; /* "http", "https", "ws" or "wss", as written */
    bool tls;          /* https, wss */
    struct str host;   /* DNS name, IPv4, or IPv6 without its brackets; never empty */
    uint16_t port;     /* 80 or 443 when not written */
    struct str target; /* path and query as for a request line; "/" when not written */
    struct str path;   /* before '?' */
    struct str query;  /* after '?', may be empty */
};

/* No user information, no fragment: ERR_INVALID with them. */
MUST_USE int url_parse(struct url *out, struct str text, struct err *e);

/* "host", "host:port", "[v6]", "[v6]:port". port_default 0: the port must be written. */
MUST_USE int url_split_host_port(struct str *host, uint16_t *port, struct str text,
                                 uint16_t port_default, struct err *e);
/* Adds "host:port", with brackets round an IPv6 address. */
MUST_USE int url_join_host_port(struct buf *out, struct str host, uint16_t port);

/* Adds s with everything but unreserved characters (RFC 3986 2.3) as %XX: fit for one path segment
 * and for query names and values. ERR_LIMIT only. */
MUST_USE int url_encode(struct buf *out, struct str s);
/* Adds the decoded s. ERR_INVALID for broken escapes and for %00; ERR_LIMIT. url_decode_query also
 * reads '+' as space, as forms and Go's url.Query do. */
MUST_USE int url_decode(struct buf *out, struct str s);
MUST_USE int url_decode_query(struct buf *out, struct str s);

/* Walks "a=1&b&c=%20": for (struct str rest = query; url_query_next(&rest, &name, &value);)
 * name and value are still encoded. Empty pairs are skipped. */
bool url_query_next(struct str *rest, struct str *name, struct str *value);
/* Adds the decoded value of the first pair of that name. ERR_NOT_FOUND, ERR_INVALID, ERR_LIMIT. */
MUST_USE int url_query_get(struct buf *out, struct str query, const char *name);
/* Adds "name=value" with both encoded, and the '?' or '&' that out's contents need before it. */
MUST_USE int url_query_add(struct buf *out, const char *name, struct str value);
