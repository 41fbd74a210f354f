/* batch/v1 Jobs: pkg/apis/batch/validation/validation.go, and the options of
 * pkg/registry/batch/job/strategy.go. */
#include "base/kube/name.h"
#include "server/schema/job_indexes.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <limits.h>
#include <stdio.h>

enum { /* upstream's limits: they bound the texts of completed and failed indexes */
       PARALLELISM_MAX = 100000,
       FAILED_INDEXES_MAX = 100000,
       COMPLETIONS_SOFT = 100000, /* above it, the two below hold with a limit per index */
       HIGH_PARALLELISM_MAX = 10000,
       HIGH_FAILED_INDEXES_MAX = 10000,
       FAILURE_RULES_MAX = 20,
       EXIT_CODES_MAX = 255,
       CONDITION_PATTERNS_MAX = 20,
       MANAGED_BY_MAX_BYTES = 63,
       SUCCESS_RULES_MAX = 20,
       SUCCEEDED_INDEXES_MAX_BYTES = 64 * 1024,
};

static bool is_indexed(const json_t *spec)
{
    return part_is(spec, "completionMode", "Indexed");
}

/* ---- indexes and limits ---- */

PRINTF_FMT(4, 5)
static void invalid_fmt(struct field_errors *fe, const struct field_path *p, const json_t *v,
                        const char *fmt, ...)
{
    char why[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    field_invalid_json(fe, p, v, why);
}

#define WITH_LIMIT "when completions are above %d and used with backoff limit per index"

static void check_indexed(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *completions = json_object_get(v, "completions");
    const json_t *parallelism = json_object_get(v, "parallelism");
    const json_t *failed = json_object_get(v, "maxFailedIndexes");
    const struct field_path *parallelism_at = FIELD_AT(p, "parallelism");
    const struct field_path *failed_at = FIELD_AT(p, "maxFailedIndexes");
    int64_t n_failed = json_integer_value(failed);

    if (!completions)
        field_required(fe, FIELD_AT(p, "completions"), "when completion mode is Indexed");
    if (json_integer_value(parallelism) > PARALLELISM_MAX)
        invalid_fmt(fe, parallelism_at, parallelism,
                    "must be less than or equal to %d when completion mode is Indexed",
                    PARALLELISM_MAX);
    if (completions && n_failed > json_integer_value(completions))
        field_invalid_json(fe, failed_at, failed, "must be less than or equal to completions");
    if (n_failed > FAILED_INDEXES_MAX)
        invalid_fmt(fe, failed_at, failed, "must be less than or equal to %d", FAILED_INDEXES_MAX);
    if (json_integer_value(completions) <= COMPLETIONS_SOFT || !rule_has(v, "backoffLimitPerIndex"))
        return;
    if (!failed)
        field_add(fe, FIELD_REQUIRED, failed_at,
                  "Required value: must be specified when completions is above %d",
                  COMPLETIONS_SOFT);
    if (json_integer_value(parallelism) > HIGH_PARALLELISM_MAX)
        invalid_fmt(fe, parallelism_at, parallelism, "must be less than or equal to %d " WITH_LIMIT,
                    HIGH_PARALLELISM_MAX, COMPLETIONS_SOFT);
    if (n_failed > HIGH_FAILED_INDEXES_MAX)
        invalid_fmt(fe, failed_at, failed, "must be less than or equal to %d " WITH_LIMIT,
                    HIGH_FAILED_INDEXES_MAX, COMPLETIONS_SOFT);
}

static void check_not_indexed(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const keys[] = { "backoffLimitPerIndex", "maxFailedIndexes" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (rule_has(v, keys[i]))
            field_invalid_json(fe, FIELD_AT(p, keys[i]), json_object_get(v, keys[i]),
                               "requires indexed completion mode");
}

/* ---- podFailurePolicy ---- */

static bool has_container(const json_t *pod, const char *name)
{
    static const char *const lists[] = { "containers", "initContainers" };
    json_t *c;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(json_object_get(pod, lists[k]), i, c)
        {
            if (part_is(c, "name", name))
                return true;
        }
    return false;
}

static void check_exit_codes(const json_t *v, const json_t *pod, const struct field_path *p,
                             struct field_errors *fe)
{
    const json_t *values = json_object_get(v, "values");
    const struct field_path *at = FIELD_AT(p, "values");
    const char *name = part_str(v, "containerName");
    int64_t before = INT64_MIN;
    bool ordered = true;
    json_t *code;
    size_t i;

    if (!*part_str(v, "operator"))
        field_required(fe, FIELD_AT(p, "operator"), "valid values: [\"In\" \"NotIn\"]");
    if (rule_has(v, "containerName") && !has_container(pod, name))
        field_invalid(fe, FIELD_AT(p, "containerName"), name,
                      "must be one of the container or initContainer names in the pod template");
    if (!json_array_size(values))
        rule_invalid_list(fe, at, "[]int32", values, "at least one value is required");
    else if (json_array_size(values) > EXIT_CODES_MAX)
        field_too_many(fe, at, json_array_size(values), EXIT_CODES_MAX);
    json_array_foreach(values, i, code)
    {
        int64_t n = json_integer_value(code);
        bool again = false;

        if (n == 0 && part_is(v, "operator", "In"))
            field_invalid_json(fe, FIELD_INDEX(at, i), code, "must not be 0 for the In operator");
        for (size_t k = 0; k < i; k++)
            again |= json_integer_value(json_array_get(values, k)) == n;
        if (again)
            field_add(fe, FIELD_DUPLICATE, FIELD_INDEX(at, i), "Duplicate value: %lld",
                      (long long)n);
        ordered &= n >= before;
        before = n;
    }
    if (!ordered)
        rule_invalid_list(fe, at, "[]int32", values, "must be ordered");
}

static void check_patterns(const json_t *list, const struct field_path *p, struct field_errors *fe)
{
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };
    json_t *v;
    size_t i;

    if (json_array_size(list) > CONDITION_PATTERNS_MAX)
        field_too_many(fe, p, json_array_size(list), CONDITION_PATTERNS_MAX);
    json_array_foreach(list, i, v)
    {
        const struct field_path *at = FIELD_INDEX(p, i);
        const char *type = part_str(v, "type"), *status = part_str(v, "status");
        (void)check_qualified(fe, FIELD_AT(at, "type"), type);
        if (!*status)
            field_required(fe, FIELD_AT(at, "status"),
                           "valid values: [\"False\" \"True\" \"Unknown\"]");
        else
            (void)check_listed(fe, FIELD_AT(at, "status"), status, statuses);
    }
}

static void check_failure_policy(const json_t *spec, const struct field_path *p,
                                 struct field_errors *fe)
{
    const json_t *rules = json_object_get(json_object_get(spec, "podFailurePolicy"), "rules");
    const json_t *pod = json_object_get(json_object_get(spec, "template"), "spec");
    const struct field_path *list = FIELD_AT(p, "rules");
    json_t *rule;
    size_t i;

    if (json_array_size(rules) > FAILURE_RULES_MAX)
        field_too_many(fe, list, json_array_size(rules), FAILURE_RULES_MAX);
    json_array_foreach(rules, i, rule)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const json_t *codes = json_object_get(rule, "onExitCodes");
        const json_t *patterns = json_object_get(rule, "onPodConditions");
        if (!*part_str(rule, "action"))
            field_required(fe, FIELD_AT(at, "action"),
                           "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
        else if (part_is(rule, "action", "FailIndex") && !rule_has(spec, "backoffLimitPerIndex"))
            field_invalid(fe, FIELD_AT(at, "action"), "FailIndex",
                          "requires the backoffLimitPerIndex to be set");
        if (codes)
            check_exit_codes(codes, pod, FIELD_AT(at, "onExitCodes"), fe);
        check_patterns(patterns, FIELD_AT(at, "onPodConditions"), fe);
        if (codes && json_array_size(patterns))
            rule_invalid_bare(fe, at,
                              "specifying both OnExitCodes and OnPodConditions is not supported");
        else if (!codes && !json_array_size(patterns))
            rule_invalid_bare(fe, at,
                              "specifying one of OnExitCodes and OnPodConditions is required");
    }
}

/* ---- successPolicy ---- */

static void check_success_rule(const json_t *rule, int64_t completions, const struct field_path *p,
                               struct field_errors *fe)
{
    const json_t *indexes = json_object_get(rule, "succeededIndexes");
    const json_t *count = json_object_get(rule, "succeededCount");
    const char *text = part_str(rule, "succeededIndexes");
    const struct field_path *at = FIELD_AT(p, "succeededCount");
    struct err e;
    int64_t total = 0;

    if (!indexes && !count)
        field_required(fe, p,
                       "at least one of succeededCount or succeededIndexes must be "
                       "specified");
    if (strlen(text) > SUCCEEDED_INDEXES_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "succeededIndexes"), SUCCEEDED_INDEXES_MAX_BYTES);
    if (job_indexes_count(&total, text, completions, &e)) {
        auto_free char *why = mem_printf("error parsing succeededIndexes: %s", e.text);
        field_invalid(fe, FIELD_AT(p, "succeededIndexes"), text, why);
        total = 0;
    }
    rule_non_negative(rule, "succeededCount", p, fe);
    if (json_integer_value(count) > completions)
        invalid_fmt(fe, at, count,
                    "must be less than or equal to %lld (the number of specified completions)",
                    (long long)completions);
    if (indexes && json_integer_value(count) > total)
        invalid_fmt(fe, at, count,
                    "must be less than or equal to %lld (the number of indexes in the specified "
                    "succeededIndexes field)",
                    (long long)total);
}

