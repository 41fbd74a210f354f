#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "test/fault/cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fault_proxy *proxy;
static uv_loop_t loop;

static int make_proxy(void **state)
{
    struct err e;

    (void)state;
    uv_loop_init(&loop);
    return fault_proxy_new(&proxy, &loop, "127.0.0.1:0", "127.0.0.1:1", &e);
}

static int close_proxy(void **state)
{
    (void)state;
    fault_proxy_close(proxy, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void a_seed_draws_the_same_cuts_again(void **state)
{
    struct fault_rand a = { 7 }, b = { 7 }, other = { 8 };
    struct fault_cut x, y, z;
    int n_differ = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        fault_cut_random(&x, &a, 5000);
        fault_cut_random(&y, &b, 5000);
        fault_cut_random(&z, &other, 5000);
        assert_memory_equal(&x, &y, sizeof x);
        n_differ += memcmp(&x, &z, sizeof x) != 0;
    }
    assert_true(n_differ > 50);
}

static void every_kind_is_drawn_and_lasts_within_its_bound(void **state)
{
    struct fault_rand r = { 1 };
    int seen[FAULT_N_KINDS] = { 0 };
    struct fault_cut c;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        fault_cut_random(&c, &r, 5000);
        seen[c.kind]++;
        assert_in_range(c.ways, FAULT_UP, FAULT_BOTH);
        if (c.kind < FAULT_HOLE)
            assert_int_equal(c.time_ms, 0);
        else
            assert_in_range(c.time_ms, 1, 5000);
    }
    for (int i = 0; i < FAULT_N_KINDS; i++)
        assert_int_equal(seen[i] > 0, i != FAULT_REORDER);
}

static void the_seed_comes_from_the_environment(void **state)
{
    char *before = getenv("FAULT_SEED") ? mem_strdup(getenv("FAULT_SEED")) : NULL;

    (void)state;
    setenv("FAULT_SEED", "42", 1);
    assert_int_equal(fault_seed(), 42);
    if (before)
        setenv("FAULT_SEED", before, 1);
    else
        unsetenv("FAULT_SEED");
    free(before);
}

static void commands_are_read(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *text; /* of the error, or of the answer */
    } t[] = {
        { "reset", 0, "" },
        { "reset up", 0, "" },
        { "hole  both ", 0, "" },
        { "halfclose down", 0, "" },
        { "lose", 0, "" },
        { "corrupt", 0, "" },
        { "delay 50 up", 0, "" },
        { "rate 1000", 0, "" },
        { "refuse", 0, "" },
        { "reorder 3", 0, "" },
        { "heal", 0, "" },
        { "target 127.0.0.1:2", 0, "" },
        { "status", 0, "connections 0 accepted 0 refused 0 up_bytes 0 down_bytes 0" },
        { "", ERR_INVALID, "no such command: " },
        { "explode", ERR_INVALID, "no such command: explode" },
        { "hole sideways", ERR_INVALID, "hole: up, down or both, not sideways" },
        { "delay", ERR_INVALID, "delay wants a number" },
        { "delay soon", ERR_INVALID, "delay wants a number" },
        { "lose up", ERR_INVALID, "lose: too much: up" },
        { "target here", ERR_INVALID, "target: here is not IP:PORT" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        auto_buf reply = BUF(256);
        struct err e = { 0 };

        assert_int_equal(fault_command(proxy, str_of(t[i].line), &reply, &e), t[i].code);
        assert_string_equal(t[i].code ? e.text : buf_cstr(&reply), t[i].text);
    }
}

static void a_cut_is_printed_as_its_command(void **state)
{
    struct fault_rand r = { 3 };
    char text[FAULT_CUT_TEXT_BYTES];
    auto_buf reply = BUF(256);
    struct fault_cut c = { FAULT_DELAY, FAULT_UP, 50, 0 };
    struct err e;

    (void)state;
    assert_string_equal(fault_cut_text(text, &c), "delay 50 up");
    for (int i = 0; i < 100; i++) {
        fault_cut_random(&c, &r, 5000);
        assert_int_equal(fault_command(proxy, str_of(fault_cut_text(text, &c)), &reply, &e), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_draws_the_same_cuts_again),
        cmocka_unit_test(every_kind_is_drawn_and_lasts_within_its_bound),
        cmocka_unit_test(the_seed_comes_from_the_environment),
        cmocka_unit_test(commands_are_read),
        cmocka_unit_test(a_cut_is_printed_as_its_command),
    };

    return cmocka_run_group_tests(tests, make_proxy, close_proxy);
}
