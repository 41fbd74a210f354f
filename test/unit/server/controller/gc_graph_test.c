/* Who owns whom: what the graph keeps, and whom it asks to be looked at. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "server/controller/gc_graph.h"
#include "server/schema/schema.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const struct schema_kind maps = {
    .group = "", .version = "v1", .kind = "ConfigMap", .plural = "configmaps", .namespaced = true
};

static struct gc_graph *g;
static struct buf looked; /* "a b ": who was to be looked at */

static void on_look(void *arg, const char *uid)
{
    (void)arg;
    assert_int_equal(buf_addf(&looked, "%s ", uid), 0);
}

static bool served = true;

static bool on_is_listed(void *arg, const struct schema_kind *k)
{
    (void)arg;
    return k == &maps && served;
}

static int setup(void **state)
{
    static const struct gc_graph_events events = { on_look, on_is_listed };

    (void)state;
    looked = BUF(1024 * 1024);
    gc_graph_new(&g, &events, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gc_graph_free(g);
    buf_deinit(&looked);
    return 0;
}

static struct gc_owner owner(const char *name, bool block)
{
    return (struct gc_owner){ .uid = str_of(name),
                              .name = str_of(name),
                              .api_version = STR("v1"),
                              .kind = STR("ConfigMap"),
                              .found = &maps,
                              .block = block };
}

/* An object whose name is its uid. flags: 'd' deleting, 'o' orphan, 'f' foreground. */
static void see(const char *ns, const char *name, const struct gc_owner *owners, size_t n_owners,
                const char *flags)
{
    struct gc_object o = { .kind = &maps,
                           .ns = str_of(ns),
                           .name = str_of(name),
                           .uid = str_of(name),
                           .deleting = strchr(flags, 'd') != NULL,
                           .orphan = strchr(flags, 'o') != NULL,
                           .foreground = strchr(flags, 'f') != NULL,
                           .owners = owners,
                           .n_owners = n_owners };

    gc_graph_see(g, &o);
}

static void expect_looked(const char *want)
{
    assert_string_equal(buf_cstr(&looked), want);
    buf_clear(&looked);
}

static void who_neither_owns_nor_is_owned_costs_nothing(void **state)
{
    struct gc_owner a = owner("a", false);

    (void)state;
    see("n", "a", NULL, 0, "");
    see("n", "b", NULL, 0, "d");
    assert_int_equal(gc_graph_len(g), 0);
    see("n", "c", &a, 1, "");
    assert_int_equal(gc_graph_len(g), 2); /* itself and its owner */
    see("n", "c", NULL, 0, "");
    assert_int_equal(gc_graph_len(g), 0);
    see("n", "d", NULL, 0, "do"); /* waits for the collector */
    assert_int_equal(gc_graph_len(g), 1);
    gc_graph_gone(g, "d");
    assert_int_equal(gc_graph_len(g), 0);
}

static void an_unseen_owner_is_looked_at_first(void **state)
{
    struct gc_owner a = owner("a", false);

    (void)state;
    see("n", "c", &a, 1, "");
    expect_looked("a ");
    see("n", "d", &a, 1, "");
    expect_looked(""); /* it is on its way */
    see("n", "a", NULL, 0, "");
    expect_looked(""); /* all is well */
    gc_graph_gone(g, "a");
    expect_looked("c d ");
    see("n", "e", &a, 1, "");
    expect_looked("e "); /* it will not come back */
    assert_true(gc_graph_find(g, "a")->gone);
}

static void an_owner_that_is_not_found_makes_its_dependents_suspect(void **state)
{
    struct gc_owner a = owner("a", false);

    (void)state;
    see("n", "c", &a, 1, "");
    expect_looked("a ");
    gc_graph_not_found(g, "a");
    expect_looked("c ");
    see("n", "a", NULL, 0, ""); /* it was elsewhere, and comes to light */
    expect_looked("");
    assert_false(gc_graph_find(g, "a")->absent);
}

static void an_owner_in_another_namespace_is_suspect(void **state)
{
    struct gc_owner a = owner("a", false);

    (void)state;
    see("n", "c", &a, 1, "");
    see("m", "d", &a, 1, "");
    expect_looked("a ");
    see("m", "a", NULL, 0, "");
    expect_looked("c ");
    a.name = STR("other");
    see("m", "e", &a, 1, ""); /* the same uid under another name */
    expect_looked("e ");
}

static void a_deletion_in_the_foreground_concerns_both_sides(void **state)
{
    struct gc_owner a = owner("a", true);

    (void)state;
    see("n", "a", NULL, 0, "");
    see("n", "c", &a, 1, "");
    see("n", "a", NULL, 0, "");
    expect_looked("a ");
    see("n", "a", NULL, 0, "df");
    expect_looked("a c ");
    gc_graph_gone(g, "c");
    expect_looked("a "); /* it waited for that */
    gc_graph_gone(g, "a");
    assert_int_equal(gc_graph_len(g), 0);
}

static void what_a_new_list_lacks_is_gone(void **state)
{
    struct gc_owner a = owner("a", false), b = owner("b", false);

    (void)state;
    see("n", "c", &a, 1, "");
    see("n", "d", &b, 1, "");
    see("n", "a", NULL, 0, "");
    see("n", "b", NULL, 0, "");
    expect_looked("a b ");
    gc_graph_list_begin(g);
    see("n", "a", NULL, 0, "");
    see("n", "c", &a, 1, "");
    see("n", "d", &b, 1, "");
    gc_graph_list_end(g);
    expect_looked("d ");
    assert_true(gc_graph_find(g, "b")->gone);
    assert_true(gc_graph_find(g, "a")->observed);
}

static void what_is_not_listed_is_not_thought_gone(void **state)
{
    struct gc_owner a = owner("a", false);

    (void)state;
    see("n", "c", &a, 1, "");
    see("n", "a", NULL, 0, "");
    expect_looked("a ");
    served = false;
    gc_graph_list_begin(g);
    gc_graph_list_end(g);
    served = true;
    expect_looked("");
    assert_true(gc_graph_find(g, "a")->observed);
}

static void who_owns_itself_can_stop_to(void **state)
{
    struct gc_owner self[] = { owner("a", true), owner("a", false) };

    (void)state;
    see("n", "a", self, 2, "");
    assert_int_equal(gc_graph_len(g), 1);
    see("n", "a", NULL, 0, "");
    assert_int_equal(gc_graph_len(g), 0);
    see("n", "a", self, 2, "");
    gc_graph_gone(g, "a");
    assert_int_equal(gc_graph_len(g), 0);
}

/* ---- random objects, deaths and lists against a plain model ---- */

#define OBJECTS 30
static uint64_t seed = 88172645463325252ULL;
static struct {
    bool there, job;
    int owners[2];
} model[OBJECTS];

static unsigned draw(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static void tell(int i)
{
    static char names[OBJECTS][8];
    struct gc_owner owners[2];
    size_t n = 0;

    for (int k = 0; k < OBJECTS; k++)
        snprintf(names[k], sizeof names[k], "o%d", k);
    for (int k = 0; k < 2; k++)
        if (model[i].owners[k] >= 0)
            owners[n++] = owner(names[model[i].owners[k]], draw(2));
    see("n", names[i], owners, n, model[i].job ? "df" : "");
}

static void expect_nodes(void)
{
    size_t n = 0;

    for (int i = 0; i < OBJECTS; i++) {
        bool referred = false, has = false;
        char name[8];

        for (int k = 0; k < OBJECTS; k++)
            referred = referred ||
                       (model[k].there && (model[k].owners[0] == i || model[k].owners[1] == i));
        has =
            model[i].there && (model[i].job || model[i].owners[0] >= 0 || model[i].owners[1] >= 0);
        snprintf(name, sizeof name, "o%d", i);
        assert_int_equal(gc_graph_find(g, name) != NULL, referred || has);
        n += referred || has;
    }
    assert_int_equal(gc_graph_len(g), n);
}

static void random_lives_leave_the_nodes_that_are_needed(void **state)
{
    (void)state;
    for (int step = 0; step < 20000; step++) {
        int i = (int)draw(OBJECTS);
        char name[8];

        snprintf(name, sizeof name, "o%d", i);
        if (draw(200) == 0) {
            gc_graph_list_begin(g);
            for (int k = 0; k < OBJECTS; k++) {
                if (draw(4) == 0)
                    model[k].there = false;
                else if (model[k].there)
                    tell(k);
            }
            gc_graph_list_end(g);
        } else if (draw(3) == 0) {
            model[i].there = false;
            gc_graph_gone(g, name);
        } else {
            model[i].there = true;
            model[i].job = draw(8) == 0;
            for (int k = 0; k < 2; k++)
                model[i].owners[k] = draw(2) ? (int)draw(OBJECTS) : -1;
            tell(i);
        }
        buf_clear(&looked);
        expect_nodes();
    }
}

static void ten_thousand_pods_cost_little(void **state)
{
    size_t before = mallinfo2().uordblks, n = 10000;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        char uid[40], name[40], set[40], set_name[40];

        snprintf(uid, sizeof uid, "6a3c1c52-0d8e-4a77-9b1f-%012zx", i);
        snprintf(name, sizeof name, "shop-frontend-5d8f7c9b6d-%05zu", i);
        snprintf(set, sizeof set, "0b7e2a11-55aa-4c3d-8e2f-%012zx", i / 50);
        snprintf(set_name, sizeof set_name, "shop-frontend-%zu", i / 50);
        struct gc_owner o = { .uid = str_of(set),
                              .name = str_of(set_name),
                              .api_version = STR("apps/v1"),
                              .kind = STR("ReplicaSet"),
                              .block = true };
        struct gc_object pod = { .kind = &maps,
                                 .ns = STR("shop"),
                                 .name = str_of(name),
                                 .uid = str_of(uid),
                                 .owners = &o,
                                 .n_owners = 1 };
        gc_graph_see(g, &pod);
    }
    size_t each = (mallinfo2().uordblks - before) / n;
    print_message("%zu bytes for each object with an owner\n", each);
    if (each) /* an allocator that does not count says 0 */
        assert_in_range(each, 1, 450);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_neither_owns_nor_is_owned_costs_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_unseen_owner_is_looked_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_that_is_not_found_makes_its_dependents_suspect,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_in_another_namespace_is_suspect, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deletion_in_the_foreground_concerns_both_sides, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_new_list_lacks_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_listed_is_not_thought_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(who_owns_itself_can_stop_to, setup, teardown),
        cmocka_unit_test_setup_teardown(random_lives_leave_the_nodes_that_are_needed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_pods_cost_little, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
