/* What a client sees of a watch. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#include <stdio.h>

#define ADMIN "admin+system:masters"

#define CM "/api/v1/namespaces/default/configmaps"

/* One change; its resourceVersion. */
static int64_t change(const char *method, const char *target, const char *body)
{
    auto_answer a = ask(&h, method, target, body);
    struct err e = { 0 };
    int64_t rev = 0;

    if (a.code >= 300)
        fail_msg("%s %s: %d %s", method, target, a.code, buf_cstr(&a.body));
    const char *text = json_str_at(a.doc, "metadata.resourceVersion", "0");
    assert_true(str_to_i64(str_of(text), &rev));
    (void)e;
    return rev;
}

static void expect(struct lines *l, size_t i, const char *type, const char *path, const char *value)
{
    json_auto_t *doc = lines_at(l, i);

    assert_string_equal(json_str_at(doc, "type", ""), type);
    if (path)
        assert_string_equal(json_str_at(doc, path, ""), value);
}

static void changes_arrive_in_order(void **state)
{
    struct lines l;

    (void)state;
    int64_t rev = change("POST", CM, "{\"metadata\":{\"name\":\"first\"}}");
    auto_free char *target = mem_printf(CM "?watch=1&resourceVersion=%lld", (long long)rev);
    lines_start(&l, &h, ADMIN, target, NULL);
    assert_int_equal(l.code, 200);
    change("POST", CM, "{\"metadata\":{\"name\":\"o\"}}");
    int64_t updated = change("PATCH", CM "/o", "{\"data\":{\"a\":\"1\"}}");
    change("DELETE", CM "/o", NULL);
    lines_wait(&l, 3);
    expect(&l, 0, "ADDED", "object.metadata.name", "o");
    expect(&l, 1, "MODIFIED", "object.data.a", "1");
    expect(&l, 2, "DELETED", "object.kind", "ConfigMap");
    json_auto_t *m = lines_at(&l, 1), *d = lines_at(&l, 2);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)updated);
    assert_string_equal(json_str_at(m, "object.metadata.resourceVersion", ""), text);
    assert_true(atoll(json_str_at(d, "object.metadata.resourceVersion", "")) > updated);
    lines_stop(&l);
}

static void without_a_version_the_state_comes_first(void **state)
{
    struct lines l;

    (void)state;
    change("POST", CM, "{\"metadata\":{\"name\":\"state\"}}");
    lines_start(&l, &h, ADMIN, CM "?watch=1&fieldSelector=metadata.name%3Dstate", NULL);
    lines_wait(&l, 1);
    expect(&l, 0, "ADDED", "object.metadata.name", "state");
    change("DELETE", CM "/state", NULL);
    lines_wait(&l, 2);
    expect(&l, 1, "DELETED", NULL, NULL);
    lines_stop(&l);
}

static void initial_events_end_with_a_bookmark(void **state)
{
    struct lines l;

    (void)state;
    change("POST", CM, "{\"metadata\":{\"name\":\"init\"}}");
    lines_start(&l, &h, ADMIN,
                CM "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch="
                   "NotOlderThan&fieldSelector=metadata.name%3Dinit",
                NULL);
    lines_wait(&l, 2);
    expect(&l, 0, "ADDED", "object.metadata.name", "init");
    expect(&l, 1, "BOOKMARK", "object.metadata.annotations[\"k8s.io/initial-events-end\"]", "true");
    lines_stop(&l);
}

static void selectors_make_their_own_additions_and_deletions(void **state)
{
    struct lines l;

    (void)state;
    lines_start(&l, &h, ADMIN, CM "?watch=1&labelSelector=in%3Dyes", NULL);
    change("POST", CM, "{\"metadata\":{\"name\":\"sel\"}}"); /* not seen */
    change("PATCH", CM "/sel", "{\"metadata\":{\"labels\":{\"in\":\"yes\"}}}");
    change("PATCH", CM "/sel", "{\"data\":{\"k\":\"v\"}}");
    change("PATCH", CM "/sel", "{\"metadata\":{\"labels\":{\"in\":\"no\"}}}");
    change("DELETE", CM "/sel", NULL); /* not seen */
    change("POST", CM, "{\"metadata\":{\"name\":\"sel2\",\"labels\":{\"in\":\"yes\"}}}");
    lines_wait(&l, 4);
    expect(&l, 0, "ADDED", "object.metadata.name", "sel");
    expect(&l, 1, "MODIFIED", "object.data.k", "v");
    expect(&l, 2, "DELETED", "object.metadata.labels.in", "yes"); /* the last that matched */
    expect(&l, 3, "ADDED", "object.metadata.name", "sel2");
    lines_stop(&l);
}

