/* Exec, attach and port-forward through the port to a runtime's streaming server that we play. */
#include "test/unit/agent/stream/rig.h"

#include "base/core/log.h"
#include "base/io/tcp.h"
#include "test/unit/base/io/io_end.h"

#include <stdio.h>

/* ---- the streaming server: agrees to every upgrade, greets, and echoes ---- */

static struct http_server *streaming;
static struct listener *listener;
static char seen[2048]; /* the last request: method, target and headers */
static int refuse_with; /* a status; 0: agree */
static struct end remote;

static void on_streaming_done(struct http_req *r, void *arg, const struct err *e)
{
    (void)r;
    (void)arg;
    (void)e;
}

static void on_streaming(struct http_req *r, void *arg)
{
    static const struct http_req_events events = { .on_done = on_streaming_done };
    const struct http_headers *h = http_req_headers(r);
    auto_buf text = BUF(sizeof seen - 1), left = BUF(64 * 1024);
    struct http_header up[4] = { { STR("Connection"), STR("Upgrade") },
                                 { STR("Upgrade"), http_headers_get(h, "upgrade") },
                                 { STR("X-Stream-Protocol-Version"), STR("v4.channel.k8s.io") } };
    size_t n = 3;
    struct stream *s;
    struct err e = { 0 };

    (void)arg;
    assert_int_equal(buf_addf(&text, STR_FMT " " STR_FMT "\n", STR_ARG(http_req_method(r)),
                              STR_ARG(http_req_target(r))),
                     0);
    for (size_t i = 0; i < h->n; i++)
        assert_int_equal(buf_addf(&text, STR_FMT ": " STR_FMT "\n", STR_ARG(h->v[i].name),
                                  STR_ARG(h->v[i].value)),
                         0);
    snprintf(seen, sizeof seen, "%s", buf_cstr(&text));
    http_req_accept(r, &events, NULL);
    if (refuse_with) {
        http_reply(r, refuse_with, "text/plain", STR("cannot find container\n"), NULL, 0);
        return;
    }
    if (http_headers_get(h, "sec-websocket-protocol").n)
        up[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), STR("v4.channel.k8s.io") };
    assert_int_equal(http_upgrade(r, 101, up, n, &s, &left, &e), 0);
    memset(&remote, 0, sizeof remote);
    remote.echo = true;
    end_adopt(&remote, s);
    stream_handover(s, &end_events, &remote, buf_str(&left));
    stream_write(s, "hello ", 6);
}

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    http_server_serve(streaming, s);
}

static void stream_server_init(struct rig *g)
{
    struct http_server_config c = { .on_request = on_streaming };
    struct err e;

    memset(&remote, 0, sizeof remote);
    refuse_with = 0;
    seen[0] = '\0';
    http_server_new(&streaming, &g->loop, &c);
    assert_int_equal(tcp_listen(&listener, &g->loop, "127.0.0.1", 0, on_accept, NULL, &e), 0);
    snprintf(g->runtime.url, sizeof g->runtime.url, "http://127.0.0.1:%u/exec/token1?a=b",
             listener_port(listener));
}

static void stream_server_deinit(void)
{
    end_close(&remote);
    listener_close(listener, NULL, NULL);
    http_server_close(streaming, NULL, NULL);
}

/* ---- the API server's end ---- */

struct caller {
    struct http_call *call;
    struct end end; /* after the upgrade */
    int status;
    char stream_version[64], ws_protocol[64];
    struct buf body;
    bool done;
    struct err err;
};

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    struct caller *k = arg;
    auto_buf left = BUF(64 * 1024);

    k->status = status;
    if (status != 101)
        return;
    snprintf(k->stream_version, sizeof k->stream_version, STR_FMT,
             STR_ARG(http_headers_get(h, "x-stream-protocol-version")));
    snprintf(k->ws_protocol, sizeof k->ws_protocol, STR_FMT,
             STR_ARG(http_headers_get(h, "sec-websocket-protocol")));
    struct stream *s = http_call_take_stream(c, &left);
    end_adopt(&k->end, s);
    stream_handover(s, &end_events, &k->end, buf_str(&left));
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    (void)c;
    assert_int_equal(buf_add(&((struct caller *)arg)->body, p, n), 0);
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct caller *k = arg;

    (void)c;
    k->done = true;
    k->call = NULL;
    if (e)
        k->err = *e;
}

