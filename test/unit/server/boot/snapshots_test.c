/* Snapshots of a whole server's data: made, kept, pruned, asked for, and restored elsewhere. */
#include "test/unit/server/boot/harness.h"

#include "base/io/file.h"
#include "server/boot/restore.h"
#include "server/boot/snapshot_api.h"
#include "server/boot/snapshots.h"
#include "server/store/snapshot.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct harness h;
static struct snapshots *snapshots;
static char dir[96];

static void open_snapshots(const char *schedule, size_t retention)
{
    struct snapshots_config c = { .loop = &h.loop,
                                  .store = h.store,
                                  .ca = h.ca,
                                  .base = "etcd-snapshot",
                                  .node = OWN_NODE,
                                  .version = "test",
                                  .schedule = schedule,
                                  .retention = retention };
    struct err e;

    if (snapshots_new(&snapshots, &c, &e))
        fail_msg("%s", e.text);
    snapshots_start(snapshots);
}

static int setup(void **state)
{
    (void)state;
    harness_open(&h, TUNNEL_EGRESS_AGENT);
    snprintf(dir, sizeof dir, "%s/server/db/snapshots", h.dir);
    open_snapshots(NULL, 2);
    return 0;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}
static void close_snapshots(void)
{
    bool closed = false;

    if (snapshots)
        snapshots_close(STEAL(snapshots), on_closed, &closed);
    else
        closed = true;
    harness_wait(&h, &closed);
}

static int teardown(void **state)
{
    (void)state;
    close_snapshots();
    harness_close(&h);
    return 0;
}

struct done {
    bool done;
    struct err err;
    char made[256], gone[256];
    size_t n_made, n_gone;
};

static void on_done(void *arg, const struct snapshot_files *made, const struct snapshot_files *gone,
                    const struct err *e)
{
    struct done *d = arg;

    assert_false(d->done);
    d->done = true;
    d->err = e ? *e : (struct err){ 0 };
    d->n_made = made->n;
    d->n_gone = gone->n;
    if (made->n)
        snprintf(d->made, sizeof d->made, "%s", made->v[0].name);
    if (gone->n)
        snprintf(d->gone, sizeof d->gone, "%s", gone->v[0].name);
}

static struct done run(const struct snapshots_ask *ask)
{
    struct done d = { 0 };

    snapshots_run(snapshots, ask, on_done, &d);
    assert_false(d.done);
    harness_wait(&h, &d.done);
    return d;
}

static size_t n_files(void)
{
    auto_snapshot_files all = { 0 };
    struct err e;

    assert_int_equal(snapshot_dir_list(&all, dir, &e), 0);
    return all.n;
}

static void a_snapshot_is_made_listed_and_deleted(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE },
                               list_all = { .what = SNAPSHOTS_LIST };
    struct snapshot_facts facts;
    struct stat st;
    struct err e;
    (void)state;

    assert_int_equal(run(&list_all).n_made, 0);
    struct done made = run(&save);
    assert_string_equal(made.err.text, "");
    assert_int_equal(strncmp(made.made, "on-demand-" OWN_NODE "-", 10 + sizeof OWN_NODE), 0);
    auto_free char *path = mem_printf("%s/%s", dir, made.made);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(snapshot_read(&facts, path, &e), 0);
    assert_string_equal(facts.node, OWN_NODE);
    snapshot_facts_deinit(&facts);
    assert_int_equal(run(&list_all).n_made, 1);
    const char *names[] = { made.made, "nonesuch-1" };
    struct snapshots_ask delete_it = { .what = SNAPSHOTS_DELETE, .names = names, .n_names = 1 };
    struct done gone = run(&delete_it);
    assert_string_equal(gone.gone, made.made);
    assert_int_equal(run(&list_all).n_made, 0);
    delete_it.names = names + 1;
    gone = run(&delete_it);
    assert_int_equal(gone.err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(gone.err.text, "nonesuch-1"));
}

