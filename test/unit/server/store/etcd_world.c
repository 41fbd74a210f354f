#include "test/unit/server/store/etcd_world.h"

#include "base/http/grpc.h"
#include "base/io/file.h"
#include "test/unit/server/store/etcd_fix.h"

#include <stdio.h>

int world_setup(void **state)
{
    struct world *w = mem_alloc(sizeof *w);

    uv_loop_init(&w->loop);
    snprintf(w->place, sizeof w->place, "/tmp/etcd_test.XXXXXX");
    assert_non_null(mkdtemp(w->place));
    *state = w;
    return 0;
}

static bool closed;
static void on_closed(void *arg)
{
    (void)arg;
    closed = true;
}

void world_close(struct world *w, int i)
{
    if (!w->s[i])
        return;
    closed = false;
    store_close(STEAL(w->s[i]), on_closed, NULL);
    while (!closed)
        uv_run(&w->loop, UV_RUN_ONCE);
}

int world_teardown(void **state)
{
    struct world *w = *state;
    struct err e;
    int rc;

    world_close(w, 0);
    world_close(w, 1);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&w->loop);
    etcd_procs_stop(&w->procs);
    if (file_remove_tree(w->place, &e))
        fail_msg("%s", e.text);
    free(w);
    assert_int_equal(rc, 0);
    return 0;
}

int world_try_open(struct world *w, int i, struct store_etcd_options o, struct err *e)
{
    o.prefix = o.prefix ? o.prefix : "/r/";
    o.endpoints = o.endpoints ? o.endpoints : w->procs.endpoints;
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : PATIENT_MS;
    return store_etcd_open(&w->s[i], &w->loop, &o, e);
}

void world_open(struct world *w, int i, struct store_etcd_options o)
{
    struct err e = { 0 };

    if (world_try_open(w, i, o, &e))
        fail_msg("%s", e.text);
    w->f[i].s = w->s[i];
}

static void on_timer(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* Runs the loop for so long. */
void world_run_ms(struct world *w, uint64_t ms)
{
    uv_timer_t t;
    bool over = false;

    uv_timer_init(&w->loop, &t);
    t.data = &over;
    uv_timer_start(&t, on_timer, ms, 0);
    while (!over)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* ---- one commit, one get, one after the other ---- */

struct answer world_commit(struct world *w, int i, struct store_op op)
{
    struct answer a = { 0 };

    store_commit(w->s[i], &op, 1, on_answer, &a);
    while (!a.done)
        uv_run(&w->loop, UV_RUN_ONCE);
    return a;
}

struct answer world_write(struct world *w, int i, enum store_op_kind kind, const char *key,
                          const char *value, int64_t if_mod_rev)
{
    return world_commit(
        w, i,
        (struct store_op){
            .kind = kind, .key = str_of(key), .value = str_of(value), .if_mod_rev = if_mod_rev });
}

int64_t world_must_write(struct world *w, int i, enum store_op_kind kind, const char *key,
                         const char *value, int64_t if_mod_rev)
{
    struct answer a = world_write(w, i, kind, key, value, if_mod_rev);

    if (a.err.code)
        fail_msg("%s", a.err.text);
    return a.rev;
}

static void on_got(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct got *g = arg;

    g->done = true;
    g->rev = rev;
    if (e)
        g->err = *e;
    if (o) {
        snprintf(g->value, sizeof g->value, "%s", o->value);
        g->mod_rev = o->mod_rev;
    }
}

struct got world_read(struct world *w, int i, const char *key)
{
    struct got g = { 0 };

    store_get(w->s[i], str_of(key), on_got, &g);
    while (!g.done)
        uv_run(&w->loop, UV_RUN_ONCE);
    return g;
}

/* Until it answers: what has no answer was not harmed. */
struct got world_read_patiently(struct world *w, int i, const char *key)
{
    struct got g = world_read(w, i, key);

    for (int n = 0; g.err.code == ERR_CLOSED && n < 600; n++) {
        world_run_ms(w, 100);
        g = world_read(w, i, key);
    }
    return g;
}

/* ---- a raw call, without the store ---- */

struct raw {
    bool done;
    struct err err;
};
static void on_raw(void *arg, struct str reply, const struct err *e)
{
    struct raw *r = arg;

    (void)reply;
    r->done = true;
    r->err = e ? *e : (struct err){ 0 };
}

void world_raw_call(struct world *w, const char *path, struct str message)
{
    struct http_endpoint_config c = { .authority = w->procs.endpoints + strlen("http://"),
                                      .proto = HTTP_H2 };
    struct http_endpoint *ep;
    struct raw r = { 0 };
    uv_loop_t loop; /* of its own: the store's does not move */

    uv_loop_init(&loop);
    http_endpoint_new(&ep, &loop, &c);
    grpc_unary(ep, path, message, PATIENT_MS, on_raw, &r);
    while (!r.done)
        uv_run(&loop, UV_RUN_ONCE);
    http_endpoint_close(ep, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    if (r.err.code)
        fail_msg("%s", r.err.text);
}

bool world_can_run(void)
{
    return etcd_fix_can_run();
}
