/* The garbage collector on the real API and store. */
#include "test/unit/server/controller/fixture.h"

#include "server/schema/schema.h"
#include <stdlib.h>
#include <time.h>

/* ---- objects that own each other ---- */

static struct local_ref map_ref(const char *name)
{
    return (struct local_ref){ .resource = "configmaps", .ns = "default", .name = name };
}

static char *uid_of(const struct local_ref *r)
{
    json_auto_t *obj = cluster_get(&c, r);

    assert_non_null(obj);
    return mem_strdup(meta_uid(obj));
}

/* A ConfigMap; owners: the inside of its ownerReferences. */
static void make_map(const char *name, const char *owners)
{
    struct local_ref r = map_ref(name);
    auto_free char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\",\"ownerReferences\":[%s]}}", name, owners);

    cluster_create(&c, &r, text);
}

static char *owned_by(const char *name, bool block)
{
    struct local_ref r = map_ref(name);
    auto_free char *uid = uid_of(&r);

    return mem_printf(
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"%s\",\"uid\":\"%s\","
        "\"blockOwnerDeletion\":%s}",
        name, uid, block ? "true" : "false");
}

static void make_child(const char *name, const char *owner)
{
    auto_free char *ref = owned_by(owner, true);

    make_map(name, ref);
}

static void delete_map(const char *name, const char *propagation)
{
    struct cluster_call k = { 0 };
    struct local_ref r = map_ref(name);
    struct local_delete_opts o = { .grace_period_s = -1, .propagation = propagation };

    local_delete(c.api, &r, &o, cluster_on_call, &k);
    cluster_until(&c, cluster_is_true, &k.done, "delete");
    if (k.code)
        fail_msg("delete %s: %s", name, k.text);
    json_decref(k.obj);
}

static void expect_gone(const char *name)
{
    struct local_ref r = map_ref(name);

    cluster_expect(&c, &r, NULL, NULL);
}

static bool is_there(const char *name)
{
    struct local_ref r = map_ref(name);
    json_auto_t *obj = cluster_get(&c, &r);

    return obj != NULL;
}

static void turn(uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms;

    while (clock_mono_ms() < until)
        uv_run(&c.loop, UV_RUN_ONCE);
}

static void dependents_follow_their_owner(void **state)
{
    (void)state;
    make_map("bg", "");
    make_child("bg-1", "bg");
    make_child("bg-2", "bg-1");
    make_map("bg-other", "");
    delete_map("bg", "Background");
    expect_gone("bg-1");
    expect_gone("bg-2");
    assert_true(is_there("bg-other"));
}

static void a_foreground_delete_waits_for_who_blocks_it(void **state)
{
    struct local_ref child = map_ref("fg-1");

    (void)state;
    make_map("fg", "");
    make_child("fg-1", "fg");
    make_child("fg-2", "fg-1");
    auto_free char *free_ref = owned_by("fg", false);
    make_map("fg-free", free_ref);
    cluster_patch(&c, &child, "{\"metadata\":{\"finalizers\":[\"test/hold\"]}}");
    delete_map("fg", "Foreground");
    expect_gone("fg-2"); /* behind the one that is held */
    cluster_expect(&c, &child, "metadata.deletionTimestamp", "*");
    expect_gone("fg-free");
    turn(100);
    assert_true(is_there("fg"));
    json_auto_t *held = cluster_get(&c, &child);
    /* it had a dependent itself: its own finalizer is gone by now, the test's is not */
    assert_string_equal(json_str_at(held, "metadata.finalizers[0]", ""), "test/hold");
    cluster_patch(&c, &child, "{\"metadata\":{\"finalizers\":null}}");
    expect_gone("fg-1");
    expect_gone("fg");
}

static void who_does_not_block_is_not_waited_for(void **state)
{
    (void)state;
    make_map("nb", "");
    auto_free char *free_ref = owned_by("nb", false);
    make_map("nb-1", free_ref);
    struct local_ref child = map_ref("nb-1");
    cluster_patch(&c, &child, "{\"metadata\":{\"finalizers\":[\"test/hold\"]}}");
    delete_map("nb", "Foreground");
    expect_gone("nb");
    cluster_expect(&c, &child, "metadata.deletionTimestamp", "*");
    cluster_patch(&c, &child, "{\"metadata\":{\"finalizers\":null}}");
    expect_gone("nb-1");
}

static void orphans_stay_without_their_owner(void **state)
{
    (void)state;
    make_map("or", "");
    for (int i = 0; i < 40; i++) {
        auto_free char *name = mem_printf("or-%d", i);
        make_child(name, "or");
    }
    delete_map("or", "Orphan");
    expect_gone("or");
    for (int i = 0; i < 40; i++) {
        auto_free char *name = mem_printf("or-%d", i);
        struct local_ref r = map_ref(name);
        json_auto_t *obj = cluster_get(&c, &r);

        assert_non_null(obj);
        assert_null(json_at(obj, "metadata.ownerReferences"));
    }
}

