/* What a custom kind's schema does to an instance, and the kinds that a definition makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd.h"
#include "server/schema/crd_object.h"
#include "server/schema/crd_openapi.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/discovery.h"
#include "server/schema/fields.h"
#include "server/schema/managed.h"
#include "server/schema/table.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

static void assert_json(const json_t *v, const char *want)
{
    json_auto_t *w = json_of(want);

    if (json_equal((json_t *)v, w))
        return;
    auto_free char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    fail_msg("%s is not %s", text, want);
}

/* ---- prune, nulls, defaults ---- */

static void unknown_fields_go(void **state)
{
    static const struct {
        const char *schema, *in, *out;
    } rows[] = {
        { "{'type':'object','properties':{'a':{'type':'integer'}}}",
          "{'apiVersion':'v','kind':'K','metadata':{'x':1},'a':1,'b':2}",
          "{'apiVersion':'v','kind':'K','metadata':{'x':1},'a':1}" },
        { "{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'a':{'type':"
          "'object'}}}",
          "{'a':{'x':1},'b':{'x':1}}", "{'a':{},'b':{'x':1}}" },
        { "{'type':'object','properties':{'l':{'type':'array','items':{'type':'object',"
          "'properties':{'k':{}}}}}}",
          "{'l':[{'k':1,'x':2},3]}", "{'l':[{'k':1},3]}" },
        { "{'type':'object','properties':{'m':{'type':'object','additionalProperties':{'type':"
          "'object','properties':{'k':{}}}}}}",
          "{'m':{'any':{'k':1,'x':2}}}", "{'m':{'any':{'k':1}}}" },
        { "{'type':'object','properties':{'l':{'type':'array','items':{'type':'array','items':"
          "{'type':'object','properties':{'k':{}}}}}}}",
          "{'l':[[{'k':1,'x':2}],[]]}", "{'l':[[{'k':1}],[]]}" },
        { "{'type':'object','properties':{'m':{'type':'object','additionalProperties':{'type':"
          "'array','items':{'type':'object','properties':{'l':{'type':'array','items':{'type':"
          "'object','properties':{'k':{}}}}}}}}}}",
          "{'m':{'any':[{'l':[{'k':1,'x':2}],'x':2}]}}", "{'m':{'any':[{'l':[{'k':1}]}]}}" },
        { "{'type':'object','properties':{'l':{'type':'array','items':{'type':'object',"
          "'x-kubernetes-preserve-unknown-fields':true,'properties':{'k':{'type':'object'}}}}}}",
          "{'l':[{'k':{'x':1},'x':2}]}", "{'l':[{'k':{},'x':2}]}" },
        { "{'type':'object','properties':{'e':{'type':'object','x-kubernetes-embedded-resource':"
          "true,'properties':{'s':{}}}}}",
          "{'e':{'apiVersion':'v','kind':'K','metadata':{'name':'n'},'s':1,'x':2}}",
          "{'e':{'apiVersion':'v','kind':'K','metadata':{'name':'n'},'s':1}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *s = json_of(rows[i].schema), *v = json_of(rows[i].in);
        AUTO(crd_node) struct crd_node *n = NULL;
        struct err e;

        assert_int_equal(crd_node_new(&n, s, &e), 0);
        assert_int_equal(crd_prune(n, v, true, NULL), strcmp(rows[i].in, rows[i].out) != 0);
        assert_json(v, rows[i].out);
        assert_false(crd_prune(n, v, true, NULL));
    }
}

static void defaults_fill_what_is_absent_or_wrongly_null(void **state)
{
    static const char schema[] =
        "{'type':'object','properties':{'a':{'type':'integer','default':1},'n':{'type':'string',"
        "'nullable':true,'default':'d'},'o':{'type':'object','properties':{'x':{'type':'string',"
        "'default':'y'}}},'p':{'type':'object','default':{},'properties':{'x':{'type':'string',"
        "'default':'y'}}},'l':{'type':'array','items':{'type':'object','properties':{'x':{'type':"
        "'string','default':'y'}}}},'m':{'type':'object','additionalProperties':{'type':'object',"
        "'properties':{'x':{'type':'string','default':'y'}}}},'q':{'type':'string'}}}";
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "{}", "{'a':1,'n':'d','p':{'x':'y'}}" },
        { "{'a':null,'n':null,'o':{},'q':null}", "{'a':1,'n':null,'o':{'x':'y'},'p':{'x':'y'}}" },
        { "{'a':5,'n':'z','p':{'x':'z'},'l':[{},{'x':'z'}],'m':{'k':{}}}",
          "{'a':5,'n':'z','p':{'x':'z'},'l':[{'x':'y'},{'x':'z'}],'m':{'k':{'x':'y'}}}" },
    };
    json_auto_t *s = json_of(schema);
    AUTO(crd_node) struct crd_node *n = NULL;
    struct err e;

    (void)state;
    assert_int_equal(crd_node_new(&n, s, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *v = json_of(rows[i].in);

        crd_drop_nulls(n, v);
        assert_true(crd_default(n, v) || i == 2);
        assert_json(v, rows[i].out);
        assert_false(crd_default(n, v));
    }
}

