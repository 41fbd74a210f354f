/* The node's registration against an API server of a few answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "agent/node/node.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"

#define ASKED_MAX 64

struct asked {
    char line[160]; /* "METHOD path" */
    json_t *body;
};

struct rule {
    const char *line; /* "METHOD path" */
    int status;
    const char *reason;
    unsigned n_times; /* 0: for ever */
};

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct http_server *server;
    struct kube_client *client;
    struct machine machine;
    struct node_object object;
    struct node *node;
    uint64_t given_up_ms;
    struct rule rules[8];
    size_t n_rules;
    const char *uid;       /* of the Node that the server has */
    const char *node_json; /* the answer to requests for the Node; NULL: one with that uid */
    struct asked asked[ASKED_MAX];
    size_t n_asked;
    enum node_state states[8];
    size_t n_states;
    int64_t server_s; /* what the server said last */
    bool closed;
    uint64_t lease_interval_ms; /* 0: 50 */
};

static struct world *the_world; /* http_req_read_body carries no argument of its own */

static const struct rule *rule_of(struct world *w, const char *line)
{
    for (size_t i = 0; i < w->n_rules; i++) {
        struct rule *r = &w->rules[i];
        if (!r->line || strcmp(r->line, line) != 0)
            continue;
        if (r->n_times && --r->n_times == 0) {
            static struct rule last;
            last = *r;
            r->line = NULL;
            return &last;
        }
        return r;
    }
    return NULL;
}

static void on_body(struct http_req *req, void *arg, struct str body)
{
    struct world *w = the_world;
    struct asked *a = &w->asked[w->n_asked];
    auto_free char *text = NULL;
    const struct rule *r;
    struct err e;

    (void)arg;
    assert_true(w->n_asked < ASKED_MAX);
    w->n_asked++;
    snprintf(a->line, sizeof a->line, STR_FMT " " STR_FMT, STR_ARG(http_req_method(req)),
             STR_ARG(http_req_target(req)));
    if (body.n && json_parse(&a->body, body, &e))
        fail_msg("%s: %s", a->line, e.text);
    r = rule_of(w, a->line);
    if (r) {
        text = mem_printf("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
                          "\"code\":%d,\"reason\":\"%s\",\"message\":\"as scripted\"}",
                          r->status, r->reason);
        http_reply(req, r->status, "application/json", str_of(text), NULL, 0);
        return;
    }
    text = w->node_json ? mem_strdup(w->node_json)
                        : mem_printf("{\"metadata\":{\"name\":\"n1\",\"uid\":\"%s\"}}", w->uid);
    http_reply(req, str_is(http_req_method(req), "POST") ? 201 : 200, "application/json",
               str_of(text), NULL, 0);
}

static void on_request(struct http_req *r, void *arg)
{
    static const struct http_req_events none;

    http_req_accept(r, &none, arg);
    http_req_read_body(r, 1 << 20, on_body);
}

static void on_accept(void *arg, struct stream *s)
{
    struct world *w = arg;

    http_server_serve(w->server, s);
}

static void on_state(void *arg, enum node_state st)
{
    struct world *w = arg;

    assert_true(w->n_states < ARRAY_LEN(w->states));
    w->states[w->n_states++] = st;
}

static void on_server_time(void *arg, int64_t unix_s)
{
    ((struct world *)arg)->server_s = unix_s;
}

