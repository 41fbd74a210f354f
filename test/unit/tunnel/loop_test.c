/* Streams through a tunnel over loopback TLS, with both protocols. */
#include "test/unit/tunnel/loop_rig.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static void megabytes_echo_through_the_tunnel(void **state)
{
    struct world w;
    struct dialed d;
    struct end mine = { .pause_every = 40 };

    (void)state;
    connected_world_init(&w);
    assert_int_equal(w.last.state, TUNNEL_CLIENT_CONNECTED);
    assert_string_equal(w.last.address, w.address);
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    assert_non_null(d.s);
    end_open(&mine, d.s);
    end_send_pattern(&mine, 8 * 1024 * 1024);
    run_until(&w.loop, end_got_pattern, &mine);
    assert_true(mine.n_drains > 0);
    end_finish(&w, &mine);
    world_deinit(&w);
}

static void an_end_of_the_target_comes_as_an_end(void **state)
{
    struct world w;
    struct dialed d;
    struct end mine = { 0 };

    (void)state;
    connected_world_init(&w);
    w.kubelet_hangs_up = true;
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);
    run_until(&w.loop, end_has_ended, &mine);
    end_finish(&w, &mine);
    run_until(&w.loop, wait_no_streams, &w);
    world_deinit(&w);
}

/* Remotedialer has no answer to a dial: its stream breaks. */
static void dial_fails(struct world *w, const char *address, struct err *e)
{
    struct end mine = { 0 };
    struct dialed d;

    dial(w, "n1", address, 15000, &d);
    if (!remotedialer) {
        assert_null(d.s);
        *e = d.err;
        return;
    }
    end_open(&mine, d.s);
    run_until(&w->loop, end_has_error, &mine);
    *e = mine.err;
    end_finish(w, &mine);
}

static void a_refused_connection_is_told_by_its_text(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    connected_world_init(&w);
    w.authorizer.kubelet_port = 1;
    dial_fails(&w, "127.0.0.1:1", &e);
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(e.sys, remotedialer ? 0 : ECONNREFUSED);
    assert_string_equal(e.text, "node n1: dial tcp 127.0.0.1:1: connect: connection refused");
    world_deinit(&w);
}

static void a_target_that_is_not_allowed_ends_that_stream_only(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    connected_world_init(&w);
    dial_fails(&w, "127.0.0.1:22", &e);
    assert_int_equal(e.code, remotedialer ? ERR_IO : ERR_DENIED);
    assert_string_equal(e.text, "node n1: not allowed: tcp/127.0.0.1:22");
    assert_true(is_connected(&w));
    world_deinit(&w);
}

static void each_direction_ends_by_itself(void **state)
{
    struct world w;
    struct dialed d;
    struct end mine = { 0 };
    enum { BYTES = 3 * 1024 * 1024 };

    (void)state;
    connected_world_init(&w);
    w.kubelet_stays = true;
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);
    end_send_pattern(&mine, BYTES);
    while (mine.pattern_left)
        uv_run(&w.loop, UV_RUN_ONCE);
    stream_shutdown(d.s); /* much of it has not come back yet */
    run_until(&w.loop, end_has_ended, &mine);
    assert_true(end_got_pattern(&mine));
    assert_int_equal(mine.n_errors, 0);
    end_finish(&w, &mine);
    run_until(&w.loop, wait_no_streams, &w);
    world_deinit(&w);
}

