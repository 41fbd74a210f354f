#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/status.h"
#include "server/schema/decode.h"
#include "server/schema/defaults.h"
#include "server/schema/managed.h"
#include "test/unit/json_text.h"

/*
 * A story: writes to one object, one after the other, and what is to be seen after each. Objects
 * are written without apiVersion, kind and metadata.name. Times are the number of the step in
 * seconds, so an entry's time says which step touched it; 0 is none.
 */
enum op { END, UPDATE, APPLY, FORCE, STATUS, APPLY_STATUS };

struct step {
    enum op op;
    const char *manager;
    const char *doc;
    const char *owners;  /* "manager operation step set; ..." in order; NULL: not looked at */
    const char *object;  /* a part that the object must have; NULL: not looked at */
    const char *refused; /* the message; owners and object are then those of before */
};

struct story {
    const char *rule; /* where upstream says so */
    const char *kind; /* "core/v1/ConfigMap" */
    struct step steps[8];
};

static const struct schema_kind *kind_of(struct schema *s, const char *text)
{
    struct str group, version, kind, rest;

    str_cut(str_of(text), '/', &group, &rest);
    str_cut(rest, '/', &version, &kind);
    return schema_find_kind(s, str_is(group, "core") ? STR("") : group, version, kind);
}

/* The document of a step as its client would send it. */
static json_t *full(const struct schema_kind *k, const char *text)
{
    char api[SCHEMA_API_VERSION_MAX];
    json_t *doc = json_of(text), *meta = json_object_get(doc, "metadata");

    if (!meta) {
        meta = json_object();
        json_object_set_new(doc, "metadata", meta);
    }
    json_object_set_new(meta, "name", json_string("x"));
    json_object_set_new(doc, "kind", json_string(k->kind));
    json_object_set_new(doc, "apiVersion", json_string(schema_api_version(k, api)));
    return doc;
}

static void decode(const struct schema_kind *k, json_t *obj)
{
    auto_decode_notes notes = { 0 };
    struct err e = { 0 };

    if (decode_object(k, obj, (struct str){ 0 }, DECODE_STRICT, &notes, &e))
        fail_msg("decode: %s", e.text);
    defaults_apply(k, obj);
}

/* A time as the step that it was. */
static int64_t step_of(const json_t *entry)
{
    int64_t us = 0;

    if (json_object_get(entry, "time"))
        assert_true(time_parse(&us, str_of(json_str_at(entry, "time", ""))));
    return us / 1000000;
}

static char *owners_of(const json_t *obj)
{
    const json_t *m, *list = json_object_get(json_object_get(obj, "metadata"), "managedFields");
    struct buf b = BUF(64 * 1024);
    size_t i;

    json_array_foreach(list, i, m)
    {
        auto_free char *fields = json_text(json_object_get(m, "fieldsV1"));
        const char *sub = json_str_at(m, "subresource", "");

        assert_string_equal(json_str_at(m, "fieldsType", ""), "FieldsV1");
        assert_int_equal(buf_addf(&b, "%s%s %s%s%s %d %s", i ? "; " : "",
                                  json_str_at(m, "manager", ""), json_str_at(m, "operation", ""),
                                  *sub ? "/" : "", sub, (int)step_of(m), fields),
                         0);
    }
    return b.n ? buf_take(&b) : mem_strdup("");
}

/* Everything that part has is in whole. */
static bool contains(const json_t *whole, const json_t *part)
{
    const char *key;
    json_t *v;

    if (!json_is_object(part))
        return json_equal((json_t *)whole, (json_t *)part);
    json_object_foreach((json_t *)part, key, v)
    {
        const json_t *have = json_object_get(whole, key);
        if (json_is_null(v) ? have != NULL : !contains(have, v))
            return false;
    }
    return true;
}

