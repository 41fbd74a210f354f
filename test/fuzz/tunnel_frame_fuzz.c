/* Any bytes as one remotedialer message: what reads must write the same again. */
#include "tunnel/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tunnel_frame f, g;
    struct str a, b;
    char head[TUNNEL_FRAME_HEAD_MAX];
    int64_t number;
    struct err e;

    if (tunnel_frame_decode(&f, str_n(data, n), &e))
        return 0;
    if (tunnel_frame_decode(&g, str_n(head, tunnel_frame_head(head, &f)), &e) || g.id != f.id ||
        g.conn != f.conn || g.type != f.type || g.deadline_ms != f.deadline_ms)
        abort();
    err_ignore(tunnel_frame_connect(f.body, &a, &b, &e)); /* only the reading is of interest */
    err_ignore(tunnel_frame_client(f.body, &a, &number, &e));
    return 0;
}
