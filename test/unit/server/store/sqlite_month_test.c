/*
 * A month of a small cluster in a minute: leases renewed every 10 s, Node statuses every 5 minutes,
 * events that live for an hour, a rolling change now and then, on a clock that is moved by hand.
 * The file stays below twice its live data, the log below its bound, and each writer within its
 * budget.
 *
 * STORE_DAYS is how long: 1 unless given, `make chaos` takes 30.
 */
#include "test/unit/server/store/sqlite_fix.h"

#include "base/core/clock.h"
#include "base/core/mem.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NODES = 10,
    OBJECTS = 3000, /* what lies there all the time, 1 kB each */
    TICK_S = 10,
    STATUS_S = 300,
    EVENT_S = 30, /* one each */
    EVENT_TTL_S = 3600,
    CHANGE_S = 60, /* an object each */
    EVENTS_LIVE = EVENT_TTL_S / EVENT_S,
    LEASE_BYTES = 380,
    STATUS_BYTES = 4000,
    EVENT_BYTES = 900,
    OBJECT_BYTES = 1000,
};

#define LEASE  "/registry/coordination.k8s.io/leases/kube-node-lease/node-"
#define NODE   "/registry/core/nodes/node-"
#define EVENT  "/registry/core/events/default/event-"
#define OBJECT "/registry/core/configmaps/default/object-"

static bool own_mounts;

static int setup(void **state)
{
    struct fix *f;

    if (fix_setup(state, &sqlite_backend))
        return -1;
    f = *state;
    fix_close(f);
    /* In memory where that is possible: only the bytes count here, not the syncs. */
    if (own_mounts && mount("month", f->place, "tmpfs", 0, "size=256m"))
        return -1;
    fix_open(f, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    fix_close(f);
    if (own_mounts && umount2(f->place, MNT_DETACH))
        return -1;
    return fix_teardown(state);
}

/* ---- the cluster ---- */

struct cluster {
    struct fix *f;
    size_t n_waiting;
    char value[STATUS_BYTES];
};

static void on_done(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                    const struct err *e)
{
    struct cluster *c = arg;
    (void)rev;
    (void)failed;
    (void)current;

    c->n_waiting--;
    if (e)
        fail_msg("%s", e->text);
}

static void commit(struct cluster *c, enum store_op_kind kind, const char *prefix, int64_t i,
                   size_t n_bytes)
{
    char key[96];
    struct store_op op = { .kind = kind, .ephemeral = strcmp(prefix, LEASE) == 0 };

    op.key.n = (size_t)snprintf(key, sizeof key, "%s%lld", prefix, (long long)i);
    op.key.p = key;
    op.value = str_n(c->value, kind == STORE_DELETE ? 0 : n_bytes);
    c->n_waiting++;
    store_commit(c->f->s, &op, 1, on_done, c);
}

static void wait_all(struct cluster *c)
{
    while (c->n_waiting)
        uv_run(&c->f->loop, UV_RUN_ONCE);
}

static void build(struct cluster *c)
{
    for (int64_t i = 0; i < NODES; i++) {
        commit(c, STORE_CREATE, NODE, i, STATUS_BYTES);
        commit(c, STORE_CREATE, LEASE, i, LEASE_BYTES);
    }
    for (int64_t i = 0; i < OBJECTS; i++) {
        commit(c, STORE_CREATE, OBJECT, i, OBJECT_BYTES);
        if (i % 256 == 0)
            wait_all(c);
    }
    wait_all(c);
}

static void tick(struct cluster *c, int64_t now_s)
{
    clock_advance_mono_ms(TICK_S * 1000);
    snprintf(c->value, sizeof c->value, "%lld", (long long)now_s); /* every write is a change */
    for (int64_t i = 0; i < NODES; i++) {
        commit(c, STORE_UPDATE, LEASE, i, LEASE_BYTES);
        if ((now_s + i * TICK_S) % STATUS_S == 0)
            commit(c, STORE_UPDATE, NODE, i, STATUS_BYTES);
    }
    if (now_s % EVENT_S == 0) {
        int64_t n = now_s / EVENT_S;
        commit(c, STORE_CREATE, EVENT, n, EVENT_BYTES);
        if (n > EVENTS_LIVE)
            commit(c, STORE_DELETE, EVENT, n - EVENTS_LIVE, 0);
    }
    if (now_s % CHANGE_S == 0)
        commit(c, STORE_UPDATE, OBJECT, now_s / CHANGE_S % OBJECTS, OBJECT_BYTES);
    wait_all(c);
}

/* ---- what is left ---- */

static uint64_t written_by(struct fix *f, const char *writer)
{
    struct store_written w[STORE_WRITERS_MAX];
    size_t n = store_written(f->s, w);

    for (size_t i = 0; i < n; i++)
        if (strcmp(w[i].writer, writer) == 0)
            return w[i].bytes;
    return 0;
}

static void print_budget(struct fix *f, double seconds)
{
    struct store_written w[STORE_WRITERS_MAX];
    size_t n = store_written(f->s, w);

    for (size_t i = 0; i < n; i++)
        print_message("  %-12s %9.1f B/s\n", w[i].writer, (double)w[i].bytes / seconds);
}

static void a_month_does_not_grow_the_file(void **state)
{
    struct fix *f = *state;
    struct cluster *c = mem_alloc(sizeof *c);
    const char *text = getenv("STORE_DAYS");
    int64_t seconds = 86400 * (text ? atoi(text) : 1);
    uint64_t wal_most = 0, db_most = 0;
    int64_t live;
    struct store_stats st = { 0 };

    c->f = f;
    memset(c->value, 'v', sizeof c->value);
    build(c);
    uint64_t leases_before = written_by(f, "leases");
    for (int64_t now_s = TICK_S; now_s <= seconds; now_s += TICK_S) {
        tick(c, now_s);
        if (now_s % 3600 == 0) {
            store_stats(f->s, &st);
            wal_most = MAX(wal_most, st.wal_bytes);
            db_most = MAX(db_most, st.db_bytes);
        }
    }
    assert_int_equal(st.n_objects, 2 * NODES + OBJECTS + EVENTS_LIVE);
    uint64_t leases = written_by(f, "leases") - leases_before;
    print_budget(f, (double)seconds);
    fix_close(f);
    live = sqlite_number(f, "SELECT sum(length(key) + length(value)) FROM live");
    print_message("%lld days: %.1f MB live, file %.1f MB at most, log %.1f MB at most\n",
                  (long long)seconds / 86400, (double)live / 1e6, (double)db_most / 1e6,
                  (double)wal_most / 1e6);
    assert_true(db_most < 2 * (uint64_t)live);
    assert_true(wal_most < 12 << 20);
    /* Ten leases share a page or two, once a minute. */
    assert_true(leases / (uint64_t)(seconds / 60) < 3 * 4096);
    fix_open(f, NULL);
    assert_true(store_compacted_rev(f->s) > 0);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_month_does_not_grow_the_file, setup, teardown),
    };

    own_mounts =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests_name("sqlite, a month", tests, NULL, NULL);
}
