#include "base/kube/watch_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* The first byte says in which pieces the rest comes. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    struct watch_reader r;
    size_t piece = n ? p[0] + 1u : 1;
    struct err e;

    watch_reader_init(&r, 4096);
    for (size_t at = 1; at < n; at += piece) {
        struct str in = str_n(p + at, MIN(piece, n - at));
        while (in.n > 0) {
            json_auto_t *object = NULL;
            enum kube_event_type type;
            if (watch_reader_read(&r, &in, &type, &object, &e))
                goto out;
            if (object ? !json_is_object(object) : in.n > 0)
                abort();
        }
    }
    err_ignore(watch_reader_finish(&r, &e)); /* any outcome is fine */
out:
    watch_reader_deinit(&r);
    return 0;
}
