/* pods/proxy and services/proxy to a backend that we play: whom they choose, and what they change.
 */
#include "test/unit/server/api/harness.h"

#include "base/core/mem.h"
#include "base/io/tcp.h"

#include <stdio.h>

static struct harness h;
static struct http_server *backend;
static struct listener *listener;
static char last_target[512], last_address[128], last_header[256], location[256];
static const char *header_name = "";
static bool nobody_listens;

static void on_done(struct http_req *r, void *arg, const struct err *e)
{
    (void)r;
    (void)arg;
    (void)e;
}

static void on_body(struct http_req *r, void *arg, struct str body)
{
    (void)arg;
    http_reply(r, 200, "text/plain", body, NULL, 0);
}

static void on_backend(struct http_req *r, void *arg)
{
    static const struct http_req_events events = { .on_done = on_done };
    struct http_header to[] = { { STR("Location"), str_of(location) },
                                { STR("Access-Control-Allow-Origin"), STR("*") },
                                { STR("X-Own"), STR("yes") } };
    struct str header = http_headers_get(http_req_headers(r), header_name);

    (void)arg;
    snprintf(last_target, sizeof last_target, STR_FMT, STR_ARG(http_req_target(r)));
    snprintf(last_header, sizeof last_header, STR_FMT, STR_ARG(header));
    http_req_accept(r, &events, NULL);
    if (*location)
        http_reply(r, 302, "text/plain", STR("moved"), to, 3);
    else if (str_is(http_req_method(r), "POST"))
        http_req_read_body(r, 1024, on_body);
    else
        http_reply(r, 200, "text/plain", STR("backend"), to + 1, 2);
}

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    http_server_serve(backend, s);
}

static void dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg)
{
    struct tcp_dial *d;

    (void)arg;
    snprintf(last_address, sizeof last_address, "%s %s", node, host_port);
    tcp_dial(&d, &h.loop, "127.0.0.1", listener_port(listener), timeout_ms, done, done_arg);
}

