/*
 * Random cuts of many tunnels at once, in the product's own times. 60 cuts by default, 30 under a
 * sanitizer, half of them of each protocol; CUTS, CUT_LINES and CUT_MAX_MS ask for more (make
 * chaos).
 */
#include "test/unit/tunnel/cut_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define USABLE_MS 5000
#define LATE_MS   100
/* Of all: each failed one costs a handshake, and others need the machine. A sanitized program that
 * gets a tenth of a processor does no more than catch up with what it has missed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REQUESTS_PER_S 40
enum { LINES = 10, CUTS = 30 };
#else
#define REQUESTS_PER_S 150
enum { LINES = 30, CUTS = 60 };
#endif

static size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    uint64_t n;

    return text && str_to_u64(str_of(text), &n) && n ? (size_t)n : otherwise;
}

static void every_tunnel_is_usable_again_after_a_cut(void **state)
{
    size_t n_lines = number("CUT_LINES", LINES), n_cuts = number("CUTS", CUTS);
    struct farm_config c = { .n_lines = n_lines,
                             .n_cuts = (n_cuts + n_lines - 1) / n_lines,
                             .cut_max_ms = number("CUT_MAX_MS", 9000),
                             .request_every_ms = MAX(n_lines * 1000 / REQUESTS_PER_S, (size_t)200),
                             .seed = fault_seed() };
    struct farm_result r;
    uint64_t slack_ms;

    (void)state;
    printf("FAULT_SEED=%llu, %zu tunnels, %zu cuts each\n", (unsigned long long)c.seed, n_lines,
           c.n_cuts);
    farm_run(&r, &c);
    printf("%zu cuts, %zu requests, %zu failed\n", r.n_cuts, r.n_requests, r.n_failed);
    sample_print(&r.usable, "usable again");
    sample_print(&r.client, "silent server noticed");
    sample_print(&r.server, "silent agent noticed");
    sample_print(&r.late, "requests past their deadline");
    printf("longest stop of the loop: %llu ms\n", (unsigned long long)r.lag_ms);
    printf("descriptors %ld -> %ld, heap in use %zu -> %zu bytes\n", r.fds_before, r.fds_after,
           r.heap_before, r.heap_after);

    /* A request takes several turns of the loop, and so does a handshake. */
    slack_ms = 10 * r.lag_ms;
    assert_int_equal(r.n_cuts, n_lines * c.n_cuts);
    assert_int_equal(r.usable.n, r.n_cuts);
    assert_true(sample_part(&r.usable, 1000) <= USABLE_MS + slack_ms);
    assert_true(sample_part(&r.client, 990) <= DETECT_MS + slack_ms);
    assert_true(sample_part(&r.server, 990) <= DETECT_MS + slack_ms);
    assert_int_equal(r.n_undetected, 0);
    assert_true(sample_part(&r.late, 1000) <= LATE_MS + slack_ms);
    assert_int_equal(r.fds_after, r.fds_before);
    farm_result_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tunnel_is_usable_again_after_a_cut),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
