/* rbac.authorization.k8s.io/v1, rule by rule: pkg/apis/rbac/validation, 1.32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "test/unit/server/schema/rule_rows.h"

#define API  "rbac.authorization.k8s.io/v1"
#define META "'metadata':{'name':'reader','namespace':'default'}"

static void rules_name_verbs_groups_and_resources(void **state)
{
    static const struct rule_base role = {
        API, "Role", "{" META ",'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]}"
    };
    static const struct rule_base cluster = {
        API, "ClusterRole",
        "{'metadata':{'name':'reader'},'rules':[{'verbs':['get'],"
        "'nonResourceURLs':['/healthz']}]}"
    };
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'rules':null}", "" },
        { "{'metadata':{'name':'system:node'}}", "" }, /* ValidateRBACName: a path segment */
        { "{'metadata':{'name':'a/b'}}",
          "metadata.name: Invalid value: \"a/b\": may not contain '/'" },
        /* ValidatePolicyRule */
        { "{'rules':[{}]}",
          "rules[0].verbs: Required value: verbs must contain at least one value\n"
          "rules[0].apiGroups: Required value: resource rules must supply at least one api group\n"
          "rules[0].resources: Required value: resource rules must supply at least one resource" },
        { "{'rules':[{'verbs':['get'],'nonResourceURLs':['/a']}]}",
          "rules[0].nonResourceURLs: Invalid value: []string{\"/a\"}: namespaced rules cannot "
          "apply "
          "to non-resource URLs" },
    };
    static const struct rule_row cluster_rows[] = {
        { "{}", "" },
        { "{'rules':[{'verbs':['get'],'nonResourceURLs':['/a','/b'],'resources':['x']}]}",
          "rules[0].nonResourceURLs: Invalid value: []string{\"/a\", \"/b\"}: rules cannot apply "
          "to "
          "both regular resources and non-resource URLs" },
        /* ValidateClusterRole: aggregation */
        { "{'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'a':'b'}}]}}", "" },
        { "{'aggregationRule':{}}",
          "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector "
          "required if aggregationRule is non-nil" },
    };
    (void)state;
    expect_create(&role, rows, ARRAY_LEN(rows));
    expect_create(&cluster, cluster_rows, ARRAY_LEN(cluster_rows));
}

static const struct rule_base binding = {
    API, "RoleBinding",
    "{" META ",'roleRef':{'kind':'Role','name':'reader'},'subjects':[{'kind':'User','name':'ann'},{"
    "'kind':'ServiceAccount','name':'default'}]}"
};
static const struct rule_base cluster_binding = {
    API, "ClusterRoleBinding",
    "{'metadata':{'name':'reader'},'roleRef':{'kind':'ClusterRole','name':'reader'},'subjects':[{"
    "'kind':'Group','name':'ops'}]}"
};

static void bindings_name_a_role_and_who_gets_it(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* ValidateRoleBinding */
        { "{'roleRef':{'kind':'Group','apiGroup':'apps'}}",
          "roleRef.apiGroup: Unsupported value: \"apps\": supported values: "
          "\"rbac.authorization.k8s.io\"\n"
          "roleRef.kind: Unsupported value: \"Group\": supported values: \"Role\", "
          "\"ClusterRole\"" },
        { "{'roleRef':{'name':''}}", "roleRef.name: Required value" },
        { "{'roleRef':{'name':'a/b'}}",
          "roleRef.name: Invalid value: \"a/b\": may not contain '/'" },
        /* ValidateRoleBindingSubject */
        { "{'subjects':[{'kind':'User'}]}", "subjects[0].name: Required value" },
        { "{'subjects':[{'kind':'Robot','name':'x'}]}",
          "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", "
          "\"User\", \"Group\"" },
        { "{'subjects':[{'kind':'User','name':'x','apiGroup':'apps'}]}",
          "subjects[0].apiGroup: Unsupported value: \"apps\": supported values: "
          "\"rbac.authorization.k8s.io\"" },
        { "{'subjects':[{'kind':'ServiceAccount','name':'x','apiGroup':'apps'}]}",
          "subjects[0].apiGroup: Unsupported value: \"apps\": supported values: \"\"" },
    };
    static const struct rule_row cluster_rows[] = {
        { "{}", "" },
        /* ValidateClusterRoleBinding */
        { "{'roleRef':{'kind':'Role'}}",
          "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"" },
        { "{'subjects':[{'kind':'ServiceAccount','name':'x'}]}",
          "subjects[0].namespace: Required value" },
    };
    (void)state;
    expect_create(&binding, rows, ARRAY_LEN(rows));
    expect_create(&cluster_binding, cluster_rows, ARRAY_LEN(cluster_rows));
}

static void a_bindings_role_stays(void **state)
{
    static const struct rule_row rows[] = {
        { "{'subjects':null}", "" },
        /* ValidateRoleBindingUpdate */
        { "{'roleRef':{'name':'admin'}}",
          "roleRef: Invalid value: rbac.RoleRef{APIGroup:\"rbac.authorization.k8s.io\", "
          "Kind:\"Role\", Name:\"admin\"}: cannot change roleRef" },
    };
    static const struct rule_row cluster_rows[] = {
        { "{'roleRef':{'name':'admin'}}",
          "roleRef: Invalid value: rbac.RoleRef{APIGroup:\"rbac.authorization.k8s.io\", "
          "Kind:\"ClusterRole\", Name:\"admin\"}: cannot change roleRef" },
    };
    (void)state;
    expect_update(&binding, rows, ARRAY_LEN(rows));
    expect_update(&cluster_binding, cluster_rows, ARRAY_LEN(cluster_rows));
}

static void subjects_get_the_group_of_their_kind(void **state)
{
    (void)state;
    expect_defaults(&binding, "subjects",
                    "[{'kind':'User','name':'ann','apiGroup':'rbac.authorization.k8s.io'},{'kind':"
                    "'ServiceAccount','name':'default'}]");
    expect_defaults(&binding, "roleRef",
                    "{'kind':'Role','name':'reader','apiGroup':'rbac.authorization.k8s.io'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_name_verbs_groups_and_resources),
        cmocka_unit_test(bindings_name_a_role_and_who_gets_it),
        cmocka_unit_test(a_bindings_role_stays),
        cmocka_unit_test(subjects_get_the_group_of_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
