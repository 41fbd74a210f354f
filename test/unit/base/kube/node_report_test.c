#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/kube/node_report.h"

#include <stdio.h>

#define HEAD "{\"run\":\"0123456789abcdef\",\"now\":\"2026-11-22T09:34:23Z\",\"spells\":"

static void what_was_written_reads_the_same(void **state)
{
    struct node_report in = { .run = "0123456789abcdef", .now_unix_s = 1795340063, .n_spells = 2 };
    struct node_report out;
    auto_buf body = BUF(NODE_REPORT_MAX_BYTES);
    struct err e;
    (void)state;

    in.spells[0] = (struct node_spell){ CAUSE_DNS, 90000, 60000, false, 12, "no \"such\" name" };
    in.spells[1] = (struct node_spell){ CAUSE_KUBELET, 0, 0, true, 1, "\xc3\xa4" };
    assert_int_equal(node_report_write(&body, &in), 0);
    if (node_report_parse(&out, buf_str(&body), &e))
        fail_msg("%s", e.text);
    assert_memory_equal(&in, &out, sizeof in);
}

static void the_longest_report_fits(void **state)
{
    struct node_report in = { .run = "0123456789abcdef", .n_spells = NODE_REPORT_SPELLS_MAX }, out;
    auto_buf body = BUF(NODE_REPORT_MAX_BYTES);
    struct err e;
    (void)state;

    for (size_t i = 0; i < in.n_spells; i++) {
        struct node_spell *s = &in.spells[i];

        *s = (struct node_spell){
            CAUSE_KUBELET, NODE_REPORT_AGE_MAX_MS, NODE_REPORT_AGE_MAX_MS, true, 1000000000, ""
        };
        memset(s->text, '"', sizeof s->text - 1); /* the escapes double it */
    }
    assert_int_equal(node_report_write(&body, &in), 0);
    assert_int_equal(node_report_parse(&out, buf_str(&body), &e), 0);
}

static void bad_reports_are_refused(void **state)
{
    static const struct {
        const char *body;
        enum err_code want;
        const char *why;
    } rows[] = {
        { "", ERR_INVALID, "report" },
        { "[]", ERR_INVALID, "run" },
        { "{}", ERR_INVALID, "run" },
        { "{\"run\":\"0123456789abcde\",\"now\":\"2026-11-22T09:34:23Z\",\"spells\":[]}",
          ERR_INVALID, "16 hex digits" },
        { "{\"run\":\"0123456789abcdefg\",\"now\":\"2026-11-22T09:34:23Z\",\"spells\":[]}",
          ERR_INVALID, "16 hex digits" },
        { "{\"run\":\"0123456789abcdef\",\"now\":\"noon\",\"spells\":[]}", ERR_INVALID, "now" },
        { HEAD "{}}", ERR_INVALID, "no list" },
        { HEAD "[1]}", ERR_INVALID, "spells[0]" },
        { HEAD "[{\"cause\":\"DNS\",\"text\":\"\",\"beganAgoMs\":1}]}", ERR_INVALID, "lastedMs" },
        { HEAD "[{\"cause\":\"DNS\",\"text\":\"\",\"beganAgoMs\":-1,\"lastedMs\":0}]}", ERR_INVALID,
          "make no time" },
        { HEAD "[{\"cause\":\"DNS\",\"text\":\"\",\"beganAgoMs\":1,\"lastedMs\":2}]}", ERR_INVALID,
          "make no time" },
        { HEAD "[{\"cause\":\"DNS\",\"text\":\"\",\"beganAgoMs\":9000000000000,\"lastedMs\":2}]}",
          ERR_INVALID, "make no time" },
        { HEAD "[{\"cause\":\"DNS\",\"text\":7,\"beganAgoMs\":1,\"lastedMs\":0}]}", ERR_INVALID,
          "text" },
        { HEAD "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}", ERR_LIMIT, "20 spells" },
    };
    auto_free char *large = mem_alloc(NODE_REPORT_MAX_BYTES + 1);
    struct node_report r;
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (node_report_parse(&r, str_of(rows[i].body), &e) != (int)rows[i].want ||
            !strstr(e.text, rows[i].why))
            fail_msg("row %zu: %d %s", i, (int)e.code, e.text);
    }
    memset(large, ' ', NODE_REPORT_MAX_BYTES + 1);
    assert_int_equal(node_report_parse(&r, str_n(large, NODE_REPORT_MAX_BYTES + 1), &e), ERR_LIMIT);
}

static void causes_of_newer_agents_are_left_out(void **state)
{
    struct node_report r;
    struct err e;
    (void)state;

    assert_int_equal(
        node_report_parse(
            &r,
            STR(HEAD "[{\"cause\":\"tides\",\"text\":\"\",\"beganAgoMs\":1,\"lastedMs\":0},"
                     "{\"cause\":\"TCP\",\"text\":\"x\",\"beganAgoMs\":1,\"lastedMs\":0,"
                     "\"times\":-4,\"new\":{}}]}"),
            &e),
        0);
    assert_int_equal(r.n_spells, 1);
    assert_int_equal(r.spells[0].cause, CAUSE_TCP);
    assert_int_equal(r.spells[0].n_times, 1);
}

static void texts_are_fit_for_a_terminal(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        { "plain text", "plain text" },
        { "a\x1b[31mb\n\x7f", "a?[31mb??" },
        { "\xc2\x9b"
          "31m",
          "?31m" }, /* C1: some terminals take it for ESC [ */
        { "\xc2\xa0\xe2\x82\xac", "\xc2\xa0\xe2\x82\xac" },
        { "\xff\x80\xe2\x82", "????" },         /* no UTF-8 */
        { "12345678901", "1234567890" },        /* cut at the room there is */
        { "12345678\xe2\x82\xac", "12345678" }, /* and never inside a character */
    };
    char out[11];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        node_text_clean(out, sizeof out, str_of(rows[i].in));
        assert_string_equal(out, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_reads_the_same),
        cmocka_unit_test(the_longest_report_fits),
        cmocka_unit_test(bad_reports_are_refused),
        cmocka_unit_test(causes_of_newer_agents_are_left_out),
        cmocka_unit_test(texts_are_fit_for_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
