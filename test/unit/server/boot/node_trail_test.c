#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "server/boot/node_trail.h"

#include <stdio.h>

#define N 1795338000 /* some now */

static struct node_trail *t;

static int setup(void **state)
{
    (void)state;
    node_trail_new(&t, N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_trail_free(t);
    return 0;
}

struct want {
    int64_t at;
    enum trail_from from;
    bool up;
    enum cause cause;
    const char *text;
};

static void expect(const char *node, const struct want *want, size_t n_want)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    size_t n = node_trail_events(t, node, got, ARRAY_LEN(got));

    for (size_t i = 0; i < n; i++)
        if (i >= n_want || got[i].at_unix_s != want[i].at || got[i].from != want[i].from ||
            got[i].up != want[i].up || got[i].cause != want[i].cause ||
            strcmp(got[i].text, want[i].text) != 0)
            fail_msg("event %zu: %lld %s %s %s %s", i, (long long)got[i].at_unix_s - N,
                     trail_from_name(got[i].from), got[i].up ? "up" : "down",
                     cause_name(got[i].cause), got[i].text);
    assert_int_equal(n, n_want);
}
#define EXPECT(node, ...)                                                                          \
    do {                                                                                           \
        static const struct want w_[] = { __VA_ARGS__ };                                           \
        expect(node, w_, ARRAY_LEN(w_));                                                           \
    } while (0)

static struct node_report report(uint64_t began_ago_ms, uint64_t lasted_ms, const char *text)
{
    struct node_report r = { .run = "0123456789abcdef", .now_unix_s = N, .n_spells = 1 };

    r.spells[0] = (struct node_spell){ CAUSE_DNS, began_ago_ms, lasted_ms, false, 3, "" };
    snprintf(r.spells[0].text, sizeof r.spells[0].text, "%s", text);
    return r;
}

static void what_happens_is_kept_in_order(void **state)
{
    static const struct trail_object first = { .kubelet_port = 10250 },
                                     seen = { .kubelet_port = 10250, .is_news = true };
    static const struct want nothing[1];
    struct node_report r = report(28000, 25000, "resolve x: no such name");
    (void)state;

    node_trail_object(t, "old", &first, N); /* was there before the server: nothing happened */
    assert_true(node_trail_facts(t, "old")->has_object);
    expect("old", nothing, 0);
    node_trail_object(t, "n", &seen, N);
    node_trail_tunnel(t, "n", true, "192.0.2.7:1 (coracle.v1)", N + 1);
    node_trail_kubelet(t, "n", CAUSE_NONE, "", N + 2); /* it always did */
    node_trail_kubelet(t, "n", CAUSE_KUBELET, "refused", N + 3);
    node_trail_kubelet(t, "n", CAUSE_KUBELET, "refused still", N + 4);
    assert_string_equal(node_trail_facts(t, "n")->kubelet_text, "refused still");
    node_trail_kubelet(t, "n", CAUSE_NONE, "", N + 5);
    node_trail_lease(t, "n", 0, N + 6); /* it was never stale */
    node_trail_tunnel(t, "n", false, "silent", N + 10);
    node_trail_lease(t, "n", N + 9, N + 50);
    node_trail_lease(t, "n", N + 9, N + 51);
    node_trail_tunnel(t, "n", true, "192.0.2.7:2 (coracle.v1)", N + 60);
    node_trail_lease(t, "n", 0, N + 61);
    node_trail_report(t, "n", &r, N + 62);
    node_trail_object(t, "n", NULL, N + 70);
    EXPECT("n", { N, TRAIL_SERVER, true, CAUSE_NODE, "registered" },
           { N + 1, TRAIL_SERVER, true, CAUSE_SESSION, "192.0.2.7:1 (coracle.v1)" },
           { N + 3, TRAIL_SERVER, false, CAUSE_KUBELET, "refused" },
           { N + 5, TRAIL_SERVER, true, CAUSE_KUBELET, "it answers again" },
           { N + 10, TRAIL_SERVER, false, CAUSE_SESSION, "silent" },
           { N + 34, TRAIL_AGENT, false, CAUSE_DNS, "resolve x: no such name" },
           { N + 50, TRAIL_SERVER, false, CAUSE_LEASE, "not renewed any more" },
           { N + 60, TRAIL_SERVER, true, CAUSE_SESSION, "192.0.2.7:2 (coracle.v1)" },
           { N + 61, TRAIL_SERVER, true, CAUSE_LEASE, "renewed again" },
           { N + 70, TRAIL_SERVER, false, CAUSE_NODE, "the Node object was deleted" });
    const struct node_facts *f = node_trail_facts(t, "n");
    assert_false(f->has_object);
    assert_int_equal(f->deleted_unix_s, N + 70);
    assert_int_equal(f->away, CAUSE_DNS);
    assert_int_equal(f->away_from_unix_s, N + 34);
    assert_int_equal(f->away_until_unix_s, N + 59);
    struct trail_event last[2];
    assert_int_equal(node_trail_events(t, "n", last, 2), 2); /* the newest ones */
    assert_int_equal(last[1].at_unix_s, N + 70);
}

