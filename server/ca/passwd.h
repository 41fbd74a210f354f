#pragma once
/*
 * Passwd: the users of the supervisor: cred/passwd, CSV lines "password,user,uid,group" (K3s
 * pkg/passwd). Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"

struct passwd;

#define PASSWD_MAX_BYTES (64 * 1024)
#define PASSWD_USERS_MAX 256

struct passwd_user {
    const char *name;
    const char *password; /* secret */
    const char *uid;
    const char *const *groups; /* "k3s:server" */
    size_t n_groups;
};

struct passwd *passwd_new(void); /* no users */
/* Sans-I/O. ERR_INVALID names the line. */
MUST_USE int passwd_parse(struct passwd **out, struct str csv, struct err *e);
/* A file that does not exist has no users. */
MUST_USE int passwd_load(struct passwd **out, const char *path, struct err *e);
/* path.tmp, 0600, fsync and rename. */
MUST_USE int passwd_save(const struct passwd *p, const char *path, struct err *e);
void passwd_free(struct passwd *p);
DEFINE_AUTO(passwd);

/* NULL: no such user. Borrowed until the next passwd_set. */
const struct passwd_user *passwd_find(const struct passwd *p, struct str name);
/* Adds or replaces; true when that changed something. group may be NULL: none. */
bool passwd_set(struct passwd *p, const char *name, const char *password, const char *group);

/* The user of a Basic credential, or NULL. Takes the same time whether the user or the password is
 * wrong. */
const struct passwd_user *passwd_verify(const struct passwd *p, struct str name,
                                        struct str password);
/* The same for the value of an Authorization header, "Basic <base64 of name:password>". */
enum passwd_basic { PASSWD_NO_BASIC, PASSWD_BAD, PASSWD_GOOD };
enum passwd_basic passwd_verify_basic(const struct passwd *p, struct str authorization,
                                      const struct passwd_user **out);
