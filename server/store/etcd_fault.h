#pragma once
/*
 * Etcd_fault: what an error of a call to etcd means for the call, and how to say it. No I/O; any
 * thread. The texts are etcd's (api/v3rpc/rpctypes/error.go, 3.4 and 3.5).
 */
#include "base/core/err.h"

enum etcd_fate {
    ETCD_REFUSED,  /* it did not happen, and trying again will not help */
    ETCD_NOT_DONE, /* it did not happen; try again once etcd is well */
    ETCD_UNKNOWN,  /* it may have happened, or may happen yet */
};

struct etcd_fault {
    enum etcd_fate fate;
    bool token; /* what we proved who we are with is worth nothing any more */
};

/* Gives *e the code that store.h promises and, where it helps, what to do about it. */
struct etcd_fault etcd_fault_of(struct err *e);
