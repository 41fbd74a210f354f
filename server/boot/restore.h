#pragma once
/*
 * Restore: `coracle server --cluster-reset --cluster-reset-restore-path=FILE`: a snapshot becomes
 * this server's datastore and identity. It blocks and needs no loop; the server does not run.
 *
 *   unpack beside the datastore --> read all of it once --> open the seal with the token
 *     --> CAs, keys and passwords to disk --> the old datastore aside, the new one in its place
 *
 * Nothing of the old server is touched before the snapshot is known to be whole and the token to be
 * right; what is replaced is renamed, not removed. A crash in between is mended by the same
 * command, and no server starts before.
 */
#include "base/core/err.h"
#include "base/data/options.h"

/* ERR_INVALID, ERR_DENIED: why not; ERR_AGAIN: a server runs here. */
MUST_USE int restore_run(const struct server_options *o, struct err *e);

/* At an ordinary start: what keeps a reset from being repeated goes. ERR_INVALID: a restore was cut
 * off here, or the options want half of one. */
MUST_USE int restore_check(const struct server_options *o, const char *server_dir, struct err *e);
