#include "test/unit/server/store/etcd_fix.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENT_MS 30000

static struct etcd_procs procs;
static char procs_place[64];

static int open_etcd(struct store **out, uv_loop_t *loop, const char *place,
                     const struct store_limits *l, struct err *e)
{
    struct store_etcd_options o = { .prefix = "/", .limits = l, .timeout_ms = PATIENT_MS };

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

const struct suite_backend etcd_backend = { "etcd", open_etcd, etcd_gone };

struct etcd_procs *etcd_fix_procs(void)
{
    return &procs;
}

bool etcd_fix_can_run(void)
{
    const char *only = getenv("CMOCKA_ONLY");

    if (only)
        cmocka_set_test_filter(only);
    if (!etcd_is_installed())
        printf("etcd is not installed (Debian: etcd-server): its tests are skipped\n");
    return etcd_is_installed();
}