static void one_owner_left_is_enough(void **state)
{
    struct local_ref child = map_ref("two-1");

    (void)state;
    make_map("two-a", "");
    make_map("two-b", "");
    auto_free char *a = owned_by("two-a", true), *b = owned_by("two-b", true);
    auto_free char *both = mem_printf("%s,%s", a, b);
    make_map("two-1", both);
    delete_map("two-a", "Background");
    cluster_expect(&c, &child, "metadata.ownerReferences[0].name", "two-b"); /* the first is out */
    delete_map("two-b", "Foreground");
    expect_gone("two-1");
    expect_gone("two-b");
}

static void an_owner_of_another_uid_is_none(void **state)
{
    (void)state;
    make_map("uid", "");
    make_map("uid-1", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"uid\",\"uid\":"
                      "\"00000000-0000-0000-0000-000000000001\"}");
    expect_gone("uid-1");
    assert_true(is_there("uid"));
    make_map("uid-2", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"never\",\"uid\":"
                      "\"00000000-0000-0000-0000-000000000002\"}");
    expect_gone("uid-2");
}

static void owners_of_unknown_kinds_are_not_thought_dead(void **state)
{
    (void)state;
    make_map("kind-1",
             "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"name\":\"w\",\"uid\":"
             "\"00000000-0000-0000-0000-000000000003\"}");
    turn(500);
    assert_true(is_there("kind-1"));
}

static bool event_about(const char *reason, const char *name)
{
    struct cluster_call k = { 0 };
    struct local_ref r = { .resource = "events" };
    bool found = false;
    json_t *ev;
    size_t i;

    local_list(c.api, &r, NULL, cluster_on_call, &k);
    cluster_until(&c, cluster_is_true, &k.done, "list");
    json_array_foreach(json_object_get(k.obj, "items"), i, ev)
    {
        found = found || (strcmp(json_str_at(ev, "reason", ""), reason) == 0 &&
                          strcmp(json_str_at(ev, "involvedObject.name", ""), name) == 0);
    }
    json_decref(k.obj);
    return found;
}

static bool was_told(void *arg)
{
    return event_about("OwnerRefInvalidNamespace", arg);
}

static void owners_in_other_namespaces_are_refused(void **state)
{
    struct local_ref ns = { .resource = "namespaces", .name = "far" };
    struct local_ref far = { .resource = "configmaps", .ns = "far", .name = "far" };
    struct local_ref class = { .group = "node.k8s.io", .resource = "runtimeclasses", .name = "rc" };

    (void)state;
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"far\"}}");
    make_map("near", "");
    auto_free char *own = owned_by("near", false);
    auto_free char *first =
        mem_printf("{\"metadata\":{\"name\":\"far\",\"ownerReferences\":[%s]}}", own);
    cluster_create(&c, &far, first); /* "near" is not in its namespace */
    cluster_expect(&c, &far, NULL, NULL);
    cluster_until(&c, was_told, (void *)(uintptr_t) "far", "the event");
    /* a cluster-scoped object cannot have a namespaced owner at all: it is left alone */
    auto_free char *second = mem_printf(
        "{\"metadata\":{\"name\":\"rc\",\"ownerReferences\":[%s]},\"handler\":\"h\"}", own);
    cluster_create(&c, &class, second);
    delete_map("near", "Background");
    cluster_until(&c, was_told, (void *)(uintptr_t) "rc", "the event");
    turn(100);
    json_auto_t *kept = cluster_get(&c, &class);
    assert_non_null(kept);
}

static void two_that_own_each_other_go_together(void **state)
{
    static const char *const ways[] = { "Foreground", "Background" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct local_ref a = map_ref("ring-a");

        make_map("ring-a", "");
        make_child("ring-b", "ring-a");
        auto_free char *b = owned_by("ring-b", true);
        auto_free char *patch = mem_printf("{\"metadata\":{\"ownerReferences\":[%s]}}", b);
        cluster_patch(&c, &a, patch);
        delete_map("ring-a", ways[i]);
        expect_gone("ring-a");
        expect_gone("ring-b");
    }
}

static void what_was_left_is_collected_after_a_restart(void **state)
{
    (void)state;
    make_map("down", "");
    make_child("down-1", "down");
    make_map("up", "");
    make_child("up-1", "up");
    make_map("half", "");
    make_child("half-1", "half");
    rig_stop(&c, cs);
    delete_map("down", "Background");
    delete_map("half", "Foreground");
    cs = rig_start(&c);
    expect_gone("down-1");
    expect_gone("half-1");
    expect_gone("half");
    assert_true(is_there("up-1"));
}

