#include "tunnel/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void broken_messages_are_refused_by_name(void **state)
{
    static const struct {
        struct str message;
        const char *text;
    } t[] = {
        { STR(""), "message id is cut off" },
        { STR("\x80"), "message id is cut off" },
        { STR("\x02"), "stream number is cut off" },
        { STR("\x02\x04"), "message type is cut off" },
        { STR("\x02\x04\x02"), "deadline is cut off" },
        { STR("\x02\x04\x04\xb0\xea"), "deadline is cut off" },
        { STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "message id does not fit into 64 bits" },
        { STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
          "message id does not fit into 64 bits" },
        { STR("\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
          "stream number does not fit into 64 bits" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct tunnel_frame f = { .id = 42 };
        struct err e;

        assert_int_equal(tunnel_frame_decode(&f, t[i].message, &e), ERR_PROTOCOL);
        assert_string_equal(e.text, t[i].text);
        assert_int_equal(f.id, 42);
    }
}

static void an_unknown_type_is_no_error(void **state)
{
    struct tunnel_frame f;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_frame_decode(&f, STR("\x02\x04\x12xyz"), &e), 0);
    assert_int_equal(f.type, 9);
    assert_true(str_is(f.body, "xyz"));
}

static void bodies_are_cut_to_what_may_be_read(void **state)
{
    static const struct {
        int64_t type;
        size_t max;
    } t[] = {
        { TUNNEL_FRAME_DATA, 1000 },         { TUNNEL_FRAME_CONNECT, 266 },
        { TUNNEL_FRAME_ERROR, 100 },         { TUNNEL_FRAME_ADD_CLIENT, 100 },
        { TUNNEL_FRAME_REMOVE_CLIENT, 100 }, { TUNNEL_FRAME_SYNC, 1000 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct tunnel_frame f = { .id = 1, .conn = 2, .type = t[i].type };
        char message[TUNNEL_FRAME_HEAD_MAX + 1000] = { 0 };
        size_t n = tunnel_frame_head(message, &f);
        struct err e;

        assert_int_equal(tunnel_frame_decode(&f, str_n(message, n + 1000), &e), 0);
        assert_int_equal(f.body.n, t[i].max);
    }
}

static void a_connect_splits_at_the_first_slash(void **state)
{
    struct str proto, address;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_frame_connect(STR("tcp/a/b:1"), &proto, &address, &e), 0);
    assert_true(str_is(proto, "tcp"));
    assert_true(str_is(address, "a/b:1"));
    assert_int_equal(tunnel_frame_connect(STR("tcp"), &proto, &address, &e), ERR_PROTOCOL);
    assert_string_equal(e.text, "Connect without a '/': tcp");
}

static void a_client_has_a_decimal_session(void **state)
{
    struct str client;
    int64_t session;
    struct err e;

    (void)state;
    assert_int_equal(tunnel_frame_client(STR("node-a/7"), &client, &session, &e), 0);
    assert_true(str_is(client, "node-a"));
    assert_int_equal(session, 7);
    assert_int_equal(tunnel_frame_client(STR("node-a"), &client, &session, &e), ERR_PROTOCOL);
    assert_int_equal(tunnel_frame_client(STR("node-a/x"), &client, &session, &e), ERR_PROTOCOL);
    assert_int_equal(tunnel_frame_client(STR("node-a/"), &client, &session, &e), ERR_PROTOCOL);
}

static void a_list_of_streams_comes_in_eights(void **state)
{
    char b[16];
    struct err e;
    size_t n;

    (void)state;
    tunnel_frame_sync_put(b, 0x0102030405060708);
    tunnel_frame_sync_put(b + 8, -2);
    assert_int_equal(b[0], 8);
    assert_int_equal(tunnel_frame_sync_n(str_n(b, 16), &n, &e), 0);
    assert_int_equal(n, 2);
    assert_true(tunnel_frame_sync_get(str_n(b, 16), 0) == 0x0102030405060708);
    assert_true(tunnel_frame_sync_get(str_n(b, 16), 1) == -2);
    assert_int_equal(tunnel_frame_sync_n(str_n(b, 15), &n, &e), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_messages_are_refused_by_name),
        cmocka_unit_test(an_unknown_type_is_no_error),
        cmocka_unit_test(bodies_are_cut_to_what_may_be_read),
        cmocka_unit_test(a_connect_splits_at_the_first_slash),
        cmocka_unit_test(a_client_has_a_decimal_session),
        cmocka_unit_test(a_list_of_streams_comes_in_eights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
