#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "base/io/unix.h"
#include "test/unit/base/io/io_end.h"

/* A listener, a dial to it, and both ends of the one connection. */
struct pair {
    uv_loop_t loop;
    struct listener *listener;
    struct end server, client;
    struct err dial_err;
    int n_dialed;
};

static void on_accept(void *arg, struct stream *s)
{
    struct pair *p = arg;

    assert_null(p->server.s);
    end_open(&p->server, s);
}

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct pair *p = arg;

    p->n_dialed++;
    if (s)
        end_open(&p->client, s);
    else
        p->dial_err = *e;
}

static int is_paired(void *arg)
{
    struct pair *p = arg;

    return p->server.s && p->client.s;
}

static void pair_init(struct pair *p)
{
    struct err e;

    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    assert_int_equal(tcp_listen(&p->listener, &p->loop, "127.0.0.1", 0, on_accept, p, &e), 0);
    tcp_dial(NULL, &p->loop, "127.0.0.1", listener_port(p->listener), 5000, on_dialed, p);
    assert_null(p->client.s); /* never from inside */
    run_until(&p->loop, is_paired, p);
    assert_int_equal(p->n_dialed, 1);
}

static void pair_deinit(struct pair *p)
{
    if (p->listener)
        listener_close(p->listener, NULL, NULL);
    end_close(&p->server);
    end_close(&p->client);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(p->server.n_closed, p->server.s != NULL);
    assert_int_equal(p->client.n_closed, p->client.s != NULL);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    end_deinit(&p->server);
    end_deinit(&p->client);
}

static void megabytes_echo_with_a_slow_reader(void **state)
{
    struct pair p;
    (void)state;

    pair_init(&p);
    p.server.echo = true;
    p.client.pause_every = 7;
    end_send_pattern(&p.client, 5 * 1024 * 1024);
    run_until(&p.loop, end_got_pattern, &p.client);
    assert_int_equal(p.client.got.n, 5 * 1024 * 1024);
    assert_true(p.client.n_drains > 0);
    assert_int_equal(stream_queued(p.client.s), 0);
    pair_deinit(&p);
}

static void small_writes_of_one_turn_arrive_together(void **state)
{
    struct pair p;
    (void)state;

    pair_init(&p);
    for (int i = 0; i < 100; i++)
        stream_write(p.client.s, "abc", 3);
    assert_int_equal(stream_queued(p.client.s), 300);
    p.server.want = 300;
    run_until(&p.loop, end_got_want, &p.server);
    assert_int_equal(p.server.n_data, 1);
    pair_deinit(&p);
}

static void half_close_keeps_the_other_direction(void **state)
{
    struct pair p;
    (void)state;

    pair_init(&p);
    stream_write(p.client.s, "ask", 3);
    stream_shutdown(p.client.s);
    stream_write(p.client.s, "late", 4); /* dropped */
    run_until(&p.loop, end_has_ended, &p.server);
    assert_int_equal(p.server.got.n, 3);
    stream_write(p.server.s, "answer", 6);
    p.client.want = 6;
    run_until(&p.loop, end_got_want, &p.client);
    assert_int_equal(p.client.n_ends, 0);
    assert_int_equal(p.server.n_ends, 1);
    pair_deinit(&p);
}

static void reset_is_an_error_once(void **state)
{
    struct pair p;
    struct linger l = { .l_onoff = 1, .l_linger = 0 };
    int fds[64], n = 0;
    (void)state;

    pair_init(&p);
    /* SO_LINGER 0 on the client's socket: found by its port */
    for (int fd = 3; fd < 64; fd++)
        if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0)
            fds[n++] = fd;
    assert_true(n >= 2);
    (void)fds;
    stream_close(p.client.s);
    p.client.closing = true;
    run_until(&p.loop, end_has_error, &p.server);
    assert_int_equal(p.server.err.code, ERR_CLOSED);
    assert_int_equal(p.server.err.sys, ECONNRESET);
    stream_write(p.server.s, "x", 1);
    stream_shutdown(p.server.s);
    stream_close_flushed(p.server.s, 60000); /* nothing to wait for */
    p.server.closing = true;
    pair_deinit(&p);
    assert_int_equal(p.server.n_errors, 1);
}

static void closing_from_any_event_is_safe(void **state)
{
    static const enum end_event events[] = { END_DATA, END_END, END_DRAIN };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct pair p;

        pair_init(&p);
        p.client.close_on = events[i];
        p.server.echo = true;
        end_send_pattern(&p.client, 16 * 1024 * 1024); /* more than the kernel takes */
        stream_shutdown(p.client.s);
        p.client.pattern_left = 0;
        run_until(&p.loop, end_is_closed, &p.client);
        assert_int_equal(p.client.n_closed, 1);
        pair_deinit(&p);
    }
}

