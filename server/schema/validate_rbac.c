/* rbac.authorization.k8s.io/v1: pkg/apis/rbac/validation. */
#include "base/data/json.h"
#include "base/kube/name.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#define GROUP "rbac.authorization.k8s.io"

/* ---- rules ---- */

static void check_rule(const json_t *v, bool namespaced, const struct field_path *p,
                       struct field_errors *fe)
{
    const json_t *urls = json_object_get(v, "nonResourceURLs");
    const struct field_path *at = FIELD_AT(p, "nonResourceURLs");
    bool groups = json_array_size(json_object_get(v, "apiGroups")) > 0;
    bool resources = json_array_size(json_object_get(v, "resources")) > 0;

    if (!json_array_size(json_object_get(v, "verbs")))
        field_required(fe, FIELD_AT(p, "verbs"), "verbs must contain at least one value");
    if (json_array_size(urls)) {
        if (namespaced)
            field_invalid_list(fe, at, "string", urls,
                               "namespaced rules cannot apply to non-resource URLs");
        if (groups || resources || json_array_size(json_object_get(v, "resourceNames")))
            field_invalid_list(
                fe, at, "string", urls,
                "rules cannot apply to both regular resources and non-resource URLs");
        return;
    }
    if (!groups)
        field_required(fe, FIELD_AT(p, "apiGroups"),
                       "resource rules must supply at least one api group");
    if (!resources)
        field_required(fe, FIELD_AT(p, "resources"),
                       "resource rules must supply at least one resource");
}

static void check_rules(const json_t *v, bool namespaced, const struct field_path *p,
                        struct field_errors *fe)
{
    const struct field_path *list = FIELD_AT(p, "rules");
    json_t *rule;
    size_t i;

    json_array_foreach(json_object_get(v, "rules"), i, rule)
        check_rule(rule, namespaced, FIELD_INDEX(list, i), fe);
}

void rbac_role(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_rules(v, true, p, fe);
}

void rbac_cluster_role(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *aggregation = json_object_get(v, "aggregationRule");
    const json_t *selectors = json_object_get(aggregation, "clusterRoleSelectors");
    const struct field_path *list =
        FIELD_AT(FIELD_AT(p, "aggregationRule"), "clusterRoleSelectors");
    json_t *selector;
    size_t i;

    check_rules(v, false, p, fe);
    if (aggregation && !json_array_size(selectors))
        field_required(fe, list,
                       "at least one clusterRoleSelector required if aggregationRule is "
                       "non-nil");
    json_array_foreach(selectors, i, selector)
    {
        if (!rule_selector_parses(selector))
            rule_invalid_selector(fe, FIELD_INDEX(list, i), selector, "invalid label selector.");
    }
}

/* ---- bindings ---- */

static void check_subject(const json_t *v, bool namespaced, const struct field_path *p,
                          struct field_errors *fe)
{
    static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
    static const char *const none[] = { "", NULL }, *const ours[] = { GROUP, NULL };
    const char *name = part_str(v, "name"), *kind = part_str(v, "kind");

    if (!text_listed(kinds, kind)) {
        field_not_supported(fe, FIELD_AT(p, "kind"), kind, kinds);
        return;
    }
    if (strcmp(kind, "ServiceAccount") != 0) {
        (void)check_listed(fe, FIELD_AT(p, "apiGroup"), part_str(v, "apiGroup"), ours);
        return;
    }
    if (*name)
        (void)check_text(fe, FIELD_AT(p, "name"), name, name_check_subdomain(str_of(name)));
    (void)check_listed(fe, FIELD_AT(p, "apiGroup"), part_str(v, "apiGroup"), none);
    if (!namespaced && !*part_str(v, "namespace"))
        field_required(fe, FIELD_AT(p, "namespace"), "");
}

static void check_binding(const json_t *v, bool namespaced, const struct field_path *p,
                          struct field_errors *fe)
{
    static const char *const both[] = { "Role", "ClusterRole", NULL };
    static const char *const cluster[] = { "ClusterRole", NULL }, *const ours[] = { GROUP, NULL };
    const json_t *ref = json_object_get(v, "roleRef");
    const struct field_path *at = FIELD_AT(p, "roleRef"), *list = FIELD_AT(p, "subjects");
    const char *name = part_str(ref, "name");
    json_t *subject;
    size_t i;

    (void)check_listed(fe, FIELD_AT(at, "apiGroup"), part_str(ref, "apiGroup"), ours);
    (void)check_listed(fe, FIELD_AT(at, "kind"), part_str(ref, "kind"),
                       namespaced ? both : cluster);
    (void)check_text(fe, FIELD_AT(at, "name"), name, name_check_path_segment(str_of(name)));
    json_array_foreach(json_object_get(v, "subjects"), i, subject)
        check_subject(subject, namespaced, FIELD_INDEX(list, i), fe);
}

void rbac_role_binding(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_binding(v, true, p, fe);
}

void rbac_cluster_role_binding(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    check_binding(v, false, p, fe);
}

void rbac_binding_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *ref = json_object_get(v, "roleRef");
    auto_buf b = BUF(4096);
    int r;

    if (rule_same(ref, json_object_get(old, "roleRef")))
        return;
    r = buf_adds(&b, "rbac.RoleRef{APIGroup:");
    r = r ? r : json_write_str(&b, str_of(part_str(ref, "apiGroup")));
    r = r ? r : buf_adds(&b, ", Kind:");
    r = r ? r : json_write_str(&b, str_of(part_str(ref, "kind")));
    r = r ? r : buf_adds(&b, ", Name:");
    r = r ? r : json_write_str(&b, str_of(part_str(ref, "name")));
    r = r ? r : buf_addc(&b, '}');
    field_add(fe, FIELD_INVALID, FIELD_AT(NULL, "roleRef"),
              "Invalid value: %s: cannot change roleRef", r ? "..." : buf_cstr(&b));
}
