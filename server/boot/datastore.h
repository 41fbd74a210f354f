#pragma once
/*
 * Datastore: which one the options mean. SQLite below <data>/server/db, or an etcd that several
 * servers may share (--datastore-endpoint).
 */
#include "base/data/options.h"
#include "server/store/store.h"

/* Refuses by name what K3s knows and we do not, flags that do not fit, and the datastore of a K3s
 * in server_dir. No text shows the endpoint: it may hold a password. */
MUST_USE int datastore_check(const struct server_options *o, const char *server_dir, struct err *e);
bool datastore_is_shared(const struct server_options *o);
/* Borrows from o and node_name. */
struct store_etcd_options datastore_etcd(const struct server_options *o, const char *node_name);
/* Runs the loop until etcd has answered; blocks for SQLite's files. */
MUST_USE int datastore_open(struct store **out, uv_loop_t *loop, const struct server_options *o,
                            const char *server_dir, const char *node_name, struct err *e);
