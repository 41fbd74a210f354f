/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/api/proto.h"
#include "server/schema/decode.h"
#include "server/schema/tables.h"
#include "test/unit/json_text.h"
#include "test/unit/server/api/filled.h"

#include <string.h>

/* ---- golden bytes, worked out by hand ---- */

#define BODY(s) s, sizeof(s) - 1

/*
 * protobuf.dev's encoding and the rule of gogo's marshalers: a field that is no pointer, list or
 * map is written, whatever its value. An ObjectMeta with a name alone is therefore
 *
 *     0a 01 "c"   name            32.. 3a..  resourceVersion is 6, so 32 00; generation is 7: 38 00
 *     12 00       generateName    2a 00      uid
 *     1a 00       namespace       42 00      creationTimestamp: an empty message is the zero time
 *     22 00       selfLink
 */
#define META                                                                                       \
    "\x0a\x01"                                                                                     \
    "c\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00"

static const struct {
    const char *kind, *doc;
    const char *bytes;
    size_t n;
} golden[] = {
    /* TypeMeta, then the object: metadata is 1, a map's entries come sorted; the envelope ends with
     * two empty texts */
    { "ConfigMap", "{'metadata':{'name':'c'},'data':{'b':'2','a':'1'}}",
      BODY("k8s\0\x0a\x0f\x0a\x02v1\x12\x09"
           "ConfigMap"
           "\x12\x23\x0a\x11" META "\x12\x06\x0a\x01"
           "a\x12\x01"
           "1\x12\x06\x0a\x01"
           "b\x12\x01"
           "2\x1a\x00\x22\x00") },
    /* bytes are bytes, not base64; an empty value is there; type is a string of its own */
    { "Secret", "{'metadata':{'name':'c'},'data':{'k':'AP8='},'type':'t'}",
      BODY("k8s\0\x0a\x0c\x0a\x02v1\x12\x06"
           "Secret"
           "\x12\x1f\x0a\x11" META "\x12\x07\x0a\x01"
           "k\x12\x02\x00\xff\x1a\x01"
           "t\x1a\x00\x22\x00") },
    /* a time in seconds (1600000000) has its nanoseconds, 0, too; a label; no owner, no finalizer
     */
    { "Namespace",
      "{'metadata':{'name':'c','creationTimestamp':'2020-09-13T12:26:40Z','generation':3},"
      "'spec':{'finalizers':['kubernetes']},'status':{'phase':'Active'}}",
      BODY("k8s\0\x0a\x0f\x0a\x02v1\x12\x09"
           "Namespace"
           "\x12\x33\x0a\x19\x0a\x01"
           "c\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x03\x42\x08\x08\x80\xa0\xf8\xfa\x05\x10"
           "\x00"
           "\x12\x0c\x0a\x0akubernetes"
           "\x1a\x08\x0a\x06"
           "Active"
           "\x1a\x00\x22\x00") },
    /* a micro time; pointers that are absent (the other fields of a lease's spec) are not there */
    { "Lease",
      "{'metadata':{'name':'c'},'spec':{'leaseDurationSeconds':40,'renewTime':"
      "'2020-09-13T12:26:40.000005Z'}}",
      BODY("k8s\0\x0a\x1f\x0a\x16"
           "coordination.k8s.io/v1\x12\x05"
           "Lease"
           "\x12\x22\x0a\x11" META "\x12\x0d\x10\x28\x22\x09\x08\x80\xa0\xf8\xfa\x05\x10\x88\x27"
           "\x1a\x00\x22\x00") },
};

static const struct schema_kind *kind_of(const char *name)
{
    for (size_t i = 0; i < schema_n_builtin_kinds; i++)
        if (strcmp(schema_builtin_kinds[i].kind, name) == 0)
            return &schema_builtin_kinds[i];
    fail_msg("no kind %s", name);
    return NULL;
}

static json_t *decoded(const struct schema_kind *k, json_t *doc_take)
{
    auto_decode_notes notes = { 0 };
    char api[SCHEMA_API_VERSION_MAX];
    struct err e = { 0 };

    json_object_set_new(doc_take, "apiVersion", json_string(schema_api_version(k, api)));
    json_object_set_new(doc_take, "kind", json_string(k->kind));
    if (decode_object(k, doc_take, (struct str){ 0 }, DECODE_STRICT, &notes, &e))
        fail_msg("%s: %s", k->kind, e.text);
    return doc_take;
}

static void assert_bytes(const struct buf *b, const char *want, size_t n, const char *what)
{
    size_t at = 0;

    while (at < n && at < b->n && b->p[at] == want[at])
        at++;
    if (at < n || b->n != n)
        fail_msg("%s: %zu bytes, want %zu; they differ from byte %zu on", what, b->n, n, at);
}

