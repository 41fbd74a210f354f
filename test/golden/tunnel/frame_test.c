/* The worked bytes of remotedialer (docs/protocols/remotedialer.md), checked against the reference
 * implementation, v0.2.0 ("old") and v0.6 ("new"); recorded 2026-11. */
#include "tunnel/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct str unhex(char *out, const char *hex)
{
    size_t n = 0;

    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        out[n++] = (char)strtoul((char[]){ hex[0], hex[1], 0 }, NULL, 16);
        hex++;
    }
    return str_n(out, n);
}

static const struct {
    const char *hex;
    int64_t id, conn, type, deadline_ms;
    struct str body;
} messages[] = {
    { "02 04 04 B0 EA 01 74 63 70 2F 31 32 37 2E 30 2E 30 2E 31 3A 31 30 32 35 30", 1, 2,
      TUNNEL_FRAME_CONNECT, 15000, STR("tcp/127.0.0.1:10250") },
    { "04 04 02 B0 EA 01 47 45 54", 2, 2, TUNNEL_FRAME_DATA, 15000, STR("GET") }, /* new */
    { "04 04 02 00 47 45 54", 2, 2, TUNNEL_FRAME_DATA, 0, STR("GET") },           /* old */
    { "06 04 06 45 4F 46", 3, 2, TUNNEL_FRAME_ERROR, 0, STR("EOF") },
    { "08 00 08 6E 6F 64 65 2D 61 2F 37", 4, 0, TUNNEL_FRAME_ADD_CLIENT, 0, STR("node-a/7") },
    { "0A 00 0A 6E 6F 64 65 2D 61 2F 37", 5, 0, TUNNEL_FRAME_REMOVE_CLIENT, 0, STR("node-a/7") },
    { "0C 04 0C", 6, 2, TUNNEL_FRAME_PAUSE, 0, STR("") },
    { "0E 04 0E", 7, 2, TUNNEL_FRAME_RESUME, 0, STR("") },
    { "10 00 10 02 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00", 8, 0, TUNNEL_FRAME_SYNC, 0,
      STR("\2\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0") },
    { "10 00 10", 8, 0, TUNNEL_FRAME_SYNC, 0, STR("") },
    { "E0 FB E6 AB 93 9E AB B4 24 04 0C", 0x123456789ABCDEF0, 2, TUNNEL_FRAME_PAUSE, 0, STR("") },
};

static void worked_messages_read_and_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        char bytes[64], head[TUNNEL_FRAME_HEAD_MAX];
        struct str m = unhex(bytes, messages[i].hex);
        struct tunnel_frame f;
        struct err e;
        size_t n;

        assert_int_equal(tunnel_frame_decode(&f, m, &e), 0);
        assert_int_equal(f.id, messages[i].id);
        assert_int_equal(f.conn, messages[i].conn);
        assert_int_equal(f.type, messages[i].type);
        assert_int_equal(f.deadline_ms, messages[i].deadline_ms);
        assert_true(str_eq(f.body, messages[i].body));

        n = tunnel_frame_head(head, &f);
        assert_int_equal(n + f.body.n, m.n);
        assert_memory_equal(head, m.p, n);
    }
}

/* A varint alone, as the id of a Pause of stream 0. */
static const struct {
    int64_t v;
    const char *hex;
} varints[] = {
    { 0, "00" },
    { 1, "02" },
    { 2, "04" },
    { 63, "7E" },
    { 64, "80 01" },
    { 127, "FE 01" },
    { 128, "80 02" },
    { 300, "D8 04" },
    { 15000, "B0 EA 01" },
    { -1, "01" },
    { -64, "7F" },
    { -65, "81 01" },
    { INT64_MAX, "FE FF FF FF FF FF FF FF FF 01" },
    { INT64_MIN, "FF FF FF FF FF FF FF FF FF 01" },
};

static void worked_varints_read_and_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
        char bytes[64], head[TUNNEL_FRAME_HEAD_MAX];
        struct str m = unhex(bytes, varints[i].hex);
        struct tunnel_frame f, g = { .id = varints[i].v, .type = TUNNEL_FRAME_PAUSE };
        struct err e;

        assert_int_equal(tunnel_frame_head(head, &g), m.n + 2);
        assert_memory_equal(head, m.p, m.n);
        assert_int_equal(tunnel_frame_decode(&f, str_n(head, m.n + 2), &e), 0);
        assert_int_equal(f.id, varints[i].v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_messages_read_and_write),
        cmocka_unit_test(worked_varints_read_and_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
