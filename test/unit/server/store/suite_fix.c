#include "test/unit/server/store/suite.h"

#include "base/core/mem.h"
#include "base/io/file.h"

#include <stdio.h>
#include <stdlib.h>

static bool closed;
static void on_closed(void *arg)
{
    (void)arg;
    closed = true;
}

static void turn(struct fix *f)
{
    uv_run(&f->loop, UV_RUN_ONCE);
}

void fix_open(struct fix *f, const struct store_limits *l)
{
    struct err e = { 0 };

    if (f->b->open(&f->s, &f->loop, f->place, l, &e))
        fail_msg("%s", e.text);
}

void fix_close(struct fix *f)
{
    closed = false;
    store_close(f->s, on_closed, NULL);
    while (!closed)
        turn(f);
    f->s = NULL;
}

int fix_setup(void **state, const struct suite_backend *b)
{
    struct fix *f = mem_alloc(sizeof *f);

    f->b = b;
    uv_loop_init(&f->loop);
    snprintf(f->place, sizeof f->place, "/tmp/store_test.XXXXXX");
    assert_non_null(mkdtemp(f->place));
    fix_open(f, NULL);
    *state = f;
    return 0;
}

void fix_remove_place(const char *place)
{
    struct err e;

    if (file_remove_tree(place, &e))
        fail_msg("%s", e.text);
}

int fix_teardown(void **state)
{
    struct fix *f = *state;
    int rc;

    if (f->s)
        fix_close(f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&f->loop);
    if (f->b->gone)
        f->b->gone(f->place);
    fix_remove_place(f->place);
    free(f);
    assert_int_equal(rc, 0);
    return 0;
}

static char *slot(size_t *max)
{
    enum { BYTES = 16 * 1024 };
    static char slots[8][BYTES];
    static unsigned i;

    *max = BYTES;
    i = (i + 1) % 8;
    slots[i][0] = '\0';
    return slots[i];
}

/* ---- writes ---- */

void answer_deinit(struct answer *a)
{
    store_obj_unref(a->current);
    a->current = NULL;
}

void on_answer(void *arg, int64_t rev, size_t failed, struct store_obj *current,
               const struct err *e)
{
    struct answer *a = arg;

    assert_false(a->done);
    *a = (struct answer){ .done = true,
                          .rev = rev,
                          .failed = failed,
                          .current = store_obj_ref(current),
                          .err = e ? *e : (struct err){ 0 } };
}

struct answer do_commit(struct fix *f, const struct store_op *ops, size_t n)
{
    struct answer a = { 0 };

    store_commit(f->s, ops, n, on_answer, &a);
    assert_false(a.done);
    while (!a.done)
        turn(f);
    return a;
}

static int64_t put_op(struct fix *f, struct store_op op)
{
    struct answer a = do_commit(f, &op, 1);

    if (a.err.code)
        fail_msg("%s", a.err.text);
    return a.rev;
}

int64_t put(struct fix *f, enum store_op_kind kind, const char *key, const char *value)
{
    return put_op(f, (struct store_op){ .kind = kind, .key = str_of(key), .value = str_of(value) });
}

int64_t put_lease(struct fix *f, enum store_op_kind kind, const char *key, const char *value)
{
    return put_op(
        f, (struct store_op){
               .kind = kind, .key = str_of(key), .value = str_of(value), .ephemeral = true });
}

/* ---- reads ---- */

struct got {
    bool done;
    char *text;
    size_t max;
};

static void on_got(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct got *g = arg;

    g->done = true;
    if (e && e->code == ERR_NOT_FOUND)
        snprintf(g->text, g->max, "-");
    else if (e)
        snprintf(g->text, g->max, "!%s", err_code_name(e->code));
    else
        snprintf(g->text, g->max, "%s@%lld/%lld", o->value, (long long)o->mod_rev,
                 (long long)o->create_rev);
    if (!e)
        assert_true(rev >= o->mod_rev);
}