static void check_success_policy(const json_t *spec, const struct field_path *p,
                                 struct field_errors *fe)
{
    const json_t *policy = json_object_get(spec, "successPolicy");
    const json_t *rules = json_object_get(policy, "rules");
    const struct field_path *list = FIELD_AT(p, "rules");
    json_t *rule;
    size_t i;

    if (!is_indexed(spec)) {
        field_invalid_json(fe, p, policy, "requires indexed completion mode");
        return;
    }
    if (!json_array_size(rules))
        field_required(fe, list,
                       "at least one rules must be specified when the successPolicy is specified");
    if (json_array_size(rules) > SUCCESS_RULES_MAX)
        field_too_many(fe, list, json_array_size(rules), SUCCESS_RULES_MAX);
    json_array_foreach(rules, i, rule)
        check_success_rule(rule, part_int(spec, "completions"), FIELD_INDEX(list, i), fe);
}

/* ---- the spec, of Jobs and of what CronJobs make ---- */

static void check_restart_policy(const json_t *spec, const struct field_path *p,
                                 struct field_errors *fe)
{
    static const char *const words[] = { "OnFailure", "Never", NULL };
    const json_t *pod = json_object_get(json_object_get(spec, "template"), "spec");
    const struct field_path *at =
        FIELD_AT(FIELD_AT(FIELD_AT(p, "template"), "spec"), "restartPolicy");
    const char *policy = part_str(pod, "restartPolicy");