static void table_watches_send_columns_once(void **state)
{
    struct lines l;

    (void)state;
    change("POST", CM, "{\"metadata\":{\"name\":\"t1\",\"labels\":{\"t\":\"\"}}}");
    change("POST", CM, "{\"metadata\":{\"name\":\"t2\",\"labels\":{\"t\":\"\"}}}");
    lines_start(&l, &h, ADMIN, CM "?watch=1&labelSelector=t",
                "application/json;as=Table;v=v1;g=meta.k8s.io");
    lines_wait(&l, 2);
    json_auto_t *a = lines_at(&l, 0), *b = lines_at(&l, 1);
    assert_string_equal(json_str_at(a, "object.kind", ""), "Table");
    assert_true(json_array_size(json_at(a, "object.columnDefinitions")) > 0);
    assert_int_equal(json_array_size(json_at(b, "object.columnDefinitions")), 0);
    lines_stop(&l);
}

static void a_watch_ends_at_its_timeout(void **state)
{
    struct lines l;

    (void)state;
    lines_start(&l, &h, ADMIN, CM "?watch=1&timeoutSeconds=1&resourceVersion=1", NULL);
    harness_wait(&h, &l.done); /* by the server: nobody cancels it */
    lines_stop(&l);
}

/* With a cut client-go would list again, with a whole end it watches on. */
static void a_server_that_stops_ends_its_watches(void **state)
{
    struct harness own;
    struct lines l;

    (void)state;
    harness_open(&own, NULL);
    lines_start(&l, &own, ADMIN, CM "?watch=1&resourceVersion=1", NULL);
    harness_stop_api(&own);
    harness_wait(&own, &l.done);
    assert_int_equal(l.ended, 0);
    lines_stop(&l);
    harness_close(&own);
}

static void bad_watches_are_refused(void **state)
{
    static const struct {
        const char *query;
        int code;
    } rows[] = {
        { "?watch=1&sendInitialEvents=true", 422 },
        { "?watch=1&resourceVersionMatch=NotOlderThan", 422 },
        { "?watch=1&resourceVersion=99999999", 504 },
        { "?watch=1&labelSelector=%28", 400 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf(CM "%s", rows[i].query);
        auto_answer a = ask(&h, "GET", target, NULL);

        assert_int_equal(a.code, rows[i].code);
    }
}

static void a_slow_reader_gets_everything(void **state)
{
    enum { N = 40, BYTES = 60000 };
    struct lines l;
    char name[32];

    (void)state;
    lines_start(&l, &h, ADMIN, CM "?watch=1&labelSelector=slow", NULL);
    http_call_pause(l.call);
    char *value = mem_alloc(BYTES + 1);
    memset(value, 'x', BYTES);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "slow%02d", i);
        auto_free char *body =
            mem_printf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"slow\":\"\"}},\"data\":{\"v\":"
                       "\"%s\"}}",
                       name, value);
        change("POST", CM, body);
    }
    free(value);
    http_call_resume(l.call);
    lines_wait(&l, N);
    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "slow%02zu", i);
        expect(&l, i, "ADDED", "object.metadata.name", name);
    }
    lines_stop(&l);
}

/* ---- the in-process client ---- */

struct seen {
    unsigned added, modified, deleted, synced;
    bool done;
};

static void on_event(void *arg, enum local_event ev, const json_t *obj)
{
    struct seen *s = arg;

    assert_true(*json_str_at(obj, "metadata.resourceVersion", ""));
    *(ev == LOCAL_ADDED ? &s->added : ev == LOCAL_MODIFIED ? &s->modified : &s->deleted) += 1;
    s->done = s->deleted > 0;
}

static void on_synced(void *arg)
{
    struct seen *s = arg;

    s->synced++;
    s->done = true;
}

