/* A tunnel server behind a real HTTPS server, real clients, a port that echoes as the kubelet; all
 * on one loop over loopback. Everything runs with both protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "test/unit/base/io/certs.h"
#include "test/unit/base/io/io_end.h"
#include "tunnel/client_set.h"
#include "tunnel/server.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static bool remotedialer; /* which protocol is spoken */
static struct cert ca, other_ca, server_cert, node_cert;

static int make_certs(void **state)
{
    (void)state;
    cert_make(&ca, NULL, "test-ca", NULL, NULL, 86400);
    cert_make(&other_ca, NULL, "other-ca", NULL, NULL, 86400);
    cert_make(&server_cert, &ca, "server", "IP:127.0.0.1", "serverAuth", 86400);
    cert_make(&node_cert, &ca, "system:node:n1", NULL, "clientAuth", 86400);
    return 0;
}

static int make_certs_again(void **state)
{
    remotedialer = true;
    return make_certs(state);
}

static int free_certs(void **state)
{
    (void)state;
    cert_deinit(&ca);
    cert_deinit(&other_ca);
    cert_deinit(&server_cert);
    cert_deinit(&node_cert);
    return 0;
}

enum { N_ECHOES = 64 };

struct world {
    uv_loop_t loop;
    struct tls_server_config *tls;
    struct http_server *http;
    struct listener *listener, *kubelet;
    struct tunnel_server *ts;
    struct tunnel_client_set *set;
    struct tunnel_authorizer authorizer;
    struct tunnel_client_status last; /* what on_state said */
    struct end *echoes[N_ECHOES];
    size_t n_echoes;
    size_t n_wanted;       /* for is_connected */
    int refuse_status;     /* the server answers this instead of 101 */
    bool kubelet_hangs_up; /* at once */
    bool kubelet_stays;    /* echoes, and ends its direction after ours */
    bool kubelet_serves;   /* HTTPS, with the same server as the tunnel's end */
    size_t kubelet_bytes;  /* sends so many as a pattern instead of an echo */
    char address[32], kubelet_address[32];
    int n_node_up, n_node_down, n_closed;
    struct end *survivor; /* a stream that outlives the tunnel server */
};

static void on_request(struct http_req *r, void *arg)
{
    struct world *w = arg;
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));

    if (str_is(http_req_path(r), "/healthz")) {
        http_reply(r, 200, "text/plain", STR("ok"), NULL, 0);
        return;
    }
    assert_true(str_is(http_req_path(r), "/v1-k3s/connect"));
    assert_int_equal(peer->verify_error, 0);
    assert_true(peer->leaf_der.n > 0);
    if (w->refuse_status)
        http_reply(r, w->refuse_status, "text/plain", STR("no"), NULL, 0);
    else
        tunnel_server_accept(w->ts, r, STR("n1"));
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->http, tls_server_wrap(w->tls, s));
}

static void on_kubelet(void *arg, struct stream *s)
{
    struct world *w = arg;
    struct end *d;

    if (w->kubelet_hangs_up) {
        stream_close(s);
        return;
    }
    if (w->kubelet_serves) {
        http_server_serve(w->http, tls_server_wrap(w->tls, s));
        return;
    }
    assert_true(w->n_echoes < N_ECHOES);
    d = w->echoes[w->n_echoes++] = mem_alloc(sizeof *d);
    d->echo = !w->kubelet_bytes;
    d->close_on = w->kubelet_stays ? END_NEVER : END_END;
    end_open(d, s);
    end_send_pattern(d, w->kubelet_bytes);
}

static void on_node(void *arg, const char *node, bool connected)
{
    struct world *w = arg;

    assert_string_equal(node, "n1");
    if (connected)
        w->n_node_up++;
    else
        w->n_node_down++;
}

static void on_state(void *arg, const struct tunnel_client_status *st)
{
    struct world *w = arg;

    w->last = *st;
}

static void count_closed(void *arg)
{
    ((struct world *)arg)->n_closed++;
}

static void world_init(struct world *w, uint64_t silence_ms)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct http_server_config hc = { .on_request = on_request, .arg = w };
    struct tunnel_server_config tc = {
        .silence_ms = silence_ms, .remotedialer = remotedialer, .on_node = on_node, .arg = w
    };
    struct err e;

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(tls_server_config_new(&w->tls, str_of(server_cert.cert_pem),
                                           str_of(server_cert.key_pem), str_of(ca.cert_pem), alpn,
                                           &e),
                     0);
    http_server_new(&w->http, &w->loop, &hc);
    tunnel_server_new(&w->ts, &w->loop, &tc);
    assert_int_equal(tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e), 0);
    assert_int_equal(tcp_listen(&w->kubelet, &w->loop, "127.0.0.1", 0, on_kubelet, w, &e), 0);
    assert_int_equal(tunnel_authorizer_init(&w->authorizer, STR("agent"), &e), 0);
    w->authorizer.kubelet_port = listener_port(w->kubelet);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%u", listener_port(w->listener));
    snprintf(w->kubelet_address, sizeof w->kubelet_address, "127.0.0.1:%u",
             listener_port(w->kubelet));
}

