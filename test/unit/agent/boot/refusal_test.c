/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "agent/boot/refusal.h"
#include "base/core/mem.h"

#include <string.h>

static void the_servers_words_are_found(void **state)
{
    static const struct {
        const char *body, *words;
    } rows[] = {
        { "{\"kind\":\"Status\",\"message\":\"hash does not match node e1\"}",
          "hash does not match node e1" },
        { "  Unauthorized \n", "Unauthorized" }, /* servers before Status */
        { "{\"kind\":\"Status\"}", "{\"kind\":\"Status\"}" },
        { "", "" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char words[REFUSAL_WORDS_BYTES];

        refusal_words(words, str_of(rows[i].body));
        assert_string_equal(words, rows[i].words);
    }
}

static void words_that_are_long_are_cut(void **state)
{
    static char body[2000];
    char words[REFUSAL_WORDS_BYTES];
    (void)state;

    memset(body, 'x', sizeof body - 1);
    refusal_words(words, str_of(body));
    assert_int_equal(strlen(words), 200);
}

static void a_refusal_says_whose_fault_it_is(void **state)
{
    static const struct {
        struct refusal r;
        enum cause cause;
        const char *text;
    } rows[] = {
        { { .status = 401, .words = "", .has_token = true },
          CAUSE_TOKEN,
          "the server refuses the token: Unauthorized" },
        { { .status = 401, .words = "not here", .has_token = true },
          CAUSE_TOKEN,
          "the server refuses the token: not here" },
        { { .status = 401, .words = "x", .has_token = true, .is_bootstrap = true },
          CAUSE_TOKEN,
          "the server refuses the token: the bootstrap token is not known there or has expired "
          "(x)" },
        { { .status = 401, .words = "x" },
          CAUSE_TOKEN,
          "the server refuses this node's certificate and no token was given: x" },
        { { .status = 401, .words = "x", .reviving = true },
          CAUSE_TOKEN,
          "this node's certificate has expired, the server does not renew it (x), and no token was "
          "given: a token is needed" },
        { { .status = 401, .words = "x", .reviving = true, .has_token = true },
          CAUSE_TOKEN,
          "this node's certificate has expired, the server does not renew it (x), and it refuses "
          "the "
          "token: a token is needed" },
        { { .status = 403, .words = "", .has_token = true, .names_node = true, .node_dir = "/n" },
          CAUSE_PASSWORD,
          "node password rejected: another machine has joined by this name, or /n/password was "
          "lost "
          "(HTTP 403)" },
        { { .status = 403, .words = "taken", .has_token = true, .names_node = true },
          CAUSE_PASSWORD,
          "taken (HTTP 403)" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[REFUSAL_TEXT_BYTES];
        enum cause c = refusal_read(text, &rows[i].r);

        if (c != rows[i].cause || strcmp(text, rows[i].text) != 0)
            fail_msg("row %zu: %d %s", i, c, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_words_are_found),
        cmocka_unit_test(words_that_are_long_are_cut),
        cmocka_unit_test(a_refusal_says_whose_fault_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
