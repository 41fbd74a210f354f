/* The kubelet's port over loopback TLS: who may come in, the small paths, and logs. */
#include "test/unit/agent/stream/rig.h"

#include "base/core/log.h"
#include "base/data/json.h"
#include "base/io/tcp.h"
#include "test/unit/base/io/io_end.h"

#include <stdio.h>
#include <unistd.h>

#define HEAD "2016-10-06T00:17:09.669794202Z stdout F "

static void only_the_api_server_comes_in(void **state)
{
    static const struct {
        const char *cn, *org; /* cn NULL: no certificate */
        bool of_other_ca;
        int64_t age_s;
        int status;
        const char *body;
    } rows[] = {
        { NULL, NULL, false, 0, 401, "Unauthorized\n" },
        { "system:apiserver", NULL, false, 0, 200, "ok" },
        { "kube-apiserver", NULL, false, 0, 200, "ok" },
        { "admin", "system:masters", false, 0, 200, "ok" },
        { "system:apiserver", "system:masters", true, 0, 401, "Unauthorized\n" },
        { "system:apiserver", "system:masters", false, 3 * 86400, 401, "Unauthorized\n" },
        { "system:node:node1", "system:nodes", false, 0, 403,
          "Forbidden (user=system:node:node1, verb=get, resource=nodes, subresource=proxy)\n" },
        { "system:apiserver2", "masters", false, 0, 403,
          "Forbidden (user=system:apiserver2, verb=get, resource=nodes, subresource=proxy)\n" },
    };
    struct ident other_ca = { 0 };
    struct rig g;

    (void)state;
    rig_init(&g);
    ident_ca(&other_ca, "k3s-client");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ident who = { 0 };

        if (rows[i].cn)
            ident_leaf(&who, rows[i].of_other_ca ? &other_ca : &g.ca, rows[i].cn, rows[i].org, NULL,
                       rows[i].age_s);
        rig_fetch_as(&g, rows[i].cn ? &who : NULL, "GET", "/healthz");
        assert_int_equal(g.err.code, 0);
        assert_int_equal(g.status, rows[i].status);
        assert_string_equal(buf_cstr(&g.body), rows[i].body);
        ident_deinit(&who);
    }
    ident_deinit(&other_ca);
    rig_deinit(&g);
}

static void refusals_name_verb_and_subresource(void **state)
{
    static const struct {
        const char *method, *path, *tail;
    } rows[] = {
        { "GET", "/metrics", "verb=get, resource=nodes, subresource=metrics)\n" },
        { "POST", "/exec/default/web/app", "verb=create, resource=nodes, subresource=proxy)\n" },
        { "GET", "/stats/summary", "verb=get, resource=nodes, subresource=stats)\n" },
        { "DELETE", "/pods", "verb=delete, resource=nodes, subresource=proxy)\n" },
    };
    struct ident node = { 0 };
    struct rig g;

    (void)state;
    rig_init(&g);
    ident_leaf(&node, &g.ca, "system:node:n", "system:nodes", NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_fetch_as(&g, &node, rows[i].method, rows[i].path);
        assert_int_equal(g.status, 403);
        assert_true(str_ends(buf_str(&g.body), str_of(rows[i].tail)));
    }
    assert_int_equal(g.runtime.n_asked, 0);
    ident_deinit(&node);
    rig_deinit(&g);
}

static void reload_changes_both_certificate_and_trust(void **state)
{
    struct ident ca = { 0 }, serving = { 0 }, client = { 0 };
    struct rig g;
    struct err e;

    (void)state;
    rig_init(&g);
    ident_ca(&ca, "new");
    ident_leaf(&serving, &ca, "node1", NULL, "127.0.0.1", 0);
    ident_leaf(&client, &ca, "system:apiserver", NULL, NULL, 0);
    struct port_tls bad = { str_of(serving.cert_pem), str_of(client.key_pem), str_of(ca.cert_pem) };
    assert_int_not_equal(port_reload(g.port, &bad, &e), 0);
    rig_fetch(&g, "GET", "/healthz"); /* the old ones stay */
    assert_int_equal(g.status, 200);

    struct port_tls tls = { str_of(serving.cert_pem), str_of(serving.key_pem),
                            str_of(ca.cert_pem) };
    assert_int_equal(port_reload(g.port, &tls, &e), 0);
    rig_fetch_as(&g, &g.api_server, "GET", "/healthz");
    assert_int_equal(g.err.code, ERR_DENIED); /* the new certificate is of an unknown CA */
    struct ident old_ca = g.ca;
    g.ca = ca;
    rig_fetch(&g, "GET", "/healthz");
    assert_int_equal(g.status, 401); /* the old client's CA is not trusted any more */
    rig_fetch_as(&g, &client, "GET", "/healthz");
    assert_int_equal(g.status, 200);
    g.ca = old_ca;
    ident_deinit(&ca);
    ident_deinit(&serving);
    ident_deinit(&client);
    rig_deinit(&g);
}

