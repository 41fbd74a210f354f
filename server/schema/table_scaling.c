/* Cells of HorizontalPodAutoscalers (formatHPAMetrics). */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "server/schema/table_cells.h"

#include <stdio.h>

enum { TEXT_MAX_BYTES = 16 * 1024, SHOWN_MAX = 2 };

static json_t *hpa_reference(const struct cell *c, const char *arg)
{
    const json_t *ref = cell_at(c->obj, ".spec.scaleTargetRef");

    (void)arg;
    return json_sprintf("%s/%s", cell_str(ref, "kind"), cell_str(ref, "name"));
}

/* "1/2", with what is not known yet in words; suffix behind both, as in "50%/80%". */
static char *share(const json_t *now, const json_t *wanted, const char *unset, const char *sign)
{
    char figures[2][64];
    const json_t *v[] = { now, wanted };
    const char *absent[] = { "<unknown>", unset };

    for (int i = 0; i < 2; i++)
        if (json_is_integer(v[i]))
            snprintf(figures[i], sizeof figures[i], "%" JSON_INTEGER_FORMAT "%s",
                     json_integer_value(v[i]), sign);
        else
            snprintf(figures[i], sizeof figures[i], "%.60s",
                     json_is_string(v[i]) ? json_string_value(v[i]) : absent[i]);
    return mem_printf("%s/%s", figures[0], figures[1]);
}

/* A metric of pods, an object or from outside has no name in the table. */
static char *plain_metric(const json_t *target, const json_t *current, bool always_average)
{
    const json_t *average = json_object_get(target, "averageValue");

    if (always_average)
        return share(json_object_get(current, "averageValue"), average, "0", "");
    if (!average)
        return share(json_object_get(current, "value"), json_object_get(target, "value"), "0", "");
    auto_free char *text = share(json_object_get(current, "averageValue"), average, "", "");
    return mem_printf("%s (avg)", text);
}

static char *resource_metric(const json_t *source, const json_t *current)
{
    const json_t *target = json_object_get(source, "target");
    const json_t *average = json_object_get(target, "averageValue");
    auto_free char *figures =
        average ? share(json_object_get(current, "averageValue"), average, "", "")
                : share(json_object_get(current, "averageUtilization"),
                        json_object_get(target, "averageUtilization"), "<auto>", "%");

    return mem_printf("%s: %s", cell_str(source, "name"), figures);
}

static char *metric_text(const json_t *metric, const json_t *status)
{
    static const struct {
        const char *type, *key;
        bool resource;
    } kinds[] = {
        { "External", "external", false },
        { "Pods", "pods", false },
        { "Object", "object", false },
        { "Resource", "resource", true },
        { "ContainerResource", "containerResource", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const json_t *source = json_object_get(metric, kinds[i].key);
        const json_t *now = json_object_get(json_object_get(status, kinds[i].key), "current");
        if (strcmp(cell_str(metric, "type"), kinds[i].type) != 0)
            continue;
        return kinds[i].resource ? resource_metric(source, now)
                                 : plain_metric(json_object_get(source, "target"), now,
                                                strcmp(kinds[i].key, "pods") == 0);
    }
    return mem_strdup("<unknown type>");
}

static json_t *hpa_targets(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    struct cell_shown s = { .b = &b, .sep = ", ", .max = SHOWN_MAX };
    const json_t *status = cell_at(c->obj, ".status.currentMetrics");
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.metrics"), i, v)
    {
        auto_free char *text = metric_text(v, json_array_get(status, i));
        cell_show(&s, text);
    }
    return cell_shown_end(&s, "<none>");
}

const struct cell_entry cells_of_scaling[] = {
    { "hpa_reference", hpa_reference },
    { "hpa_targets", hpa_targets },
    { NULL, NULL },
};
