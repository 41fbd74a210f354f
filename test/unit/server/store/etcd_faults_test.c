/* Several servers on one etcd, and what they suffer when it dies, hangs, or forgets. */
#include "test/unit/server/store/etcd_world.h"

#include <signal.h>
#include <stdio.h>

/* ---- several servers ---- */

static void what_one_server_acknowledged_the_other_reads(void **state)
{
    struct world *w = *state;
    int64_t rev;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    world_open(w, 1, (struct store_etcd_options){ 0 });
    world_must_write(w, 0, STORE_CREATE, "/r/x", "0", 0);
    for (int i = 1; i < 200; i++) {
        char v[16];
        struct got g;
        snprintf(v, sizeof v, "%d", i);
        rev = world_must_write(w, i % 2, STORE_UPDATE, "/r/x", v, 0);
        assert_true(store_revision(w->s[i % 2]) >= rev);
        g = world_read(w, 1 - i % 2, "/r/x");
        assert_string_equal(g.value, v);
        assert_int_equal(g.mod_rev, rev);
        assert_true(g.rev >= rev && store_revision(w->s[1 - i % 2]) >= rev);
    }
}

/* Both servers raise the same counters by the same rule; every raise must count once. */
enum { COUNTERS = 5, RAISES = 60, RAISERS = 4 };

struct raiser {
    struct world *w;
    int server, counter;
    size_t n_done, n_lost; /* lost: another was faster, tried again */
    size_t *n_running, *n_unknown;
};

static void raise_next(struct raiser *r, struct store_obj *o);

static void on_raise_read(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct raiser *r = arg;
    (void)rev;

    if (e && e->code != ERR_NOT_FOUND) {
        char key[16];
        assert_true(e->code == ERR_CLOSED);
        snprintf(key, sizeof key, "/r/c%d", r->counter);
        store_get(r->w->s[r->server], str_of(key), on_raise_read, r);
        return;
    }
    raise_next(r, o);
}

static void raise_read(struct raiser *r)
{
    char key[16];

    snprintf(key, sizeof key, "/r/c%d", r->counter);
    store_get(r->w->s[r->server], str_of(key), on_raise_read, r);
}

static void on_raised(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    struct raiser *r = arg;
    (void)rev;
    (void)failed;

    if (!e) {
        r->n_done++;
    } else if (e->code == ERR_TIMEOUT) {
        *r->n_unknown += 1; /* it says so: it counts for either */
        r->n_done++;
    } else if (e->code == ERR_CONFLICT || e->code == ERR_EXISTS) {
        r->n_lost++;
        raise_next(r, current);
        return;
    } else if (e->code != ERR_CLOSED) {
        fail_msg("%s", e->text);
    }
    if (r->n_done == RAISES)
        *r->n_running -= 1;
    else
        raise_read(r);
}

static void raise_next(struct raiser *r, struct store_obj *o)
{
    char key[16], value[24];
    struct store_op op = { .kind = o ? STORE_UPDATE : STORE_CREATE,
                           .if_mod_rev = o ? o->mod_rev : 0 };

    snprintf(key, sizeof key, "/r/c%d", r->counter);
    snprintf(value, sizeof value, "%d", (o ? atoi(o->value) : 0) + 1);
    op.key = str_of(key);
    op.value = str_of(value);
    store_commit(r->w->s[r->server], &op, 1, on_raised, r);
}

/* step is called every 300 ms while they work; returns how many are in doubt. */
static void raise_all(struct world *w, void (*step)(struct world *w, unsigned n))
{
    struct raiser r[COUNTERS][RAISERS];
    size_t n_running = COUNTERS * (size_t)RAISERS, n_unknown = 0, n_lost = 0, n_sum = 0;
    uint64_t next_ms;
    unsigned n_steps = 0;

    for (int c = 0; c < COUNTERS; c++)
        for (int i = 0; i < RAISERS; i++) {
            r[c][i] = (struct raiser){ .w = w,
                                       .server = w->s[1] ? i % 2 : 0,
                                       .counter = c,
                                       .n_running = &n_running,
                                       .n_unknown = &n_unknown };
            raise_read(&r[c][i]);
        }
    next_ms = uv_now(&w->loop) + 300;
    while (n_running) {
        uv_run(&w->loop, UV_RUN_ONCE);
        if (step && uv_now(&w->loop) >= next_ms) {
            step(w, n_steps++);
            next_ms = uv_now(&w->loop) + 300;
        }
    }
    for (int c = 0; c < COUNTERS; c++) {
        char key[16];
        snprintf(key, sizeof key, "/r/c%d", c);
        n_sum += (size_t)atoi(world_read_patiently(w, 0, key).value);
        for (int i = 0; i < RAISERS; i++)
            n_lost += r[c][i].n_lost;
    }
    /* Acknowledged: exactly once. In doubt: once or not at all. */
    assert_true(n_sum <= COUNTERS * RAISERS * RAISES);
    assert_true(n_sum + n_unknown >= COUNTERS * RAISERS * RAISES);
    if (!step)
        assert_int_equal(n_unknown, 0);
    assert_true(n_lost > 0);
}

