#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/tls.h"
#include "base/io/unix.h"
#include "test/unit/base/io/certs.h"
#include "test/unit/base/io/io_end.h"

static struct cert ca, other_ca, server_cert, server_cert2, client_cert, foreign_cert, expired_cert;

static int make_certs(void **state)
{
    (void)state;
    cert_make(&ca, NULL, "test-ca", NULL, NULL, 86400);
    cert_make(&other_ca, NULL, "other-ca", NULL, NULL, 86400);
    cert_make(&server_cert, &ca, "server", "DNS:server.test,DNS:localhost,IP:127.0.0.1,IP:fd00::1",
              "serverAuth", 86400);
    cert_make(&server_cert2, &other_ca, "server2", "DNS:server.test", "serverAuth", 86400);
    cert_make(&client_cert, &ca, "client", NULL, "clientAuth", 86400);
    cert_make(&foreign_cert, &other_ca, "foreign", NULL, "clientAuth", 86400);
    cert_make(&expired_cert, &ca, "expired", NULL, "clientAuth", -60);
    return 0;
}

static int free_certs(void **state)
{
    struct cert *all[] = { &ca,          &other_ca,     &server_cert, &server_cert2,
                           &client_cert, &foreign_cert, &expired_cert };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        cert_deinit(all[i]);
    return 0;
}

static const char *const alpn_both[] = { "h2", "http/1.1", NULL };

static struct tls_server_config *server_config(void)
{
    struct tls_server_config *c;
    struct err e;

    assert_int_equal(tls_server_config_new(&c, str_of(server_cert.cert_pem),
                                           str_of(server_cert.key_pem), str_of(ca.cert_pem),
                                           alpn_both, &e),
                     0);
    return c;
}

static struct tls_client_config *client_config(const struct cert *trust, const struct cert *own,
                                               const char *const *alpn)
{
    struct tls_client_config *c;
    struct err e;
    struct tls_client_options o = { .ca_pem = trust ? str_of(trust->cert_pem) : STR(""),
                                    .insecure = !trust,
                                    .alpn = alpn };

    if (own) {
        o.cert_chain_pem = str_of(own->cert_pem);
        o.key_pem = str_of(own->key_pem);
    }
    assert_int_equal(tls_client_config_new(&c, &o, &e), 0);
    return c;
}

/* Both ends over a pair of connected sockets. */
struct pair {
    uv_loop_t loop;
    struct end server, client;
    struct err err;
    int n_done;
};

static void on_client_done(void *arg, struct stream *s, const struct err *e)
{
    struct pair *p = arg;

    p->n_done++;
    if (s)
        end_open(&p->client, s);
    else
        p->err = *e;
}

static int is_done(void *arg)
{
    return ((struct pair *)arg)->n_done;
}

static int both_know(void *arg)
{
    struct pair *p = arg;
    const struct tls_peer *peer = stream_tls_peer(p->server.s);

    /* the server's side is complete when it has read the client's Finished */
    return p->n_done && (p->err.code || *peer->verify_text);
}

static void pair_init(struct pair *p, struct tls_server_config *sc, struct tls_client_config *cc,
                      const char *name)
{
    struct stream *a, *b;
    struct err e;

    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    assert_int_equal(unix_pair(&a, &b, &p->loop, &p->loop, &e), 0);
    end_open(&p->server, tls_server_wrap(sc, a));
    tls_client_wrap(cc, b, name, 20000, on_client_done, p);
    assert_int_equal(p->n_done, 0);
    run_until(&p->loop, both_know, p);
    assert_int_equal(p->n_done, 1);
}

static void pair_deinit(struct pair *p)
{
    end_close(&p->server);
    end_close(&p->client);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(p->server.n_closed, p->server.s != NULL);
    assert_int_equal(p->client.n_closed, p->client.s != NULL);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    end_deinit(&p->server);
    end_deinit(&p->client);
}

/* The usual pair: the right CA and name, no client certificate. */
static void good_pair_init(struct pair *p)
{
    struct tls_server_config *sc = server_config();
    struct tls_client_config *cc = client_config(&ca, NULL, NULL);

    pair_init(p, sc, cc, "server.test");
    assert_int_equal(p->err.code, 0);
    tls_server_config_free(sc); /* connections keep what they need */
    tls_client_config_free(cc);
}

