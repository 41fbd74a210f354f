/* Who watches the addresses of the API servers: the kubelet's identity, or where that one may not
 * (a K3s server) the controller's. Against an API server that answers by who asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/boot/servers.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/kube/client.h"
#include "base/pki/bundle.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "lb/balancer.h"

#define SLICE                                                                                      \
    "{\"kind\":\"EndpointSliceList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{"        \
    "\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"resourceVersion\":\"5\"},"  \
    "\"ports\":[{\"port\":6443}],\"endpoints\":[{\"addresses\":[\"127.0.0.9\"]}]}]}"
#define FORBIDDEN                                                                                  \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Forbidden\",\"code\":403,"           \
    "\"message\":\"no\"}"

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *http;
    struct balancer *balancer;
    struct kube_client *node, *controller;
    struct credentials credentials;
    struct tunnel_authorizer authorizer;
    struct servers *servers;
    char seed[32];
    bool node_may;
    unsigned n_by_node, n_by_controller; /* requests for slices */
    unsigned n_open;
};

/* ---- the API server ---- */

static void on_request(struct http_req *r, void *arg)
{
    struct world *w = arg;
    bool is_node = str_is(http_headers_get(http_req_headers(r), "Authorization"), "Bearer node");
    bool is_watch = strstr(http_req_query(r).p ? http_req_query(r).p : "", "watch=true") != NULL;
    static const struct http_req_events none = { 0 };

    http_req_accept(r, &none, NULL);
    if (str_is(http_req_path(r), "/v1-k3s/apiservers")) {
        http_reply(r, 404, "application/json", STR("{}"), NULL, 0);
        return;
    }
    ++*(is_node ? &w->n_by_node : &w->n_by_controller);
    if (is_node && !w->node_may)
        http_reply(r, 403, "application/json", STR(FORBIDDEN), NULL, 0);
    else if (is_watch)
        http_reply_start(r, 200, NULL, 0, -1);
    else
        http_reply(r, 200, "application/json", STR(SLICE), NULL, 0);
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->http, s);
}

/* ---- the node ---- */

static void make_credentials(struct credentials *c)
{
    struct issue_spec spec = { .common_name = "system:node:n", .client_auth = true };
    AUTO(key) struct key *key = NULL;
    AUTO(x509) struct x509 *ca = NULL, *leaf = NULL;
    struct err e = { 0 };
    struct pair *p = &c->pairs[CRED_KUBELET];

    c->server_ca = p->cert_pem = BUF(BUNDLE_MAX_BYTES);
    p->key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    if (key_generate(&key, KEY_P256, &e) || issue_ca(&ca, key, "t", clock_wall_s(), &e) ||
        issue_leaf(&leaf, ca, key, key, &spec, clock_wall_s(), &e) ||
        x509_to_pem(ca, &c->server_ca) || x509_to_pem(leaf, &p->cert_pem) ||
        key_to_pem(key, &p->key_pem, &e))
        fail_msg("%s", e.text);
}

static void on_change(void *arg)
{
    (void)arg;
}

static struct kube_client *client(struct world *w, const char *token)
{
    struct kube_client_config c = { .endpoint = { .authority = w->seed, .proto = HTTP_H1 },
                                    .bearer_token = token };
    struct kube_client *k;

    kube_client_new(&k, &w->loop, &c);
    return k;
}

static void open_world(struct world *w, bool node_may)
{
    struct http_server_config hc = { .on_request = on_request, .arg = w };
    struct balancer_options bo = { .name = "test", .seed = w->seed };
    struct servers_config sc = { .loop = &w->loop,
                                 .credentials = &w->credentials,
                                 .authorizer = &w->authorizer,
                                 .seed = w->seed,
                                 .on_change = on_change,
                                 .arg = w };
    struct err e = { 0 };

    *w = (struct world){ .node_may = node_may };
    assert_int_equal(uv_loop_init(&w->loop), 0);
    make_credentials(&w->credentials);
    http_server_new(&w->http, &w->loop, &hc);
    assert_int_equal(tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e), 0);
    snprintf(w->seed, sizeof w->seed, "127.0.0.1:%u", listener_port(w->listener));
    assert_int_equal(balancer_new(&w->balancer, &w->loop, &bo, &e), 0);
    w->node = client(w, "node");
    w->controller = client(w, "controller");
    assert_int_equal(tunnel_authorizer_init(&w->authorizer, STR("agent"), &e), 0);
    sc.balancer = w->balancer;
    sc.kubelet = sc.node = w->node;
    sc.controller = w->controller;
    assert_int_equal(servers_start(&w->servers, &sc, &e), 0);
}

static void part_closed(void *arg)
{
    ((struct world *)arg)->n_open--;
}

static void close_world(struct world *w)
{
    struct pair *p = &w->credentials.pairs[CRED_KUBELET];

    w->n_open = 6;
    servers_close(w->servers, part_closed, w);
    while (w->n_open == 6)
        uv_run(&w->loop, UV_RUN_ONCE);
    kube_client_close(w->node, part_closed, w);
    kube_client_close(w->controller, part_closed, w);
    balancer_close(w->balancer, part_closed, w);
    listener_close(w->listener, part_closed, w);
    http_server_close(w->http, part_closed, w);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w->n_open, 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    tunnel_authorizer_deinit(&w->authorizer);
    buf_deinit(&w->credentials.server_ca);
    buf_deinit(&p->cert_pem);
    buf_deinit(&p->key_pem);
}

static bool has_learned(const struct world *w)
{
    const char *list[4];

    return balancer_addresses(w->balancer, list, ARRAY_LEN(list)) == 1 &&
           strcmp(list[0], "127.0.0.9:6443") == 0;
}

static void wait_learned(struct world *w)
{
    uint64_t until = clock_mono_ms() + 60000;

    while (!has_learned(w) && clock_mono_ms() < until) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    assert_true(has_learned(w));
}

static void the_kubelets_identity_watches_where_it_may(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, true);
    wait_learned(&w);
    assert_true(w.n_by_node > 0);
    assert_int_equal(w.n_by_controller, 0);
    close_world(&w);
}

static void the_controllers_identity_watches_where_a_node_may_not(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, false);
    wait_learned(&w);
    assert_int_equal(w.n_by_node, 1); /* once refused, it does not ask again */
    assert_true(w.n_by_controller > 0);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kubelets_identity_watches_where_it_may),
        cmocka_unit_test(the_controllers_identity_watches_where_a_node_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
