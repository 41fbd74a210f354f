#pragma once
/*
 * Authenticate: who makes a request (spec/registration.md 1.1).
 *
 * Authenticators are tried in order (Basic against the passwd file, client certificate, then those
 * added: bearer tokens) and the first success wins; errors of earlier ones are forgotten. The
 * result tells "nothing was shown" (supervisor 403, API 401) from "shown and bad" (401). Loop
 * thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

struct http_req;
struct passwd;
struct tls_peer;

/* Who: immutable once made; refcounted because a request and its long streams share it. */
struct identity {
    int refs;
    char *user;
    char **groups; /* "system:authenticated" included, of whoever has authenticated */
    size_t n_groups;
    char *node;    /* the X of user system:node:X in group system:nodes, else NULL */
    char *uid;     /* NULL: none */
    json_t *extra; /* { key: [value, ...] }; NULL: none */
};
/* Somebody who has authenticated: system:authenticated is added. */
struct identity *identity_new(const char *user, const char *const *groups, size_t n_groups);
/* With these groups and no others; extra_take may be NULL. */
struct identity *identity_exact(const char *user, const char *const *groups, size_t n_groups,
                                const char *uid, json_t *extra_take);
struct identity *identity_ref(struct identity *id);
void identity_unref(struct identity *id); /* NULL is fine */
bool identity_in(const struct identity *id, const char *group);
struct identity *identity_masters(void); /* system:admin in system:masters, for our own calls */

enum authn_result {
    AUTHN_OK,     /* *out is a new reference */
    AUTHN_NONE,   /* no credential of any kind was shown */
    AUTHN_FAILED, /* at least one was shown and none is good: 401, e says why (not for the peer) */
};

struct authn_credentials {
    struct str authorization;    /* the header, "" when absent */
    const struct tls_peer *peer; /* NULL: no TLS below */
    struct http_req *req;        /* what is learned is kept with its connection; may be NULL */
};

/* One more authenticator: AUTHN_NONE when the credentials are not of its kind. */
typedef enum authn_result (*authenticator_fn)(void *arg, const struct authn_credentials *c,
                                              struct identity **out, struct err *e);

struct authn;
void authn_new(struct authn **out);
void authn_free(struct authn *a);
/* The Basic authenticator's file (server/ca/passwd.h); borrowed; NULL: Basic is not known. */
void authn_set_passwd(struct authn *a, const struct passwd *p);
void authn_add(struct authn *a, authenticator_fn fn, void *arg); /* at the end of the chain */

enum authn_result authn_check(struct authn *a, const struct authn_credentials *c,
                              struct identity **out, struct err *e);
/* With the credentials of a request. */
enum authn_result authn_check_req(struct authn *a, struct http_req *r, struct identity **out,
                                  struct err *e);
