/* Mux frame: any message; what is understood is written again and read as the same. */
#include "tunnel/mux_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char bytes[MUX_SMALL_MAX];
    struct mux_frame f, again;
    struct err e;
    size_t n_bytes;

    if (mux_frame_decode(&f, str_n(data, n), &e) || f.type == MUX_DATA)
        return 0;
    n_bytes = mux_frame_encode(bytes, &f);
    if (mux_frame_decode(&again, str_n(bytes, n_bytes), &e) || again.type != f.type ||
        again.stream != f.stream || again.credit != f.credit || again.timeout_ms != f.timeout_ms ||
        again.code != f.code || again.sys != f.sys || !str_eq(again.body, f.body))
        abort();
    return 0;
}
