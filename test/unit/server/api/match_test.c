/* Selectors and stored objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/api/match.h"
#include "server/schema/fields.h"

static const struct {
    const char *group, *plural, *key, *labels, *fields;
    enum match_verdict verdict;
} rows[] = {
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.name=a", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.name=b", MATCH_NO },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.name!=a", MATCH_NO },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.name!=b", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.namespace=ns", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "", "metadata.namespace=n", MATCH_NO },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "",
      "metadata.name=a,metadata.namespace=ns", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "",
      "metadata.name=a,metadata.namespace=o", MATCH_NO },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "l=x", "metadata.name=a", MATCH_YES },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "l=y", "metadata.name=a", MATCH_NO },
    { "", "configmaps", "/registry/core/configmaps/ns/a", "l=x", "metadata.name=b", MATCH_NO },
    { "", "nodes", "/registry/core/nodes/a", "", "metadata.name=a", MATCH_YES },
    { "", "nodes", "/registry/core/nodes/a", "", "metadata.namespace=nodes", MATCH_NO },
    { "", "nodes", "/registry/core/nodes/a", "", "spec.unschedulable=false", MATCH_YES },
    { "", "nodes", "/registry/core/nodes/a", "", "spec.unschedulable=true", MATCH_NO },
    { "", "pods", "/registry/core/pods/ns/a", "", "spec.nodeName=n1", MATCH_YES },
    { "", "pods", "/registry/core/pods/ns/a", "", "spec.nodeName=n1,metadata.name=a", MATCH_YES },
    { "", "pods", "/registry/core/pods/ns/a", "", "spec.nodeName=n2,metadata.name=a", MATCH_NO },
    { "", "pods", "/registry/core/pods/ns/a", "", "spec.nodeName=n1,metadata.name=b", MATCH_NO },
    { "", "events", "/registry/core/events/ns/a", "", "source=c", MATCH_YES },
    { "", "events", "/registry/core/events/ns/a", "", "source=", MATCH_NO },
};

static const char value[] = "{\"kind\":\"K\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\","
                            "\"namespace\":\"ns\",\"labels\":{\"l\":\"x\"}},"
                            "\"spec\":{\"nodeName\":\"n1\"},\"reportingComponent\":\"c\"}";

/* The bytes tell what the parsed document tells. */
static void bytes_and_document_agree(void **state)
{
    struct schema *s = schema_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(label_selector) struct label_selector *labels = NULL;
        AUTO(field_selector) struct field_selector *fields = NULL;
        struct match m = { .kind = schema_find(s, str_of(rows[i].group), STR("v1"),
                                               str_of(rows[i].plural)) };
        struct store_obj *o = store_obj_new(str_of(rows[i].key), str_of(value), 1, 1);
        json_auto_t *doc = NULL;
        struct err e;

        assert_int_equal(label_selector_parse(&labels, str_of(rows[i].labels), &e), 0);
        assert_int_equal(field_selector_parse(&fields, str_of(rows[i].fields), &e), 0);
        assert_int_equal(fields_check(m.kind, fields, &e), 0);
        m.labels = labels;
        m.fields = fields;
        if (match_object(&m, o) != rows[i].verdict)
            fail_msg("%s of %s", rows[i].fields, rows[i].key);
        assert_int_equal(json_parse(&doc, str_of(value), &e), 0);
        if (!m.kind->namespaced)
            json_object_del(json_object_get(doc, "metadata"), "namespace");
        assert_int_equal(match_doc(&m, doc), rows[i].verdict == MATCH_YES);
        store_obj_unref(o);
    }
    schema_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_document_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