static void one_is_made_at_a_time(void **state)
{
    const struct snapshots_ask one = { .what = SNAPSHOTS_SAVE, .base = "one" },
                               two = { .what = SNAPSHOTS_SAVE, .base = "two" };
    struct done a = { 0 }, b = { 0 };
    (void)state;

    snapshots_run(snapshots, &one, on_done, &a);
    snapshots_run(snapshots, &two, on_done, &b);
    harness_wait(&h, &b.done);
    harness_wait(&h, &a.done);
    assert_int_equal(a.err.code, 0);
    assert_int_equal(b.err.code, ERR_AGAIN);
    assert_non_null(strstr(b.err.text, "one-" OWN_NODE));
}

static void the_schedule_makes_and_prunes(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE };
    struct done by_hand;
    (void)state;

    by_hand = run(&save);
    close_snapshots();
    open_snapshots("@every 1s", 2);
    uint64_t until = uv_hrtime() + 30 * UINT64_C(1000000000);
    char first[64] = "";
    for (;;) { /* until the first one that was made has gone again */
        auto_snapshot_files all = { 0 };
        struct err e;
        bool there = false;
        uv_run(&h.loop, UV_RUN_NOWAIT);
        uv_sleep(10);
        assert_int_equal(snapshot_dir_list(&all, dir, &e), 0);
        for (size_t i = 0; i < all.n; i++) {
            if (strncmp(all.v[i].name, "etcd-", 5) != 0)
                continue;
            if (!*first)
                snprintf(first, sizeof first, "%.63s", all.v[i].name);
            there = there || strcmp(first, all.v[i].name) == 0;
        }
        if (*first && !there)
            break;
        assert_true(uv_hrtime() < until);
    }
    close_snapshots();
    auto_free char *kept = mem_printf("%s/%s", dir, by_hand.made);
    assert_true(file_exists(kept)); /* what people asked for stays */
    assert_true(n_files() <= 4);
}

static void closing_ends_what_is_being_made(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE };
    struct done d = { 0 };
    struct dirent *en;
    (void)state;

    snapshots_run(snapshots, &save, on_done, &d);
    close_snapshots();
    assert_true(d.done);
    DIR *in = opendir(dir);
    while (in && (en = readdir(in)))
        assert_null(strstr(en->d_name, ".part"));
    if (in)
        closedir(in);
}

static void wrong_settings_are_named(void **state)
{
    struct snapshots_config c = { .loop = &h.loop, .store = h.store, .ca = h.ca, .node = OWN_NODE };
    struct snapshots *s = NULL;
    struct err e;
    (void)state;

    c.base = "a/b";
    c.version = "";
    assert_int_equal(snapshots_new(&s, &c, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "a/b"));
    c.base = "ok";
    c.schedule = "now and then";
    assert_int_equal(snapshots_new(&s, &c, &e), ERR_INVALID);
    assert_null(s);
}

/* ---- restoring ---- */

struct place {
    char dir[64];
    struct server_options o;
};

static void place_new(struct place *p, char *token, char *path)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/restore-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->o = (struct server_options){ .node.data_dir = p->dir,
                                    .node.token = token,
                                    .cluster_reset = true,
                                    .cluster_reset_restore_path = path };
}
static void place_free(struct place *p)
{
    struct err e;

    assert_int_equal(file_remove_tree(p->dir, &e), 0);
}
static bool has(const struct place *p, const char *rel)
{
    auto_free char *path = mem_printf("%s/server/%s", p->dir, rel);

    return file_exists(path);
}

