/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/json.h"
#include "server/api/proto.h"

#include <string.h>

/* A Pod as client-go encodes one: labels (map entries), a time, an embedded volume source and probe
 * handler, a quantity, an int-or-string. */
static const char pod[] =
    "k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12~\x0a\x19\x0a\x03webZ\x0a\x0a\x03"
    "app\x12"
    "\x03webB\x06\x08\x80\xe2\xcf\xaa\x06\x12_\x0a\x17\x0a\x01v\x12\x12"
    "2\x10\x0a\x03"
    "sec\x12\x09\x0a\x01k\x12\x01p\x18\xa4\x03\x12:\x0a\x01"
    "c\x12\x07"
    "busybox\x1a"
    "\x05sleep\x1a\x01"
    "9B\x0f\x0a\x0d\x0a\x03"
    "cpu\x12\x06\x0a\x04"
    "100mR\x0e\x0a"
    "\x0a\x12\x08\x12\x06\x08\x00\x10P\x1a\x00\x18\x05\x80\x01\x00\x1a\x06"
    "Always \x1e"
    "\x1a\x00\x1a\x00\x22\x00";

static void messages_become_documents(void **state)
{
    static const struct {
        const char *path, *text;
    } rows[] = {
        { "apiVersion", "v1" },
        { "kind", "Pod" },
        { "metadata.name", "web" },
        { "metadata.labels.app", "web" },
        { "metadata.creationTimestamp", "2023-11-14T22:13:20Z" },
        { "spec.volumes[0].name", "v" },
        { "spec.volumes[0].secret.secretName", "sec" }, /* flat in JSON */
        { "spec.volumes[0].secret.items[0].path", "p" },
        { "spec.containers[0].command[1]", "9" },
        { "spec.containers[0].resources.limits.cpu", "100m" },
        { "spec.restartPolicy", "Always" },
    };
    json_t *doc = NULL;
    struct err e = { 0 };

    (void)state;
    if (proto_read(&doc, schema_builtin_type("core/v1", "Pod"), str_n(pod, sizeof pod - 1), &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(json_str_at(doc, rows[i].path, "absent"), rows[i].text);
    assert_int_equal(json_i64_at(doc, "spec.containers[0].livenessProbe.httpGet.port", 0), 80);
    assert_int_equal(json_i64_at(doc, "spec.containers[0].livenessProbe.timeoutSeconds", 0), 5);
    assert_int_equal(json_i64_at(doc, "spec.volumes[0].secret.items[0].mode", 0), 420);
    assert_int_equal(json_i64_at(doc, "spec.terminationGracePeriodSeconds", 0), 30);
    json_decref(doc);
}

static void every_cut_is_refused_or_an_object(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof pod - 1; n++) {
        json_t *doc = NULL;
        struct err e = { 0 };

        if (proto_read(&doc, schema_builtin_type("core/v1", "Pod"), str_n(pod, n), &e)) {
            assert_int_equal(e.code, ERR_INVALID);
            assert_null(doc);
        } else {
            assert_true(json_is_object(doc));
            json_decref(doc);
        }
    }
}

static void broken_bodies_are_refused(void **state)
{
    static const struct {
        struct str body;
        const char *why;
    } rows[] = {
        { STR("{}"), "protobuf: the body does not begin with \"k8s\\0\"" },
        { STR("k8s\0\x12\x05"), "protobuf: broken message" },
        { STR("k8s\0\x1a\x01z"), "protobuf: the envelope's contentEncoding is not supported" },
        { STR("k8s\0\x12\x02\x08\x01"), "protobuf: a field has another type than in the schema" },
        /* metadata.name with a NUL, and one that is not UTF-8 */
        { STR("k8s\0\x12\x05\x0a\x03\x0a\x01\0"), "protobuf: a text holds a NUL" },
        { STR("k8s\0\x12\x05\x0a\x03\x0a\x01\xff"), "protobuf: a text is not UTF-8" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *doc = NULL;
        struct err e = { 0 };

        assert_int_equal(proto_read(&doc, schema_builtin_type("core/v1", "Pod"), rows[i].body, &e),
                         ERR_INVALID);
        assert_string_equal(e.text, rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_documents),
        cmocka_unit_test(every_cut_is_refused_or_an_object),
        cmocka_unit_test(broken_bodies_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