static void objects_have_upstreams_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        const struct schema_kind *k = kind_of(golden[i].kind);
        json_auto_t *doc = decoded(k, json_of(golden[i].doc));
        auto_buf b = BUF(4096);
        struct err e = { 0 };

        assert_int_equal(proto_write(&b, k->type, doc, &e), 0);
        assert_bytes(&b, golden[i].bytes, golden[i].n, golden[i].kind);
    }
}

static void lists_and_events_have_upstreams_bytes(void **state)
{
    static const char list[] = "k8s\0\x0a\x13\x0a\x02v1\x12\x0d"
                               "ConfigMapList"
                               /* ListMeta: selfLink, resourceVersion, continue */
                               "\x12\x1e\x0a\x07\x0a\x00\x12\x01"
                               "7\x1a\x00"
                               "\x12\x13\x0a\x11" META "\x1a\x00\x22\x00";
    static const char event[] = "\x00\x00\x00\x39"
                                "\x0a\x05"
                                "ADDED\x12\x30\x0a\x2e"
                                "k8s\0\x0a\x0f\x0a\x02v1\x12\x09"
                                "ConfigMap"
                                "\x12\x13\x0a\x11" META "\x1a\x00\x22\x00";
    const struct schema_kind *k = kind_of("ConfigMap");
    json_auto_t *doc = decoded(k, json_of("{'metadata':{'name':'c'}}"));
    json_auto_t *meta = json_of("{'resourceVersion':'7'}");
    auto_buf item = BUF(4096), b = BUF(4096), frame = BUF(4096);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(proto_write_item(&item, k->type, doc, &e), 0);
    struct proto_list l = { "v1", "ConfigMapList", meta, item.n };
    assert_int_equal(proto_write_list_head(&b, &l, &e), 0);
    assert_int_equal(buf_add_str(&b, buf_str(&item)), 0);
    assert_int_equal(proto_write_list_tail(&b, &e), 0);
    assert_bytes(&b, list, sizeof list - 1, "list");
    assert_int_equal(proto_write_event(&frame, "ADDED", k->type, doc, &e), 0);
    assert_bytes(&frame, event, sizeof event - 1, "event");
}

/* ---- every kind, with every field ---- */

static struct filled filled = { .wire_only = true };

static void round_trip(const struct schema_kind *k, json_t *doc_take)
{
    json_auto_t *doc = decoded(k, doc_take), *back = NULL;
    auto_buf b = BUF(64 * 1024 * 1024), again = BUF(64 * 1024 * 1024);
    struct err e = { 0 };

    if (proto_write(&b, k->type, doc, &e) || proto_read(&back, k->type, buf_str(&b), &e))
        fail_msg("%s: %s", k->kind, e.text);
    back = decoded(k, back);
    if (!json_equal(doc, back)) {
        auto_free char *x = json_dumps(doc, JSON_SORT_KEYS), *y = json_dumps(back, JSON_SORT_KEYS);
        size_t at = 0;

        while (x[at] == y[at])
            at++;
        at = at > 60 ? at - 60 : 0;
        fail_msg("%s: %.160s became %.160s", k->kind, x + at, y + at);
    }
    assert_int_equal(proto_write(&again, k->type, back, &e), 0);
    assert_bytes(&again, b.p, b.n, k->kind);
}

static void every_kind_comes_back_as_it_went(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_builtin_kinds; i++) {
        const struct schema_kind *k = &schema_builtin_kinds[i];

        round_trip(k, filled_struct(&filled, k->type));
        round_trip(k, json_object());
    }
    assert_true(filled.n > 10000); /* it did make them */
}

static void what_is_not_of_the_type_is_an_error(void **state)
{
    static const struct {
        const char *kind, *doc;
    } rows[] = {
        { "ConfigMap", "{'data':'x'}" },
        { "ConfigMap", "{'metadata':{'name':1}}" },
        { "Secret", "{'data':{'k':'!'}}" },
        { "Pod", "{'spec':{'containers':{}}}" },
        { "Lease", "{'spec':{'renewTime':'yesterday'}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of(rows[i].doc);
        auto_buf b = BUF(4096);
        struct err e = { 0 };

        assert_int_equal(proto_write(&b, kind_of(rows[i].kind)->type, doc, &e), ERR_IO);
    }
}

static void a_full_buffer_is_an_error(void **state)
{
    const struct schema_kind *k = kind_of("Pod");
    json_auto_t *doc = decoded(k, filled_struct(&filled, k->type));
    auto_buf all = BUF(16 * 1024 * 1024);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(proto_write(&all, k->type, doc, &e), 0);
    for (size_t n = 0; n < all.n; n += 1 + n / 8) {
        auto_buf b = BUF(n);

        assert_int_equal(proto_write(&b, k->type, doc, &e), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_have_upstreams_bytes),
        cmocka_unit_test(lists_and_events_have_upstreams_bytes),
        cmocka_unit_test(every_kind_comes_back_as_it_went),
        cmocka_unit_test(what_is_not_of_the_type_is_an_error),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