    if (!*policy || strcmp(policy, "Always") == 0)
        field_required(fe, at, "valid values: \"OnFailure\", \"Never\"");
    else if (!text_listed(words, policy))
        field_not_supported(fe, at, policy, words);
    else if (rule_has(spec, "podFailurePolicy") && strcmp(policy, "Never") != 0)
        field_invalid(fe, at, policy,
                      "only \"Never\" is supported when podFailurePolicy is specified");
}

void batch_job_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "activeDeadlineSeconds", "ttlSecondsAfterFinished",
                                          "backoffLimitPerIndex", "maxFailedIndexes", NULL };
    static const char *const failed_only[] = { "Failed", NULL };
    static const char *const modes[] = { "NonIndexed", "Indexed", NULL };
    const char *managed_by = part_str(v, "managedBy");
    const char *replacement = part_str(v, "podReplacementPolicy");

    rule_non_negatives(v, counts, p, fe);
    if (rule_has(v, "maxFailedIndexes") && !rule_has(v, "backoffLimitPerIndex"))
        field_required(fe, FIELD_AT(p, "backoffLimitPerIndex"),
                       "when maxFailedIndexes is "
                       "specified");
    if (rule_has(v, "managedBy"))
        rule_domain_path(managed_by, FIELD_AT(p, "managedBy"), fe);
    if (strlen(managed_by) > MANAGED_BY_MAX_BYTES)
        field_too_long(fe, FIELD_AT(p, "managedBy"), MANAGED_BY_MAX_BYTES);
    if (rule_has(v, "completionMode"))
        (void)check_listed(fe, FIELD_AT(p, "completionMode"), part_str(v, "completionMode"), modes);
    if (is_indexed(v))
        check_indexed(v, p, fe);
    else if (!rule_has(v, "completionMode") || part_is(v, "completionMode", "NonIndexed"))
        check_not_indexed(v, p, fe);
    if (rule_has(v, "podFailurePolicy"))
        check_failure_policy(v, FIELD_AT(p, "podFailurePolicy"), fe);
    if (rule_has(v, "successPolicy"))
        check_success_policy(v, FIELD_AT(p, "successPolicy"), fe);
    if (*replacement && rule_has(v, "podFailurePolicy"))
        (void)check_listed(fe, FIELD_AT(p, "podReplacementPolicy"), replacement, failed_only);
    check_restart_policy(v, p, fe);
}

