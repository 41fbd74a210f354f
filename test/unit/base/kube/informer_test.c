/* The informer against a small API server: a list that the test writes, watches that it feeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "base/kube/informer.h"
#include "base/kube/metadata.h"

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *server;
    struct kube_client *client;
    struct informer *inf;
    /* the server */
    const char *pages[3]; /* what lists answer, in turn; the last again and again */
    int list_status;
    unsigned n_lists, n_watches;
    struct http_req *watch; /* the one that runs */
    char version[32];       /* it was asked to go on from */
    char query[512];        /* of the last request */
    /* what the informer said */
    struct buf log;
    bool close_in_add;
    bool gone;
};

static void on_watch_over(struct http_req *r, void *arg, const struct err *e)
{
    struct world *w = arg;

    (void)e;
    if (w->watch == r)
        w->watch = NULL;
}

static void on_request(struct http_req *r, void *arg)
{
    static const struct http_req_events events = { .on_done = on_watch_over };
    static const struct http_header json = { STR("Content-Type"), STR("application/json") };
    struct world *w = arg;
    struct str query = http_req_query(r);
    auto_buf v = BUF(100);

    snprintf(w->query, sizeof w->query, STR_FMT, STR_ARG(query));
    if (url_query_get(&v, query, "watch") == 0) {
        buf_clear(&v);
        err_ignore(url_query_get(&v, query, "resourceVersion")); /* absent is "" */
        snprintf(w->version, sizeof w->version, "%s", buf_cstr(&v));
        w->n_watches++;
        w->watch = r;
        http_req_accept(r, &events, w);
        http_reply_start(r, 200, &json, 1, -1);
        return;
    }
    http_req_accept(r, &events, w);
    http_reply(r, w->list_status, "application/json",
               str_of(w->pages[MIN(w->n_lists, (unsigned)ARRAY_LEN(w->pages) - 1)]), NULL, 0);
    w->n_lists++;
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->server, s);
}

static void note(struct world *w, const char *fmt, ...) PRINTF_FMT(2, 3);
static void note(struct world *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    assert_int_equal(buf_vaddf(&w->log, fmt, ap), 0);
    va_end(ap);
}

static void on_gone(void *arg)
{
    struct world *w = arg;

    w->gone = true;
}

static void on_add(void *arg, json_t *o)
{
    struct world *w = arg;

    note(w, "+%s/%s ", meta_namespace(o), meta_name(o));
    if (w->close_in_add)
        informer_close(STEAL(w->inf), on_gone, w);
}

static void on_update(void *arg, json_t *before, json_t *o)
{
    note(arg, "~%s %s>%s ", meta_name(o), meta_str(before, "resourceVersion"),
         meta_str(o, "resourceVersion"));
}

static void on_delete(void *arg, json_t *o)
{
    note(arg, "-%s ", meta_name(o));
}

static void on_synced(void *arg)
{
    note(arg, "synced ");
}

static void on_error(void *arg, const struct err *e)
{
    note(arg, "<%s> ", err_code_name(e->code));
}

#define LIST_OF(version, more, items)                                                              \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version     \
    "\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define POD(name, version)                                                                         \
    "{\"metadata\":{\"namespace\":\"d\",\"name\":\"" name "\",\"resourceVersion\":\"" version "\"" \
                                                                                              "}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" POD(name, version) "}\n"
#define EXPIRED                                                                                    \
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n"

static void world_init(struct world *w, size_t n_objects_max)
{
    static const struct informer_events events = { .on_add = on_add,
                                                   .on_update = on_update,
                                                   .on_delete = on_delete,
                                                   .on_synced = on_synced,
                                                   .on_error = on_error };
    struct http_server_config sc = { .on_request = on_request, .arg = w };
    char authority[32];
    struct kube_client_config kc = { .endpoint.authority = authority };
    struct informer_config ic = { .path = "/api/v1/pods",
                                  .field_selector = "spec.nodeName=n1",
                                  .n_objects_max = n_objects_max };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->log = BUF(1 << 16);
    w->list_status = 200;
    for (size_t i = 0; i < ARRAY_LEN(w->pages); i++)
        w->pages[i] = LIST_OF("10", "", POD("a", "1") "," POD("b", "2"));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", listener_port(w->listener));
    kube_client_new(&w->client, &w->loop, &kc);
    ic.client = w->client;
    informer_new(&w->inf, &ic, &events, w);
}

static void close_server(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, NULL, NULL);
}

static void close_client(void *arg)
{
    struct world *w = arg;

    w->gone = true;
    kube_client_close(w->client, close_server, w);
}

