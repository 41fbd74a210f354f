/* Nodes that come, go and are lost, and clients, over loopback TLS, with both protocols. */
#include "test/unit/tunnel/loop_rig.h"

#include "base/io/tcp.h"
#include "test/fault/proxy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

/* ---- nodes ---- */

static int was_reconnected(void *arg)
{
    struct world *w = arg;

    return w->n_node_up == 2 && is_connected(w);
}

static void a_lost_session_is_remembered_and_comes_back(void **state)
{
    struct world w;
    struct dialed d;
    struct end mine = { 0 };
    struct tunnel_node_state st;

    (void)state;
    connected_world_init(&w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_true(st.connected);
    assert_int_equal(st.n_connects, 1);
    assert_true(str_starts(str_of(st.remote), STR("127.0.0.1:")));
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);

    tunnel_server_forget(w.ts, "n1");
    run_until(&w.loop, end_has_error, &mine);
    assert_string_equal(mine.err.text, "node n1: tunnel disconnect: the node was deleted");
    assert_int_equal(w.n_node_down, 1);
    run_until(&w.loop, was_reconnected, &w);
    end_finish(&w, &mine);
    world_deinit(&w);
}

static int went_down(void *arg)
{
    return ((struct world *)arg)->n_node_down;
}

static void a_silent_node_is_dropped(void **state)
{
    struct world w;
    struct tunnel_node_state st;
    struct fault_proxy *hole;
    char address[32];
    struct err e;

    (void)state;
    world_init(&w, 300);
    assert_int_equal(fault_proxy_new(&hole, &w.loop, "127.0.0.1:0", w.address, &e), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", fault_proxy_port(hole));
    connect_set(&w, &ca, address);
    w.n_wanted = 1;
    run_until(&w.loop, is_connected, &w);
    fault_proxy_hole(hole, FAULT_UP);
    run_until(&w.loop, went_down, &w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_true(str_starts(str_of(st.last_error), STR("no answer from n1 to pings")));
    fault_proxy_close(hole, NULL, NULL);
    world_deinit(&w);
}

static int only_one_is_left(void *arg)
{
    struct world *w = arg;
    struct tunnel_node_state st;

    return tunnel_server_node(w->ts, "n1", &st) && st.n_connects == 2 && st.n_sessions == 1;
}

/* Its connection broke where the server cannot see it. */
static void a_client_that_connects_again_replaces_its_session(void **state)
{
    struct world w;
    struct fault_proxy *p;
    struct tunnel_node_state st;
    struct end mine = { 0 };
    struct dialed d;
    struct tunnel_client_options o;
    char text[32];
    const char *address = text;
    struct err e;

    (void)state;
    world_init(&w, remotedialer ? 300 : 0);
    o = options(&w, &ca);
    o.remotedialer = remotedialer;
    assert_int_equal(fault_proxy_new(&p, &w.loop, "127.0.0.1:0", w.address, &e), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", fault_proxy_port(p));
    assert_int_equal(tunnel_client_set_new(&w.set, &w.loop, &o, &e), 0);
    assert_int_equal(tunnel_client_set_servers(w.set, &address, 1, &e), 0);
    w.n_wanted = 1;
    run_until(&w.loop, is_connected, &w);
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);
    fault_proxy_reset(p, FAULT_DOWN);
    run_until(&w.loop, only_one_is_left, &w);
    run_until(&w.loop, end_has_error, &mine);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    if (remotedialer) /* a K3s agent does not say which of its clients it is: it is asked */
        assert_true(str_starts(str_of(st.last_error), STR("no answer from n1")));
    else
        assert_string_equal(st.last_error, "the agent connected again");
    assert_int_equal(w.n_node_up, 1);
    assert_int_equal(w.n_node_down, 0);
    end_finish(&w, &mine);
    fault_proxy_close(p, NULL, NULL);
    world_deinit(&w);
}

static void the_newest_of_two_sessions_is_used(void **state)
{
    struct world w;
    struct tunnel_client *second;
    struct tunnel_client_options o;
    struct tunnel_node_state st;
    struct dialed d;
    struct end mine = { 0 };
    struct err e;

    (void)state;
    connected_world_init(&w);
    o = options(&w, &ca);
    o.on_state = NULL;
    assert_int_equal(tunnel_client_new(&second, &w.loop, w.address, &o, &e), 0);
    while (tunnel_server_n_sessions(w.ts) < 2)
        uv_run(&w.loop, UV_RUN_ONCE);
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);
    mine.want = 5;
    stream_write(d.s, "hello", 5);
    run_until(&w.loop, end_got_want, &mine);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_int_equal(st.n_sessions, 2);
    assert_int_equal(st.n_streams, 1); /* the newest one's */
    end_finish(&w, &mine);

    tunnel_client_close(second, NULL, NULL);
    run_until(&w.loop, is_connected, &w);
    assert_int_equal(w.n_node_up, 1);
    assert_int_equal(w.n_node_down, 0);
    world_deinit(&w);
}

static int has_evicted(void *arg)
{
    struct world *w = arg;

    return w->last.state == TUNNEL_CLIENT_WAITING;
}

static void a_node_has_a_few_sessions_at_most(void **state)
{
    struct world w;
    struct tunnel_client *more[4];
    struct tunnel_client_options o;
    struct tunnel_node_state st;
    struct err e;

    (void)state;
    connected_world_init(&w);
    o = options(&w, &ca);
    o.on_state = NULL;
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        assert_int_equal(tunnel_client_new(&more[i], &w.loop, w.address, &o, &e), 0);
    run_until(&w.loop, has_evicted, &w); /* the first and oldest one */
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_true(st.n_sessions <= 4);
    assert_string_equal(st.last_error, "the node has too many sessions");
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        tunnel_client_close(more[i], NULL, NULL);
    world_deinit(&w);
}

/* ---- clients ---- */

static int has_failed(void *arg)
{
    struct world *w = arg;

    return w->last.state == TUNNEL_CLIENT_WAITING;
}

static void failures_say_where_they_happened(void **state)
{
    static const struct {
        const struct cert *trust;
        const char *address; /* NULL: the server's */
        int refuse_status;
        enum tunnel_failure failure;
        const char *text; /* a part of it */
    } t[] = {
        { &ca, "no-such-host.invalid:6443", 0, TUNNEL_FAIL_DNS, "no-such-host.invalid" },
        { &ca, "127.0.0.1:1", 0, TUNNEL_FAIL_TCP, "refused" },
        { &other_ca, NULL, 0, TUNNEL_FAIL_TLS, "certificate" },
        { &ca, NULL, 401, TUNNEL_FAIL_HTTP, "401 Unauthorized" },
        { &ca, NULL, 503, TUNNEL_FAIL_HTTP, "503 Service Unavailable" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;

        world_init(&w, 0);
        w.refuse_status = t[i].refuse_status;
        connect_set(&w, t[i].trust, t[i].address ? t[i].address : w.address);
        run_until(&w.loop, has_failed, &w);
        if (w.last.failure != t[i].failure || !strstr(w.last.error, t[i].text))
            fail_msg("row %zu: %s: %s", i, tunnel_failure_name(w.last.failure), w.last.error);
        assert_int_equal(w.last.http_status, t[i].refuse_status);
        w.refuse_status = 0;
        if (t[i].refuse_status) { /* it goes on trying */
            w.n_wanted = 1;
            run_until(&w.loop, is_connected, &w);
        }
        world_deinit(&w);
    }
}

static void a_client_may_be_closed_at_any_moment(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    world_init(&w, 0);
    for (unsigned n_turns = 0; n_turns < 40; n_turns++) {
        struct tunnel_client_options o = options(&w, &ca);
        struct tunnel_client *c;

        assert_int_equal(tunnel_client_new(&c, &w.loop, w.address, &o, &e), 0);
        for (unsigned i = 0; i < n_turns; i++) {
            uv_run(&w.loop, UV_RUN_NOWAIT);
            if (n_turns % 2) /* half of them get further: the kernel needs time too */
                uv_sleep(1);
        }
        w.n_closed = 0;
        tunnel_client_close(c, count_closed, &w);
        assert_int_equal(w.n_closed, 0);
        while (!w.n_closed)
            uv_run(&w.loop, UV_RUN_ONCE);
    }
    w.n_closed = 0;
    world_deinit(&w);
}

static int was_asked(void *arg)
{
    struct world *w = arg;
    struct tunnel_node_state st;

    /* the ping is the only thing that is said: both just connected */
    return tunnel_server_node(w->ts, "n1", &st) && st.last_frame_ago_ms < 20;
}

static void a_doubt_is_settled_by_an_answer(void **state)
{
    struct world w;
    struct tunnel_node_state st;

    (void)state;
    connected_world_init(&w);
    for (int i = 0; i < 100; i++) { /* the first pings have been answered */
        uv_run(&w.loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    tunnel_client_set_doubt(w.set);
    run_until(&w.loop, was_asked, &w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_true(st.connected);
    assert_int_equal(st.n_connects, 1);
    world_deinit(&w);
}

/* ---- an owner who dials himself ---- */

struct dialer_log {
    struct world *w;
    char host[64];
    unsigned n_dials;
};

static void *dial_elsewhere(void *arg, const char *host, uint16_t port, uint64_t timeout_ms,
                            http_dialed_fn done, void *done_arg)
{
    struct dialer_log *l = arg;
    struct tcp_dial *d;

    (void)port;
    l->n_dials++;
    snprintf(l->host, sizeof l->host, "%s", host);
    tcp_dial(&d, &l->w->loop, "127.0.0.1", listener_port(l->w->listener), timeout_ms, done,
             done_arg);
    return d;
}

static void cancel_elsewhere(void *d)
{
    tcp_dial_cancel(d);
}

static void an_owner_may_dial_himself(void **state)
{
    struct world w;
    struct dialer_log l = { &w, "", 0 };
    struct tunnel_dialer dialer = { dial_elsewhere, cancel_elsewhere, &l };
    const char *address = "behind.a.proxy.test:6443";
    struct tunnel_client_options o;
    struct err e;

    (void)state;
    world_init(&w, 0);
    o = options(&w, &ca);
    o.tls_name = "127.0.0.1";
    o.dialer = &dialer;
    assert_int_equal(tunnel_client_set_new(&w.set, &w.loop, &o, &e), 0);
    assert_int_equal(tunnel_client_set_servers(w.set, &address, 1, &e), 0);
    w.n_wanted = 1;
    run_until(&w.loop, is_connected, &w);
    assert_int_equal(l.n_dials, 1);
    assert_string_equal(l.host, "behind.a.proxy.test"); /* unresolved */
    world_deinit(&w);
}

static void a_list_of_servers_is_followed(void **state)
{
    struct world w;
    struct tunnel_client_status st[3];
    struct err e;
    const char *both[] = { NULL, "127.0.0.1:1" };
    const char *bad[] = { "127.0.0.1:1", "nowhere" };

    (void)state;
    connected_world_init(&w);
    both[0] = w.address;
    assert_int_equal(tunnel_client_set_servers(w.set, both, 2, &e), 0);
    assert_int_equal(tunnel_client_set_status(w.set, st, 3), 2);
    assert_int_equal(st[0].n_connects, 1); /* not touched */
    assert_int_equal(tunnel_client_set_servers(w.set, bad, 2, &e), ERR_INVALID);
    assert_int_equal(tunnel_client_set_status(w.set, st, 3), 2);
    assert_int_equal(tunnel_client_set_servers(w.set, both + 1, 1, &e), 0);
    assert_int_equal(tunnel_client_set_status(w.set, st, 3), 1);
    assert_string_equal(st[0].address, "127.0.0.1:1");
    w.n_wanted = 0;
    run_until(&w.loop, is_connected, &w);
    world_deinit(&w);
}

static void broken_credentials_are_refused_and_the_old_ones_stay(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    connected_world_init(&w);
    assert_int_not_equal(tunnel_client_set_reload(w.set, str_of(ca.cert_pem),
                                                  str_of(node_cert.cert_pem),
                                                  str_of(server_cert.key_pem), &e),
                         0);
    assert_int_equal(tunnel_client_set_reload(w.set, str_of(ca.cert_pem),
                                              str_of(node_cert.cert_pem), str_of(node_cert.key_pem),
                                              &e),
                     0);
    tunnel_server_forget(w.ts, "n1");
    run_until(&w.loop, was_reconnected, &w);
    world_deinit(&w);
}

/* ---- leaks ---- */

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void cycles_leave_no_stream_and_no_descriptor(void **state)
{
    struct world w;
    int before;

    (void)state;
    connected_world_init(&w);
    w.kubelet_hangs_up = true;
    before = count_fds();
    for (unsigned i = 0; i < 300; i++) {
        struct dialed d = { 0 };
        struct end mine = { 0 };

        dial(&w, "n1", w.kubelet_address, 15000, &d);
        assert_non_null(d.s);
        if (i % 10 == 0) {
            stream_close(d.s); /* never opened */
            continue;
        }
        end_open(&mine, d.s);
        if (i % 3)
            run_until(&w.loop, end_has_ended, &mine);
        end_finish(&w, &mine);
    }
    run_until(&w.loop, wait_no_streams, &w);
    for (unsigned i = 0; count_fds() > before && i < 1000; i++) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    assert_int_equal(count_fds(), before);
    world_deinit(&w);
}

int main(void)
{
#define TESTS                                                                                      \
    cmocka_unit_test(a_lost_session_is_remembered_and_comes_back),                                 \
        cmocka_unit_test(a_silent_node_is_dropped),                                                \
        cmocka_unit_test(a_client_that_connects_again_replaces_its_session),                       \
        cmocka_unit_test(the_newest_of_two_sessions_is_used),                                      \
        cmocka_unit_test(a_node_has_a_few_sessions_at_most),                                       \
        cmocka_unit_test(failures_say_where_they_happened),                                        \
        cmocka_unit_test(a_client_may_be_closed_at_any_moment),                                    \
        cmocka_unit_test(a_doubt_is_settled_by_an_answer),                                         \
        cmocka_unit_test(an_owner_may_dial_himself),                                               \
        cmocka_unit_test(a_list_of_servers_is_followed),                                           \
        cmocka_unit_test(broken_credentials_are_refused_and_the_old_ones_stay),                    \
        cmocka_unit_test(cycles_leave_no_stream_and_no_descriptor)
    const struct CMUnitTest own[] = { TESTS };
    const struct CMUnitTest k3s[] = { TESTS };

    return cmocka_run_group_tests_name("coracle.v1", own, make_certs, free_certs) +
           cmocka_run_group_tests_name("remotedialer", k3s, make_certs_again, free_certs);
}