/* ---- a Job's selector ---- */

static void needs_label(const json_t *labels, const char *key, const char *value,
                        const struct field_path *p, struct field_errors *fe)
{
    const struct field_path *at = FIELD_KEY(FIELD_AT(p, "labels"), key);

    if (!rule_has(labels, key)) {
        field_add(fe, FIELD_REQUIRED, at, "Required value: must be '%s'", value);
    } else if (!part_is(labels, key, value)) {
        auto_free char *why = mem_printf("must be '%s'", value);
        rule_invalid_map(fe, at, labels, why);
    }
}

/* What the server made of the selector: resource/job.c. */
static void check_generated(const json_t *job, const json_t *labels, struct field_errors *fe)
{
    static const char *const uids[] = { "controller-uid", "batch.kubernetes.io/controller-uid" };
    static const char *const names[] = { "job-name", "batch.kubernetes.io/job-name" };
    const json_t *meta = json_object_get(job, "metadata"), *spec = json_object_get(job, "spec");
    const struct field_path *p = FIELD_AT(NULL, "spec");
    const struct field_path *at = FIELD_AT(FIELD_AT(p, "template"), "metadata");
    const char *uid = part_str(meta, "uid"), *name = part_str(meta, "name");
    json_auto_t *wanted = json_object();

    if (!*uid)
        field_required(fe, FIELD_AT(FIELD_AT(NULL, "metadata"), "uid"), "");
    for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
        needs_label(labels, uids[i], uid, at, fe);
        needs_label(labels, names[i], name, at, fe);
        json_object_set_new(wanted, uids[i], json_string(uid));
        json_object_set_new(wanted, names[i], json_string(name));
    }
    const json_t *selector = json_object_get(spec, "selector");
    if (rule_selector_parses(selector) && !rule_selects(selector, wanted))
        rule_invalid_selector(fe, FIELD_AT(p, "selector"), selector,
                              "`selector` not auto-generated");
}

void batch_job(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec"), *selector = json_object_get(spec, "selector");
    const json_t *meta = json_object_get(json_object_get(spec, "template"), "metadata");
    const json_t *labels = json_object_get(meta, "labels");
    const struct field_path *at = FIELD_AT(p, "spec");
    int64_t completions = part_int(spec, "completions");
    const char *name = part_str(json_object_get(v, "metadata"), "name");

    if (selector && !json_is_true(json_object_get(spec, "manualSelector")))
        check_generated(v, labels, fe);
    if (!selector)
        field_required(fe, FIELD_AT(at, "selector"), "");
    if (rule_selector_parses(selector) && !rule_selects(selector, labels))
        rule_invalid_map(fe, FIELD_AT(FIELD_AT(FIELD_AT(at, "template"), "metadata"), "labels"),
                         labels, "`selector` does not match template `labels`");
    if (is_indexed(spec) && completions > 0) { /* host names of its pods */
        auto_free char *host = mem_printf("%s-%lld", name, (long long)completions - 1);
        auto_free char *why =
            mem_printf("will not able to create pod with invalid DNS label: %s", host);
        if (name_check_label(str_of(host)))
            field_invalid(fe, FIELD_AT(FIELD_AT(p, "metadata"), "name"), name, why);
    }
}

