#pragma once
/*
 * Suite: what every backend of the store must do, written against store.h only. A backend's test
 * calls suite_run with its open function; the helpers serve its own tests too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/store/store_impl.h"

struct suite_backend {
    const char *name;
    /* place: a fresh folder per test; opening it again finds what was there. */
    int (*open)(struct store **out, uv_loop_t *loop, const char *place,
                const struct store_limits *l, struct err *e);
    void (*gone)(const char *place); /* NULL: nothing; before the folder is removed */
};

int suite_run(const struct suite_backend *b);
int suite_lease_run(const struct suite_backend *b); /* suite_run's part about ephemeral writes */

/* A text that lives as long as the block around it, and a revision for it. */
#define FMT(...) fix_fmt((char[512]){ 0 }, __VA_ARGS__)
#define R(rev)   ((long long)(rev))
const char *fix_fmt(char buf[512], const char *f, ...) PRINTF_FMT(2, 3);

/* ---- helpers: each runs the loop until the answer is there ---- */
struct fix {
    uv_loop_t loop;
    struct store *s;
    char place[64];
    const struct suite_backend *b;
};
int fix_setup(void **state, const struct suite_backend *b);
int fix_teardown(void **state); /* closes, asserts uv_loop_close()==0, removes the folder */
void fix_open(struct fix *f, const struct store_limits *l);
void fix_close(struct fix *f);
void fix_remove_place(const char *place);

struct answer {
    bool done;
    int64_t rev;
    size_t failed;
    struct store_obj *current; /* a reference: answer_deinit */
    struct err err;
};
void answer_deinit(struct answer *a);
void on_answer(void *arg, int64_t rev, size_t failed, struct store_obj *current,
               const struct err *e);
struct answer do_commit(struct fix *f, const struct store_op *ops, size_t n);
/* One op; asserts success, returns the revision. */
int64_t put(struct fix *f, enum store_op_kind kind, const char *key, const char *value);
int64_t put_lease(struct fix *f, enum store_op_kind kind, const char *key, const char *value);
/* "value@mod/create", "-" when absent, "!code" when failed; static memory, 8 in turn. */
const char *get(struct fix *f, const char *key);
/* "key=value@mod key=value@mod ... [+rest]", "!code" when failed. */
const char *list(struct fix *f, const char *prefix, const struct store_list_opts *o);
int compact(struct fix *f, int64_t rev);

/* A recording watcher: "+key=value@rev ~key=new<old@rev -key<old@rev !code". */
struct seen {
    struct fix *f;
    struct store_watch *w;
    char *text;
    size_t n, n_events, hold_after;
    int64_t progress_rev, last_pos_rev;
    bool over;
};
void watch(struct fix *f, struct seen *w, const char *prefix, int64_t from_rev);
void unwatch(struct seen *w);
/* Runs the loop until n events came or the watch is over. */
const char *seen(struct seen *w, size_t n);
