#include "test/unit/server/store/suite.h"

#include "base/core/map.h"
#include "base/core/mem.h"

#include <stdio.h>

static const struct suite_backend *backend;

static int setup(void **state)
{
    return fix_setup(state, backend);
}

/* ---- writes and reads ---- */

static void a_key_lives_through_create_update_delete(void **state)
{
    struct fix *f = *state;
    int64_t a, b, c, d;

    assert_string_equal(get(f, "/r/x"), "-");
    a = put(f, STORE_CREATE, "/r/x", "one");
    assert_int_equal(store_revision(f->s), a);
    assert_string_equal(get(f, "/r/x"), FMT("one@%lld/%lld", R(a), R(a)));
    b = put(f, STORE_UPDATE, "/r/x", "two");
    assert_true(b > a);
    assert_string_equal(get(f, "/r/x"), FMT("two@%lld/%lld", R(b), R(a)));
    c = put(f, STORE_DELETE, "/r/x", "");
    assert_true(c > b);
    assert_string_equal(get(f, "/r/x"), "-");
    d = put(f, STORE_CREATE, "/r/x", "");
    assert_string_equal(get(f, "/r/x"), FMT("@%lld/%lld", R(d), R(d)));
}

static void preconditions_fail_with_the_reason_and_the_current_object(void **state)
{
    struct fix *f = *state;
    int64_t a = put(f, STORE_CREATE, "/r/x", "one");
    const struct {
        enum store_op_kind kind;
        const char *key;
        int64_t if_mod_rev;
        enum err_code code;
        const char *current;
    } rows[] = {
        { STORE_CREATE, "/r/x", 0, ERR_EXISTS, "one" },
        { STORE_UPDATE, "/r/x", a + 1, ERR_CONFLICT, "one" },
        { STORE_DELETE, "/r/x", a + 7, ERR_CONFLICT, "one" },
        { STORE_UPDATE, "/r/y", 0, ERR_NOT_FOUND, NULL },
        { STORE_UPDATE, "/r/y", a, ERR_NOT_FOUND, NULL },
        { STORE_DELETE, "/r/y", 0, ERR_NOT_FOUND, NULL },
        { STORE_UPDATE, "/r/x", a, 0, NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_op op = { .kind = rows[i].kind,
                               .key = str_of(rows[i].key),
                               .value = STR("new"),
                               .if_mod_rev = rows[i].if_mod_rev };
        struct answer r = do_commit(f, &op, 1);
        assert_int_equal(r.err.code, rows[i].code);
        if (rows[i].current)
            assert_string_equal(r.current->value, rows[i].current);
        else
            assert_null(r.current);
        if (rows[i].code) {
            assert_non_null(strstr(r.err.text, rows[i].key));
            assert_int_equal(store_revision(f->s), a);
        }
        answer_deinit(&r);
    }
}

static void several_ops_happen_at_one_revision_or_not_at_all(void **state)
{
    struct fix *f = *state;
    int64_t a = put(f, STORE_CREATE, "/r/a", "1");
    struct store_op ops[] = {
        { .kind = STORE_UPDATE, .key = STR("/r/a"), .value = STR("2"), .if_mod_rev = a },
        { .kind = STORE_CREATE, .key = STR("/r/b"), .value = STR("2") },
        { .kind = STORE_DELETE, .key = STR("/r/c") },
    };
    struct answer r = do_commit(f, ops, 3);

    assert_int_equal(r.err.code, ERR_NOT_FOUND);
    assert_int_equal(r.failed, 2);
    assert_string_equal(list(f, "/r/", NULL), FMT("/r/a=1@%lld", R(a)));
    put(f, STORE_CREATE, "/r/c", "1");
    r = do_commit(f, ops, 3);
    assert_int_equal(r.err.code, 0);
    assert_string_equal(list(f, "/r/", NULL), FMT("/r/a=2@%lld /r/b=2@%lld", R(r.rev), R(r.rev)));
}

static void impossible_commits_are_refused(void **state)
{
    struct fix *f = *state;
    char *longest = mem_alloc(8192);
    struct store_op twice[] = { { .kind = STORE_CREATE, .key = STR("/r/a") },
                                { .kind = STORE_CREATE, .key = STR("/r/a") } };
    struct store_op many[STORE_OPS_MAX + 1] = { 0 };
    struct store_op no_key = { .kind = STORE_CREATE };
    struct store_op long_key = { .kind = STORE_CREATE, .key = str_n(longest, 8192) };

    memset(longest, 'k', 8192);
    assert_int_equal(do_commit(f, twice, 2).err.code, ERR_INVALID);
    assert_int_equal(do_commit(f, many, ARRAY_LEN(many)).err.code, ERR_INVALID);
    assert_int_equal(do_commit(f, many, 0).err.code, ERR_INVALID);
    assert_int_equal(do_commit(f, &no_key, 1).err.code, ERR_INVALID);
    assert_int_equal(do_commit(f, &long_key, 1).err.code, ERR_INVALID);
    assert_string_equal(list(f, "", NULL), "");
    free(longest);
}

static void lists_come_in_key_order_in_pages_of_one_revision(void **state)
{
    struct fix *f = *state;
    static const char *const keys[] = { "/r/b/2", "/r/a", "/r/b/1", "/r/b", "/s", "/r/b/3", "/r0" };
    int64_t rev[ARRAY_LEN(keys)], past;
    struct store_list_opts o = { .limit = 2 };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        rev[i] = put(f, STORE_CREATE, keys[i], "v");
    past = store_revision(f->s);
    assert_string_equal(list(f, "/r/b/", NULL), FMT("/r/b/1=v@%lld /r/b/2=v@%lld /r/b/3=v@%lld",
                                                    R(rev[2]), R(rev[0]), R(rev[5])));
    assert_string_equal(list(f, "/r/", &o),
                        FMT("/r/a=v@%lld /r/b=v@%lld +3", R(rev[1]), R(rev[3])));
    put(f, STORE_DELETE, "/r/b/2", "");
    put(f, STORE_CREATE, "/r/b/11", "later");
    put(f, STORE_UPDATE, "/r/b/3", "later");
    o.after = STR("/r/b");
    o.at_rev = past;
    assert_string_equal(list(f, "/r/", &o),
                        FMT("/r/b/1=v@%lld /r/b/2=v@%lld +1", R(rev[2]), R(rev[0])));
    o.after = STR("/r/b/2");
    assert_string_equal(list(f, "/r/", &o), FMT("/r/b/3=v@%lld", R(rev[5])));
    o.at_rev = past + 1000000;
    assert_string_equal(list(f, "/r/", &o), "!invalid");
    assert_string_equal(list(f, "/nothing/", NULL), "");
}

static void values_keep_every_byte(void **state)
{
    struct fix *f = *state;
    char all[256];
    struct store_op op = { .kind = STORE_CREATE, .key = STR("/r/x"), .value = str_n(all, 256) };
    struct answer a;

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    a = do_commit(f, &op, 1);
    assert_int_equal(a.err.code, 0);
    fix_close(f);
    fix_open(f, NULL);
    op.kind = STORE_DELETE;
    op.if_mod_rev = 1 << 30;
    a = do_commit(f, &op, 1);
    assert_int_equal(a.err.code, ERR_CONFLICT);
    assert_int_equal(a.current->value_n, 256);
    assert_memory_equal(a.current->value, all, 256);
    answer_deinit(&a);
}

/* ---- the past ---- */

/* A model of the whole history: a list at any revision must equal it. */
static void lists_at_every_past_revision_equal_a_model(void **state)
{
    struct fix *f = *state;
    enum { N_KEYS = 12, N_STEPS = 150 };
    struct {
        int64_t rev;
        char text[N_KEYS * 24 + 1];
    } model[N_STEPS];
    int64_t mod[N_KEYS] = { 0 };
    unsigned seed = 7;

    for (int i = 0; i < N_STEPS; i++) {
        int k = (int)((seed = seed * 1103515245 + 12345) >> 16) % N_KEYS;
        bool remove = mod[k] && (seed >> 8) % 3 == 0;
        const char *key = FMT("/r/%02d", k);
        size_t n = 0;
        int64_t rev = put(f,
                          remove   ? STORE_DELETE
                          : mod[k] ? STORE_UPDATE
                                   : STORE_CREATE,
                          key, "v");
        mod[k] = remove ? 0 : rev;
        model[i].rev = rev;
        model[i].text[0] = '\0';
        for (int j = 0; j < N_KEYS; j++)
            if (mod[j])
                n += (size_t)snprintf(model[i].text + n, sizeof model[i].text - n,
                                      "%s/r/%02d=v@%lld", n ? " " : "", j, R(mod[j]));
    }
    for (int round = 0; round < 2; round++) {
        int from = round ? N_STEPS / 2 : 0;
        if (round)
            assert_int_equal(compact(f, model[from].rev), 0);
        for (int i = 0; i < N_STEPS; i++)
            assert_string_equal(list(f, "/r/", &(struct store_list_opts){ .at_rev = model[i].rev }),
                                i < from ? "!expired" : model[i].text);
        assert_string_equal(list(f, "/r/", NULL), model[N_STEPS - 1].text);
    }
    assert_int_equal(store_compacted_rev(f->s), model[N_STEPS / 2].rev);
    assert_int_equal(compact(f, 1), 0); /* behind already */
    assert_int_equal(compact(f, store_revision(f->s) + 5), ERR_INVALID);
}

static void reopening_keeps_objects_history_and_revisions(void **state)
{
    struct fix *f = *state;
    int64_t a = put(f, STORE_CREATE, "/r/a", "1");
    int64_t b = put(f, STORE_CREATE, "/r/b", "1");
    int64_t c = put(f, STORE_UPDATE, "/r/a", "2");
    struct seen w = { 0 };

    fix_close(f);
    fix_open(f, NULL);
    assert_int_equal(store_revision(f->s), c);
    assert_string_equal(list(f, "/r/", NULL), FMT("/r/a=2@%lld /r/b=1@%lld", R(c), R(b)));
    assert_string_equal(list(f, "/r/", &(struct store_list_opts){ .at_rev = b }),
                        FMT("/r/a=1@%lld /r/b=1@%lld", R(a), R(b)));
    assert_true(put(f, STORE_DELETE, "/r/b", "") > c);
    watch(f, &w, "/r/", a);
    assert_string_equal(seen(&w, 3), FMT("+/r/b=1@%lld ~/r/a=2<1@%lld -/r/b<1@%lld", R(b), R(c),
                                         R(store_revision(f->s))));
    unwatch(&w);
}

/* ---- watches ---- */

static void a_watch_sees_what_happens_under_its_prefix(void **state)
{
    struct fix *f = *state;
    struct seen all = { 0 }, dir = { 0 }, one = { 0 }, other = { 0 };
    int64_t a, b, c, d;

    put(f, STORE_CREATE, "/r/p/old", "0");
    watch(f, &all, "", 0);
    watch(f, &dir, "/r/p/", 0);
    watch(f, &one, "/r/p/x", 0);
    watch(f, &other, "/r/pp/", 0);
    a = put(f, STORE_CREATE, "/r/p/x", "1");
    b = put(f, STORE_UPDATE, "/r/p/x", "2");
    c = put(f, STORE_CREATE, "/r/q", "3");
    d = put(f, STORE_DELETE, "/r/p/x", "");
    assert_string_equal(seen(&dir, 3),
                        FMT("+/r/p/x=1@%lld ~/r/p/x=2<1@%lld -/r/p/x<2@%lld", R(a), R(b), R(d)));
    assert_string_equal(seen(&one, 3), dir.text);
    assert_string_equal(
        seen(&all, 4),
        FMT("+/r/p/x=1@%lld ~/r/p/x=2<1@%lld +/r/q=3@%lld -/r/p/x<2@%lld", R(a), R(b), R(c), R(d)));
    assert_string_equal(other.text, "");
    unwatch(&all);
    unwatch(&dir);
    unwatch(&one);
    unwatch(&other);
}

/* Each node watches its own key; they come and go beside watchers of the folder. */
static void watches_of_single_keys_come_and_go_beside_their_folders(void **state)
{
    struct fix *f = *state;
    struct seen x = { 0 }, y = { 0 }, top = { 0 }, dir = { 0 };
    int64_t a, b, c;

    watch(f, &x, "/r/p/x", 0);
    watch(f, &y, "/r/p/y", 0);
    watch(f, &top, "/r/p", 0);
    a = put(f, STORE_CREATE, "/r/p/x", "1");
    assert_string_equal(seen(&x, 1), FMT("+/r/p/x=1@%lld", R(a)));
    assert_string_equal(seen(&top, 1), x.text);
    unwatch(&x);
    watch(f, &dir, "/r/p/", 0);
    b = put(f, STORE_CREATE, "/r/p/y", "2");
    assert_string_equal(seen(&y, 1), FMT("+/r/p/y=2@%lld", R(b)));
    assert_string_equal(seen(&dir, 1), y.text);
    assert_string_equal(seen(&top, 2), FMT("+/r/p/x=1@%lld +/r/p/y=2@%lld", R(a), R(b)));
    unwatch(&dir);
    unwatch(&y);
    x = (struct seen){ 0 };
    watch(f, &x, "/r/p/x", 0);
    c = put(f, STORE_DELETE, "/r/p/x", "");
    assert_string_equal(seen(&x, 1), FMT("-/r/p/x<1@%lld", R(c)));
    unwatch(&x);
    unwatch(&top);
}

static void a_watch_from_a_revision_gets_what_came_after_it_first(void **state)
{
    struct fix *f = *state;
    int64_t a = put(f, STORE_CREATE, "/r/x", "1"), b = put(f, STORE_UPDATE, "/r/x", "2");
    struct seen w = { 0 };
    int64_t c;

    watch(f, &w, "/r/", a);
    c = put(f, STORE_UPDATE, "/r/x", "3");
    assert_string_equal(seen(&w, 2), FMT("~/r/x=2<1@%lld ~/r/x=3<2@%lld", R(b), R(c)));
    unwatch(&w);
}

static void a_watch_from_a_compacted_revision_has_expired(void **state)
{
    struct fix *f = *state;
    int64_t a = put(f, STORE_CREATE, "/r/x", "1"), b;
    struct seen old = { 0 }, edge = { 0 };

    for (int i = 0; i < 5; i++)
        put(f, STORE_UPDATE, "/r/x", "2");
    b = put(f, STORE_UPDATE, "/r/x", "3");
    put(f, STORE_DELETE, "/r/x", "");
    assert_int_equal(compact(f, b), 0);
    fix_close(f); /* the window would still know */
    fix_open(f, NULL);
    watch(f, &old, "/r/", a);
    watch(f, &edge, "/r/", b);
    assert_string_equal(seen(&old, 99), "!expired");
    assert_string_equal(seen(&edge, 1), FMT("-/r/x<3@%lld", R(b + 1)));
    unwatch(&old);
    unwatch(&edge);
}

static void a_held_watch_resumes_where_it_stopped(void **state)
{
    struct fix *f = *state;
    const struct store_limits tiny = { .window_events = 4 };

    fix_close(f);
    fix_open(f, &tiny); /* so that one round resumes from the window and one from the log */
    for (int n_more = 2; n_more <= 600; n_more += 598) {
        struct seen w = { .hold_after = 2 };
        int64_t first = 0;
        watch(f, &w, "/r/", 0);
        for (int i = 0; i < 2 + n_more; i++) {
            int64_t rev = put(f, STORE_CREATE, FMT("/r/%d/%d", n_more, i), "v");
            first = first ? first : rev;
        }
        seen(&w, 2);
        assert_int_equal(w.n_events, 2);
        w.hold_after = 0;
        store_watch_resume(w.w);
        store_watch_resume(w.w);
        seen(&w, 2 + (size_t)n_more);
        assert_int_equal(w.n_events, 2 + n_more);
        assert_int_equal(w.last_pos_rev, first + 1 + n_more);
        unwatch(&w);
    }
}

static void progress_tells_a_quiet_watch_how_far_it_is(void **state)
{
    struct fix *f = *state;
    struct seen w = { 0 };
    int64_t rev;

    watch(f, &w, "/quiet/", 0);
    rev = put(f, STORE_CREATE, "/r/x", "1");
    while (w.progress_rev < rev)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(w.n_events, 0);
    unwatch(&w);
}

struct stopper {
    struct store_watch *victim, *self;
    int n;
};
static bool on_stop_event(void *arg, const struct store_event *ev)
{
    struct stopper *s = arg;
    (void)ev;

    s->n++;
    if (s->victim)
        store_watch_stop(s->victim);
    s->victim = NULL;
    store_watch_stop(s->self);
    s->self = NULL;
    return true;
}
static void on_never(void *arg, const struct err *e)
{
    (void)arg;
    fail_msg("ended: %s", e->text);
}

static void a_watch_may_stop_itself_and_its_neighbours_from_inside(void **state)
{
    struct fix *f = *state;
    static const struct store_watch_events events = { .on_event = on_stop_event,
                                                      .on_end = on_never };
    struct seen left = { 0 };
    struct stopper st = { 0 };
    struct seen v = { 0 };

    for (int side = 0; side < 2; side++) { /* the victim before and behind us in the list */
        watch(f, &left, "/r/", 0);
        if (side)
            watch(f, &v, "/r/", 0);
        store_watch_start(&st.self, f->s, STR("/r/"), 0, &events, &st);
        if (!side)
            watch(f, &v, "/r/", 0);
        st.victim = v.w;
        v.w = NULL;
        put(f, side ? STORE_UPDATE : STORE_CREATE, "/r/x", "1");
        seen(&left, 1);
        put(f, STORE_UPDATE, "/r/x", "2");
        seen(&left, 2);
        assert_int_equal(st.n, 1 + side);
        unwatch(&left);
        unwatch(&v);
    }
}

/* ---- storms ---- */

enum { STORM_WRITERS = 24, STORM_KEYS = 40, STORM_WRITES = 2000 };

struct storm;
struct storm_writer {
    struct storm *st;
    int key;
    enum store_op_kind kind;
};
struct storm_watcher {
    struct storm *st;
    struct store_watch *w;
    int64_t mod[STORM_KEYS]; /* what the events say is live */
    int64_t last_rev;
    size_t n;
    unsigned hold_percent;
    uv_timer_t again;
};
struct storm {
    struct fix *f;
    unsigned seed;
    int n_started, n_running;
    size_t n_ok, n_bad;
    int64_t acked_mod[STORM_KEYS], acked_rev;
    struct storm_writer writers[STORM_WRITERS];
};

static unsigned storm_rand(struct storm *st)
{
    return (st->seed = st->seed * 1103515245 + 12345) >> 16;
}

static void storm_write(struct storm_writer *w);
static void on_storm_write(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                           const struct err *e)
{
    struct storm_writer *w = arg;
    struct storm *st = w->st;
    (void)failed;

    st->n_running--;
    if (!e) {
        st->n_ok++;
        assert_true(rev > st->acked_rev); /* answered in revision order */
        st->acked_rev = rev;
        st->acked_mod[w->key] = w->kind == STORE_DELETE ? 0 : rev;
    } else {
        assert_true(e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND);
        assert_true((e->code == ERR_EXISTS) == (current != NULL));
        st->n_bad++;
    }
    storm_write(w);
}

static void storm_write(struct storm_writer *w)
{
    struct storm *st = w->st;
    char key[32], value[32];
    struct store_op op = { 0 };

    if (st->n_started == STORM_WRITES)
        return;
    w->key = (int)(storm_rand(st) % STORM_KEYS);
    w->kind = (enum store_op_kind)(storm_rand(st) % 3);
    snprintf(key, sizeof key, "/r/n%d/%02d", w->key % 3, w->key);
    snprintf(value, sizeof value, "%d", st->n_started++);
    op = (struct store_op){
        .kind = w->kind, .key = str_of(key), .value = str_of(value), .ephemeral = w->key % 5 == 4
    };
    st->n_running++;
    store_commit(st->f->s, &op, 1, on_storm_write, w);
}

static void on_again(uv_timer_t *t)
{
    struct storm_watcher *w = t->data;
    store_watch_resume(w->w);
}

/* The history checker: each event must follow from the one before it. */
static bool on_storm_event(void *arg, const struct store_event *ev)
{
    struct storm_watcher *w = arg;
    struct store_obj *o = ev->now ? ev->now : ev->prev;
    int key = atoi(o->key + o->key_n - 2);

    if (storm_rand(w->st) % 100 < w->hold_percent) {
        uv_timer_start(&w->again, on_again, storm_rand(w->st) % 20, 0);
        return false;
    }
    assert_true(ev->rev > w->last_rev);
    assert_int_equal(ev->prev ? ev->prev->mod_rev : 0, w->mod[key]);
    w->last_rev = ev->rev;
    w->mod[key] = ev->now ? ev->now->mod_rev : 0;
    w->n++;
    return true;
}

static void no_event_is_missed_or_repeated_in_a_storm(void **state)
{
    struct fix *f = *state;
    static const struct store_watch_events events = { .on_event = on_storm_event,
                                                      .on_end = on_never };
    /* The log knows only some versions of leases, so here the window must be enough for all. */
    const struct store_limits limits = { .window_events = STORM_WRITES + 1, .checkpoint_ms = 5 };
    struct storm st = { .f = f, .seed = 3 };
    struct storm_watcher w[4] = { { 0 } };

    fix_close(f);
    fix_open(f, &limits);
    put(f, STORE_CREATE, "/start", "");
    for (int i = 0; i < 4; i++) {
        w[i].st = &st;
        w[i].hold_percent = (unsigned)i * 3;
        uv_timer_init(&f->loop, &w[i].again);
        w[i].again.data = &w[i];
        store_watch_start(&w[i].w, f->s, STR("/r/"), 0, &events, &w[i]);
    }
    for (int i = 0; i < STORM_WRITERS; i++) {
        st.writers[i].st = &st;
        storm_write(&st.writers[i]);
    }
    while (st.n_running)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(st.n_ok + st.n_bad, STORM_WRITES);
    assert_true(st.n_ok > STORM_WRITES / 4);
    for (int i = 0; i < 4; i++) {
        while (w[i].n < st.n_ok)
            uv_run(&f->loop, UV_RUN_ONCE);
        assert_int_equal(w[i].last_rev, st.acked_rev);
        assert_memory_equal(w[i].mod, st.acked_mod, sizeof st.acked_mod);
        store_watch_stop(w[i].w);
        uv_close((uv_handle_t *)&w[i].again, NULL);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT); /* they lie on this stack */
}

static bool on_chase_event(void *arg, const struct store_event *ev)
{
    struct storm_watcher *w = arg;

    if (w->n && w->n % 50 == 0 && w->hold_percent) {
        w->hold_percent = 0;
        uv_timer_start(&w->again, on_again, 3, 0);
        return false;
    }
    w->hold_percent = 1;
    assert_int_equal(ev->rev, w->last_rev + 1);
    w->last_rev = ev->rev;
    w->n++;
    return true;
}

static void a_slow_watch_catches_up_from_the_log_while_writers_go_on(void **state)
{
    struct fix *f = *state;
    enum { N = 1500, AT_ONCE = 30 };
    static const struct store_watch_events events = { .on_event = on_chase_event,
                                                      .on_end = on_never };
    const struct store_limits limits = { .window_events = 8 };
    struct storm st = { .f = f, .seed = 5 };
    struct storm_watcher w = { .st = &st };
    static struct answer answers[AT_ONCE];
    int64_t start;

    fix_close(f);
    fix_open(f, &limits);
    start = put(f, STORE_CREATE, "/r/x", "0");
    w.last_rev = start;
    uv_timer_init(&f->loop, &w.again);
    w.again.data = &w;
    store_watch_start(&w.w, f->s, STR("/r/"), 0, &events, &w);
    for (int i = 0; i < N; i += AT_ONCE) {
        memset(answers, 0, sizeof answers);
        for (int j = 0; j < AT_ONCE; j++) {
            char v[16];
            struct store_op op = { .kind = STORE_UPDATE, .key = STR("/r/x"), .value = { v, 0 } };
            op.value.n = (size_t)snprintf(v, sizeof v, "%d", i + j);
            store_commit(f->s, &op, 1, on_answer, &answers[j]);
        }
        while (!answers[AT_ONCE - 1].done)
            uv_run(&f->loop, UV_RUN_ONCE);
    }
    while (w.last_rev < start + N)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(w.n, N);
    store_watch_stop(w.w);
    uv_close((uv_handle_t *)&w.again, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void two_hundred_writers_get_no_errors(void **state)
{
    struct fix *f = *state;
    enum { N = 200, ROUNDS = 5 };
    static struct answer answers[N];
    struct store_stats stats;

    for (int round = 0; round < ROUNDS; round++) {
        int n_done = 0;
        memset(answers, 0, sizeof answers);
        for (int i = 0; i < N; i++) {
            const char *key = FMT("/r/%03d", i);
            struct store_op op = { .kind = round ? STORE_UPDATE : STORE_CREATE,
                                   .key = str_of(key),
                                   .value = STR("value") };
            store_commit(f->s, &op, 1, on_answer, &answers[i]);
        }
        while (n_done < N) {
            uv_run(&f->loop, UV_RUN_ONCE);
            for (n_done = 0; n_done < N && answers[n_done].done; n_done++)
                assert_int_equal(answers[n_done].err.code, 0);
        }
    }
    store_stats(f->s, &stats);
    assert_int_equal(stats.n_commits, N * ROUNDS);
    assert_int_equal(stats.n_objects, N);
    assert_true(stats.n_groups < N * ROUNDS / 2); /* they shared fsyncs */
}

/* ---- bounds and ends ---- */

static void a_full_queue_refuses_and_empties_again(void **state)
{
    struct fix *f = *state;
    const struct store_limits tiny = { .write_queue = 2 };
    struct store_op op = { .kind = STORE_CREATE, .key = STR("/r/x"), .value = STR("v") };
    struct answer a[3] = { { 0 } };

    fix_close(f);
    fix_open(f, &tiny);
    for (int i = 0; i < 3; i++)
        store_commit(f->s, &op, 1, on_answer, &a[i]);
    while (!a[0].done || !a[1].done || !a[2].done)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(a[0].err.code, 0);
    assert_int_equal(a[1].err.code, ERR_EXISTS);
    assert_int_equal(a[2].err.code, ERR_AGAIN);
    answer_deinit(&a[1]);
    put(f, STORE_UPDATE, "/r/x", "again");
}

static void peek_knows_what_was_written_and_stays_within_its_bytes(void **state)
{
    struct fix *f = *state;
    const struct store_limits tiny = { .cache_bytes = 4096 };
    struct store_obj *o;
    int known = 0;

    fix_close(f);
    fix_open(f, &tiny);
    put(f, STORE_CREATE, "/r/x", "1");
    o = store_peek(f->s, STR("/r/x"));
    assert_string_equal(o->value, "1");
    store_obj_unref(o);
    put(f, STORE_DELETE, "/r/x", "");
    assert_null(store_peek(f->s, STR("/r/x")));
    for (int i = 0; i < 100; i++)
        put(f, STORE_CREATE, FMT("/r/%d", i), "some value");
    for (int i = 0; i < 100; i++) {
        o = store_peek(f->s, str_of(FMT("/r/%d", i)));
        known += o != NULL;
        store_obj_unref(o);
    }
    assert_true(known > 0 && known < 40);
    assert_null(store_peek(f->s, STR("/r/0")));
    get(f, "/r/0");
    o = store_peek(f->s, STR("/r/0"));
    assert_non_null(o);
    store_obj_unref(o);
}

static void closing_answers_everything_once(void **state)
{
    struct fix *f = *state;
    struct store_op op = { .kind = STORE_CREATE, .key = STR("/r/x"), .value = STR("v") };
    struct answer a[2] = { { 0 } };
    struct seen w = { 0 };

    watch(f, &w, "/r/", 0);
    store_commit(f->s, &op, 1, on_answer, &a[0]);
    op.key = STR("/r/y");
    store_commit(f->s, &op, 1, on_answer, &a[1]);
    fix_close(f);
    assert_true(a[0].done && a[1].done);
    assert_int_equal(a[0].err.code, 0);
    assert_true(w.over);
    assert_non_null(strstr(w.text, "!canceled"));
    unwatch(&w);
    fix_open(f, NULL);
    assert_string_not_equal(get(f, "/r/x"), "-"); /* it was acknowledged */
}

int suite_run(const struct suite_backend *b)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        T(a_key_lives_through_create_update_delete),
        T(preconditions_fail_with_the_reason_and_the_current_object),
        T(several_ops_happen_at_one_revision_or_not_at_all),
        T(impossible_commits_are_refused),
        T(lists_come_in_key_order_in_pages_of_one_revision),
        T(values_keep_every_byte),
        T(lists_at_every_past_revision_equal_a_model),
        T(reopening_keeps_objects_history_and_revisions),
        T(a_watch_sees_what_happens_under_its_prefix),
        T(watches_of_single_keys_come_and_go_beside_their_folders),
        T(a_watch_from_a_revision_gets_what_came_after_it_first),
        T(a_watch_from_a_compacted_revision_has_expired),
        T(a_held_watch_resumes_where_it_stopped),
        T(progress_tells_a_quiet_watch_how_far_it_is),
        T(a_watch_may_stop_itself_and_its_neighbours_from_inside),
        T(no_event_is_missed_or_repeated_in_a_storm),
        T(a_slow_watch_catches_up_from_the_log_while_writers_go_on),
        T(two_hundred_writers_get_no_errors),
        T(a_full_queue_refuses_and_empties_again),
        T(peek_knows_what_was_written_and_stays_within_its_bytes),
        T(closing_answers_everything_once),
    };
    backend = b;
    return cmocka_run_group_tests_name(b->name, tests, NULL, NULL) + suite_lease_run(b);
}
