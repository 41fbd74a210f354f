/* The server's ways to its nodes, with a real tunnel to a node and echoing ports behind it. */
#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/io/tcp.h"
#include "test/unit/base/io/hole.h"
#include "tunnel/client.h"

#include <stdio.h>
#include <stdlib.h>

static struct harness h;
static struct listener *echo; /* what a kubelet's port is here */
static uint16_t echo_port;
static struct tunnel_authorizer authorizer;
static struct tunnel_client *tunnel;
static struct caller admin, agent;
static char *node_pem, *node_key;

/* ---- the port that echoes ---- */

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

static const struct stream_events echo_events = { .on_data = echo_data,
                                                  .on_end = echo_end,
                                                  .on_error = echo_error };

static void on_accept(void *arg, struct stream *s)
{
    (void)arg;
    stream_open(s, &echo_events, s);
}

/* ---- the world ---- */

static void add_labeled_node(const char *name, const char *label, const char *ip, unsigned port)
{
    auto_free char *text = mem_printf(
        "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"%s\":\"true\"}},\"status\":{\"addresses\":"
        "[{\"type\":\"InternalIP\",\"address\":\"%s\"},{\"type\":\"Hostname\",\"address\":\"%s\"}],"
        "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%u}}}}",
        name, label, ip, name, port);

    assert_int_equal(create(&h, "nodes", NULL, text), 201);
    harness_turns(&h, 30);
}

static void add_node(const char *name, const char *ip, unsigned port)
{
    add_labeled_node(name, "edge", ip, port);
}

/* As the kubelet of that node would have reported it. */
static void add_pod(const char *name, const char *node, const char *ip)
{
    auto_free char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"nodeName\":\"%s\",\"containers\":"
                   "[{\"name\":\"c\",\"image\":\"i\"}]}}",
                   name, node);
    auto_free char *status = mem_printf("{\"status\":{\"phase\":\"Running\",\"podIP\":\"%s\","
                                        "\"podIPs\":[{\"ip\":\"%s\"}]}}",
                                        ip, ip);

    assert_int_equal(create(&h, "pods", "default", text), 201);
    patch_status(&h, "pods", "default", name, status);
    harness_turns(&h, 30);
}

static void connect_tunnel(const char *mode)
{
    char address[64];
    struct tunnel_client_options o = { .ca_pem = ca_cacerts(h.ca),
                                       .cert_chain_pem = str_of(node_pem),
                                       .key_pem = str_of(node_key),
                                       .authorizer = &authorizer,
                                       .reconnect_min_ms = 5,
                                       .reconnect_max_ms = 10 };
    uint64_t until = clock_mono_ms() + 20000;
    struct err e = { 0 };

    assert_int_equal(tunnel_authorizer_init(&authorizer, str_of(mode), &e), 0);
    authorizer.kubelet_port = echo_port;
    snprintf(address, sizeof address, "127.0.0.1:%u", h.port);
    if (tunnel_client_new(&tunnel, &h.loop, address, &o, &e))
        fail_msg("%s", e.text);
    while (!tunnel_server_has(h.tunnels, "edge-1") && clock_mono_ms() < until)
        uv_run(&h.loop, UV_RUN_ONCE);
    assert_true(tunnel_server_has(h.tunnels, "edge-1"));
}

