#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/pki/password.h"

#define PW   "0123456789abcdef0123456789abcdef"
#define KEY  "2cSwgYn/R4hnWUwERE+RDVSUkKXCbOz4SAjWskR52+8nVeC4z5cDO6Nt2AA01H+YBhLQlqT4Rx/VCgy3LEwC9w"
#define HASH "$1:0102030405060708:15:8:1:" KEY

static void the_hash_of_the_vector_is_k3ss(void **state)
{
    static const unsigned char salt[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    char hash[PASSWORD_HASH_MAX_BYTES];
    struct err e;
    (void)state;

    assert_int_equal(password_hash_salted(hash, STR(PW), salt, &e), 0);
    assert_string_equal(hash, HASH);
}

static void verify_tells_match_mismatch_and_nonsense_apart(void **state)
{
    static const struct {
        const char *hash, *password;
        int code;
    } rows[] = {
        { HASH, PW, 0 },
        { HASH, "0123456789abcdef0123456789abcdee", ERR_DENIED },
        { HASH, "", ERR_DENIED },
        { "$1:0102030405060709:15:8:1:" KEY, PW, ERR_DENIED },
        { "", PW, ERR_INVALID },
        { "$2:0102030405060708:15:8:1:" KEY, PW, ERR_INVALID },
        { "$1:010203040506070:15:8:1:" KEY, PW, ERR_INVALID },
        { "$1:0102030405060708:15:8:1", PW, ERR_INVALID },
        { "$1:0102030405060708:15:8:1:", PW, ERR_INVALID },
        { "$1:0102030405060708:15:8:1:AAAA", PW, ERR_INVALID }, /* three bytes prove nothing */
        { "$1:0102030405060708:15:8:1:" KEY ":x", PW, ERR_INVALID },
        { "$1:0102030405060708:15:8:1:??", PW, ERR_INVALID },
        { "$1:0102030405060708:40:8:1:" KEY, PW, ERR_INVALID }, /* 1 PiB of memory */
        { "$1:0102030405060708:15:-8:1:" KEY, PW, ERR_INVALID },
        { "$1:0102030405060708:15:8:999:" KEY, PW, ERR_INVALID },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = { 0 };

        if (password_verify(str_of(rows[i].hash), str_of(rows[i].password), &e) != rows[i].code)
            fail_msg("row %zu: %s", i, e.text);
        assert_null(strstr(e.text, PW));
    }
}

static void new_passwords_and_salts_differ(void **state)
{
    char a[PASSWORD_CHARS + 1], b[PASSWORD_CHARS + 1];
    char ha[PASSWORD_HASH_MAX_BYTES], hb[PASSWORD_HASH_MAX_BYTES];
    struct err e;
    (void)state;

    password_new(a);
    password_new(b);
    assert_int_equal(strlen(a), 32);
    assert_string_not_equal(a, b);
    assert_int_equal(password_hash(ha, str_of(a), &e), 0);
    assert_int_equal(password_hash(hb, str_of(a), &e), 0);
    assert_string_not_equal(ha, hb);
    assert_int_equal(password_verify(str_of(ha), str_of(a), &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_of_the_vector_is_k3ss),
        cmocka_unit_test(verify_tells_match_mismatch_and_nonsense_apart),
        cmocka_unit_test(new_passwords_and_salts_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