const char *get(struct fix *f, const char *key)
{
    struct got g = { 0 };

    g.text = slot(&g.max);
    store_get(f->s, str_of(key), on_got, &g);
    assert_false(g.done);
    while (!g.done)
        turn(f);
    return g.text;
}

static void on_listed(void *arg, const struct store_list *l, const struct err *e)
{
    struct got *g = arg;
    size_t n = 0;

    g->done = true;
    if (e) {
        snprintf(g->text, g->max, "!%s", err_code_name(e->code));
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        struct store_obj *o = l->v[i];
        n += (size_t)snprintf(g->text + n, g->max - n, "%s%s=%s@%lld", i ? " " : "", o->key,
                              o->value, (long long)o->mod_rev);
        assert_true(n < g->max);
        assert_true(o->mod_rev <= l->rev);
    }
    if (l->more)
        snprintf(g->text + n, g->max - n, " +%lld", (long long)l->n_remaining);
}

const char *list(struct fix *f, const char *prefix, const struct store_list_opts *o)
{
    struct got g = { 0 };

    g.text = slot(&g.max);
    store_list(f->s, str_of(prefix), o, on_listed, &g);
    assert_false(g.done);
    while (!g.done)
        turn(f);
    return g.text;
}

static void on_compacted(void *arg, const struct err *e)
{
    *(int *)arg = e ? (int)e->code : 0;
}

int compact(struct fix *f, int64_t rev)
{
    int rc = -1;

    store_compact(f->s, rev, on_compacted, &rc);
    assert_int_equal(rc, -1);
    while (rc == -1)
        turn(f);
    return rc;
}

/* ---- watches ---- */

static void note(struct seen *w, const char *fmt, ...) PRINTF_FMT(2, 3);
static void note(struct seen *w, const char *fmt, ...)
{
    va_list ap;
    char *line;

    va_start(ap, fmt);
    line = mem_vprintf(fmt, ap);
    va_end(ap);
    w->text = mem_realloc(w->text, w->n + strlen(line) + 2);
    w->n += (size_t)sprintf(w->text + w->n, "%s%s", w->n ? " " : "", line);
    free(line);
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct seen *w = arg;

    if (w->hold_after && w->n_events == w->hold_after)
        return false;
    assert_true(ev->rev >= w->last_pos_rev);
    w->last_pos_rev = ev->rev;
    w->n_events++;
    if (!ev->now)
        note(w, "-%s<%s@%lld", ev->prev->key, ev->prev->value, (long long)ev->rev);
    else if (!ev->prev)
        note(w, "+%s=%s@%lld", ev->now->key, ev->now->value, (long long)ev->rev);
    else
        note(w, "~%s=%s<%s@%lld", ev->now->key, ev->now->value, ev->prev->value,
             (long long)ev->rev);
    if (ev->now)
        assert_int_equal(ev->now->mod_rev, ev->rev);
    return true;
}

static void on_progress(void *arg, int64_t rev)
{
    struct seen *w = arg;

    assert_true(rev > w->progress_rev);
    w->progress_rev = rev;
}

static void on_end(void *arg, const struct err *e)
{
    struct seen *w = arg;

    note(w, "!%s", err_code_name(e->code));
    w->over = true;
    w->w = NULL;
}

static const struct store_watch_events seen_events = { on_event, on_progress, on_end };

void watch(struct fix *f, struct seen *w, const char *prefix, int64_t from_rev)
{
    w->f = f;
    w->text = mem_strdup("");
    store_watch_start(&w->w, f->s, str_of(prefix), from_rev, &seen_events, w);
}

void unwatch(struct seen *w)
{
    if (w->w)
        store_watch_stop(w->w);
    free(w->text);
    *w = (struct seen){ 0 };
}

const char *seen(struct seen *w, size_t n)
{
    while (w->n_events < n && !w->over)
        turn(w->f);
    return w->text;
}

const char *fix_fmt(char buf[512], const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    vsnprintf(buf, 512, f, ap);
    va_end(ap);
    return buf;
}