static void a_report_of_the_same_run_replaces_the_one_before(void **state)
{
    struct node_report r = report(10000, 5000, "one");
    (void)state;

    node_trail_report(t, "n", &r, N + 10);
    r.n_spells = 2;
    r.spells[0].began_ago_ms = 20000;
    r.spells[1] = r.spells[0];
    r.spells[1].began_ago_ms = 4000;
    r.spells[1].lasted_ms = 1000;
    snprintf(r.spells[1].text, sizeof r.spells[1].text, "two");
    node_trail_report(t, "n", &r, N + 20);
    node_trail_report(t, "n", &r, N + 20);
    EXPECT("n", { N, TRAIL_AGENT, false, CAUSE_DNS, "one" },
           { N + 16, TRAIL_AGENT, false, CAUSE_DNS, "two" });
    /* the agent was started again: what it told before stays */
    r = report(3000, 1000, "three");
    r.run[0] = 'f';
    node_trail_report(t, "n", &r, N + 30);
    EXPECT("n", { N, TRAIL_AGENT, false, CAUSE_DNS, "one" },
           { N + 16, TRAIL_AGENT, false, CAUSE_DNS, "two" },
           { N + 27, TRAIL_AGENT, false, CAUSE_DNS, "three" });
    r.n_spells = 0; /* nothing left to tell of this run */
    node_trail_report(t, "n", &r, N + 31);
    EXPECT("n", { N, TRAIL_AGENT, false, CAUSE_DNS, "one" },
           { N + 16, TRAIL_AGENT, false, CAUSE_DNS, "two" });
}

static void the_clock_is_compared(void **state)
{
    struct node_report r = report(1, 1, "x");
    (void)state;

    r.now_unix_s = 7; /* no clock chip */
    node_trail_report(t, "n", &r, N);
    assert_true(node_trail_facts(t, "n")->clock_known);
    assert_int_equal(node_trail_facts(t, "n")->clock_ahead_s, 7 - N);
}

/* Two absences within a minute: what explained the first says nothing of the second. */
static void an_absence_before_explains_nothing(void **state)
{
    struct node_report r = report(30000, 20000, "of the first"); /* it ended 10 s ago */
    (void)state;

    node_trail_tunnel(t, "n", true, "192.0.2.7:1", N - 9);
    node_trail_tunnel(t, "n", false, "reset", N - 5);
    r.n_spells = 2;
    r.spells[1] = (struct node_spell){ CAUSE_TLS, 4000, 3000, false, 1, "of the second" };
    node_trail_tunnel(t, "n", true, "192.0.2.7:2", N - 1);
    node_trail_report(t, "n", &r, N);
    assert_int_equal(node_trail_facts(t, "n")->away, CAUSE_TLS);
}

/* Its time is known to a second: the tunnel between them may have lasted as little. */
static void a_tunnel_of_two_seconds_parts_two_absences(void **state)
{
    struct node_report r = report(10000, 2000, "of the first"); /* it ended 8 s ago */
    (void)state;

    node_trail_tunnel(t, "n", true, "192.0.2.7:1", N - 9);
    node_trail_tunnel(t, "n", false, "reset", N - 7);
    r.n_spells = 2;
    r.spells[1] = (struct node_spell){ CAUSE_TLS, 4000, 1000, false, 1, "of the second" };
    node_trail_tunnel(t, "n", true, "192.0.2.7:2", N - 2);
    node_trail_report(t, "n", &r, N);
    assert_int_equal(node_trail_facts(t, "n")->away, CAUSE_TLS);
}

static void of_what_kept_it_away_the_most_telling_is_named(void **state)
{
    struct node_report r = { .run = "0123456789abcdef", .now_unix_s = N, .n_spells = 5 };
    (void)state;

    r.spells[0] = (struct node_spell){ CAUSE_TLS, 9000000, 800000, false, 1, "long before" };
    r.spells[1] = (struct node_spell){ CAUSE_LEASE, 100000, 98000, false, 9, "an effect" };
    r.spells[2] = (struct node_spell){ CAUSE_TCP, 20000, 5000, false, 2, "refused" };
    r.spells[3] = (struct node_spell){ CAUSE_DNS, 15000, 13000, false, 4, "no such name" };
    r.spells[4] = (struct node_spell){ CAUSE_TCP, 99000, 99000, true, 40, "another server" };
    node_trail_tunnel(t, "n", true, "192.0.2.7:1", N - 2);
    node_trail_report(t, "n", &r, N);
    assert_int_equal(node_trail_facts(t, "n")->away, CAUSE_DNS);
    r.n_spells = 2; /* an effect is better than nothing */
    node_trail_report(t, "n", &r, N);
    assert_int_equal(node_trail_facts(t, "n")->away, CAUSE_LEASE);
    node_trail_tunnel(t, "n", false, "silent", N + 500);
    node_trail_tunnel(t, "n", true, "192.0.2.7:1", N + 510); /* not told why yet */
    assert_int_equal(node_trail_facts(t, "n")->away, CAUSE_NONE);
}

