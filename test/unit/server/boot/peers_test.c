/* Several servers on one API. */
#include "test/unit/server/cluster.h"

#include "server/boot/peers.h"

struct server {
    struct peers *p;
    unsigned n_changes;
    bool closed;
};

static void on_change(void *arg)
{
    struct server *s = arg;

    s->n_changes++;
}

static void server_start(struct server *s, struct cluster *c, const char *ip)
{
    *s = (struct server){ .n_changes = 0 };
    peers_start(&s->p, &(struct peers_config){ .loop = &c->loop,
                                               .api = c->api,
                                               .own_ip = ip,
                                               .on_change = on_change,
                                               .arg = s,
                                               .forget_ms = PEERS_DEAD_MS + 2000 });
}
static void server_close(struct server *s, struct cluster *c)
{
    peers_close(s->p, cluster_raise, &s->closed);
    cluster_until(c, cluster_is_true, &s->closed, "the server leaves");
}

static size_t live(const struct server *s)
{
    const char *ips[8];

    return peers_live(s->p, ips, ARRAY_LEN(ips));
}
static void until_live(struct cluster *c, const struct server *s, size_t n)
{
    for (uint64_t end = uv_now(&c->loop) + 60000; live(s) != n && uv_now(&c->loop) < end;)
        uv_run(&c->loop, UV_RUN_ONCE);
    assert_int_equal(live(s), n);
}

static void servers_see_each_other_come_and_go(void **state)
{
    const char *ips[8];
    struct server a, b;
    struct cluster c;
    (void)state;

    cluster_open(&c);
    server_start(&a, &c, "10.0.0.1");
    assert_int_equal(live(&a), 1);
    server_start(&b, &c, "fd00::2");
    until_live(&c, &a, 2);
    until_live(&c, &b, 2);
    assert_int_equal(peers_live(b.p, ips, 8), 2);
    assert_string_equal(ips[0], "fd00::2"); /* the own one first */
    assert_string_equal(ips[1], "10.0.0.1");
    assert_int_equal(peers_live(b.p, ips, 1), 1);
    assert_int_equal(a.n_changes, 1);
    server_close(&b, &c); /* in order: no wait until it is missed */
    until_live(&c, &a, 1);
    assert_int_equal(a.n_changes, 2);
    server_close(&a, &c);
    cluster_close(&c);
}

static void until_gone(struct cluster *c, const struct local_ref *ref)
{
    for (uint64_t end = uv_now(&c->loop) + 60000; uv_now(&c->loop) < end;) {
        json_auto_t *lease = cluster_get(c, ref);

        if (!lease)
            return;
        uv_run(&c->loop, UV_RUN_ONCE);
    }
    fail_msg("the lease of a dead server stays");
}

static void a_lease_that_is_long_dead_is_no_server(void **state)
{
    const struct local_ref ref = { .group = "coordination.k8s.io",
                                   .resource = "leases",
                                   .ns = "kube-system",
                                   .name = "coracle-10.0.0.9-server" };
    json_auto_t *lease =
        json_pack("{s:{s:s, s:s, s:{s:s}}, s:{s:s, s:s}}", "metadata", "name", ref.name,
                  "namespace", ref.ns, "labels", "coracle.io/component", "server", "spec",
                  "holderIdentity", "10.0.0.9", "renewTime", "2020-01-01T00:00:00.000000Z");
    json_auto_t *renewed =
        json_pack("{s:{s:s}}", "spec", "renewTime", "2020-01-01T00:00:05.000000Z");
    struct cluster_call call = { .done = false };
    struct server a;
    struct cluster c;
    (void)state;

    cluster_open(&c);
    local_create(c.api, &ref, lease, cluster_on_call, &call);
    cluster_until(&c, cluster_is_true, &call.done, "the lease is made");
    json_decref(call.obj);
    server_start(&a, &c, "10.0.0.1");
    for (uint64_t end = uv_now(&c.loop) + 1000; uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(live(&a), 1);
    call = (struct cluster_call){ .done = false };
    local_patch(c.api, &ref, LOCAL_PATCH_MERGE, renewed, cluster_on_call, &call);
    until_live(&c, &a, 2); /* it moves: it lives, whatever its clock says */
    cluster_until(&c, cluster_is_true, &call.done, "the lease is renewed");
    json_decref(call.obj);
    until_live(&c, &a, 1); /* and falls silent again */
    until_gone(&c, &ref);  /* for so long that nobody need remember it */
    server_close(&a, &c);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_see_each_other_come_and_go),
        cmocka_unit_test(a_lease_that_is_long_dead_is_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
