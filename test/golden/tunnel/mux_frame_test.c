/* The worked bytes of docs/protocols/tunnel.md, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tunnel/mux_frame.h"

#include <errno.h>

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (s), sizeof(s) - 1                                                                         \
    }

static const struct {
    const char *hex;
    struct mux_frame f;
} rows[] = {
    { "01000000010000800000003a98"
      "7463702f3132372e302e302e313a3130323530",
      { MUX_OPEN, 1, 32768, 15000, ERR_OK, 0, TEXT("tcp/127.0.0.1:10250") } },
    { "020000000100008000", { .type = MUX_OPEN_OK, .stream = 1, .credit = 32768 } },
    { "030000000104006f72656675736564",
      { MUX_OPEN_FAIL, 1, 0, 0, ERR_IO, ECONNREFUSED, TEXT("refused") } },
    { "03000000020100006e6f7420616c6c6f7765643a207463702f3132372e302e302e313a3232",
      { MUX_OPEN_FAIL, 2, 0, 0, ERR_DENIED, 0, TEXT("not allowed: tcp/127.0.0.1:22") } },
    { "0400000001474554", { .type = MUX_DATA, .stream = 1, .body = TEXT("GET") } },
    { "050000000100004000", { .type = MUX_CREDIT, .stream = 1, .credit = 16384 } },
    { "0600000001", { .type = MUX_FIN, .stream = 1 } },
    { "0700000001000000", { .type = MUX_RESET, .stream = 1 } },
    { "07ffffffff040068676f6e65",
      { MUX_RESET, 0xffffffff, 0, 0, ERR_IO, ECONNRESET, TEXT("gone") } },
    { "0800000000060000627965", { MUX_GOAWAY, 0, 0, 0, ERR_CLOSED, 0, TEXT("bye") } },
};

static size_t unhex(char *out, const char *hex)
{
    size_t n = strlen(hex) / 2;

    assert_true(str_unhex(out, n, str_of(hex)));
    return n;
}

static void worked_bytes_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mux_frame f;
        struct err e;
        char bytes[256];

        if (mux_frame_decode(&f, str_n(bytes, unhex(bytes, rows[i].hex)), &e))
            fail_msg("row %zu: %s", i, e.text);
        assert_int_equal(f.type, rows[i].f.type);
        assert_int_equal(f.stream, rows[i].f.stream);
        assert_int_equal(f.credit, rows[i].f.credit);
        assert_int_equal(f.timeout_ms, rows[i].f.timeout_ms);
        assert_int_equal(f.code, rows[i].f.code);
        assert_int_equal(f.sys, rows[i].f.sys);
        assert_true(str_eq(f.body, rows[i].f.body));
    }
}

static void worked_bytes_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char bytes[MUX_SMALL_MAX], hex[2 * MUX_SMALL_MAX + 1];
        size_t n = mux_frame_encode(bytes, &rows[i].f);

        if (rows[i].f.type == MUX_DATA) { /* its bytes are the caller's to place */
            memcpy(bytes + n, rows[i].f.body.p, rows[i].f.body.n);
            n += rows[i].f.body.n;
        }
        str_hex(hex, bytes, n);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void what_is_no_frame_is_refused_by_name(void **state)
{
    static const struct {
        const char *hex, *text;
    } bad[] = {
        { "", "a frame of 0 bytes" },
        { "06000000", "a frame of 4 bytes" },
        { "0000000001", "a frame of unknown type 0" },
        { "0900000001", "a frame of unknown type 9" },
        { "01000000010000800000003a98", "OPEN with 8 bytes" }, /* no target */
        { "0200000001000080", "OPEN-OK with 3 bytes" },
        { "02000000010000800000", "OPEN-OK with 5 bytes" },
        { "02000000018000000000", "OPEN-OK with 5 bytes" },
        { "020000000180000000", "OPEN-OK of 2147483648 bytes" },
        { "03000000010400", "OPEN-FAIL with 2 bytes" },
        { "0400000001", "DATA with 0 bytes" },
        { "050000000100000000", "CREDIT of 0 bytes" },
        { "060000000100", "FIN with 1 bytes" },
        { "0600000000", "FIN on stream 0" },
        { "0800000001060000", "GOAWAY on stream 1" },
    };
    struct mux_frame f;
    struct err e;
    static char big[MUX_HEAD_BYTES + MUX_DATA_MAX + 1] = { MUX_DATA, 0, 0, 0, 1 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char bytes[64];

        assert_int_equal(mux_frame_decode(&f, str_n(bytes, unhex(bytes, bad[i].hex)), &e),
                         ERR_PROTOCOL);
        assert_string_equal(e.text, bad[i].text);
    }
    assert_int_equal(mux_frame_decode(&f, str_n(big, sizeof big), &e), ERR_PROTOCOL);
    assert_string_equal(e.text, "DATA with 16369 bytes");
    assert_int_equal(mux_frame_decode(&f, str_n(big, sizeof big - 1), &e), 0);
}

static void long_texts_are_cut_and_unknown_reasons_are_errors(void **state)
{
    char bytes[MUX_HEAD_BYTES + 3 + 500] = { MUX_RESET, 0, 0, 0, 1, 99 };
    struct mux_frame f;
    struct err e;

    (void)state;
    memset(bytes + MUX_HEAD_BYTES + 3, 'x', 500);
    assert_int_equal(mux_frame_decode(&f, str_n(bytes, sizeof bytes), &e), 0);
    assert_int_equal(f.code, ERR_IO);
    assert_int_equal(f.body.n, MUX_TEXT_MAX);
    f.body.n = 500;
    assert_int_equal(mux_frame_encode(bytes, &f), MUX_HEAD_BYTES + 3 + MUX_TEXT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_bytes_are_read),
        cmocka_unit_test(worked_bytes_are_written),
        cmocka_unit_test(what_is_no_frame_is_refused_by_name),
        cmocka_unit_test(long_texts_are_cut_and_unknown_reasons_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