static void small_paths(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
        const char *type, *body; /* body: contained */
    } rows[] = {
        { "GET", "/healthz", 200, "text/plain; charset=utf-8", "ok" },
        { "GET", "/healthz/syncloop", 200, "text/plain; charset=utf-8", "ok" },
        { "GET", "/pods", 200, "application/json", "\"name\":\"web\"" },
        { "GET", "/runningpods/", 200, "application/json", "\"name\":\"web\"" },
        { "POST", "/pods", 405, "text/plain; charset=utf-8", "405: Method Not Allowed\n" },
        { "GET", "/", 404, "text/plain; charset=utf-8", "404 page not found\n" },
        { "GET", "/stats/summary", 404, "text/plain; charset=utf-8", "404 page not found\n" },
        { "GET", "/run/default/web/app", 404, "text/plain; charset=utf-8", "404 page not found\n" },
        { "GET", "/containerLogs/default//app", 400, "text/plain; charset=utf-8",
          "\"\" in the path is not a name\n" },
        { "DELETE", "/exec/default/web/app", 405, "text/plain; charset=utf-8",
          "405: Method Not Allowed\n" },
    };
    struct rig g;

    (void)state;
    rig_init(&g);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_fetch(&g, rows[i].method, rows[i].path);
        assert_int_equal(g.status, rows[i].status);
        assert_string_equal(g.type, rows[i].type);
        assert_non_null(strstr(buf_cstr(&g.body), rows[i].body));
    }
    rig_deinit(&g);
}

static void pods_may_come_later_and_go_again(void **state)
{
    static const char empty[] =
        "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}";
    struct rig g;

    (void)state;
    rig_init(&g);
    port_set_pods(g.port, NULL, NULL);
    rig_fetch(&g, "GET", "/pods");
    assert_string_equal(buf_cstr(&g.body), empty);
    rig_fetch(&g, "GET", "/containerLogs/default/web/app");
    assert_int_equal(g.status, 404);
    assert_string_equal(buf_cstr(&g.body), "pod \"web\" does not exist\n");
    port_set_pods(g.port, &g.pods, &g.runtime);
    g.pods.phase = "Succeeded";
    rig_fetch(&g, "GET", "/pods");
    assert_non_null(strstr(buf_cstr(&g.body), "web"));
    rig_fetch(&g, "GET", "/runningpods/");
    assert_string_equal(buf_cstr(&g.body), empty);
    rig_deinit(&g);
}

static double metric(const struct rig *g, const char *name)
{
    auto_free char *line = mem_printf("\n%s ", name);
    const char *p = strstr(buf_cstr(&g->body), line);

    if (!p)
        fail_msg("no metric %s", name);
    return p ? strtod(p + strlen(line), NULL) : -1;
}

static void metrics_are_plausible(void **state)
{
    struct rig g;

    (void)state;
    rig_init(&g);
    rig_fetch(&g, "GET", "/metrics");
    assert_string_equal(g.type, "text/plain; version=0.0.4; charset=utf-8");
    assert_true(metric(&g, "process_resident_memory_bytes") > 1e6);
    assert_true(metric(&g, "process_open_fds") > 3);
    assert_true(metric(&g, "process_cpu_seconds_total") >= 0);
    assert_true(metric(&g, "process_start_time_seconds") > 1.6e9);
    assert_true(metric(&g, "kubelet_running_pods") == 1);
    assert_true(metric(&g, "kubelet_running_containers{container_state=\"running\"}") == 1);
    assert_true(metric(&g, "kubernetes_build_info{git_version=\"v1.32.4+k3s1\"}") == 1);
    rig_deinit(&g);
}

