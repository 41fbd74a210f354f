/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "server/controller/queue.h"

#include "base/core/mem.h"
#include "base/io/timer.h"

#include <stdio.h>
#include <string.h>

/* What the work function does with a key, and what was seen. */
static struct {
    uv_loop_t loop;
    struct queue *q;
    char log[4096]; /* "a b a " */
    size_t n;
    unsigned n_running, most_running;
    unsigned n_failures;   /* the first so many fail */
    bool slow;             /* done comes from a timer */
    bool hold;             /* done comes when the queue is closing */
    struct queue_item *held;
    const char *add_again; /* added from inside the work, once */
    bool closed;
} t;

struct slow {
    struct timer timer;
    struct queue_item *it;
};

static void end(struct queue_item *it)
{
    struct err e;

    t.n_running--;
    if (t.n_failures) {
        t.n_failures--;
        err_set(&e, ERR_IO, "on purpose");
        queue_done(it, &e);
    } else {
        queue_done(it, NULL);
    }
}

static void on_slow_closed(void *arg)
{
    free(arg);
}

static void on_slow(void *arg)
{
    struct slow *s = arg;
    struct queue_item *it = s->it;

    timer_close(&s->timer, on_slow_closed, s);
    end(it);
}

static void work(void *arg, struct queue_item *it)
{
    const char *again = t.add_again;

    (void)arg;
    t.n++;
    t.n_running++;
    t.most_running = t.n_running > t.most_running ? t.n_running : t.most_running;
    strncat(t.log, queue_key(it), sizeof t.log - strlen(t.log) - 1);
    strncat(t.log, " ", sizeof t.log - strlen(t.log) - 1);
    t.add_again = NULL;
    if (again)
        queue_add(t.q, again);
    if (t.hold) {
        t.held = it;
    } else if (t.slow) {
        struct slow *s = mem_alloc(sizeof *s);

        s->it = it;
        timer_init(&s->timer, &t.loop);
        timer_start_ms(&s->timer, 5, on_slow, s);
    } else {
        end(it);
    }
}

static void open_queue(unsigned n_parallel, bool held)
{
    struct queue_config c = { .loop = &t.loop,
                              .name = "test",
                              .n_parallel = n_parallel,
                              .retry_min_ms = 5,
                              .retry_max_ms = 20,
                              .held = held,
                              .work = work };

    memset(&t, 0, sizeof t);
    uv_loop_init(&t.loop);
    queue_new(&t.q, &c);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void close_queue(void)
{
    queue_close(t.q, on_closed, &t.closed);
    assert_false(t.closed); /* never from inside */
    if (t.held)
        end(t.held);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_true(t.closed);
    assert_int_equal(uv_loop_close(&t.loop), 0);
}

/* Without keys the queue has no timer running, so the loop ends. */
static void run(void)
{
    uv_run(&t.loop, UV_RUN_DEFAULT);
}

static void a_key_added_twice_is_looked_at_once(void **state)
{
    (void)state;
    open_queue(1, false);
    queue_add(t.q, "a");
    queue_add(t.q, "b");
    queue_add(t.q, "a");
    assert_int_equal(t.n, 0); /* not from inside queue_add */
    run();
    assert_string_equal(t.log, "a b ");
    assert_int_equal(queue_len(t.q), 0);
    close_queue();
}

static void a_key_added_during_its_work_is_looked_at_again(void **state)
{
    (void)state;
    open_queue(4, false);
    t.add_again = "a";
    t.slow = true;
    queue_add(t.q, "a");
    run();
    assert_string_equal(t.log, "a a ");
    assert_int_equal(t.most_running, 1); /* and not beside itself */
    close_queue();
}

static void no_more_keys_run_than_allowed(void **state)
{
    (void)state;
    open_queue(3, false);
    t.slow = true;
    for (char key[2] = "a"; key[0] <= 'z'; key[0]++)
        queue_add(t.q, key);
    run();
    assert_int_equal(t.n, 26);
    assert_int_equal(t.most_running, 3);
    close_queue();
}

static void a_failed_key_comes_again_until_it_succeeds(void **state)
{
    (void)state;
    open_queue(1, false);
    t.n_failures = 4;
    queue_add(t.q, "a");
    run();
    assert_string_equal(t.log, "a a a a a ");
    close_queue();
}

static void held_queues_wait_for_their_release(void **state)
{
    (void)state;
    open_queue(1, true);
    queue_add(t.q, "a");
    run();
    assert_int_equal(t.n, 0);
    queue_release(t.q);
    run();
    assert_int_equal(t.n, 1);
    close_queue();
}

static void deadlines_come_in_order_and_can_be_moved(void **state)
{
    (void)state;
    open_queue(1, false);
    queue_at(t.q, "late", 5);
    queue_at(t.q, "c", 30);
    queue_at(t.q, "a", 10);
    queue_at(t.q, "gone", 15);
    queue_at(t.q, "b", 20);
    queue_at(t.q, "late", 40); /* a deadline replaces the one before */
    queue_at(t.q, "now", 100000);
    queue_add(t.q, "now"); /* added: it no longer waits */
    queue_forget(t.q, "gone");
    run();
    assert_string_equal(t.log, "now a b c late ");
    close_queue();
}

static void many_deadlines_keep_their_order(void **state)
{
    char key[16], want[4096] = "";

    (void)state;
    open_queue(1, false);
    for (unsigned i = 0; i < 50; i++) { /* 0, 37, 24, 11, ... : each once */
        snprintf(key, sizeof key, "%02u", i * 37 % 50);
        queue_at(t.q, key, (i * 37 % 50) * 2);
    }
    for (unsigned i = 0; i < 50; i += 3) {
        snprintf(key, sizeof key, "%02u", i);
        queue_forget(t.q, key);
    }
    for (unsigned i = 0; i < 50; i++)
        if (i % 3)
            snprintf(want + strlen(want), sizeof want - strlen(want), "%02u ", i);
    run();
    assert_string_equal(t.log, want);
    close_queue();
}

static void closing_waits_for_work_and_drops_the_rest(void **state)
{
    (void)state;
    open_queue(1, false);
    t.hold = true;
    queue_add(t.q, "a");
    queue_add(t.q, "b");
    queue_at(t.q, "c", 1);
    while (!t.n)
        uv_run(&t.loop, UV_RUN_ONCE);
    t.n_failures = 1; /* even failing work does not come again */
    close_queue();
    assert_string_equal(t.log, "a ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_added_twice_is_looked_at_once),
        cmocka_unit_test(a_key_added_during_its_work_is_looked_at_again),
        cmocka_unit_test(no_more_keys_run_than_allowed),
        cmocka_unit_test(a_failed_key_comes_again_until_it_succeeds),
        cmocka_unit_test(held_queues_wait_for_their_release),
        cmocka_unit_test(deadlines_come_in_order_and_can_be_moved),
        cmocka_unit_test(many_deadlines_keep_their_order),
        cmocka_unit_test(closing_waits_for_work_and_drops_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
