/* Definitions that cannot be served, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/crd_check.h"
#include "test/unit/json_text.h"

static void assert_errors(const struct field_errors *fe, const char *row, const char *errors)
{
    auto_free char *text = field_errors_text(fe), *want = real_quotes(errors);

    for (char *c = want; *c; c++) /* \x01 is a ' that stays one */
        *c = *c == '\x01' ? '\'' : *c;
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  says   %s\n  not    %s", row, text, want);
}

/* ---- schemas ---- */

static void properties_are_structural(void **state)
{
    static const struct {
        const char *schema, *errors; /* of the property a; "s" is where the whole schema lies */
    } rows[] = {
        { "{'type':'string','description':'d','title':'t','example':1,'externalDocs':{}}", "" },
        { "{}", "s.properties[a].type: Required value: must not be empty for specified object "
                "fields" },
        { "{'type':'text'}", "s.properties[a].type: Unsupported value: 'text': supported values: "
                             "'array', 'boolean', 'integer', 'number', 'object', 'string'" },
        { "{'type':'null'}", "s.properties[a].type: Forbidden: type cannot be set to null, use "
                             "nullable as an alternative" },
        { "{'type':'array'}", "s.properties[a].items: Required value: must be specified" },
        { "{'type':'array','items':{}}", "s.properties[a].items.type: Required value: must not be "
                                         "empty for specified array items" },
        { "{'type':'array','items':[{'type':'string'}]}",
          "s.properties[a].items: Forbidden: items must be a schema object and not an array" },
        { "{'type':'object','additionalProperties':{}}",
          "s.properties[a].additionalProperties.type: Required value: must not be empty for "
          "specified object fields" },
        { "{'type':'object','properties':{'b':{'type':'string'}},'additionalProperties':false}",
          "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties "
          "are mutual exclusive" },
        { "{'type':'string','$ref':'#/x'}",
          "s.properties[a].$ref: Forbidden: $ref is not supported" },
        { "{'type':'object','patternProperties':{'x':{}}}",
          "s.properties[a].patternProperties: Forbidden: patternProperties is not supported" },
        { "{'type':'array','uniqueItems':true,'items':{'type':'string'}}",
          "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the "
          "runtime complexity becomes quadratic" },
        { "{'type':'string','pattern':'['}",
          "s.properties[a].pattern: Invalid value: '[': must be a valid regular expression, but "
          "isn\x01t: error parsing regexp: missing closing ]: `[`" },
        { "{'x-kubernetes-int-or-string':true}", "" },
        { "{'x-kubernetes-int-or-string':true,'anyOf':[{'type':'integer'},{'type':'string'}]}",
          "" },
        { "{'x-kubernetes-int-or-string':true,'allOf':[{'anyOf':[{'type':'integer'},{'type':"
          "'string'}]},{'maximum':3}]}",
          "" },
        { "{'x-kubernetes-int-or-string':true,'x-kubernetes-preserve-unknown-fields':true}",
          "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be "
          "false if x-kubernetes-int-or-string is true" },
        { "{'type':'object','x-kubernetes-preserve-unknown-fields':false}",
          "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be "
          "true or undefined" },
        { "{'type':'object','anyOf':[{'type':'object','nullable':true}]}",
          "[s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural, "
          "s.properties[a].anyOf[0].nullable: Forbidden: must be false to be structural]" },
        { "{'type':'object','not':{'properties':{'b':{'minimum':1}}}}",
          "s.properties[a].properties[b]: Required value: because it is defined in "
          "s.properties[a].not.properties[b]" },
        { "{'type':'object','properties':{'b':{'type':'integer'}},'oneOf':[{'properties':{'b':{"
          "'minimum':1}}},{'required':['b']}]}",
          "" },
        { "{'type':'object','x-kubernetes-embedded-resource':true}",
          "s.properties[a].properties: Required value: must not be empty if "
          "x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields" },
        { "{'type':'array','items':{'type':'string'},'x-kubernetes-embedded-resource':true,"
          "'x-kubernetes-preserve-unknown-fields':true}",
          "s.properties[a].type: Invalid value: 'array': must be object if "
          "x-kubernetes-embedded-resource is true" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            mem_printf("{'type':'object','properties':{'a':%s}}", rows[i].schema);
        json_auto_t *s = json_of(text);
        auto_field_errors fe = { 0 };

        crd_check_schema(s, FIELD_AT(NULL, "s"), false, &fe);
        assert_errors(&fe, rows[i].schema, rows[i].errors);
    }
}

static void lists_and_maps_say_how_they_merge(void **state)
{
    static const struct {
        const char *schema, *errors;
    } rows[] = {
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'}}}}",
          "" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object','properties':{'k':{'type':'string','default':'x'}}}}",
          "" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object','properties':{'k':{'type':'string'}}}}",
          "s.properties[a].items.properties[k].default: Required value: this property is in "
          "x-kubernetes-list-map-keys, so it must have a default or be a required property" },
        { "{'type':'array','x-kubernetes-list-type':'map','items':{'type':'object'}}",
          "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if "
          "x-kubernetes-list-type is map" },
        { "{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
          "'items':{'type':'object'}}",
          "s.properties[a].x-kubernetes-list-map-keys: Invalid value: ['k']: entries must all be "
          "names of item properties" },
        { "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'object'}}",
          "s.properties[a].items.x-kubernetes-map-type: Invalid value: '': must be atomic as item "
          "of a list with x-kubernetes-list-type=set" },
        { "{'type':'array','x-kubernetes-list-type':'bag','items':{'type':'string'}}",
          "s.properties[a].x-kubernetes-list-type: Unsupported value: 'bag': supported values: "
          "'atomic', 'set', 'map'" },
        { "{'type':'string','x-kubernetes-list-type':'set'}",
          "s.properties[a].type: Invalid value: 'string': must be array if x-kubernetes-list-type "
          "is specified" },
        { "{'type':'array','x-kubernetes-list-map-keys':['k'],'items':{'type':'object'}}",
          "s.properties[a].x-kubernetes-list-type: Required value: must be map if "
          "x-kubernetes-list-map-keys is non-empty" },
        { "{'type':'object','x-kubernetes-map-type':'x'}",
          "s.properties[a].x-kubernetes-map-type: Unsupported value: 'x': supported values: "
          "'atomic', 'granular'" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            mem_printf("{'type':'object','properties':{'a':%s}}", rows[i].schema);
        json_auto_t *s = json_of(text);
        auto_field_errors fe = { 0 };

        crd_check_schema(s, FIELD_AT(NULL, "s"), false, &fe);
        assert_errors(&fe, rows[i].schema, rows[i].errors);
    }
}

static void the_root_is_an_object_and_its_metadata_is_known(void **state)
{
    static const struct {
        const char *schema, *errors;
        bool has_status;
    } rows[] = {
        { "{'type':'object'}", "", true },
        { "{}", "s.type: Required value: must not be empty at the root", false },
        { "{'type':'array','items':{'type':'string'}}",
          "s.type: Invalid value: 'array': must be object at the root", false },
        { "{'type':'object','nullable':true}",
          "s.nullable: Forbidden: nullable cannot be true at the root", false },
        { "{'type':'object','additionalProperties':{'type':'string'}}",
          "s.additionalProperties: Forbidden: must not be used at the root", false },
        { "{'type':'object','properties':{'metadata':{'type':'object','properties':{'name':{"
          "'type':'string','pattern':'a'}}},'kind':{'type':'string'}}}",
          "", false },
        { "{'type':'object','properties':{'metadata':{'type':'object','properties':{'labels':{"
          "'type':'object'}}}}}",
          "s.properties[metadata]: Forbidden: must not specify anything other than name and "
          "generateName, but metadata is implicitly specified",
          false },
        { "{'type':'object','properties':{'kind':{'type':'integer'}}}",
          "s.properties[kind].type: Invalid value: 'integer': must be string", false },
        { "{'type':'object','properties':{'kind':{'type':'string','default':'x'}}}",
          "s.properties[kind].default: Forbidden: must not be set in top-level kind", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *s = json_of(rows[i].schema);
        auto_field_errors fe = { 0 };

        crd_check_schema(s, FIELD_AT(NULL, "s"), rows[i].has_status, &fe);
        assert_errors(&fe, rows[i].schema, rows[i].errors);
    }
}

static void defaults_are_values_of_their_schema(void **state)
{
    static const struct {
        const char *schema, *errors;
    } rows[] = {
        { "{'type':'integer','default':1}", "" },
        { "{'type':'integer','default':'x'}",
          "s.properties[a].default: Invalid value: 'string':  in body must be of type integer: "
          "'string'" },
        { "{'type':'object','default':{'b':1,'c':2},'properties':{'b':{'type':'integer'}}}",
          "s.properties[a].default: Invalid value: {'b':1,'c':2}: must not have unknown fields" },
        { "{'type':'object','default':{'b':-1},'properties':{'b':{'type':'integer','minimum':0}}}",
          "s.properties[a].default.b: Invalid value: -1: b in body should be greater than or equal "
          "to 0" },
        { "{'type':'array','items':{'type':'string','enum':['x'],'default':'y'}}",
          "s.properties[a].items.default: Unsupported value: 'y': supported values: 'x'" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            mem_printf("{'type':'object','properties':{'a':%s}}", rows[i].schema);
        json_auto_t *s = json_of(text);
        auto_field_errors fe = { 0 };

        crd_check_schema(s, FIELD_AT(NULL, "s"), false, &fe);
        assert_errors(&fe, rows[i].schema, rows[i].errors);
    }
}

/* ---- definitions ---- */

static const char good[] =
    "{'metadata':{'name':'things.example.com'},'spec':{'group':'example.com','scope':'Namespaced',"
    "'names':{'plural':'things','singular':'thing','kind':'Thing','listKind':'ThingList'},"
    "'conversion':{'strategy':'None'},'versions':[{'name':'v1','served':true,'storage':true,"
    "'schema':{'openAPIV3Schema':{'type':'object','properties':{'spec':{'type':'object',"
    "'properties':{'s':{'type':'string'},'o':{'type':'object'}}}}}}}]},'status':{'storedVersions':"
    "['v1']}}";

/* Puts value (JSON) where path leads: members and indices, dots between them. */
static void put(json_t *doc, const char *path, const char *value)
{
    char text[256], *save = NULL, *part, *next;
    json_t *at = doc, *v = json_of(value);

    snprintf(text, sizeof text, "%s", path);
    for (part = strtok_r(text, ".", &save); part; part = next) {
        size_t i = (size_t)atoi(part);

        next = strtok_r(NULL, ".", &save);
        if (!next && json_is_array(at))
            json_array_append_new(at, v);
        else if (!next)
            json_object_set_new(at, part, v);
        else
            at = json_is_array(at) ? json_array_get(at, i) : json_object_get(at, part);
    }
}

static void definitions_are_checked(void **state)
{
    static const struct {
        const char *path, *value, *errors;
    } rows[] = {
        { "spec.scope", "'Cluster'", "" },
        { "metadata.name", "'x'",
          "metadata.name: Invalid value: 'x': must be spec.names.plural+'.'+spec.group" },
        { "spec.scope", "'Global'",
          "spec.scope: Unsupported value: 'Global': supported values: 'Cluster', 'Namespaced'" },
        { "spec.scope", "''", "spec.scope: Required value" },
        { "spec.names.singular", "''", "spec.names.singular: Required value" },
        { "spec.names.listKind", "'Thing'",
          "spec.names.listKind: Invalid value: 'Thing': kind and listKind may not be the same" },
        { "spec.preserveUnknownFields", "true",
          "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
          "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead" },
        { "spec.versions.0.storage", "false", NULL },
        { "spec.versions.1", "{'name':'v1','schema':{'openAPIV3Schema':{'type':'object'}}}", NULL },
        { "spec.versions.0.schema", "{}",
          "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required" },
        { "spec.versions.0.deprecationWarning", "'x'",
          "spec.versions[0].deprecationWarning: Invalid value: 'x': can only be set for deprecated "
          "versions" },
        { "spec.versions.0.subresources",
          "{'scale':{'specReplicasPath':'.status.n','statusReplicasPath':''}}",
          "[spec.versions[0].subresources.scale.specReplicasPath: Invalid value: '.status.n': "
          "should be a json path under .spec, "
          "spec.versions[0].subresources.scale.statusReplicasPath: Required value]" },
        { "spec.versions.0.additionalPrinterColumns",
          "[{'name':'','type':'text','jsonPath':'spec'}]",
          "[spec.versions[0].additionalPrinterColumns[0].name: Required value, "
          "spec.versions[0].additionalPrinterColumns[0].type: Invalid value: 'text': must be one "
          "of boolean,date,integer,number,string, "
          "spec.versions[0].additionalPrinterColumns[0].jsonPath: Invalid value: 'spec': must be a "
          "simple json path starting with .]" },
        { "spec.versions.0.selectableFields", "[{'jsonPath':'.spec.s'}]", "" },
        { "spec.versions.0.selectableFields",
          "[{'jsonPath':'.spec.o'},{'jsonPath':'.spec.x'},{'jsonPath':'.spec.s'},{'jsonPath':"
          "'.spec.s'}]",
          "[spec.versions[0].selectableFields[0].jsonPath: Invalid value: '.spec.o': must point to "
          "a field of type string, boolean or integer. Enum string fields and strings with formats "
          "are allowed., spec.versions[0].selectableFields[1].jsonPath: Invalid value: '.spec.x': "
          "is an invalid path: does not refer to a valid field, "
          "spec.versions[0].selectableFields[3].jsonPath: Duplicate value: '.spec.s']" },
        { "spec.conversion", "{'strategy':'Webhook','webhook':{}}",
          "spec.conversion.strategy: Unsupported value: 'Webhook': this server calls no conversion "
          "webhooks yet; supported values: 'None'" },
        { "status.storedVersions", "['v1','v0']",
          "status.storedVersions[1]: Invalid value: 'v0': missing from spec.versions; v0 was "
          "previously a storage version, and must remain in spec.versions until a storage "
          "migration ensures no data remains persisted in v0 and removes v0 from "
          "status.storedVersions" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of(good);
        auto_field_errors fe = { 0 };

        put(doc, rows[i].path, rows[i].value);
        crd_check(doc, &fe);
        if (rows[i].errors)
            assert_errors(&fe, rows[i].path, rows[i].errors);
        else /* the whole list of versions is in the sentence */
            assert_int_equal(fe.n, 1);
    }
}

static void groups_of_kubernetes_need_its_approval(void **state)
{
    json_auto_t *doc = json_of(good);
    auto_field_errors before = { 0 }, after = { 0 };

    (void)state;
    put(doc, "spec.group", "'x.k8s.io'");
    put(doc, "metadata.name", "'things.x.k8s.io'");
    crd_check(doc, &before);
    assert_int_equal(before.n, 1);
    assert_string_equal(before.v[0].field, "metadata.annotations[api-approved.kubernetes.io]");
    put(doc, "metadata.annotations", "{'api-approved.kubernetes.io':'unapproved, a test'}");
    crd_check(doc, &after);
    assert_int_equal(after.n, 0);
}

static void what_objects_are_stored_by_is_fixed(void **state)
{
    static const struct {
        const char *path, *value, *errors;
        bool established;
    } rows[] = {
        { "spec.scope", "'Cluster'", "", false },
        { "spec.scope", "'Cluster'", "spec.scope: Invalid value: 'Cluster': field is immutable",
          true },
        { "spec.names.kind", "'Other'",
          "spec.names.kind: Invalid value: 'Other': field is immutable", true },
        { "spec.names.plural", "'others'",
          "spec.names.plural: Invalid value: 'others': field is immutable", false },
        { "spec.names.shortNames", "['t']", "", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *old = json_of(good), *doc = json_of(good);
        auto_field_errors fe = { 0 };

        if (rows[i].established)
            put(old, "status.conditions", "[{'type':'Established','status':'True'}]");
        put(doc, rows[i].path, rows[i].value);
        crd_check_update(doc, old, &fe);
        assert_errors(&fe, rows[i].path, rows[i].errors);
    }
}

static void names_that_are_left_out_follow_the_kind(void **state)
{
    json_auto_t *spec = json_of("{'names':{'plural':'things','kind':'BigThing'}}");

    (void)state;
    crd_set_defaults(spec);
    assert_string_equal(json_str_at(spec, "names.singular", ""), "bigthing");
    assert_string_equal(json_str_at(spec, "names.listKind", ""), "BigThingList");
    assert_string_equal(json_str_at(spec, "conversion.strategy", ""), "None");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_are_structural),
        cmocka_unit_test(lists_and_maps_say_how_they_merge),
        cmocka_unit_test(the_root_is_an_object_and_its_metadata_is_known),
        cmocka_unit_test(defaults_are_values_of_their_schema),
        cmocka_unit_test(definitions_are_checked),
        cmocka_unit_test(groups_of_kubernetes_need_its_approval),
        cmocka_unit_test(what_objects_are_stored_by_is_fixed),
        cmocka_unit_test(names_that_are_left_out_follow_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
