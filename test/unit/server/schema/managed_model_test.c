#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/status.h"
#include "server/schema/decode.h"
#include "server/schema/managed.h"

/*
 * Random writes to a ConfigMap's data, and the same writes to a small model that knows nothing of
 * sets, schemas and merges: for each key its value and who owns it.
 */
enum { KEYS_N = 4, MANAGERS_N = 3, OWNERS_N = 2 * MANAGERS_N + 1, STEPS_N = 20000 };
enum { ABSENT = 0, VALUES_N = 3 }; /* a value is 1 .. VALUES_N - 1 */
#define UPDATE_OF(m) (1u << (m))
#define APPLY_OF(m)  (1u << (MANAGERS_N + (m)))
#define BEFORE       (1u << (2 * MANAGERS_N)) /* "before-first-apply" */

struct model {
    unsigned value[KEYS_N];
    unsigned owners[KEYS_N]; /* bits */
    unsigned map_owners;     /* of data itself */
};

static bool has_data(const unsigned value[KEYS_N])
{
    for (unsigned k = 0; k < KEYS_N; k++)
        if (value[k])
            return true;
    return false;
}

static bool is_tracked(const struct model *m)
{
    unsigned all = m->map_owners;

    for (unsigned k = 0; k < KEYS_N; k++)
        all |= m->owners[k];
    return all != 0;
}

static void model_update(struct model *m, unsigned who, const unsigned value[KEYS_N], bool create)
{
    bool tracked = create || is_tracked(m), was = has_data(m->value), is = has_data(value);

    for (unsigned k = 0; k < KEYS_N; k++) {
        if (m->value[k] != value[k] && tracked)
            m->owners[k] = value[k] ? UPDATE_OF(who) : 0;
        m->value[k] = value[k];
    }
    if (was != is && tracked)
        m->map_owners = is ? UPDATE_OF(who) : 0;
}

/* The number of conflicts, one for each owner of a field that changes; above 0: nothing happened.
 */
static unsigned model_apply(struct model *m, unsigned who, const unsigned value[KEYS_N], bool force,
                            bool create)
{
    unsigned self = APPLY_OF(who), n = 0;
    bool was = has_data(m->value);
    struct model next = *m;

    if (!create && !is_tracked(&next)) {
        for (unsigned k = 0; k < KEYS_N; k++)
            next.owners[k] = next.value[k] ? BEFORE : 0;
        next.map_owners = was ? BEFORE : 0;
    }
    for (unsigned k = 0; k < KEYS_N; k++) {
        bool changes = value[k] && value[k] != next.value[k];

        n += changes ? (unsigned)__builtin_popcount(next.owners[k] & ~self) : 0;
        if (changes)
            next.owners[k] = self;
        else if (value[k])
            next.owners[k] |= self;
        if (value[k])
            next.value[k] = value[k];
        else if (next.owners[k] & self && !(next.owners[k] &= ~self))
            next.value[k] = ABSENT; /* nobody else says so */
    }
    if (!was && has_data(next.value)) { /* the map is new, and an apply does not own maps */
        n += (unsigned)__builtin_popcount(next.map_owners);
        next.map_owners = 0;
    }
    if (n && !force)
        return n;
    *m = next;
    return 0;
}

/* ---- the same in documents ---- */

static const char *const KEYS[KEYS_N] = { "a", "b", "c", "d" };
static const char *const MANAGERS[MANAGERS_N] = { "p", "q", "r" };

static json_t *doc_of(const unsigned value[KEYS_N])
{
    json_t *data = json_object();

    for (unsigned k = 0; k < KEYS_N; k++)
        if (value[k])
            json_object_set_new(data, KEYS[k], json_string(value[k] == 1 ? "1" : "2"));
    json_t *doc = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                            "metadata", "name", "x");
    if (json_object_size(data)) /* who says {} owns it: another story */
        json_object_set(doc, "data", data);
    json_decref(data);
    return doc;
}

