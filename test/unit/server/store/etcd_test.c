/* The suite of all backends on a real etcd, then what only a datastore behind a network can suffer.
 */
#include "test/unit/server/store/etcd_proc.h"
#include "test/unit/server/store/suite.h"

#include <signal.h>
#include <stdio.h>

static struct etcd_procs procs; /* of the test that runs */
static char procs_place[64];

static int open_etcd(struct store **out, uv_loop_t *loop, const char *place,
                     const struct store_limits *l, struct err *e)
{
    struct store_etcd_options o = { .prefix = "/", .limits = l, .timeout_ms = 30000 };

    if (strcmp(procs_place, place) != 0) {
        procs = (struct etcd_procs){ .n = 0 };
        snprintf(procs_place, sizeof procs_place, "%s", place);
        etcd_procs_start(&procs, place, 1);
    }
    o.endpoints = procs.endpoints;
    return store_etcd_open(out, loop, &o, e);
}

static void etcd_gone(const char *place)
{
    (void)place;
    etcd_procs_stop(&procs);
    procs_place[0] = '\0';
}

static const struct suite_backend etcd = { "etcd", open_etcd, etcd_gone };

int main(void)
{
    if (!etcd_is_installed()) {
        printf("etcd is not installed (Debian: etcd-server): its tests are skipped\n");
        return 0;
    }
    return suite_run(&etcd);
}
