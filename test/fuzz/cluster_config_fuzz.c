#include "agent/boot/cluster_config.h"
#include "base/core/macros.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The document that a server sends to its agents. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct cluster_config c;
    struct err e;

    if (cluster_config_parse(&c, str_n(data, n), &e))
        return e.code == ERR_INVALID || e.code == ERR_LIMIT ? 0 : (abort(), 0);
    if (strlen(c.cluster_dns) >= sizeof c.cluster_dns ||
        strlen(c.cluster_domain) >= sizeof c.cluster_domain ||
        strlen(c.egress_mode) >= sizeof c.egress_mode)
        abort();
    return 0;
}
