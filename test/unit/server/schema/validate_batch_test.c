/* batch/v1, rule by rule: pkg/apis/batch/validation and pkg/registry/batch/job/strategy.go, 1.32.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/core/mem.h"
#include "base/core/str.h"
#include "server/schema/job_indexes.h"
#include "test/unit/server/schema/rule_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POD "'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}"

/* As the server makes it: with its own selector. */
#define LABELS                                                                                     \
    "'controller-uid':'u1','batch.kubernetes.io/controller-uid':'u1','job-name':'pi',"             \
    "'batch.kubernetes.io/job-name':'pi'"
#define JOB(more)                                                                                  \
    "{'metadata':{'name':'pi','namespace':'default','uid':'u1'},'spec':{'selector':{'matchLabels'" \
    ":{'batch.kubernetes.io/controller-uid':'u1'}},'template':{'metadata':{'labels':{" LABELS      \
    "}}," POD "}" more "}}"

static const struct rule_base job = { "batch/v1", "Job", JOB("") };
static const struct rule_base indexed = {
    "batch/v1", "Job", JOB(",'completionMode':'Indexed','completions':5,'parallelism':5")
};

static void job_specs_are_checked(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        /* validateJobSpec: counts */
        { "{'spec':{'parallelism':-1,'completions':-1,'activeDeadlineSeconds':-1,'backoffLimit':-1,"
          "'ttlSecondsAfterFinished':-1}}",
          "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.completions: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.parallelism: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0" },
        /* completionMode */
        { "{'spec':{'completionMode':'Sometimes'}}",
          "spec.completionMode: Unsupported value: \"Sometimes\": supported values: "
          "\"NonIndexed\", "
          "\"Indexed\"" },
        { "{'spec':{'completionMode':'Indexed','parallelism':1}}",
          "spec.completions: Required value: when completion mode is Indexed" },
        { "{'spec':{'backoffLimitPerIndex':1,'maxFailedIndexes':1}}",
          "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode\n"
          "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode" },
        /* managedBy */
        { "{'spec':{'managedBy':'acme.io/jobs'}}", "" },
        { "{'spec':{'managedBy':'acme'}}",
          "spec.managedBy: Invalid value: \"acme\": must be a domain-prefixed path (such as "
          "\"acme.io/foo\")" },
        { "{'spec':{'managedBy':'acme.io/a b'}}",
          "spec.managedBy: Invalid value: \"a b\": Invalid path (regex used for validation is "
          "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')" },
        /* restartPolicy */
        { "{'spec':{'template':{'spec':{'restartPolicy':'Always'}}}}",
          "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
          "\"Never\"" },
        { "{'spec':{'template':{'spec':{'restartPolicy':null}}}}",
          "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
          "\"Never\"" },
        /* podReplacementPolicy */
        { "{'spec':{'podReplacementPolicy':'Soon'}}",
          "spec.podReplacementPolicy: Unsupported value: \"Soon\": supported values: \"Failed\", "
          "\"TerminatingOrFailed\"" },
        { "{'spec':{'podReplacementPolicy':'TerminatingOrFailed','podFailurePolicy':{'rules':[{"
          "'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget'}]}]}}}",
          "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported "
          "values: "
          "\"Failed\"" },
    };
    (void)state;
    expect_create(&job, rows, ARRAY_LEN(rows));
}