static void megabytes_echo_with_a_slow_reader(void **state)
{
    struct pair p;
    (void)state;

    good_pair_init(&p);
    p.server.echo = true;
    p.client.pause_every = 20;
    end_send_pattern(&p.client, 5 * 1024 * 1024);
    run_until(&p.loop, end_got_pattern, &p.client);
    assert_int_equal(p.client.got.n, 5 * 1024 * 1024);
    assert_true(p.client.n_drains > 0);
    assert_int_equal(p.server.n_errors + p.client.n_errors, 0);
    pair_deinit(&p);
}

static void megabytes_go_both_ways_at_once(void **state)
{
    struct pair p;
    (void)state;

    good_pair_init(&p);
    p.server.pause_every = 11;
    p.client.pause_every = 13;
    end_send_pattern(&p.client, 5 * 1024 * 1024);
    end_send_pattern(&p.server, 5 * 1024 * 1024);
    p.client.want = p.server.want = 5 * 1024 * 1024;
    run_until(&p.loop, end_got_want, &p.client);
    run_until(&p.loop, end_got_want, &p.server);
    assert_true(end_got_pattern(&p.client) && end_got_pattern(&p.server));
    pair_deinit(&p);
}

static void small_writes_of_one_turn_are_one_record(void **state)
{
    struct pair p;
    (void)state;

    good_pair_init(&p);
    for (int i = 0; i < 100; i++)
        stream_write(p.client.s, "abc", 3);
    p.server.want = 300;
    run_until(&p.loop, end_got_want, &p.server);
    assert_int_equal(p.server.n_data, 1);
    pair_deinit(&p);
}

static void one_large_write_arrives_whole(void **state)
{
    struct pair p;
    auto_buf b = BUF(3000001);
    (void)state;

    good_pair_init(&p);
    assert_int_equal(buf_reserve(&b, 3000001), 0);
    memset(b.p, 'z', 3000001);
    stream_write(p.server.s, "head", 4);
    stream_write(p.server.s, b.p, 3000001);
    p.client.want = 3000005;
    run_until(&p.loop, end_got_want, &p.client);
    assert_int_equal(p.client.got.n, 3000005);
    assert_memory_equal(p.client.got.p, "headzzz", 7);
    pair_deinit(&p);
}

static void half_close_keeps_the_other_direction(void **state)
{
    struct pair p;
    (void)state;

    good_pair_init(&p);
    stream_write(p.client.s, "ask", 3);
    stream_shutdown(p.client.s);
    run_until(&p.loop, end_has_ended, &p.server);
    assert_int_equal(p.server.got.n, 3);
    stream_write(p.server.s, "answer", 6);
    p.client.want = 6;
    run_until(&p.loop, end_got_want, &p.client);
    assert_int_equal(p.client.n_ends + p.client.n_errors, 0);
    stream_close_flushed(p.server.s, 20000);
    p.server.closing = true;
    run_until(&p.loop, end_has_ended, &p.client);
    assert_int_equal(p.client.n_errors, 0);
    pair_deinit(&p);
}

static void close_flushed_delivers_everything_to_a_slow_reader(void **state)
{
    struct pair p;
    auto_buf b = BUF(3000000);
    (void)state;

    good_pair_init(&p);
    p.client.pause_every = 10;
    stream_write(p.client.s, "unread by the server", 20);
    stream_pause(p.server.s);
    assert_int_equal(buf_reserve(&b, 3000000), 0);
    memset(b.p, 'x', 3000000);
    stream_write(p.server.s, b.p, 3000000);
    stream_close_flushed(p.server.s, 60000);
    p.server.closing = true;
    p.client.close_on = END_END;
    run_until(&p.loop, end_is_closed, &p.client);
    assert_int_equal(p.client.got.n, 3000000);
    assert_int_equal(p.client.n_errors, 0);
    pair_deinit(&p);
}

static void plain_close_with_nothing_queued_is_an_end(void **state)
{
    struct pair p;
    (void)state;

    good_pair_init(&p);
    end_close(&p.client);
    run_until(&p.loop, end_has_ended, &p.server);
    pair_deinit(&p);
    assert_int_equal(p.server.n_errors, 0);
}

