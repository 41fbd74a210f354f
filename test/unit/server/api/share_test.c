/* A flood takes the places that are there, and leaves some to those without whom nothing works. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "server/api/share.h"

#define ADMIN  "admin+system:masters"
#define REVIEW "/apis/authentication.k8s.io/v1/selfsubjectreviews"

/* A write whose body does not end: it keeps its place. */
struct held {
    struct http_call *call;
    int code;
    bool head, done;
    char retry_after[16];
};

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *hd)
{
    struct held *w = arg;
    struct str v = http_headers_get(hd, "retry-after");

    (void)c;
    snprintf(w->retry_after, sizeof w->retry_after, STR_FMT, STR_ARG(v));
    w->code = status;
    w->head = true;
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct held *w = arg;

    (void)c;
    (void)e;
    w->call = NULL;
    w->done = w->head = true;
}

static void held_start(struct held *w, const char *user, const char *target)
{
    static const struct http_call_events events = { .on_head = on_head, .on_done = on_done };
    auto_free char *auth = mem_printf("Bearer %s", user);
    struct http_header headers[] = { { STR("Authorization"), str_of(auth) },
                                     { STR("Content-Type"), STR("application/json") } };
    struct http_call_config c = { .method = "POST",
                                  .target = target,
                                  .headers = headers,
                                  .n_headers = ARRAY_LEN(headers),
                                  .stream_body = true,
                                  .head_timeout_ms = HTTP_NO_TIMEOUT };

    *w = (struct held){ 0 };
    http_call_start(&w->call, h.client, &c, &events, w);
    http_call_write(w->call, "{", 1);
}

/* The value of one line of /metrics. */
static int64_t metric(const char *line)
{
    auto_answer a = ask(&h, "GET", "/metrics", NULL);
    const char *at = strstr(buf_cstr(&a.body), line);

    assert_int_equal(a.code, 200);
    return at ? strtoll(at + strlen(line), NULL, 10) : -1;
}

static int64_t n_writes(void)
{
    return metric("apiserver_current_inflight_requests{request_kind=\"mutating\"} ");
}

static void wait_for_writes(int64_t n)
{
    for (int i = 0; i < 1000 && n_writes() != n; i++)
        ;
    assert_int_equal(n_writes(), n);
}

static void expect_429(struct held *w)
{
    harness_wait(&h, &w->head);
    assert_int_equal(w->code, 429);
    assert_string_equal(w->retry_after, "1");
}

static int ask_code(const char *who)
{
    auto_answer a = ask_as(&h, who, "POST", REVIEW, "application/json", NULL, "{}");

    return a.code;
}

static void floods_leave_places(void **state)
{
    enum { N = SHARE_WRITES_MAX + 2 };
    static struct held flood[N];
    size_t n = 0;

    (void)state;
    while (n < SHARE_WRITES_MAX / 2)
        held_start(&flood[n++], "alice", REVIEW);
    wait_for_writes((int64_t)n);
    held_start(&flood[n], "alice", REVIEW); /* half of them is what one user gets */
    expect_429(&flood[n++]);
    assert_int_equal(ask_code("bob"), 201);

    for (size_t i = 0; i < SHARE_WRITES_MAX / 4; i++)
        held_start(&flood[n++], "bob", REVIEW);
    wait_for_writes(SHARE_WRITES_MAX * 3 / 4);
    held_start(&flood[n], "system:serviceaccount:default:carol", REVIEW); /* a new one: full */
    expect_429(&flood[n++]);

    assert_int_equal(ask_code("system:node:n1+system:nodes"), 201);
    assert_int_equal(ask_code(ADMIN), 201);
    auto_answer health = ask_as(&h, "carol", "GET", "/readyz", NULL, NULL, NULL);
    assert_int_equal(health.code, 200);
    assert_true(
        metric("apiserver_request_total{code=\"429\",component=\"apiserver\",group="
               "\"authentication.k8s.io\",resource=\"selfsubjectreviews\",scope="
               "\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\",dry_run=\"\"} ") >= 2);

    /* the nodes' share, a quarter of all for each: then only administrators get in */
    for (size_t i = 0; n < N; i++)
        held_start(&flood[n++],
                   i % 2 ? "system:node:n1+system:nodes" : "system:node:n2+system:nodes", REVIEW);
    wait_for_writes(SHARE_WRITES_MAX);
    assert_int_equal(ask_code("system:node:n3+system:nodes"), 429);
    assert_int_equal(ask_code(ADMIN), 201);

    /* what ends gives its place back */
    for (size_t i = 0; i < n; i++)
        if (flood[i].call)
            http_call_cancel(flood[i].call);
    for (size_t i = 0; i < n; i++)
        harness_wait(&h, &flood[i].done);
    wait_for_writes(0);
    assert_int_equal(ask_code("carol"), 201);
}

static void administrators_take_no_place_from_others(void **state)
{
    enum { N = SHARE_WRITES_MAX + 10 };
    static struct held flood[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        held_start(&flood[i], ADMIN, REVIEW);
    wait_for_writes(N);
    assert_int_equal(ask_code("alice"), 201);
    assert_int_equal(ask_code("system:node:n1+system:nodes"), 201);
    for (size_t i = 0; i < N; i++)
        http_call_cancel(flood[i].call);
    for (size_t i = 0; i < N; i++)
        harness_wait(&h, &flood[i].done);
    wait_for_writes(0);
}

static void a_request_may_say_how_long_it_waits(void **state)
{
    struct held w;

    (void)state;
    held_start(&w, ADMIN, "/api/v1/namespaces/default/configmaps?timeout=20ms");
    harness_wait(&h, &w.head);
    assert_int_equal(w.code, 504);
    if (w.call)
        http_call_cancel(w.call);
    harness_wait(&h, &w.done);
    wait_for_writes(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_leave_places),
        cmocka_unit_test(administrators_take_no_place_from_others),
        cmocka_unit_test(a_request_may_say_how_long_it_waits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
