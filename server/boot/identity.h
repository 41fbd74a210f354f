#pragma once
/*
 * Identity: makes the servers of one datastore one cluster. The first puts its CAs, keys and
 * passwords there, encrypted under the token; the others take them from there before they make any
 * of their own. Keys, form and order are K3s's (pkg/cluster/storage.go, bootstrap.go):
 *
 *   /bootstrap/<first 12 hex digits of SHA-256 of the token's password> = <sealed document>
 *
 *   identity_open:  nothing there   --> locks the key with an empty value (nobody else begins)
 *                   locked          --> waits LOCK_TRIES times, then takes the lock away
 *                   ours            --> opens it, makes the files on the disk equal
 *                   others only     --> ERR_DENIED: another token
 *   identity_share: writes what is on the disk by now, if it held the lock or nothing was there
 *
 * Blocking, on a loop of its own, before the server's loop runs. Waits for a datastore that is not
 * in reach, as long as nobody asks the process to stop.
 */
#include "base/core/err.h"
#include "server/store/store.h"

struct identity;
struct identity_config {
    const struct store_etcd_options *store; /* its prefix is not used; outlives the identity */
    const char *server_dir;                 /* <data>/server */
    const char *token;         /* --token or the file of an earlier start; NULL: none */
    bool (*is_stopping)(void); /* asked while it waits: ERR_CANCELED */
};

MUST_USE int identity_open(struct identity **out, const struct identity_config *c, struct err *e);
/* token: the server's, known by now. Takes id, also on failure. */
MUST_USE int identity_share(struct identity *id_take, const char *token, struct err *e);
void identity_free(struct identity *id); /* a lock that it holds stays: another start finds it */