void batch_job_template_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const words[] = { "nil", "false", NULL };
    const json_t *spec = json_object_get(v, "spec");
    const struct field_path *at = FIELD_AT(p, "spec");

    if (rule_has(spec, "selector"))
        rule_invalid_selector(fe, FIELD_AT(at, "selector"), json_object_get(spec, "selector"),
                              "`selector` will be auto-generated");
    if (json_is_true(json_object_get(spec, "manualSelector")))
        field_add(fe, FIELD_NOT_SUPPORTED, FIELD_AT(at, "manualSelector"),
                  "Unsupported value: true: supported values: \"%s\", \"%s\"", words[0], words[1]);
}

/* ---- updates ---- */

/* A suspended Job that never started: where its pods may go can still be said. */
static json_t *with_directives_of(const json_t *template_, const json_t *from)
{
    static const char *const spec_keys[] = { "nodeSelector", "tolerations", "schedulingGates" };
    static const char *const meta_keys[] = { "annotations", "labels" };
    json_t *copy = json_deep_copy(template_);
    json_t *spec = json_object_get(copy, "spec"), *meta = json_object_get(copy, "metadata");
    json_t *new_spec = json_object_get(from, "spec"), *affinity = json_object_get(spec, "affinity");
    json_t *node = json_object_get(json_object_get(new_spec, "affinity"), "nodeAffinity");

    for (size_t i = 0; i < ARRAY_LEN(spec_keys); i++) {
        json_t *v = json_object_get(new_spec, spec_keys[i]);
        if (v)
            json_object_set(spec, spec_keys[i], v);
        else
            json_object_del(spec, spec_keys[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(meta_keys); i++) {
        json_t *v = json_object_get(json_object_get(from, "metadata"), meta_keys[i]);
        if (v)
            json_object_set(meta, meta_keys[i], v);
        else
            json_object_del(meta, meta_keys[i]);
    }
    if (!affinity && json_object_get(new_spec, "affinity")) {
        affinity = json_object();
        json_object_set_new(spec, "affinity", affinity);
    }
    json_object_del(affinity, "nodeAffinity");
    if (node)
        json_object_set(affinity, "nodeAffinity", node);
    if (affinity && !json_object_size(affinity) && !json_object_get(new_spec, "affinity"))
        json_object_del(spec, "affinity");
    return copy;
}

/* Of a Job, not of what a CronJob will make: so the tables cannot say it. */
static void check_fixed(const json_t *spec, const json_t *was, const struct field_path *p,
                        struct field_errors *fe)
{
    static const char *const keys[] = { "completionMode", "podFailurePolicy",
                                        "backoffLimitPerIndex", "managedBy", "successPolicy" };
    const json_t *selector = json_object_get(spec, "selector");

    if (!rule_same(selector, json_object_get(was, "selector")))
        rule_invalid_selector(fe, FIELD_AT(p, "selector"), selector, "field is immutable");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *a = json_object_get(spec, keys[i]);
        if (!rule_same(a, json_object_get(was, keys[i])))
            field_invalid_json(fe, FIELD_AT(p, keys[i]), a ? a : json_null(), "field is immutable");
    }
}

void batch_job_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec"), *was = json_object_get(old, "spec");
    const json_t *completions = json_object_get(spec, "completions");
    const json_t *template_ = json_object_get(spec, "template");
    const struct field_path *p = FIELD_AT(NULL, "spec");
    bool waits = json_is_true(json_object_get(was, "suspend")) &&
                 !*part_str(json_object_get(old, "status"), "startTime");
    json_auto_t *fixed = waits ? with_directives_of(json_object_get(was, "template"), template_)
                               : json_deep_copy(json_object_get(was, "template"));

    check_fixed(spec, was, p, fe);
    if (!rule_same(completions, json_object_get(was, "completions"))) {
        if (!is_indexed(spec))
            field_invalid_json(fe, FIELD_AT(p, "completions"),
                               completions ? completions : json_null(), "field is immutable");
        else if (completions && !rule_same(completions, json_object_get(spec, "parallelism")))
            field_invalid_json(fe, FIELD_AT(p, "completions"), completions,
                               "can only be modified in tandem with spec.parallelism");
    }
    if (!rule_same(template_, fixed))
        field_invalid_json(fe, FIELD_AT(p, "template"), template_ ? template_ : json_null(),
                           "field is immutable");
}
