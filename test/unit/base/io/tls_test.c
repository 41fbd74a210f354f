#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "test/unit/base/io/tls_pair.h"

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

/* To ask a server what time it is. */
static void dates_can_be_left_out_and_are_told(void **state)
{
    static const struct {
        const char *name;
        const struct cert *trusted;
        int64_t clock_s;
        enum err_code code;
        const char *text;
    } rows[] = {
        { "server.test", &ca, 0, 0, "" },
        { "server.test", &ca, 90000, 0, "" },
        { "server.test", &ca, -7200, 0, "" },
        { "wrong.test", &ca, 90000, ERR_DENIED, "ostname mismatch" },
        { "server.test", &other_ca, 90000, ERR_DENIED, "unable to get local issuer" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_client_options o = { .ca_pem = str_of(rows[i].trusted->cert_pem),
                                        .any_time = true };
        struct tls_server_config *sc = server_config();
        int64_t from = 0, until = 0, now = clock_wall_s();
        struct tls_client_config *cc;
        struct err e = { 0 };
        struct pair p;

        assert_int_equal(tls_client_config_new(&cc, &o, &e), 0);
        assert_false(tls_client_config_validity(cc, &from, &until));
        clock_set_offset_s(rows[i].clock_s);
        pair_init(&p, sc, cc, rows[i].name);
        clock_set_offset_s(0);
        if (p.err.code != rows[i].code || !strstr(p.err.text, rows[i].text))
            fail_msg("row %zu: %d \"%s\"", i, p.err.code, p.err.text);
        if (rows[i].code)
            run_until(&p.loop, end_has_error, &p.server);
        assert_int_equal(tls_client_config_validity(cc, &from, &until), rows[i].code == 0);
        if (!rows[i].code) /* certs.h: from an hour before now, for a day */
            assert_true(from <= now - 3500 && from > now - 7200 && until > now + 80000 &&
                        until < now + 90000);
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
        cmocka_unit_test(dates_can_be_left_out_and_are_told),
        cmocka_unit_test(refused_server_hears_why),
        cmocka_unit_test(client_certificates_are_seen_and_never_alerted),
        cmocka_unit_test(server_prefers_its_own_alpn_order),
        cmocka_unit_test(reload_serves_new_connections_and_keeps_the_old),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