static int is_done(void *arg)
{
    return ((struct caller *)arg)->done;
}

static int was_asked(void *arg)
{
    return ((struct runtime *)arg)->n_asked;
}

static void call_start(struct caller *k, struct client *c, const char *target,
                       const struct http_header *headers, size_t n_headers)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct http_call_config cfg = {
        .method = "POST",
        .target = target,
        .headers = headers,
        .n_headers = n_headers,
        .upgrade = true,
    };

    memset(k, 0, sizeof *k);
    k->body = BUF(64 * 1024);
    http_call_start(&k->call, c->ep, &cfg, &events, k);
}

static void caller_deinit(struct caller *k)
{
    end_close(&k->end);
    end_deinit(&k->end);
    buf_deinit(&k->body);
}

static const struct http_header spdy[] = {
    { STR("Connection"), STR("Upgrade") },
    { STR("Upgrade"), STR("SPDY/3.1") },
    { STR("X-Stream-Protocol-Version"), STR("v4.channel.k8s.io") },
    { STR("X-Stream-Protocol-Version"), STR("v3.channel.k8s.io") },
    { STR("Authorization"), STR("Bearer secret") },
};

static void bytes_of_a_session_go_both_ways(void **state)
{
    struct caller k;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    call_start(&k, &c,
               "/exec/default/web/app?command=sh&command=-c&command=echo+hi&input=1&output=1&tty=1",
               spdy, ARRAY_LEN(spdy));
    run_until(&g.loop, is_done, &k);
    assert_int_equal(k.status, 101);
    assert_string_equal(k.stream_version, "v4.channel.k8s.io");
    assert_string_equal(g.runtime.last_id, "c1");
    assert_string_equal(g.runtime.last_argv, "sh|-c|echo hi");
    assert_true(g.runtime.last.in && g.runtime.last.out && g.runtime.last.tty);
    assert_false(g.runtime.last.err);

    assert_true(str_starts(str_of(seen), STR("POST /exec/token1?a=b\n")));
    assert_non_null(strcasestr(seen, "\nupgrade: SPDY/3.1\n"));
    assert_non_null(strcasestr(seen, "\nx-stream-protocol-version: v4.channel.k8s.io\n"));
    assert_non_null(strcasestr(seen, "\nx-stream-protocol-version: v3.channel.k8s.io\n"));
    assert_null(strcasestr(seen, "authorization")); /* it was for us */

    k.end.want = 6;
    run_until(&g.loop, end_got_want, &k.end);
    assert_memory_equal(k.end.got.p, "hello ", 6);
    buf_clear(&k.end.got);
    end_send_pattern(&k.end, 2u * 1024 * 1024); /* far more than any queue holds */
    run_until(&g.loop, end_got_pattern, &k.end);

    end_close(&remote); /* the command ended */
    run_until(&g.loop, end_has_ended, &k.end);
    caller_deinit(&k);
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
    end_deinit(&remote);
}