static void close_flushed_delivers_everything_to_a_slow_reader_that_still_sends(void **state)
{
    struct pair p;
    auto_buf b = BUF(3000000);
    (void)state;

    pair_init(&p);
    stream_pause(p.client.s);
    stream_write(p.client.s, "unread by the server", 20);
    assert_int_equal(buf_reserve(&b, 3000000), 0);
    memset(b.p, 'x', 3000000);
    stream_pause(p.server.s);
    stream_write(p.server.s, b.p, 3000000);
    stream_close_flushed(p.server.s, 60000);
    stream_close_flushed(p.server.s, 1); /* the first one counts */
    p.server.closing = true;
    for (int i = 0; i < 20; i++)
        uv_run(&p.loop, UV_RUN_NOWAIT);
    assert_int_equal(p.server.n_closed, 0);
    stream_resume(p.client.s);
    p.client.close_on = END_END;
    run_until(&p.loop, end_is_closed, &p.client);
    assert_int_equal(p.client.got.n, 3000000);
    assert_int_equal(p.client.n_errors, 0);
    pair_deinit(&p);
    assert_int_equal(p.server.n_data, 0);
}

static void close_flushed_gives_up_at_its_deadline(void **state)
{
    struct pair p;
    auto_buf b = BUF(30000000);
    (void)state;

    pair_init(&p);
    stream_pause(p.client.s); /* never reads */
    assert_int_equal(buf_reserve(&b, 30000000), 0);
    memset(b.p, 'x', 30000000);
    stream_write(p.server.s, b.p, 30000000);
    stream_close_flushed(p.server.s, 50);
    p.server.closing = true;
    run_until(&p.loop, end_is_closed, &p.server);
    pair_deinit(&p);
}

static void handover_passes_leftover_first_then_the_rest_and_the_end(void **state)
{
    struct pair p;
    struct end next = { .want = 0 };
    (void)state;

    pair_init(&p);
    p.server.pause_at_data = true;
    stream_write(p.client.s, "one", 3);
    p.server.want = 3;
    run_until(&p.loop, end_got_want, &p.server);
    stream_write(p.client.s, "two", 3);
    stream_shutdown(p.client.s);
    end_handover(&next, &p.server, STR("left "));
    assert_int_equal(next.n_data, 0); /* not from inside */
    run_until(&p.loop, end_has_ended, &next);
    assert_memory_equal(next.got.p, "left two", 8);
    assert_int_equal(p.server.got.n, 3);
    /* And once more: the end is told to each owner. */
    p.server.s = NULL;
    end_handover(&p.server, &next, STR(""));
    p.server.n_ends = 0;
    run_until(&p.loop, end_has_ended, &p.server);
    pair_deinit(&p);
    end_deinit(&next);
}

static void addresses_of_both_ends_are_known(void **state)
{
    struct pair p;
    struct sockaddr_storage a, b;
    char ta[TCP_ADDR_TEXT_BYTES], tb[TCP_ADDR_TEXT_BYTES];
    (void)state;

    pair_init(&p);
    assert_true(stream_local_addr(p.client.s, &a));
    assert_true(stream_peer_addr(p.server.s, &b));
    assert_string_equal(tcp_addr_text(ta, (struct sockaddr *)&a),
                        tcp_addr_text(tb, (struct sockaddr *)&b));
    assert_true(stream_peer_addr(p.client.s, &a));
    snprintf(tb, sizeof tb, "127.0.0.1:%u", listener_port(p.listener));
    assert_string_equal(tcp_addr_text(ta, (struct sockaddr *)&a), tb);
    assert_null(stream_tls_peer(p.client.s));
    pair_deinit(&p);
}

static int dial_is_done(void *arg)
{
    struct pair *p = arg;

    return p->n_dialed;
}

static void failed_dials_say_why(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        enum err_code code;
        int sys;
        const char *text;
    } rows[] = {
        { "127.0.0.1", 1, ERR_IO, ECONNREFUSED, "dial 127.0.0.1:1: connect to 127.0.0.1:1: " },
        { "[::ffff:127.0.0.1]", 1, ERR_IO, ECONNREFUSED, "connection refused" },
        { "255.255.255.255", 1, ERR_IO, ENETUNREACH, "unreachable" },
        { "", 1, ERR_INVALID, 0, "not a host name" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair p = { .n_dialed = 0 };

        assert_int_equal(uv_loop_init(&p.loop), 0);
        tcp_dial(NULL, &p.loop, rows[i].host, rows[i].port, 5000, on_dialed, &p);
        assert_int_equal(p.n_dialed, 0);
        run_until(&p.loop, dial_is_done, &p);
        uv_run(&p.loop, UV_RUN_DEFAULT);
        assert_int_equal(p.n_dialed, 1);
        if (p.dial_err.sys == EACCES) /* a kernel may forbid broadcast first */
            p.dial_err.sys = rows[i].sys, p.dial_err.code = rows[i].code;
        else
            assert_non_null(strstr(p.dial_err.text, rows[i].text));
        assert_int_equal(p.dial_err.code, rows[i].code);
        assert_int_equal(p.dial_err.sys, rows[i].sys);
        assert_int_equal(uv_loop_close(&p.loop), 0);
    }
}

