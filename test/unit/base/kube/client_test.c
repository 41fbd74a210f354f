/* The API client against our own HTTP server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/kube/client.h"
#include "base/kube/metadata.h"

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *server;
    struct kube_client *client;
    /* what the server answers */
    int status;
    const char *type, *body;
    const struct http_header *extra;
    /* what it was asked */
    char *asked; /* "METHOD target|content type|authorization|body" */
    /* what came back */
    struct buf log;
    unsigned n_done;
};

static void on_request_body(struct http_req *r, void *arg, struct str body)
{
    struct world *w = arg;
    const struct http_headers *h = http_req_headers(r);

    free(w->asked);
    w->asked = mem_printf(STR_FMT " " STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT,
                          STR_ARG(http_req_method(r)), STR_ARG(http_req_target(r)),
                          STR_ARG(http_headers_get(h, "Content-Type")),
                          STR_ARG(http_headers_get(h, "Authorization")), STR_ARG(body));
    http_reply(r, w->status, w->type, str_of(w->body), w->extra, w->extra ? 1 : 0);
}

static struct world *the_world; /* http_req_read_body carries no argument of its own */

static void on_body_here(struct http_req *r, void *arg, struct str body)
{
    (void)arg;
    on_request_body(r, the_world, body);
}

static void on_request(struct http_req *r, void *arg)
{
    static const struct http_req_events none;

    http_req_accept(r, &none, arg);
    http_req_read_body(r, 1 << 20, on_body_here);
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->server, s);
}

static void world_init(struct world *w)
{
    struct http_server_config sc = { .on_request = on_request, .arg = w };
    char authority[32];
    struct kube_client_config kc = { .endpoint.authority = authority,
                                     .bearer_token = "t0ken",
                                     .body_max_bytes = 1000 };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    the_world = w;
    w->log = BUF(1 << 16);
    w->status = 200;
    w->type = "application/json";
    w->body = "{}";
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", listener_port(w->listener));
    kube_client_new(&w->client, &w->loop, &kc);
}

static void close_server(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, NULL, NULL);
}