static void what_cannot_be_is_refused_in_words(void **state)
{
    static const struct http_header ws_v5[] = {
        { STR("Connection"), STR("Upgrade") },
        { STR("Upgrade"), STR("websocket") },
        { STR("Sec-WebSocket-Protocol"), STR("v5.channel.k8s.io") },
    };
    static const struct {
        const char *target;
        const struct http_header *headers;
        size_t n_headers;
        bool not_running, no_runtime, gone;
        enum err_code cri_code;
        int refuse_with;
        const char *url; /* NULL: the good one */
        int status;
        const char *body; /* contained */
    } rows[] = {
#define EXEC "/exec/default/web/app?command=sh&output=1"
        { EXEC, NULL, 0, .status = 400, .body = "Upgrade request required\n" },
        { EXEC, ws_v5, 3, .status = 400,
          .body = "unable to upgrade: websocket subprotocol v5.channel.k8s.io is not supported for "
                  "exec, SPDY/3.1 is\n" },
        { "/exec/default/web/app?output=1", spdy, 2, .status = 400,
          .body = "you must specify a command\n" },
        { "/exec/default/nix/app?command=sh&output=1", spdy, 2, .status = 404,
          .body = "pod \"nix\" does not exist\n" },
        { "/attach/default/web/nix?output=1", spdy, 2, .status = 404,
          .body = "container \"nix\" not found in pod \"web\"\n" },
        { "/portForward/default/nix", spdy, 2, .status = 404,
          .body = "pod \"nix\" does not exist\n" },
        { EXEC, spdy, 2, .not_running = true, .status = 400,
          .body = "container \"app\" in pod \"web\" is not running\n" },
        { EXEC, spdy, 2, .no_runtime = true, .status = 503,
          .body = "container runtime is not running\n" },
        { EXEC, spdy, 2, .gone = true, .status = 503,
          .body = "container runtime is not running: it is starting\n" },
        { EXEC, spdy, 2, .cri_code = ERR_NOT_FOUND, .status = 404, .body = "Exec c1: bad luck\n" },
        { EXEC, spdy, 2, .cri_code = ERR_TIMEOUT, .status = 504, .body = "Exec c1: bad luck\n" },
        { EXEC, spdy, 2, .cri_code = ERR_IO, .status = 500, .body = "Exec c1: bad luck\n" },
        { EXEC, spdy, 2, .refuse_with = 404, .status = 404, .body = "cannot find container\n" },
        { EXEC, spdy, 2, .refuse_with = 200, .status = 502, .body = "cannot find container\n" },
        { EXEC, spdy, 2, .url = "http://127.0.0.1:1/exec/t", .status = 502,
          .body = "the container runtime's streaming server: " },
        { EXEC, spdy, 2, .url = "https://127.0.0.1:1/exec/t", .status = 502,
          .body = "streaming server wants TLS, which is not supported" },
        { EXEC, spdy, 2, .url = "nonsense", .status = 502,
          .body = "the container runtime's streaming URL is not usable\n" },
    };
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    auto_free char *good_url = mem_strdup(g.runtime.url);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct caller k;

        g.pods.container.running = !rows[i].not_running;
        port_set_pods(g.port, &g.pods, rows[i].no_runtime ? NULL : &g.runtime);
        g.runtime.is_gone = rows[i].gone;
        g.runtime.err = (struct err){ 0 };
        if (rows[i].cri_code)
            err_set(&g.runtime.err, rows[i].cri_code, "Exec c1: bad luck");
        refuse_with = rows[i].refuse_with;
        snprintf(g.runtime.url, sizeof g.runtime.url, "%s", rows[i].url ? rows[i].url : good_url);
        call_start(&k, &c, rows[i].target, rows[i].headers, rows[i].n_headers);
        run_until(&g.loop, is_done, &k);
        if (k.err.code)
            fail_msg("row %zu: %s", i, k.err.text);
        assert_int_equal(k.status, rows[i].status);
        if (!strstr(buf_cstr(&k.body), rows[i].body))
            fail_msg("row %zu: %s", i, buf_cstr(&k.body));
        caller_deinit(&k);
    }
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
}

static void websockets_go_through_with_what_both_know(void **state)
{
    static const struct http_header ws[] = {
        { STR("Connection"), STR("Upgrade") },
        { STR("Upgrade"), STR("websocket") },
        { STR("Sec-WebSocket-Version"), STR("13") },
        { STR("Sec-WebSocket-Key"), STR("dGhlIHNhbXBsZSBub25jZQ==") },
        { STR("Sec-WebSocket-Protocol"), STR("v5.channel.k8s.io, v4.channel.k8s.io") },
    };
    struct caller k;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    call_start(&k, &c, "/exec/default/web/u1/app?command=sh&output=1", ws, ARRAY_LEN(ws));
    run_until(&g.loop, is_done, &k);
    assert_int_equal(k.status, 101);
    assert_string_equal(k.ws_protocol, "v4.channel.k8s.io");
    assert_non_null(strcasestr(seen, "\nsec-websocket-protocol: v4.channel.k8s.io\n"));
    assert_non_null(strcasestr(seen, "\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n"));
    k.end.want = 6;
    run_until(&g.loop, end_got_want, &k.end);
    caller_deinit(&k);
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
    end_deinit(&remote);
}