static void on_stored(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    (void)rev;
    (void)failed;
    (void)current;
    assert_null(e);
    *(bool *)arg = true;
}

static void kinds_that_come_later_are_collected_too(void **state)
{
    static const char value[] =
        "{\"kind\":\"Widget\",\"apiVersion\":\"example.com/v1\",\"metadata\":{\"name\":\"w\","
        "\"namespace\":\"default\",\"uid\":\"00000000-0000-0000-0000-000000000004\","
        "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"never\","
        "\"uid\":\"00000000-0000-0000-0000-000000000005\"}]}}";
    struct schema *schema = (struct schema *)(uintptr_t)api_schema(c.api);
    struct store_op op = { .kind = STORE_CREATE,
                           .key = STR("/registry/example.com/widgets/default/w"),
                           .value = str_of(value) };
    struct local_ref widget = {
        .group = "example.com", .resource = "widgets", .ns = "default", .name = "w"
    };
    static struct schema_kind kind;
    bool done = false;

    (void)state;
    store_commit(c.store, &op, 1, on_stored, &done);
    cluster_until(&c, cluster_is_true, &done, "the store has it");
    turn(100);
    kind = *schema_find(schema, STR(""), STR("v1"), STR("configmaps"));
    kind.group = kind.storage_group = "example.com";
    kind.kind = "Widget";
    kind.plural = "widgets";
    kind.singular = "widget";
    assert_true(schema_add(schema, &kind));
    json_auto_t *there = cluster_get(&c, &widget);
    assert_non_null(there);
    make_map("news", ""); /* anything that happens */
    cluster_expect(&c, &widget, NULL, NULL);
    schema_remove(schema, &kind);
}

/* ---- random graphs against a model ---- */

#define OBJECTS 40
#define OWNERS  3

static uint64_t seed;

static unsigned draw(unsigned n) /* xorshift64* (Marsaglia, Vigna) */
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * 2685821657736338717ULL) >> 33) % n;
}

/* What should be: objects by number, with the numbers of their owners (-1: none). */
static struct {
    bool there;
    int owners[OWNERS];
} model[OBJECTS];

static const char *kind_of(int i)
{
    return i % 2 ? "Secret" : "ConfigMap";
}

static struct local_ref ref_of(int i, char name[16])
{
    snprintf(name, 16, "o%d", i);
    return (struct local_ref){ .resource = i % 2 ? "secrets" : "configmaps",
                               .ns = "graph",
                               .name = name };
}

static bool owns(int i, int owner)
{
    for (int k = 0; k < OWNERS; k++)
        if (model[i].owners[k] == owner)
            return true;
    return false;
}

static void cut_owner(int i, int owner)
{
    for (int k = 0; k < OWNERS; k++)
        if (model[i].owners[k] == owner)
            model[i].owners[k] = -1;
}

/* Who has owners and none that is there goes too; who has one loses the others. */
static void model_settle(void)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < OBJECTS; i++) {
            int n = 0, alive = 0;

            for (int k = 0; k < OWNERS && model[i].there; k++) {
                n += model[i].owners[k] >= 0;
                alive += model[i].owners[k] >= 0 && model[model[i].owners[k]].there;
            }
            if (n && !alive) {
                model[i].there = false;
                changed = true;
            }
        }
    }
    for (int i = 0; i < OBJECTS; i++)
        for (int k = 0; k < OWNERS; k++)
            if (model[i].owners[k] >= 0 && !model[model[i].owners[k]].there)
                model[i].owners[k] = -1;
}

/* The references of object i as it should have them, as JSON. */
static char *refs_text(int i)
{
    auto_buf b = BUF(4096);

    assert_int_equal(buf_addc(&b, '['), 0);
    for (int k = 0; k < OWNERS; k++) {
        char name[16];

        if (model[i].owners[k] < 0)
            continue;
        struct local_ref r = ref_of(model[i].owners[k], name);
        auto_free char *uid = uid_of(&r);
        assert_int_equal(
            buf_addf(&b,
                     "%s{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"name\":\"%s\",\"uid\":"
                     "\"%s\",\"blockOwnerDeletion\":%s}",
                     b.n > 1 ? "," : "", kind_of(model[i].owners[k]), name, uid,
                     draw(2) ? "true" : "false"),
            0);
    }
    assert_int_equal(buf_addc(&b, ']'), 0);
    return buf_take(&b);
}

