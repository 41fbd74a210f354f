/* policy/v1: pkg/apis/policy/validation. Upstream allows a budget that names neither number. */
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

void policy_budget_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const keys[] = { "minAvailable", "maxUnavailable" };

    if (rule_has(v, "minAvailable") && rule_has(v, "maxUnavailable"))
        field_invalid_json(fe, p, v, "minAvailable and maxUnavailable cannot be both set");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *n = json_object_get(v, keys[i]);
        rule_count_or_percent(n, FIELD_AT(p, keys[i]), fe);
        rule_percent_max(n, FIELD_AT(p, keys[i]), fe);
    }
}

void policy_budget_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "disruptionsAllowed", "currentHealthy", "desiredHealthy",
                                          "expectedPods", NULL };

    rule_conditions(json_object_get(v, "conditions"), FIELD_AT(p, "conditions"), fe);
    rule_non_negatives(v, counts, p, fe);
}