static void world_init(struct world *w)
{
    static const char *const ips[] = { "10.0.0.5" };
    struct http_server_config sc = { .on_request = on_request, .arg = w };
    char authority[32];
    struct kube_client_config kc = { .endpoint = { .authority = authority, .proto = HTTP_H1 } };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    the_world = w;
    w->uid = "uid-1";
    assert_int_equal(uv_loop_init(&w->loop), 0);
    http_server_new(&w->server, &w->loop, &sc);
    if (tcp_listen(&w->listener, &w->loop, "127.0.0.1", 0, on_accept, w, &e))
        fail_msg("%s", e.text);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", listener_port(w->listener));
    kube_client_new(&w->client, &w->loop, &kc);
    machine_read(&w->machine, "/");
    w->object = (struct node_object){ .name = "n1",
                                      .host_name = "n1",
                                      .ips = ips,
                                      .n_ips = 1,
                                      .node_args = "[]",
                                      .node_env = "{}",
                                      .version = "v1.32.0",
                                      .runtime_version = "",
                                      .kubelet_port = 10250,
                                      .machine = &w->machine,
                                      .runtime_why = "it starts" };
}

static void start(struct world *w)
{
    struct node_config c = { .loop = &w->loop,
                             .client = w->client,
                             .object = &w->object,
                             .machine = &w->machine,
                             .data_dir = "/",
                             .on_state = on_state,
                             .on_server_time = on_server_time,
                             .arg = w,
                             .lease_interval_ms = w->lease_interval_ms ? w->lease_interval_ms : 50,
                             .status_interval_ms = 3600000,
                             .given_up_ms = w->given_up_ms };
    struct err e = { 0 };

    if (node_start(&w->node, &c, &e))
        fail_msg("%s", e.text);
}

static void close_rest(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
    http_server_close(w->server, NULL, NULL);
}

static void on_node_closed(void *arg)
{
    struct world *w = arg;

    w->closed = true;
    kube_client_close(w->client, close_rest, w);
}

static void world_deinit(struct world *w)
{
    if (w->node)
        node_close(w->node, on_node_closed, w);
    else
        on_node_closed(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (size_t i = 0; i < w->n_asked; i++)
        json_decref(w->asked[i].body);
}

static size_t n_of(const struct world *w, const char *line)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_asked; i++)
        n += strcmp(w->asked[i].line, line) == 0;
    return n;
}

static const json_t *body_of(const struct world *w, const char *line, size_t nth)
{
    for (size_t i = 0; i < w->n_asked; i++)
        if (strcmp(w->asked[i].line, line) == 0 && nth-- == 0)
            return w->asked[i].body;
    fail_msg("no such request: %s", line);
    return NULL;
}

/* Runs the loop until that request came n times, at most 30 s. */
static void await(struct world *w, const char *line, size_t n)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (n_of(w, line) < n && clock_mono_ms() < until)
        uv_run(&w->loop, UV_RUN_ONCE);
    if (n_of(w, line) < n) {
        for (size_t i = 0; i < w->n_asked; i++)
            print_message("%s\n", w->asked[i].line);
        fail_msg("%s did not come %zu times", line, n);
    }
}

static void await_state(struct world *w, enum node_state s)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (node_state(w->node) != s && clock_mono_ms() < until)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(node_state(w->node), s);
}

#define CREATE       "POST /api/v1/nodes"
#define METADATA     "PATCH /api/v1/nodes/n1"
#define STATUS       "PATCH /api/v1/nodes/n1/status"
#define LOOK         "GET /api/v1/nodes/n1"
#define LEASES       "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define CREATE_LEASE "POST " LEASES
#define RENEW        "PATCH " LEASES "/n1"

static void a_new_node_is_created_and_its_lease_kept(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 2);
    assert_string_equal(w.asked[0].line, CREATE);
    assert_string_equal(w.asked[1].line, STATUS);
    assert_int_equal(n_of(&w, METADATA), 0);
    assert_int_equal(n_of(&w, CREATE_LEASE), 1);
    assert_string_equal(json_str_at(w.asked[0].body, "kind", ""), "Node");
    const json_t *lease = body_of(&w, CREATE_LEASE, 0);
    assert_string_equal(json_str_at(lease, "spec.holderIdentity", ""), "n1");
    assert_int_equal(json_i64_at(lease, "spec.leaseDurationSeconds", 0), 40);
    assert_string_equal(json_str_at(lease, "metadata.ownerReferences[0].uid", ""), "uid-1");
    assert_non_null(json_at(body_of(&w, RENEW, 0), "spec.renewTime"));
    assert_int_equal(w.n_states, 1);
    assert_int_equal(w.states[0], NODE_RUNNING);
    assert_true(node_lease_renewed_unix_s(w.node) > 0);
    assert_true(llabs(w.server_s - clock_wall_s()) < 60);
    assert_string_equal(node_last_error(w.node), "");
    world_deinit(&w);
}