/* The server's mode; the agent's is the same. */
static void open_world(const char *mode)
{
    enum tunnel_egress_mode m;
    struct err e = { 0 };

    assert_int_equal(tunnel_egress_mode_parse(&m, str_of(mode), &e), 0);
    harness_open(&h, m);
    harness_start_supervisor(&h);
    assert_int_equal(tcp_listen(&echo, &h.loop, "127.0.0.1", 0, on_accept, NULL, &e), 0);
    echo_port = listener_port(echo);
    admin = (struct caller){ NULL, str_dup(ca_client_cert(h.ca, CA_CLIENT_ADMIN)),
                             str_dup(ca_client_key(h.ca, CA_CLIENT_ADMIN)) };
    agent = (struct caller){ basic("node", AGENT_PASSWORD), NULL, NULL };
    node_cert(&h, "edge-1", &node_pem, &node_key);
    connect_tunnel(mode);
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static void close_world(void)
{
    bool closed = false;

    tunnel_client_close(tunnel, raise_flag, &closed);
    harness_wait(&h, &closed);
    listener_close(echo, NULL, NULL);
    harness_close(&h);
    free((char *)admin.cert_pem);
    free((char *)admin.key_pem);
    free((char *)agent.authorization);
    free(node_pem);
    free(node_key);
}

/* ---- one CONNECT ---- */

struct connect {
    int status;
    struct buf body, got;
    struct stream *s;
    size_t want;
    bool done, headed, enough, stream_closed;
};

static void on_data(void *arg, const char *p, size_t n)
{
    struct connect *c = arg;

    assert_int_equal(buf_add(&c->got, p, n), 0);
    c->enough = c->got.n >= c->want;
}

static void on_broken(void *arg, const struct err *e)
{
    (void)e;
    ((struct connect *)arg)->enough = true;
}

static void on_ended(void *arg)
{
    ((struct connect *)arg)->enough = true;
}

static void on_stream_closed(void *arg)
{
    ((struct connect *)arg)->stream_closed = true;
}

static const struct stream_events stream_events = {
    .on_data = on_data, .on_end = on_ended, .on_error = on_broken, .on_closed = on_stream_closed
};

static void on_head(struct http_call *call, void *arg, int status, const struct http_headers *hd)
{
    struct connect *c = arg;
    auto_buf left = BUF(65536);

    (void)hd;
    c->status = status;
    c->headed = true;
    if (status == 200) {
        c->s = http_call_take_stream(call, &left);
        stream_handover(c->s, &stream_events, c, buf_str(&left));
    }
}

static void on_body(struct http_call *call, void *arg, const char *p, size_t n)
{
    (void)call;
    assert_int_equal(buf_add(&((struct connect *)arg)->body, p, n), 0);
}

static void on_done(struct http_call *call, void *arg, const struct err *e)
{
    struct connect *c = arg;

    (void)call;
    if (e)
        print_message("connect: %s\n", e->text);
    c->done = true;
}

/* CONNECT target; when it works, text goes there and back. */
static void connect_to(const struct caller *who, const char *target, const char *text, int want,
                       const char *why)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct tls_client_config *tls;
    struct http_endpoint *ep = endpoint_of(&h, who, &tls);
    struct http_header auth = { STR("Authorization"), str_of(who->authorization) };
    struct http_call_config cc = { .method = "CONNECT",
                                   .target = target,
                                   .headers = &auth,
                                   .n_headers = who->authorization != NULL,
                                   .upgrade = true,
                                   .timeout_ms = 20000 };
    struct connect c = { .body = BUF(65536), .got = BUF(1 << 22), .want = strlen(text) };
    struct http_call *call;

    http_call_start(&call, ep, &cc, &events, &c);
    harness_wait(&h, &c.done);
    if (c.status != want || (why && !strstr(buf_cstr(&c.body), why)))
        fail_msg("CONNECT %s: %d %s", target, c.status, buf_cstr(&c.body));
    if (c.s) {
        stream_write(c.s, text, strlen(text));
        harness_wait(&h, &c.enough);
        assert_true(str_is(buf_str(&c.got), text));
        stream_close(c.s);
        harness_wait(&h, &c.stream_closed);
    }
    endpoint_gone(&h, ep, tls);
    buf_deinit(&c.body);
    buf_deinit(&c.got);
}

static char *target_of(const char *host, unsigned port)
{
    static char text[128];

    snprintf(text, sizeof text, "%s:%u", host, port);
    return text;
}

static void connect_finds_the_way(void **state)
{
    (void)state;

    open_world("agent");
    add_node("edge-1", "10.99.0.1", echo_port); /* no such address here: only the tunnel works */
    add_node("edge-2", "10.99.0.2", echo_port);
    add_node("edge-6", "fd00:99::6", echo_port);
    /* the tunnel: by name, by the node's address and its kubelet port */
    connect_to(&admin, target_of("edge-1", echo_port), "by name", 200, NULL);
    connect_to(&admin, target_of("10.99.0.1", echo_port), "by address", 200, NULL);
    /* this server's own node, and addresses of no node: directly */
    connect_to(&admin, target_of(OWN_NODE, echo_port), "own", 200, NULL);
    connect_to(&admin, target_of("127.0.0.1", echo_port), "direct", 200, NULL);
    /* errors name what is missing */
    connect_to(&admin, target_of("edge-2", echo_port), "", 502,
               "failed to find Session for client edge-2");
    connect_to(&admin, target_of("10.99.0.2", echo_port), "", 502,
               "failed to find Session for client edge-2");
    connect_to(&admin, target_of("[fd00:99::6]", echo_port), "", 502,
               "failed to find Session for client edge-6");
    connect_to(&admin, target_of("nobody", echo_port), "", 502, "nobody");
    connect_to(&admin, "127.0.0.1:1", "", 502, "refused");
    connect_to(&admin, "edge-1", "", 400, "host:port");
    /* only for system:masters */
    connect_to(&agent, target_of("edge-1", echo_port), "", 403, "system:masters");
    close_world();
}

