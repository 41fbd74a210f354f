#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/ws.h"

struct end {
    struct ws *w;
    struct buf text; /* what was heard */
};

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    struct end *x = arg;

    if (first)
        assert_int_equal(buf_adds(&x->text, text ? "t(" : "b("), 0);
    assert_int_equal(buf_add(&x->text, p ? p : "", n), 0);
    if (last)
        assert_int_equal(buf_adds(&x->text, ")"), 0);
}

static void on_ping(void *arg, const char *p, size_t n)
{
    assert_int_equal(
        buf_addf(&((struct end *)arg)->text, "ping(" STR_FMT ")", STR_ARG(str_n(p, n))), 0);
}

static void on_pong(void *arg, const char *p, size_t n)
{
    assert_int_equal(
        buf_addf(&((struct end *)arg)->text, "pong(" STR_FMT ")", STR_ARG(str_n(p, n))), 0);
}

static void on_close(void *arg, int code, struct str reason)
{
    assert_int_equal(
        buf_addf(&((struct end *)arg)->text, "close(%d " STR_FMT ")", code, STR_ARG(reason)), 0);
}

static const struct ws_events events = { on_message, on_ping, on_pong, on_close };

struct pair {
    struct end client, server;
};

static void open_end(struct end *x, enum ws_role role, size_t max_bytes, bool pieces)
{
    x->text = BUF(1 << 22);
    x->w = ws_new(&(struct ws_config){ .role = role,
                                       .message_max_bytes = max_bytes,
                                       .pieces = pieces,
                                       .events = &events,
                                       .arg = x });
}

static void open_pair(struct pair *p, size_t max_bytes, bool pieces)
{
    open_end(&p->client, WS_CLIENT, max_bytes, pieces);
    open_end(&p->server, WS_SERVER, max_bytes, pieces);
}

static void close_pair(struct pair *p)
{
    ws_free(p->client.w);
    ws_free(p->server.w);
    buf_deinit(&p->client.text);
    buf_deinit(&p->server.text);
}

static int move(struct pair *p, size_t step, struct err *e)
{
    struct end *from[] = { &p->client, &p->server };

    for (int quiet = 0, i = 0; quiet < 2; i ^= 1) {
        auto_buf out = BUF(1 << 22);
        if (ws_pull(from[i]->w, &out, 1 << 20, e))
            return e->code;
        quiet = out.n ? 0 : quiet + 1;
        for (size_t at = 0; at < out.n; at += step)
            if (ws_feed(from[!i]->w, out.p + at, MIN(step, out.n - at), e))
                return e->code;
    }
    return 0;
}

static void messages_pass_both_ways(void **state)
{
    (void)state;

    for (size_t step = 1; step < 20; step += 3)
        for (int pieces = 0; pieces < 2; pieces++) {
            struct pair p;
            struct err e = { 0 };

            open_pair(&p, 1000, pieces);
            ws_send(p.client.w, true, "hello", 5);
            ws_send(p.client.w, false, "", 0);
            ws_ping(p.client.w, "?", 1);
            ws_send(p.server.w, false, "world", 5);
            assert_int_equal(ws_queued(p.server.w), 5);
            assert_int_equal(move(&p, step, &e), 0);
            /* the ping overtakes what was queued before it */
            assert_string_equal(buf_cstr(&p.server.text), "ping(?)t(hello)b()");
            assert_int_equal(ws_queued(p.server.w), 0);
            ws_close(p.server.w, WS_GOING_AWAY, "bye");
            assert_int_equal(move(&p, step, &e), 0);
            assert_string_equal(buf_cstr(&p.client.text), "pong(?)b(world)close(1001 bye)");
            assert_true(ws_is_over(p.client.w));
            assert_true(ws_is_over(p.server.w));
            close_pair(&p);
        }
}

