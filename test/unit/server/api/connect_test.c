/* Logs, node proxies and upgraded sessions through the API server to a kubelet that we play. */
#include "test/unit/server/api/harness.h"

#include "base/core/mem.h"
#include "base/http/ws.h"
#include "base/io/tcp.h"

#include <stdio.h>

static struct harness h;
static struct http_server *kubelet;
static struct listener *listener;
static char last_target[512], last_dial[128], last_upgrade[128];
static bool node_is_gone;
static int refuse_with; /* the kubelet's status for logs; 0: fine */

/* ---- the kubelet ---- */

static void echo_data(void *arg, const char *p, size_t n)
{
    stream_write(arg, p, n);
}

static void echo_end(void *arg)
{
    stream_close_flushed(arg, 1000);
}

static void echo_error(void *arg, const struct err *e)
{
    (void)e;
    stream_close(arg);
}

static void echo_closed(void *arg)
{
    (void)arg;
}

static const struct stream_events echo_events = {
    .on_data = echo_data, .on_end = echo_end, .on_error = echo_error, .on_closed = echo_closed
};

static void on_kubelet_done(struct http_req *r, void *arg, const struct err *e)
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

static void on_kubelet(struct http_req *r, void *arg)
{
    static const struct http_req_events events = { .on_done = on_kubelet_done };
    struct str target = http_req_target(r);

    (void)arg;
    snprintf(last_target, sizeof last_target, STR_FMT, STR_ARG(target));
    /* what the API server's caller showed is not for kubelets */
    assert_null(http_headers_get(http_req_headers(r), "authorization").p);
    struct str ws = http_headers_get(http_req_headers(r), "sec-websocket-protocol");
    struct str spdy = http_headers_get(http_req_headers(r), "x-stream-protocol-version");
    struct str form = http_headers_get(http_req_headers(r), "upgrade");
    snprintf(last_upgrade, sizeof last_upgrade, STR_FMT " " STR_FMT, STR_ARG(form),
             STR_ARG(ws.n ? ws : spdy));
    http_req_accept(r, &events, NULL);
    if (http_headers_has_token(http_req_headers(r), "connection", "upgrade")) {
        struct http_header up[] = { { STR("Connection"), STR("Upgrade") },
                                    { STR("Upgrade"),
                                      http_headers_get(http_req_headers(r), "upgrade") } };
        auto_buf left = BUF(4096);
        struct stream *s;
        struct err e = { 0 };

        assert_int_equal(http_upgrade(r, 101, up, 2, &s, &left, &e), 0);
        stream_handover(s, &echo_events, s, buf_str(&left));
        stream_write(s, "hello ", 6);
    } else if (str_is(http_req_path(r), "/echo")) {
        http_req_read_body(r, 1024 * 1024, on_body);
    } else if (refuse_with && str_starts(http_req_path(r), STR("/containerLogs/"))) {
        http_reply(r, refuse_with, "text/plain; charset=utf-8",
                   STR("container \"c\" is waiting to start: ContainerCreating\n"), NULL, 0);
    } else if (str_starts(http_req_path(r), STR("/containerLogs/"))) {
        struct http_header type = { STR("Content-Type"), STR("text/plain") };

        http_reply_start(r, 200, &type, 1, -1);
        http_reply_write(r, "line 1\n", 7);
        http_reply_write(r, "line 2\n", 7);
        http_reply_end(r);
    } else {
        http_reply(r, 200, "text/plain", STR("ok"), NULL, 0);
    }
}

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    http_server_serve(kubelet, s);
}

struct dialing {
    http_dialed_fn done;
    void *arg;
    uv_idle_t idle;
};

static void on_idle_closed(uv_handle_t *idle)
{
    free(idle->data);
}

static void on_dial_fails(uv_idle_t *idle)
{
    struct dialing *d = idle->data;
    struct err e = { 0 };

    uv_close((uv_handle_t *)idle, on_idle_closed);
    err_set(&e, ERR_NOT_FOUND, "no tunnel session");
    d->done(d->arg, NULL, &e);
}

