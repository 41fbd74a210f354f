#include "base/http/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    struct str in = str_n(p, n), name, value, host;
    auto_buf b = BUF(4096), back = BUF(4096);
    struct url u;
    uint16_t port;
    struct err e;

    if (url_parse(&u, in, &e) == 0) {
        if (u.port == 0 || u.host.n == 0 || u.target.n == 0 || u.target.p[0] != '/')
            abort();
        for (struct str rest = u.query; url_query_next(&rest, &name, &value);)
            err_ignore(url_decode_query(&b, value));
        buf_clear(&b);
        if (url_join_host_port(&b, u.host, u.port) ||
            url_split_host_port(&host, &port, buf_str(&b), 0, &e) || !str_eq(host, u.host))
            abort();
    }
    buf_clear(&b);
    if (n <= 1024 && url_encode(&b, in) == 0 && url_decode(&back, buf_str(&b)) == 0 &&
        !str_eq(buf_str(&back), in))
        abort();
    return 0;
}
