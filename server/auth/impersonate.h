#pragma once
/*
 * Impersonate: the identity that a request wants to act as, by its headers Impersonate-User,
 * -Group (one each), -Uid and -Extra-<key> (one each, the key lower-cased and percent-decoded), as
 * in apiserver/pkg/endpoints/filters/impersonation.go. Each of them is a right of its own, asked
 * of the authorizer as the verb "impersonate"; only with all of them the request goes on as the
 * other. Parsing is without I/O; any thread.
 */
#include "server/auth/authorize.h"

struct http_headers;
struct impersonation;

/* *out is NULL when no header asks for anything. ERR_INVALID: a group, a uid or an extra without a
 * user, or bytes that are not UTF-8. */
MUST_USE int impersonation_parse(struct impersonation **out, const struct http_headers *h,
                                 struct err *e);
void impersonation_free(struct impersonation *m); /* NULL is fine */
DEFINE_AUTO(impersonation);

/* The rights that by needs, from 0 on; false: no more. The strings of out live as long as m. */
bool impersonation_right(const struct impersonation *m, size_t i, const struct identity *by,
                         struct authz_attrs *out);
/* A new reference. A ServiceAccount is in its groups unless others are named; whoever is not
 * anonymous is in system:authenticated unless the groups say one way or the other. */
struct identity *impersonation_identity(const struct impersonation *m);
