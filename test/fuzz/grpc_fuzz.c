#include "base/http/grpc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* The first byte says in which pieces the rest comes. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    struct grpc_reader r;
    struct err e;
    size_t piece = n ? p[0] % 16u + 1 : 1;

    grpc_reader_init(&r, 1000);
    for (size_t at = 1; at < n; at += piece) {
        struct str in = str_n(p + at, MIN(piece, n - at));
        bool done = true;
        while (done) {
            if (grpc_reader_read(&r, &in, &done, &e))
                goto out;
            if (done && r.message.n > 1000)
                abort();
        }
        if (in.n > 0)
            abort();
    }
    if (n < 4096)
        grpc_status_err(&e, n % 20, str_n(p, n));
out:
    grpc_reader_deinit(&r);
    return 0;
}
