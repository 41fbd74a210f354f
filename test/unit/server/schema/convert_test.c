/* Kinds that are stored in another version's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/schema/convert.h"
#include "server/schema/validate.h"
#include "test/unit/json_text.h"

#define A "autoscaling.alpha.kubernetes.io/"

static void assert_same(const char *what, const json_t *is, const char *want)
{
    json_auto_t *w = json_of(want);
    auto_free char *a = json_dumps(is, JSON_SORT_KEYS), *b = json_dumps(w, JSON_SORT_KEYS);

    if (strcmp(a, b) != 0)
        fail_msg("%s:\n  is    %s\n  wants %s", what, a, b);
}

/* pkg/apis/autoscaling/v1/conversion.go, Convert_v1_HorizontalPodAutoscaler_To_autoscaling_... */
static void an_autoscaler_of_v1_is_stored_as_v2(void **state)
{
    static const struct {
        const char *what, *v1, *v2;
    } rows[] = {
        { "the cpu target is a Resource metric",
          "{'metadata':{'name':'x'},'spec':{'maxReplicas':3,'targetCPUUtilizationPercentage':70}}",
          "{'metadata':{'name':'x'},'spec':{'maxReplicas':3,'metrics':[{'type':'Resource',"
          "'resource':{'name':'cpu','target':{'type':'Utilization','averageUtilization':70}}}]}}" },
        { "without any metric it is 80 percent", "{'metadata':{},'spec':{'maxReplicas':3}}",
          "{'metadata':{},'spec':{'maxReplicas':3,'metrics':[{'type':'Resource','resource':{'name'"
          ":'cpu','target':{'type':'Utilization','averageUtilization':80}}}]}}" },
        { "metrics of the annotation come first, the cpu target last; the annotations go",
          "{'metadata':{'annotations':{'keep':'it','" A "metrics':'[{\\'type\\':\\'Object\\',"
          "\\'object\\':{\\'target\\':{\\'kind\\':\\'K\\',\\'name\\':\\'n\\'},\\'metricName\\':"
          "\\'m\\',\\'targetValue\\':\\'10\\'}},{\\'type\\':\\'Resource\\',\\'resource\\':{"
          "\\'name\\':\\'memory\\',\\'targetAverageValue\\':\\'1Gi\\'}}]'}},"
          "'spec':{'targetCPUUtilizationPercentage':70}}",
          "{'metadata':{'annotations':{'keep':'it'}},'spec':{'metrics':[{'type':'Object','object':{"
          "'describedObject':{'kind':'K','name':'n'},'metric':{'name':'m'},'target':{'type':'Value'"
          ","
          "'value':'10'}}},{'type':'Resource','resource':{'name':'memory','target':{'type':"
          "'AverageValue','averageValue':'1Gi'}}},{'type':'Resource','resource':{'name':'cpu',"
          "'target':{'type':'Utilization','averageUtilization':70}}}]}}" },
        { "pods and external metrics, and behavior in Go's names",
          "{'metadata':{'annotations':{'" A "metrics':'[{\\'type\\':\\'Pods\\',\\'pods\\':{"
          "\\'metricName\\':\\'p\\',\\'targetAverageValue\\':\\'5\\'}},{\\'type\\':\\'External\\',"
          "\\'external\\':{\\'metricName\\':\\'e\\',\\'metricSelector\\':{\\'matchLabels\\':{"
          "\\'a\\':\\'b\\'}},\\'targetAverageValue\\':\\'7\\'}}]','" A "behavior':'{\\'ScaleUp\\':{"
          "\\'StabilizationWindowSeconds\\':0,\\'SelectPolicy\\':\\'Max\\',\\'Policies\\':[{"
          "\\'Type\\':\\'Pods\\',\\'Value\\':4,\\'PeriodSeconds\\':15}]},\\'ScaleDown\\':null}'}},"
          "'spec':{}}",
          "{'metadata':{},'spec':{'behavior':{'scaleUp':{'stabilizationWindowSeconds':0,"
          "'selectPolicy':'Max','policies':[{'type':'Pods','value':4,'periodSeconds':15}]}},"
          "'metrics':[{'type':'Pods','pods':{'metric':{'name':'p'},'target':{'type':'AverageValue',"
          "'averageValue':'5'}}},{'type':'External','external':{'metric':{'name':'e','selector':{"
          "'matchLabels':{'a':'b'}}},'target':{'type':'AverageValue','averageValue':'7'}}}]}}" },
        { "what cannot be read is as if it were not there",
          "{'metadata':{'annotations':{'" A "metrics':'[{\\'type\\':1}]','" A "behavior':'{','" A
          "conditions':'[1]','" A "current-metrics':'{}'}},'spec':{}}",
          "{'metadata':{},'spec':{'metrics':[{'type':'Resource','resource':{'name':'cpu','target':{"
          "'type':'Utilization','averageUtilization':80}}}]}}" },
        { "present values of the annotation replace the one figure; conditions are taken over",
          "{'metadata':{'annotations':{'" A "current-metrics':'[{\\'type\\':\\'Resource\\',"
          "\\'resource\\':{\\'name\\':\\'cpu\\',\\'currentAverageUtilization\\':35,"
          "\\'currentAverageValue\\':\\'350m\\'}}]','" A "conditions':'[{\\'type\\':"
          "\\'AbleToScale\\',\\'status\\':\\'True\\',\\'lastTransitionTime\\':null}]'}},"
          "'status':{'currentReplicas':1,'desiredReplicas':1,'currentCPUUtilizationPercentage':1}}",
          "{'metadata':{},'status':{'currentReplicas':1,'desiredReplicas':1,'currentMetrics':[{"
          "'type':'Resource','resource':{'name':'cpu','current':{'averageUtilization':35,"
          "'averageValue':'350m'}}}],'conditions':[{'type':'AbleToScale','status':'True'}]}}" },
        { "one figure of the status",
          "{'metadata':{},'status':{'currentCPUUtilizationPercentage':12}}",
          "{'metadata':{},'status':{'currentMetrics':[{'type':'Resource','resource':{'name':'cpu',"
          "'current':{'averageUtilization':12}}}]}}" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of(rows[i].v1);
        schema_convert_hpa.to_stored(NULL, doc);
        assert_same(rows[i].what, doc, rows[i].v2);
    }
}

/* The same file, Convert_autoscaling_HorizontalPodAutoscaler_To_v1_...: texts are Go's json.Marshal
 * of autoscaling/v1 MetricSpec and of the internal behavior. */
static void v2_reads_as_v1_with_annotations(void **state)
{
    static const struct {
        const char *what, *v2, *v1;
    } rows[] = {
        { "the first cpu target is the figure, others of cpu are lost",
          "{'metadata':{'annotations':{'" A "metrics':'stale'}},'spec':{'metrics':[{'type':"
          "'Resource','resource':{'name':'cpu','target':{'type':'Utilization','averageUtilization':"
          "70}}},{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization',"
          "'averageUtilization':60}}}]}}",
          "{'metadata':{},'spec':{'targetCPUUtilizationPercentage':70}}" },
        { "everything else is an annotation",
          "{'metadata':{'annotations':{'keep':'it'}},'spec':{'behavior':{'scaleDown':{'policies':[{"
          "'type':'Percent','value':100,'periodSeconds':15}]}},'metrics':[{'type':'Resource',"
          "'resource':{'name':'cpu','target':{'type':'AverageValue','averageValue':'500m'}}},{'"
          "type'"
          ":'ContainerResource','containerResource':{'name':'cpu','container':'c','target':{'type':"
          "'Utilization','averageUtilization':50}}},{'type':'Object','object':{'describedObject':{"
          "'kind':'K','name':'n'},'metric':{'name':'m'},'target':{'type':'AverageValue',"
          "'averageValue':'3'}}}]}}",
          "{'metadata':{'annotations':{'keep':'it','" A "metrics':'[{\\'type\\':\\'Resource\\',"
          "\\'resource\\':{\\'name\\':\\'cpu\\',\\'targetAverageValue\\':\\'500m\\'}},{\\'type\\':"
          "\\'ContainerResource\\',\\'containerResource\\':{\\'name\\':\\'cpu\\',"
          "\\'targetAverageUtilization\\':50,\\'container\\':\\'c\\'}},{\\'type\\':\\'Object\\',"
          "\\'object\\':{\\'target\\':{\\'kind\\':\\'K\\',\\'name\\':\\'n\\'},\\'metricName\\':"
          "\\'m\\',\\'targetValue\\':\\'0\\',\\'averageValue\\':\\'3\\'}}]','" A
          "behavior':'{\\'ScaleUp\\':null,\\'ScaleDown\\':{\\'StabilizationWindowSeconds\\':null,"
          "\\'SelectPolicy\\':null,\\'Policies\\':[{\\'Type\\':\\'Percent\\',\\'Value\\':100,"
          "\\'PeriodSeconds\\':15}]}}'}},'spec':{}}" },
        { "the status",
          "{'metadata':{},'status':{'currentReplicas':2,'currentMetrics':[{'type':'Resource',"
          "'resource':{'name':'cpu','current':{'averageUtilization':35}}}],'conditions':[{'type':"
          "'AbleToScale','status':'True'}]}}",
          "{'metadata':{'annotations':{'" A "current-metrics':'[{\\'type\\':\\'Resource\\',"
          "\\'resource\\':{\\'name\\':\\'cpu\\',\\'currentAverageUtilization\\':35,"
          "\\'currentAverageValue\\':\\'0\\'}}]','" A "conditions':'[{\\'type\\':"
          "\\'AbleToScale\\',\\'status\\':\\'True\\'}]'}},'status':{'currentReplicas':2,"
          "'currentCPUUtilizationPercentage':35}}" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *doc = json_of(rows[i].v2);
        schema_convert_hpa.from_stored(NULL, doc);
        assert_same(rows[i].what, doc, rows[i].v1);
    }
}

/* What v2 says in its usual words comes back through v1. (Upstream loses what its v1 has no word
 * for: a second cpu target, and which of two figures of an object is meant.) */
static void v2_comes_back_through_v1(void **state)
{
    static const char v2[] =
        "{'metadata':{'name':'x','annotations':{'a':'b'}},'spec':{'maxReplicas':9,'minReplicas':2,"
        "'scaleTargetRef':{'kind':'Deployment','name':'d'},'behavior':{'scaleUp':{"
        "'stabilizationWindowSeconds':0,'selectPolicy':'Max','policies':[{'type':'Pods','value':4,"
        "'periodSeconds':15}]},'scaleDown':{'selectPolicy':'Disabled'}},'metrics':[{'type':"
        "'Resource','resource':{'name':'memory','target':{'type':'AverageValue','averageValue':"
        "'1Gi'}}},{'type':'ContainerResource','containerResource':{'name':'cpu','container':'c',"
        "'target':{'type':'Utilization','averageUtilization':50}}},{'type':'Pods','pods':{'metric':"
        "{'name':'p','selector':{'matchLabels':{'a':'b'}}},'target':{'type':'AverageValue',"
        "'averageValue':'5'}}},{'type':'Object','object':{'describedObject':{'kind':'K','name':'n',"
        "'apiVersion':'v1'},'metric':{'name':'m'},'target':{'type':'Value','value':'10'}}},{'type':"
        "'External','external':{'metric':{'name':'e'},'target':{'type':'Value','value':'7'}}},{"
        "'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization',"
        "'averageUtilization':70}}}]},'status':{'currentReplicas':3,'desiredReplicas':4,"
        "'lastScaleTime':'2026-11-30T10:00:00Z','currentMetrics':[{'type':'Resource','resource':{"
        "'name':'cpu','current':{'averageUtilization':35,'averageValue':'350m'}}},{'type':'Pods',"
        "'pods':{'metric':{'name':'p'},'current':{'averageValue':'4'}}}],'conditions':[{'type':"
        "'AbleToScale','status':'True','reason':'r','lastTransitionTime':'2026-11-30T10:00:00Z'}]}"
        "}";
    json_auto_t *doc = json_of(v2), *v1;
    (void)state;

    schema_convert_hpa.from_stored(NULL, doc);
    v1 = json_deep_copy(doc);
    schema_convert_hpa.to_stored(NULL, doc);
    assert_same("v2 through v1", doc, v2);
    schema_convert_hpa.from_stored(NULL, doc);
    assert_true(json_equal(doc, v1));
}

static void events_have_both_groups_names(void **state)
{
    static const char core[] =
        "{'metadata':{'name':'e'},'involvedObject':{'kind':'Pod'},'message':'m','"
        "reportingComponent'"
        ":'c','reportingInstance':'i','source':{'component':'s'},'firstTimestamp':'f',"
        "'lastTimestamp':'l','count':2,'reason':'r','type':'Normal'}";
    static const char events[] =
        "{'metadata':{'name':'e'},'regarding':{'kind':'Pod'},'note':'m','reportingController':'c',"
        "'reportingInstance':'i','deprecatedSource':{'component':'s'},'deprecatedFirstTimestamp':"
        "'f','deprecatedLastTimestamp':'l','deprecatedCount':2,'reason':'r','type':'Normal'}";
    json_auto_t *doc = json_of(core);
    (void)state;

    schema_convert_core_event.from_stored(NULL, doc);
    assert_same("as events.k8s.io", doc, events);
    schema_convert_core_event.to_stored(NULL, doc);
    assert_same("as core", doc, core);
}

/* Upstream's rules look at the internal type; so paths are those of the stored form. */
static void other_versions_are_judged_as_they_are_stored(void **state)
{
    static const struct {
        const char *api, *kind, *object, *wrong; /* a field that is refused; NULL: none is */
    } rows[] = {
        { "autoscaling/v1", "HorizontalPodAutoscaler",
          "{'metadata':{'name':'x','namespace':'n'},'spec':{'maxReplicas':0,'scaleTargetRef':{'"
          "kind'"
          ":'K','name':'n'}}}",
          "spec.maxReplicas" },
        { "autoscaling/v1", "HorizontalPodAutoscaler",
          "{'metadata':{'name':'x','namespace':'n','annotations':{'" A "metrics':'[{\\'type\\':"
          "\\'Resource\\',\\'resource\\':{\\'name\\':\\'memory\\',"
          "\\'targetAverageUtilization\\':0}}]'}},'spec':{'maxReplicas':1,'minReplicas':1,"
          "'scaleTargetRef':{'kind':'K','name':'n'}}}",
          "spec.metrics[0].resource.target.averageUtilization" },
        { "autoscaling/v1", "HorizontalPodAutoscaler",
          "{'metadata':{'name':'x','namespace':'n'},'spec':{'maxReplicas':1,'minReplicas':1,"
          "'scaleTargetRef':{'kind':'K','name':'n'}}}",
          NULL },
    };
    AUTO(schema) struct schema *schema = schema_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct schema_kind *k = schema_find_api(schema, rows[i].api, rows[i].kind);
        json_auto_t *doc = json_of(rows[i].object), *before = json_deep_copy(doc);
        auto_field_errors fe = { 0 };
        validate_create(k, doc, &fe);
        assert_true(json_equal(doc, before));
        if (!rows[i].wrong && fe.n)
            fail_msg("%s: %s is refused", rows[i].object, fe.v[0].field);
        if (rows[i].wrong && (!fe.n || strcmp(fe.v[0].field, rows[i].wrong) != 0))
            fail_msg("%s: %s is not refused", rows[i].object, rows[i].wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_autoscaler_of_v1_is_stored_as_v2),
        cmocka_unit_test(v2_reads_as_v1_with_annotations),
        cmocka_unit_test(v2_comes_back_through_v1),
        cmocka_unit_test(events_have_both_groups_names),
        cmocka_unit_test(other_versions_are_judged_as_they_are_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
