#include "lb/proxy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* First byte: who talks and how much comes at a time; the rest: what the proxy says. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    static const char *const urls[] = { "http://u:p@h:1", "socks5://u:p@h", "socks5://h" };
    static const char *const targets[] = { "srv.example:6443", "10.0.0.1:6443", "[fd00::1]:6443" };
    struct lb_proxy_talk t;
    struct lb_proxy proxy;
    struct err e;

    if (!n)
        return 0;
    if (lb_proxy_parse(&proxy, str_n(p, n), &e) == 0) /* any text as a setting */
        lb_proxy_deinit(&proxy);
    auto_buf rule = BUF(4096);
    if (buf_add(&rule, p, MIN(n, (size_t)4096)) == 0)
        (void)lb_proxy_bypassed("srv.example:6443", buf_cstr(&rule));

    auto_buf out = BUF(2048);
    size_t chunk = p[0] % 7 + 1u, seen = 1, taken = 1;
    if (lb_proxy_parse(&proxy, str_of(urls[p[0] / 7 % 3]), &e) ||
        lb_proxy_begin(&t, &proxy, targets[p[0] / 21 % 3], &out, &e))
        abort();
    while (seen < n) {
        size_t used;
        seen = MIN(seen + chunk, n);
        enum lb_proxy_step step;
        do {
            step = lb_proxy_feed(&t, str_n(p + taken, seen - taken), &used, &out, &e);
            if (used > seen - taken)
                abort();
            taken += used;
        } while (step == LB_PROXY_MORE && used);
        if (step != LB_PROXY_MORE)
            break;
    }
    return 0;
}