static void a_known_node_gets_a_patch_and_keeps_its_transition_times(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    w.rules[w.n_rules++] = (struct rule){ CREATE, 409, "AlreadyExists", 0 };
    w.rules[w.n_rules++] = (struct rule){ CREATE_LEASE, 409, "AlreadyExists", 0 };
    w.node_json = "{\"metadata\":{\"name\":\"n1\",\"uid\":\"u\"},\"status\":{\"conditions\":["
                  "{\"type\":\"DiskPressure\",\"status\":\"False\","
                  "\"lastTransitionTime\":\"2020-01-01T00:00:00Z\"},"
                  "{\"type\":\"Ready\",\"status\":\"True\","
                  "\"lastTransitionTime\":\"2020-01-01T00:00:00Z\"}]}}";
    w.machine.disk_available_bytes = w.machine.disk_bytes;
    start(&w);
    await(&w, RENEW, 1);
    assert_string_equal(w.asked[1].line, METADATA);
    assert_string_equal(w.asked[2].line, STATUS);
    assert_non_null(json_at(w.asked[1].body, "metadata.annotations[\"k3s.io/internal-ip\"]"));
    const json_t *st = w.asked[2].body;
    assert_string_equal(json_str_at(st, "status.conditions[1].lastTransitionTime", ""),
                        "2020-01-01T00:00:00Z"); /* DiskPressure, still False */
    assert_string_not_equal(json_str_at(st, "status.conditions[3].lastTransitionTime", ""),
                            "2020-01-01T00:00:00Z"); /* Ready is False now */
    world_deinit(&w);
}

static void every_step_is_tried_again(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    w.rules[w.n_rules++] = (struct rule){ CREATE, 503, "ServiceUnavailable", 1 };
    w.rules[w.n_rules++] = (struct rule){ CREATE, 409, "AlreadyExists", 1 };
    w.rules[w.n_rules++] = (struct rule){ METADATA, 404, "NotFound", 1 }; /* deleted meanwhile */
    w.rules[w.n_rules++] = (struct rule){ STATUS, 500, "InternalError", 1 };
    start(&w);
    await(&w, CREATE, 1);
    while (!*node_last_error(w.node))
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_non_null(strstr(node_last_error(w.node), "register: "));
    assert_non_null(strstr(node_last_error(w.node), "as scripted"));
    await_state(&w, NODE_RUNNING);
    assert_int_equal(n_of(&w, CREATE), 3);
    assert_int_equal(n_of(&w, METADATA), 1);
    assert_int_equal(n_of(&w, STATUS), 2);
    assert_string_equal(node_last_error(w.node), "");
    world_deinit(&w);
}

static void a_lost_lease_is_made_again(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    w.rules[w.n_rules++] = (struct rule){ RENEW, 404, "NotFound", 1 };
    await(&w, CREATE_LEASE, 2);
    await(&w, LOOK, 1); /* is the node still there? */
    await(&w, RENEW, n_of(&w, RENEW) + 1);
    assert_int_equal(node_state(w.node), NODE_RUNNING);
    assert_int_equal(n_of(&w, CREATE), 1);
    world_deinit(&w);
}

static void a_lease_that_cannot_be_renewed_is_reported_until_it_can(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    w.rules[w.n_rules++] = (struct rule){ RENEW, 500, "InternalError", 2 };
    await(&w, RENEW, 3);
    while (!*node_last_error(w.node))
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_non_null(strstr(node_last_error(w.node), "renew the lease: "));
    await(&w, RENEW, 5);
    assert_string_equal(node_last_error(w.node), "");
    world_deinit(&w);
}

