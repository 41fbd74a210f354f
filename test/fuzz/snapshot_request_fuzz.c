/* POST /db/snapshot. */
#include "server/boot/snapshot_api.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot_request r;
    struct err e;

    if (snapshot_request_parse(&r, str_n((const char *)data, size), &e))
        return 0;
    for (size_t i = 0; i < r.ask.n_names; i++)
        if (!r.ask.names[i])
            abort();
    snapshot_request_deinit(&r);
    return 0;
}