static void dial(void *arg, const char *node, const char *host_port, uint64_t timeout_ms,
                 http_dialed_fn done, void *done_arg)
{
    struct tcp_dial *d;

    (void)arg;
    snprintf(last_dial, sizeof last_dial, "%s %s", node, host_port);
    if (node_is_gone) {
        struct dialing *f = mem_alloc(sizeof *f);

        f->done = done;
        f->arg = done_arg;
        uv_idle_init(&h.loop, &f->idle);
        f->idle.data = f;
        uv_idle_start(&f->idle, on_dial_fails);
        return;
    }
    tcp_dial(&d, &h.loop, "127.0.0.1", listener_port(listener), timeout_ms, done, done_arg);
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static int setup(void **state)
{
    static const char pod[] = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"containers\":[{"
                              "\"name\":\"c\",\"image\":\"i\"}"
                              "%s]}}";
    struct api_egress egress = { .dial = dial };
    struct http_server_config hc = { .on_request = on_kubelet };
    struct err e = { 0 };

    (void)state;
    harness_open(&h, &egress);
    http_server_new(&kubelet, &h.loop, &hc);
    assert_int_equal(tcp_listen(&listener, &h.loop, "127.0.0.1", 0, on_accept, NULL, &e), 0);
    struct answer a = ask(&h, "POST", "/api/v1/nodes",
                          "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"daemonEndpoints\":{"
                          "\"kubeletEndpoint\":{\"Port\":10255}}}}");
    assert_int_equal(a.code, 201);
    answer_deinit(&a);
    static const char *const pods[][3] = {
        { "web", "\"nodeName\":\"n1\",", "" },
        { "two", "\"nodeName\":\"n1\",", ",{\"name\":\"d\",\"image\":\"i\"}" },
        { "free", "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
        char body[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(body, sizeof body, pod, pods[i][0], pods[i][1], pods[i][2]);
#pragma GCC diagnostic pop
        a = ask(&h, "POST", "/api/v1/namespaces/default/pods", body);
        assert_int_equal(a.code, 201);
        answer_deinit(&a);
    }
    return 0;
}

static int teardown(void **state)
{
    bool done = false;

    (void)state;
    listener_close(listener, NULL, NULL);
    http_server_close(kubelet, raise_flag, &done);
    harness_wait(&h, &done);
    harness_close(&h);
    return 0;
}

#define PODS "/api/v1/namespaces/default/pods/"

static void requests_reach_the_right_path(void **state)
{
    static const struct {
        const char *method, *target, *body, *kubelet;
        int code;
        const char *text;
    } rows[] = {
        { "GET", "/api/v1/nodes/n1/proxy/healthz", NULL, "/healthz", 200, "ok" },
        { "GET", "/api/v1/nodes/n1/proxy/", NULL, "/", 200, "ok" },
        { "GET", "/api/v1/nodes/n1/proxy/a%2Fb?x=1&y=%20", NULL, "/a%2Fb?x=1&y=%20", 200, "ok" },
        { "POST", "/api/v1/nodes/n1/proxy/echo", "abc", "/echo", 200, "abc" },
        { "GET", PODS "web/log", NULL, "/containerLogs/default/web/c", 200, "line 1\nline 2\n" },
        { "GET", PODS "two/log?container=d&follow=true&tailLines=3", NULL,
          "/containerLogs/default/two/d?follow=true&tailLines=3", 200, "line 1\nline 2\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        last_target[0] = '\0';
        auto_answer a = ask(&h, rows[i].method, rows[i].target, rows[i].body);

        if (a.code != rows[i].code || strcmp(buf_cstr(&a.body), rows[i].text) != 0)
            fail_msg("%s: %d %s", rows[i].target, a.code, buf_cstr(&a.body));
        assert_string_equal(last_target, rows[i].kubelet);
    }
    assert_string_equal(last_dial, "n1 127.0.0.1:10255"); /* the port that the node told */
}

static void what_cannot_be_reached_is_explained(void **state)
{
    static const struct {
        const char *target;
        int code;
        const char *message;
    } rows[] = {
        { PODS "none/log", 404, "pods \"none\" not found" },
        { PODS "free/log", 400, "pod free does not have a host assigned" },
        { PODS "two/log", 400,
          "a container name must be specified for pod two, choose one of: [c d]" },
        { PODS "web/log?container=x", 400, "container x is not valid for pod web" },
        { PODS "web/log?tailLines=-1", 422,
          "PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater than or "
          "equal to 0" },
        { PODS "web/log?limitBytes=0", 422,
          "PodLogOptions \"web\" is invalid: limitBytes: Invalid value: 0: must be greater than "
          "0" },
        { PODS "web/log?sinceSeconds=0", 422,
          "PodLogOptions \"web\" is invalid: sinceSeconds: Invalid value: 0: must be greater than "
          "0" },
        { PODS "web/log?sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", 422, NULL },
        { PODS "web/exec?command=sh", 400, "Upgrade request required" },
        { PODS "web/attach", 400, "Upgrade request required" },
        { PODS "web/portforward?ports=80", 400, "Upgrade request required" },
        { "/api/v1/nodes/none/proxy/healthz", 404, "nodes \"none\" not found" },
        { PODS "web/proxy/", 400, "address not allowed" }, /* it has none yet */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_answer a = ask(&h, "GET", rows[i].target, NULL);

        if (a.code != rows[i].code)
            fail_msg("%s: %d %s", rows[i].target, a.code, buf_cstr(&a.body));
        if (rows[i].message)
            assert_string_equal(json_str_at(a.doc, "message", ""), rows[i].message);
    }
}

static void a_log_that_the_kubelet_refuses_becomes_a_status(void **state)
{
    static const struct {
        int with, code;
        const char *reason, *message;
    } rows[] = {
        { 400, 400, "BadRequest", "container \"c\" is waiting to start: ContainerCreating" },
        { 404, 404, "NotFound", "container \"c\" is waiting to start: ContainerCreating" },
        { 503, 503, "ServiceUnavailable",
          "container \"c\" is waiting to start: ContainerCreating" },
        { 500, 500, "InternalError",
          "Internal error occurred: container \"c\" is waiting to start: ContainerCreating" },
        { 403, 502, "InternalError",
          "node \"n1\" refused the API server: container \"c\" is waiting to start: "
          "ContainerCreating" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        refuse_with = rows[i].with;
        auto_answer a = ask(&h, "GET", PODS "web/log", NULL);

        assert_int_equal(a.code, rows[i].code);
        assert_string_equal(json_str_at(a.doc, "reason", ""), rows[i].reason);
        assert_string_equal(json_str_at(a.doc, "message", ""), rows[i].message);
    }
    refuse_with = 0;
}

static void a_node_without_tunnel_is_a_bad_gateway(void **state)
{
    (void)state;
    node_is_gone = true;
    auto_answer a = ask(&h, "GET", "/api/v1/nodes/n1:10999/proxy/healthz", NULL);
    node_is_gone = false;
    assert_int_equal(a.code, 502);
    assert_non_null(strstr(json_str_at(a.doc, "message", ""), "no tunnel session"));
    assert_string_equal(last_dial, "n1 127.0.0.1:10999");
}

/* ---- a session ---- */

struct session {
    struct http_call *call;
    struct stream *s;
    struct ws *ws;
    struct buf got;
    int code;
    char protocol[64];
    bool head, enough, closed, done;
};

static void on_session_data(void *arg, const char *p, size_t n)
{
    struct session *x = arg;

    assert_int_equal(buf_add(&x->got, p, n), 0);
    x->enough = str_eq(buf_str(&x->got), STR("hello ping"));
}

static void on_session_end(void *arg)
{
    struct session *x = arg;

    stream_close(x->s);
}

static void on_session_error(void *arg, const struct err *e)
{
    struct session *x = arg;

    (void)e;
    stream_close(x->s);
}

static void on_session_closed(void *arg)
{
    ((struct session *)arg)->closed = true;
}

static void on_session_head(struct http_call *c, void *arg, int status,
                            const struct http_headers *hd)
{
    static const struct stream_events events = { .on_data = on_session_data,
                                                 .on_end = on_session_end,
                                                 .on_error = on_session_error,
                                                 .on_closed = on_session_closed };
    struct session *x = arg;
    auto_buf left = BUF(4096);

    x->code = status;
    snprintf(x->protocol, sizeof x->protocol, STR_FMT,
             STR_ARG(http_headers_get(hd, "sec-websocket-protocol")));
    if (status == 101) {
        assert_true(str_is(http_headers_get(hd, "upgrade"), "SPDY/3.1") ||
                    str_is(http_headers_get(hd, "upgrade"), "websocket"));
        x->s = http_call_take_stream(c, &left);
        stream_handover(x->s, &events, x, buf_str(&left));
    }
    x->head = true;
}

static void on_session_done(struct http_call *c, void *arg, const struct err *e)
{
    struct session *x = arg;

    (void)c;
    (void)e;
    x->done = true;
}

static void websockets_that_no_kubelet_speaks_do_not_reach_it(void **state)
{
    static const struct http_call_events events = { .on_head = on_session_head,
                                                    .on_done = on_session_done };
    static const struct {
        const char *target, *protocols;
        int code;
    } rows[] = {
        /* only v5 can say that the input has ended */
        { PODS "web/exec?command=sh&stdin=1&stdout=1", "v5.channel.k8s.io", 400 },
        { PODS "web/exec?command=sh&stdin=1&stdout=1&tty=1", "v5.channel.k8s.io", 0 },
        { PODS "web/exec?command=sh&stdout=1", "v5.channel.k8s.io", 0 },
        { PODS "web/portforward", "v5.channel.k8s.io", 400 },
        { PODS "web/portforward", "SPDY/3.1+portforward.k8s.io", 400 }, /* without a key */
        { PODS "web/exec?command=sh&stdout=1", "v5.channel.k8s.io, v4.channel.k8s.io", 0 },
        { "/api/v1/nodes/n1/proxy/ws", "chat", 0 }, /* whatever is behind it */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_header headers[] = {
            { STR("Authorization"), STR("Bearer admin+system:masters") },
            { STR("Connection"), STR("Upgrade") },
            { STR("Upgrade"), STR("websocket") },
            { STR("Sec-WebSocket-Protocol"), str_of(rows[i].protocols) }
        };
        struct http_call_config c = { .method = "GET",
                                      .target = rows[i].target,
                                      .headers = headers,
                                      .n_headers = 4,
                                      .upgrade = true };
        struct session x = { .got = BUF(4096) };

        last_target[0] = '\0';
        http_call_start(&x.call, h.client, &c, &events, &x);
        harness_wait(&h, &x.head);
        assert_int_equal(x.code, rows[i].code ? rows[i].code : 101);
        assert_int_equal(last_target[0] != '\0', rows[i].code == 0);
        if (x.s) {
            stream_shutdown(x.s);
            harness_wait(&h, &x.closed);
        }
        harness_wait(&h, &x.done);
        buf_deinit(&x.got);
    }
}

static void sessions_of_v5_are_of_v4_for_the_kubelet(void **state)
{
    static const struct http_call_events events = { .on_head = on_session_head,
                                                    .on_done = on_session_done };
    struct http_header headers[] = { { STR("Authorization"), STR("Bearer admin+system:masters") },
                                     { STR("Connection"), STR("Upgrade") },
                                     { STR("Upgrade"), STR("websocket") },
                                     { STR("Sec-WebSocket-Protocol"), STR("v5.channel.k8s.io") } };
    struct http_call_config c = { .method = "GET",
                                  .target = PODS "web/exec?command=sh&stdout=1",
                                  .headers = headers,
                                  .n_headers = 4,
                                  .upgrade = true };
    struct session x = { .got = BUF(4096) };

    (void)state;
    http_call_start(&x.call, h.client, &c, &events, &x);
    harness_wait(&h, &x.head);
    assert_int_equal(x.code, 101);
    assert_string_equal(last_upgrade, "websocket v4.channel.k8s.io");
    assert_string_equal(x.protocol, "v5.channel.k8s.io");
    stream_shutdown(x.s);
    harness_wait(&h, &x.closed);
    harness_wait(&h, &x.done);
    buf_deinit(&x.got);
}

/* ---- a tunnel: raw bytes in a websocket ---- */

static void on_tunnel_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    struct session *x = arg;

    (void)text;
    (void)first;
    (void)last;
    on_session_data(x, p, n);
}

static void on_tunnel_close(void *arg, int code, struct str reason)
{
    (void)arg;
    (void)code;
    (void)reason;
}

static void on_tunnel_bytes(void *arg, const char *p, size_t n)
{
    struct session *x = arg;
    struct err e;

    assert_int_equal(ws_feed(x->ws, p, n, &e), 0);
}

static void on_tunnel_head(struct http_call *c, void *arg, int status,
                           const struct http_headers *hd)
{
    static const struct stream_events events = { .on_data = on_tunnel_bytes,
                                                 .on_end = on_session_end,
                                                 .on_error = on_session_error,
                                                 .on_closed = on_session_closed };
    struct session *x = arg;
    auto_buf left = BUF(4096);

    x->code = status;
    snprintf(x->protocol, sizeof x->protocol, STR_FMT,
             STR_ARG(http_headers_get(hd, "sec-websocket-protocol")));
    if (status == 101) {
        x->s = http_call_take_stream(c, &left);
        stream_handover(x->s, &events, x, buf_str(&left));
    }
    x->head = true;
}

static void send_pulled(struct session *x)
{
    auto_buf out = BUF(64 * 1024);
    struct err e;

    assert_int_equal(ws_pull(x->ws, &out, 4096, &e), 0);
    stream_write(x->s, out.p, out.n);
}

static void a_forward_in_a_websocket_is_spdy_for_the_kubelet(void **state)
{
    static const struct http_call_events events = { .on_head = on_tunnel_head,
                                                    .on_done = on_session_done };
    static const struct ws_events messages = { .on_message = on_tunnel_message,
                                               .on_close = on_tunnel_close };
    struct http_header headers[] = {
        { STR("Authorization"), STR("Bearer admin+system:masters") },
        { STR("Connection"), STR("Upgrade") },
        { STR("Upgrade"), STR("websocket") },
        { STR("Sec-WebSocket-Version"), STR("13") },
        { STR("Sec-WebSocket-Key"), STR("dGhlIHNhbXBsZSBub25jZQ==") },
        { STR("Sec-WebSocket-Protocol"), STR("SPDY/3.1+portforward.k8s.io") },
    };
    struct http_call_config c = { .method = "GET",
                                  .target = PODS "web/portforward?ports=80",
                                  .headers = headers,
                                  .n_headers = ARRAY_LEN(headers),
                                  .upgrade = true };
    struct session x = { .got = BUF(4096) };
    struct ws_config wc = {
        .role = WS_CLIENT, .message_max_bytes = 4096, .events = &messages, .arg = &x
    };

    (void)state;
    x.ws = ws_new(&wc);
    http_call_start(&x.call, h.client, &c, &events, &x);
    harness_wait(&h, &x.head);
    assert_int_equal(x.code, 101);
    assert_string_equal(x.protocol, "SPDY/3.1+portforward.k8s.io");
    assert_string_equal(last_target, "/portForward/default/web?port=80");
    assert_string_equal(last_upgrade, "SPDY/3.1 portforward.k8s.io");
    ws_send(x.ws, false, "pi", 2); /* the borders of messages mean nothing */
    ws_send(x.ws, false, "ng", 2);
    send_pulled(&x);
    harness_wait(&h, &x.enough);
    ws_close(x.ws, WS_NORMAL, "");
    send_pulled(&x);
    harness_wait(&h, &x.closed);
    harness_wait(&h, &x.done);
    ws_free(x.ws);
    buf_deinit(&x.got);
}

static void upgrades_pass_raw_bytes(void **state)
{
    static const struct http_call_events events = { .on_head = on_session_head,
                                                    .on_done = on_session_done };
    static const char *const rows[][2] = {
        { PODS "web/exec?command=sh&stdout=1", "/exec/default/web/c?command=sh&output=1" },
        { PODS "web/exec?command=sh&command=-c&command=a%20b&stdin=true&stdout=true&tty=false",
          "/exec/default/web/c?command=sh&command=-c&command=a%20b&input=1&output=1" },
        { PODS "web/attach?stderr=1", "/attach/default/web/c?error=1" },
        { PODS "web/portforward?ports=80", "/portForward/default/web?port=80" },
    };
    struct http_header headers[] = { { STR("Authorization"), STR("Bearer admin+system:masters") },
                                     { STR("Connection"), STR("Upgrade") },
                                     { STR("Upgrade"), STR("SPDY/3.1") },
                                     { STR("X-Stream-Protocol-Version"),
                                       STR("v4.channel.k8s.io") } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_call_config c = { .method = "POST",
                                      .target = rows[i][0],
                                      .headers = headers,
                                      .n_headers = 4,
                                      .upgrade = true };
        struct session x = { .got = BUF(4096) };

        http_call_start(&x.call, h.client, &c, &events, &x);
        harness_wait(&h, &x.head);
        assert_int_equal(x.code, 101);
        assert_string_equal(last_target, rows[i][1]);
        stream_write(x.s, "ping", 4);
        harness_wait(&h, &x.enough);
        stream_shutdown(x.s);
        harness_wait(&h, &x.closed);
        harness_wait(&h, &x.done);
        buf_deinit(&x.got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_reach_the_right_path),
        cmocka_unit_test(what_cannot_be_reached_is_explained),
        cmocka_unit_test(a_log_that_the_kubelet_refuses_becomes_a_status),
        cmocka_unit_test(a_node_without_tunnel_is_a_bad_gateway),
        cmocka_unit_test(upgrades_pass_raw_bytes),
        cmocka_unit_test(sessions_of_v5_are_of_v4_for_the_kubelet),
        cmocka_unit_test(a_forward_in_a_websocket_is_spdy_for_the_kubelet),
        cmocka_unit_test(websockets_that_no_kubelet_speaks_do_not_reach_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