/* The watch that would tell may hang on a connection of before the cut. */
static void after_a_long_cut_the_status_is_written_without_being_asked(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    w.given_up_ms = 120;
    start(&w);
    await(&w, RENEW, 1);
    w.rules[w.n_rules++] = (struct rule){ RENEW, 500, "InternalError", 6 }; /* 50 ms each */
    await(&w, RENEW, n_of(&w, RENEW) + 7);
    await(&w, STATUS, 2);
    world_deinit(&w);
}

/* The waits of as many failures would be a minute, give or take the jitter. */
static void a_server_in_reach_again_is_not_waited_for(void **state)
{
    struct world w;
    uint64_t began_ms;
    (void)state;

    world_init(&w);
    w.lease_interval_ms = 3600000;
    w.rules[w.n_rules++] = (struct rule){ CREATE_LEASE, 500, "InternalError", 8 };
    start(&w);
    await(&w, CREATE_LEASE, 1);
    began_ms = uv_now(&w.loop);
    for (size_t n = 1; n <= 8; n++) {
        while (node_state(w.node) != NODE_RUNNING || n_of(&w, CREATE_LEASE) <= n) {
            node_hurry(w.node);
            uv_run(&w.loop, UV_RUN_ONCE);
        }
    }
    while (*node_last_error(w.node))
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(uv_now(&w.loop) - began_ms < 25000);
    world_deinit(&w);
}

