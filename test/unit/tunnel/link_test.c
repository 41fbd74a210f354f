/* A link against a peer that writes its frames by hand; a mask of zeros leaves payloads readable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/io/unix.h"
#include "test/unit/base/io/io_end.h"
#include "tunnel/link.h"

struct world {
    uv_loop_t loop;
    struct tunnel_link *link;
    struct end peer;
    int n_dead, n_closed, n_opened;
    struct err dead;
};

static void on_dead(void *arg, const struct err *e)
{
    struct world *w = arg;

    w->n_dead++;
    w->dead = *e;
    tunnel_link_close(w->link, e->text);
}

static void on_closed(void *arg)
{
    ((struct world *)arg)->n_closed++;
}

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct world *w = arg;

    assert_true(str_is(proto, "tcp"));
    assert_true(str_is(address, "127.0.0.1:1"));
    w->n_opened++;
    tunnel_flow_close(f, "no", false, uv_now(&w->loop));
}

static void world_init_with(struct world *w, enum tunnel_role role,
                            const struct tunnel_framing *framing, uint64_t silence_ms)
{
    struct tunnel_link_config c = { .role = role,
                                    .framing = framing,
                                    .key = "peer",
                                    .silence_ms = silence_ms,
                                    .on_open = on_open,
                                    .on_dead = on_dead,
                                    .on_closed = on_closed,
                                    .arg = w };
    struct stream *a, *b;
    struct err e;

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(unix_pair(&a, &b, &w->loop, &w->loop, &e), 0);
    end_open(&w->peer, b);
    tunnel_link_new(&w->link, a, str_n(NULL, 0), &c);
}

static void world_init(struct world *w, enum tunnel_role role)
{
    world_init_with(w, role, &tunnel_remotedialer, 0);
}

static void world_deinit(struct world *w)
{
    if (!w->n_dead)
        tunnel_link_close(w->link, "the test is over");
    end_close(&w->peer);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->n_closed, 1);
    end_deinit(&w->peer);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static int is_dead(void *arg)
{
    return ((struct world *)arg)->n_dead;
}

static void say(struct world *w, struct str bytes)
{
    stream_write(w->peer.s, bytes.p, bytes.n);
}

/* Masked by zeros, as the agent's frames come to a server. */
#define BINARY(n)   "\x82" n "\0\0\0\0"
#define FRAGMENT(n) "\x02" n "\0\0\0\0"
#define LAST(n)     "\x80" n "\0\0\0\0"
#define PING        "\x89\x82\0\0\0\0hi"

static void what_breaks_the_rules_ends_the_session(void **state)
{
    static const struct {
        struct str bytes;
        enum err_code code;
        const char *text; /* a part of it */
    } t[] = {
        { STR("\x81\x82\0\0\0\0hi"), ERR_PROTOCOL, "a text message" },
        { STR("\x82\x02hi"), ERR_PROTOCOL, "websocket" },                        /* not masked */
        { STR("\xc2\x82\0\0\0\0hi"), ERR_PROTOCOL, "websocket" },                /* compressed */
        { STR("\x82\xff\0\0\0\1\0\0\0\0\0\0\0\0x"), ERR_PROTOCOL, "websocket" }, /* 4 GiB */
        { STR(BINARY("\x81") "\x80"), ERR_PROTOCOL, "remotedialer: message id is cut off" },
        { STR("\x88\x82\0\0\0\0\x03\xe8"), ERR_CLOSED, "closed the websocket: 1000" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;

        world_init(&w, TUNNEL_SERVER);
        say(&w, t[i].bytes);
        run_until(&w.loop, is_dead, &w);
        if (w.dead.code != t[i].code || !strstr(w.dead.text, t[i].text))
            fail_msg("row %zu: %s: %s", i, err_code_name(w.dead.code), w.dead.text);
        world_deinit(&w);
    }
}

static void a_dropped_connection_is_an_end(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, TUNNEL_SERVER);
    stream_shutdown(w.peer.s);
    run_until(&w.loop, is_dead, &w);
    assert_int_equal(w.dead.code, ERR_CLOSED);
    assert_string_equal(w.dead.text, "the peer closed the connection");
    world_deinit(&w);
}

/* Data of stream 9 in three fragments with a ping between: a pong, then one answer. */
static int got_refusal(void *arg)
{
    const struct end *peer = arg;

    return peer->got.n && memmem(peer->got.p, peer->got.n, "connection not found peer/0/9", 29);
}