/* ---- a whole definition ---- */

static const char definition[] =
    "{'metadata':{'name':'things.example.com'},'spec':{'group':'example.com','scope':'Namespaced',"
    "'names':{'plural':'things','kind':'Thing'},'versions':[{'name':'v1','served':true,'storage':"
    "false,'deprecated':true,'subresources':{'status':{},'scale':{'specReplicasPath':'.spec.n',"
    "'statusReplicasPath':'.status.n'}},'selectableFields':[{'jsonPath':'.spec.s'}],"
    "'additionalPrinterColumns':[{'name':'S','type':'string','jsonPath':'.spec.s'},{'name':'N',"
    "'type':'integer','jsonPath':'.spec.n','priority':1},{'name':'Since','type':'date','jsonPath':"
    "'.spec.since'}],'schema':{'openAPIV3Schema':{'type':'object','description':'A thing.',"
    "'properties':{'spec':{'type':'object','properties':{'s':{'type':'string'},'n':{'type':"
    "'integer','default':3},'since':{'type':'string','format':'date-time'},'nul':{'type':'string',"
    "'nullable':true},'ports':{'type':'array','x-kubernetes-list-type':'map',"
    "'x-kubernetes-list-map-keys':['name'],'items':{'type':'object','required':['name'],"
    "'properties':{'name':{'type':'string'},'port':{'type':'integer'}}}},'raw':{'type':'object',"
    "'x-kubernetes-preserve-unknown-fields':true,'properties':{'k':{'type':'string'}}}}},'status':"
    "{'type':'object','properties':{'n':{'type':'integer'}}}}}}},{'name':'v2','served':true,"
    "'storage':true,'schema':{'openAPIV3Schema':{'type':'object',"
    "'x-kubernetes-preserve-unknown-fields':true}}},{'name':'v3','served':false,'storage':false,"
    "'schema':{'openAPIV3Schema':{'type':'object'}}}]},'status':{'acceptedNames':{'plural':"
    "'things','singular':'thing','kind':'Thing','listKind':'ThingList','shortNames':['th'],"
    "'categories':['all']},'conditions':[{'type':'Established','status':'True'}]}}";

static struct crd *crd;
static const struct crd_version *v1, *v2;