static void a_taken_port_and_bad_pem_fail_at_once(void **state)
{
    struct rig g;
    struct port *p = NULL;
    struct err e = { 0 };

    (void)state;
    rig_init(&g);
    struct port_config c = {
        .loop = &g.loop,
        .bind_address = "127.0.0.1",
        .port = port_number(g.port),
        .tls = { str_of(g.serving.cert_pem), str_of(g.serving.key_pem), str_of(g.ca.cert_pem) },
    };
    assert_int_equal(port_new_from(&p, &c, NULL, &e), ERR_EXISTS);
    c.tls.key = STR("no key");
    assert_int_equal(port_new_from(&p, &c, NULL, &e), ERR_INVALID);
    assert_null(p);
    rig_deinit(&g);
}

/* ---- logs ---- */

static void logs_are_found_and_refused_as_kubelet_does(void **state)
{
    static const struct {
        const char *path;
        const char *container_id, *previous_id, *reason;
        int status;
        const char *body;
    } rows[] = {
        { "/containerLogs/default/web/app", "c1", "", "", 200, "one\ntwo\n" },
        { "/containerLogs/default/web/app?tailLines=1", "c1", "", "", 200, "two\n" },
        { "/containerLogs/default/web/app?limitBytes=5", "c1", "", "", 200, "one\nt" },
        { "/containerLogs/default/web/app?timestamps=true&tailLines=1", "c1", "", "", 200,
          "2016-10-06T00:17:09.669794202Z two\n" },
        { "/containerLogs/default/web/app?sinceSeconds=60", "c1", "", "", 200, "" },
        { "/containerLogs/default/web/app?tailLines=x", "c1", "", "", 400,
          "tailLines: \"x\" is not a number\n" },
        { "/containerLogs/default/nix/app", "c1", "", "", 404, "pod \"nix\" does not exist\n" },
        { "/containerLogs/other/web/app", "c1", "", "", 404, "pod \"web\" does not exist\n" },
        { "/containerLogs/default/web/nix", "c1", "", "", 404,
          "container \"nix\" not found in pod \"web\"\n" },
        { "/containerLogs/default/web/app", "", "", "ContainerCreating", 400,
          "container \"app\" in pod \"web\" is waiting to start: ContainerCreating\n" },
        { "/containerLogs/default/web/app", "", "", "ErrImagePull", 400,
          "container \"app\" in pod \"web\" is waiting to start: image can't be pulled\n" },
        { "/containerLogs/default/web/app", "", "", "ImagePullBackOff", 400,
          "container \"app\" in pod \"web\" is waiting to start: trying and failing to pull "
          "image\n" },
        { "/containerLogs/default/web/app", "", "", "", 400,
          "container \"app\" in pod \"web\" is waiting to start - no logs yet\n" },
        { "/containerLogs/default/web/app?previous=true", "c1", "", "", 400,
          "previous terminated container \"app\" in pod \"web\" not found\n" },
        { "/containerLogs/default/web/app?previous=true", "c1", "c0", "", 400, NULL },
    };
    struct rig g;

    (void)state;
    rig_init(&g);
    rig_append(&g, HEAD "one\n" HEAD "two\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        g.pods.container.container_id = rows[i].container_id;
        g.pods.container.running = *rows[i].container_id;
        g.pods.container.previous_id = rows[i].previous_id;
        g.pods.container.previous_log_path = g.pods.previous_path;
        g.pods.waiting_reason = rows[i].reason;
        rig_fetch(&g, "GET", rows[i].path);
        assert_int_equal(g.status, rows[i].status);
        if (rows[i].body)
            assert_string_equal(buf_cstr(&g.body), rows[i].body);
        else /* the file has been removed */
            assert_non_null(strstr(buf_cstr(&g.body), "0.log: No such file or directory"));
    }
    rig_deinit(&g);
}

struct follower {
    struct http_call *call;
    int status;
    struct buf got;
    bool done, hold;
    struct err err;
    const char *want;
};

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    (void)c;
    (void)h;
    ((struct follower *)arg)->status = status;
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct follower *f = arg;

    assert_int_equal(buf_add(&f->got, p, n), 0);
    if (f->hold)
        http_call_pause(c);
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct follower *f = arg;

    (void)c;
    f->done = true;
    if (e)
        f->err = *e;
}

static const struct http_call_events follow_events = { .on_head = on_head,
                                                       .on_body = on_body,
                                                       .on_done = on_done };

static int is_answered(void *arg)
{
    return ((struct follower *)arg)->status;
}

static int has_some(void *arg)
{
    return ((struct follower *)arg)->got.n > 0;
}