static struct tunnel_client_options options(struct world *w, const struct cert *trust)
{
    return (struct tunnel_client_options){ .ca_pem = str_of(trust->cert_pem),
                                           .cert_chain_pem = str_of(node_cert.cert_pem),
                                           .key_pem = str_of(node_cert.key_pem),
                                           .authorizer = &w->authorizer,
                                           .on_state = on_state,
                                           .arg = w,
                                           .reconnect_min_ms = 5,
                                           .reconnect_max_ms = 10 };
}

static int is_connected(void *arg)
{
    struct world *w = arg;

    return tunnel_client_set_n_connected(w->set) == w->n_wanted &&
           tunnel_server_n_sessions(w->ts) == w->n_wanted;
}

static void connect_set(struct world *w, const struct cert *trust, const char *address)
{
    struct tunnel_client_options o = options(w, trust);
    struct err e;

    assert_int_equal(tunnel_client_set_new(&w->set, &w->loop, &o, &e), 0);
    assert_int_equal(tunnel_client_set_servers(w->set, &address, 1, &e), 0);
}

static void connected_world_init(struct world *w)
{
    world_init(w, 0);
    connect_set(w, &ca, w->address);
    w->n_wanted = 1;
    run_until(&w->loop, is_connected, w);
}

static void end_finish(struct world *w, struct end *d)
{
    end_close(d);
    run_until(&w->loop, end_is_closed, d);
    end_deinit(d);
}

static void world_deinit(struct world *w)
{
    int n = 3;

    if (w->set) {
        tunnel_client_set_close(w->set, count_closed, w);
        n++;
    }
    tunnel_server_close(w->ts, count_closed, w);
    http_server_close(w->http, count_closed, w);
    listener_close(w->listener, count_closed, w);
    listener_close(w->kubelet, NULL, NULL);
    for (size_t i = 0; i < w->n_echoes; i++)
        end_close(w->echoes[i]);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->n_closed, n);
    for (size_t i = 0; i < w->n_echoes; i++) {
        end_deinit(w->echoes[i]);
        free(w->echoes[i]);
    }
    if (w->survivor) {
        assert_int_equal(w->survivor->n_errors, 1);
        end_finish(w, w->survivor);
    }
    tls_server_config_free(w->tls);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

/* ---- dials ---- */

struct dialed {
    struct stream *s;
    struct err err;
    int n;
};

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct dialed *d = arg;

    d->n++;
    d->s = s;
    if (e)
        d->err = *e;
}

static int dial_is_done(void *arg)
{
    return ((struct dialed *)arg)->n;
}

static void dial(struct world *w, const char *node, const char *address, uint64_t timeout_ms,
                 struct dialed *d)
{
    memset(d, 0, sizeof *d);
    tunnel_server_dial(w->ts, node, address, timeout_ms, on_dialed, d);
    assert_int_equal(d->n, 0); /* never from inside */
    run_until(&w->loop, dial_is_done, d);
}

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

static int wait_no_streams(void *arg)
{
    struct world *w = arg;
    struct tunnel_node_state st;
    struct tunnel_client_status cs;

    tunnel_client_set_status(w->set, &cs, 1);
    return tunnel_server_node(w->ts, "n1", &st) && st.n_streams == 0 && cs.n_streams == 0;
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

    (void)state;
    if (!remotedialer)
        return;          /* there the server asks: link_test has it */
    world_init(&w, 100); /* clients ping every 5 s only */
    connect_set(&w, &ca, w.address);
    run_until(&w.loop, went_down, &w);
    assert_true(tunnel_server_node(w.ts, "n1", &st));
    assert_string_equal(st.last_error, "no frame from n1 for 100 ms");
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
    cmocka_unit_test(megabytes_echo_through_the_tunnel),                                           \
        cmocka_unit_test(an_end_of_the_target_comes_as_an_end),                                    \
        cmocka_unit_test(a_refused_connection_is_told_by_its_text),                                \
        cmocka_unit_test(a_target_that_is_not_allowed_ends_that_stream_only),                      \
        cmocka_unit_test(an_unknown_node_is_not_found_in_k3s_words),                               \
        cmocka_unit_test(a_stalled_reader_stops_its_sender_and_no_other),                          \
        cmocka_unit_test(https_runs_over_a_stream), cmocka_unit_test(a_silent_node_is_dropped),    \
        cmocka_unit_test(closing_the_server_cancels_dials_and_breaks_streams),                     \
        cmocka_unit_test(a_lost_session_is_remembered_and_comes_back),                             \
        cmocka_unit_test(the_newest_of_two_sessions_is_used),                                      \
        cmocka_unit_test(a_node_has_a_few_sessions_at_most),                                       \
        cmocka_unit_test(failures_say_where_they_happened),                                        \
        cmocka_unit_test(a_client_may_be_closed_at_any_moment),                                    \
        cmocka_unit_test(a_list_of_servers_is_followed),                                           \
        cmocka_unit_test(broken_credentials_are_refused_and_the_old_ones_stay),                    \
        cmocka_unit_test(protocols_are_told),                                                      \
        cmocka_unit_test(cycles_leave_no_stream_and_no_descriptor)
    const struct CMUnitTest own[] = {
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(an_agent_without_our_protocol_is_served),
        TESTS,
    };
    const struct CMUnitTest k3s[] = { TESTS };

    return cmocka_run_group_tests_name("coracle.v1", own, make_certs, free_certs) +
           cmocka_run_group_tests_name("remotedialer", k3s, make_certs_again, free_certs);
}
