#pragma once
/*
 * Etcd_world: an etcd of the test's own and up to two servers' stores on it, in one loop. The
 * helpers wait for the answer.
 */
#include "test/unit/server/store/etcd_proc.h"
#include "test/unit/server/store/suite.h"

#include "base/core/mem.h"

#define PATIENT_MS 60000 /* for what takes seconds on a slow machine */

struct world {
    uv_loop_t loop;
    char place[64];
    struct etcd_procs procs;
    struct store *s[2];
    struct fix f[2]; /* for watch(); their loops are never run */
};
int world_setup(void **state);
int world_teardown(void **state); /* asserts uv_loop_close()==0; ends the members */
/* Prefix "/r/", the endpoints of the members and patience, where o says nothing. */
int world_try_open(struct world *w, int i, struct store_etcd_options o, struct err *e);
void world_open(struct world *w, int i, struct store_etcd_options o);
void world_close(struct world *w, int i);
void world_run_ms(struct world *w, uint64_t ms);

struct answer world_commit(struct world *w, int i, struct store_op op);
struct answer world_write(struct world *w, int i, enum store_op_kind kind, const char *key,
                          const char *value, int64_t if_mod_rev);
/* Asserts success, returns the revision. */
int64_t world_must_write(struct world *w, int i, enum store_op_kind kind, const char *key,
                         const char *value, int64_t if_mod_rev);

struct got {
    bool done;
    struct err err;
    char value[64];
    int64_t mod_rev, rev;
};
struct got world_read(struct world *w, int i, const char *key);
/* Again while etcd is not in reach. */
struct got world_read_patiently(struct world *w, int i, const char *key);

/* One gRPC call without the store, in a loop of its own: the stores stand still meanwhile. */
void world_raw_call(struct world *w, const char *path, struct str message);
#define RAW(w, path, message) world_raw_call(w, path, STR(message))

/* Runs the tests, those that the environment's CMOCKA_ONLY matches; 0 with a word where there is no
 * etcd. */
#define world_main(tests) (world_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : 0)
bool world_can_run(void);