static void closing_from_any_event_is_safe(void **state)
{
    static const enum end_event events[] = { END_DATA, END_END, END_DRAIN };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct pair p;

        good_pair_init(&p);
        p.client.close_on = events[i];
        p.server.echo = true;
        end_send_pattern(&p.client, 4 * 1024 * 1024);
        stream_shutdown(p.client.s);
        p.client.pattern_left = 0;
        run_until(&p.loop, end_is_closed, &p.client);
        pair_deinit(&p);
    }
}

static void handover_keeps_order_over_tls(void **state)
{
    struct pair p;
    struct end next = { .want = 0 };
    (void)state;

    good_pair_init(&p);
    p.server.pause_at_data = true;
    p.server.want = 1;
    end_send_pattern(&p.client, 200000);
    run_until(&p.loop, end_got_want, &p.server);
    end_handover(&next, &p.server, buf_str(&p.server.got));
    next.pattern_bytes = 200000;
    run_until(&p.loop, end_got_pattern, &next);
    end_handover(&p.server, &next, STR(""));
    pair_deinit(&p);
    end_deinit(&next);
}

/* ---- who is who ---- */

static void server_names_and_trust_are_checked(void **state)
{
    static const struct {
        const char *name;
        bool other_ca, insecure;
        int64_t clock_s;
        enum err_code code;
        const char *text;
    } rows[] = {
        { "server.test", false, false, 0, 0, "" },
        { "127.0.0.1", false, false, 0, 0, "" },
        { "fd00::1", false, false, 0, 0, "" },
        { "127.0.0.2", false, false, 0, ERR_DENIED, "IP address mismatch" },
        { "wrong.test", false, false, 0, ERR_DENIED, "ostname mismatch" },
        { "server.test", true, false, 0, ERR_DENIED, "unable to get local issuer" },
        { "server.test", true, false, 0, ERR_DENIED, "issued by /CN=test-ca" },
        { "server.test", false, false, 90000, ERR_DENIED, "expired" },
        { "server.test", false, false, -7200, ERR_DENIED, "not yet valid" },
        { "wrong.test", true, true, 90000, 0, "" },
        { "", false, false, 0, ERR_INVALID, "not a name" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_server_config *sc = server_config();
        struct tls_client_config *cc = client_config(rows[i].insecure   ? NULL
                                                     : rows[i].other_ca ? &other_ca
                                                                        : &ca,
                                                     NULL, NULL);
        struct pair p;

        clock_set_offset_s(rows[i].clock_s);
        pair_init(&p, sc, cc, rows[i].name);
        clock_set_offset_s(0);
        if (p.err.code != rows[i].code || !strstr(p.err.text, rows[i].text))
            fail_msg("row %zu: %d \"%s\"", i, p.err.code, p.err.text);
        if (rows[i].code) {
            run_until(&p.loop, end_has_error, &p.server);
            assert_int_equal(p.client.n_closed, 0);
        } else {
            assert_true(stream_tls_peer(p.client.s)->leaf_der.n > 0);
            assert_string_equal(stream_tls_peer(p.server.s)->server_name,
                                strstr(rows[i].name, ".test") ? rows[i].name : "");
            assert_int_equal(stream_tls_peer(p.server.s)->leaf_der.n, 0);
            assert_int_equal(stream_tls_peer(p.server.s)->verify_error, 0);
        }
        pair_deinit(&p);
        tls_server_config_free(sc);
        tls_client_config_free(cc);
    }
}

static void refused_server_hears_why(void **state)
{
    struct tls_server_config *sc = server_config();
    struct tls_client_config *cc = client_config(&other_ca, NULL, NULL);
    struct pair p;
    (void)state;

    pair_init(&p, sc, cc, "server.test");
    run_until(&p.loop, end_has_error, &p.server);
    assert_int_equal(p.server.err.code, ERR_DENIED);
    assert_non_null(strstr(p.server.err.text, "unknown ca"));
    pair_deinit(&p);
    tls_server_config_free(sc);
    tls_client_config_free(cc);
}

static void client_certificates_are_seen_and_never_alerted(void **state)
{
    static const struct {
        const struct cert *cert;
        long verify_error;
    } rows[] = {
        { NULL, 0 },
        { &client_cert, 0 },
        { &foreign_cert, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
        { &expired_cert, X509_V_ERR_CERT_HAS_EXPIRED },
        { &server_cert, X509_V_ERR_INVALID_PURPOSE },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_server_config *sc = server_config();
        struct tls_client_config *cc = client_config(&ca, rows[i].cert, NULL);
        const struct tls_peer *peer;
        unsigned char *der = NULL;
        struct pair p;

        pair_init(&p, sc, cc, "server.test");
        p.server.echo = true;
        stream_write(p.client.s, "hello", 5);
        p.client.want = 5;
        run_until(&p.loop, end_got_want, &p.client);
        peer = stream_tls_peer(p.server.s);
        assert_int_equal(peer->verify_error, rows[i].verify_error);
        if (rows[i].cert) {
            int n = i2d_X509(rows[i].cert->x, &der);
            assert_int_equal(peer->leaf_der.n, n);
            assert_memory_equal(peer->leaf_der.p, der, n);
            OPENSSL_free(der);
        } else {
            assert_int_equal(peer->leaf_der.n, 0);
        }
        pair_deinit(&p);
        tls_server_config_free(sc);
        tls_client_config_free(cc);
    }
}

static void server_prefers_its_own_alpn_order(void **state)
{
    static const char *const h1[] = { "http/1.1", NULL };
    static const char *const h1_h2[] = { "http/1.1", "h2", NULL };
    static const char *const odd[] = { "gopher", NULL };
    static const struct {
        const char *const *offer;
        const char *chosen;
    } rows[] = { { h1, "http/1.1" }, { h1_h2, "h2" }, { odd, "" }, { NULL, "" } };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_server_config *sc = server_config();
        struct tls_client_config *cc = client_config(&ca, NULL, rows[i].offer);
        struct pair p;

        pair_init(&p, sc, cc, "server.test");
        assert_string_equal(stream_tls_peer(p.client.s)->alpn, rows[i].chosen);
        assert_string_equal(stream_tls_peer(p.server.s)->alpn, rows[i].chosen);
        pair_deinit(&p);
        tls_server_config_free(sc);
        tls_client_config_free(cc);
    }
}

static void reload_serves_new_connections_and_keeps_the_old(void **state)
{
    struct tls_server_config *sc = server_config();
    struct tls_client_config *cc = client_config(&ca, NULL, alpn_both);
    struct tls_client_options o = { .ca_pem = str_of(other_ca.cert_pem), .alpn = alpn_both };
    struct pair old, p;
    struct err e;
    (void)state;

    pair_init(&old, sc, cc, "server.test");
    assert_int_equal(tls_server_config_reload(sc, STR("junk"), STR(""), STR(""), &e), ERR_INVALID);
    assert_int_equal(
        tls_server_config_reload(sc, str_of(server_cert.cert_pem), str_of(ca.key_pem), STR(""), &e),
        ERR_INVALID);                     /* another's key */
    pair_init(&p, sc, cc, "server.test"); /* the old one stays after a failure */
    assert_int_equal(p.err.code, 0);
    pair_deinit(&p);

    assert_int_equal(tls_server_config_reload(sc, str_of(server_cert2.cert_pem),
                                              str_of(server_cert2.key_pem),
                                              str_of(other_ca.cert_pem), &e),
                     0);
    pair_init(&p, sc, cc, "server.test");
    assert_int_equal(p.err.code, ERR_DENIED);
    pair_deinit(&p);
    assert_int_equal(tls_client_config_reload(cc, &o, &e), 0);
    pair_init(&p, sc, cc, "server.test");
    assert_int_equal(p.err.code, 0);
    assert_string_equal(stream_tls_peer(p.server.s)->alpn, "h2");
    pair_deinit(&p);

    old.server.echo = true;
    end_send_pattern(&old.client, 100000);
    run_until(&old.loop, end_got_pattern, &old.client);
    pair_deinit(&old);
    tls_server_config_free(sc);
    tls_client_config_free(cc);
}

static void bad_configurations_are_refused(void **state)
{
    struct tls_server_config *sc = NULL;
    struct tls_client_config *cc = NULL;
    struct tls_client_options o = { .ca_pem = STR("-----BEGIN CERTIFICATE-----\nAAAA\n") };
    struct err e;
    (void)state;

    assert_int_equal(tls_server_config_new(&sc, STR(""), STR(""), STR(""), NULL, &e), ERR_INVALID);
    assert_int_equal(
        tls_server_config_new(&sc, str_of(server_cert.cert_pem), STR("none"), STR(""), NULL, &e),
        ERR_INVALID);
    assert_null(sc);
    assert_int_equal(tls_client_config_new(&cc, &o, &e), ERR_INVALID);
    o.ca_pem = STR("no PEM at all");
    assert_int_equal(tls_client_config_new(&cc, &o, &e), ERR_INVALID);
    o.ca_pem = STR("");
    assert_int_equal(tls_client_config_new(&cc, &o, &e), ERR_INVALID);
    assert_null(cc);
}

/* ---- peers that misbehave: a raw stream on one side ---- */

struct half {
    uv_loop_t loop;
    struct end tls, raw;
    struct err err;
    int n_done;
};

static void on_half_done(void *arg, struct stream *s, const struct err *e)
{
    struct half *h = arg;

    h->n_done++;
    assert_null(s);
    h->err = *e;
}

static int half_done(void *arg)
{
    return ((struct half *)arg)->n_done;
}

static void half_deinit(struct half *h)
{
    end_close(&h->tls);
    end_close(&h->raw);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    end_deinit(&h->tls);
    end_deinit(&h->raw);
}

static void server_survives_peers_that_do_not_speak_tls(void **state)
{
    static const struct {
        struct str bytes;
        bool then_end;
        enum err_code code;
    } rows[] = {
        { { "GET / HTTP/1.1\r\n\r\n", 18 }, false, ERR_PROTOCOL },
        { { "\x16\x03\x01\x00\x05hello", 10 }, false, ERR_PROTOCOL },
        { { "\x16\x03\x01", 3 }, true, ERR_CLOSED },
        { { "", 0 }, true, ERR_CLOSED },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_server_config *sc = server_config();
        struct half h = { .n_done = 0 };
        struct stream *a, *b;
        struct err e;

        assert_int_equal(uv_loop_init(&h.loop), 0);
        assert_int_equal(unix_pair(&a, &b, &h.loop, &h.loop, &e), 0);
        end_open(&h.tls, tls_server_wrap(sc, a));
        end_open(&h.raw, b);
        stream_write(b, rows[i].bytes.p, rows[i].bytes.n);
        if (rows[i].then_end)
            stream_shutdown(b);
        run_until(&h.loop, end_has_error, &h.tls);
        if (h.tls.err.code != rows[i].code)
            fail_msg("row %zu: %d %s", i, h.tls.err.code, h.tls.err.text);
        half_deinit(&h);
        assert_int_equal(h.tls.n_errors, 1);
        tls_server_config_free(sc);
    }
}

static void client_tells_silence_from_a_close_and_from_noise(void **state)
{
    static const struct {
        struct str bytes;
        bool then_close;
        uint64_t timeout_ms;
        enum err_code code;
    } rows[] = {
        { { "", 0 }, false, 30, ERR_TIMEOUT },
        { { "", 0 }, true, 20000, ERR_CLOSED },
        { { "HTTP/1.1 400 Bad Request\r\n\r\n", 28 }, false, 20000, ERR_PROTOCOL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_client_config *cc = client_config(&ca, NULL, NULL);
        struct half h = { .n_done = 0 };
        struct stream *a, *b;
        struct err e;

        assert_int_equal(uv_loop_init(&h.loop), 0);
        assert_int_equal(unix_pair(&a, &b, &h.loop, &h.loop, &e), 0);
        end_open(&h.raw, a);
        tls_client_wrap(cc, b, "server.test", rows[i].timeout_ms, on_half_done, &h);
        stream_write(a, rows[i].bytes.p, rows[i].bytes.n);
        if (rows[i].then_close)
            end_close(&h.raw);
        run_until(&h.loop, half_done, &h);
        if (h.err.code != rows[i].code || !strstr(h.err.text, "TLS handshake with server.test: "))
            fail_msg("row %zu: %d %s", i, h.err.code, h.err.text);
        half_deinit(&h);
        tls_client_config_free(cc);
    }
}

/* A stream between the two that cuts everything into pieces of one byte, and can be cut itself. */
struct trickle {
    struct stream s;
    struct trickle *other;
    struct buf q;
    bool reading, ended, shut;
};

static struct trickle *trickle_of(struct stream *s)
{
    return container_of(s, struct trickle, s);
}

static void trickle_start(struct stream *s)
{
    trickle_of(s)->reading = true;
    stream_kick(s);
}

static void trickle_set_reading(struct stream *s, bool on)
{
    trickle_of(s)->reading = on;
    stream_kick(s);
}

static void trickle_write(struct stream *s, const void *p, size_t n)
{
    struct trickle *t = trickle_of(s);

    if (!t->other)
        return;
    assert_int_equal(buf_add(&t->other->q, p, n), 0);
    stream_kick(&t->other->s);
}

static size_t trickle_queued(const struct stream *s)
{
    const struct trickle *t = container_of(s, const struct trickle, s);
    return t->other ? t->other->q.n : 0;
}

static void trickle_shutdown(struct stream *s)
{
    struct trickle *t = trickle_of(s);

    t->shut = true;
    if (t->other)
        stream_kick(&t->other->s);
}

static void trickle_kick(struct stream *s)
{
    struct trickle *t = trickle_of(s);
    char c;

    for (int i = 0; i < 7 && t->reading && t->q.n; i++) {
        c = t->q.p[0];
        buf_drop(&t->q, 1);
        stream_emit_data(s, &c, 1);
        if (stream_is_closing(s))
            return;
    }
    if (t->other && !t->q.n)
        stream_emit_written(&t->other->s);
    if (t->reading && t->q.n)
        stream_kick(s);
    else if (!t->q.n && (!t->other || t->other->shut))
        stream_emit_end(s);
}

static void trickle_close(struct stream *s)
{
    struct trickle *t = trickle_of(s);

    if (t->other) {
        t->other->other = NULL;
        stream_kick(&t->other->s);
    }
    stream_emit_closed(s);
}

static void trickle_free(struct stream *s)
{
    buf_deinit(&trickle_of(s)->q);
    free(s);
}

static const struct stream_ops trickle_ops = {
    .start = trickle_start,
    .write = trickle_write,
    .queued = trickle_queued,
    .shutdown = trickle_shutdown,
    .set_reading = trickle_set_reading,
    .close = trickle_close,
    .free = trickle_free,
    .kick = trickle_kick,
};

static struct trickle *trickle_new(uv_loop_t *loop)
{
    struct trickle *t = mem_alloc(sizeof *t);

    stream_init(&t->s, loop, &trickle_ops);
    t->q = BUF(16 * 1024 * 1024);
    return t;
}

static void trickle_pair_init(struct pair *p, struct trickle **a, struct trickle **b)
{
    struct tls_server_config *sc = server_config();
    struct tls_client_config *cc = client_config(&ca, &client_cert, NULL);

    memset(p, 0, sizeof *p);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    *a = trickle_new(&p->loop);
    *b = trickle_new(&p->loop);
    (*a)->other = *b;
    (*b)->other = *a;
    end_open(&p->server, tls_server_wrap(sc, &(*a)->s));
    tls_client_wrap(cc, &(*b)->s, "server.test", 20000, on_client_done, p);
    run_until(&p->loop, is_done, p);
    assert_int_equal(p->err.code, 0);
    tls_server_config_free(sc);
    tls_client_config_free(cc);
}

static void it_runs_over_any_stream_byte_by_byte(void **state)
{
    struct trickle *a, *b;
    struct pair p;
    (void)state;

    trickle_pair_init(&p, &a, &b);
    p.server.echo = true;
    p.client.pause_every = 3;
    end_send_pattern(&p.client, 100000);
    run_until(&p.loop, end_got_pattern, &p.client);
    stream_shutdown(p.client.s);
    run_until(&p.loop, end_has_ended, &p.client); /* the echo ends as well */
    pair_deinit(&p);
    assert_int_equal(p.client.n_errors + p.server.n_errors, 0);
}

static void cut_without_close_notify_is_an_error(void **state)
{
    struct trickle *a, *b;
    struct pair p;
    (void)state;

    trickle_pair_init(&p, &a, &b);
    stream_write(p.client.s, "x", 1);
    p.server.want = 1;
    run_until(&p.loop, end_got_want, &p.server);
    stream_emit_end(&a->s); /* as a FIN would */
    run_until(&p.loop, end_has_error, &p.server);
    assert_int_equal(p.server.err.code, ERR_CLOSED);
    assert_int_equal(p.server.n_ends, 0);
    pair_deinit(&p);
}

static void reset_of_the_raw_stream_is_passed_on(void **state)
{
    struct trickle *a, *b;
    struct pair p;
    struct err e;
    (void)state;

    trickle_pair_init(&p, &a, &b);
    err_set(&e, ERR_CLOSED, "reset");
    stream_emit_error(&b->s, &e);
    run_until(&p.loop, end_has_error, &p.client);
    assert_string_equal(p.client.err.text, "reset");
    pair_deinit(&p);
}

static void forged_record_breaks_the_connection(void **state)
{
    struct trickle *a, *b;
    struct pair p;
    (void)state;

    trickle_pair_init(&p, &a, &b);
    trickle_write(&b->s, "\x17\x03\x03\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 37);
    run_until(&p.loop, end_has_error, &p.server);
    assert_int_equal(p.server.err.code, ERR_PROTOCOL);
    assert_non_null(strstr(p.server.err.text, "bad record mac"));
    pair_deinit(&p);
}

static void closing_in_the_middle_of_the_handshake_is_safe(void **state)
{
    (void)state;

    for (int turns = 0; turns < 12; turns++) {
        struct tls_server_config *sc = server_config();
        struct tls_client_config *cc = client_config(&ca, &client_cert, NULL);
        struct pair p = { .n_done = 0 };
        struct stream *a, *b;
        struct err e;

        assert_int_equal(uv_loop_init(&p.loop), 0);
        assert_int_equal(unix_pair(&a, &b, &p.loop, &p.loop, &e), 0);
        if (turns == 11)
            stream_close(tls_server_wrap(sc, a)); /* not even opened */
        else
            end_open(&p.server, tls_server_wrap(sc, a));
        tls_client_wrap(cc, b, "server.test", 20000, on_client_done, &p);
        for (int i = 0; i < turns; i++)
            uv_run(&p.loop, UV_RUN_NOWAIT);
        end_close(&p.server);
        run_until(&p.loop, is_done, &p);
        pair_deinit(&p);
        tls_server_config_free(sc);
        tls_client_config_free(cc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_echo_with_a_slow_reader),
        cmocka_unit_test(megabytes_go_both_ways_at_once),
        cmocka_unit_test(small_writes_of_one_turn_are_one_record),
        cmocka_unit_test(one_large_write_arrives_whole),
        cmocka_unit_test(half_close_keeps_the_other_direction),
        cmocka_unit_test(close_flushed_delivers_everything_to_a_slow_reader),
        cmocka_unit_test(plain_close_with_nothing_queued_is_an_end),
        cmocka_unit_test(closing_from_any_event_is_safe),
        cmocka_unit_test(handover_keeps_order_over_tls),
        cmocka_unit_test(server_names_and_trust_are_checked),
        cmocka_unit_test(refused_server_hears_why),
        cmocka_unit_test(client_certificates_are_seen_and_never_alerted),
        cmocka_unit_test(server_prefers_its_own_alpn_order),
        cmocka_unit_test(reload_serves_new_connections_and_keeps_the_old),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(server_survives_peers_that_do_not_speak_tls),
        cmocka_unit_test(client_tells_silence_from_a_close_and_from_noise),
        cmocka_unit_test(it_runs_over_any_stream_byte_by_byte),
        cmocka_unit_test(cut_without_close_notify_is_an_error),
        cmocka_unit_test(reset_of_the_raw_stream_is_passed_on),
        cmocka_unit_test(forged_record_breaks_the_connection),
        cmocka_unit_test(closing_in_the_middle_of_the_handshake_is_safe),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
