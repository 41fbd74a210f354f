#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "lb/server_set.h"

#define I LB_INVALID
#define F LB_FAILED
#define S LB_STANDBY
#define U LB_UNCHECKED
#define R LB_RECOVERING
#define H LB_HEALTHY
#define P LB_PREFERRED
#define A LB_ACTIVE

/* The table of the protocol page, one row a state: outcome per event, '*' in close = all closed. */
static void the_transition_table_is_the_documented_one(void **state)
{
    static const struct {
        enum lb_state from;
        size_t n_conns;
        uint64_t in_state_ms;
        enum lb_state next[LB_N_EVENTS]; /* dial ok, dial fail, check ok, check fail */
        bool closes_on_failure;
    } rows[] = {
        { I, 0, 0, { I, I, I, I }, false },    { F, 0, 0, { R, F, R, F }, false },
        { S, 0, 0, { S, S, S, S }, false },    { U, 0, 0, { R, F, R, F }, false },
        { R, 0, 0, { R, F, P, F }, false },    { R, 3, 0, { R, F, A, F }, false },
        { H, 0, 0, { A, F, H, F }, true },     { P, 0, 60000, { A, F, P, F }, true },
        { P, 0, 60001, { A, F, H, F }, true }, { A, 5, 99999, { A, F, A, F }, true },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int ev = 0; ev < LB_N_EVENTS; ev++) {
            bool closes;
            enum lb_state next = lb_next_state(rows[i].from, (enum lb_event)ev, rows[i].n_conns,
                                               rows[i].in_state_ms, &closes);
            assert_int_equal(next, rows[i].next[ev]);
            assert_int_equal(closes, rows[i].closes_on_failure &&
                                         (ev == LB_DIAL_FAIL || ev == LB_CHECK_FAIL));
        }
}

/* ---- a model: the rules of the page written naively, compared after every step ----------------
 */

enum { N = 4 };

struct model {
    enum lb_state st[N]; /* LB_INVALID: not a member */
    size_t conns[N];
    uint64_t since[N];
    bool reached[N];
    int dflt; /* -1: none */
};

static const char *const names[N] = { "a:1", "b:1", "c:1", "d:1" };

static void model_close(struct model *m, int i)
{
    m->conns[i] = 0;
}

static void model_move(struct model *m, int i, enum lb_state s, uint64_t now)
{
    if (m->st[i] != s) {
        m->st[i] = s;
        m->since[i] = now;
    }
}

static void model_event(struct model *m, int i, enum lb_event ev, uint64_t now)
{
    bool close;
    enum lb_state next = lb_next_state(m->st[i], ev, m->conns[i], now - m->since[i], &close);

    if (next != A || m->st[i] == A) {
        model_move(m, i, next, now);
        if (close)
            model_close(m, i);
        return;
    }
    for (int k = 0; k < N; k++)
        if (k != i && m->st[k] == A && m->conns[k] > m->conns[i]) {
            model_move(m, i, P, now);
            model_close(m, i);
            return;
        }
    model_move(m, i, A, now);
    for (int k = 0; k < N; k++) {
        if (k == i || m->st[k] == U || m->st[k] == P || m->st[k] == I)
            continue;
        if (m->st[k] == A)
            model_move(m, k, P, now);
        model_close(m, k);
    }
}

static void model_list(struct model *m, unsigned mask, uint64_t now)
{
    for (int i = 0; i < N; i++) {
        bool want = mask >> i & 1;
        if (want && (m->st[i] == I || m->st[i] == S)) {
            model_move(m, i, U, now);
        } else if (!want && m->st[i] != I && m->st[i] != S) {
            model_move(m, i, i == m->dflt ? S : I, now);
            model_close(m, i);
        }
    }
}

static void model_default(struct model *m, int i, uint64_t now)
{
    if (i == m->dflt)
        return;
    if (m->dflt >= 0 && m->st[m->dflt] == S) {
        model_move(m, m->dflt, I, now);
        model_close(m, m->dflt);
    }
    m->dflt = i;
    if (i >= 0 && m->st[i] == I)
        model_move(m, i, S, now);
}

static void close_conns(void *arg, struct lb_server *s)
{
    (void)arg;
    s->n_conns = 0;
}

/* The rule of the page, pair by pair: may a come before b? */
static bool may_precede(const struct lb_server *a, const struct lb_server *b)
{
    if (a->state == S && a->reached && b->state == U)
        return !b->reached;
    if (b->state == S && b->reached && a->state == U)
        return a->reached;
    if (a->state != b->state)
        return a->state > b->state;
    if (a->reached != b->reached)
        return a->reached;
    return a->n_conns >= b->n_conns;
}

static void check_same(const struct lb_server_set *set, const struct model *m)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(set, order), n_model = 0;
    size_t n_active = 0;

    for (int i = 0; i < N; i++) {
        const struct lb_server *s = lb_server_set_find(set, str_of(names[i]));
        assert_int_equal(s ? s->state : I, m->st[i]);
        if (s) {
            assert_int_equal(s->n_conns, m->conns[i]);
            assert_int_equal(s->reached, m->reached[i]);
        }
        n_model += m->st[i] != I;
        n_active += m->st[i] == A;
    }
    assert_int_equal(n, n_model);
    assert_true(n_active <= 1);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            assert_true(may_precede(order[i], order[k]));
    if (m->dflt >= 0) /* the seed is never forgotten */
        assert_non_null(lb_server_set_find(set, str_of(names[m->dflt])));
}