/* ---- bounds ---- */

static void a_ring_keeps_the_newest(void **state)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    (void)state;

    for (int i = 0; i < 500; i++)
        node_trail_tunnel(t, "n", i % 2 == 0, "x", N + i);
    assert_int_equal(node_trail_events(t, "n", got, ARRAY_LEN(got)), TRAIL_EVENTS_MAX);
    assert_int_equal(got[0].at_unix_s, N + 500 - TRAIL_EVENTS_MAX);
    assert_int_equal(got[TRAIL_EVENTS_MAX - 1].at_unix_s, N + 499);
}

static void agents_push_out_nothing_of_the_server(void **state)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    size_t n_server = 0, n;
    (void)state;

    for (int i = 0; i < TRAIL_EVENTS_MAX; i++)
        node_trail_tunnel(t, "n", i % 2 == 0, "x", N + i);
    for (int i = 0; i < 300; i++) {
        struct node_report r = report(1000, 1, "lies");
        snprintf(r.run, sizeof r.run, "%016x", i);
        node_trail_report(t, "n", &r, N + 100 + i);
    }
    n = node_trail_events(t, "n", got, ARRAY_LEN(got));
    assert_int_equal(n, 2 * TRAIL_EVENTS_MAX);
    for (size_t i = 0; i < n; i++)
        n_server += got[i].from == TRAIL_SERVER;
    assert_int_equal(n_server, TRAIL_EVENTS_MAX);
}

static void the_node_longest_without_news_goes(void **state)
{
    char name[32];
    (void)state;

    node_trail_tunnel(t, "connected", true, "x", N); /* the oldest, but it is there */
    for (int i = 0; i < TRAIL_NODES_MAX + 100; i++) {
        snprintf(name, sizeof name, "n%d", i);
        node_trail_tunnel(t, name, false, "x", N + i);
        assert_true(node_trail_n_nodes(t) <= TRAIL_NODES_MAX);
    }
    assert_non_null(node_trail_facts(t, "connected"));
    assert_null(node_trail_facts(t, "n0"));
    assert_null(node_trail_facts(t, "n100"));
    assert_non_null(node_trail_facts(t, "n101"));
    /* all of them there: one has to go all the same */
    for (int i = 0; i < 2 * TRAIL_NODES_MAX; i++) {
        snprintf(name, sizeof name, "m%d", i);
        node_trail_tunnel(t, name, true, "x", N + i);
        assert_true(node_trail_n_nodes(t) <= TRAIL_NODES_MAX);
    }
}

/* ---- hostile claims ---- */

static void claims_are_limited(void **state)
{
    char name[32];
    size_t n = 0;
    (void)state;

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        node_trail_claim(t, name, CAUSE_TOKEN, "x", false, N);
        n += node_trail_facts(t, name) != NULL;
    }
    assert_int_equal(n, TRAIL_CLAIMS_BURST);
    node_trail_claim(t, "later", CAUSE_TOKEN, "x", false, N + 1);
    assert_non_null(node_trail_facts(t, "later"));
    node_trail_claim(t, "back", CAUSE_TOKEN, "x", false, N - 99999); /* the clock was set back */
    assert_non_null(node_trail_facts(t, "back"));
}

static void claimed_names_have_places_of_their_own(void **state)
{
    char name[32];
    const char *each;
    size_t n = 0;
    (void)state;

    node_trail_tunnel(t, "real", true, "192.0.2.7:1", N);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        node_trail_claim(t, name, CAUSE_TOKEN, "x", false, N + i);
    }
    for (size_t i = 0; node_trail_next(t, &i, &each);)
        n++;
    assert_int_equal(n, TRAIL_CLAIMED_MAX + 1);
    assert_int_equal(node_trail_n_nodes(t), 1);
    assert_non_null(node_trail_facts(t, "real"));
    assert_null(node_trail_facts(t, "c0"));
    assert_non_null(node_trail_facts(t, "c2999"));
}

