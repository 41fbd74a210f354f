#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/pki/token.h"

#define H  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HU "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"

static const struct row {
    const char *text;
    int code;
    const char *hash, *user, *password, *id, *secret;
} rows[] = {
    /* the forms of the grammar */
    { "K10" H "::server:pw", 0, H, "server", "pw", "", "" },
    { "K10" H "::node:pw", 0, H, "node", "pw", "", "" },
    { "K10" H "::abcdef.0123456789abcdef", 0, H, "", "", "abcdef", "0123456789abcdef" },
    { "K10::node:pw", 0, "", "node", "pw", "", "" },
    { "K10::abcdef.0123456789abcdef", 0, "", "", "", "abcdef", "0123456789abcdef" },
    { "secret", 0, "", "", "secret", "", "" },
    { "abcdef.0123456789abcdef", 0, "", "", "", "abcdef", "0123456789abcdef" },
    /* corners of the algorithm */
    { "", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10pw", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10user:pw", 0, "", "user", "pw", "", "" }, /* no "::": all of it is credentials */
    { "K10abc::server:pw", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10" H "0::server:pw", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10" H "::server:", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10" H "::server", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10" H "::", ERR_INVALID, NULL, NULL, NULL, NULL, NULL },
    { "K10" H "::"
      ":pw",
      0, H, "", "pw", "", "" },
    { "K10" H "::server:p:w::x", 0, H, "server", "p:w::x", "", "" },
    { "K10" HU "::server:pw", 0, HU, "server", "pw", "", "" }, /* legal, matches no CA */
    { "a::b:c", 0, "", "", "a::b:c", "", "" },
    { ":x", 0, "", "", ":x", "", "" },
    { "Abcdef.0123456789abcdef", 0, "", "", "Abcdef.0123456789abcdef", "", "" },
    { "abcdef.0123456789abcde", 0, "", "", "abcdef.0123456789abcde", "", "" },
    { "k10" H "::server:pw", 0, "", "", "k10" H "::server:pw", "", "" },
};

static void every_form_parses_as_k3s_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_token t = { .user = NULL };
        struct err e = { 0 };

        if (token_parse(&t, str_of(rows[i].text), &e) != rows[i].code)
            fail_msg("row %zu: %s", i, e.text);
        if (rows[i].code)
            continue;
        assert_string_equal(t.ca_hash, rows[i].hash);
        assert_string_equal(t.user, rows[i].user);
        assert_string_equal(t.password, rows[i].password);
        assert_string_equal(t.bootstrap_id, rows[i].id);
        assert_string_equal(t.bootstrap_secret, rows[i].secret);
    }
}

static void errors_say_what_is_wrong_and_keep_the_secret(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        { "", "empty token" },
        { "K10short::server:hunter2", "bad CA hash length" },
        { "K10" H "::hunter2", "invalid format" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_token t = { .user = NULL };
        struct err e = { 0 };

        assert_int_equal(token_parse(&t, str_of(bad[i].text), &e), ERR_INVALID);
        assert_non_null(strstr(e.text, bad[i].word));
        assert_null(strstr(e.text, "hunter2"));
    }
}

static void huge_tokens_and_zero_bytes_are_refused(void **state)
{
    char big[TOKEN_MAX_BYTES + 1];
    auto_token t = { .user = NULL };
    struct err e;
    (void)state;

    memset(big, 'x', sizeof big);
    assert_int_equal(token_parse(&t, str_n(big, sizeof big), &e), ERR_LIMIT);
    assert_int_equal(token_parse(&t, str_n("ab\0cd", 5), &e), ERR_INVALID);
}

static void printing_uses_the_hash_that_was_observed(void **state)
{
    static const struct {
        const char *text, *hash, *printed;
    } cases[] = {
        { "secret", H, "K10" H ":::secret" },
        { "K10::node:pw", H, "K10" H "::node:pw" },
        { "K10" H "::node:pw", "", "K10::node:pw" },
        { "abcdef.0123456789abcdef", H, "K10" H "::abcdef.0123456789abcdef" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf out = BUF_SECRET(TOKEN_MAX_BYTES);
        auto_token t = { .user = NULL };
        struct err e;

        assert_int_equal(token_parse(&t, str_of(cases[i].text), &e), 0);
        assert_int_equal(token_print(&t, cases[i].hash, &out), 0);
        assert_string_equal(buf_cstr(&out), cases[i].printed);
    }
}

static void a_hash_matches_only_itself_and_no_hash_matches_all(void **state)
{
    static const struct {
        const char *text, *hash;
        int code;
    } cases[] = {
        { "K10" H "::node:pw", H, 0 },
        { "K10" HU "::node:pw", H, ERR_DENIED },
        { "K10" H "::node:pw", "", ERR_DENIED },
        { "K10::node:pw", H, 0 },
        { "pw", "", 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_token t = { .user = NULL };
        struct err e = { 0 };

        assert_int_equal(token_parse(&t, str_of(cases[i].text), &e), 0);
        assert_int_equal(token_check_ca(&t, cases[i].hash, &e), cases[i].code);
        if (cases[i].code)
            assert_non_null(strstr(e.text, t.ca_hash));
    }
}

static void a_servers_password_is_what_follows_the_user(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *password;
    } cases[] = {
        { "secret", 0, "secret" },
        { "K10" H "::server:secret", 0, "secret" },
        { "K10" H "::server:se:cr::et", 0, "se:cr::et" },
        { "abcdef.0123456789abcdef", ERR_INVALID, NULL },
        { "K10nonsense", ERR_INVALID, NULL },
        { "", ERR_INVALID, NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf out = BUF_SECRET(TOKEN_MAX_BYTES);
        struct err e;

        assert_int_equal(token_password(str_of(cases[i].text), &out, &e), cases[i].code);
        if (!cases[i].code)
            assert_string_equal(buf_cstr(&out), cases[i].password);
    }
}

static void redacted_texts_show_no_secret(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "K10" H "::server:hunter2", "K1001234567...::server:***" },
        { "K10::node:hunter2", "K10::node:***" },
        { "K10" H "::abcdef.0123456789abcdef", "K1001234567...::abcdef.***" },
        { "hunter2", "***" },
        { "K10hunter2", "***" },
        { "", "***" },
    };
    char out[128];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        token_redact(out, sizeof out, str_of(cases[i].text));
        assert_string_equal(out, cases[i].shown);
    }
}

static void new_bootstrap_tokens_are_well_formed_and_differ(void **state)
{
    char a[24], b[24];
    (void)state;

    token_bootstrap_new(a);
    token_bootstrap_new(b);
    assert_true(token_is_bootstrap_text(str_of(a)));
    assert_true(token_is_bootstrap_text(str_of(b)));
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_parses_as_k3s_reads_it),
        cmocka_unit_test(errors_say_what_is_wrong_and_keep_the_secret),
        cmocka_unit_test(huge_tokens_and_zero_bytes_are_refused),
        cmocka_unit_test(printing_uses_the_hash_that_was_observed),
        cmocka_unit_test(a_hash_matches_only_itself_and_no_hash_matches_all),
        cmocka_unit_test(a_servers_password_is_what_follows_the_user),
        cmocka_unit_test(redacted_texts_show_no_secret),
        cmocka_unit_test(new_bootstrap_tokens_are_well_formed_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
