#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "base/kube/metadata.h"

#include <string.h>

#define CM    "/api/v1/namespaces/default/configmaps"
#define ADMIN "admin+system:masters"

static const char *at(const struct answer *a, const char *path)
{
    return json_str_at(a->doc, path, "");
}

static struct answer apply(const char *target, const char *yaml)
{
    return ask_as(&h, ADMIN, "PATCH", target, "application/apply-patch+yaml", NULL, yaml);
}

static void expect(struct answer a, int code, const char *path, const char *value)
{
    if (a.code != code || (path && strcmp(at(&a, path), value) != 0))
        fail_msg("want %d %s=%s, got %d: %s", code, path ? path : "", value ? value : "", a.code,
                 buf_cstr(&a.body));
    answer_deinit(&a);
}

#define HEAD "apiVersion: v1\nkind: ConfigMap\n"

/* handlers/patch.go, applyPatcher, and meta/v1/validation, ValidatePatchOptions. */
static void what_cannot_be_applied_is_refused(void **state)
{
    static const struct {
        const char *query, *body;
        int code;
        const char *message;
    } rows[] = {
        { "", HEAD "metadata: {name: r}\n", 422,
          "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
          "apply patch" },
        { "?fieldManager=a%0Ab", HEAD, 422,
          "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\nb\": "
          "invalid "
          "character U+000A (at position 1)" },
        { "?fieldManager=a", "a: [", 400, NULL },
        { "?fieldManager=a", "[]", 400, NULL },
        { "?fieldManager=a", "apiVersion: v1\nkind: Secret\nmetadata: {name: r}\n", 400,
          "invalid object type: /v1, Kind=Secret" },
        { "?fieldManager=a", "apiVersion: v2\nkind: ConfigMap\nmetadata: {name: r}\n", 400,
          "invalid object type: /v2, Kind=ConfigMap" },
        { "?fieldManager=a", HEAD "metadata: {name: other}\n", 400,
          "the name of the object (other) does not match the name on the URL (r)" },
        { "?fieldManager=a", HEAD "metadata: {}\n", 400, "name must be provided in the object" },
        { "?fieldManager=a", HEAD "metadata: {name: r, namespace: kube-system}\n", 400, NULL },
        { "?fieldManager=a", HEAD "metadata: {name: r, uid: x}\n", 409,
          "Operation cannot be fulfilled on configmaps \"r\": uid mismatch: the provided object "
          "specified uid x, and no existing object was found" },
        { "?fieldManager=a", HEAD "metadata: {name: r, resourceVersion: '1'}\n", 409, NULL },
        { "?fieldManager=a", HEAD "metadata: {name: r, managedFields: []}\n", 400,
          "metadata.managedFields must be nil" },
        { "?fieldManager=a", HEAD "metadata: {name: r}\ndata: {a: 1}\n", 500,
          "failed to create typed patch object (/r; /v1, Kind=ConfigMap): .data.a: expected "
          "string, "
          "got &value.valueUnstructured{Value:1}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *target = mem_printf(CM "/r%s", rows[i].query);

        expect(apply(target, rows[i].body), rows[i].code, rows[i].message ? "message" : NULL,
               rows[i].message);
    }
    expect(ask(&h, "GET", CM "/r", NULL), 404, NULL, NULL);
    expect(ask_as(&h, ADMIN, "PATCH", CM "/r?fieldManager=a", "application/apply-patch+cbor", NULL,
                  "x"),
           415, "reason", "UnsupportedMediaType");
    expect(
        ask_as(&h, ADMIN, "PATCH", CM "/r?force=true", "application/merge-patch+json", NULL, "{}"),
        422, "details.causes[0].message", "Forbidden: may not be specified for non-apply patch");
    expect(apply("/api/v1/namespaces/absent/configmaps/r?fieldManager=a",
                 HEAD "metadata: {name: r}\n"),
           404, "details.name", "absent");
}

static void an_apply_makes_an_object_once(void **state)
{
    auto_answer made = apply(CM "/c?fieldManager=a", HEAD "metadata: {name: c}\ndata: {k: v}\n");
    auto_answer again = apply(CM "/c?fieldManager=a", HEAD "metadata: {name: c}\ndata: {k: v}\n");

    (void)state;
    assert_int_equal(made.code, 201);
    assert_int_equal(again.code, 200);
    assert_true(json_equal(made.doc, again.doc)); /* the version too */
    assert_string_equal(at(&made, "metadata.managedFields[0].operation"), "Apply");
    assert_string_equal(at(&made, "metadata.namespace"), "default");
    assert_int_equal(strlen(at(&made, "metadata.uid")), 36);
    expect(apply(CM "/dry?fieldManager=a&dryRun=All", HEAD "metadata: {name: dry}\n"), 201, NULL,
           NULL);
    expect(ask(&h, "GET", CM "/dry", NULL), 404, NULL, NULL);
}

static void a_conflict_names_every_field(void **state)
{
    (void)state;
    expect(apply(CM "/f?fieldManager=a", HEAD "metadata: {name: f}\ndata: {k: v, l: v}\n"), 201,
           NULL, NULL);
    auto_answer no =
        apply(CM "/f?fieldManager=b", HEAD "metadata: {name: f}\ndata: {k: w, l: w}\n");
    assert_int_equal(no.code, 409);
    assert_string_equal(at(&no, "reason"), "Conflict");
    assert_string_equal(
        at(&no, "message"),
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.k\n- .data.l");
    assert_string_equal(at(&no, "details.causes[1].reason"), "FieldManagerConflict");
    assert_string_equal(at(&no, "details.causes[1].message"), "conflict with \"a\"");
    assert_string_equal(at(&no, "details.causes[1].field"), ".data.l");
    expect(
        apply(CM "/f?fieldManager=b&force=true", HEAD "metadata: {name: f}\ndata: {k: w, l: w}\n"),
        200, "data.k", "w");
    /* a version that is not the object's */
    expect(apply(CM "/f?fieldManager=b", HEAD "metadata: {name: f, resourceVersion: '1'}\n"), 409,
           "reason", "Conflict");
}

static const json_t *entry_of(const json_t *obj, const char *manager, const char *sub)
{
    const json_t *m, *list = json_at(obj, "metadata.managedFields");
    size_t i;

    json_array_foreach(list, i, m)
    {
        if (strcmp(json_str_at(m, "manager", ""), manager) == 0 &&
            strcmp(json_str_at(m, "subresource", ""), sub) == 0)
            return m;
    }
    return NULL;
}

static void every_write_is_owned(void **state)
{
    (void)state;
    /* the query's name, else the client's */
    expect(ask(&h, "POST", CM "?fieldManager=maker",
               "{\"metadata\":{\"name\":\"w\"},\"data\":{\"a\":\"1\",\"b\":\"1\"}}"),
           201, "metadata.managedFields[0].manager", "maker");
    auto_answer patched = ask(&h, "PATCH", CM "/w", "{\"data\":{\"a\":\"2\"}}");
    assert_int_equal(json_array_size(json_at(patched.doc, "metadata.managedFields")), 2);
    assert_non_null(entry_of(patched.doc, "unknown", "")); /* the harness sends no User-Agent */
    /* a client that does not know of managedFields does not lose them */
    auto_answer put = ask(&h, "PUT", CM "/w?fieldManager=maker",
                          "{\"metadata\":{\"name\":\"w\"},\"data\":{\"a\":\"2\",\"b\":\"2\"}}");
    assert_int_equal(put.code, 200);
    assert_non_null(entry_of(put.doc, "maker", "")); /* who comes first depends on the second */
    assert_non_null(entry_of(put.doc, "unknown", ""));
    /* one that empties them ends the tracking */
    auto_answer reset = ask(&h, "PATCH", CM "/w", "{\"metadata\":{\"managedFields\":[]}}");
    assert_null(json_at(reset.doc, "metadata.managedFields"));
    auto_answer later = ask(&h, "PATCH", CM "/w", "{\"data\":{\"a\":\"3\"}}");
    assert_null(json_at(later.doc, "metadata.managedFields"));
}

static void the_status_has_its_own_owners(void **state)
{
    static const char status[] = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: "
                                 "{unschedulable: true}\nstatus: {phase: Running}\n";

    (void)state;
    expect(ask(&h, "POST", "/api/v1/nodes?fieldManager=agent",
               "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"b\"}},\"status\":{"
               "\"phase\":\"Pending\"}}"),
           201, NULL, NULL);
    expect(apply("/api/v1/nodes/absent/status?fieldManager=a", status), 404, NULL, NULL);
    auto_answer a = apply("/api/v1/nodes/n/status?fieldManager=a", status);
    if (a.code != 200)
        fail_msg("%s", buf_cstr(&a.body));
    assert_string_equal(at(&a, "status.phase"), "Running");
    assert_false(json_bool_at(a.doc, "spec.unschedulable", false)); /* not through the status */
    const json_t *entry = entry_of(a.doc, "a", "status");
    assert_non_null(entry);
    json_auto_t *want = json_pack("{s:{s:{}}}", "f:status", "f:phase");
    assert_true(json_equal(json_object_get(entry, "fieldsV1"), want));
}

/* docs/decisions.md: their renewals are most of a cluster's writes. */
static void leases_are_tracked_once_something_is_applied(void **state)
{
    static const char path[] = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    auto_free char *one = mem_printf("%s/l", path);
    auto_free char *target = mem_printf("%s?fieldManager=a", one);

    (void)state;
    auto_answer made = ask(&h, "POST", path,
                           "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"l\","
                           "\"renewTime\":\"2026-01-01T00:00:00.000000Z\"}}");
    assert_int_equal(made.code, 201);
    assert_null(json_at(made.doc, "metadata.managedFields"));
    auto_answer applied =
        apply(target, "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: "
                      "{name: l, labels: {x: y}}\n");
    assert_non_null(entry_of(applied.doc, "a", ""));
    const json_t *before = entry_of(applied.doc, "before-first-apply", "");
    assert_non_null(before);
    /* from here on a renewal takes the time over, and then keeps its entry as it is */
    for (int i = 1; i < 3; i++) {
        json_object_set_new(json_object_get(applied.doc, "spec"), "renewTime",
                            json_sprintf("2026-01-01T00:00:%02d.000000Z", i));
        auto_free char *text = json_text(applied.doc);
        auto_answer renewed = ask(&h, "PUT", one, text);
        assert_int_equal(renewed.code, 200);
        json_auto_t *want = json_pack("{s:{s:{}}}", "f:spec", "f:renewTime");
        assert_true(json_equal(json_at(entry_of(renewed.doc, "unknown", ""), "fieldsV1"), want));
        json_decref(applied.doc);
        applied.doc = json_incref(renewed.doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_applied_is_refused),
        cmocka_unit_test(an_apply_makes_an_object_once),
        cmocka_unit_test(a_conflict_names_every_field),
        cmocka_unit_test(every_write_is_owned),
        cmocka_unit_test(the_status_has_its_own_owners),
        cmocka_unit_test(leases_are_tracked_once_something_is_applied),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