static json_t *take(const struct schema_kind *k, const struct step *s, const char *now,
                    json_t *live)
{
    struct managed_by by = { .manager = s->manager, .subresource = "", .now = now };
    json_t *doc = full(k, s->doc), *out = NULL;

    if (s->op == STATUS || s->op == APPLY_STATUS)
        by.subresource = "status";
    if (s->op == UPDATE || s->op == STATUS) {
        decode(k, doc);
        managed_update(k, &by, live, doc);
        out = doc;
    } else {
        json_t *status = managed_apply(&out, k, &by, s->op == FORCE, live, doc);

        json_decref(doc);
        if (status) {
            const char *why = json_str_at(status, "message", "");

            if (!s->refused || strcmp(why, s->refused) != 0)
                fail_msg("%s: refused: %s", s->doc, why);
            json_decref(status);
            return json_incref(live);
        }
        decode(k, out);
    }
    if (s->refused)
        fail_msg("%s: not refused", s->doc);
    managed_settle(out, live);
    return out;
}

static void tell(const struct story *t)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct schema_kind *k = kind_of(schema, t->kind);
    json_t *live = NULL;

    assert_non_null(k);
    for (size_t i = 0; t->steps[i].op != END; i++) {
        const struct step *s = &t->steps[i];
        char now[TIME_TEXT_BYTES];

        time_text_s(now, (int64_t)i + 1);
        json_t *next = take(k, s, now, live);

        json_decref(live);
        live = next;
        auto_free char *owners = owners_of(live), *text = json_text(live);
        auto_free char *want = s->owners ? real_quotes(s->owners) : NULL;
        if (want && strcmp(owners, want) != 0)
            fail_msg("%s: step %zu:\n  have %s\n  want %s", t->rule, i + 1, owners, want);
        json_auto_t *part = s->object ? json_of(s->object) : NULL;
        if (part && !contains(live, part))
            fail_msg("%s: step %zu: %s lacks %s", t->rule, i + 1, text, s->object);
    }
    json_decref(live);
}

#define CM "core/v1/ConfigMap"

