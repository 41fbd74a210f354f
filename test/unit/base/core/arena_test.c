#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/arena.h"

#include <string.h>

static void memory_is_zeroed_aligned_and_ones_own(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    char *last = NULL;

    (void)state;
    for (size_t n = 1; n < 3000; n += 7) {
        char *p = arena_alloc(&a, n);

        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 'x', n);
        assert_ptr_not_equal(p, last);
        last = p;
    }
}

static void lent_memory_is_used_first(void **state)
{
    _Alignas(max_align_t) char room[256];
    auto_arena a = ARENA_UNBOUNDED;

    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        memset(room, 'x', sizeof room);
        arena_lend(&a, room, sizeof room);
        char *p = arena_alloc(&a, 100), *q = arena_alloc(&a, 1000), *r = arena_alloc(&a, 100);
        assert_true(p >= room && p + 100 <= room + sizeof room);
        assert_false(q >= room && q < room + sizeof room);
        for (size_t i = 0; i < 100; i++)
            assert_true(p[i] == 0 && r[i] == 0);
        memset(p, 'y', 100);
        memset(q, 'y', 1000);
        arena_deinit(&a); /* and starts over on the heap, or with what is lent then */
        assert_string_equal(arena_strndup(&a, "heap", 4), "heap");
        arena_deinit(&a);
    }
}

static void a_piece_may_be_larger_than_a_block(void **state)
{
    auto_arena a = ARENA_UNBOUNDED;
    char *big = arena_alloc(&a, 1 << 20), *text = arena_strndup(&a, "hello", 4);

    (void)state;
    memset(big, 'x', 1 << 20);
    assert_string_equal(text, "hell");
    arena_deinit(&a);
    assert_string_equal(arena_strndup(&a, "again", 5), "again");
}

static void past_its_maximum_there_is_nothing(void **state)
{
    auto_arena a = ARENA(64);

    (void)state;
    assert_non_null(arena_calloc(&a, 1, 32));
    assert_null(arena_calloc(&a, 2, 32));
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    assert_non_null(arena_calloc(&a, 2, 16));
    assert_null(arena_calloc(&a, 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_ones_own),
        cmocka_unit_test(lent_memory_is_used_first),
        cmocka_unit_test(a_piece_may_be_larger_than_a_block),
        cmocka_unit_test(past_its_maximum_there_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