static void a_deleted_node_stays_deleted(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    w.rules[w.n_rules++] = (struct rule){ RENEW, 404, "NotFound", 0 };
    w.rules[w.n_rules++] = (struct rule){ LOOK, 404, "NotFound", 0 };
    await_state(&w, NODE_GONE);
    assert_non_null(strstr(node_last_error(w.node), "restart the agent"));
    assert_int_equal(w.states[w.n_states - 1], NODE_GONE);
    size_t n = w.n_asked;
    node_touch(w.node);
    for (int i = 0; i < 8; i++) { /* several lease intervals long nothing is asked */
        uv_sleep(50);
        uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    assert_true(w.n_asked - n <= 1); /* at most the lease request that was under way */
    assert_int_equal(n_of(&w, CREATE), 1);
    world_deinit(&w);
}

static void a_node_made_anew_is_ours_too(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    w.uid = "uid-2";
    w.rules[w.n_rules++] = (struct rule){ RENEW, 404, "NotFound", 1 };
    await(&w, LOOK, 1);
    await(&w, RENEW, n_of(&w, RENEW) + 2);
    assert_int_equal(node_state(w.node), NODE_RUNNING);
    world_deinit(&w);
}

static void the_status_is_written_when_it_changed_and_not_otherwise(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    assert_int_equal(n_of(&w, STATUS), 1);
    node_touch(w.node); /* nothing changed */
    await(&w, RENEW, 3);
    assert_int_equal(n_of(&w, STATUS), 1);
    w.object.runtime_ready = true;
    w.object.runtime_version = "containerd://1.6.20";
    node_touch(w.node);
    await(&w, STATUS, 2);
    const json_t *st = body_of(&w, STATUS, 1);
    assert_string_equal(json_str_at(st, "status.conditions[3].status", ""), "True");
    assert_string_equal(json_str_at(st, "status.nodeInfo.containerRuntimeVersion", ""),
                        "containerd://1.6.20");
    world_deinit(&w);
}

/* The cloud controller has made them its own: sent again, they would be written twice per
 * heartbeat. */
static void addresses_that_a_cloud_controller_makes_are_left_to_it(void **state)
{
    static const struct {
        const char *there;                  /* NULL: the Node is new */
        bool external_cloud, first, second; /* addresses are in that status */
    } rows[] = {
        { NULL, true, false, false },
        { NULL, false, true, true },
        { "[]", true, true, false },
        { "[{\"type\":\"Hostname\",\"address\":\"other\"}]", true, false, false },
        { "[{\"type\":\"Hostname\",\"address\":\"other\"}]", false, true, true },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        auto_free char *node = rows[i].there
                                   ? mem_printf("{\"metadata\":{\"name\":\"n1\",\"uid\":\"u\"},"
                                                "\"status\":{\"addresses\":%s}}",
                                                rows[i].there)
                                   : NULL;

        world_init(&w);
        w.object.external_cloud = rows[i].external_cloud;
        if (node) {
            w.rules[w.n_rules++] = (struct rule){ CREATE, 409, "AlreadyExists", 0 };
            w.node_json = node;
        }
        start(&w);
        await_state(&w, NODE_RUNNING);
        w.object.runtime_ready = true;
        node_touch(w.node);
        await(&w, STATUS, 2);
        assert_non_null(json_at(body_of(&w, CREATE, 0), "status.addresses[0]"));
        assert_int_equal(json_at(body_of(&w, STATUS, 0), "status.addresses") != NULL,
                         rows[i].first);
        assert_int_equal(json_at(body_of(&w, STATUS, 1), "status.addresses") != NULL,
                         rows[i].second);
        world_deinit(&w);
    }
}

static void a_failed_status_is_written_again_with_its_times(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    start(&w);
    await(&w, RENEW, 1);
    clock_set_offset_s(500); /* a later "now" */
    w.rules[w.n_rules++] = (struct rule){ STATUS, 503, "ServiceUnavailable", 1 };
    w.object.runtime_ready = true;
    node_touch(w.node);
    await(&w, STATUS, 3);
    const json_t *first = body_of(&w, STATUS, 0), *third = body_of(&w, STATUS, 2);
    assert_string_equal(json_str_at(first, "status.conditions[2].lastTransitionTime", "1"),
                        json_str_at(third, "status.conditions[2].lastTransitionTime", "2"));
    assert_string_equal(json_str_at(third, "status.conditions[3].status", ""), "True");
    clock_set_offset_s(0);
    world_deinit(&w);
}

static void it_can_be_closed_at_any_moment(void **state)
{
    (void)state;

    for (unsigned turns = 0; turns < 40; turns++) {
        struct world w;

        world_init(&w);
        start(&w);
        for (unsigned i = 0; i < turns; i++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
        world_deinit(&w);
    }
}

static void a_bad_taint_is_refused_at_once(void **state)
{
    const char *taint = "nonsense";
    struct node_config c = { 0 };
    struct world w;
    struct err e = { 0 };
    (void)state;

    world_init(&w);
    w.object.taints = &taint;
    w.object.n_taints = 1;
    c.object = &w.object;
    assert_int_equal(node_start(&w.node, &c, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "nonsense"));
    assert_null(w.node);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_node_is_created_and_its_lease_kept),
        cmocka_unit_test(a_known_node_gets_a_patch_and_keeps_its_transition_times),
        cmocka_unit_test(every_step_is_tried_again),
        cmocka_unit_test(a_lost_lease_is_made_again),
        cmocka_unit_test(a_lease_that_cannot_be_renewed_is_reported_until_it_can),
        cmocka_unit_test(after_a_long_cut_the_status_is_written_without_being_asked),
        cmocka_unit_test(a_server_in_reach_again_is_not_waited_for),
        cmocka_unit_test(a_deleted_node_stays_deleted),
        cmocka_unit_test(a_node_made_anew_is_ours_too),
        cmocka_unit_test(the_status_is_written_when_it_changed_and_not_otherwise),
        cmocka_unit_test(addresses_that_a_cloud_controller_makes_are_left_to_it),
        cmocka_unit_test(a_failed_status_is_written_again_with_its_times),
        cmocka_unit_test(it_can_be_closed_at_any_moment),
        cmocka_unit_test(a_bad_taint_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
