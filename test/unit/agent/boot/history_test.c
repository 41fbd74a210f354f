#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/boot/history.h"

#include <stdio.h>

#define TUNNEL "tunnel to cluster.test:6443"

static void a_spell_lasts_as_long_as_its_cause(void **state)
{
    struct history h;
    struct node_report r;
    (void)state;

    history_init(&h);
    assert_int_equal(strlen(h.run), NODE_REPORT_RUN_BYTES - 1);
    assert_false(history_note(&h, TUNNEL, CAUSE_NONE, "", 500)); /* nothing was wrong */
    assert_true(history_note(&h, TUNNEL, CAUSE_SESSION, "silent", 1000));
    assert_true(history_note(&h, TUNNEL, CAUSE_DNS, "no such name", 3000));
    assert_false(history_note(&h, TUNNEL, CAUSE_DNS, "no answer", 8000));
    assert_true(history_note(&h, TUNNEL, CAUSE_NONE, "", 63000));
    assert_true(history_note(&h, "node", CAUSE_LEASE, "HTTP 500", 64000));
    history_report(&h, &r, 70000, 1795340063);
    assert_int_equal(r.n_spells, 3);
    assert_int_equal(r.now_unix_s, 1795340063);
    assert_string_equal(r.run, h.run);
    const struct {
        enum cause cause;
        uint64_t ago, lasted;
        bool ongoing;
        uint32_t times;
        const char *text;
    } want[] = {
        { CAUSE_SESSION, 69000, 2000, false, 1, TUNNEL ": silent" },
        { CAUSE_DNS, 67000, 60000, false, 2, TUNNEL ": no answer" },
        { CAUSE_LEASE, 6000, 6000, true, 1, "node: HTTP 500" },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(r.spells[i].cause, want[i].cause);
        assert_int_equal(r.spells[i].began_ago_ms, want[i].ago);
        assert_int_equal(r.spells[i].lasted_ms, want[i].lasted);
        assert_int_equal(r.spells[i].ongoing, want[i].ongoing);
        assert_int_equal(r.spells[i].n_times, want[i].times);
        assert_string_equal(r.spells[i].text, want[i].text);
    }
}

static void things_go_wrong_independently(void **state)
{
    struct history h;
    (void)state;

    history_init(&h);
    assert_true(history_note(&h, "a", CAUSE_TCP, "x", 1));
    assert_true(history_note(&h, "b", CAUSE_TCP, "x", 2));
    assert_true(history_note(&h, "a", CAUSE_NONE, "", 3));
    assert_int_equal(h.n, 2);
    assert_int_equal(h.spells[0].ended_ms, 3);
    assert_int_equal(h.spells[1].ended_ms, 0);
}

static void the_oldest_that_is_over_makes_room(void **state)
{
    struct history h;
    (void)state;

    history_init(&h);
    history_note(&h, "old", CAUSE_TLS, "still wrong", 1);
    for (unsigned i = 0; i < 3 * HISTORY_SPELLS_MAX; i++) {
        history_note(&h, "flapping", i % 2 ? CAUSE_TCP : CAUSE_DNS, "x", 10 + i);
        assert_true(h.n <= HISTORY_SPELLS_MAX);
    }
    assert_int_equal(h.n, HISTORY_SPELLS_MAX);
    assert_string_equal(h.spells[0].about, "old"); /* an ongoing one is worth more */
    for (size_t i = 2; i < h.n; i++)
        assert_true(h.spells[i].began_ms > h.spells[i - 1].began_ms);
    for (unsigned i = 0; i < 2 * HISTORY_SPELLS_MAX; i++) { /* all of them ongoing */
        char about[16];
        snprintf(about, sizeof about, "a%u", i);
        history_note(&h, about, CAUSE_TCP, "x", 1000 + i);
        assert_true(h.n <= HISTORY_SPELLS_MAX);
    }
}

static void long_and_foul_texts_are_cut_and_cleaned(void **state)
{
    static char name[600], body[NODE_REPORT_MAX_BYTES];
    struct history h;
    struct node_report r, back;
    auto_buf b = BUF(NODE_REPORT_MAX_BYTES);
    struct err e;
    (void)state;

    memset(name, 'n', sizeof name - 1);
    memset(body, '\x1b', sizeof body - 1);
    history_init(&h);
    for (unsigned i = 0; i < HISTORY_SPELLS_MAX; i++) {
        name[0] = (char)('a' + i);
        assert_true(history_note(&h, name, CAUSE_PROTOCOL, body, i));
        assert_false(history_note(&h, name, CAUSE_PROTOCOL, body, i)); /* it finds itself again */
    }
    history_report(&h, &r, 100, 0);
    assert_int_equal(node_report_write(&b, &r), 0);
    assert_int_equal(node_report_parse(&back, buf_str(&b), &e), 0);
    assert_memory_equal(&back, &r, sizeof r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spell_lasts_as_long_as_its_cause),
        cmocka_unit_test(things_go_wrong_independently),
        cmocka_unit_test(the_oldest_that_is_over_makes_room),
        cmocka_unit_test(long_and_foul_texts_are_cut_and_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
