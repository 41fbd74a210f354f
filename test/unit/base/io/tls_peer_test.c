/* Peers that misbehave, streams that cut everything to pieces, and ends in mid handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/tls_impl.h"
#include "test/unit/base/io/tls_pair.h"

/* ---- a raw stream on one side ---- */

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

static int n_sent_behind_the_leaf(const struct cert *second)
{
    auto_free char *chain = mem_printf("%s%s", client_cert.cert_pem, second->cert_pem);
    struct tls_client_options o = { .ca_pem = str_of(ca.cert_pem),
                                    .cert_chain_pem = str_of(chain),
                                    .key_pem = str_of(client_cert.key_pem) };
    struct tls_client_config *c;
    STACK_OF(X509) *sent = NULL;
    struct err e;
    int n;

    assert_int_equal(tls_client_config_new(&c, &o, &e), 0);
    SSL_CTX_get0_chain_certs(c->ctx->ssl, &sent);
    n = sent ? sk_X509_num(sent) : 0;
    tls_client_config_free(c);
    return n;
}

static void a_client_sends_its_chain_without_the_root(void **state)
{
    (void)state;
    assert_int_equal(n_sent_behind_the_leaf(&ca), 0);
    assert_int_equal(n_sent_behind_the_leaf(&foreign_cert), 1); /* not a root: it may be needed */
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

static void a_canceled_handshake_waits_for_nobody(void **state)
{
    struct tls_client_config *cc = client_config(&ca, NULL, NULL);
    struct half h = { .n_done = 0 };
    struct stream *a, *b;
    struct tls *t;
    struct err e;
    (void)state;

    assert_int_equal(uv_loop_init(&h.loop), 0);
    assert_int_equal(unix_pair(&a, &b, &h.loop, &h.loop, &e), 0);
    end_open(&h.raw, a); /* says nothing */
    t = tls_client_wrap(cc, b, "server.test", 3600000, on_half_done, &h);
    tls_client_cancel(t);
    tls_client_cancel(t);
    assert_int_equal(h.n_done, 0); /* later, from the loop */
    run_until(&h.loop, half_done, &h);
    assert_int_equal(h.err.code, ERR_CANCELED);
    half_deinit(&h);
    assert_int_equal(h.n_done, 1);
    tls_client_config_free(cc);
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
        cmocka_unit_test(a_client_sends_its_chain_without_the_root),
        cmocka_unit_test(server_survives_peers_that_do_not_speak_tls),
        cmocka_unit_test(client_tells_silence_from_a_close_and_from_noise),
        cmocka_unit_test(a_canceled_handshake_waits_for_nobody),
        cmocka_unit_test(it_runs_over_any_stream_byte_by_byte),
        cmocka_unit_test(cut_without_close_notify_is_an_error),
        cmocka_unit_test(reset_of_the_raw_stream_is_passed_on),
        cmocka_unit_test(forged_record_breaks_the_connection),
        cmocka_unit_test(closing_in_the_middle_of_the_handshake_is_safe),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
