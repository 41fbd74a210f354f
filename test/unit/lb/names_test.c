/* The order in which the addresses of a name are tried. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/macros.h"
#include "lb/names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "srv.test:6443"

static struct lb_addr addr_of(int last)
{
    struct lb_addr a = { .n = sizeof a.u.v4 };

    a.u.v4.sin_family = AF_INET;
    a.u.v4.sin_port = htons(6443);
    a.u.v4.sin_addr.s_addr = htonl(0x0a000000u + (uint32_t)last);
    return a;
}

static int resolve(const char *host, const char *port, struct lb_addrs *out, struct err *e)
{
    (void)host;
    (void)port;
    (void)e;
    for (int i = 0; i < 3; i++)
        out->v[i] = addr_of(i + 1);
    out->n = 3;
    return 0;
}

static void on_resolved(void *arg, const struct lb_addrs *addrs, const struct err *e)
{
    assert_null(e);
    *(bool *)arg = addrs->n > 0;
}

/* Each step does something to one address; order is what a dial tries then. */
static void who_only_takes_connections_does_not_come_first(void **state)
{
    static const struct {
        char what; /* w: took a connection, s: silent on it, h: said something */
        int which;
        const char *order;
    } steps[] = {
        { 'w', 2, "213" }, { 's', 2, "132" }, { 'w', 2, "132" }, /* not by a connection alone */
        { 's', 1, "321" }, { 'w', 1, "321" }, { 'h', 2, "321" },
        { 'w', 2, "231" }, { 'w', 1, "231" }, { 'w', 3, "321" },
        { 's', 3, "213" }, { 'h', 3, "213" }, { 'w', 3, "321" },
    };
    struct lb_name_wait wait = { 0 };
    struct lb_names *n;
    bool known = false;
    uv_loop_t loop;
    (void)state;

    uv_loop_init(&loop);
    n = lb_names_new(&loop, resolve);
    lb_names_resolve(n, NAME, &wait, on_resolved, &known);
    while (!known)
        uv_run(&loop, UV_RUN_ONCE);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct lb_addr a = addr_of(steps[i].which);
        struct lb_addrs now;
        char order[8] = "";

        if (steps[i].what == 'w')
            lb_names_worked(n, NAME, &a);
        else if (steps[i].what == 's')
            assert_true(lb_names_silent(n, NAME, &a));
        else
            lb_names_heard(n, &a);
        assert_true(lb_names_get(n, NAME, &now));
        assert_int_equal(now.n, 3);
        for (size_t k = 0; k < 3; k++)
            order[k] = (char)('0' + (ntohl(now.v[k].u.v4.sin_addr.s_addr) & 0xff));
        if (strcmp(order, steps[i].order) != 0)
            fail_msg("step %zu: %s, not %s", i, order, steps[i].order);
    }
    lb_names_close(n, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_only_takes_connections_does_not_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
