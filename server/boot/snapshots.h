#pragma once
/*
 * Snapshots: those of this server's datastore: on schedule, and on demand for the supervisor's
 * /db/snapshot. The copy is made by the store, all else in the pool; one is made at a time. Only
 * what the schedule made is pruned by itself. Loop thread only.
 *
 *   (due | save) --> PREPARE (pool: folder, sealed bootstrap data) --> COPY (store)
 *                      --> TAKE (pool: check, compress, rename, prune) --> done
 */
#include "base/core/err.h"
#include "server/boot/snapshot_dir.h"

#include <uv.h>

struct ca;
struct snapshots;
struct store;

struct snapshots_config { /* texts are copied */
    uv_loop_t *loop;
    struct store *store; /* borrowed */
    struct ca *ca;       /* borrowed: the token and the bootstrap files */
    const char *dir;     /* NULL: <srv>/db/snapshots */
    const char *base;    /* of scheduled ones: "etcd-snapshot" */
    const char *node, *version;
    const char *schedule; /* base/data/cron.h; NULL: only on demand */
    size_t retention;     /* of scheduled ones; 0: all stay */
    bool compress;
};

/* ERR_INVALID: the schedule, or the name. */
MUST_USE int snapshots_new(struct snapshots **out, const struct snapshots_config *c, struct err *e);
void snapshots_start(struct snapshots *s); /* the schedule counts from here on */
/* One that is being made is ended, its request answered with ERR_CANCELED; then done. */
void snapshots_close(struct snapshots *s, void (*done)(void *arg), void *arg);

/* gone and made are borrowed; e NULL: well. */
typedef void (*snapshots_done_fn)(void *arg, const struct snapshot_files *made,
                                  const struct snapshot_files *gone, const struct err *e);
struct snapshots_ask {
    enum { SNAPSHOTS_SAVE, SNAPSHOTS_LIST, SNAPSHOTS_PRUNE, SNAPSHOTS_DELETE } what;
    const char *dir;          /* NULL: the configured one */
    const char *base;         /* SAVE: NULL: "on-demand"; PRUNE: NULL: the configured one */
    bool compress;            /* SAVE */
    size_t retention;         /* PRUNE; 0: the configured one */
    const char *const *names; /* DELETE */
    size_t n_names;
};
/* done comes later, once; LIST has what there is in made. ERR_AGAIN: another one is being made. */
void snapshots_run(struct snapshots *s, const struct snapshots_ask *ask, snapshots_done_fn done,
                   void *arg);
const char *snapshots_dir(const struct snapshots *s);
const char *snapshots_node(const struct snapshots *s);
