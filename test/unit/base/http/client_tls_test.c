/* The HTTP client over TLS, against our own server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/http/client.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "test/unit/base/io/certs.h"

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *server;
    struct tls_server_config *server_tls;
    struct tls_client_config *client_tls;
    struct cert ca, leaf, other_ca;
    bool mute; /* accepts and says nothing */
    struct stream *muted;
    char authority[64];
    struct http_endpoint *ep;
    struct buf log;
    unsigned n_done, n_conns;
};

static void on_request(struct http_req *r, void *arg)
{
    (void)arg;
    http_reply(r, 200, "text/plain", http_req_is_h2(r) ? STR("h2") : STR("h1"), NULL, 0);
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    w->n_conns++;
    if (w->mute)
        w->muted = s;
    else
        http_server_serve(w->server, tls_server_wrap(w->server_tls, s));
}

static void world_init(struct world *w, const char *const *server_alpn,
                       const char *const *client_alpn, bool trust, const char *name,
                       struct http_endpoint_config c)
{
    const struct http_server_config sc = { .on_request = on_request, .arg = w };
    struct tls_client_options o = { .alpn = client_alpn };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->log = BUF(1 << 16);
    cert_make(&w->ca, NULL, "ca", NULL, NULL, 3600);
    cert_make(&w->other_ca, NULL, "other", NULL, NULL, 3600);
    cert_make(&w->leaf, &w->ca, "server", "IP:127.0.0.1", "serverAuth", 3600);
    o.ca_pem = str_of(trust ? w->ca.cert_pem : w->other_ca.cert_pem);
    if (tls_server_config_new(&w->server_tls, str_of(w->leaf.cert_pem), str_of(w->leaf.key_pem),
                              STR(""), server_alpn, &e) ||
        tls_client_config_new(&w->client_tls, &o, &e))
        fail_msg("%s", e.text);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(w->authority, sizeof w->authority, "%s:%u", name, listener_port(w->listener));
    c.authority = w->authority;
    c.tls = w->client_tls;
    http_endpoint_new(&w->ep, &w->loop, &c);
}

static void close_server(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, NULL, NULL);
    if (w->muted)
        stream_close(w->muted);
}

static void world_deinit(struct world *w)
{
    http_endpoint_close(w->ep, close_server, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    tls_server_config_free(w->server_tls);
    tls_client_config_free(w->client_tls);
    cert_deinit(&w->ca);
    cert_deinit(&w->leaf);
    cert_deinit(&w->other_ca);
    buf_deinit(&w->log);
}

static void fetched(void *arg, int status, const struct http_headers *h, struct str body,
                    const struct err *e)
{
    struct world *w = arg;

    (void)h;
    w->n_done++;
    if (e)
        assert_int_equal(buf_addf(&w->log, "<%s|%s>", err_code_name(e->code), e->text), 0);
    else
        assert_int_equal(buf_addf(&w->log, "%d " STR_FMT ";", status, STR_ARG(body)), 0);
}

static void fetch(struct world *w, unsigned n)
{
    const struct http_call_config c = { .method = "GET", .target = "/", .timeout_ms = 60000 };

    for (unsigned i = 0; i < n; i++)
        http_fetch(w->ep, &c, 1000, fetched, w);
    for (n += w->n_done; w->n_done < n;)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static const char *const both[] = { "h2", "http/1.1", NULL };
static const char *const only_h1[] = { "http/1.1", NULL };

static void alpn_chooses_the_protocol(void **state)
{
    static const struct {
        const char *const *server, *const *client;
        int proto;
        const char *want;
        unsigned n_conns; /* for three calls at once */
    } rows[] = {
        { both, both, HTTP_ALPN, "200 h2;200 h2;200 h2;", 1 },
        { both, both, HTTP_H2, "200 h2;200 h2;200 h2;", 1 },
        { only_h1, both, HTTP_ALPN, "200 h1;200 h1;200 h1;", 3 },
        { both, only_h1, HTTP_H1, "200 h1;200 h1;200 h1;", 3 },
        { both, NULL, HTTP_H1, "200 h1;200 h1;200 h1;", 3 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, rows[i].server, rows[i].client, true, "127.0.0.1",
                   (struct http_endpoint_config){ .proto = rows[i].proto });
        fetch(&w, 3);
        assert_string_equal(w.log.p, rows[i].want);
        assert_true(w.n_conns <= rows[i].n_conns);
        world_deinit(&w);
    }
}

static void errors_of_tls_say_so(void **state)
{
    static const struct {
        const char *const *server;
        int proto;
        bool trust;
        const char *name, *code, *text;
    } rows[] = {
        { both, HTTP_ALPN, false, "127.0.0.1", "<denied|", "TLS handshake with 127.0.0.1: " },
        { both, HTTP_ALPN, true, "localhost", "<denied|", "TLS handshake with localhost: " },
        { only_h1, HTTP_H2, true, "127.0.0.1", "<protocol|",
          "TLS: the peer chose protocol \"http/1.1\" where we need h2" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, rows[i].server, both, rows[i].trust, rows[i].name,
                   (struct http_endpoint_config){ .proto = rows[i].proto });
        fetch(&w, 1);
        if (!strstr(w.log.p, rows[i].code) || !strstr(w.log.p, rows[i].text))
            fail_msg("\"%s\" lacks \"%s\" or \"%s\"", w.log.p, rows[i].code, rows[i].text);
        world_deinit(&w);
    }
}

static void a_silent_peer_ends_the_handshake_in_time(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, both, both, true, "127.0.0.1",
               (struct http_endpoint_config){ .dial_timeout_ms = 30 });
    w.mute = true;
    fetch(&w, 2);
    assert_non_null(strstr(w.log.p, "<timeout|127.0.0.1:"));
    assert_non_null(strstr(w.log.p, "TLS handshake"));
    world_deinit(&w);
}

static void closing_during_the_handshake_is_clean(void **state)
{
    const struct http_call_config c = { .method = "GET", .target = "/" };
    struct world w;
    (void)state;

    world_init(&w, both, both, true, "127.0.0.1",
               (struct http_endpoint_config){ .dial_timeout_ms = 3600000 }); /* not waited for */
    w.mute = true;
    http_fetch(w.ep, &c, 1000, fetched, &w);
    while (!w.muted)
        uv_run(&w.loop, UV_RUN_ONCE);
    world_deinit(&w); /* the loop runs out: everything was closed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alpn_chooses_the_protocol),
        cmocka_unit_test(errors_of_tls_say_so),
        cmocka_unit_test(a_silent_peer_ends_the_handshake_in_time),
        cmocka_unit_test(closing_during_the_handshake_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
