#pragma once
/* Etcd_fix: a real etcd of one member for each test of the suite's kind (suite.h). */
#include "test/unit/server/store/etcd_proc.h"
#include "test/unit/server/store/suite.h"

extern const struct suite_backend etcd_backend; /* the member starts with the first open */
struct etcd_procs *etcd_fix_procs(void);        /* of the test that runs */
/* False, with a word about it: there is no etcd on this host. Of the tests those will run that the
 * environment's CMOCKA_ONLY matches. */
bool etcd_fix_can_run(void);