static void add_random(int i)
{
    char name[16];
    struct local_ref r = ref_of(i, name);
    unsigned n = draw(OWNERS + 1);

    model[i].there = true;
    for (unsigned k = 0; k < OWNERS; k++) {
        int owner = k < n ? (int)draw(OBJECTS) : -1;

        model[i].owners[k] =
            owner >= 0 && owner != i && model[owner].there && !owns(i, owner) ? owner : -1;
    }
    auto_free char *refs = refs_text(i);
    auto_free char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\",\"ownerReferences\":%s}}", name, refs);
    cluster_create(&c, &r, text);
}

/* One more owner for one that is there, perhaps its own dependent: rings are allowed. */
static void own_random(void)
{
    int i = (int)draw(OBJECTS), owner = (int)draw(OBJECTS);
    char name[16];

    if (!model[i].there || !model[owner].there || i == owner || owns(i, owner) ||
        model[i].owners[OWNERS - 1] >= 0)
        return;
    model[i].owners[OWNERS - 1] = owner;
    struct local_ref r = ref_of(i, name);
    auto_free char *refs = refs_text(i);
    auto_free char *patch = mem_printf("{\"metadata\":{\"ownerReferences\":%s}}", refs);
    cluster_patch(&c, &r, patch);
}

static void delete_random(void)
{
    static const char *const ways[] = { "Background", "Foreground", "Orphan" };
    unsigned way = draw(ARRAY_LEN(ways));
    int i = (int)draw(OBJECTS);
    char name[16];
    struct local_ref r = ref_of(i, name);
    struct local_delete_opts o = { .grace_period_s = -1, .propagation = ways[way] };
    struct cluster_call k = { 0 };

    if (!model[i].there)
        return;
    model[i].there = false;
    for (int d = 0; way == 2 && d < OBJECTS; d++)
        cut_owner(d, i);
    model_settle();
    local_delete(c.api, &r, &o, cluster_on_call, &k);
    cluster_until(&c, cluster_is_true, &k.done, "delete");
    assert_int_equal(k.code, 0);
    json_decref(k.obj);
}

static bool is_as_modelled(void *arg)
{
    const char **why = arg;

    for (int i = 0; i < OBJECTS; i++) {
        char name[16];
        struct local_ref r = ref_of(i, name);
        json_auto_t *obj = cluster_get(&c, &r);
        size_t n = 0;

        for (int k = 0; k < OWNERS; k++)
            n += model[i].there && model[i].owners[k] >= 0;
        *why = (obj != NULL) != model[i].there ? (obj ? "is still there" : "is gone")
               : obj && json_array_size(json_at(obj, "metadata.ownerReferences")) != n
                   ? "has other owners"
                   : NULL;
        if (*why)
            return false;
    }
    return true;
}

static void expect_model(unsigned step)
{
    uint64_t until = clock_mono_ms() + 30000;
    const char *why = NULL;

    while (!is_as_modelled(&why)) {
        if (clock_mono_ms() > until)
            fail_msg("step %u: an object %s", step, why);
        uv_run(&c.loop, UV_RUN_ONCE);
    }
}

static void random_graphs_end_as_the_model_says(void **state)
{
    struct local_ref ns = { .resource = "namespaces", .name = "graph" };
    const char *given = getenv("FAULT_SEED"), *why = NULL;

    (void)state;
    seed =
        given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
    print_message("FAULT_SEED=%llu\n", (unsigned long long)seed);
    seed |= 1;
    cluster_create(&c, &ns, "{\"metadata\":{\"name\":\"graph\"}}");
    for (unsigned step = 0; step < 12; step++) {
        for (int i = 0; i < OBJECTS; i++)
            if (!model[i].there)
                add_random(i);
        for (unsigned i = 0; i < 6; i++)
            own_random();
        for (unsigned i = 0; i < 3; i++) {
            delete_random();
            expect_model(step);
        }
    }
    turn(300); /* nothing else happens */
    assert_true(is_as_modelled(&why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dependents_follow_their_owner),
        cmocka_unit_test(a_foreground_delete_waits_for_who_blocks_it),
        cmocka_unit_test(who_does_not_block_is_not_waited_for),
        cmocka_unit_test(orphans_stay_without_their_owner),
        cmocka_unit_test(one_owner_left_is_enough),
        cmocka_unit_test(an_owner_of_another_uid_is_none),
        cmocka_unit_test(owners_of_unknown_kinds_are_not_thought_dead),
        cmocka_unit_test(owners_in_other_namespaces_are_refused),
        cmocka_unit_test(two_that_own_each_other_go_together),
        cmocka_unit_test(what_was_left_is_collected_after_a_restart),
        cmocka_unit_test(kinds_that_come_later_are_collected_too),
        cmocka_unit_test(random_graphs_end_as_the_model_says),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
