/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/gzip.h"

#include <zlib.h>

#define TEXT_BYTES (700 * 1000)

static char *text; /* half of it repeats itself */

static int setup(void **state)
{
    uint32_t x = 1;

    (void)state;
    text = mem_alloc(TEXT_BYTES);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        x = x * 1103515245u + 12345u;
        text[i] = i % 200 < 100 ? (char)('a' + i % 7) : (char)(x >> 16);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(text);
    return 0;
}

static void expect_unpacked(struct str packed, struct str want)
{
    auto_free char *out = mem_alloc(want.n + 1);
    z_stream z = { .next_in = (Bytef *)packed.p,
                   .avail_in = (uInt)packed.n,
                   .next_out = (Bytef *)out,
                   .avail_out = (uInt)want.n + 1 };

    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, want.n);
    assert_int_equal(z.avail_in, 0);
    assert_memory_equal(out, want.p, want.n);
    inflateEnd(&z);
}

static void pieces_of_any_size_unpack_to_the_same(void **state)
{
    static const size_t pieces[] = { 1 + TEXT_BYTES, 128 * 1024, 16 * 1024, 777 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        AUTO(gzip) struct gzip *z = gzip_new();
        auto_buf out = BUF(2 * TEXT_BYTES);

        for (size_t at = 0; at < TEXT_BYTES; at += pieces[i]) {
            size_t n = MIN(pieces[i], TEXT_BYTES - at);

            assert_int_equal(gzip_add(z, str_n(text + at, n), false, &out), 0);
        }
        assert_int_equal(gzip_add(z, STR(""), true, &out), 0);
        assert_true(out.n < TEXT_BYTES);
        expect_unpacked(buf_str(&out), str_n(text, TEXT_BYTES));
    }
}

static void nothing_is_a_stream_too(void **state)
{
    AUTO(gzip) struct gzip *z = gzip_new();
    auto_buf out = BUF(32 * 1024);

    (void)state;
    assert_int_equal(gzip_add(z, STR(""), true, &out), 0);
    expect_unpacked(buf_str(&out), STR(""));
}

static void a_full_buffer_is_an_error(void **state)
{
    AUTO(gzip) struct gzip *z = gzip_new();
    auto_buf out = BUF(20 * 1024);

    (void)state;
    assert_int_equal(gzip_add(z, str_n(text, TEXT_BYTES), true, &out), ERR_LIMIT);
}

static void what_was_packed_unpacks(void **state)
{
    AUTO(gzip) struct gzip *z = gzip_new();
    auto_buf packed = BUF(2 * TEXT_BYTES), exact = BUF(TEXT_BYTES), less = BUF(TEXT_BYTES - 1);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(gzip_add(z, str_n(text, TEXT_BYTES), true, &packed), 0);
    assert_int_equal(gzip_unpack(buf_str(&packed), &exact, &e), 0);
    assert_int_equal(exact.n, TEXT_BYTES);
    assert_memory_equal(exact.p, text, TEXT_BYTES);
    assert_int_equal(gzip_unpack(buf_str(&packed), &less, &e), ERR_LIMIT);
}

static void what_is_no_whole_stream_is_refused(void **state)
{
    AUTO(gzip) struct gzip *z = gzip_new();
    auto_buf packed = BUF(2 * TEXT_BYTES);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(gzip_add(z, str_n(text, 5000), true, &packed), 0);
    size_t whole = packed.n;
    assert_int_equal(buf_addc(&packed, 'x'), 0);
    for (size_t n = 0; n <= whole + 1; n++) {
        auto_buf out = BUF(TEXT_BYTES);
        assert_int_equal(gzip_unpack(str_n(packed.p, n), &out, &e), n == whole ? 0 : ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_size_unpack_to_the_same),
        cmocka_unit_test(nothing_is_a_stream_too),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(what_was_packed_unpacks),
        cmocka_unit_test(what_is_no_whole_stream_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