static void counters_of_two_servers_lose_nothing(void **state)
{
    struct world *w = *state;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    world_open(w, 1, (struct store_etcd_options){ 0 });
    raise_all(w, NULL);
}

/* ---- faults ---- */

static void kill_and_start(struct world *w, unsigned n)
{
    if (n > 12)
        return; /* let it end */
    etcd_member_kill(&w->procs, 0, SIGKILL);
    etcd_member_start(&w->procs, 0);
}

static void kill_minus_nine_loses_and_doubles_nothing(void **state)
{
    struct world *w = *state;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    world_open(w, 1, (struct store_etcd_options){ 0 });
    raise_all(w, kill_and_start);
}

/* One of three members dies, hangs or comes back, in turn. */
static void one_of_three(struct world *w, unsigned n)
{
    size_t i = n / 6 % 3;

    if (n > 30)
        i = 9;
    for (size_t j = 0; j < 3; j++) {
        if (w->procs.v[j].pid == 0 && j != i)
            etcd_member_start(&w->procs, j);
        if (j != i)
            etcd_member_kill(&w->procs, j, SIGCONT);
    }
    if (i < 3 && n % 6 == 0)
        etcd_member_kill(&w->procs, i, n / 6 % 2 ? SIGSTOP : SIGKILL);
}

static void three_members_of_which_one_is_dead_or_hangs(void **state)
{
    struct world *w = *state;

    etcd_procs_start(&w->procs, w->place, 3);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    world_open(w, 1, (struct store_etcd_options){ 0 });
    raise_all(w, one_of_three);
    for (size_t j = 0; j < 3; j++)
        etcd_member_kill(&w->procs, j, SIGCONT);
}

static void a_hung_etcd_is_told_of_and_recovered_from(void **state)
{
    struct world *w = *state;
    struct err e = { 0 };
    struct answer a;
    struct got g;
    uint64_t start_ms;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    assert_int_equal(store_trouble(w->s[0], &e), 0);
    world_must_write(w, 0, STORE_CREATE, "/r/x", "1", 0);
    etcd_member_kill(&w->procs, 0, SIGSTOP);
    g = world_read(w, 0, "/r/x"); /* the first waits, and finds out */
    assert_int_equal(g.err.code, ERR_CLOSED);
    while (!store_trouble(w->s[0], &e))
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_non_null(strstr(e.text, "etcd at 127.0.0.1"));
    world_run_ms(w, 3100);
    start_ms = uv_now(&w->loop);
    g = world_read(w, 0, "/r/x"); /* now everybody knows */
    assert_int_equal(g.err.code, ERR_CLOSED);
    assert_non_null(strstr(g.err.text, "127.0.0.1"));
    a = world_write(w, 0, STORE_CREATE, "/r/y", "1", 0);
    assert_int_equal(a.err.code, ERR_CLOSED);
    assert_true(uv_now(&w->loop) - start_ms < 2500);
    etcd_member_kill(&w->procs, 0, SIGCONT);
    start_ms = uv_now(&w->loop);
    while (store_trouble(w->s[0], &e) && uv_now(&w->loop) - start_ms < PATIENT_MS)
        uv_run(&w->loop, UV_RUN_ONCE);
    printf("back after %llu ms\n", (unsigned long long)(uv_now(&w->loop) - start_ms));
    assert_int_equal(store_trouble(w->s[0], &e), 0);
    assert_string_equal(world_read(w, 0, "/r/x").value, "1");
    world_must_write(w, 0, STORE_CREATE, "/r/z", "1", 0);
    assert_int_equal(world_read(w, 0, "/r/y").err.code, ERR_NOT_FOUND); /* refused is refused */
}