static void a_deleted_or_moved_node_is_not_found_by_its_old_address(void **state)
{
    (void)state;

    open_world("agent");
    add_node("edge-1", "10.99.0.1", echo_port);
    connect_to(&admin, target_of("10.99.0.1", echo_port), "there", 200, NULL);
    delete (&h, "nodes", NULL, "edge-1");
    harness_turns(&h, 30);
    add_node("edge-3", "10.99.0.1", echo_port); /* the address is another node's now */
    connect_to(&admin, target_of("10.99.0.1", echo_port), "", 502,
               "failed to find Session for client edge-3");
    close_world();
}

static void much_goes_both_ways(void **state)
{
    auto_free char *text = mem_alloc(1000001);
    (void)state;

    for (size_t i = 0; i < 1000000; i++)
        text[i] = (char)('a' + i % 26);
    open_world("agent");
    add_node("edge-1", "10.99.0.1", echo_port);
    connect_to(&admin, target_of("edge-1", echo_port), text, 200, NULL);
    close_world();
}

/* In mode "disabled" a node is dialed by its address; one without an address must not be taken
 * for this server's loopback. */
static void disabled_dials_addresses(void **state)
{
    (void)state;

    open_world("disabled");
    add_node("edge-4", "127.0.0.1", echo_port);
    connect_to(&admin, target_of("edge-4", echo_port), "by address", 200, NULL);
    connect_to(&admin, target_of("ghost", echo_port), "", 502, "ghost");
    connect_to(&admin, target_of(OWN_NODE, echo_port), "own", 200, NULL);
    close_world();
}

/* By the pod's address through the tunnel of its node; the agent has the last word. */
static void pods_are_reached_through_their_node(void **state)
{
    const char *pod_ip = "127.0.0.7", *pod_ips[] = { pod_ip };
    struct tunnel_pod pod = { .ips = pod_ips, .n_ips = 1 };
    struct listener *in_pod;
    struct err e = { 0 };
    (void)state;

    open_world("pod");
    assert_int_equal(tunnel_authorizer_set_pods(&authorizer, &pod, 1, &e), 0);
    assert_int_equal(tcp_listen(&in_pod, &h.loop, pod_ip, 0, on_accept, NULL, &e), 0);
    unsigned port = listener_port(in_pod);
    add_labeled_node("edge-1", "egress.k3s.io/cluster", "10.99.0.1", echo_port);
    add_labeled_node("edge-2", "egress.k3s.io/cluster", "10.99.0.2", echo_port);
    add_node("edge-3", "10.99.0.3", echo_port);
    add_pod("a", "edge-1", pod_ip);
    add_pod("b", "edge-1", "127.0.0.8"); /* this agent does not know of it */
    add_pod("c", "edge-2", "127.0.0.9");
    connect_to(&admin, target_of(pod_ip, port), "to a pod", 200, NULL);
    connect_to(&admin, target_of(pod_ip, 1), "", 502,
               "node edge-1: dial tcp 127.0.0.7:1: connect: connection refused");
    connect_to(&admin, target_of("127.0.0.8", port), "", 502,
               "node edge-1: not allowed: tcp/127.0.0.8:");
    /* an address of the node itself that no pod there listens on: refused, and not dialed directly
     */
    connect_to(&admin, target_of("10.99.0.1", 22), "", 502,
               "node edge-1: not allowed: tcp/10.99.0.1:22");
    /* without a tunnel the pod may be a neighbour */
    connect_to(&admin, target_of("127.0.0.9", 1), "", 502,
               "node edge-2 has no tunnel, tried directly: dial 127.0.0.9:1");
    connect_to(&admin, target_of("edge-2", echo_port), "", 502,
               "failed to find Session for client edge-2");
    /* a pod that is gone has no way through the tunnel */
    delete (&h, "pods", "default", "b");
    harness_turns(&h, 30);
    connect_to(&admin, target_of("127.0.0.8", 1), "", 502, "egress: dial 127.0.0.8:1");
    listener_close(in_pod, NULL, NULL);
    close_world();
    tunnel_authorizer_deinit(&authorizer);
}

/* Two CONNECTs whose dials are under way, directly and by a tunnel, into addresses that swallow
 * connects. They have 15 s. */
struct swallowed {
    struct hole holes[2];
    struct http_endpoint *ep;
    struct tls_client_config *tls;
    struct http_call *calls[2];
    struct connect c[2];
};

static size_t n_tunnel_streams(void)
{
    struct tunnel_node_state st;

    return tunnel_server_node(h.tunnels, "edge-1", &st) ? st.n_streams : 0;
}