static void world_deinit(struct world *w)
{
    if (w->inf)
        informer_close(w->inf, close_client, w);
    else
        close_client(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(w->gone);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    buf_deinit(&w->log);
}

static void run_until_watches(struct world *w, unsigned n)
{
    while (w->n_watches < n || !w->watch)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void push(struct world *w, const char *text)
{
    http_reply_write(w->watch, text, strlen(text));
}

static void run_until_log(struct world *w, const char *want) /* and no more than that */
{
    while (strlen(buf_cstr(&w->log)) < strlen(want))
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_string_equal(buf_cstr(&w->log), want);
    buf_clear(&w->log);
}

static void a_list_then_a_watch_keep_the_copy(void **state)
{
    struct world w;
    json_t *o;
    size_t n = 0;
    (void)state;

    world_init(&w, 0);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    assert_string_equal(w.version, "10");
    assert_non_null(strstr(w.query, "fieldSelector=spec.nodeName%3Dn1"));
    assert_non_null(strstr(w.query, "allowWatchBookmarks=true"));
    o = informer_get(w.inf, "d", "a");
    assert_string_equal(json_string_value(json_object_get(o, "kind")), "Pod");
    push(&w, EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "12") EVENT("DELETED", "b", "13"));
    run_until_log(&w, "+d/c ~a 1>12 -b ");
    assert_true(informer_is_synced(w.inf));
    assert_int_equal(informer_n_objects(w.inf), 2);
    assert_non_null(informer_get(w.inf, "d", "c"));
    assert_null(informer_get(w.inf, "d", "b"));
    assert_null(informer_get(w.inf, NULL, "c"));
    for (size_t i = 0; informer_next(w.inf, &i);)
        n++;
    assert_int_equal(n, 2);
    world_deinit(&w);
}

static void an_ended_watch_goes_on_from_the_last_version(void **state)
{
    static const struct {
        const char *events, *version, *log;
    } rows[] = {
        { EVENT("ADDED", "c", "15"), "15", "+d/c " },
        { "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"20\"}}}\n", "20",
          "" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, 0);
        run_until_watches(&w, 1);
        run_until_log(&w, "+d/a +d/b synced ");
        push(&w, rows[i].events);
        http_reply_end(w.watch);
        run_until_watches(&w, 2);
        run_until_log(&w, rows[i].log);
        assert_string_equal(w.version, rows[i].version);
        assert_int_equal(w.n_lists, 1);
        world_deinit(&w);
    }
}

static void an_expired_version_lists_again_and_tells_the_difference(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    w.pages[1] = LIST_OF("30", "", POD("b", "25") "," POD("c", "26"));
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    push(&w, EXPIRED);
    run_until_watches(&w, 2);
    run_until_log(&w, "-a ~b 2>25 +d/c ");
    assert_string_equal(w.version, "30");
    assert_int_equal(w.n_lists, 2);
    world_deinit(&w);
}

static void a_broken_watch_backs_off_and_resumes(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    http_reply_abort(w.watch);
    run_until_log(&w, "<closed> ");
    informer_kick(w.inf);
    run_until_watches(&w, 2);
    assert_string_equal(w.version, "10");
    http_reply_end(w.watch); /* at once, without an event: suspicious */
    run_until_log(&w, "<closed> ");
    informer_kick(w.inf);
    run_until_watches(&w, 3);
    assert_int_equal(w.n_lists, 1);
    world_deinit(&w);
}

static void a_failed_list_is_tried_again(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    w.list_status = 403;
    run_until_log(&w, "<denied> ");
    assert_false(informer_is_synced(w.inf));
    w.list_status = 200;
    informer_kick(w.inf);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    world_deinit(&w);
}

static void lists_come_in_pages(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    w.pages[0] = LIST_OF("10", "next", POD("a", "1"));
    w.pages[1] = LIST_OF("10", "", POD("b", "2"));
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    assert_int_equal(w.n_lists, 2);
    world_deinit(&w);
}

static void the_number_of_objects_is_bounded(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 1);
    run_until_log(&w, "<limit> ");
    for (size_t i = 0; i < ARRAY_LEN(w.pages); i++)
        w.pages[i] = LIST_OF("10", "", POD("a", "1"));
    informer_kick(w.inf);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a synced ");
    push(&w, EVENT("MODIFIED", "a", "11") EVENT("ADDED", "c", "12"));
    run_until_log(&w, "~a 1>11 <limit> ");
    world_deinit(&w);
}

static void what_is_no_list_is_an_error(void **state)
{
    static const char *const rows[] = { "{}", "[]", "{\"items\":7}", "{\"items\":[{}]}" };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w, 0);
        w.pages[0] = rows[i];
        run_until_log(&w, "<protocol> ");
        world_deinit(&w);
    }
}

static void closing_in_a_callback_ends_the_callbacks(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    w.close_in_add = true; /* of the list */
    run_until_log(&w, "+d/a ");
    while (!w.gone)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_string_equal(buf_cstr(&w.log), "");
    world_deinit(&w);

    world_init(&w, 0);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    w.close_in_add = true; /* of the watch */
    push(&w, EVENT("ADDED", "c", "11") EVENT("ADDED", "d", "12"));
    run_until_log(&w, "+d/c ");
    while (!w.gone)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_string_equal(buf_cstr(&w.log), "");
    world_deinit(&w);
}

static void a_list_without_a_new_version_is_no_update(void **state)
{
    struct world w;
    (void)state;

    world_init(&w, 0);
    run_until_watches(&w, 1);
    run_until_log(&w, "+d/a +d/b synced ");
    push(&w, EXPIRED);
    run_until_watches(&w, 2);
    assert_string_equal(buf_cstr(&w.log), "");
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_then_a_watch_keep_the_copy),
        cmocka_unit_test(an_ended_watch_goes_on_from_the_last_version),
        cmocka_unit_test(an_expired_version_lists_again_and_tells_the_difference),
        cmocka_unit_test(a_broken_watch_backs_off_and_resumes),
        cmocka_unit_test(a_failed_list_is_tried_again),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(the_number_of_objects_is_bounded),
        cmocka_unit_test(what_is_no_list_is_an_error),
        cmocka_unit_test(closing_in_a_callback_ends_the_callbacks),
        cmocka_unit_test(a_list_without_a_new_version_is_no_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
