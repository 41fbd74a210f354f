/* Quotas are charged with what is stored, whoever writes at the same time. No controller counts
 * here: what is used is what writes have charged. */
#include "test/unit/server/api/harness.h"

#include "base/core/mem.h"
#include "server/api/local.h"
#include "test/unit/json_text.h"

#include <stdio.h>

static struct harness h;
static struct api *second; /* another server on the same store */
static unsigned n_spaces;
static char ns[32];

static void raise_flag(void *arg, const struct err *e)
{
    assert_null(e);
    *(bool *)arg = true;
}

static void raise_closed(void *arg)
{
    *(bool *)arg = true;
}

static int setup(void **state)
{
    struct api_config cfg = { .loop = &h.loop,
                              .authn = NULL,
                              .service_cidrs = { "10.43.0.0/16" },
                              .version = "test" };
    bool started = false;
    struct err e;

    (void)state;
    harness_open(&h, NULL);
    cfg.store = h.store;
    cfg.authn = h.authn;
    assert_int_equal(api_new(&second, &cfg, &e), 0);
    api_start(second, raise_flag, &started);
    harness_wait(&h, &started);
    return 0;
}

static int teardown(void **state)
{
    bool closed = false;

    (void)state;
    api_close(second, raise_closed, &closed);
    harness_wait(&h, &closed);
    harness_close(&h);
    return 0;
}

static struct answer call(const char *method, const char *what, const char *body)
{
    auto_free char *target = mem_printf("/api/v1/namespaces/%s/%s", ns, what);
    auto_free char *text = body ? real_quotes(body) : NULL;

    return ask(&h, method, target, text);
}

static void expect(struct answer a, int code, const char *message)
{
    if (a.code != code || (message && strcmp(json_str_at(a.doc, "message", ""), message) != 0))
        fail_msg("want %d %s, got %d: %s", code, message ? message : "", a.code, buf_cstr(&a.body));
    answer_deinit(&a);
}

/* A namespace of its own for each test. */
static void new_space(void)
{
    snprintf(ns, sizeof ns, "space-%u", ++n_spaces);
    auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"%s\"}}", ns);
    auto_answer a = ask(&h, "POST", "/api/v1/namespaces", body);

    assert_int_equal(a.code, 201);
}

/* A counted one. */
static void make_quota(const char *name, const char *hard, const char *used)
{
    auto_free char *spec = mem_printf("{'metadata':{'name':'%s'},'spec':{'hard':%s}}", name, hard);
    auto_free char *status = mem_printf("{'status':{'hard':%s,'used':%s}}", hard, used);
    auto_free char *what = mem_printf("resourcequotas/%s/status", name);

    expect(call("POST", "resourcequotas", spec), 201, NULL);
    expect(call("PATCH", what, status), 200, NULL);
}

static void expect_used(const char *name, const char *used)
{
    auto_free char *what = mem_printf("resourcequotas/%s", name);
    auto_answer a = call("GET", what, NULL);
    json_auto_t *want = json_of(used);

    if (!json_equal(json_at(a.doc, "status.used"), want))
        fail_msg("want %s, got %s", used, buf_cstr(&a.body));
}

static struct answer make_map(const char *name)
{
    auto_free char *body = mem_printf("{'metadata':{'name':'%s'}}", name);

    return call("POST", "configmaps", body);
}

static void what_exceeds_a_quota_is_refused(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'count/configmaps':'2','secrets':'7'}",
               "{'count/configmaps':'1','secrets':'0'}");
    expect(make_map("a"), 201, NULL);
    expect_used("q", "{'count/configmaps':'2','secrets':'0'}");
    expect(make_map("b"), 403,
           "configmaps \"b\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: "
           "count/configmaps=2, limited: count/configmaps=2");
    expect(call("GET", "configmaps/b", NULL), 404, NULL);
    expect_used("q", "{'count/configmaps':'2','secrets':'0'}");
}

static void a_pod_says_what_the_quota_asks_for(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'pods':'5','requests.cpu':'1'}", "{'pods':'0','requests.cpu':'0'}");
    expect(call("POST", "pods",
                "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'i'}]}}"),
           403, "pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: c");
    expect(call("POST", "pods",
                "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'i','resources'"
                ":{'limits':{'cpu':'300m'}}}]}}"),
           201, NULL);
    expect_used("q", "{'pods':'1','requests.cpu':'300m'}");
}

static void a_refusal_of_one_charges_none(void **state)
{
    (void)state;
    new_space();
    make_quota("a", "{'count/configmaps':'9'}", "{'count/configmaps':'0'}");
    make_quota("b", "{'configmaps':'1'}", "{'configmaps':'0'}");
    make_quota("c", "{'secrets':'1'}", "{'secrets':'0'}");
    expect(make_map("x"), 201, NULL);
    expect(make_map("y"), 403,
           "configmaps \"y\" is forbidden: exceeded quota: b, requested: configmaps=1, used: "
           "configmaps=1, limited: configmaps=1");
    expect_used("a", "{'count/configmaps':'1'}");
    expect_used("b", "{'configmaps':'1'}");
    expect_used("c", "{'secrets':'0'}");
}

