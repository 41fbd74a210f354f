/* K3s's bootstrap value, from the worked example of docs/protocols/bootstrap.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/pki/seal.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define PLAIN "{\"ServerCA\":{\"Timestamp\":\"2024-01-01T00:00:00Z\",\"Content\":\"QQ==\"}}"
#define SEALED                                                                                     \
    "00112233445566ff:AAECAwQFBgcICQoL+7K2GszoeWxct3eERTpgSevOmuKD5VpFarYsjH5YCkttNjT/"            \
    "p+f6Wzu2EFJisOUl/WzxSDg5P1QeZvRKa6ATG6utVIANrDOwnbJkZ/A6HANk/w=="

static void the_example_is_sealed_to_the_byte(void **state)
{
    static const unsigned char nonce[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    auto_buf out = BUF(4096);
    struct err e;
    (void)state;

    assert_int_equal(seal_close_with(&out, STR(PLAIN), STR(TOKEN), "00112233445566ff", nonce, &e),
                     0);
    assert_string_equal(buf_cstr(&out), SEALED);
}

static void the_example_opens(void **state)
{
    auto_buf out = BUF_SECRET(4096);
    struct err e;
    (void)state;

    assert_int_equal(seal_open(&out, STR(SEALED), STR(TOKEN), &e), 0);
    assert_string_equal(buf_cstr(&out), PLAIN);
}

static void the_key_names_the_token(void **state)
{
    char key[SEAL_KEY_CHARS + 1];
    (void)state;

    seal_key(key, STR(TOKEN));
    assert_string_equal(key, "/bootstrap/3eb1bd439947");
    seal_key(key, STR(""));
    assert_string_equal(key, "/bootstrap/e3b0c44298fc");
}

static void another_token_and_any_change_is_refused(void **state)
{
    char text[] = SEALED;
    struct err e;
    (void)state;

    for (size_t i = 0; i < sizeof text - 1; i++) {
        auto_buf out = BUF_SECRET(4096);
        char good = text[i];
        text[i] = good == 'a' ? 'b' : 'a';
        assert_int_not_equal(seal_open(&out, str_of(text), STR(TOKEN), &e), 0);
        assert_int_equal(out.n, 0);
        text[i] = good;
    }
    auto_buf out = BUF_SECRET(4096);
    assert_int_equal(seal_open(&out, str_of(text), STR("another"), &e), ERR_DENIED);
    assert_non_null(strstr(e.text, "another token"));
}

static void what_is_no_seal_is_invalid(void **state)
{
    static const char *const texts[] = { "",
                                         ":",
                                         "00112233445566ff:",
                                         "00112233445566ff:AAAA",
                                         "short:AAECAwQFBgcICQoL+7K2GszoeWxct3eERTpgSevOmuKD5VpF",
                                         "00112233445566ff:no base64 at all, however long it is" };
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        auto_buf out = BUF_SECRET(4096);
        assert_int_equal(seal_open(&out, str_of(texts[i]), STR(TOKEN), &e), ERR_INVALID);
    }
}

static void what_was_closed_opens(void **state)
{
    auto_buf sealed = BUF(4096), out = BUF_SECRET(4096), empty = BUF(4096);
    struct err e;
    (void)state;

    assert_int_equal(seal_close(&sealed, STR("a\0b"), STR(TOKEN), &e), 0);
    assert_int_equal(seal_open(&out, buf_str(&sealed), STR(TOKEN), &e), 0);
    assert_true(str_eq(buf_str(&out), STR("a\0b")));
    assert_int_equal(seal_close(&empty, STR(""), STR(TOKEN), &e), 0);
    buf_clear(&out);
    assert_int_equal(seal_open(&out, buf_str(&empty), STR(TOKEN), &e), 0);
    assert_int_equal(out.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_sealed_to_the_byte),
        cmocka_unit_test(the_example_opens),
        cmocka_unit_test(the_key_names_the_token),
        cmocka_unit_test(another_token_and_any_change_is_refused),
        cmocka_unit_test(what_is_no_seal_is_invalid),
        cmocka_unit_test(what_was_closed_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