static int setup(void **state)
{
    json_auto_t *doc = json_of(definition);
    struct err e = { 0 };
    size_t n;

    (void)state;
    if (crd_new(&crd, doc, &e))
        fail_msg("%s", e.text);
    v1 = crd_versions(crd, &n);
    v2 = v1 + 1;
    assert_int_equal(n, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    crd_unref(crd);
    return 0;
}

static void a_definition_makes_a_kind_for_each_version(void **state)
{
    (void)state;
    assert_string_equal(v1->kind.kind, "Thing");
    assert_string_equal(v1->kind.singular, "thing");
    assert_string_equal(v1->kind.short_names[0], "th");
    assert_string_equal(v1->kind.categories[0], "all");
    assert_string_equal(v1->kind.storage_version, "v2");
    assert_true(v1->kind.namespaced);
    assert_non_null(schema_find_sub(&v1->kind, STR("status")));
    assert_non_null(schema_find_sub(&v1->kind, STR("scale")));
    assert_null(schema_find_sub(&v2->kind, STR("status")));
    assert_string_equal(v1->kind.deprecated, "example.com/v1 Thing is deprecated");
    assert_ptr_equal(v1->stored, v2);
    assert_true(crd_version_is_home(v2));
    assert_false(crd_version_is_home(v1));
    assert_false(v1[2].is_served);
}

static void a_kind_lives_as_long_as_somebody_holds_it(void **state)
{
    json_auto_t *doc = json_of(definition);
    struct crd *mine;
    struct err e;
    size_t n;

    (void)state;
    assert_int_equal(crd_new(&mine, doc, &e), 0);
    const struct schema_kind *k = &crd_versions(mine, &n)->kind;
    schema_kind_ref(k);
    crd_unref(mine);
    assert_string_equal(k->plural, "things"); /* the sanitizer sees it if it is gone */
    schema_kind_unref(k);
    schema_kind_unref(NULL);
}

static void objects_are_decoded_by_their_schema(void **state)
{
    auto_free char *text =
        real_quotes("{'metadata':{'name':'x','nope':1},'spec':{'s':'','s':'a',"
                    "'more':1,'nul':null,'n':null,'raw':{'x':{'y':1.0},'k':'v'}}}");
    auto_decode_notes notes = { 0 }, strict = { 0 };
    json_auto_t *o = json_of(text), *again = json_of(text);
    struct err e;

    (void)state;
    assert_int_equal(decode_object(&v1->kind, o, str_of(text), DECODE_WARN, &notes, &e), 0);
    assert_json(o, "{'metadata':{'name':'x'},'spec':{'s':'a','nul':null,'n':null,'raw':{'x':{'y':1}"
                   ",'k':'v'}}}");
    assert_int_equal(notes.n, 3);
    assert_string_equal(notes.v[0], "duplicate field \"spec.s\"");
    assert_string_equal(notes.v[1], "unknown field \"metadata.nope\"");
    assert_string_equal(notes.v[2], "unknown field \"spec.more\"");
    defaults_apply(&v1->kind, o);
    assert_int_equal(json_i64_at(o, "spec.n", 0),
                     3); /* null is no integer, and there is a default */
    assert_int_equal(decode_object(&v1->kind, again, str_of(text), DECODE_STRICT, &strict, &e),
                     ERR_INVALID);
    assert_string_equal(e.text, "strict decoding error: duplicate field \"spec.s\", unknown field "
                                "\"metadata.nope\", unknown field \"spec.more\"");
}

static void the_replicas_that_scale_reads_are_checked(void **state)
{
    static const struct {
        const char *object, *errors;
    } rows[] = {
        { "{'metadata':{'name':'x','namespace':'d'},'spec':{'n':-1}}",
          "spec.n: Invalid value: -1: should be a non-negative integer" },
        { "{'metadata':{'name':'x','namespace':'d'},'spec':{'n':1},'status':{'n':2147483648}}",
          "status.n: Invalid value: 2147483648: should be less than or equal to 2147483647" },
        { "{'metadata':{'name':'X','namespace':'d'},'spec':{'n':1}}", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *o = json_of(rows[i].object);
        auto_field_errors fe = { 0 };

        validate_create(&v1->kind, o, &fe);
        auto_free char *text = field_errors_text(&fe);
        if (rows[i].errors)
            assert_string_equal(text, rows[i].errors);
        else
            assert_int_equal(fe.n, 1); /* names are those of DNS */
    }
}

static void rows_follow_the_columns(void **state)
{
    json_auto_t *o = json_of("{'metadata':{'name':'x','creationTimestamp':'2026-11-30T10:00:00Z'},"
                             "'spec':{'s':'a','n':2,'since':'2026-11-30T09:59:00Z'}}");
    json_auto_t *row = table_row(&v1->kind, o, TABLE_NONE, 1796032841); /* 41 s later */
    json_auto_t *columns = table_columns(&v1->kind);
    json_auto_t *plain = table_row(&v2->kind, o, TABLE_NONE, 1796032841);

    (void)state;
    assert_json(json_object_get(row, "cells"), "['x','a',2,'101s']");
    assert_string_equal(json_str_at(columns, "[1].description", ""),
                        "Custom resource definition column (in JSONPath format): .spec.s");
    assert_json(json_object_get(plain, "cells"), "['x','41s']");
}

static void selectable_fields_select(void **state)
{
    json_auto_t *o = json_of("{'metadata':{'name':'x'},'spec':{'s':'a'}}");
    char scratch[FIELDS_SCRATCH_MAX];

    (void)state;
    assert_string_equal(fields_value(&v1->kind, o, "spec.s", scratch), "a");
    assert_null(fields_value(&v1->kind, o, "spec.n", scratch));
    assert_null(fields_value(&v2->kind, o, "spec.s", scratch));
}

static void versions_show_what_they_know(void **state)
{
    json_auto_t *o = json_of("{'metadata':{'name':'x'},'spec':{'s':'a','other':1},'more':2}");
    json_auto_t *same = json_deep_copy(o);

    (void)state;
    v2->kind.convert->from_stored(&v2->kind, o);
    assert_json(o, "{'metadata':{'name':'x'},'spec':{'s':'a','other':1},'more':2}");
    v1->kind.convert->from_stored(&v1->kind, o);
    assert_json(o, "{'metadata':{'name':'x'},'spec':{'s':'a','n':3}}");
    v1->kind.convert->to_stored(&v1->kind, same);
    assert_json(same, "{'metadata':{'name':'x'},'spec':{'s':'a','other':1},'more':2}");
}

static void lists_with_keys_and_unknown_fields_have_owners(void **state)
{
    static const struct managed_by first = { "first", "", "2026-11-30T10:00:00Z" },
                                   second = { "second", "", "2026-11-30T10:00:00Z" };
    json_auto_t *a =
        json_of("{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'x'},"
                "'spec':{'ports':[{'name':'a','port':1}],'raw':{'x':{'y':1}}}}");
    json_auto_t *b =
        json_of("{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'x'},"
                "'spec':{'ports':[{'name':'b'}],'raw':{'x':{'z':1}}}}");
    json_auto_t *one = NULL, *two = NULL, *three = NULL;

    (void)state;
    assert_null(managed_apply(&one, &v1->kind, &first, false, NULL, a));
    assert_null(managed_apply(&two, &v1->kind, &second, false, one, b));
    assert_json(json_object_get(two, "spec"),
                "{'ports':[{'name':'a','port':1},{'name':'b'}],'raw':{'x':{'y':1,'z':1}}}");
    json_object_del(json_object_get(a, "spec"), "raw");
    assert_null(managed_apply(&three, &v1->kind, &first, false, two, a));
    assert_json(json_object_get(three, "spec"),
                "{'ports':[{'name':'a','port':1},{'name':'b'}],'raw':{'x':{'z':1}}}");
}

static void owners_are_owners_in_every_version(void **state)
{
    static const struct managed_by first = { "first", "", "2026-11-30T10:00:00Z" },
                                   second = { "second", "", "2026-11-30T10:00:00Z" };
    json_auto_t *a =
        json_of("{'apiVersion':'example.com/v1','kind':'Thing','metadata':{'name':'x'},"
                "'spec':{'s':'a'}}");
    json_auto_t *b =
        json_of("{'apiVersion':'example.com/v2','kind':'Thing','metadata':{'name':'x'},"
                "'spec':{'s':'b'}}");
    json_auto_t *one = NULL, *two = NULL;

    (void)state;
    assert_null(managed_apply(&one, &v1->kind, &first, false, NULL, a));
    json_auto_t *conflict = managed_apply(&two, &v2->kind, &second, false, one, b);
    assert_string_equal(json_str_at(conflict, "message", ""),
                        "Apply failed with 1 conflict: conflict with \"first\": .spec.s");
    assert_null(managed_apply(&two, &v2->kind, &second, true, one, b));
    const json_t *owners =
        json_at(two, "metadata.managedFields"); /* the first has lost its field */
    assert_int_equal(json_array_size(owners), 1);
    assert_string_equal(json_str_at(owners, "[0].manager", ""), "second");
    assert_string_equal(json_str_at(owners, "[0].apiVersion", ""), "example.com/v2");
}

static void discovery_and_openapi_speak_of_it(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    AUTO(discovery) struct discovery *d = discovery_new(s, "h:1", "v1");
    struct discovery_doc doc;
    struct err e;

    (void)state;
    assert_true(schema_add(s, &v1->kind));
    assert_true(schema_add(s, &v2->kind));
    assert_false(schema_add(s, &v2->kind));
    assert_true(discovery_get(d, STR("/apis/example.com/v1"), STR(""), &doc));
    json_auto_t *list = NULL, *v3 = NULL, *swagger = NULL;
    assert_int_equal(json_parse(&list, doc.body, &e), 0);
    assert_string_equal(json_str_at(list, "resources[0].singularName", ""), "thing");
    assert_string_equal(json_str_at(list, "resources[1].name", ""), "things/scale");
    assert_string_equal(json_str_at(list, "resources[1].group", ""), "autoscaling");
    assert_true(discovery_get(d, STR("/openapi/v3/apis/example.com/v1"), STR(""), &doc));
    assert_int_equal(json_parse(&v3, doc.body, &e), 0);
    const json_t *thing = json_at(v3, "components.schemas[\"com.example.v1.Thing\"]");
    assert_string_equal(json_str_at(thing, "description", ""), "A thing.");
    assert_string_equal(json_str_at(thing, "properties.metadata.allOf[0][\"$ref\"]", ""),
                        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    assert_true(json_bool_at(thing, "properties.spec.properties.nul.nullable", false));
    assert_true(discovery_get(d, STR("/openapi/v2"), STR(""), &doc));
    assert_int_equal(json_parse(&swagger, doc.body, &e), 0);
    thing = json_at(swagger, "definitions[\"com.example.v1.Thing\"]");
    assert_json(json_at(thing, "properties.spec.properties.nul"), "{}"); /* v2 has no null */
    assert_null(json_at(thing, "properties.spec.properties.raw.properties"));
    thing = json_at(swagger, "definitions[\"com.example.v2.Thing\"]");
    assert_null(json_object_get(thing, "properties")); /* kubectl would take them for all */
    schema_remove(s, &v1->kind);
    assert_false(discovery_get(d, STR("/apis/example.com/v1"), STR(""), &doc));
}

/* Kubectl refuses what v2 seems to forbid: a null, a field beyond the named ones, items of no type.
 */
static void v2_forbids_nothing_that_it_cannot_say(void **state)
{
    static const struct {
        const char *schema, *swagger;
    } rows[] = {
        { "{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'b':{}}}",
          "{'x-kubernetes-preserve-unknown-fields':true}" },
        { "{'type':'array','x-kubernetes-preserve-unknown-fields':true,'items':{'type':'string'}}",
          "{'x-kubernetes-preserve-unknown-fields':true}" },
        { "{'type':'string','x-kubernetes-preserve-unknown-fields':true}",
          "{'type':'string','x-kubernetes-preserve-unknown-fields':true}" },
        { "{'type':'array'}", "{}" },
        { "{'type':'array','items':{'type':'object','nullable':true}}",
          "{'type':'array','items':{}}" },
        { "{'type':'object','required':['m','n'],'properties':{'m':{'type':'string'},"
          "'n':{'type':'string','nullable':true}}}",
          "{'type':'object','required':['m'],'properties':{'m':{'type':'string'},'n':{}}}" },
        { "{'type':'object','required':['n'],'properties':{'n':{'type':'string','nullable':true}}}",
          "{'type':'object','properties':{'n':{}}}" },
        { "{'x-kubernetes-int-or-string':true,'anyOf':[{'type':'integer'},{'type':'string'}]}",
          "{'x-kubernetes-int-or-string':true}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *field = json_of(rows[i].schema), *head = json_object();
        json_auto_t *root =
            json_pack("{s:s,s:{s:O}}", "type", "object", "properties", "field", field);
        const struct crd_version v = { .schema = root };
        json_auto_t *swagger = crd_openapi_schema(&v, head, true);
        json_auto_t *whole = crd_openapi_schema(&v, head, false);

        assert_json(json_at(swagger, "properties.field"), rows[i].swagger);
        assert_json(json_at(whole, "properties.field"), rows[i].schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_fields_go),
        cmocka_unit_test(defaults_fill_what_is_absent_or_wrongly_null),
        cmocka_unit_test(a_definition_makes_a_kind_for_each_version),
        cmocka_unit_test(a_kind_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(objects_are_decoded_by_their_schema),
        cmocka_unit_test(the_replicas_that_scale_reads_are_checked),
        cmocka_unit_test(rows_follow_the_columns),
        cmocka_unit_test(selectable_fields_select),
        cmocka_unit_test(versions_show_what_they_know),
        cmocka_unit_test(lists_with_keys_and_unknown_fields_have_owners),
        cmocka_unit_test(owners_are_owners_in_every_version),
        cmocka_unit_test(discovery_and_openapi_speak_of_it),
        cmocka_unit_test(v2_forbids_nothing_that_it_cannot_say),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
