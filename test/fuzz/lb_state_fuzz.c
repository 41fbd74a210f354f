#include "base/core/macros.h"
#include "lb/state_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was read is written, and read again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct lb_state_file f, again;
    auto_buf once = BUF(1 << 20), twice = BUF(1 << 20);
    struct err e;

    if (lb_state_file_parse(&f, str_n(data, n), &e))
        return 0;
    if (f.n_addresses > LB_SERVERS_MAX || lb_state_file_format(&once, &f) ||
        lb_state_file_parse(&again, buf_str(&once), &e) || lb_state_file_format(&twice, &again) ||
        !str_eq(buf_str(&once), buf_str(&twice)))
        abort();
    return 0;
}