static void indexed_jobs_have_limits(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'parallelism':100001}}",
          "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when "
          "completion mode is Indexed" },
        { "{'spec':{'maxFailedIndexes':6}}",
          "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified\n"
          "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions" },
        { "{'spec':{'completions':200000,'backoffLimitPerIndex':1,'parallelism':10001}}",
          "spec.maxFailedIndexes: Required value: must be specified when completions is above "
          "100000\n"
          "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when "
          "completions are above 100000 and used with backoff limit per index" },
        { "{'spec':{'completions':200000,'backoffLimitPerIndex':1,'maxFailedIndexes':100001}}",
          "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000\n"
          "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when "
          "completions are above 100000 and used with backoff limit per index" },
        /* ValidateJob: the pods' host names */
        { "{'metadata':{'name':'a.b'},'spec':{'manualSelector':true}}",
          "metadata.name: Invalid value: \"a.b\": will not able to create pod with invalid DNS "
          "label: a.b-4" },
        /* validateSuccessPolicy */
        { "{'spec':{'successPolicy':{'rules':[{'succeededIndexes':'0,2-4','succeededCount':4}]}}}",
          "" },
        { "{'spec':{'successPolicy':{'rules':[]}}}",
          "spec.successPolicy.rules: Required value: at least one rules must be specified when the "
          "successPolicy is specified" },
        { "{'spec':{'successPolicy':{'rules':[{}]}}}",
          "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or "
          "succeededIndexes must be specified" },
        { "{'spec':{'successPolicy':{'rules':[{'succeededIndexes':'0-1','succeededCount':3}]}}}",
          "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or "
          "equal "
          "to 2 (the number of indexes in the specified succeededIndexes field)" },
        { "{'spec':{'successPolicy':{'rules':[{'succeededCount':6}]}}}",
          "spec.successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or "
          "equal "
          "to 5 (the number of specified completions)" },
        { "{'spec':{'successPolicy':{'rules':[{'succeededIndexes':'0,9'}]}}}",
          "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,9\": error parsing "
          "succeededIndexes: too large index: \"9\"" },
    };
    static const struct rule_row plain[] = {
        { "{'spec':{'successPolicy':{'rules':[{'succeededCount':1}]}}}",
          "spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires "
          "indexed completion mode" },
    };
    (void)state;
    expect_create(&indexed, rows, ARRAY_LEN(rows));
    expect_create(&job, plain, ARRAY_LEN(plain));
}

