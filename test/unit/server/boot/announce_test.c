/* One server's address in the endpoints, while no controllers run. */
#include "test/unit/server/cluster.h"

#include "server/boot/announce.h"

static const struct local_ref endpoints = { .resource = "endpoints",
                                            .ns = "default",
                                            .name = "kubernetes" };
static const struct local_ref slice = {
    .group = "discovery.k8s.io", .resource = "endpointslices", .ns = "default", .name = "kubernetes"
};

static void until_ips(struct cluster *c, const char *want)
{
    char got[128] = "";

    for (uint64_t end = uv_now(&c->loop) + 30000; uv_now(&c->loop) < end;) {
        json_auto_t *e = cluster_get(c, &endpoints), *s = cluster_get(c, &slice);

        snprintf(got, sizeof got, "%s %s | %s %s",
                 json_str_at(e, "subsets[0].addresses[0].ip", "-"),
                 json_str_at(e, "subsets[0].addresses[1].ip", "-"),
                 json_str_at(s, "endpoints[0].addresses[0]", "-"),
                 json_str_at(s, "endpoints[1].addresses[0]", "-"));
        if (strcmp(got, want) == 0)
            return;
        uv_run(&c->loop, UV_RUN_ONCE);
    }
    fail_msg("%s, not %s", got, want);
}

static void make_objects(struct cluster *c, const char *ip)
{
    auto_free char *e = mem_printf("{\"metadata\":{\"name\":\"kubernetes\"},\"subsets\":[{"
                                   "\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":"
                                   "\"https\",\"port\":6443,\"protocol\":\"TCP\"}]}]}",
                                   ip);
    auto_free char *s = mem_printf("{\"metadata\":{\"name\":\"kubernetes\"},\"addressType\":"
                                   "\"IPv4\",\"endpoints\":[{\"addresses\":[\"%s\"]}],"
                                   "\"ports\":[{\"name\":\"https\",\"port\":6443}]}",
                                   ip);

    cluster_create(c, &endpoints, e);
    cluster_create(c, &slice, s);
}

static void announce(struct announce **a, struct cluster *c, const char *ip)
{
    announce_start(a, &(struct announce_config){
                          .loop = &c->loop, .api = c->api, .ip = ip, .port = 6443, .look_ms = 50 });
}

static void stop(struct announce *a, struct cluster *c)
{
    bool closed = false;

    announce_close(a, cluster_raise, &closed);
    cluster_until(c, cluster_is_true, &closed, "it ends");
}

static void a_server_that_nobody_adds_adds_itself_and_takes_nobody_away(void **state)
{
    struct announce *a;
    struct cluster c;
    (void)state;

    cluster_open(&c);
    announce(&a, &c, "10.0.0.2"); /* there is nothing yet: the controllers make it */
    for (uint64_t end = uv_now(&c.loop) + 500; uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_null(cluster_get(&c, &endpoints));
    make_objects(&c, "10.0.0.1");
    until_ips(&c, "10.0.0.1 10.0.0.2 | 10.0.0.1 10.0.0.2");
    stop(a, &c);
    cluster_close(&c);
}

static void who_is_there_writes_nothing(void **state)
{
    struct announce *a;
    struct cluster c;
    int64_t before;
    (void)state;

    cluster_open(&c);
    make_objects(&c, "10.0.0.1");
    before = store_revision(c.store);
    announce(&a, &c, "10.0.0.1");
    for (uint64_t end = uv_now(&c.loop) + 1000; uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(store_revision(c.store), before);
    stop(a, &c);
    cluster_close(&c);
}

static void it_can_be_closed_at_any_moment(void **state)
{
    struct announce *a;
    struct cluster c;
    (void)state;

    cluster_open(&c);
    make_objects(&c, "10.0.0.1");
    for (int turns = 0; turns < 20; turns++) {
        announce(&a, &c, "10.0.0.2");
        for (int i = 0; i < turns; i++)
            uv_run(&c.loop, UV_RUN_NOWAIT);
        stop(a, &c);
    }
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_nobody_adds_adds_itself_and_takes_nobody_away),
        cmocka_unit_test(who_is_there_writes_nothing),
        cmocka_unit_test(it_can_be_closed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