static const struct story stories[] = {
    { "merge/update.go, Update: who changes a field owns it, nobody else does",
      CM,
      { { UPDATE, "a", "{'data':{'k':'1','l':'1'}}",
          .owners = "a Update 1 {'f:data':{'.':{},'f:k':{},'f:l':{}}}" },
        { UPDATE, "b", "{'data':{'k':'2','l':'1'}}",
          .owners = "a Update 1 {'f:data':{'.':{},'f:l':{}}}; b Update 2 {'f:data':{'f:k':{}}}" },
        { UPDATE, "b", "{'data':{'k':'2'}}",
          .owners = "a Update 1 {'f:data':{}}; b Update 2 {'f:data':{'f:k':{}}}" },
        { UPDATE, "c", "{}", .owners = "" } } },
    { "managedfieldsupdater.go: the time is that of the last change, not of the last write",
      CM,
      { { UPDATE, "a", "{'data':{'k':'1'}}", .owners = "a Update 1 {'f:data':{'.':{},'f:k':{}}}" },
        { UPDATE, "a", "{'data':{'k':'1'}}", .owners = "a Update 1 {'f:data':{'.':{},'f:k':{}}}" },
        { UPDATE, "a", "{'data':{'k':'2'}}",
          .owners = "a Update 3 {'f:data':{'.':{},'f:k':{}}}" } } },
    { "stripmeta.go: what the server keeps is owned by nobody, labels and finalizers are",
      CM,
      { { UPDATE, "a", "{'metadata':{'labels':{'x':'y'},'finalizers':['a/b'],'generateName':'n'}}",
          .owners = "a Update 1 "
                    "{'f:metadata':{'f:finalizers':{'.':{},'v:\\'a/b\\'':{}},'f:generateName':{},"
                    "'f:labels':{'.':{},'f:x':{}}}}" } } },
    { "internal/fieldmanager.go, decodeLiveOrNew: an empty list ends the tracking, for updates",
      CM,
      { { UPDATE, "a", "{'data':{'k':'1'}}", .owners = "a Update 1 {'f:data':{'.':{},'f:k':{}}}" },
        { UPDATE, "b", "{'metadata':{'managedFields':[{}]},'data':{'k':'1'}}", .owners = "" },
        { UPDATE, "b", "{'data':{'k':'2'}}", .owners = "" },
        { APPLY, "c", "{'data':{'l':'1'}}",
          .owners = "c Apply 4 {'f:data':{'f:l':{}}}; before-first-apply Update 4 "
                    "{'f:data':{'.':{},'f:k':{}}}" } } },
    { "the same: entries that a client sends count, ones that cannot be read do not",
      CM,
      { { UPDATE, "a", "{'data':{'k':'1'}}", .owners = NULL },
        { UPDATE, "b",
          "{'metadata':{'managedFields':[{'manager':'z','operation':'Update','apiVersion':'v1',"
          "'fieldsType':'FieldsV1','fieldsV1':{'f:data':{'f:k':{}}}}]},'data':{'k':'1'}}",
          .owners = "z Update 0 {'f:data':{'f:k':{}}}" },
        { UPDATE, "b",
          "{'metadata':{'managedFields':[{'manager':'y','operation':'Frob','apiVersion':'v1',"
          "'fieldsType':'FieldsV1','fieldsV1':{'f:data':{'f:k':{}}}}]},'data':{'k':'1'}}",
          .owners = "z Update 0 {'f:data':{'f:k':{}}}" },
        /* a version that the kind has not: nobody can tell what it owns */
        { UPDATE, "b",
          "{'metadata':{'managedFields':[{'manager':'y','operation':'Update','apiVersion':'v9',"
          "'fieldsType':'FieldsV1','fieldsV1':{'f:data':{'f:k':{}}}}]},'data':{'k':'2'}}",
          .owners = "b Update 4 {'f:data':{'f:k':{}}}" } } },
    { "merge/update.go, Apply: an apply owns what it says, and what it says no longer goes",
      CM,
      { { APPLY, "a", "{'data':{'k':'1','l':'1'}}",
          .owners = "a Apply 1 {'f:data':{'f:k':{},'f:l':{}}}" },
        { APPLY, "a", "{'data':{'k':'1'}}", .owners = "a Apply 2 {'f:data':{'f:k':{}}}",
          .object = "{'data':{'k':'1','l':null}}" },
        { APPLY, "a", "{'data':{'k':'1'}}", .owners = "a Apply 2 {'f:data':{'f:k':{}}}" },
        { APPLY, "a", "{}", .owners = "", .object = "{'data':null}" } } },
    { "the same: unless somebody else owns it too",
      CM,
      { { APPLY, "a", "{'data':{'k':'1','l':'1'}}", .owners = NULL },
        { APPLY, "b", "{'data':{'l':'1'}}",
          .owners = "b Apply 0 {'f:data':{'f:l':{}}}; a Apply 1 {'f:data':{'f:k':{},'f:l':{}}}" },
        { APPLY, "a", "{'data':{'k':'2'}}",
          .owners = "b Apply 0 {'f:data':{'f:l':{}}}; a Apply 3 {'f:data':{'f:k':{}}}",
          .object = "{'data':{'k':'2','l':'1'}}" },
        { APPLY, "b", "{}", .owners = "a Apply 3 {'f:data':{'f:k':{}}}",
          .object = "{'data':{'l':null}}" } } },
    { "the same, addBackDanglingItems: what nobody owned stays",
      CM,
      { { UPDATE, "u", "{'data':{'k':'1'}}", .owners = NULL },
        { APPLY, "a", "{'data':{'l':'1'}}", .owners = NULL },
        { APPLY, "a", "{'data':{'m':'1'}}",
          .owners = "a Apply 3 {'f:data':{'f:m':{}}}; u Update 1 {'f:data':{'.':{},'f:k':{}}}",
          .object = "{'data':{'k':'1','l':null,'m':'1'}}" } } },
    { "internal/conflict.go: the wording, of one and of several; force takes them",
      CM,
      { { UPDATE, "u", "{'data':{'k':'1','l':'1'}}", .owners = NULL },
        { APPLY, "a", "{'data':{'k':'2'}}",
          .refused = "Apply failed with 1 conflict: conflict with \"u\" using v1: .data.k" },
        { APPLY, "b", "{'data':{'m':'1'}}", .owners = NULL },
        { APPLY, "a", "{'data':{'k':'2','l':'2','m':'2'}}",
          .refused = "Apply failed with 3 conflicts: conflicts with \"b\":\n- .data.m\nconflicts "
                     "with \"u\" "
                     "using v1:\n- .data.k\n- .data.l" },
        /* the value that is there is no conflict */
        { APPLY, "a", "{'data':{'k':'1'}}",
          .owners = "a Apply 0 {'f:data':{'f:k':{}}}; b Apply 3 {'f:data':{'f:m':{}}}; u Update 1 "
                    "{'f:data':{'.':{},'f:k':{},'f:l':{}}}" },
        { FORCE, "a", "{'data':{'k':'2'}}",
          .owners = "b Apply 3 {'f:data':{'f:m':{}}}; a Apply 6 {'f:data':{'f:k':{}}}; u Update 1 "
                    "{'f:data':{'.':{},'f:l':{}}}" } } },
    { "internal/structuredmerge.go, versioncheck.go: what cannot be applied",
      CM,
      { { APPLY, "a", "{'data':{'k':1}}",
          .refused =
              "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .data.k: expected "
              "string, "
              "got &value.valueUnstructured{Value:1}" },
        { APPLY, "a", "{'dota':{'k':'1'},'data':[]}",
          .refused = "failed to create typed patch object (/x; /v1, Kind=ConfigMap): errors:\n  "
                     ".dota: field "
                     "not declared in schema\n  .data: expected map, got &{[]}" },
        { APPLY, "a", "{'metadata':{'managedFields':[]}}",
          .refused = "metadata.managedFields must be nil" } } },
    { "typed/helpers.go: items by their keys, with the defaults of keys",
      "core/v1/Service",
      { { APPLY, "a", "{'spec':{'ports':[{'port':80,'name':'w'},{'port':80,'protocol':'UDP'}]}}",
          .owners = "a Apply 1 {'f:spec':{'f:ports':{"
                    "'k:{\\'port\\':80,\\'protocol\\':\\'TCP\\'}':{'.':{},'f:name':{},'f:port':{}},"
                    "'k:{\\'port\\':80,\\'protocol\\':\\'UDP\\'}':{'.':{},'f:port':{},'f:protocol':"
                    "{}}}}}" },
        { APPLY, "b", "{'spec':{'ports':[{'port':81,'protocol':'TCP','targetPort':8}]}}",
          .owners = NULL },
        { APPLY, "a", "{'spec':{'ports':[{'port':80,'name':'v'}]}}",
          .object = "{'spec':{'ports':[{'port':80,'name':'v','protocol':'TCP','targetPort':80},{'"
                    "port':81,"
                    "'protocol':'TCP','targetPort':8}]}}" },
        { APPLY, "a", "{'spec':{'ports':[{'port':80},{'port':80,'protocol':'TCP'}]}}",
          .refused =
              "failed to create typed patch object (/x; /v1, Kind=Service): .spec.ports: duplicate "
              "entries for key [port=80,protocol=\"TCP\"]" },
        { APPLY, "a", "{'spec':{'ports':[{'name':'x'}]}}",
          .refused = "failed to create typed patch object (/x; /v1, Kind=Service): .spec.ports: "
                     "element 0: "
                     "associative list with keys has an element that omits key field \"port\" (and "
                     "doesn't "
                     "have default value)" } } },
    { "typed/compare.go: atomic lists, maps and structs are owned as a whole",
      "core/v1/Pod",
      { { UPDATE, "a",
          "{'spec':{'nodeSelector':{'a':'b'},'tolerations':[{'key':'k'}],'volumes':[{'name':'v',"
          "'secret':{'secretName':'s'}}],'containers':[{'name':'c','env':[{'name':'E','valueFrom':{"
          "'secretKeyRef':{'key':'k'}}}]}]}}",
          .owners =
              "a Update 1 "
              "{'f:spec':{'f:containers':{'k:{\\'name\\':\\'c\\'}':{'.':{},'f:env':{'.':{},"
              "'k:{\\'name\\':\\'E\\'}':{'.':{},'f:name':{},'f:valueFrom':{'.':{},'f:secretKeyRef':"
              "{}}}"
              "},"
              "'f:imagePullPolicy':{},'f:name':{},'f:resources':{},'f:terminationMessagePath':{},"
              "'f:terminationMessagePolicy':{}}},'f:dnsPolicy':{},'f:enableServiceLinks':{},"
              "'f:nodeSelector':{},'f:restartPolicy':{},'f:schedulerName':{},'f:securityContext':{}"
              ","
              "'f:terminationGracePeriodSeconds':{},'f:tolerations':{},'f:volumes':{'.':{},"
              "'k:{\\'name\\':\\'v\\'}':{'.':{},'f:name':{},'f:secret':{'.':{},'f:defaultMode':{},"
              "'f:secretName':{}}}}}}" } } },
    { "registry/core: GetResetFields: the status belongs to who writes the status",
      "core/v1/Service",
      { { UPDATE, "a",
          "{'spec':{'type':'ClusterIP'},'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.4'}]}}}",
          .owners =
              "a Update 1 "
              "{'f:spec':{'f:internalTrafficPolicy':{},'f:sessionAffinity':{},'f:type':{}}}" },
        { STATUS, "b",
          "{'spec':{'type':'ClusterIP'},'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.5'}]}}}",
          .owners = "a Update 1 "
                    "{'f:spec':{'f:internalTrafficPolicy':{},'f:sessionAffinity':{},'f:type':{}}}; "
                    "b Update/status 2 {'f:status':{'f:loadBalancer':{'f:ingress':{}}}}" },
        { APPLY_STATUS, "c",
          "{'spec':{'type':'NodePort'},'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.6'}]}}}",
          .refused = "Apply failed with 1 conflict: conflict with \"b\" with subresource "
                     "\"status\" using v1: "
                     ".status.loadBalancer.ingress" } } },
    { "typed/compare.go: an item of a set of objects that are atomic",
      "core/v1/Pod",
      { { APPLY, "a",
          "{'metadata':{'ownerReferences':[{'apiVersion':'v1','kind':'K','name':'n','uid':'u'}]},"
          "'spec':{'containers':[{'name':'c'}]}}",
          .owners = "a Apply 1 "
                    "{'f:metadata':{'f:ownerReferences':{'k:{\\'uid\\':\\'u\\'}':{}}},'f:spec':{"
                    "'f:containers':{'k:{\\'name\\':\\'c\\'}':{'.':{},'f:name':{}}}}}" } } },
    { "typed/tofieldset.go: an empty struct and a null are said",
      "core/v1/Pod",
      { { APPLY, "a",
          "{'spec':{'securityContext':{},'hostname':null,'containers':[{'name':'c',"
          "'resources':{}}],'volumes':[{'name':'v','emptyDir':{}}]},'status':{}}",
          .owners =
              "a Apply 1 {'f:spec':{'f:containers':{'k:{\\'name\\':\\'c\\'}':{'.':{},'f:name':{},"
              "'f:resources':{}}},'f:hostname':{},'f:securityContext':{},'f:volumes':{"
              "'k:{\\'name\\':\\'v\\'}':{'.':{},'f:emptyDir':{},'f:name':{}}}}}" } } },
    { "typed/merge.go: config's order, with what only live has between",
      "core/v1/Pod",
      { { UPDATE, "u",
          "{'spec':{'containers':[{'name':'a'},{'name':'x'},{'name':'b'},{'name':'y'}]}}",
          .owners = NULL },
        { APPLY, "m", "{'spec':{'imagePullSecrets':[{'name':'b'},{'name':'a'}]}}", .owners = NULL },
        { APPLY, "n", "{'spec':{'imagePullSecrets':[{'name':'c'},{'name':'a'},{'name':'b'}]}}",
          .object = "{'spec':{'imagePullSecrets':[{'name':'c'},{'name':'a'},{'name':'b'}]}}" } } },
    { "internal/lastappliedmanager.go: kubectl takes over what its client-side apply wrote",
      CM,
      { { UPDATE, "kubectl-client-side-apply",
          "{'metadata':{'annotations':{'kubectl.kubernetes.io/last-applied-configuration':"
          "'{\\u0022apiVersion\\u0022:\\u0022v1\\u0022,\\u0022kind\\u0022:\\u0022ConfigMap\\u0022,"
          "\\u0022metadata\\u0022:{\\u0022name\\u0022:\\u0022x\\u0022},\\u0022data\\u0022:{"
          "\\u0022k\\u0022:\\u00221\\u0022}}'}},'data':{'k':'1'}}",
          .owners = NULL },
        { APPLY, "other", "{'data':{'k':'2'}}",
          .refused =
              "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
              ".data.k" },
        { APPLY, "kubectl", "{'data':{'k':'2'}}",
          .owners = "kubectl Apply 3 {'f:data':{'f:k':{}}}; kubectl-client-side-apply Update 1 "
                    "{'f:data':{},'f:metadata':{'f:annotations':{'.':{},"
                    "'f:kubectl.kubernetes.io/last-applied-configuration':{}}}}",
          .object = "{'data':{'k':'2'},'metadata':{'annotations':{"
                    "'kubectl.kubernetes.io/last-applied-configuration':'{\\u0022apiVersion\\u0022:"
                    "\\u0022v1\\u0022,\\u0022data\\u0022:{\\u0022k\\u0022:\\u00222\\u0022},"
                    "\\u0022kind\\u0022:"
                    "\\u0022ConfigMap\\u0022,\\u0022metadata\\u0022:{\\u0022name\\u0022:"
                    "\\u0022x\\u0022}}\\n'"
                    "}}}" } } },
};