static void world_deinit(struct world *w)
{
    kube_client_close(w->client, close_server, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    buf_deinit(&w->log);
    free(w->asked);
}

static void run_until_done(struct world *w)
{
    while (w->n_done == 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    w->n_done = 0;
}

static void on_reply(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct world *w = arg;

    w->n_done++;
    buf_clear(&w->log);
    assert_int_equal(buf_addf(&w->log, "%d %s %llu %s", r->status, r->reason,
                              (unsigned long long)r->retry_after_ms,
                              e           ? err_code_name(e->code)
                              : r->object ? meta_name(r->object)
                                          : "-"),
                     0);
    if (e)
        assert_int_equal(buf_addf(&w->log, " %s", e->text), 0);
}

static void each_verb_asks_its_question(void **state)
{
    const struct kube_list_options o = { .label_selector = "a in (b,c)",
                                         .field_selector = "spec.nodeName=n1",
                                         .limit = 5,
                                         .continue_token = "x/y" };
    struct world w;
    (void)state;

    world_init(&w);
    w.body = "{\"metadata\":{\"name\":\"web\"}}";
    kube_get(w.client, "/api/v1/nodes/n1", on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked, "GET /api/v1/nodes/n1||Bearer t0ken|");
    assert_string_equal(w.log.p, "200  0 web");
    kube_list(w.client, "/api/v1/pods?x=1", &o, on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked,
                        "GET /api/v1/pods?x=1&labelSelector=a%20in%20%28b%2Cc%29&"
                        "fieldSelector=spec.nodeName%3Dn1&continue=x%2Fy&limit=5||Bearer t0ken|");
    w.status = 201;
    kube_create(w.client, "/api/v1/nodes", STR("{\"a\":1}"), on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked, "POST /api/v1/nodes|application/json|Bearer t0ken|{\"a\":1}");
    assert_string_equal(w.log.p, "201  0 web");
    kube_update(w.client, "/u", STR("{}"), on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked, "PUT /u|application/json|Bearer t0ken|{}");
    kube_patch(w.client, "/p", KUBE_PATCH_STRATEGIC, STR("{}"), on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked, "PATCH /p|application/strategic-merge-patch+json|Bearer t0ken|{}");
    kube_delete(w.client, "/d", STR(""), on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.asked, "DELETE /d||Bearer t0ken|");
    world_deinit(&w);
}

#define STATUS(code, reason, message)                                                              \
    "{\"kind\":\"Status\",\"code\":" #code ",\"reason\":\"" reason "\",\"message\":\"" message     \
    "\",\"details\":{\"retryAfterSeconds\":2}}"

static void answers_become_errors_by_reason(void **state)
{
    static const struct {
        int status;
        const char *type, *body, *want;
    } rows[] = {
        { 200, "text/plain", "ok", "200  0 -" },
        { 200, "application/json", "{\"a\":", "200  0 protocol" },
        { 404, "application/json", STATUS(404, "NotFound", "nodes \\\"n\\\" not found"),
          "404 NotFound 2000 not found GET /x: nodes \"n\" not found" },
        { 409, "application/json", STATUS(409, "AlreadyExists", "m"),
          "409 AlreadyExists 2000 exists GET /x: m" },
        { 409, "application/json", STATUS(409, "Conflict", "m"),
          "409 Conflict 2000 conflict GET /x: m" },
        { 410, "application/json", STATUS(410, "Expired", "m"),
          "410 Expired 2000 expired GET /x: m" },
        { 403, "application/json", STATUS(403, "Forbidden", "m"),
          "403 Forbidden 2000 denied GET /x: m" },
        { 401, "text/plain", "Unauthorized", "401  0 denied GET /x: HTTP status 401 Unauthorized" },
        { 404, "text/plain", "404 page not found",
          "404  0 not found GET /x: HTTP status 404 Not Found" },
        { 429, "application/json", STATUS(429, "TooManyRequests", "m"),
          "429 TooManyRequests 2000 again GET /x: m" },
        { 503, "text/html", "<h1>proxy</h1>",
          "503  0 again GET /x: HTTP status 503 Service Unavailable" },
        { 422, "application/json", STATUS(422, "Invalid", "m"),
          "422 Invalid 2000 invalid GET /x: m" },
    };
    struct world w;
    (void)state;

    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        w.status = rows[i].status;
        w.type = rows[i].type;
        w.body = rows[i].body;
        kube_get(w.client, "/x?secret=1", on_reply, &w);
        run_until_done(&w);
        if (strncmp(w.log.p, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("row %zu: \"%s\" is not \"%s\"", i, w.log.p, rows[i].want);
    }
    world_deinit(&w);
}

static void retry_after_is_read(void **state)
{
    static const struct http_header extra = { STR("Retry-After"), STR("7") };
    struct world w;
    (void)state;

    world_init(&w);
    w.status = 429;
    w.extra = &extra;
    kube_get(w.client, "/x", on_reply, &w);
    run_until_done(&w);
    assert_string_equal(w.log.p, "429  7000 again GET /x: HTTP status 429 Too Many Requests");
    world_deinit(&w);
}

static void too_much_ends_with_limit(void **state)
{
    auto_free char *much = mem_alloc(20000);
    const struct kube_list_options o = { .label_selector = much };
    struct world w;
    (void)state;

    memset(much, 'x', 19999);
    world_init(&w);
    w.body = much;
    kube_get(w.client, "/x", on_reply, &w); /* the answer */
    run_until_done(&w);
    assert_non_null(strstr(w.log.p, " limit GET /x: the answer is longer than 1000 bytes"));
    kube_list(w.client, "/x", &o, on_reply, &w); /* the question */
    run_until_done(&w);
    assert_non_null(strstr(w.log.p, "0  0 limit GET /x: path and selectors"));
    world_deinit(&w);
}

static void a_canceled_call_says_so(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    kube_call_cancel(kube_get(w.client, "/x", on_reply, &w));
    run_until_done(&w);
    assert_string_equal(w.log.p, "0  0 canceled GET /x: the call was canceled");
    world_deinit(&w);
}

static void on_event(void *arg, enum kube_event_type type, json_t *object)
{
    struct world *w = arg;

    assert_int_equal(buf_addf(&w->log, "%d %s,", type, meta_name(object)), 0);
}

static void on_watch_done(void *arg, uint64_t retry_after_ms, const struct err *e)
{
    struct world *w = arg;

    w->n_done++;
    assert_int_equal(
        buf_addf(&w->log, "%llu %s", (unsigned long long)retry_after_ms, e ? e->text : "end"), 0);
}

static void watches_stream_events_and_end_with_a_reason(void **state)
{
    static const struct kube_watch_events events = { .on_event = on_event,
                                                     .on_done = on_watch_done };
    static const struct kube_watch_options o = { .field_selector = "metadata.name=a",
                                                 .resource_version = "17",
                                                 .timeout_s = 60,
                                                 .bookmarks = true };
    static const struct {
        int status;
        const char *body, *want;
    } rows[] = {
        { 200,
          "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n"
          "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n",
          "0 a,2 a,0 end" },
        { 200,
          "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n"
          "{\"type\":\"ERROR\",\"object\":" STATUS(410, "Expired", "too old") "}\n",
          "0 a,0 WATCH /w: too old" },
        { 200, "{\"type\":", "0 WATCH /w: the watch ended in the middle of an event" },
        { 410, STATUS(410, "Expired", "gone"), "2000 WATCH /w: gone" },
        { 204, "", "0 WATCH /w: HTTP status 204 to a watch" },
    };
    struct world w;
    (void)state;

    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&w.log);
        w.status = rows[i].status;
        w.body = rows[i].body;
        kube_watch(w.client, "/w", &o, &events, &w);
        run_until_done(&w);
        assert_string_equal(w.log.p, rows[i].want);
        assert_string_equal(w.asked, "GET /w?fieldSelector=metadata.name%3Da&resourceVersion=17&"
                                     "watch=true&timeoutSeconds=60&allowWatchBookmarks=true||"
                                     "Bearer t0ken|");
    }
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_asks_its_question),
        cmocka_unit_test(answers_become_errors_by_reason),
        cmocka_unit_test(retry_after_is_read),
        cmocka_unit_test(too_much_ends_with_limit),
        cmocka_unit_test(a_canceled_call_says_so),
        cmocka_unit_test(watches_stream_events_and_end_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