static void swallowed_open(struct swallowed *x)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    static const char *const ips[] = { "127.0.0.6", "127.0.0.7" }; /* the second is a pod's */
    struct tunnel_pod pod = { .ips = &ips[1], .n_ips = 1 };
    struct http_call_config cc = { .method = "CONNECT", .upgrade = true, .timeout_ms = 100000 };
    struct err e = { 0 };

    open_world("pod");
    assert_int_equal(tunnel_authorizer_set_pods(&authorizer, &pod, 1, &e), 0);
    add_labeled_node("edge-1", "egress.k3s.io/cluster", "10.99.0.1", echo_port);
    add_pod("a", "edge-1", ips[1]);
    x->ep = endpoint_of(&h, &admin, &x->tls);
    for (int i = 0; i < 2; i++) {
        x->c[i] = (struct connect){ .body = BUF(65536) };
        hole_dig(&x->holes[i], ips[i]);
        cc.target = x->holes[i].address;
        http_call_start(&x->calls[i], x->ep, &cc, &events, &x->c[i]);
    }
    do
        harness_turns(&h, 1);
    while (!n_tunnel_streams());
    harness_turns(&h, 100);
    assert_false(x->c[0].headed || x->c[1].headed);
}

static void swallowed_close(struct swallowed *x)
{
    endpoint_gone(&h, x->ep, x->tls);
    close_world();
    tunnel_authorizer_deinit(&authorizer);
    for (int i = 0; i < 2; i++) {
        hole_fill(&x->holes[i]);
        buf_deinit(&x->c[i].body);
    }
}

static void stopping_waits_for_no_dial(void **state)
{
    struct egress_config ec = { .loop = &h.loop, .own_node = OWN_NODE };
    struct swallowed x;
    bool closed = false;
    (void)state;

    swallowed_open(&x);
    uint64_t before_ms = clock_mono_ms();
    harness_stop_dials(&h);
    egress_close(h.egress, raise_flag, &closed);
    harness_wait(&h, &closed);
    assert_true(clock_mono_ms() - before_ms < 10000);
    for (int i = 0; i < 2; i++) {
        harness_wait(&h, &x.c[i].done);
        assert_int_equal(x.c[i].status, 502);
        assert_non_null(strstr(buf_cstr(&x.c[i].body), i ? "server is closing" : "canceled"));
    }
    ec.tunnels = h.tunnels;
    egress_new(&h.egress, &ec); /* for harness_close */
    swallowed_close(&x);
}

static void the_dial_of_a_caller_that_left_is_given_up(void **state)
{
    struct swallowed x;
    (void)state;

    swallowed_open(&x);
    uint64_t before_ms = clock_mono_ms();
    for (int i = 0; i < 2; i++) {
        http_call_cancel(x.calls[i]);
        harness_wait(&h, &x.c[i].done);
    }
    while (n_tunnel_streams() && clock_mono_ms() - before_ms < 12000)
        harness_turns(&h, 1);
    assert_int_equal(n_tunnel_streams(), 0);
    assert_true(clock_mono_ms() - before_ms < 12000);
    swallowed_close(&x);
}

/* Closing cuts what is open. */
static void closing_cuts_connections(void **state)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct tls_client_config *tls;
    struct connect c = { .body = BUF(65536), .got = BUF(65536) };
    struct http_call_config cc = { .method = "CONNECT", .upgrade = true, .timeout_ms = 20000 };
    struct http_call *call;
    (void)state;

    open_world("agent");
    struct http_endpoint *ep = endpoint_of(&h, &admin, &tls);
    cc.target = target_of(OWN_NODE, echo_port);
    http_call_start(&call, ep, &cc, &events, &c);
    harness_wait(&h, &c.done);
    assert_int_equal(c.status, 200);
    c.enough = false;
    bool closed = false;
    tunnel_client_close(tunnel, raise_flag, &closed);
    harness_wait(&h, &closed);
    egress_stop(h.egress);
    closed = false;
    egress_close(h.egress, raise_flag, &closed);
    harness_wait(&h, &closed);
    harness_wait(&h, &c.enough); /* the end, or an error */
    stream_close(c.s);
    harness_wait(&h, &c.stream_closed);
    endpoint_gone(&h, ep, tls);
    struct egress_config ec = { .loop = &h.loop, .tunnels = h.tunnels, .own_node = OWN_NODE };
    egress_new(&h.egress, &ec); /* for harness_close */
    connect_tunnel("agent");
    close_world();
    buf_deinit(&c.body);
    buf_deinit(&c.got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_finds_the_way),
        cmocka_unit_test(a_deleted_or_moved_node_is_not_found_by_its_old_address),
        cmocka_unit_test(much_goes_both_ways),
        cmocka_unit_test(disabled_dials_addresses),
        cmocka_unit_test(pods_are_reached_through_their_node),
        cmocka_unit_test(stopping_waits_for_no_dial),
        cmocka_unit_test(the_dial_of_a_caller_that_left_is_given_up),
        cmocka_unit_test(closing_cuts_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
