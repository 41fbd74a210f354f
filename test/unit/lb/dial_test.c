/* A stream by the balancer's ways, against servers on the test's loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "lb/dial.h"
#include "test/unit/base/io/hole.h"
#include "test/unit/lb/rig.h"

struct dialed {
    struct stream *s;
    struct err err;
    struct buf got;
    unsigned n_done;
    bool closed;
};

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct dialed *d = arg;

    d->n_done++;
    d->s = s;
    if (e)
        d->err = *e;
}

static void on_data(void *arg, const char *p, size_t n)
{
    assert_int_equal(buf_add(&((struct dialed *)arg)->got, p, n), 0);
}

static void on_closed(void *arg)
{
    ((struct dialed *)arg)->closed = true;
}

static const struct stream_events events = { .on_data = on_data, .on_closed = on_closed };

static void finish_dialed(uv_loop_t *loop, struct dialed *d)
{
    stream_close(d->s);
    RUN_UNTIL(loop, d->closed);
    buf_deinit(&d->got);
}

static struct balancer *balancer_at(uv_loop_t *loop, const char *seed, const struct lb_proxy *proxy)
{
    struct balancer_options o = { .name = "t", .seed = seed, .proxy = proxy };
    struct balancer *b;
    struct err e;

    uv_loop_init(loop);
    assert_int_equal(balancer_new(&b, loop, &o, &e), 0);
    return b;
}

static void a_stream_to_any_server_listed_or_not(void **state)
{
    uv_loop_t loop;
    struct balancer *b = balancer_at(&loop, "127.0.0.1:1", NULL);
    struct dialed d = { .got = BUF(1024) }, refused = { .n_done = 0 };
    struct server s;
    (void)state;

    server_start(&s, &loop, "one");
    lb_dial_start(NULL, b, "127.0.0.1", s.port, 20000, on_dialed, &d);
    lb_dial_start(NULL, b, "127.0.0.1", 2, 20000, on_dialed, &refused);
    assert_int_equal(d.n_done, 0);
    RUN_UNTIL(&loop, d.n_done && refused.n_done);
    assert_non_null(d.s);
    stream_open(d.s, &events, &d);
    stream_write(d.s, "hello", 5);
    RUN_UNTIL(&loop, d.got.n == 8);
    assert_string_equal(buf_cstr(&d.got), "onehello");
    assert_null(refused.s);
    assert_int_equal(refused.err.sys, ECONNREFUSED);
    finish_dialed(&loop, &d);
    server_kill(&s);
    finish(&loop, b);
}

/* The peer's first words lie right behind the proxy's answer. */
static void the_proxy_is_used_and_no_byte_is_lost(void **state)
{
    struct lb_proxy proxy = { .kind = LB_PROXY_HTTP };
    static const char want[] = "oneCONNECT srv.test:6443 HTTP/1.1\r\n";
    struct dialed d = { .got = BUF(1024) };
    struct server s;
    uv_loop_t loop;
    (void)state;

    uv_loop_init(&loop);
    server_start(&s, &loop, "HTTP/1.1 200 OK\r\n\r\none"); /* and then echoes our request */
    snprintf(proxy.address, sizeof proxy.address, "%s", s.address);
    struct balancer_options o = { .name = "t", .seed = "srv.test:6443", .proxy = &proxy };
    struct balancer *b;
    struct err e;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    lb_dial_start(NULL, b, "srv.test", 6443, 20000, on_dialed, &d);
    RUN_UNTIL(&loop, d.n_done);
    assert_non_null(d.s);
    stream_open(d.s, &events, &d);
    RUN_UNTIL(&loop, d.got.n >= sizeof want - 1);
    assert_memory_equal(d.got.p, want, sizeof want - 1);
    finish_dialed(&loop, &d);
    server_kill(&s);
    finish(&loop, b);
}

static void a_cancel_brings_the_end_at_once(void **state)
{
    uv_loop_t loop;
    struct balancer *b = balancer_at(&loop, "127.0.0.1:1", NULL);
    struct dialed d = { .n_done = 0 };
    struct lb_dial *dial;
    struct hole hole;
    (void)state;

    hole_dig(&hole, "127.0.0.1");
    lb_dial_start(&dial, b, "127.0.0.1", hole.port, 3600000, on_dialed, &d);
    uv_run(&loop, UV_RUN_NOWAIT);
    lb_dial_cancel(dial);
    assert_int_equal(d.n_done, 0);
    RUN_UNTIL(&loop, d.n_done);
    assert_int_equal(d.err.code, ERR_CANCELED);
    finish(&loop, b);
    hole_fill(&hole);
}

static void what_is_no_address_is_refused(void **state)
{
    uv_loop_t loop;
    struct balancer *b = balancer_at(&loop, "127.0.0.1:1", NULL);
    struct dialed empty = { .n_done = 0 }, longer = { .n_done = 0 };
    char name[400];
    (void)state;

    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    lb_dial_start(NULL, b, "", 6443, 20000, on_dialed, &empty);
    lb_dial_start(NULL, b, name, 6443, 20000, on_dialed, &longer);
    RUN_UNTIL(&loop, empty.n_done && longer.n_done);
    assert_int_equal(empty.err.code, ERR_INVALID);
    assert_int_equal(longer.err.code, ERR_INVALID);
    finish(&loop, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_to_any_server_listed_or_not),
        cmocka_unit_test(the_proxy_is_used_and_no_byte_is_lost),
        cmocka_unit_test(a_cancel_brings_the_end_at_once),
        cmocka_unit_test(what_is_no_address_is_refused),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