static void fragments_are_joined_and_pings_between_them_answered(void **state)
{
    static const char expected[] = "\x8a\x02hi";
    struct world w;

    (void)state;
    world_init(&w, TUNNEL_SERVER);
    say(&w,
        STR(FRAGMENT("\x82") "\x02\x12" PING "\x00\x81\0\0\0\0\x02" LAST("\x84") "\xb0\xea\x01x"));
    run_until(&w.loop, got_refusal, &w.peer);
    /* a ping of the link's own may come before, where the loop was late */
    assert_non_null(memmem(w.peer.got.p, w.peer.got.n, expected, sizeof expected - 1));
    assert_int_equal(w.n_dead, 0);
    world_deinit(&w);
}

static void a_connect_reaches_the_agents_owner(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, TUNNEL_CLIENT);
    say(&w, STR("\x82\x15\x02\x04\x04\xb0\xea\x01"
                "tcp/127.0.0.1:1"));
    w.peer.want = 6;
    run_until(&w.loop, end_got_want, &w.peer);
    assert_int_equal(w.n_opened, 1);
    world_deinit(&w);
}

/* ---- with our own framing ---- */

/* The last bytes that the peer got are this GOAWAY. */
static void expect_goaway(struct world *w, unsigned code, const char *text)
{
    size_t n = strlen(text), n_frame = 5 + 3 + n;
    char frame[300] = { (char)0x82, (char)n_frame, 8, 0, 0, 0, 0, (char)code, 0, 0 };

    run_until(&w->loop, end_has_ended, &w->peer);
    memcpy(frame + 10, text, n);
    assert_true(n_frame < 126 && w->peer.got.n >= 2 + n_frame);
    assert_memory_equal(w->peer.got.p + w->peer.got.n - 2 - n_frame, frame, 2 + n_frame);
}

static void who_breaks_the_rules_is_told_why_it_is_cut_off(void **state)
{
    struct world w;

    (void)state;
    world_init_with(&w, TUNNEL_SERVER, &tunnel_mux, 0);
    say(&w, STR("\x82\x85\0\0\0\0\x06\0\0\0\1"));
    run_until(&w.loop, is_dead, &w);
    assert_int_equal(w.dead.code, ERR_PROTOCOL);
    assert_string_equal(w.dead.text, "coracle.v1: FIN on stream 1, which was never opened");
    expect_goaway(&w, 5, w.dead.text);
    world_deinit(&w);
}

static void an_orderly_end_is_told(void **state)
{
    struct world w;

    (void)state;
    world_init_with(&w, TUNNEL_SERVER, &tunnel_mux, 0);
    uv_run(&w.loop, UV_RUN_NOWAIT);
    tunnel_link_close(w.link, "the server is closing");
    w.n_dead++; /* there is nothing left to close */
    expect_goaway(&w, 6, "the server is closing");
    world_deinit(&w);
}

static void a_goaway_ends_the_session_with_its_words(void **state)
{
    struct world w;

    (void)state;
    world_init_with(&w, TUNNEL_SERVER, &tunnel_mux, 0);
    say(&w, STR("\x82\x8b\0\0\0\0\x08\0\0\0\0\x06\0\0"
                "bye"));
    run_until(&w.loop, is_dead, &w);
    assert_int_equal(w.dead.code, ERR_CLOSED);
    assert_string_equal(w.dead.text, "the other end of the tunnel ended it: bye");
    world_deinit(&w);
}

static void a_silent_peer_is_asked_twice_and_dropped(void **state)
{
    struct world w;

    (void)state;
    world_init_with(&w, TUNNEL_SERVER, &tunnel_mux, 60);
    run_until(&w.loop, is_dead, &w);
    assert_int_equal(w.dead.code, ERR_TIMEOUT);
    assert_true(str_starts(str_of(w.dead.text), STR("no answer from peer to pings")));
    run_until(&w.loop, end_has_ended, &w.peer);
    assert_int_equal(w.peer.got.n, 4);
    assert_memory_equal(w.peer.got.p, "\x89\0\x89\0", 4);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_breaks_the_rules_ends_the_session),
        cmocka_unit_test(a_dropped_connection_is_an_end),
        cmocka_unit_test(fragments_are_joined_and_pings_between_them_answered),
        cmocka_unit_test(a_connect_reaches_the_agents_owner),
        cmocka_unit_test(who_breaks_the_rules_is_told_why_it_is_cut_off),
        cmocka_unit_test(an_orderly_end_is_told),
        cmocka_unit_test(a_goaway_ends_the_session_with_its_words),
        cmocka_unit_test(a_silent_peer_is_asked_twice_and_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