static void failure_policies_are_checked(void **state)
{
#define RULE(text) "{'spec':{'podFailurePolicy':{'rules':[{" text "}]}}}"
#define AT         "spec.podFailurePolicy.rules[0]"
    static const struct rule_row rows[] = {
        { RULE("'action':'FailJob','onExitCodes':{'operator':'In','values':[1,2],'containerName':"
               "'c'}"),
          "" },
        { RULE("'action':'Count','onPodConditions':[{'type':'DisruptionTarget'}]"), "" },
        /* validatePodFailurePolicyRule */
        { RULE("'action':'','onPodConditions':[{'type':'Ready'}]"),
          AT ".action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" "
             "\"Ignore\"]" },
        { RULE("'action':'FailIndex','onPodConditions':[{'type':'Ready'}]"),
          AT ".action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set" },
        { RULE("'action':'Ignore'"),
          AT ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required" },
        { RULE("'action':'Ignore','onExitCodes':{'operator':'In','values':[1]},'onPodConditions':[{"
               "'type':'Ready'}]"),
          AT ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported" },
        /* validatePodFailurePolicyRuleOnExitCodes */
        { RULE("'action':'Ignore','onExitCodes':{'operator':'In','values':[]}"),
          AT ".onExitCodes.values: Invalid value: []int32{}: at least one value is required" },
        { RULE("'action':'Ignore','onExitCodes':{'operator':'In','values':[3,0,3]}"),
          AT ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator\n" AT
             ".onExitCodes.values[2]: Duplicate value: 3\n" AT
             ".onExitCodes.values: Invalid value: []int32{3, 0, 3}: must be ordered" },
        { RULE("'action':'Ignore','onExitCodes':{'operator':'NotIn','values':[0],'containerName':"
               "'x'}"),
          AT ".onExitCodes.containerName: Invalid value: \"x\": must be one of the container or "
             "initContainer names in the pod template" },
        /* validatePodFailurePolicyRuleOnPodConditions */
        { RULE("'action':'Ignore','onPodConditions':[{'type':'Ready','status':'Maybe'}]"),
          AT ".onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: "
             "\"False\", \"True\", \"Unknown\"" },
        /* only pods that end can fail */
        { "{'spec':{'template':{'spec':{'restartPolicy':'OnFailure'}},'podFailurePolicy':{'rules':"
          "[]}}}",
          "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is "
          "supported when podFailurePolicy is specified" },
    };
    (void)state;
    expect_create(&job, rows, ARRAY_LEN(rows));
}

static void a_jobs_selector_is_the_servers(void **state)
{
    static const struct rule_row rows[] = {
        /* validateGeneratedSelector */
        { "{'spec':{'template':{'metadata':{'labels':{'job-name':'x'}}}}}",
          "spec.template.metadata.labels[job-name]: Invalid value: map[string]string{"
          "\"batch.kubernetes.io/controller-uid\":\"u1\", \"batch.kubernetes.io/job-name\":\"pi\", "
          "\"controller-uid\":\"u1\", \"job-name\":\"x\"}: must be 'pi'" },
        { "{'spec':{'template':{'metadata':{'labels':{'controller-uid':null}}}}}",
          "spec.template.metadata.labels[controller-uid]: Required value: must be 'u1'" },
        { "{'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}"
          "}}}}",
          "spec.selector: Invalid value: "
          "v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\","
          " \"batch.kubernetes.io/controller-uid\":\"u1\"}, MatchExpressions:"
          "[]v1.LabelSelectorRequirement(nil)}: `selector` not auto-generated" },
        { "{'spec':{'selector':null}}",
          "spec.selector: Required value\n"
          "spec.template.metadata.labels: Invalid value: map[string]string{"
          "\"batch.kubernetes.io/controller-uid\":\"u1\", \"batch.kubernetes.io/job-name\":\"pi\", "
          "\"controller-uid\":\"u1\", \"job-name\":\"pi\"}: `selector` does not match template "
          "`labels`" },
        /* manualSelector: the client's own labels will do */
        { "{'spec':{'manualSelector':true,'selector':{'matchLabels':{'a':'b',"
          "'batch.kubernetes.io/controller-uid':null}},'template':{'metadata':{'labels':{'a':'b',"
          "'job-name':null,'controller-uid':null,'batch.kubernetes.io/controller-uid':null,"
          "'batch.kubernetes.io/job-name':null}}}}}",
          "" },
    };
    (void)state;
    expect_create(&job, rows, ARRAY_LEN(rows));
}

static void a_job_keeps_what_its_pods_are_made_of(void **state)
{
    static const struct rule_row rows[] = {
        { "{'spec':{'completions':1,'parallelism':9,'suspend':true,'activeDeadlineSeconds':5,'"
          "backoffLimit':1}}",
          "" },
        /* ValidateJobSpecUpdate */
        { "{'spec':{'completions':9}}", "spec.completions: Invalid value: 9: field is immutable" },
        { "{'spec':{'completionMode':'Indexed'}}",
          "spec.completionMode: Invalid value: \"Indexed\": field is immutable" },
        { "{'spec':{'managedBy':'a.b/c'}}",
          "spec.managedBy: Invalid value: \"a.b/c\": field is immutable" },
        { "{'spec':{'template':{'spec':{'nodeSelector':{'a':'b'}}}}}",
          "spec.template: Invalid value: {\"metadata\":{\"labels\":{\"controller-uid\":\"u1\","
          "\"batch.kubernetes.io/controller-uid\":\"u1\",\"job-name\":\"pi\","
          "\"batch.kubernetes.io/job-name\":\"pi\"}},\"spec\":{\"restartPolicy\":\"Never\","
          "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{},"
          "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":"
          "\"File\",\"imagePullPolicy\":\"Always\"}],\"nodeSelector\":{\"a\":\"b\"},"
          "\"dnsPolicy\":\"ClusterFirst\",\"schedulerName\":\"default-scheduler\","
          "\"securityContext\":{},\"terminationGracePeriodSeconds\":30}}: field is immutable" },
    };
    /* validateCompletions: elastic indexed Jobs */
    static const struct rule_row elastic[] = {
        { "{'spec':{'completions':9,'parallelism':9}}", "" },
        { "{'spec':{'completions':9}}",
          "spec.completions: Invalid value: 9: can only be modified in tandem with "
          "spec.parallelism" },
    };
    /* AllowMutableSchedulingDirectives */
    static const struct rule_base suspended = { "batch/v1", "Job", JOB(",'suspend':true") };
    static const struct rule_row waiting[] = {
        { "{'spec':{'template':{'metadata':{'annotations':{'a':'b'}},'spec':{'nodeSelector':{'a':"
          "'b'},'tolerations':[{'operator':'Exists'}],'affinity':{'nodeAffinity':{}}}}}}",
          "" },
    };
    (void)state;
    expect_update(&job, rows, ARRAY_LEN(rows));
    expect_update(&indexed, elastic, ARRAY_LEN(elastic));
    expect_update(&suspended, waiting, ARRAY_LEN(waiting));
}

static void a_jobs_status_goes_one_way(void **state)
{
#define COND(type) "{'type':'" type "','status':'True'}"
    static const struct rule_base running = {
        "batch/v1", "Job",
        "{'metadata':{'name':'pi','namespace':'default','uid':'u1'},'spec':{'template':{" POD
        "},'completions':3,'parallelism':1,'completionMode':'Indexed'},'status':{'active':1,'ready'"
        ":"
        "1,'failed':1,'succeeded':1,'startTime':'2026-11-30T10:00:00Z','completedIndexes':'0'}}"
    };
    static const struct rule_row rows[] = {
        { "{'status':{'succeeded':2,'completedIndexes':'0,1'}}", "" },
        { "{'status':{'active':0,'ready':0,'succeeded':3,'completedIndexes':'0-2','completionTime':"
          "'2026-11-30T10:05:00Z','conditions':[" COND("SuccessCriteriaMet") "," COND(
              "Complete") "]}}",
          "" },
        { "{'status':{'active':0,'ready':0,'conditions':[" COND("FailureTarget") "," COND(
              "Failed") "]}}",
          "" },
        /* validateJobStatus */
        { "{'status':{'active':-1,'ready':0}}",
          "status.active: Invalid value: -1: must be greater than or equal to 0\n"
          "status.ready: Invalid value: 0: cannot set more ready pods than active" },
        { "{'status':{'uncountedTerminatedPods':{'succeeded':['a',''],'failed':['a']}}}",
          "status.uncountedTerminatedPods.succeeded[1]: Invalid value: \"\": must not be empty\n"
          "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"" },
        { "{'status':{'conditions':[" COND("Failed") "," COND("FailureTarget") "]}}",
          "status.active: Invalid value: 1: active>0 is invalid for finished job" },
        { "{'status':{'active':0,'ready':0,'conditions':[" COND("Failed") "]}}",
          "status.conditions: Invalid value: cannot set Failed=True condition without the "
          "FailureTarget=true condition" },
        { "{'status':{'active':0,'ready':0,'conditions':[" COND("Complete") "]}}",
          "status.conditions: Invalid value: cannot set Complete=True condition without the "
          "SuccessCriteriaMet=true condition\n"
          "status.completionTime: Required value: completionTime is required for Complete jobs" },
        { "{'status':{'completionTime':'2026-11-30T09:00:00Z'}}",
          "status.completionTime: Invalid value: \"2026-11-30T09:00:00Z\": cannot set "
          "completionTime when there is no Complete=True condition\n"
          "status.completionTime: Invalid value: \"2026-11-30T09:00:00Z\": completionTime cannot "
          "be "
          "set before startTime" },
        { "{'status':{'completedIndexes':'1,0'}}",
          "status.completedIndexes: Invalid value: \"1,0\": error parsing completedIndexes: "
          "non-increasing order, previous: 1, current: 0" },
        { "{'status':{'failedIndexes':'1'}}",
          "status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when "
          "backoffLimitPerIndex is null" },
        /* ValidateJobStatusUpdate */
        { "{'status':{'failed':0,'succeeded':0}}",
          "status.failed: Invalid value: 0: cannot decrease the failed counter\n"
          "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter" },
        { "{'status':{'startTime':null}}",
          "status.startTime: Required value: startTime cannot be removed for unsuspended job" },
    };
    static const struct rule_base done = {
        "batch/v1", "Job",
        "{'metadata':{'name':'pi','namespace':'default','uid':'u1'},'spec':{'template':{" POD
        "}},'status':{'succeeded':1,'startTime':'2026-11-30T10:00:00Z','completionTime':"
        "'2026-11-30T10:05:00Z','conditions':[" COND("SuccessCriteriaMet") "," COND(
            "Complete") "]}}"
    };
    static const struct rule_row finished[] = {
        { "{'status':{'conditions':null,'completionTime':null}}",
          "status.conditions: Invalid value: cannot disable the terminal Complete=True condition\n"
          "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True "
          "condition" },
        { "{'status':{'completionTime':'2026-11-30T10:06:00Z'}}",
          "status.completionTime: Invalid value: \"2026-11-30T10:06:00Z\": completionTime cannot "
          "be "
          "mutated" },
    };
    (void)state;
    expect_status(&running, rows, ARRAY_LEN(rows));
    expect_status(&done, finished, ARRAY_LEN(finished));
}

static void texts_of_indexes_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t count;
        const char *error;
    } rows[] = {
        { "", 0, NULL },
        { "0", 1, NULL },
        { "0,3-5,9", 5, NULL },
        { "1,1", 0, "non-increasing order, previous: 1, current: 1" },
        { "3-3", 0, "non-increasing order, previous: 3, current: 3" },
        { "10", 0, "too large index: \"10\"" },
        { "1-10", 0, "too large index: \"10\"" },
        { "1-2-3", 0,
          "the fragment \"1-2-3\" violates the requirement that an index interval can have at most "
          "two parts separated by '-'" },
        { "a", 0, "cannot convert string to integer for index: \"a\"" },
        { "1,", 0, "cannot convert string to integer for index: \"\"" },
        { "-1", 0, "cannot convert string to integer for index: \"\"" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        int64_t n = 0;
        int r = job_indexes_count(&n, rows[i].text, 10, &e);
        assert_int_equal(r != 0, rows[i].error != NULL);
        if (r)
            assert_string_equal(e.text, rows[i].error);
        assert_int_equal(n, rows[i].count);
    }
    assert_int_equal(job_indexes_overlap("0,2-4", "1,5-6", 10), -1);
    assert_int_equal(job_indexes_overlap("0,2-4", "1,3", 10), 3);
    assert_int_equal(job_indexes_overlap("x,2-4", "4-9", 10), 4);
}

/* ---- CronJobs ---- */

static const struct rule_base cron_job = {
    "batch/v1", "CronJob",
    "{'metadata':{'name':'tick','namespace':'default'},'spec':{'schedule':'*/5 * * * *',"
    "'jobTemplate':{'spec':{'template':{" POD "}}}}}"
};

static void cron_jobs_are_checked(void **state)
{
    static const struct rule_row rows[] = {
        { "{}", "" },
        { "{'spec':{'schedule':'@every 90m'}}", "" },
        { "{'spec':{'schedule':'@hourly'}}", "" },
        /* validateScheduleFormat */
        { "{'spec':{'schedule':''}}", "spec.schedule: Required value" },
        { "{'spec':{'schedule':'0 24 * * *'}}", "spec.schedule: Invalid value: \"0 24 * * *\": end "
                                                "of range (24) above maximum (23): 24" },
        { "{'spec':{'schedule':'* * * *'}}",
          "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: "
          "[* * * *]" },
        { "{'spec':{'schedule':'CRON_TZ=UTC 0 0 * * *'}}",
          "spec.schedule: Invalid value: \"CRON_TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in "
          "schedule, use timeZone field instead" },
        /* validateTimeZone */
        { "{'spec':{'timeZone':'UTC'}}", "" },
        { "{'spec':{'timeZone':'Test/Zone'}}", "" },
        { "{'spec':{'timeZone':''}}",
          "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string" },
        { "{'spec':{'timeZone':'Test/Nowhere'}}",
          "spec.timeZone: Invalid value: \"Test/Nowhere\": unknown time zone Test/Nowhere" },
        { "{'spec':{'timeZone':'../Zone'}}",
          "spec.timeZone: Invalid value: \"../Zone\": unknown time zone ../Zone" },
        { "{'spec':{'timeZone':'Local'}}",
          "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as "
          "defined in https://www.iana.org/time-zones" },
        /* validateCronJobSpec */
        { "{'spec':{'concurrencyPolicy':'Maybe'}}",
          "spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", "
          "\"Forbid\", \"Replace\"" },
        { "{'spec':{'startingDeadlineSeconds':-1,'successfulJobsHistoryLimit':-1}}",
          "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0\n"
          "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0" },
        /* ValidateCronJobCreate */
        { "{'metadata':{'name':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}",
          "metadata.name: Invalid value: "
          "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": "
          "must be no more than 52 characters" },
        /* ValidateJobTemplateSpec */
        { "{'spec':{'jobTemplate':{'spec':{'selector':{'matchLabels':{'a':'b'}},'manualSelector':"
          "true}}}}",
          "spec.jobTemplate.spec.selector: Invalid value: v1.LabelSelector{MatchLabels:"
          "map[string]string{\"a\":\"b\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: "
          "`selector` will be auto-generated\n"
          "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "
          "\"nil\", \"false\"" },
        { "{'spec':{'jobTemplate':{'spec':{'template':{'spec':{'restartPolicy':null}}}}}}",
          "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "
          "\"OnFailure\", \"Never\"" },
    };
    static const struct rule_row update[] = {
        { "{'spec':{'jobTemplate':{'spec':{'completionMode':'Indexed','completions':3,'template':{"
          "'spec':{'nodeSelector':{'a':'b'}}}}},'schedule':'@daily'}}",
          "" },
        { "{'spec':{'timeZone':'Test/Nowhere'}}",
          "spec.timeZone: Invalid value: \"Test/Nowhere\": unknown time zone Test/Nowhere" },
    };
    char folder[] = "/tmp/zoneinfo-XXXXXX";
    auto_free char *sub = NULL, *file = NULL;
    FILE *f;
    (void)state;

    assert_non_null(mkdtemp(folder));
    sub = mem_printf("%s/Test", folder);
    file = mem_printf("%s/Zone", sub);
    assert_int_equal(mkdir(sub, 0700), 0);
    f = fopen(file, "w");
    assert_non_null(f);
    fputs("TZif2", f);
    fclose(f);
    setenv("ZONEINFO", folder, 1);
    expect_create(&cron_job, rows, ARRAY_LEN(rows));
    expect_update(&cron_job, update, ARRAY_LEN(update));
    unsetenv("ZONEINFO");
    unlink(file);
    rmdir(sub);
    rmdir(folder);
}

static void a_job_gets_upstreams_defaults_and_a_template_of_one_does_not(void **state)
{
    static const struct rule_base bare = {
        "batch/v1", "Job",
        "{'metadata':{'name':'j'},'spec':{'template':{'metadata':{'labels':{'a':'b'}},'spec':{"
        "'containers':[]}}}}"
    };
    static const struct rule_base per_index = {
        "batch/v1", "Job",
        "{'spec':{'parallelism':2,'backoffLimitPerIndex':1,'podFailurePolicy':{'rules':[{'action':"
        "'Ignore','onPodConditions':[{'type':'x'}]}]},'template':{'spec':{'containers':[]}}}}"
    };
    (void)state;

    expect_defaults(&bare, "metadata.labels", "{'a':'b'}");
    expect_defaults(&bare, "spec.completions", "1");
    expect_defaults(&bare, "spec.parallelism", "1");
    expect_defaults(&bare, "spec.backoffLimit", "6");
    expect_defaults(&bare, "spec.completionMode", "'NonIndexed'");
    expect_defaults(&bare, "spec.suspend", "false");
    expect_defaults(&bare, "spec.manualSelector", "false");
    expect_defaults(&bare, "spec.podReplacementPolicy", "'TerminatingOrFailed'");
    expect_defaults(&per_index, "spec.backoffLimit", "2147483647");
    expect_defaults(&per_index, "spec.podReplacementPolicy", "'Failed'");
    expect_defaults(&per_index, "spec.podFailurePolicy.rules[0].onPodConditions",
                    "[{'type':'x','status':'True'}]");
    /* SetDefaults_Job is for Jobs: what a CronJob holds is filled when a Job is made of it */
    expect_defaults(&cron_job, "spec.jobTemplate.spec",
                    "{'template':{'metadata':{},'spec':{'restartPolicy':'Never','containers':[{"
                    "'name':'c','image':'i','imagePullPolicy':'Always','resources':{},"
                    "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':"
                    "'File'}],'dnsPolicy':'ClusterFirst','schedulerName':'default-scheduler',"
                    "'securityContext':{},'terminationGracePeriodSeconds':30}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_specs_are_checked),
        cmocka_unit_test(indexed_jobs_have_limits),
        cmocka_unit_test(failure_policies_are_checked),
        cmocka_unit_test(a_jobs_selector_is_the_servers),
        cmocka_unit_test(a_job_keeps_what_its_pods_are_made_of),
        cmocka_unit_test(a_jobs_status_goes_one_way),
        cmocka_unit_test(texts_of_indexes_are_read),
        cmocka_unit_test(cron_jobs_are_checked),
        cmocka_unit_test(a_job_gets_upstreams_defaults_and_a_template_of_one_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