static void random_walks_agree_with_the_model(void **state)
{
    unsigned seen[LB_N_STATES][LB_N_EVENTS] = { { 0 } };
    (void)state;

    srand(7);
    for (int walk = 0; walk < 300; walk++) {
        struct model m = { .dflt = -1 };
        struct lb_server_set *set;
        uint64_t now = 1000;

        lb_server_set_new(&set, close_conns, NULL);
        for (int step = 0; step < 300; step++) {
            int i = rand() % N;
            struct lb_server *s = lb_server_set_find(set, str_of(names[i]));
            now += (uint64_t)(rand() % 40000);
            switch (rand() % 8) {
            case 0: {
                unsigned mask = (unsigned)rand() % (1 << N);
                struct str list[N];
                size_t n = 0;
                for (int k = 0; k < N; k++)
                    if (mask >> k & 1)
                        list[n++] = str_of(names[k]);
                lb_server_set_addresses(set, list, n, now);
                model_list(&m, mask, now);
                break;
            }
            case 1:
                i = rand() % 8 ? i : -1;
                lb_server_set_default(set, i < 0 ? STR("") : str_of(names[i]), now);
                model_default(&m, i, now);
                break;
            case 2:
                if (s && s->state != I) {
                    s->n_conns++;
                    m.conns[i]++;
                }
                break;
            default:
                if (s) {
                    enum lb_event ev = (enum lb_event)(rand() % LB_N_EVENTS);
                    seen[s->state][ev]++;
                    lb_server_set_event(set, s, ev, NULL, now);
                    model_event(&m, i, ev, now);
                    m.reached[i] = ev == LB_DIAL_OK || ev == LB_CHECK_OK;
                }
            }
            for (int k = 0; k < N; k++) /* who comes back is a stranger */
                if (m.st[k] == I)
                    m.reached[k] = false;
            check_same(set, &m);
        }
        lb_server_set_free(set);
    }
    for (int s = LB_FAILED; s < LB_N_STATES; s++) /* every state met every event */
        for (int ev = 0; ev < LB_N_EVENTS; ev++)
            assert_true(seen[s][ev] > 0);
}

static void the_default_stands_by_when_the_list_drops_it(void **state)
{
    struct str list[] = { STR("b:1"), STR("a:1") };
    struct lb_server *order[LB_SERVERS_MAX + 1];
    struct lb_server_set *set;
    (void)state;

    lb_server_set_new(&set, NULL, NULL);
    lb_server_set_default(set, STR("a:1"), 0);
    assert_int_equal(lb_server_set_listed(set, order), 0);
    assert_true(lb_server_set_addresses(set, list, 2, 1));
    assert_int_equal(lb_server_set_listed(set, order), 2);
    assert_true(lb_server_set_addresses(set, list, 1, 2));
    assert_false(lb_server_set_addresses(set, list, 1, 3)); /* a STANDBY default does not count */
    assert_int_equal(lb_server_set_find(set, STR("a:1"))->state, LB_STANDBY);
    assert_int_equal(lb_server_set_order(set, order), 2);
    assert_string_equal(order[1]->address, "a:1");
    lb_server_set_free(set);
}

static void what_is_only_listed_comes_after_a_default_that_was_reached(void **state)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    struct lb_server_set *set;
    struct str list[] = { STR("private:1") };
    (void)state;

    lb_server_set_new(&set, NULL, NULL);
    lb_server_set_default(set, STR("seed:1"), 0);
    lb_server_set_event(set, lb_server_set_find(set, STR("seed:1")), LB_DIAL_OK, NULL, 1);
    lb_server_set_addresses(set, list, 1, 2);
    assert_int_equal(lb_server_set_order(set, order), 2);
    assert_string_equal(order[0]->address, "seed:1");
    lb_server_set_event(set, lb_server_set_find(set, list[0]), LB_CHECK_OK, NULL, 3);
    assert_int_equal(lb_server_set_order(set, order), 2);
    assert_string_equal(order[0]->address, "private:1");
    lb_server_set_event(set, lb_server_set_find(set, list[0]), LB_CHECK_FAIL, NULL, 4);
    assert_int_equal(lb_server_set_order(set, order), 2);
    assert_string_equal(order[0]->address, "seed:1");
    lb_server_set_free(set);
}

static void more_servers_than_the_maximum_are_left_out(void **state)
{
    struct str list[LB_SERVERS_MAX + 10];
    char text[LB_SERVERS_MAX + 10][16];
    struct lb_server *order[LB_SERVERS_MAX + 1];
    struct lb_server_set *set;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        snprintf(text[i], sizeof text[i], "10.0.0.%zu:1", i);
        list[i] = str_of(text[i]);
    }
    lb_server_set_new(&set, NULL, NULL);
    lb_server_set_addresses(set, list, ARRAY_LEN(list), 0);
    assert_int_equal(lb_server_set_order(set, order), LB_SERVERS_MAX);
    lb_server_set_default(set, STR("seed:1"), 0); /* still finds room */
    assert_int_equal(lb_server_set_order(set, order), LB_SERVERS_MAX + 1);
    lb_server_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_transition_table_is_the_documented_one),
        cmocka_unit_test(random_walks_agree_with_the_model),
        cmocka_unit_test(the_default_stands_by_when_the_list_drops_it),
        cmocka_unit_test(what_is_only_listed_comes_after_a_default_that_was_reached),
        cmocka_unit_test(more_servers_than_the_maximum_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