static void protocols_are_told(void **state)
{
    struct world w;
    struct tunnel_node_state st;

    (void)state;
    connected_world_init(&w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_int_equal(st.own_protocol, !remotedialer);
    assert_int_equal(w.last.own_protocol, !remotedialer);
    world_deinit(&w);
}

/* A client that offers nothing but remotedialer, as K3s' agent, is served by our server. */
static void an_agent_without_our_protocol_is_served(void **state)
{
    struct world w;
    struct tunnel_client_options o;
    struct tunnel_node_state st;
    const char *address;
    struct err e;

    (void)state;
    world_init(&w, 0);
    o = options(&w, &ca);
    o.remotedialer = true;
    address = w.address;
    assert_int_equal(tunnel_client_set_new(&w.set, &w.loop, &o, &e), 0);
    assert_int_equal(tunnel_client_set_servers(w.set, &address, 1, &e), 0);
    w.n_wanted = 1;
    run_until(&w.loop, is_connected, &w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_false(st.own_protocol);
    world_deinit(&w);
}

static void an_unknown_node_is_not_found_in_k3s_words(void **state)
{
    struct world w;
    struct dialed d;
    struct tunnel_node_state st;

    (void)state;
    connected_world_init(&w);
    dial(&w, "n2", w.kubelet_address, 15000, &d);
    assert_null(d.s);
    assert_int_equal(d.err.code, ERR_NOT_FOUND);
    assert_string_equal(d.err.text, "failed to find Session for client n2");
    assert_false(tunnel_server_has(w.ts, "n2"));
    assert_false(tunnel_server_node(w.ts, "n2", &st));
    world_deinit(&w);
}

struct quiet {
    struct end *sender;
    size_t left;
    int n_same;
};

static int has_stalled(void *arg)
{
    struct quiet *q = arg;

    q->n_same = q->left == q->sender->pattern_left ? q->n_same + 1 : 0;
    q->left = q->sender->pattern_left;
    return q->n_same > 40; /* the loop turns every 5 ms when nothing happens */
}

static void a_stalled_reader_stops_its_sender_and_no_other(void **state)
{
    struct world w;
    struct dialed d, d2;
    struct end stalled = { .pause_at_data = true }, quick = { .want = 5 };
    struct quiet q = { 0 };

    (void)state;
    connected_world_init(&w);
    w.kubelet_bytes = 24 * 1024 * 1024;
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&stalled, d.s);
    while (!w.n_echoes)
        uv_run(&w.loop, UV_RUN_ONCE);
    q.sender = w.echoes[0];
    run_until(&w.loop, has_stalled, &q);
    assert_true(q.left > 4 * 1024 * 1024);
    assert_int_equal(stalled.n_errors, 0);

    w.kubelet_bytes = 0;
    dial(&w, "n1", w.kubelet_address, 15000, &d2);
    end_open(&quick, d2.s);
    stream_write(d2.s, "hello", 5);
    run_until(&w.loop, end_got_want, &quick);

    stalled.pause_at_data = false;
    stalled.pattern_bytes = 24 * 1024 * 1024; /* what it expects */
    stream_resume(d.s);
    run_until(&w.loop, end_got_pattern, &stalled);
    end_finish(&w, &stalled);
    end_finish(&w, &quick);
    world_deinit(&w);
}

struct fetched {
    int n, status;
    char body[16];
    struct err err;
};

static void on_fetched(void *arg, int status, const struct http_headers *h, struct str body,
                       const struct err *e)
{
    struct fetched *f = arg;

    (void)h;
    f->n++;
    f->status = status;
    snprintf(f->body, sizeof f->body, STR_FMT, STR_ARG(body));
    if (e)
        f->err = *e;
}

static int is_fetched(void *arg)
{
    return ((struct fetched *)arg)->n;
}

static void https_runs_over_a_stream(void **state)
{
    struct world w;
    struct tunnel_dial_target target;
    struct tls_client_options to = { .ca_pem = str_of(ca.cert_pem) };
    struct http_endpoint_config ec = { .authority = "127.0.0.1:10250",
                                       .dial = tunnel_server_http_dial,
                                       .dial_arg = &target,
                                       .proto = HTTP_H1 };
    struct http_call_config cc = { .method = "GET", .target = "/healthz" };
    struct tls_client_config *tls;
    struct http_endpoint *ep;
    struct fetched f;
    struct err e;

    (void)state;
    connected_world_init(&w);
    w.kubelet_serves = true;
    target = (struct tunnel_dial_target){ w.ts, "n1", w.kubelet_address };
    assert_int_equal(tls_client_config_new(&tls, &to, &e), 0);
    ec.tls = tls;
    http_endpoint_new(&ep, &w.loop, &ec);
    for (unsigned i = 0; i < 3; i++) { /* the later ones on the kept connection */
        f = (struct fetched){ 0 };
        http_fetch(ep, &cc, 1024, on_fetched, &f);
        run_until(&w.loop, is_fetched, &f);
        assert_int_equal(f.status, 200);
        assert_string_equal(f.body, "ok");
    }
    http_endpoint_close(ep, NULL, NULL);

    /* the reason of a failed dial reaches who asked */
    w.authorizer.kubelet_port = 1;
    target.address = "127.0.0.1:1";
    http_endpoint_new(&ep, &w.loop, &ec);
    f = (struct fetched){ 0 };
    http_fetch(ep, &cc, 1024, on_fetched, &f);
    run_until(&w.loop, is_fetched, &f);
    if (!strstr(f.err.text, "node n1: dial tcp 127.0.0.1:1: connect: connection refused"))
        fail_msg("%s", f.err.text);
    http_endpoint_close(ep, NULL, NULL);
    world_deinit(&w);
    tls_client_config_free(tls);
}

/* While the agent dials, while nothing has gone out yet, and with the result at hand. */
static void a_dial_can_be_canceled(void **state)
{
    struct world w;

    (void)state;
    connected_world_init(&w);
    for (unsigned turns = 0; turns < 12; turns++) {
        struct dialed d = { 0 };

        tunnel_server_dial(w.ts, "n1", w.kubelet_address, 15000, on_dialed, &d);
        for (unsigned i = 0; i < turns && !d.n; i++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
        tunnel_server_dial_cancel(w.ts, &d);
        if (d.n) { /* too late */
            stream_close(d.s);
            continue;
        }
        run_until(&w.loop, dial_is_done, &d);
        assert_null(d.s);
        assert_int_equal(d.err.code, ERR_CANCELED);
    }
    run_until(&w.loop, wait_no_streams, &w);
    world_deinit(&w);
}

static void closing_the_server_cancels_dials_and_breaks_streams(void **state)
{
    struct world w;
    struct dialed d, late = { 0 };
    struct end mine = { 0 };

    (void)state;
    connected_world_init(&w);
    dial(&w, "n1", w.kubelet_address, 15000, &d);
    end_open(&mine, d.s);
    tunnel_server_dial(w.ts, "n1", w.kubelet_address, 15000, on_dialed, &late);
    w.survivor = &mine;
    world_deinit(&w);
    assert_string_equal(mine.err.text, "node n1: tunnel disconnect: the server is closing");
    assert_int_equal(late.err.code, ERR_CANCELED);
    assert_int_equal(late.n, 1);
}

static int both_dialed(void *arg)
{
    struct dialed *d = arg;

    return d[0].n && d[1].n;
}

/* Whoever still wants a node while the server stops is told at once. */
static void a_stopped_server_ends_dials_and_takes_no_tunnel(void **state)
{
    struct world w;
    struct dialed d[2] = { 0 };

    (void)state;
    connected_world_init(&w);
    tunnel_server_dial(w.ts, "n1", w.kubelet_address, 3600000, on_dialed, &d[0]);
    tunnel_server_stop(w.ts);
    tunnel_server_dial(w.ts, "n1", w.kubelet_address, 3600000, on_dialed, &d[1]);
    run_until(&w.loop, both_dialed, d);
    if (d[0].s) /* remotedialer: handed out before anything is known, and broken by now */
        stream_close(d[0].s);
    else
        assert_int_equal(d[0].err.code, ERR_CANCELED);
    assert_int_equal(d[1].err.code, ERR_CANCELED);
    w.last.http_status = 0;
    while (w.last.http_status != 503)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(tunnel_server_n_sessions(w.ts), 0);
    world_deinit(&w);
}

int main(void)
{
#define TESTS                                                                                      \
    cmocka_unit_test(megabytes_echo_through_the_tunnel),                                           \
        cmocka_unit_test(an_end_of_the_target_comes_as_an_end),                                    \
        cmocka_unit_test(a_refused_connection_is_told_by_its_text),                                \
        cmocka_unit_test(a_target_that_is_not_allowed_ends_that_stream_only),                      \
        cmocka_unit_test(protocols_are_told),                                                      \
        cmocka_unit_test(an_unknown_node_is_not_found_in_k3s_words),                               \
        cmocka_unit_test(a_stalled_reader_stops_its_sender_and_no_other),                          \
        cmocka_unit_test(https_runs_over_a_stream), cmocka_unit_test(a_dial_can_be_canceled),      \
        cmocka_unit_test(closing_the_server_cancels_dials_and_breaks_streams),                     \
        cmocka_unit_test(a_stopped_server_ends_dials_and_takes_no_tunnel)
    const struct CMUnitTest own[] = { cmocka_unit_test(each_direction_ends_by_itself),
                                      cmocka_unit_test(an_agent_without_our_protocol_is_served),
                                      TESTS };
    const struct CMUnitTest k3s[] = { TESTS };

    return cmocka_run_group_tests_name("coracle.v1", own, make_certs, free_certs) +
           cmocka_run_group_tests_name("remotedialer", k3s, make_certs_again, free_certs);
}