static void bytes_from_a_client_are_understood_or_refused(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        int code;
        const char *heard;
        int close_code;
    } rows[] = {
    /* masked with zeros, so that the rows stay readable */
#define ROW(in) in, sizeof in - 1
        { ROW("\x82\x83\0\0\0\0abc"), 0, "b(abc)", 0 },
        { ROW("\x02\x81\0\0\0\0a\x00\x81\0\0\0\0b\x80\x81\0\0\0\0c"), 0, "b(abc)", 0 },
        { ROW("\x02\x81\0\0\0\0a\x89\x81\0\0\0\0!\x80\x81\0\0\0\0c"), 0, "ping(!)b(ac)", 0 },
        { ROW("\x88\x80\0\0\0\0"), 0, "close(1005 )", 0 },
        { ROW("\x88\x82\0\0\0\0\x03\xe8\x82\x83\0\0\0\0abc"), 0, "close(1000 )", 0 },
        { ROW("\x82\x03"
              "abc"),
          ERR_PROTOCOL, "", WS_PROTOCOL_ERROR },                             /* not masked */
        { ROW("\xc2\x83\0\0\0\0abc"), ERR_PROTOCOL, "", WS_PROTOCOL_ERROR }, /* a reserved bit */
        { ROW("\x83\x83\0\0\0\0abc"), ERR_PROTOCOL, "", WS_PROTOCOL_ERROR }, /* an unknown opcode */
        { ROW("\x80\x83\0\0\0\0abc"), ERR_PROTOCOL, "", WS_PROTOCOL_ERROR }, /* continues nothing */
        { ROW("\x09\x80\0\0\0\0"), ERR_PROTOCOL, "", 0 },                    /* half a ping */
        { ROW("\x81\x82\0\0\0\0\xc3\x28"), ERR_PROTOCOL, NULL, 1007 },       /* not UTF-8 */
        { ROW("\x82\xe5\0\0\0\0a"), ERR_PROTOCOL, "", WS_TOO_BIG },          /* 101 bytes */
        { ROW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0a"), ERR_PROTOCOL, "", WS_TOO_BIG }
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 30; step += 28)
            for (int pieces = 0; pieces < 2; pieces++) {
                struct end x;
                struct err e = { 0 };
                auto_buf out = BUF(1000000);
                const char *heard = rows[i].heard;
                int r = 0;

                if (i == 2 && pieces)
                    heard = "b(aping(!)c)"; /* as it comes */
                open_end(&x, WS_SERVER, 100, pieces);
                for (size_t at = 0; at < rows[i].n && !r; at += step)
                    r = ws_feed(x.w, rows[i].in + at, MIN(step, rows[i].n - at), &e);
                if (r == ERR_LIMIT)
                    r = ERR_PROTOCOL; /* which one depends on pieces; the Close is checked */
                if (r != rows[i].code || (heard && strcmp(buf_cstr(&x.text), heard) != 0))
                    fail_msg("row %zu step %zu pieces %d: %d \"%s\" %s", i, step, pieces, r,
                             buf_cstr(&x.text), e.text);
                assert_int_equal(ws_pull(x.w, &out, 10000, &e), 0);
                if (r) { /* the peer is told */
                    assert_int_equal((unsigned char)out.p[0], 0x88);
                    if (rows[i].close_code) /* 0: the library says nothing more there */
                        assert_int_equal((unsigned char)out.p[3] + 256 * (unsigned char)out.p[2],
                                         rows[i].close_code);
                    assert_true(ws_is_over(x.w));
                }
                ws_free(x.w);
                buf_deinit(&x.text);
            }
}

static void fragments_count_together(void **state)
{
    struct end x;
    struct err e = { 0 };
    static const char in[] =
        "\x02\xbc\0\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "\x80\xbc\0\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    (void)state;

    open_end(&x, WS_SERVER, 100, false);
    assert_int_equal(ws_feed(x.w, in, sizeof in - 1, &e), ERR_PROTOCOL);
    ws_free(x.w);
    buf_deinit(&x.text);
}

static void a_flood_of_pings_is_cut(void **state)
{
    struct end x;
    struct err e = { 0 };
    int r = 0;
    (void)state;

    open_end(&x, WS_SERVER, 100, false);
    for (int i = 0; i < 100000 && !r; i++)
        r = ws_feed(x.w, "\x89\x80\0\0\0\0", 6, &e);
    assert_int_equal(r, ERR_LIMIT);
    ws_free(x.w);
    buf_deinit(&x.text);
}

static void large_messages_are_pulled_in_pieces(void **state)
{
    static char bulk[1 << 20];
    struct pair p;
    struct err e = { 0 };
    size_t n_pulls = 0;
    (void)state;

    open_pair(&p, 2 << 20, false);
    memset(bulk, 'x', sizeof bulk);
    ws_send(p.client.w, false, bulk, sizeof bulk);
    while (ws_wants_write(p.client.w)) {
        auto_buf out = BUF(128 * 1024);
        assert_int_equal(ws_pull(p.client.w, &out, 64 * 1024, &e), 0);
        assert_true(out.n > 0);
        assert_int_equal(ws_feed(p.server.w, out.p, out.n, &e), 0);
        n_pulls++;
    }
    assert_true(n_pulls > 10);
    assert_int_equal(p.server.text.n, sizeof bulk + 3);
    assert_memory_equal(p.server.text.p + 2, bulk, sizeof bulk);
    close_pair(&p);
}

static void a_close_lets_queued_messages_out_first(void **state)
{
    struct pair p;
    struct err e = { 0 };
    (void)state;

    open_pair(&p, 1000, false);
    ws_send(p.server.w, false, "last", 4);
    ws_send(p.server.w, false, "words", 5);
    ws_close(p.server.w, WS_NORMAL, "");
    ws_send(p.server.w, false, "too late", 8);
    assert_int_equal(move(&p, 1000, &e), 0);
    assert_string_equal(buf_cstr(&p.client.text), "b(last)b(words)close(1000 )");
    assert_true(ws_is_over(p.server.w));
    close_pair(&p);
}

static void the_accept_key_is_that_of_the_rfc(void **state)
{
    char accept[29];
    (void)state;

    ws_accept_key(accept, STR("dGhlIHNhbXBsZSBub25jZQ==")); /* RFC 6455 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_pass_both_ways),
        cmocka_unit_test(bytes_from_a_client_are_understood_or_refused),
        cmocka_unit_test(fragments_count_together),
        cmocka_unit_test(a_flood_of_pings_is_cut),
        cmocka_unit_test(large_messages_are_pulled_in_pieces),
        cmocka_unit_test(a_close_lets_queued_messages_out_first),
        cmocka_unit_test(the_accept_key_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
