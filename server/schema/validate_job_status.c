/*
 * What the status of a Job may say, and how it may change: pkg/apis/batch/validation,
 * validateJobStatus and ValidateJobStatusUpdate. As pkg/registry/batch/job/strategy.go does since
 * JobManagedBy, most rules hold only for what an update changes: a Job whose spec was scaled is
 * mended by the next update of its controller.
 */
#include "base/data/time.h"
#include "server/schema/job_indexes.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <stdio.h>

void batch_job_status(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    static const char *const counts[] = { "active", "succeeded",   "failed",
                                          "ready",  "terminating", NULL };
    static const char *const lists[] = { "succeeded", "failed" };
    const json_t *uncounted = json_object_get(v, "uncountedTerminatedPods");
    const struct field_path *at = FIELD_AT(p, "uncountedTerminatedPods");
    AUTO(map) struct map *seen = map_new();
    json_t *uid;
    size_t i;

    rule_non_negatives(v, counts, p, fe);
    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        json_array_foreach(json_object_get(uncounted, lists[k]), i, uid)
        {
            const struct field_path *one = FIELD_INDEX(FIELD_AT(at, lists[k]), i);
            const char *s = json_string_value(uid) ? json_string_value(uid) : "";
            if (!*s)
                field_invalid(fe, one, s, "must not be empty");
            else
                rule_unique(seen, s, one, fe);
        }
}

/* ---- an update ---- */

struct change {
    const json_t *job, *spec, *now, *was;
    struct field_errors *fe;
};

static bool holds(const json_t *status, const char *type)
{
    return rule_condition_true(json_object_get(status, "conditions"), type);
}

static bool is_finished(const json_t *status)
{
    return holds(status, "Complete") || holds(status, "Failed");
}

static bool condition_changed(const struct change *c, const char *type)
{
    return holds(c->now, type) != holds(c->was, type);
}

static bool changed(const struct change *c, const char *key)
{
    return !rule_same(json_object_get(c->now, key), json_object_get(c->was, key));
}

/* A count: absent is 0. */
static bool count_changed(const struct change *c, const char *key)
{
    return part_int(c->now, key) != part_int(c->was, key);
}

static void bad_conditions(const struct change *c, bool wrong, const char *why)
{
    if (wrong)
        rule_invalid_bare(c->fe, FIELD_AT(FIELD_AT(NULL, "status"), "conditions"), why);
}

static void bad(const struct change *c, const char *key, const char *why)
{
    field_invalid_json(c->fe, FIELD_AT(FIELD_AT(NULL, "status"), key),
                       json_object_get(c->now, key) ? json_object_get(c->now, key) : json_null(),
                       why);
}

