#include "test/unit/tunnel/loop_rig.h"

#include <stdio.h>

bool remotedialer; /* which protocol is spoken */
struct cert ca, other_ca, server_cert, node_cert;

int make_certs(void **state)
{
    (void)state;
    cert_make(&ca, NULL, "test-ca", NULL, NULL, 86400);
    cert_make(&other_ca, NULL, "other-ca", NULL, NULL, 86400);
    cert_make(&server_cert, &ca, "server", "IP:127.0.0.1", "serverAuth", 86400);
    cert_make(&node_cert, &ca, "system:node:n1", NULL, "clientAuth", 86400);
    return 0;
}

int make_certs_again(void **state)
{
    remotedialer = true;
    return make_certs(state);
}

int free_certs(void **state)
{
    (void)state;
    cert_deinit(&ca);
    cert_deinit(&other_ca);
    cert_deinit(&server_cert);
    cert_deinit(&node_cert);
    return 0;
}

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

void on_state(void *arg, const struct tunnel_client_status *st)
{
    struct world *w = arg;

    w->last = *st;
}

void count_closed(void *arg)
{
    ((struct world *)arg)->n_closed++;
}

void world_init(struct world *w, uint64_t silence_ms)
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

struct tunnel_client_options options(struct world *w, const struct cert *trust)
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

int is_connected(void *arg)
{
    struct world *w = arg;

    return tunnel_client_set_n_connected(w->set) == w->n_wanted &&
           tunnel_server_n_sessions(w->ts) == w->n_wanted;
}

void connect_set(struct world *w, const struct cert *trust, const char *address)
{
    struct tunnel_client_options o = options(w, trust);
    struct err e;

    assert_int_equal(tunnel_client_set_new(&w->set, &w->loop, &o, &e), 0);
    assert_int_equal(tunnel_client_set_servers(w->set, &address, 1, &e), 0);
}

void connected_world_init(struct world *w)
{
    world_init(w, 0);
    connect_set(w, &ca, w->address);
    w->n_wanted = 1;
    run_until(&w->loop, is_connected, w);
}

void end_finish(struct world *w, struct end *d)
{
    end_close(d);
    run_until(&w->loop, end_is_closed, d);
    end_deinit(d);
}

void world_deinit(struct world *w)
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

void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct dialed *d = arg;

    d->n++;
    d->s = s;
    if (e)
        d->err = *e;
}

int dial_is_done(void *arg)
{
    return ((struct dialed *)arg)->n;
}

void dial(struct world *w, const char *node, const char *address, uint64_t timeout_ms,
          struct dialed *d)
{
    memset(d, 0, sizeof *d);
    tunnel_server_dial(w->ts, node, address, timeout_ms, on_dialed, d);
    assert_int_equal(d->n, 0); /* never from inside */
    run_until(&w->loop, dial_is_done, d);
}

int wait_no_streams(void *arg)
{
    struct world *w = arg;
    struct tunnel_node_state st;
    struct tunnel_client_status cs;

    tunnel_client_set_status(w->set, &cs, 1);
    return tunnel_server_node(w->ts, "n1", &st) && st.n_streams == 0 && cs.n_streams == 0;
}