static void writes_are_owned_as_upstream_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stories); i++)
        tell(&stories[i]);
}

/* capmanagers.go */
static void the_oldest_updates_become_one_entry(void **state)
{
    AUTO(schema) struct schema *schema = schema_new();
    const struct schema_kind *k = kind_of(schema, CM);
    json_t *live = NULL;

    (void)state;
    for (unsigned i = 0; i < 14; i++) {
        auto_free char *name = mem_printf("m%02u", i);
        char now[TIME_TEXT_BYTES];

        time_text_s(now, i);
        struct managed_by by = { .manager = name, .subresource = "", .now = now };
        json_t *doc = live ? json_deep_copy(live) : full(k, "{'data':{}}");

        if (!json_object_get(doc, "data"))
            json_object_set_new(doc, "data", json_object());
        json_object_set_new(json_object_get(doc, "data"), name, json_string("x"));
        decode(k, doc);
        managed_update(k, &by, live, doc);
        json_decref(live);
        live = doc;
    }
    const json_t *list = json_object_get(json_object_get(live, "metadata"), "managedFields");
    assert_int_equal(json_array_size(list), MANAGED_UPDATES_MAX);
    const json_t *bucket = json_array_get(list, 0);
    assert_string_equal(json_str_at(bucket, "manager", ""), "ancient-changes");
    assert_int_equal(step_of(bucket), 4);
    json_auto_t *want =
        json_of("{'f:data':{'.':{},'f:m00':{},'f:m01':{},'f:m02':{},'f:m03':{},'f:m04':{}}}");
    assert_true(json_equal(json_object_get(bucket, "fieldsV1"), want));
    json_decref(live);
}

/* handlers/rest.go, prefixFromUserAgent */
static void a_manager_without_a_name_is_its_user_agent(void **state)
{
    static const struct {
        const char *agent, *name;
    } rows[] = { { "kubectl/v1.32.0 (linux/amd64)", "kubectl" },
                 { "curl", "curl" },
                 { "a\x01\tb\x7f/c", "ab" },
                 { "", "" } };
    char name[MANAGED_NAME_MAX + 1], agent[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        managed_name(name, str_of(rows[i].agent));
        assert_string_equal(name, rows[i].name);
    }
    memset(agent, 'x', sizeof agent);
    managed_name(name, str_n(agent, sizeof agent));
    assert_int_equal(strlen(name), MANAGED_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_owned_as_upstream_says),
        cmocka_unit_test(the_oldest_updates_become_one_entry),
        cmocka_unit_test(a_manager_without_a_name_is_its_user_agent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