static int has_want(void *arg)
{
    struct follower *f = arg;
    return f->got.n >= strlen(f->want);
}

static int is_over(void *arg)
{
    return ((struct follower *)arg)->done;
}

static void follow(struct client *c, struct follower *f, const char *target)
{
    struct http_call_config cfg = { .method = "GET", .target = target };

    *f = (struct follower){ .got = BUF(64u * 1024 * 1024) };
    http_call_start(&f->call, c->ep, &cfg, &follow_events, f);
}

static void a_follower_sees_lines_as_they_come_and_the_end(void **state)
{
    struct follower f;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    rig_append(&g, "");
    follow(&c, &f, "/containerLogs/default/web/app?follow=true");
    run_until(&g.loop, is_answered, &f); /* before there is anything to say */
    assert_int_equal(f.status, 200);
    rig_append(&g, HEAD "one\n");
    f.want = "one\n";
    run_until(&g.loop, has_want, &f);
    rig_append(&g, HEAD "two\n");
    f.want = "one\ntwo\n";
    run_until(&g.loop, has_want, &f);
    assert_false(f.done);
    g.pods.container.container_id = "c2"; /* it was started again: ours has ended */
    run_until(&g.loop, is_over, &f);
    assert_int_equal(f.err.code, 0);
    assert_string_equal(buf_cstr(&f.got), "one\ntwo\n");
    buf_deinit(&f.got);
    client_deinit(&c, &g);
    rig_deinit(&g);
}

static void a_slow_reader_gets_all_of_a_large_log(void **state)
{
    struct follower f;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    for (int i = 0; i < 200; i++) {
        auto_buf lines = BUF(128 * 1024);
        for (int k = 0; k < 400; k++)
            assert_int_equal(buf_addf(&lines, HEAD "%0199d\n", i * 400 + k), 0);
        rig_append(&g, buf_cstr(&lines));
    }
    client_init(&c, &g, &g.api_server, &g.ca);
    follow(&c, &f, "/containerLogs/default/web/app");
    f.hold = true;
    run_until(&g.loop, has_some, &f);
    for (int i = 0; i < 100; i++) {
        uv_run(&g.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_true(f.got.n < 8u * 1024 * 1024); /* of sixteen: sockets hold some */
    f.hold = false;
    http_call_resume(f.call);
    run_until(&g.loop, is_over, &f);
    assert_int_equal(f.err.code, 0);
    assert_int_equal(f.got.n, 200u * 400 * 200);
    for (size_t i = 0; i < 200u * 400; i += 997)
        assert_int_equal(atoi(f.got.p + i * 200), i);
    buf_deinit(&f.got);
    client_deinit(&c, &g);
    rig_deinit(&g);
}

static void followers_that_leave_and_a_port_that_closes_leak_nothing(void **state)
{
    struct follower a, b;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    rig_append(&g, HEAD "one\n");
    follow(&c, &a, "/containerLogs/default/web/app?follow=true");
    follow(&c, &b, "/containerLogs/default/web/app?follow=true");
    run_until(&g.loop, has_some, &a);
    run_until(&g.loop, has_some, &b);
    http_call_cancel(a.call);
    run_until(&g.loop, is_over, &a);
    port_close(g.port, NULL, NULL);
    g.port = NULL;
    g.port_closed = true;
    run_until(&g.loop, is_over, &b);
    assert_int_not_equal(b.err.code, 0);
    buf_deinit(&a.got);
    buf_deinit(&b.got);
    client_deinit(&c, &g);
    rig_deinit(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_api_server_comes_in),
        cmocka_unit_test(refusals_name_verb_and_subresource),
        cmocka_unit_test(reload_changes_both_certificate_and_trust),
        cmocka_unit_test(small_paths),
        cmocka_unit_test(pods_may_come_later_and_go_again),
        cmocka_unit_test(metrics_are_plausible),
        cmocka_unit_test(a_taken_port_and_bad_pem_fail_at_once),
        cmocka_unit_test(logs_are_found_and_refused_as_kubelet_does),
        cmocka_unit_test(a_follower_sees_lines_as_they_come_and_the_end),
        cmocka_unit_test(a_slow_reader_gets_all_of_a_large_log),
        cmocka_unit_test(followers_that_leave_and_a_port_that_closes_leak_nothing),
    };

    log_level_min = LOG_LVL_ERROR;
    return cmocka_run_group_tests_name("port", tests, NULL, NULL);
}
