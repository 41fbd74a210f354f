/* Several candidates on one API, as several servers on one datastore are. */
#include "test/unit/server/cluster.h"

#include "server/boot/election.h"

static void who_may_take_the_lease(void **state)
{
    static const struct {
        const char *before, *holder;
        uint64_t unchanged_ms;
        enum election_step step;
    } rows[] = {
        { NULL, NULL, 0, ELECTION_CREATE },
        { NULL, "me_2", 0, ELECTION_RENEW },
        { NULL, "me_2", 100000, ELECTION_RENEW },
        { "me_", "me_2", 0, ELECTION_RENEW },
        { NULL, "", 0, ELECTION_TAKE }, /* given up */
        { "me_", "me_1", 0, ELECTION_TAKE },
        { NULL, "me_1", 0, ELECTION_WAIT },
        { "me_", "me", 0, ELECTION_WAIT },
        { "me_", "other_1", 0, ELECTION_WAIT },
        { NULL, "other_1", ELECTION_DURATION_MS - 1, ELECTION_WAIT },
        { NULL, "other_1", ELECTION_DURATION_MS, ELECTION_TAKE },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(
            election_decide("me_2", rows[i].before, rows[i].holder, rows[i].unchanged_ms),
            rows[i].step);
    assert_true(ELECTION_RENEW_MS <
                ELECTION_DURATION_MS); /* who lost it stops before others begin */
}

struct candidate {
    struct election *el;
    bool leads, closed;
    unsigned n_elected, n_lost;
};

static void on_elected(void *arg)
{
    struct candidate *k = arg;

    k->leads = true;
    k->n_elected++;
}
static void on_lost(void *arg)
{
    struct candidate *k = arg;

    k->leads = false;
    k->n_lost++;
}

static void candidate_start_as(struct candidate *k, struct cluster *c, const char *node,
                               const char *id)
{
    *k = (struct candidate){ .leads = false };
    election_start(&k->el, &(struct election_config){ .loop = &c->loop,
                                                      .api = c->api,
                                                      .node = node,
                                                      .id = id,
                                                      .on_elected = on_elected,
                                                      .on_lost = on_lost,
                                                      .arg = k });
}
static void candidate_start(struct candidate *k, struct cluster *c, const char *node)
{
    candidate_start_as(k, c, node, NULL);
}
static void candidate_close(struct candidate *k, struct cluster *c)
{
    election_close(k->el, cluster_raise, &k->closed);
    cluster_until(c, cluster_is_true, &k->closed, "the candidate ends");
}

static void one_leads_and_the_next_follows_when_it_gives_up(void **state)
{
    struct candidate k[3];
    struct cluster c;
    (void)state;

    cluster_open(&c);
    candidate_start(&k[0], &c, "srv1");
    cluster_until(&c, cluster_is_true, &k[0].leads, "the first leads");
    candidate_start(&k[1], &c, "srv2");
    candidate_start(&k[2], &c, "srv2"); /* the same name twice is two candidates all the same */
    for (uint64_t end = uv_now(&c.loop) + 3000; uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_true(election_is_leader(k[0].el));
    assert_int_equal(k[1].n_elected + k[2].n_elected, 0);
    candidate_close(&k[0], &c);
    for (uint64_t end = uv_now(&c.loop) + 60000;
         k[1].n_elected + k[2].n_elected == 0 && uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(k[1].n_elected + k[2].n_elected, 1);
    assert_int_equal(k[0].n_lost, 0); /* who closes is not told */
    candidate_close(&k[1], &c);
    candidate_close(&k[2], &c);
    cluster_close(&c);
}

/* Killed, it gave nothing up: its Lease looks as if it lived. */
static void a_start_after_a_kill_takes_its_own_lease_at_once(void **state)
{
    struct candidate killed, other, again;
    struct cluster c;
    uint64_t began_ms;
    (void)state;

    cluster_open(&c);
    candidate_start_as(&killed, &c, "srv1", "id1");
    cluster_until(&c, cluster_is_true, &killed.leads, "it leads");
    candidate_start_as(&other, &c, "srv2", "id2");
    candidate_start_as(&again, &c, "srv1", "id1");
    began_ms = uv_now(&c.loop);
    cluster_until(&c, cluster_is_true, &again.leads, "its next start leads");
    assert_true(uv_now(&c.loop) - began_ms < ELECTION_DURATION_MS);
    assert_int_equal(other.n_elected, 0);
    /* were it not dead, but a copy with the same id: one stops, and stays stopped */
    for (uint64_t end = uv_now(&c.loop) + 60000; !killed.n_lost && uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    for (uint64_t end = uv_now(&c.loop) + 5000; uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_true(again.leads && again.n_lost == 0);
    assert_true(!killed.leads && killed.n_elected == 1);
    candidate_close(&killed, &c);
    candidate_close(&other, &c);
    candidate_close(&again, &c);
    cluster_close(&c);
}

static void who_finds_the_lease_with_another_stops(void **state)
{
    const struct local_ref lease = { .group = "coordination.k8s.io",
                                     .resource = "leases",
                                     .ns = "kube-system",
                                     .name = "coracle-controllers" };
    json_auto_t *steal = json_pack("{s:{s:s}}", "spec", "holderIdentity", "thief");
    struct cluster_call call = { .done = false };
    struct candidate k;
    struct cluster c;
    (void)state;

    cluster_open(&c);
    candidate_start(&k, &c, "srv1");
    cluster_until(&c, cluster_is_true, &k.leads, "it leads");
    local_patch(c.api, &lease, LOCAL_PATCH_MERGE, steal, cluster_on_call, &call);
    cluster_until(&c, cluster_is_true, &call.done, "the lease is stolen");
    assert_int_equal(call.code, 0);
    json_decref(call.obj);
    for (uint64_t end = uv_now(&c.loop) + 60000; !k.n_lost && uv_now(&c.loop) < end;)
        uv_run(&c.loop, UV_RUN_ONCE);
    assert_int_equal(k.n_lost, 1);
    assert_false(election_is_leader(k.el));
    candidate_close(&k, &c);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_take_the_lease),
        cmocka_unit_test(one_leads_and_the_next_follows_when_it_gives_up),
        cmocka_unit_test(a_start_after_a_kill_takes_its_own_lease_at_once),
        cmocka_unit_test(who_finds_the_lease_with_another_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
