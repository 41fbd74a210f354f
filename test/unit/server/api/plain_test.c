/* Health, as probes read it, and /metrics, as Prometheus does. */
#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"

#define ADMIN "admin+system:masters"
#define CM    "/api/v1/namespaces/default/configmaps"

static void health_is_in_upstreams_form(void **state)
{
    static const struct {
        bool well; /* the tunnel */
        const char *target;
        int code;
        const char *body;
    } rows[] = {
        { true, "/readyz", 200, "ok" },
        { true, "/livez", 200, "ok" },
        { true, "/healthz", 200, "ok" },
        { true, "/healthz/ping", 200, "ok" },
        { true, "/readyz?verbose", 200,
          "[+]ping ok\n[+]start ok\n[+]informer-sync ok\n[+]tunnel ok\n[+]storage ok\nreadyz check "
          "passed\n" },
        { true, "/livez?verbose=", 200, "[+]ping ok\nlivez check passed\n" },
        { true, "/readyz?verbose&exclude=storage&exclude=none", 200,
          "[+]ping ok\n[+]start ok\n[+]informer-sync ok\n[+]tunnel ok\n[+]storage excluded: ok\n"
          "warn: some health checks cannot be excluded: no matches for \"none\"\n"
          "readyz check passed\n" },
        { true, "/readyz?verbose&exclude=etcd&exclude=none", 200,
          "[+]ping ok\n[+]start ok\n[+]informer-sync ok\n[+]tunnel ok\n[+]storage excluded: ok\n"
          "warn: some health checks cannot be excluded: no matches for \"none\"\n"
          "readyz check passed\n" },
        { false, "/readyz", 500,
          "[+]ping ok\n[+]start ok\n[+]informer-sync ok\n[-]tunnel failed: not ready\n[+]storage "
          "ok\n"
          "readyz check failed\n" },
        { false, "/readyz?exclude=tunnel", 200, "ok" },
        { false, "/readyz/tunnel", 500, "internal server error: not ready\n" },
        { false, "/readyz/storage", 200, "ok" },
        { false, "/readyz/etcd", 200, "ok" },
        { false, "/livez", 200, "ok" },
        { true, "/readyz/tunnel", 200, "ok" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        api_check_set(h.api, "tunnel", rows[i].well, false);
        auto_answer a = ask_as(&h, "jane", "GET", rows[i].target, NULL, NULL, NULL);

        if (a.code != rows[i].code || strcmp(buf_cstr(&a.body), rows[i].body) != 0)
            fail_msg("%s: %d %s", rows[i].target, a.code, buf_cstr(&a.body));
        assert_string_equal(a.type, "text/plain; charset=utf-8");
    }
    api_check_set(h.api, "tunnel", true, false);
}

/* The value of a line of /metrics, -1: it is not there. */
static double value(const struct answer *metrics, const char *line)
{
    auto_free char *start = mem_printf("\n%s ", line);
    const char *at = strstr(buf_cstr(&metrics->body), start);

    return at ? strtod(at + strlen(start), NULL) : -1;
}

#define LABELS(group_, resource_, scope_, sub_, verb_, version_)                                   \
    "component=\"apiserver\",group=\"" group_ "\",resource=\"" resource_ "\",scope=\"" scope_      \
    "\",subresource=\"" sub_ "\",verb=\"" verb_ "\",version=\"" version_ "\""

static void metrics_have_upstreams_names(void **state)
{
    static const struct {
        const char *line;
        double least;
    } rows[] = {
        { "apiserver_request_total{code=\"201\"," LABELS("", "configmaps", "resource", "", "POST",
                                                         "v1") ",dry_run=\"\"}",
          2 },
        { "apiserver_request_total{code=\"404\"," LABELS("", "configmaps", "resource", "", "GET",
                                                         "v1") ",dry_run=\"\"}",
          1 },
        { "apiserver_request_total{code=\"200\"," LABELS("", "configmaps", "namespace", "", "LIST",
                                                         "v1") ",dry_run=\"\"}",
          1 },
        { "apiserver_request_total{code=\"200\"," LABELS("", "nodes", "cluster", "", "LIST",
                                                         "v1") ",dry_run=\"\"}",
          1 },
        { "apiserver_request_total{code=\"200\"," LABELS("", "", "", "/readyz", "GET",
                                                         "") ",dry_run=\"\"}",
          1 },
        { "apiserver_request_duration_seconds_count{" LABELS("", "configmaps", "namespace", "",
                                                             "LIST", "v1") ",dry_run=\"\"}",
          1 },
        { "apiserver_request_duration_seconds_bucket{" LABELS(
              "", "configmaps", "namespace", "", "LIST", "v1") ",dry_run=\"\",le=\"+Inf\"}",
          1 },
        { "apiserver_response_sizes_bucket{" LABELS("", "configmaps", "namespace", "", "LIST",
                                                    "v1") ",dry_run=\"\",le=\"10000\"}",
          1 },
        { "apiserver_response_sizes_sum{" LABELS("", "configmaps", "namespace", "", "LIST",
                                                 "v1") ",dry_run=\"\"}",
          100 },
        { "apiserver_longrunning_requests{" LABELS("", "configmaps", "namespace", "", "WATCH",
                                                   "v1") "}",
          1 },
        { "apiserver_watch_events_total{group=\"\",kind=\"ConfigMap\",version=\"v1\"}", 2 },
        { "apiserver_current_inflight_requests{request_kind=\"mutating\"}", 0 },
        { "apiserver_storage_objects{resource=\"configmaps\"}", 2 },
        { "apiserver_storage_objects{resource=\"namespaces\"}", 4 },
        { "apiserver_storage_objects{resource=\"deployments.apps\"}", 0 },
        { "apiserver_storage_size_bytes{storage_cluster_id=\"sqlite-0\"}", 1000 },
        { "process_cpu_seconds_total", 0 },
        { "process_resident_memory_bytes", 1e6 },
        { "process_open_fds", 5 },
        { "process_max_fds", 5 },
        { "process_start_time_seconds", 1e9 },
        { "kubernetes_build_info{git_version=\"v1.32.0+coracle.test\",major=\"1\",minor=\"32\"}",
          1 },
    };
    struct lines l;

    (void)state;
    for (int name = 'a'; name <= 'b'; name++) {
        auto_free char *body = mem_printf("{\"metadata\":{\"name\":\"%c\"}}", name);
        auto_answer made = ask(&h, "POST", CM, body);
        assert_int_equal(made.code, 201);
    }
    auto_answer none = ask(&h, "GET", CM "/none", NULL), list = ask(&h, "GET", CM, NULL);
    auto_answer nodes = ask(&h, "GET", "/api/v1/nodes", NULL), up = ask(&h, "GET", "/readyz", NULL);
    lines_start(&l, &h, ADMIN, CM "?watch=1", NULL);
    lines_wait(&l, 2);
    auto_answer first = ask(&h, "GET", "/metrics", NULL); /* begins to count objects */
    for (int i = 0; i < 200; i++) {
        auto_answer again = ask(&h, "GET", "/metrics", NULL);

        if (value(&again, "apiserver_storage_objects{resource=\"deployments.apps\"}") >= 0)
            break;
    }
    auto_answer a = ask(&h, "GET", "/metrics", NULL);
    assert_string_equal(a.type, "text/plain; version=0.0.4; charset=utf-8");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (value(&a, rows[i].line) < rows[i].least)
            fail_msg("%s %g", rows[i].line, value(&a, rows[i].line));
    lines_stop(&l);
    (void)first;
    (void)none;
    (void)list;
    (void)nodes;
    (void)up;
}

/* Each metric has one TYPE line before its values, and no line twice. */
static void metrics_are_well_formed(void **state)
{
    auto_answer a = ask(&h, "GET", "/metrics", NULL);
    struct str line, rest = buf_str(&a.body), name;
    char current[128] = "";
    json_auto_t *seen = json_object();

    (void)state;
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        auto_free char *text = str_dup(line);
        if (strncmp(text, "# TYPE ", 7) == 0) {
            str_cut(str_of(text + 7), ' ', &name, &line);
            snprintf(current, sizeof current, STR_FMT, STR_ARG(name));
            continue;
        }
        if (text[0] == '#')
            continue;
        char *end = strrchr(text, ' ');
        assert_non_null(end);
        *end = '\0';
        assert_true(str_starts(str_of(text), str_of(current)));
        if (json_object_get(seen, text))
            fail_msg("twice: %s", text);
        json_object_set_new(seen, text, json_true());
    }
    assert_true(json_object_size(seen) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_is_in_upstreams_form),
        cmocka_unit_test(metrics_have_upstreams_names),
        cmocka_unit_test(metrics_are_well_formed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
