#pragma once
/*
 * Rule: what the rules of several groups share beyond validate_check.h: checks that upstream has
 * once (apimachinery pkg/util/validation and pkg/apis/meta/v1/validation,
 * pkg/apis/apps/validation for counts and percentages; release 1.32). Inside server/schema. Any
 * thread.
 */
#include "base/core/mem.h"
#include "server/schema/validate_check.h"

/* ---- readers; v may be NULL ---- */
static inline bool rule_has(const json_t *v, const char *key)
{
    return json_object_get(v, key) != NULL;
}
/* Equal, where absent, empty list and empty object are the same. */
bool rule_same(const json_t *a, const json_t *b);
/* The condition of that type; NULL: none. */
const json_t *rule_condition(const json_t *conditions, const char *type);
bool rule_condition_true(const json_t *conditions, const char *type);

/* ---- checks ---- */
/* v.key, when it is there, is not negative. */
void rule_non_negative(const json_t *v, const char *key, const struct field_path *p,
                       struct field_errors *fe);
void rule_non_negatives(const json_t *v, const char *const *keys, const struct field_path *p,
                        struct field_errors *fe);
/* v.small is at most v.large; both default to 0. why is upstream's sentence. */
void rule_at_most(const json_t *v, const char *small, const char *large, const struct field_path *p,
                  const char *why, struct field_errors *fe);
/* Adds text to the set; what is there already is a Duplicate value. */
void rule_unique(struct map *seen, const char *text, const struct field_path *p,
                 struct field_errors *fe);

/* IntOrString: a count that is not negative, or a percentage. */
void rule_count_or_percent(const json_t *v, const struct field_path *p, struct field_errors *fe);
void rule_percent_max(const json_t *v, const struct field_path *p, struct field_errors *fe);
int64_t rule_count_of(const json_t *v); /* the number of either form; 0 when neither */

/* "acme.io/foo" (IsDomainPrefixedPath); "" is a missing value. */
void rule_domain_path(const char *text, const struct field_path *p, struct field_errors *fe);
/* A condition's list: types differ (ValidateConditions). */
void rule_conditions(const json_t *list, const struct field_path *p, struct field_errors *fe);

/* Does the LabelSelector match; false for NULL and for one that does not parse. */
bool rule_selects(const json_t *selector, const json_t *labels);
bool rule_selector_parses(const json_t *selector);

/* NULL: fine, else upstream's sentence. */
const char *rule_check_wildcard_subdomain(const char *text);
const char *rule_check_port(int64_t n);

/* ---- values as Go prints them (%#v), which upstream's messages hold ---- */
void rule_invalid_map(struct field_errors *fe, const struct field_path *p, const json_t *map,
                      const char *detail); /* map[string]string{"a":"b"} */
/* A list of numbers too, unlike field_invalid_list; type: "[]int32". */
void rule_invalid_list(struct field_errors *fe, const struct field_path *p, const char *type,
                       const json_t *list, const char *detail);
void rule_invalid_selector(struct field_errors *fe, const struct field_path *p, const json_t *s,
                           const char *detail); /* v1.LabelSelector{...} */
void rule_invalid_count(struct field_errors *fe, const struct field_path *p, const json_t *v,
                        const char *detail); /* intstr.IntOrString{...} */
/* No value is shown. */
static inline void rule_invalid_bare(struct field_errors *fe, const struct field_path *p,
                                     const char *detail)
{
    field_add(fe, FIELD_INVALID, p, "Invalid value: %s", detail);
}
