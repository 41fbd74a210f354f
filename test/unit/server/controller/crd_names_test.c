/* Which names a definition gets, and what its conditions say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/controller/crd_names.h"
#include "test/unit/json_text.h"

#define SPEC                                                                                       \
    "'spec':{'group':'example.com','names':{'plural':'things','singular':'thing','kind':'Thing',"  \
    "'listKind':'ThingList','shortNames':['th'],'categories':['all']}}"
#define GOT                                                                                        \
    "'acceptedNames':{'plural':'things','singular':'thing','kind':'Thing','listKind':'ThingList'," \
    "'shortNames':['th'],'categories':['all']}"

static const char *condition(const json_t *doc, const char *type, const char *key)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_at(doc, "status.conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), type) == 0)
            return json_str_at(c, key, "");
    }
    return "";
}

static void names_are_accepted_and_then_established(void **state)
{
    json_auto_t *doc = json_of("{" SPEC ",'status':{'acceptedNames':{'plural':'','kind':''}}}");
    struct crd_taken taken;

    (void)state;
    crd_taken_init(&taken);
    json_auto_t *accepted = crd_names_status(doc, &taken, true, 0);
    assert_string_equal(json_str_at(accepted, "status.acceptedNames.shortNames[0]", ""), "th");
    assert_string_equal(condition(accepted, "NamesAccepted", "reason"), "NoConflicts");
    assert_string_equal(condition(accepted, "NamesAccepted", "status"), "True");
    assert_string_equal(condition(accepted, "Established", "status"), "False");
    assert_string_equal(condition(accepted, "Established", "reason"), "Installing");
    assert_null(crd_names_status(accepted, &taken, false, 5)); /* not every server has it yet */
    json_auto_t *established = crd_names_status(accepted, &taken, true, 5);
    assert_string_equal(condition(established, "Established", "status"), "True");
    assert_string_equal(condition(established, "Established", "lastTransitionTime"),
                        "1970-01-01T00:00:05Z");
    assert_string_equal(condition(established, "NamesAccepted", "lastTransitionTime"),
                        "1970-01-01T00:00:00Z");
    assert_null(crd_names_status(established, &taken, true, 9));
    crd_taken_deinit(&taken);
}

static void names_of_others_are_refused(void **state)
{
    static const struct {
        const char *others, *reason, *message;
    } rows[] = {
        { "{'plural':'things'}", "PluralConflict", "\"things\" is already in use" },
        { "{'singular':'thing'}", "SingularConflict", "\"thing\" is already in use" },
        { "{'shortNames':['x','th']}", "ShortNamesConflict", "\"th\" is already in use" },
        { "{'shortNames':['things']}", "PluralConflict", "\"things\" is already in use" },
        { "{'kind':'Thing'}", "KindConflict", "\"Thing\" is already in use" },
        { "{'kind':'ThingList'}", "ListKindConflict", "\"ThingList\" is already in use" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of("{" SPEC ",'status':{}}"), *others = json_of(rows[i].others);
        struct crd_taken taken;

        crd_taken_init(&taken);
        crd_taken_add(&taken, others);
        json_auto_t *now = crd_names_status(doc, &taken, true, 0);
        crd_taken_deinit(&taken);
        assert_string_equal(condition(now, "NamesAccepted", "status"), "False");
        assert_string_equal(condition(now, "NamesAccepted", "reason"), rows[i].reason);
        assert_string_equal(condition(now, "NamesAccepted", "message"), rows[i].message);
        assert_string_equal(condition(now, "Established", "reason"), "NotAccepted");
    }
}

/* Others that ask for a name later do not take it from who has it. */
static void what_it_has_it_keeps(void **state)
{
    json_auto_t *doc = json_of("{" SPEC ",'status':{" GOT ",'conditions':[{'type':'Established',"
                               "'status':'True'}]}}");
    json_auto_t *others = json_of("{'plural':'things','kind':'Thing','shortNames':['th']}");
    struct crd_taken taken;

    (void)state;
    crd_taken_init(&taken);
    crd_taken_add(&taken, others);
    json_auto_t *now = crd_names_status(doc, &taken, true, 0);
    crd_taken_deinit(&taken);
    assert_string_equal(condition(now, "NamesAccepted", "status"), "True");
    assert_string_equal(condition(now, "Established", "status"), "True");
}

static void built_in_names_are_taken(void **state)
{
    AUTO(schema) struct schema *s = schema_new();
    struct crd_taken taken;

    (void)state;
    crd_taken_init(&taken);
    crd_taken_add_builtin(&taken, s, "networking.k8s.io");
    assert_non_null(json_object_get(taken.resources, "ingresses"));
    assert_non_null(json_object_get(taken.resources, "ing"));
    assert_non_null(json_object_get(taken.kinds, "Ingress"));
    assert_null(json_object_get(taken.kinds, "Pod"));
    crd_taken_deinit(&taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_accepted_and_then_established),
        cmocka_unit_test(names_of_others_are_refused),
        cmocka_unit_test(what_it_has_it_keeps),
        cmocka_unit_test(built_in_names_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
