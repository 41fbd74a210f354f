/* Bootstrap data as it comes out of a datastore or a snapshot: sealed text, and the document in it.
 */
#include "base/pki/seal.h"
#include "server/ca/bootstrap.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    auto_buf out = BUF_SECRET(BOOTSTRAP_MAX_BYTES);
    struct err e;

    err_ignore(bootstrap_check(text, &e)); /* it must only not crash */
    if (size < 4096 && seal_open(&out, text, STR("token"), &e) == 0)
        err_ignore(bootstrap_check(buf_str(&out), &e));
    return 0;
}
