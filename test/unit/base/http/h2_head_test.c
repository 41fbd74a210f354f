/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/http/h2_head.h"

#include <string.h>

static enum h2_head_verdict add(struct h2_head_in *in, const char *name, const char *value)
{
    return h2_head_in_add(in, str_of(name), str_of(value));
}

static void pseudo_fields_are_told_apart(void **state)
{
    struct h2_head_in in;
    (void)state;

    h2_head_in_init(&in, true);
    assert_int_equal(add(&in, ":method", "PUT"), H2_HEAD_GOOD);
    assert_int_equal(add(&in, ":path", "/a?b"), H2_HEAD_GOOD);
    assert_int_equal(add(&in, ":scheme", "https"), H2_HEAD_GOOD);
    assert_int_equal(add(&in, "host", "example.org"), H2_HEAD_GOOD);
    assert_int_equal(add(&in, "content-length", "7"), H2_HEAD_GOOD);
    assert_true(h2_head_in_end(&in, false));
    assert_true(str_is(in.head.method, "PUT") && str_is(in.head.path, "/a?b"));
    assert_true(str_is(in.head.authority, "example.org")); /* where :authority is missing */
    assert_int_equal(in.head.content_length, 7);
    assert_int_equal(in.head.headers.n, 2);
    assert_int_equal(add(&in, "checksum", "x"), H2_HEAD_GOOD); /* a trailer */
    assert_int_equal(in.trailers.n, 1);
    assert_int_equal(in.head.headers.n, 2);
    h2_head_in_deinit(&in);
}

/* RFC 9110 15.2: any number of interim answers, then the one that counts. */
static void interim_answers_are_passed_over(void **state)
{
    struct h2_head_in in;
    (void)state;

    h2_head_in_init(&in, false);
    assert_int_equal(add(&in, ":status", "103"), H2_HEAD_GOOD);
    assert_int_equal(add(&in, "link", "x"), H2_HEAD_GOOD);
    assert_false(h2_head_in_end(&in, false));
    assert_int_equal(add(&in, ":status", "204"), H2_HEAD_GOOD);
    assert_true(h2_head_in_end(&in, true));
    assert_int_equal(in.head.status, 204);
    assert_int_equal(in.head.headers.n, 0);
    assert_true(in.head.end);
    h2_head_in_deinit(&in);
}

/* A server says why; a client has only the reset. */
static void what_is_too_long_is_refused(void **state)
{
    static char path[HTTP_TARGET_MAX_BYTES + 2], value[HTTP_HEADERS_MAX_BYTES + 2];
    static const struct {
        const char *name, *value;
        int status;
        enum h2_head_verdict of_client;
    } rows[] = {
        { ":path", path, 414, H2_HEAD_GOOD },
        { ":authority", value, 431, H2_HEAD_GOOD },
        { "cookie", value, 431, H2_HEAD_RESET },
    };
    (void)state;

    memset(path, '/', sizeof path - 1);
    memset(value, 'v', sizeof value - 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int server = 0; server < 2; server++) {
            struct h2_head_in in;

            h2_head_in_init(&in, server);
            assert_int_equal(add(&in, rows[i].name, rows[i].value),
                             server ? H2_HEAD_GOOD : rows[i].of_client);
            assert_int_equal(in.head.refuse, rows[i].status);
            assert_int_equal(add(&in, "more", "x"), H2_HEAD_GOOD); /* it changes nothing */
            assert_int_equal(in.head.refuse, rows[i].status);
            h2_head_in_deinit(&in);
        }
}

static void a_bomb_costs_the_connection(void **state)
{
    static char value[16 * 1024];
    struct h2_head_in in;
    size_t n = 0;
    (void)state;

    memset(value, 'v', sizeof value - 1);
    h2_head_in_init(&in, true);
    while (add(&in, "cookie", value) == H2_HEAD_GOOD)
        n++;
    assert_int_equal(add(&in, "cookie", value), H2_HEAD_TOO_BIG);
    assert_int_equal(in.head.refuse, 431);
    assert_int_equal(n, H2_REFUSED_HEAD_MAX_BYTES / (strlen("cookie") + strlen(value)));
    h2_head_in_deinit(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pseudo_fields_are_told_apart),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_bomb_costs_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