static void name_that_does_not_exist_is_told_from_a_dead_host(void **state)
{
    struct pair p = { .n_dialed = 0 };
    (void)state;

    assert_int_equal(uv_loop_init(&p.loop), 0);
    tcp_dial(NULL, &p.loop, "no-such-host.invalid", 80, 20000, on_dialed, &p);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    assert_int_equal(p.n_dialed, 1);
    /* without any resolver it is AGAIN, or the deadline */
    assert_true(p.dial_err.code == ERR_NOT_FOUND || p.dial_err.code == ERR_AGAIN ||
                p.dial_err.code == ERR_TIMEOUT);
    assert_non_null(strstr(p.dial_err.text, "resolve no-such-host.invalid"));
    assert_int_equal(uv_loop_close(&p.loop), 0);
}

static void name_with_an_address_that_refuses_falls_to_the_next(void **state)
{
    struct pair p = { .n_dialed = 0 };
    struct err e;
    (void)state;

    /* localhost is ::1 and 127.0.0.1 on most hosts; only the second listens */
    assert_int_equal(uv_loop_init(&p.loop), 0);
    assert_int_equal(tcp_listen(&p.listener, &p.loop, "127.0.0.1", 0, on_accept, &p, &e), 0);
    tcp_dial(NULL, &p.loop, "localhost", listener_port(p.listener), 20000, on_dialed, &p);
    run_until(&p.loop, is_paired, &p);
    pair_deinit(&p);
}

static void full_backlog_times_out(void **state)
{
    struct pair p = { .n_dialed = 0 };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[4];
    (void)state;

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        err_ignore(connect(fill[i], (struct sockaddr *)&a, sizeof a)); /* in progress */
    }
    assert_int_equal(uv_loop_init(&p.loop), 0);
    tcp_dial_addr(NULL, &p.loop, (struct sockaddr *)&a, 100, on_dialed, &p);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    assert_int_equal(p.n_dialed, 1);
    assert_int_equal(p.dial_err.code, ERR_TIMEOUT);
    assert_int_equal(uv_loop_close(&p.loop), 0);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
}

static void canceled_dial_is_told_so_later(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        for (int turns = 0; turns < 3; turns++) {
            struct pair p = { .n_dialed = 0 };
            struct tcp_dial *d;

            assert_int_equal(uv_loop_init(&p.loop), 0);
            tcp_dial(&d, &p.loop, hosts[i], 1, 5000, on_dialed, &p);
            for (int t = 0; t < turns && !p.n_dialed; t++)
                uv_run(&p.loop, UV_RUN_NOWAIT);
            if (!p.n_dialed) {
                tcp_dial_cancel(d);
                tcp_dial_cancel(d);
                assert_int_equal(p.n_dialed, 0);
                uv_run(&p.loop, UV_RUN_DEFAULT);
                assert_int_equal(p.dial_err.code, ERR_CANCELED);
            }
            uv_run(&p.loop, UV_RUN_DEFAULT);
            assert_int_equal(p.n_dialed, 1);
            assert_int_equal(uv_loop_close(&p.loop), 0);
        }
}

static void taken_port_and_bad_addresses_are_refused(void **state)
{
    struct pair p = { .n_dialed = 0 };
    struct listener *second = NULL;
    struct err e;
    (void)state;

    assert_int_equal(uv_loop_init(&p.loop), 0);
    assert_int_equal(tcp_listen(&p.listener, &p.loop, "", 0, on_accept, &p, &e), 0);
    assert_int_equal(tcp_listen(&second, &p.loop, "", listener_port(p.listener), on_accept, &p, &e),
                     ERR_EXISTS);
    assert_int_equal(tcp_listen(&second, &p.loop, "localhost", 0, on_accept, &p, &e), ERR_INVALID);
    assert_int_equal(tcp_listen(&second, &p.loop, "192.0.2.1", 0, on_accept, &p, &e), ERR_IO);
    assert_int_equal(e.sys, EADDRNOTAVAIL);
    assert_null(second);
    pair_deinit(&p);
}