static void attach_has_the_terminal_of_the_container(void **state)
{
    static const struct {
        bool tty;
        const char *query;
        bool want_err;
    } rows[] = { { false, "output=1&error=1", true },
                 { true, "output=1&error=1", false },
                 { false, "output=1&error=1&tty=1", true } };
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    err_set(&g.runtime.err, ERR_IO, "enough");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf("/attach/default/web/app?%s", rows[i].query);
        struct caller k;

        g.pods.container.tty = rows[i].tty;
        call_start(&k, &c, target, spdy, 2);
        run_until(&g.loop, is_done, &k);
        assert_int_equal(k.status, 500);
        assert_int_equal(g.runtime.last.kind, SESSION_ATTACH);
        assert_int_equal(g.runtime.last.tty, rows[i].tty);
        assert_int_equal(g.runtime.last.err, rows[i].want_err);
        caller_deinit(&k);
    }
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
}

static void port_forward_is_of_the_sandbox(void **state)
{
    struct caller k;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    call_start(&k, &c, "/portForward/default/web?port=8080", spdy, 2);
    run_until(&g.loop, is_done, &k);
    assert_int_equal(k.status, 101);
    assert_string_equal(g.runtime.last_id, "sandbox1");
    assert_int_equal(g.runtime.last.n_ports, 1);
    assert_int_equal(g.runtime.last.ports[0], 8080);
    caller_deinit(&k);
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
    end_deinit(&remote);
}

static void a_caller_that_leaves_early_cancels_the_question(void **state)
{
    struct caller k;
    struct client c;
    struct rig g;

    (void)state;
    rig_init(&g);
    stream_server_init(&g);
    client_init(&c, &g, &g.api_server, &g.ca);
    g.runtime.is_slow = true;
    call_start(&k, &c, EXEC, spdy, 2);
    run_until(&g.loop, was_asked, &g.runtime);
    http_call_cancel(k.call);
    run_until(&g.loop, is_done, &k);
    caller_deinit(&k);
    client_deinit(&c, &g);
    stream_server_deinit();
    rig_deinit(&g);
    assert_int_equal(g.runtime.n_canceled, 1);
}

static int is_cut(void *arg)
{
    return end_has_ended(arg) || end_has_error(arg);
}

static void a_port_that_closes_ends_its_sessions(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) { /* asked only, and joined */
        struct caller k;
        struct client c;
        struct rig g;

        rig_init(&g);
        stream_server_init(&g);
        client_init(&c, &g, &g.api_server, &g.ca);
        g.runtime.is_slow = slow;
        call_start(&k, &c, EXEC, spdy, 2);
        if (slow) {
            run_until(&g.loop, was_asked, &g.runtime);
        } else {
            run_until(&g.loop, is_done, &k);
            k.end.want = 6;
            run_until(&g.loop, end_got_want, &k.end);
        }
        port_close(g.port, NULL, NULL);
        g.port = NULL;
        g.port_closed = true;
        if (slow)
            run_until(&g.loop, is_done, &k);
        else
            run_until(&g.loop, is_cut, &k.end);
        caller_deinit(&k);
        client_deinit(&c, &g);
        stream_server_deinit();
        rig_deinit(&g);
        end_deinit(&remote);
        assert_int_equal(g.runtime.n_canceled, slow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_a_session_go_both_ways),
        cmocka_unit_test(what_cannot_be_is_refused_in_words),
        cmocka_unit_test(websockets_go_through_with_what_both_know),
        cmocka_unit_test(attach_has_the_terminal_of_the_container),
        cmocka_unit_test(port_forward_is_of_the_sandbox),
        cmocka_unit_test(a_caller_that_leaves_early_cancels_the_question),
        cmocka_unit_test(a_port_that_closes_ends_its_sessions),
    };

    log_level_min = LOG_LVL_ERROR;
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