static void informers_follow_their_kind(void **state)
{
    static const struct local_watch_events events = { .on_event = on_event,
                                                      .on_synced = on_synced };
    struct local_ref ref = { .resource = "configmaps", .ns = "default" };
    struct local_list_opts opts = { .label_selector = "inf" };
    struct local_watch *w;
    struct seen s = { 0 };

    (void)state;
    change("POST", CM, "{\"metadata\":{\"name\":\"i1\",\"labels\":{\"inf\":\"\"}}}");
    assert_true(local_watches_are_synced(h.api));
    local_watch_start(&w, h.api, &ref, &opts, &events, &s);
    assert_false(local_watches_are_synced(h.api));
    assert_true(api_is_informed(h.api)); /* one that comes later takes nothing back */
    harness_wait(&h, &s.done);
    assert_true(local_watches_are_synced(h.api));
    assert_int_equal(s.added, 1);
    assert_non_null(local_watch_get(w, "default", "i1"));
    s.done = false;
    change("PATCH", CM "/i1", "{\"data\":{\"a\":\"b\"}}");
    change("DELETE", CM "/i1", NULL);
    harness_wait(&h, &s.done);
    assert_int_equal(s.modified, 1);
    assert_int_equal(s.deleted, 1);
    assert_int_equal(s.synced, 1);
    assert_int_equal(local_watch_len(w), 0);
    local_watch_stop(w);
}

struct local_answer {
    int code;
    enum err_code err;
    bool done;
};

static void on_local(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct local_answer *a = arg;

    assert_non_null(obj);
    a->code = code;
    a->err = e ? e->code : ERR_OK;
    a->done = true;
}

static void local_calls_have_the_full_semantics(void **state)
{
    struct local_ref ref = { .resource = "configmaps", .ns = "default", .name = "loc" };
    json_auto_t *obj = json_pack("{s:{s:s}}", "metadata", "name", "loc");
    json_auto_t *patch = json_pack("{s:{s:s}}", "data", "a", "b");
    struct local_answer a = { 0 };

    (void)state;
    local_get(h.api, &ref, on_local, &a);
    assert_false(a.done); /* never from inside */
    harness_wait(&h, &a.done);
    assert_int_equal(a.err, ERR_NOT_FOUND);
    a.done = false;
    local_create(h.api, &ref, obj, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.code, 201);
    a.done = false;
    local_create(h.api, &ref, obj, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.err, ERR_EXISTS);
    a.done = false;
    local_patch(h.api, &ref, LOCAL_PATCH_MERGE, patch, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.code, 200);
    a.done = false;
    json_object_set_new(json_object_get(obj, "metadata"), "resourceVersion", json_string("1"));
    local_update(h.api, &ref, obj, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.err, ERR_CONFLICT);
    a.done = false;
    local_list(h.api, &(struct local_ref){ .resource = "configmaps" }, NULL, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.code, 200);
    a.done = false;
    local_delete(h.api, &ref, NULL, on_local, &a);
    harness_wait(&h, &a.done);
    assert_int_equal(a.code, 200);
}

struct crowd {
    size_t n_added;
    bool synced;
};

static void on_one(void *arg, enum local_event ev, const json_t *obj)
{
    (void)obj;
    ((struct crowd *)arg)->n_added += ev == LOCAL_ADDED;
}

static void on_crowd(void *arg)
{
    ((struct crowd *)arg)->synced = true;
}

/* More than two pages, the last of them not full. */
static void an_informer_of_many_objects_has_each_once(void **state)
{
    static const struct local_watch_events events = { .on_event = on_one, .on_synced = on_crowd };
    struct local_ref ref = { .resource = "configmaps", .ns = "crowd" };
    struct crowd c = { 0 };
    struct local_watch *w;
    (void)state;

    harness_fill(&h, "crowd", 1201);
    local_watch_start(&w, h.api, &ref, NULL, &events, &c);
    harness_wait(&h, &c.synced);
    assert_int_equal(c.n_added, 1201);
    assert_int_equal(local_watch_len(w), 1201);
    local_watch_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_arrive_in_order),
        cmocka_unit_test(without_a_version_the_state_comes_first),
        cmocka_unit_test(initial_events_end_with_a_bookmark),
        cmocka_unit_test(selectors_make_their_own_additions_and_deletions),
        cmocka_unit_test(table_watches_send_columns_once),
        cmocka_unit_test(a_watch_ends_at_its_timeout),
        cmocka_unit_test(a_server_that_stops_ends_its_watches),
        cmocka_unit_test(bad_watches_are_refused),
        cmocka_unit_test(a_slow_reader_gets_everything),
        cmocka_unit_test(informers_follow_their_kind),
        cmocka_unit_test(local_calls_have_the_full_semantics),
        cmocka_unit_test(an_informer_of_many_objects_has_each_once),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