static void every_address_is_of_both_families(void **state)
{
    static const char *const every[] = { "", "::" };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct pair p = { .n_dialed = 0 };
    struct err e;
    (void)state;

    assert_int_equal(uv_loop_init(&p.loop), 0);
    for (size_t i = 0; i < ARRAY_LEN(every); i++) {
        auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (tcp_listen(&p.listener, &p.loop, every[i], 0, on_accept, &p, &e)) {
            assert_int_equal(e.sys, EAFNOSUPPORT); /* a host without IPv6 */
            continue;
        }
        a.sin_port = htons(listener_port(p.listener));
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        listener_close(STEAL(p.listener), NULL, NULL);
        uv_run(&p.loop, UV_RUN_DEFAULT);
    }
    pair_deinit(&p);
}

static void accepting_goes_on_after_descriptors_ran_out(void **state)
{
    struct pair p = { .n_dialed = 0 };
    struct rlimit old, low;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd;
    struct err e;
    (void)state;

    assert_int_equal(uv_loop_init(&p.loop), 0);
    assert_int_equal(tcp_listen(&p.listener, &p.loop, "127.0.0.1", 0, on_accept, &p, &e), 0);
    a.sin_port = htons(listener_port(p.listener));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    getrlimit(RLIMIT_NOFILE, &old);
    low = (struct rlimit){ (rlim_t)fd + 1, old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 5; i++)
        uv_run(&p.loop, UV_RUN_NOWAIT);
    assert_null(p.server.s);
    setrlimit(RLIMIT_NOFILE, &old);
    while (!p.server.s)
        uv_run(&p.loop, UV_RUN_ONCE);
    close(fd);
    pair_deinit(&p);
}

static void unix_sockets_work_the_same_and_replace_stale_files(void **state)
{
    struct pair p = { .n_dialed = 0 };
    struct listener *second = NULL;
    char path[64];
    struct err e;
    int fd;
    (void)state;

    snprintf(path, sizeof path, "/tmp/io-test-%d.sock", getpid());
    assert_int_equal(uv_loop_init(&p.loop), 0);
    assert_int_equal(unix_listen(&p.listener, &p.loop, path, 0600, on_accept, &p, &e), 0);
    assert_int_equal(unix_listen(&second, &p.loop, path, 0600, on_accept, &p, &e), ERR_EXISTS);
    listener_close(p.listener, NULL, NULL);
    assert_int_not_equal(access(path, F_OK), 0);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a stale file */
    struct sockaddr_un {
        sa_family_t f;
        char p[108];
    } a = { .f = AF_UNIX };
    snprintf(a.p, sizeof a.p, "%s", path);
    assert_int_equal(bind(fd, (void *)&a, sizeof a), 0);
    close(fd);
    unix_dial(&p.loop, path, 1000, on_dialed, &p);
    run_until(&p.loop, dial_is_done, &p);
    assert_int_equal(p.dial_err.sys, ECONNREFUSED);

    assert_int_equal(unix_listen(&p.listener, &p.loop, path, 0600, on_accept, &p, &e), 0);
    unix_dial(&p.loop, path, 1000, on_dialed, &p);
    run_until(&p.loop, is_paired, &p);
    p.server.echo = true;
    end_send_pattern(&p.client, 100000);
    run_until(&p.loop, end_got_pattern, &p.client);
    pair_deinit(&p);
}

static void unopened_streams_close_silently(void **state)
{
    uv_loop_t loop;
    struct stream *a, *b;
    struct err e;
    (void)state;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(unix_pair(&a, &b, &loop, &loop, &e), 0);
    stream_write(a, "bye", 3);
    stream_close_flushed(a, 1000);
    stream_close(b);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_echo_with_a_slow_reader),
        cmocka_unit_test(small_writes_of_one_turn_arrive_together),
        cmocka_unit_test(half_close_keeps_the_other_direction),
        cmocka_unit_test(reset_is_an_error_once),
        cmocka_unit_test(closing_from_any_event_is_safe),
        cmocka_unit_test(close_flushed_delivers_everything_to_a_slow_reader_that_still_sends),
        cmocka_unit_test(close_flushed_gives_up_at_its_deadline),
        cmocka_unit_test(handover_passes_leftover_first_then_the_rest_and_the_end),
        cmocka_unit_test(addresses_of_both_ends_are_known),
        cmocka_unit_test(failed_dials_say_why),
        cmocka_unit_test(name_that_does_not_exist_is_told_from_a_dead_host),
        cmocka_unit_test(name_with_an_address_that_refuses_falls_to_the_next),
        cmocka_unit_test(full_backlog_times_out),
        cmocka_unit_test(canceled_dial_is_told_so_later),
        cmocka_unit_test(taken_port_and_bad_addresses_are_refused),
        cmocka_unit_test(every_address_is_of_both_families),
        cmocka_unit_test(accepting_goes_on_after_descriptors_ran_out),
        cmocka_unit_test(unix_sockets_work_the_same_and_replace_stale_files),
        cmocka_unit_test(unopened_streams_close_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