static void a_restore_needs_the_token_and_touches_nothing_without(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE, .compress = true };
    char right[] = SERVER_PASSWORD, wrong[] = "another", nothing[] = "/nonexistent/snap";
    struct place p = { 0 };
    struct err e = { 0 };
    (void)state;

    struct done made = run(&save);
    assert_int_equal(made.err.code, 0);
    auto_free char *path = mem_printf("%s/%s", dir, made.made);

    place_new(&p, NULL, path);
    assert_int_equal(restore_run(&p.o, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "--token"));
    p.o.node.token = wrong;
    assert_int_equal(restore_run(&p.o, &e), ERR_DENIED);
    assert_non_null(strstr(e.text, "another token"));
    p.o.node.token = right;
    p.o.cluster_reset_restore_path = nothing;
    assert_int_equal(restore_run(&p.o, &e), ERR_NOT_FOUND);
    p.o.cluster_reset_restore_path = NULL;
    assert_int_equal(restore_run(&p.o, &e), ERR_INVALID);
    assert_false(has(&p, "tls") || has(&p, "cred") || has(&p, "db/coracle.db") ||
                 has(&p, "db/.restore.part"));
    p.o.cluster_reset_restore_path = path;
    if (restore_run(&p.o, &e))
        fail_msg("%s", e.text);
    assert_true(has(&p, "tls/server-ca.key") && has(&p, "cred/passwd") && has(&p, "db/coracle.db"));
    assert_false(has(&p, "db/.restore.part") || has(&p, "db/.restore.cut"));
    assert_int_equal(restore_run(&p.o, &e), ERR_INVALID); /* not twice by mistake */
    assert_non_null(strstr(e.text, "restored already"));
    auto_free char *server_dir = mem_printf("%s/server", p.dir);
    p.o.cluster_reset_restore_path = NULL;
    assert_int_equal(restore_check(&p.o, server_dir, &e), 0); /* an ordinary start */
    assert_false(has(&p, "db/reset-flag"));
    place_free(&p);
}

static void what_is_replaced_stays_beside(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE };
    char right[] = SERVER_PASSWORD;
    struct place p = { 0 };
    struct err e = { 0 };
    struct dirent *en;
    int n_old = 0;
    (void)state;

    struct done made = run(&save);
    auto_free char *path = mem_printf("%s/%s", dir, made.made);
    place_new(&p, right, path);
    assert_int_equal(restore_run(&p.o, &e), 0);
    auto_free char *flag = mem_printf("%s/server/db/reset-flag", p.dir);
    auto_free char *cut = mem_printf("%s/server/db/.restore.cut", p.dir);
    auto_free char *server_dir = mem_printf("%s/server", p.dir),
                   *db = mem_printf("%s/db", server_dir);
    assert_int_equal(rename(flag, cut), 0); /* as if the power had gone in between */
    assert_int_equal(restore_check(&p.o, server_dir, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "was cut off"));
    if (restore_run(&p.o, &e)) /* and once more */
        fail_msg("%s", e.text);
    assert_false(has(&p, "db/.restore.cut"));
    for (int i = 0; i < 2; i++) {
        DIR *in = opendir(i ? db : server_dir);
        while ((en = readdir(in)))
            n_old += strncmp(en->d_name, "tls-", 4) == 0 ||
                     strncmp(en->d_name, "coracle.db-old-", 15) == 0;
        closedir(in);
    }
    assert_int_equal(n_old, 2);
    place_free(&p);
}

static void no_restore_under_a_running_server(void **state)
{
    const struct snapshots_ask save = { .what = SNAPSHOTS_SAVE };
    char right[] = SERVER_PASSWORD;
    struct err e = { 0 };
    (void)state;

    struct done made = run(&save);
    auto_free char *path = mem_printf("%s/%s", dir, made.made);
    /* The harness's store is not where a server's is. */
    auto_free char *db = mem_printf("%s/server/db/coracle.db", h.dir);
    struct store *s = NULL;
    assert_int_equal(store_sqlite_open(&s, &h.loop, db, &e), 0);
    struct server_options o = { .node.data_dir = h.dir,
                                .node.token = right,
                                .cluster_reset = true,
                                .cluster_reset_restore_path = path };
    assert_int_equal(restore_run(&o, &e), ERR_AGAIN);
    assert_non_null(strstr(e.text, "in use by another process"));
    auto_free char *ca = ca_path(h.ca, "tls/server-ca.crt"),
                   *part = ca_path(h.ca, "db/.restore.cut");
    assert_true(file_exists(ca));
    assert_false(file_exists(part));
    bool closed = false;
    store_close(s, on_closed, &closed);
    harness_wait(&h, &closed);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_snapshot_is_made_listed_and_deleted),
        T(one_is_made_at_a_time),
        T(the_schedule_makes_and_prunes),
        T(closing_ends_what_is_being_made),
        T(wrong_settings_are_named),
        T(a_restore_needs_the_token_and_touches_nothing_without),
        T(what_is_replaced_stays_beside),
        T(no_restore_under_a_running_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