static void a_dry_run_charges_nothing(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'1'}", "{'configmaps':'0'}");
    expect(call("POST", "configmaps?dryRun=All", "{'metadata':{'name':'x'}}"), 201, NULL);
    expect_used("q", "{'configmaps':'0'}");
    expect(make_map("x"), 201, NULL);
    expect(call("POST", "configmaps?dryRun=All", "{'metadata':{'name':'y'}}"), 403, NULL);
    expect_used("q", "{'configmaps':'1'}");
}

static void what_is_there_already_charges_nothing(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'5'}", "{'configmaps':'0'}");
    expect(make_map("x"), 201, NULL);
    expect(make_map("x"), 409, NULL);
    expect(call("POST", "configmaps", "{'metadata':{'generateName':'g-'}}"), 201, NULL);
    expect_used("q", "{'configmaps':'2'}");
}

static void updates_take_what_they_add(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'services':'2','services.nodeports':'1','requests.storage':'2Gi'}",
               "{'services':'0','services.nodeports':'0','requests.storage':'0'}");
    expect(call("POST", "services", "{'metadata':{'name':'s'},'spec':{'ports':[{'port':1}]}}"), 201,
           NULL);
    expect(call("PATCH", "services/s", "{'spec':{'type':'NodePort'}}"), 200, NULL);
    expect_used("q", "{'services':'1','services.nodeports':'1','requests.storage':'0'}");
    expect(call("POST", "services",
                "{'metadata':{'name':'t'},'spec':{'type':'NodePort','ports':[{'port':1}]}}"),
           403,
           "services \"t\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: "
           "services.nodeports=1, limited: services.nodeports=1");
    expect(call("PATCH", "services/s",
                "{'spec':{'ports':[{'port':1,'name':'a'},{'port':2,'name':'b'}]}}"),
           403, NULL);
    expect(call("PATCH", "services/s", "{'metadata':{'labels':{'a':'b'}}}"), 200, NULL);
    expect_used("q", "{'services':'1','services.nodeports':'1','requests.storage':'0'}");
}

/* The node port of a service that was refused is free again. */
static void a_refusal_gives_addresses_back(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'services':'0'}", "{'services':'0'}");
    static const char body[] = "{'metadata':{'name':'s'},'spec':{'type':'NodePort','clusterIP':"
                               "'10.43.9.9','ports':[{'port':1,'nodePort':31999}]}}";
    expect(call("POST", "services", body), 403, NULL);
    expect(call("POST", "services", body), 403, NULL);
    expect(call("PATCH", "resourcequotas/q/status", "{'status':{'hard':{'services':'1'}}}"), 200,
           NULL);
    expect(call("POST", "services", body), 201, NULL);
}

static void an_apply_that_creates_is_charged(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'1'}", "{'configmaps':'0'}");
    for (int i = 0; i < 3; i++) {
        static const char *const bodies[] = {
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}",
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":"
            "{\"k\":\"v\"}}",
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\"}}"
        };
        static const int codes[] = { 201, 200, 403 };
        auto_free char *target = mem_printf("/api/v1/namespaces/%s/configmaps/%s?fieldManager=me",
                                            ns, i < 2 ? "a" : "b");
        expect(ask_as(&h, "admin+system:masters", "PATCH", target, "application/apply-patch+yaml",
                      NULL, bodies[i]),
               codes[i], NULL);
    }
    expect_used("q", "{'configmaps':'1'}");
}

/* ---- at the same time ---- */

struct storm {
    unsigned n_left, n_made, n_refused;
    bool done;
};

static void on_made(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct storm *s = arg;

    if (code == 201)
        s->n_made++;
    else if (code == 403 && strstr(json_str_at(obj, "message", ""), "exceeded quota: q"))
        s->n_refused++;
    else
        print_message("%d %s\n", code, e->text);
    s->done = --s->n_left == 0;
}

static void make_many(struct storm *s, unsigned n)
{
    struct local_ref maps = { .resource = "configmaps", .ns = ns };
    json_auto_t *map = json_of("{'metadata':{'generateName':'m-'}}");

    s->n_left = n;
    for (unsigned i = 0; i < n; i++)
        local_create(i % 2 ? second : h.api, &maps, map, on_made, s);
}

static size_t n_maps(void)
{
    auto_answer a = call("GET", "configmaps", NULL);

    return json_array_size(json_object_get(a.doc, "items"));
}

