/* What calls do while a dial of their endpoint hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/client.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "test/unit/base/io/io_end.h"

struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct listener *listener;
    struct http_endpoint *ep;
    struct timer timer;
    http_dialed_fn hung; /* of the first dial */
    void *hung_arg;
    unsigned n_dials, n_ok, n_times;
};

static void on_request(struct http_req *r, void *arg)
{
    (void)arg;
    http_reply(r, 200, "text/plain", STR("ok"), NULL, 0);
}

static void on_accept(void *arg, struct stream *s)
{
    http_server_serve(((struct world *)arg)->server, s);
}

static void dial(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct world *w = dial_arg;

    if (w->n_dials++) {
        tcp_dial(NULL, &w->loop, "127.0.0.1", listener_port(w->listener), timeout_ms, done, arg);
        return;
    }
    w->hung = done;
    w->hung_arg = arg;
}

static void on_fetched(void *arg, int status, const struct http_headers *h, struct str body,
                       const struct err *e)
{
    (void)h;
    (void)body;
    ((struct world *)arg)->n_ok += !e && status == 200;
}

static void fetch(struct world *w)
{
    struct http_call_config c = { .method = "GET", .target = "/", .timeout_ms = 60000 };

    http_fetch(w->ep, &c, 1024, on_fetched, w);
}

static int are_both_served(void *arg)
{
    return ((struct world *)arg)->n_ok == 2;
}

static void on_time(void *arg)
{
    ((struct world *)arg)->n_times++;
}

static int time_has_come(void *arg)
{
    return ((struct world *)arg)->n_times;
}

static void calls_that_come_while_a_dial_hangs_have_one_of_their_own(void **state)
{
    struct http_server_config sc = { .on_request = on_request };
    struct world w = { 0 };
    struct http_endpoint_config ec = {
        .authority = "a:1", .proto = HTTP_H1, .dial = dial, .dial_arg = &w
    };
    struct err e;

    (void)state;
    assert_int_equal(uv_loop_init(&w.loop), 0);
    http_server_new(&w.server, &w.loop, &sc);
    assert_int_equal(tcp_listen(&w.listener, &w.loop, "127.0.0.1", 0, on_accept, &w, &e), 0);
    http_endpoint_new(&w.ep, &w.loop, &ec);
    timer_init(&w.timer, &w.loop);

    fetch(&w);
    timer_start_ms(&w.timer, 1200, on_time, &w);
    run_until(&w.loop, time_has_come, &w);
    assert_int_equal(w.n_dials, 1);
    fetch(&w);
    run_until(&w.loop, are_both_served, &w);

    err_set(&e, ERR_TIMEOUT, "it hung to its end");
    w.hung(w.hung_arg, NULL, &e);
    http_endpoint_close(w.ep, NULL, NULL);
    http_server_close(w.server, NULL, NULL);
    listener_close(w.listener, NULL, NULL);
    timer_close(&w.timer, NULL, NULL);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_come_while_a_dial_hangs_have_one_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
