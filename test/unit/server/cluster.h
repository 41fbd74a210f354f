#pragma once
/*
 * Cluster: the real API on a SQLite store in a fresh folder, for tests of what runs beside it
 * (controllers, scheduler): no HTTP, every question is answered before the helper returns.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"
#include "server/api/local.h"
#include "server/auth/authenticate.h"
#include "server/store/store.h"

#include <stdio.h>
#include <unistd.h>

struct cluster {
    uv_loop_t loop;
    uv_timer_t tick; /* uv_run must come back while nothing happens */
    char dir[64];
    struct store *store;
    struct authn *authn;
    struct api *api;
    bool flag;
};

static inline void cluster_raise(void *arg)
{
    *(bool *)arg = true;
}

static inline void cluster_on_tick(uv_timer_t *t)
{
    (void)t;
}

/* Turns the loop until is_so(arg), at most for a minute. */
static inline void cluster_until(struct cluster *c, bool (*is_so)(void *arg), void *arg,
                                 const char *what)
{
    uint64_t until = clock_mono_ms() + 60000;

    while (!is_so(arg)) {
        if (clock_mono_ms() > until)
            fail_msg("never happened: %s", what);
        uv_run(&c->loop, UV_RUN_ONCE);
    }
}

static inline bool cluster_is_true(void *arg)
{
    return *(bool *)arg;
}

static inline void cluster_on_started(void *arg, const struct err *e)
{
    assert_null(e);
    *(bool *)arg = true;
}

static inline void cluster_open(struct cluster *c)
{
    struct err e = { 0 };
    char path[80];

    memset(c, 0, sizeof *c);
    uv_loop_init(&c->loop);
    uv_timer_init(&c->loop, &c->tick);
    uv_timer_start(&c->tick, cluster_on_tick, 20, 20);
    snprintf(c->dir, sizeof c->dir, "/tmp/cluster-test-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    snprintf(path, sizeof path, "%s/state.db", c->dir);
    assert_int_equal(store_sqlite_open(&c->store, &c->loop, path, &e), 0);
    authn_new(&c->authn);
    struct api_config cfg = { .loop = &c->loop,
                              .store = c->store,
                              .authn = c->authn,
                              .service_cidrs = { "10.43.0.0/16" },
                              .version = "test",
                              .advertise_host_port = "198.51.100.10:6443" };
    assert_int_equal(api_new(&c->api, &cfg, &e), 0);
    api_start(c->api, cluster_on_started, &c->flag);
    cluster_until(c, cluster_is_true, &c->flag, "the API starts");
}

static inline void cluster_close(struct cluster *c)
{
    char cmd[128];

    c->flag = false;
    api_close(c->api, cluster_raise, &c->flag);
    cluster_until(c, cluster_is_true, &c->flag, "the API ends");
    c->flag = false;
    store_close(c->store, cluster_raise, &c->flag);
    cluster_until(c, cluster_is_true, &c->flag, "the store ends");
    authn_free(c->authn);
    uv_close((uv_handle_t *)&c->tick, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&c->loop), 0);
    snprintf(cmd, sizeof cmd, "rm -rf %s", c->dir);
    assert_int_equal(system(cmd), 0);
}

/* ---- one call ---- */

struct cluster_call {
    bool done;
    enum err_code code;
    json_t *obj;
    char text[256];
};

static inline void cluster_on_call(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct cluster_call *k = arg;

    (void)code;
    k->done = true;
    k->code = e ? e->code : ERR_OK;
    k->obj = json_incref((json_t *)obj);
    snprintf(k->text, sizeof k->text, "%s", e ? e->text : "");
}

static inline json_t *cluster_json(const char *text)
{
    json_t *doc = NULL;
    struct err e = { 0 };

    if (json_parse(&doc, str_of(text), &e))
        fail_msg("%s: %s", text, e.text);
    return doc;
}

/* New reference; NULL when there is none. */
static inline json_t *cluster_get(struct cluster *c, const struct local_ref *r)
{
    struct cluster_call k = { 0 };

    local_get(c->api, r, cluster_on_call, &k);
    cluster_until(c, cluster_is_true, &k.done, "get");
    if (k.code == ERR_OK)
        return k.obj;
    json_decref(k.obj);
    return NULL;
}

static inline void cluster_create(struct cluster *c, const struct local_ref *r, const char *text)
{
    struct cluster_call k = { 0 };
    json_auto_t *doc = cluster_json(text);

    local_create(c->api, r, doc, cluster_on_call, &k);
    cluster_until(c, cluster_is_true, &k.done, "create");
    if (k.code)
        fail_msg("create %s %s: %s", r->resource, text, k.text);
    json_decref(k.obj);
}

static inline void cluster_patch(struct cluster *c, const struct local_ref *r, const char *text)
{
    struct cluster_call k = { 0 };
    json_auto_t *doc = cluster_json(text);

    local_patch(c->api, r, LOCAL_PATCH_MERGE, doc, cluster_on_call, &k);
    cluster_until(c, cluster_is_true, &k.done, "patch");
    if (k.code)
        fail_msg("patch %s/%s: %s", r->resource, r->name, k.text);
    json_decref(k.obj);
}

static inline void cluster_delete(struct cluster *c, const struct local_ref *r)
{
    struct cluster_call k = { 0 };
    struct local_delete_opts o = { .grace_period_s = -1 };

    local_delete(c->api, r, &o, cluster_on_call, &k);
    cluster_until(c, cluster_is_true, &k.done, "delete");
    if (k.code)
        fail_msg("delete %s/%s: %s", r->resource, r->name, k.text);
    json_decref(k.obj);
}

/* Waits until the text at path of the object is value; "*": anything but empty; NULL: until the
 * object is gone. */
static inline void cluster_expect(struct cluster *c, const struct local_ref *r, const char *path,
                                  const char *value)
{
    uint64_t until = clock_mono_ms() + 30000;
    bool has = false;

    while (!has) {
        json_auto_t *obj = cluster_get(c, r);

        if (value && strcmp(value, "*") == 0)
            has = obj && *json_str_at(obj, path, "");
        else if (value)
            has = obj && strcmp(json_str_at(obj, path, ""), value) == 0;
        else
            has = !obj;
        if (!has && clock_mono_ms() > until) {
            auto_free char *text = obj ? json_text(obj) : mem_strdup("(none)");
            fail_msg("%s/%s: %s is not \"%s\": %s", r->resource, r->name, path ? path : "",
                     value ? value : "(gone)", text);
        }
        if (!has)
            uv_run(&c->loop, UV_RUN_ONCE);
    }
}