static void a_write_into_a_hang_is_answered_with_the_truth(void **state)
{
    struct world *w = *state;
    struct answer a[3] = { { 0 } };
    const struct store_op ops[] = {
        { .kind = STORE_CREATE, .key = STR("/r/guarded"), .value = STR("1") },
        { .kind = STORE_UPDATE, .key = STR("/r/any"), .value = STR("2") },
        { .kind = STORE_CREATE, .key = STR("/r/long"), .value = STR("1") },
    };

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    world_must_write(w, 0, STORE_CREATE, "/r/any", "1", 0);
    etcd_member_kill(&w->procs, 0, SIGSTOP);
    store_commit(w->s[0], &ops[0], 1, on_answer, &a[0]);
    store_commit(w->s[0], &ops[1], 1, on_answer, &a[1]);
    world_run_ms(w, 1000);
    etcd_member_kill(&w->procs, 0, SIGCONT); /* before anybody gave up */
    while (!a[0].done || !a[1].done)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(a[0].err.code, 0);
    assert_int_equal(a[1].err.code, 0);
    assert_string_equal(world_read(w, 0, "/r/guarded").value, "1");
    assert_string_equal(world_read(w, 0, "/r/any").value, "2");
    etcd_member_kill(&w->procs, 0, SIGSTOP);
    store_commit(w->s[0], &ops[2], 1, on_answer, &a[2]);
    while (!a[2].done)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(a[2].err.code, ERR_TIMEOUT);
    assert_non_null(strstr(a[2].err.text, "may or may not have happened"));
    etcd_member_kill(&w->procs, 0, SIGCONT);
    world_read_patiently(w, 0, "/r/long"); /* either is true */
    world_must_write(w, 0, STORE_UPDATE, "/r/any", "3", 0);
}

static void events_lost_to_a_compaction_end_every_watch(void **state)
{
    struct world *w = *state;
    struct seen old = { 0 }, fresh = { 0 };
    int64_t rev;
    char want[64];

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    rev = world_must_write(w, 0, STORE_CREATE, "/r/x", "1", 0);
    watch(&w->f[0], &old, "/r/", 0);
    world_run_ms(w, 50);
    etcd_member_kill(&w->procs, 0, SIGKILL); /* the feed is cut */
    etcd_member_start(&w->procs, 0);
    /* While our loop stands still: two events of somebody else's, and a compaction behind them. */
    RAW(w, "/etcdserverpb.KV/Put",
        "\x0a\x04/r/x\x12\x01"
        "2");
    RAW(w, "/etcdserverpb.KV/Put",
        "\x0a\x04/r/x\x12\x01"
        "3");
    {
        const char compact_to[] = { 0x08, (char)(rev + 2) };
        assert_true(rev + 2 < 128);
        world_raw_call(w, "/etcdserverpb.KV/Compact", str_n(compact_to, 2));
    }
    while (!old.over)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_string_equal(old.text, "!expired"); /* and not one event, as if nothing were missing */
    assert_string_equal(world_read_patiently(w, 0, "/r/x").value, "3");
    assert_true(store_compacted_rev(w->s[0]) >= rev + 2);
    watch(&w->f[0], &fresh, "/r/", 0);
    rev = world_must_write(w, 0, STORE_UPDATE, "/r/x", "4", 0);
    while (fresh.n_events < 1)
        uv_run(&w->loop, UV_RUN_ONCE);
    snprintf(want, sizeof want, "~/r/x=4<3@%lld", (long long)rev);
    assert_string_equal(fresh.text, want);
    unwatch(&old);
    unwatch(&fresh);
}

static void servers_take_turns_to_compact(void **state)
{
    struct world *w = *state;
    const struct store_limits eager = { .compact_ms = 200, .compact_keep_revs = 20 };
    const struct store_etcd_options o = { .limits = &eager };
    int64_t gone;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, o);
    world_open(w, 1, o);
    world_must_write(w, 0, STORE_CREATE, "/r/x", "0", 0);
    for (int i = 0; i < 3000 && (!store_compacted_rev(w->s[0]) || !store_compacted_rev(w->s[1]));
         i++)
        world_must_write(w, i % 2, STORE_UPDATE, "/r/x", "v", 0);
    assert_true(store_compacted_rev(w->s[0]) > 0 && store_compacted_rev(w->s[1]) > 0);
    gone = store_compacted_rev(w->s[0]);
    assert_true(gone <= world_read(w, 0, "/r/x").rev - 20); /* turns are revisions too */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(what_one_server_acknowledged_the_other_reads),
        T(counters_of_two_servers_lose_nothing),
        T(kill_minus_nine_loses_and_doubles_nothing),
        T(three_members_of_which_one_is_dead_or_hangs),
        T(a_hung_etcd_is_told_of_and_recovered_from),
        T(a_write_into_a_hang_is_answered_with_the_truth),
        T(events_lost_to_a_compaction_end_every_watch),
        T(servers_take_turns_to_compact),
    };
    return world_main(tests);
}