static void dial_address(void *arg, const char *host_port, uint64_t timeout_ms, http_dialed_fn done,
                         void *done_arg)
{
    struct tcp_dial *d;

    (void)arg;
    snprintf(last_address, sizeof last_address, "%s", host_port);
    tcp_dial(&d, &h.loop, "127.0.0.1", nobody_listens ? 1 : listener_port(listener), timeout_ms,
             done, done_arg);
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

#define NS "/api/v1/namespaces/default/"

static void must(const char *method, const char *target, const char *body)
{
    auto_answer a = ask(&h, method, target, body);

    if (a.code >= 300)
        fail_msg("%s %s: %d %s", method, target, a.code, buf_cstr(&a.body));
}

static void make_pod(const char *name, const char *ip, const char *ports)
{
    auto_free char *body = mem_printf(
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":"
        "\"a\",\"image\":\"i\"},{\"name\":\"b\",\"image\":\"i\",\"ports\":[%s]}]}}",
        name, ports);
    auto_free char *target = mem_printf(NS "pods/%s/status", name);
    auto_free char *status =
        mem_printf("{\"status\":{\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}]}}", ip, ip);

    must("POST", NS "pods", body);
    must("PATCH", target, status);
}

static int setup(void **state)
{
    struct api_egress egress = { .dial = dial, .dial_address = dial_address };
    struct http_server_config hc = { .on_request = on_backend };
    struct err e = { 0 };

    (void)state;
    harness_open(&h, &egress);
    http_server_new(&backend, &h.loop, &hc);
    assert_int_equal(tcp_listen(&listener, &h.loop, "127.0.0.1", 0, on_accept, NULL, &e), 0);
    must("POST", "/api/v1/nodes", "{\"metadata\":{\"name\":\"n1\"}}");
    make_pod("web", "10.42.0.5", "{\"containerPort\":8080}");
    make_pod("bare", "10.42.0.6", "");
    make_pod("local", "127.0.0.1", "{\"containerPort\":80}");
    must("POST", NS "services",
         "{\"metadata\":{\"name\":\"svc\"},\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80},{"
         "\"name\":\"admin\",\"port\":81}]}}");
    must("POST", NS "endpoints",
         "{\"metadata\":{\"name\":\"svc\"},\"subsets\":[{\"addresses\":["
         "{\"ip\":\"192.0.2.1\"},"
         "{\"ip\":\"192.0.2.2\",\"targetRef\":{\"kind\":\"Pod\",\"name\":\"web\"}},"
         "{\"ip\":\"192.0.2.3\",\"targetRef\":{\"kind\":\"Pod\",\"name\":\"gone\"}},"
         "{\"ip\":\"10.42.0.5\",\"targetRef\":{\"kind\":\"Pod\",\"name\":\"web\"}}],"
         "\"ports\":[{\"name\":\"http\",\"port\":8080},{\"name\":\"admin\",\"port\":9090}]}]}");
    must("POST", NS "services",
         "{\"metadata\":{\"name\":\"sliced\"},\"spec\":{\"ports\":[{\"port\":80}]}}");
    must("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
         "{\"metadata\":{\"name\":\"sliced-1\",\"labels\":{\"kubernetes.io/"
         "service-name\":\"sliced\"}"
         "},\"addressType\":\"IPv4\",\"ports\":[{\"port\":7070}],\"endpoints\":[{\"addresses\":["
         "\"10.42.0.5\"],\"conditions\":{\"ready\":false},\"targetRef\":{\"kind\":\"Pod\",\"name\":"
         "\"web\"}},{\"addresses\":[\"10.42.0.6\"],\"targetRef\":{\"kind\":\"Pod\",\"name\":"
         "\"bare\"}}]}");
    must("POST", NS "services",
         "{\"metadata\":{\"name\":\"empty\"},\"spec\":{\"ports\":[{\"port\":"
         "80}]}}");
    return 0;
}

static int teardown(void **state)
{
    bool done = false;

    (void)state;
    listener_close(listener, NULL, NULL);
    http_server_close(backend, raise_flag, &done);
    harness_wait(&h, &done);
    harness_close(&h);
    return 0;
}

static void requests_reach_the_right_pod_and_path(void **state)
{
    static const struct {
        const char *method, *target, *address, *path;
    } rows[] = {
        { "GET", NS "pods/web/proxy/", "10.42.0.5:8080", "/" }, /* its first port */
        { "GET", NS "pods/web/proxy/a%2Fb/?x=1", "10.42.0.5:8080", "/a%2Fb/?x=1" },
        { "GET", NS "pods/web:99/proxy/x", "10.42.0.5:99", "/x" },
        { "GET", NS "pods/http:web:99/proxy/x", "10.42.0.5:99", "/x" },
        { "GET", NS "pods/bare/proxy/x", "10.42.0.6:80", "/x" },
        { "POST", NS "pods/web/proxy/echo", "10.42.0.5:8080", "/echo" },
        { "POST", NS "pods/web/proxy", "10.42.0.5:8080", "/" },
        { "GET", NS "services/svc:http/proxy/x", "10.42.0.5:8080", "/x" },
        { "GET", NS "services/svc:81/proxy/x", "10.42.0.5:9090", "/x" },
        { "GET", NS "services/http:svc:admin/proxy/x", "10.42.0.5:9090", "/x" },
        { "GET", NS "services/sliced/proxy/x", "10.42.0.6:7070", "/x" },
        { "DELETE", NS "services/sliced:80/proxy/x?y", "10.42.0.6:7070", "/x?y" },
        { "GET", "/api/v1/nodes/n1:8123/proxy/x", "n1 127.0.0.1:8123", "/x" },
        { "GET", "/api/v1/nodes/http:n1:8124/proxy/x", "n1 127.0.0.1:8124", "/x" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        last_target[0] = last_address[0] = '\0';
        auto_answer a = ask(&h, rows[i].method, rows[i].target,
                            strcmp(rows[i].method, "POST") == 0 ? "backend" : NULL);

        if (a.code != 200 || strcmp(buf_cstr(&a.body), "backend") != 0)
            fail_msg("%s: %d %s", rows[i].target, a.code, buf_cstr(&a.body));
        if (strcmp(last_address, rows[i].address) != 0 || strcmp(last_target, rows[i].path) != 0)
            fail_msg("%s went to %s %s", rows[i].target, last_address, last_target);
    }
}

static void what_cannot_be_reached_is_explained_as_upstream(void **state)
{
    static const struct {
        const char *target;
        int code;
        const char *message;
    } rows[] = {
        { NS "pods/none/proxy/", 404, "pods \"none\" not found" },
        { NS "pods/a:b:c:d/proxy/", 400, "invalid pod request \"a:b:c:d\"" },
        { NS "pods/ftp:web:1/proxy/", 400, "invalid pod request \"ftp:web:1\"" },
        { NS "pods/:80/proxy/", 400, "invalid pod request \":80\"" },
        { NS "pods/web:70000/proxy/", 400, "invalid pod request \"web:70000\"" },
        { NS "pods/local/proxy/", 400, "address not allowed" },
        { NS "services/none:80/proxy/", 404, "services \"none\" not found" },
        { NS "services/svc:82/proxy/", 503, "no service port 82 found for service \"svc\"" },
        { NS "services/svc:other/proxy/", 503, "no endpoints available for service \"svc:other\"" },
        { NS "services/svc/proxy/", 503, "no endpoints available for service \"svc\"" },
        { NS "services/empty:80/proxy/", 503, "no endpoints available for service \"empty:80\"" },
        { NS "services/x:y:z/proxy/", 400, "invalid service request \"x:y:z\"" },
        { "/api/v1/nodes/n1:x/proxy/", 400, "invalid node request \"n1:x\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, "GET", rows[i].target, NULL);

        if (a.code != rows[i].code ||
            strcmp(json_str_at(a.doc, "message", ""), rows[i].message) != 0)
            fail_msg("%s: %d %s", rows[i].target, a.code, buf_cstr(&a.body));
    }
    nobody_listens = true;
    auto_answer a = ask(&h, "GET", NS "pods/web/proxy/", NULL);
    nobody_listens = false;
    assert_int_equal(a.code, 503);
    assert_string_equal(json_str_at(a.doc, "reason", ""), "ServiceUnavailable");
    assert_true(str_starts(str_of(json_str_at(a.doc, "message", "")),
                           STR("error trying to reach service: ")));
    auto_answer tls = ask(&h, "GET", NS "pods/https:web:8443/proxy/", NULL); /* it speaks none */
    assert_int_equal(tls.code, 503);
    assert_non_null(strstr(json_str_at(tls.doc, "message", ""), "TLS"));
}

/* ---- headers ---- */

struct head {
    int code;
    char location[256], origin[64], own[64];
    bool done;
};

static void on_head(void *arg, int status, const struct http_headers *hd, struct str body,
                    const struct err *e)
{
    struct head *x = arg;

    (void)body;
    assert_null(e);
    x->code = status;
    snprintf(x->location, sizeof x->location, STR_FMT, STR_ARG(http_headers_get(hd, "location")));
    snprintf(x->origin, sizeof x->origin, STR_FMT,
             STR_ARG(http_headers_get(hd, "access-control-allow-origin")));
    snprintf(x->own, sizeof x->own, STR_FMT, STR_ARG(http_headers_get(hd, "x-own")));
    x->done = true;
}

static struct head head_of(const char *target)
{
    struct http_header headers[] = { { STR("Authorization"), STR("Bearer admin+system:masters") },
                                     { STR("Cookie"), STR("a=b") } };
    struct http_call_config c = {
        .method = "GET", .target = target, .headers = headers, .n_headers = 2, .timeout_ms = 20000
    };
    struct head x = { 0 };

    http_fetch(h.client, &c, 4096, on_head, &x);
    harness_wait(&h, &x.done);
    return x;
}

static void a_path_without_its_slash_is_redirected(void **state)
{
    static const char *const targets[][2] = {
        { NS "pods/web/proxy", NS "pods/web/proxy/" },
        { NS "services/svc:http/proxy?x=1", NS "services/svc:http/proxy/?x=1" },
        { "/api/v1/nodes/n1/proxy", "/api/v1/nodes/n1/proxy/" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct head x = head_of(targets[i][0]);

        assert_int_equal(x.code, 301);
        assert_string_equal(x.location, targets[i][1]);
    }
}

static void locations_are_of_the_proxy(void **state)
{
    static const char prefix[] = NS "pods/web/proxy";
    static const struct {
        const char *from;
        const char *to; /* '^' stands for the prefix */
    } rows[] = {
        { "/login", "^/login" },
        { "/a/?x=/b", "^/a/?x=/b" },
        { "next", "next" },
        { "../up", "../up" },
        { "http://10.42.0.5:8080/x", "^/x" },
        { "https://10.42.0.5:8080", "^/" },
        { "http://elsewhere.example/x", "http://elsewhere.example/x" },
        { "//elsewhere.example/x", "//elsewhere.example/x" },
        { "/api/v1/namespaces/default/pods/web/proxy/y", "^/y" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool ours = rows[i].to[0] == '^';
        auto_free char *want = mem_printf("%s%s", ours ? prefix : "", rows[i].to + ours);

        snprintf(location, sizeof location, "%s", rows[i].from);
        struct head x = head_of(NS "pods/web/proxy/start");
        location[0] = '\0';
        assert_int_equal(x.code, 302);
        if (strcmp(x.location, want) != 0)
            fail_msg("%s became %s", rows[i].from, x.location);
    }
}

static void headers_are_of_whom_they_concern(void **state)
{
    static const struct {
        const char *name, *want;
    } rows[] = {
        { "authorization", "" },
        { "cookie", "a=b" },
        { "x-forwarded-uri", "/api/v1/namespaces/default/pods/web/proxy/x" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        header_name = rows[i].name;
        struct head x = head_of(NS "pods/web/proxy/x");
        assert_string_equal(last_header, rows[i].want);
        assert_string_equal(x.origin, ""); /* it shares our origin: not its to open */
        assert_string_equal(x.own, "yes");
    }
    header_name = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_reach_the_right_pod_and_path),
        cmocka_unit_test(what_cannot_be_reached_is_explained_as_upstream),
        cmocka_unit_test(a_path_without_its_slash_is_redirected),
        cmocka_unit_test(locations_are_of_the_proxy),
        cmocka_unit_test(headers_are_of_whom_they_concern),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