static void check_conditions(const struct change *c)
{
    static const char *const terminal[] = { "Failed", "Complete", "FailureTarget" };
    bool complete = holds(c->now, "Complete"), failed = holds(c->now, "Failed");
    bool target = holds(c->now, "FailureTarget"), met = holds(c->now, "SuccessCriteriaMet");
    bool complete_changed = condition_changed(c, "Complete");
    bool failed_changed = condition_changed(c, "Failed");
    bool target_changed = condition_changed(c, "FailureTarget");
    bool met_changed = condition_changed(c, "SuccessCriteriaMet");

    bad_conditions(c, (complete_changed || failed_changed) && complete && failed,
                   "cannot set Complete=True and Failed=true conditions");
    bad_conditions(c, (complete_changed || target_changed) && complete && target,
                   "cannot set Complete=True and FailureTarget=true conditions");
    bad_conditions(c, (failed_changed || target_changed) && failed && !target,
                   "cannot set Failed=True condition without the FailureTarget=true condition");
    bad_conditions(
        c, (complete_changed || met_changed) && complete && !met,
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
    bad_conditions(c, met && failed,
                   "cannot set SuccessCriteriaMet=True and Failed=true "
                   "conditions");
    bad_conditions(c, met && target,
                   "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    bad_conditions(c, rule_has(c->spec, "successPolicy") && !met && complete,
                   "cannot set Complete=True for Job with SuccessPolicy unless "
                   "SuccessCriteriaMet=True");
    for (size_t i = 0; i < ARRAY_LEN(terminal); i++) {
        char why[80];
        snprintf(why, sizeof why, "cannot disable the terminal %s=True condition", terminal[i]);
        bad_conditions(c, holds(c->was, terminal[i]) && !holds(c->now, terminal[i]), why);
    }
    bad_conditions(c, holds(c->was, "SuccessCriteriaMet") && !met,
                   "cannot disable the SuccessCriteriaMet=True condition");
    bad_conditions(c, holds(c->was, "Complete") && !holds(c->was, "SuccessCriteriaMet") && met,
                   "cannot set SuccessCriteriaMet=True for Job already has Complete=true "
                   "conditions");
}

static void check_times(const struct change *c)
{
    const struct field_path *p = FIELD_AT(NULL, "status");
    const char *start = part_str(c->now, "startTime"), *end = part_str(c->now, "completionTime");
    const char *start_was = part_str(c->was, "startTime");
    const char *end_was = part_str(c->was, "completionTime");
    bool complete = holds(c->now, "Complete"), finished = is_finished(c->now);
    bool start_changed = strcmp(start, start_was) != 0, end_changed = strcmp(end, end_was) != 0;
    bool complete_changed = condition_changed(c, "Complete");
    bool nothing_to_do = json_is_true(json_object_get(c->spec, "suspend")) &&
                         rule_has(c->spec, "completions") && part_int(c->spec, "completions") == 0;
    int64_t start_us = 0, end_us = 0;

    if ((complete_changed || end_changed) && *end && !complete)
        bad(c, "completionTime",
            "cannot set completionTime when there is no Complete=True "
            "condition");
    if ((complete_changed || end_changed) && !*end && complete)
        field_required(c->fe, FIELD_AT(p, "completionTime"),
                       "completionTime is required for Complete jobs");
    if ((start_changed || end_changed) && time_parse(&start_us, str_of(start)) &&
        time_parse(&end_us, str_of(end)) && end_us < start_us)
        bad(c, "completionTime", "completionTime cannot be set before startTime");
    if ((finished != is_finished(c->was) || start_changed) && finished && !*start && !nothing_to_do)
        field_required(c->fe, FIELD_AT(p, "startTime"), "startTime is required for finished job");
    if (*end && *end_was && end_changed)
        bad(c, "completionTime", "completionTime cannot be mutated");
    if (*start_was && start_changed && !json_is_true(json_object_get(c->spec, "suspend")))
        field_required(c->fe, FIELD_AT(p, "startTime"),
                       "startTime cannot be removed for unsuspended job");
}

static void check_counts(const struct change *c)
{
    bool finished = is_finished(c->now), ended = finished && !is_finished(c->was);
    const json_t *uncounted = json_object_get(c->now, "uncountedTerminatedPods");
    bool elastic =
        part_is(c->spec, "completionMode", "Indexed") &&
        rule_same(json_object_get(c->spec, "completions"), json_object_get(c->spec, "parallelism"));

    if ((ended || count_changed(c, "active")) && finished && part_int(c->now, "active") > 0)
        bad(c, "active", "active>0 is invalid for finished job");
    if ((ended || changed(c, "uncountedTerminatedPods")) && finished &&
        (json_array_size(json_object_get(uncounted, "failed")) ||
         json_array_size(json_object_get(uncounted, "succeeded"))))
        bad(c, "uncountedTerminatedPods",
            "uncountedTerminatedPods needs to be empty for finished job");
    if ((ended || count_changed(c, "terminating")) && finished &&
        part_int(c->now, "terminating") > 0)
        bad(c, "terminating", "terminating>0 is invalid for finished job");
    if ((count_changed(c, "ready") || count_changed(c, "active")) &&
        part_int(c->now, "ready") > part_int(c->now, "active"))
        bad(c, "ready", "cannot set more ready pods than active");
    if (part_int(c->now, "failed") < part_int(c->was, "failed"))
        field_add(c->fe, FIELD_INVALID, FIELD_AT(FIELD_AT(NULL, "status"), "failed"),
                  "Invalid value: %lld: cannot decrease the failed counter",
                  (long long)part_int(c->now, "failed"));
    /* a Job that is scaled down may */
    if (!elastic && part_int(c->now, "succeeded") < part_int(c->was, "succeeded"))
        field_add(c->fe, FIELD_INVALID, FIELD_AT(FIELD_AT(NULL, "status"), "succeeded"),
                  "Invalid value: %lld: cannot decrease the succeeded counter",
                  (long long)part_int(c->now, "succeeded"));
}

static void check_format(const struct change *c, const char *key)
{
    auto_free char *why = NULL;
    struct err e;
    int64_t n;

    if (!job_indexes_count(&n, part_str(c->now, key), part_int(c->spec, "completions"), &e))
        return;
    why = mem_printf("error parsing %s: %s", key, e.text);
    bad(c, key, why);
}

static void check_indexes(const struct change *c)
{
    const char *completed = part_str(c->now, "completedIndexes");
    bool completed_changed = strcmp(completed, part_str(c->was, "completedIndexes")) != 0;
    bool has_failed = rule_has(c->now, "failedIndexes");
    bool failed_changed = has_failed != rule_has(c->was, "failedIndexes") ||
                          !part_is(c->was, "failedIndexes", part_str(c->now, "failedIndexes"));
    bool counted = rule_has(c->spec, "completions");
    bool per_index = rule_has(c->spec, "backoffLimitPerIndex");
    int64_t both;

    if (completed_changed && counted)
        check_format(c, "completedIndexes");
    if (failed_changed && counted && per_index && has_failed)
        check_format(c, "failedIndexes");
    if (completed_changed && *completed && !part_is(c->spec, "completionMode", "Indexed"))
        bad(c, "completedIndexes",
            "cannot set non-empty completedIndexes when non-indexed completion mode");
    if (failed_changed && !per_index && has_failed)
        bad(c, "failedIndexes",
            "cannot set non-null failedIndexes when backoffLimitPerIndex is "
            "null");
    if (!(completed_changed || failed_changed) || !counted || !has_failed)
        return;
    both = job_indexes_overlap(completed, part_str(c->now, "failedIndexes"),
                               part_int(c->spec, "completions"));
    if (both >= 0) {
        auto_free char *why = mem_printf(
            "failedIndexes and completedIndexes overlap at index: %lld", (long long)both);
        bad(c, "failedIndexes", why);
    }
}

void batch_job_status_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const struct change c = {
        .job = v,
        .spec = json_object_get(v, "spec"),
        .now = json_object_get(v, "status"),
        .was = json_object_get(old, "status"),
        .fe = fe,
    };

    check_conditions(&c);
    check_times(&c);
    check_counts(&c);
    check_indexes(&c);
}
