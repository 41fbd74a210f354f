#include "server/schema/convert.h"

#include "base/core/mem.h"

/* ---- events: the same fields, other names ---- */

static const char *const event_names[][2] = {
    /* events.k8s.io/v1, core/v1 */
    { "regarding", "involvedObject" },
    { "note", "message" },
    { "reportingController", "reportingComponent" },
    { "deprecatedSource", "source" },
    { "deprecatedFirstTimestamp", "firstTimestamp" },
    { "deprecatedLastTimestamp", "lastTimestamp" },
    { "deprecatedCount", "count" },
};

static void rename_fields(json_t *doc, int from)
{
    for (size_t i = 0; i < ARRAY_LEN(event_names); i++) {
        json_t *v = json_object_get(doc, event_names[i][from]);

        if (!v)
            continue;
        json_object_set(doc, event_names[i][!from], v);
        json_object_del(doc, event_names[i][from]);
    }
}

static void event_from_stored(const struct schema_kind *k, json_t *doc)
{
    static const char *const texts[] = { "reportingController", "reportingInstance" };

    (void)k;
    rename_fields(doc, 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) /* this group leaves out what is empty */
        if (json_object_get(doc, texts[i]) && !json_string_length(json_object_get(doc, texts[i])))
            json_object_del(doc, texts[i]);
}

static void event_to_stored(const struct schema_kind *k, json_t *doc)
{
    (void)k;
    rename_fields(doc, 0);
    /* core/v1 always writes these */
    if (!json_object_get(doc, "reportingComponent"))
        json_object_set_new(doc, "reportingComponent", json_string(""));
    if (!json_object_get(doc, "reportingInstance"))
        json_object_set_new(doc, "reportingInstance", json_string(""));
    if (!json_object_get(doc, "involvedObject"))
        json_object_set_new(doc, "involvedObject", json_object());
}

const struct schema_convert schema_convert_core_event = { event_from_stored, event_to_stored };