static void two_servers_never_exceed_a_limit(void **state)
{
    struct storm s = { 0 };

    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'20'}", "{'configmaps':'0'}");
    make_quota("r", "{'count/configmaps':'1k'}", "{'count/configmaps':'0'}");
    make_many(&s, 60);
    harness_wait(&h, &s.done);
    assert_int_equal(s.n_made, 20);
    assert_int_equal(s.n_refused, 40);
    assert_int_equal(n_maps(), 20);
    expect_used("q", "{'configmaps':'20'}");
    expect_used("r", "{'count/configmaps':'20'}");
}

/* Somebody who counts writes the same quota all the while: what is stored is charged, by whom
 * wins. A patch that loses all its tries is a conflict, as any other. */
static void who_counts_is_not_overwritten(void **state)
{
    struct storm s = { 0 };
    unsigned n = 0;

    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'1k'}", "{'configmaps':'0'}");
    make_many(&s, 40);
    while (!s.done) {
        auto_free char *patch = mem_printf("{'metadata':{'labels':{'n':'%u'}}}", n++);
        struct answer a = call("PATCH", "resourcequotas/q", patch);
        expect(a, a.code == 409 ? 409 : 200, NULL);
    }
    assert_int_equal(s.n_made, 40);
    expect_used("q", "{'configmaps':'40'}");
}

struct leaver {
    struct http_call *call; /* NULL: it has ended */
};

static void on_left(void *arg, int status, const struct http_headers *headers, struct str body,
                    const struct err *e)
{
    (void)status;
    (void)headers;
    (void)body;
    (void)e;
    ((struct leaver *)arg)->call = NULL;
}

/* Clients that go away while they wait leave others their turn. */
static void who_goes_away_is_charged_for_what_is_stored(void **state)
{
    static const char body[] = "{\"metadata\":{\"generateName\":\"w-\"}}";
    struct leaver v[30];
    struct storm s = { 0 };

    (void)state;
    new_space();
    auto_free char *target = mem_printf("/api/v1/namespaces/%s/configmaps", ns);
    make_quota("q", "{'configmaps':'1k'}", "{'configmaps':'0'}");
    struct http_header headers[] = { { STR("Authorization"), STR("Bearer admin+system:masters") },
                                     { STR("Content-Type"), STR("application/json") } };
    struct http_call_config cfg = { .method = "POST",
                                    .target = target,
                                    .headers = headers,
                                    .n_headers = ARRAY_LEN(headers),
                                    .body = str_of(body) };
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        v[i].call = http_fetch(h.client, &cfg, 4096, on_left, &v[i]);
    while (n_maps() == 0)
        uv_run(&h.loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        if (i % 2 && v[i].call)
            http_call_cancel(v[i].call);
    make_many(&s, 10);
    harness_wait(&h, &s.done);
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        while (v[i].call)
            uv_run(&h.loop, UV_RUN_ONCE);
    auto_free char *used = mem_printf("{'configmaps':'%zu'}", n_maps());
    expect_used("q", used);
    assert_int_equal(s.n_made, 10);
}

/* Before the controller has counted nothing is refused, but each write changes the quota: who
 * counts at the same time has to count again. */
static void what_is_not_counted_yet_is_touched(void **state)
{
    (void)state;
    new_space();
    expect(call("POST", "resourcequotas",
                "{'metadata':{'name':'q'},'spec':{'hard':{'configmaps':'0'}}}"),
           201, NULL);
    auto_answer before = call("GET", "resourcequotas/q", NULL);
    expect(make_map("x"), 201, NULL);
    auto_answer after = call("GET", "resourcequotas/q", NULL);
    assert_string_not_equal(json_str_at(before.doc, "metadata.resourceVersion", ""),
                            json_str_at(after.doc, "metadata.resourceVersion", ""));
    assert_null(json_at(after.doc, "status.used"));
}

static void a_quota_that_goes_charges_no_more(void **state)
{
    (void)state;
    new_space();
    make_quota("q", "{'configmaps':'0'}", "{'configmaps':'0'}");
    expect(make_map("x"), 403, NULL);
    expect(call("DELETE", "resourcequotas/q", NULL), 200, NULL);
    for (int code = 0; code != 201;) { /* until it is known */
        auto_answer a = make_map("x");
        code = a.code;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exceeds_a_quota_is_refused),
        cmocka_unit_test(a_pod_says_what_the_quota_asks_for),
        cmocka_unit_test(a_refusal_of_one_charges_none),
        cmocka_unit_test(a_dry_run_charges_nothing),
        cmocka_unit_test(what_is_there_already_charges_nothing),
        cmocka_unit_test(updates_take_what_they_add),
        cmocka_unit_test(a_refusal_gives_addresses_back),
        cmocka_unit_test(an_apply_that_creates_is_charged),
        cmocka_unit_test(two_servers_never_exceed_a_limit),
        cmocka_unit_test(who_counts_is_not_overwritten),
        cmocka_unit_test(who_goes_away_is_charged_for_what_is_stored),
        cmocka_unit_test(what_is_not_counted_yet_is_touched),
        cmocka_unit_test(a_quota_that_goes_charges_no_more),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
