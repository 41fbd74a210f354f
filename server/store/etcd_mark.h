#pragma once
/*
 * Etcd_mark: how a write is told apart from all others. Each transaction also compares and writes a
 * small key of this server's, its mark, with a value that no other write has. So
 *
 *   - it can happen once only, however often it is sent: the first time moves its mark's revision;
 *   - whoever reads the mark knows whether it happened, and at which revision.
 *
 * Equal bytes under the key itself would tell nothing: two servers may write the same.
 *
 *     coracle/writes/<writer>/<slot> = <value>      one slot for each write on its way at once
 *
 * No I/O; loop thread only.
 */
#include "base/core/str.h"

struct etcd_mark {
    bool taken;
    size_t slot;
    int64_t mod_rev; /* of the slot's key as we know it; 0: it does not exist */
    char key[96];
    char value[40];
};

struct etcd_marks {
    char prefix[72];
    uint64_t nonce, seq;
    size_t n; /* slots */
    int64_t *mod_revs;
    bool *busy;
};

/* writer: the server's name, the same at every start, so that slots are used again; "" or NULL: one
 * of this start only. */
void etcd_marks_init(struct etcd_marks *m, const char *writer);
void etcd_marks_deinit(struct etcd_marks *m);
void etcd_mark_take(struct etcd_marks *m, struct etcd_mark *k);
void etcd_mark_give(struct etcd_marks *m, struct etcd_mark *k); /* its mod_rev is remembered */