static unsigned bit_of(const json_t *entry)
{
    const char *name = json_str_at(entry, "manager", "");
    bool applied = strcmp(json_str_at(entry, "operation", ""), "Apply") == 0;

    for (unsigned m = 0; m < MANAGERS_N; m++)
        if (strcmp(name, MANAGERS[m]) == 0)
            return applied ? APPLY_OF(m) : UPDATE_OF(m);
    assert_string_equal(name, "before-first-apply");
    return BEFORE;
}

static void assert_same(const struct model *m, const json_t *obj)
{
    const json_t *data = json_object_get(obj, "data"), *entry;
    const json_t *list = json_object_get(json_object_get(obj, "metadata"), "managedFields");
    struct model seen = { 0 };
    size_t i;

    for (unsigned k = 0; k < KEYS_N; k++) {
        const char *v = json_str_at(data, KEYS[k], "");
        seen.value[k] = *v ? (unsigned)(*v - '0') : ABSENT;
    }
    json_array_foreach(list, i, entry)
    {
        const json_t *f = json_object_get(json_object_get(entry, "fieldsV1"), "f:data");
        unsigned bit = bit_of(entry);

        assert_non_null(f); /* no entry is empty, and nothing else is owned */
        assert_int_equal(json_object_size(json_object_get(entry, "fieldsV1")), 1);
        if (json_object_size(f) == 0 || json_object_get(f, "."))
            seen.map_owners |= bit;
        for (unsigned k = 0; k < KEYS_N; k++) {
            char name[] = { 'f', ':', KEYS[k][0], '\0' };
            if (json_object_get(f, name))
                seen.owners[k] |= bit;
        }
    }
    if (memcmp(&seen, m, sizeof seen) != 0) {
        auto_free char *text = json_text(obj);
        fail_msg("%s: want values %u %u %u %u owners %x %x %x %x of the map %x", text, m->value[0],
                 m->value[1], m->value[2], m->value[3], m->owners[0], m->owners[1], m->owners[2],
                 m->owners[3], m->map_owners);
    }
}

static uint32_t seed = 1;

static unsigned below(unsigned n) /* the same run each time */
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static json_t *decoded(const struct schema_kind *k, json_t *obj_take)
{
    auto_decode_notes notes = { 0 };
    struct err e = { 0 };

    if (decode_object(k, obj_take, (struct str){ 0 }, DECODE_STRICT, &notes, &e))
        fail_msg("%s", e.text);
    return obj_take;
}

static void random_writes_are_owned_as_the_model_says(void **state)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct schema_kind *k = schema_find(schema, STR(""), STR("v1"), STR("configmaps"));
    json_t *live = NULL;
    struct model m = { 0 };
    unsigned n_refused = 0, n_untracked = 0;

    (void)state;
    for (unsigned i = 0; i < STEPS_N; i++) {
        unsigned who = below(MANAGERS_N), op = below(8), value[KEYS_N];
        struct managed_by by = { MANAGERS[who], "", "2026-01-01T00:00:00Z" };
        json_t *doc, *out = NULL;

        if (below(100) == 0) { /* another object */
            json_decref(live);
            live = NULL;
            m = (struct model){ 0 };
        }
        for (unsigned key = 0; key < KEYS_N; key++) {
            value[key] = below(VALUES_N);
            if (op < 3 && below(2)) /* updates mostly change a part */
                value[key] = m.value[key];
        }
        doc = doc_of(value);
        if (op < 3) {
            model_update(&m, who, value, !live);
            decoded(k, doc);
            managed_update(k, &by, live, doc);
            json_decref(live);
            live = doc;
        } else {
            bool force = op == 7;
            unsigned n = model_apply(&m, who, value, force, !live);
            json_auto_t *status = managed_apply(&out, k, &by, force, live, doc);

            json_decref(doc);
            n_refused += n > 0;
            assert_int_equal(
                json_array_size(json_object_get(json_object_get(status, "details"), "causes")), n);
            assert_int_equal(status != NULL, n > 0);
            if (!status) {
                json_decref(live);
                live = decoded(k, out);
            }
        }
        if (live)
            assert_same(&m, live);
        n_untracked += live && !is_tracked(&m) && has_data(m.value);
    }
    json_decref(live);
    assert_true(n_refused > STEPS_N / 20); /* the interesting cases came */
    assert_true(n_untracked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_writes_are_owned_as_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