static void claims_change_nothing_that_was_proved(void **state)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    struct node_facts before;
    static const enum cause causes[] = { CAUSE_TOKEN, CAUSE_TLS, CAUSE_PASSWORD,
                                         CAUSE_CLOCK, CAUSE_DNS, CAUSE_TCP };
    size_t n, n_claims = 0;
    (void)state;

    for (int i = 0; i < TRAIL_EVENTS_MAX; i++)
        node_trail_tunnel(t, "n", i % 2 == 1, "x", N + i);
    before = *node_trail_facts(t, "n");
    for (int i = 0; i < 6000; i++)
        node_trail_claim(t, "n", causes[i % 6], "lies", i % 2, N + 100 + i / 10);
    const struct node_facts *f = node_trail_facts(t, "n");
    assert_true(f->connected == before.connected && f->tunnel_unix_s == before.tunnel_unix_s &&
                f->tunnel_text == before.tunnel_text && !f->refused.cause && !f->kubelet);
    assert_true(f->claimed.cause != CAUSE_NONE && f->with_token.cause != CAUSE_NONE);
    n = node_trail_events(t, "n", got, ARRAY_LEN(got));
    for (size_t i = 0; i < n; i++)
        n_claims += got[i].from == TRAIL_CLAIM;
    assert_int_equal(n_claims, TRAIL_CLAIM_EVENTS_MAX);
    assert_int_equal(n, TRAIL_EVENTS_MAX + TRAIL_CLAIM_EVENTS_MAX);
}

static void the_same_claim_counts_up(void **state)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    (void)state;

    for (int i = 0; i < 7; i++)
        node_trail_claim(t, "n", CAUSE_PASSWORD, i < 6 ? "from 192.0.2.8" : "from 192.0.2.9", true,
                         N + i);
    assert_int_equal(node_trail_events(t, "n", got, ARRAY_LEN(got)), 1);
    assert_int_equal(got[0].n_times, 7);
    assert_int_equal(got[0].at_unix_s, N);
    assert_int_equal(got[0].until_unix_s, N + 6);
    assert_string_equal(got[0].text, "from 192.0.2.9");
    assert_int_equal(node_trail_facts(t, "n")->with_token.n_times, 7);
    /* proved later: the name moves over, and what was refused before is only an event */
    node_trail_tunnel(t, "n", true, "192.0.2.9:1", N + 10);
    assert_int_equal(node_trail_n_nodes(t), 1);
    assert_int_equal(node_trail_facts(t, "n")->with_token.cause, CAUSE_NONE);
    assert_int_equal(node_trail_events(t, "n", got, ARRAY_LEN(got)), 2);
    node_trail_claim(t, "n", CAUSE_PASSWORD, "from 192.0.2.9", true, N + 20);
    assert_int_equal(node_trail_facts(t, "n")->with_token.n_times, 1);
}

static void refusals_of_the_node_itself_count_up_too(void **state)
{
    struct trail_event got[TRAIL_MERGED_MAX];
    (void)state;

    node_trail_tunnel(t, "n", false, "silent", N);
    for (int i = 1; i < 400; i++)
        node_trail_refused(t, "n", CAUSE_TLS, "expired", N + i);
    assert_int_equal(node_trail_events(t, "n", got, ARRAY_LEN(got)), 2);
    assert_int_equal(got[1].n_times, 399);
    assert_int_equal(got[1].until_unix_s, N + 399);
    assert_int_equal(node_trail_facts(t, "n")->refused.n_times, 399);
}

static void texts_are_cleaned_and_cut(void **state)
{
    static char text[5000];
    struct trail_event got[TRAIL_MERGED_MAX];
    (void)state;

    memset(text, '\x1b', sizeof text - 1);
    node_trail_tunnel(t, "n", false, text, N);
    node_trail_claim(t, "n", CAUSE_TOKEN, text, false, N);
    assert_int_equal(node_trail_events(t, "n", got, ARRAY_LEN(got)), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(strlen(got[i].text) < NODE_SPELL_TEXT_BYTES);
        assert_null(strchr(got[i].text, '\x1b'));
    }
    assert_null(strchr(node_trail_facts(t, "n")->tunnel_text, '\x1b'));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_happens_is_kept_in_order),
        TEST(a_report_of_the_same_run_replaces_the_one_before),
        TEST(the_clock_is_compared),
        TEST(an_absence_before_explains_nothing),
        TEST(a_tunnel_of_two_seconds_parts_two_absences),
        TEST(of_what_kept_it_away_the_most_telling_is_named),
        TEST(a_ring_keeps_the_newest),
        TEST(agents_push_out_nothing_of_the_server),
        TEST(the_node_longest_without_news_goes),
        TEST(claims_are_limited),
        TEST(claimed_names_have_places_of_their_own),
        TEST(claims_change_nothing_that_was_proved),
        TEST(the_same_claim_counts_up),
        TEST(refusals_of_the_node_itself_count_up_too),
        TEST(texts_are_cleaned_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
