/* Cells of the kinds that have no file of their own. */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/time.h"
#include "server/schema/table_cells.h"

#include <ctype.h>
#include <stdio.h>

enum { TEXT_MAX_BYTES = 16 * 1024 };

static json_t *number_of(const struct cell *c, const char *path)
{
    const json_t *v = cell_at(c->obj, path);

    return json_integer((json_int_t)(json_is_array(v) ? json_array_size(v) : json_object_size(v)));
}

/* ---- core ---- */

static json_t *secret_data(const struct cell *c, const char *arg)
{
    (void)arg;
    return number_of(c, ".data");
}

static json_t *configmap_data(const struct cell *c, const char *arg)
{
    size_t n = json_object_size(cell_at(c->obj, ".data"));
    (void)arg;

    n += json_object_size(cell_at(c->obj, ".binaryData"));
    return json_integer((json_int_t)n);
}

static json_t *sa_secrets(const struct cell *c, const char *arg)
{
    (void)arg;
    return number_of(c, ".secrets");
}

/* A phase that the object's deletion hides. */
static json_t *phase(const struct cell *c, const char *arg)
{
    (void)arg;
    if (cell_at(c->obj, ".metadata.deletionTimestamp"))
        return json_string("Terminating");
    return cell_text(json_string_value(cell_at(c->obj, ".status.phase")), "");
}

/* ---- events ---- */

static json_t *first_of(const struct cell *c, const char *const *paths)
{
    char text[CELL_AGE_MAX];
    const char *time = NULL;

    for (; !time && *paths; paths++)
        time = json_string_value(cell_at(c->obj, *paths));
    cell_since(text, time, c->now_s);
    return json_string(text);
}

static json_t *event_last_seen(const struct cell *c, const char *arg)
{
    const char *const paths[] = { ".series.lastObservedTime", ".lastTimestamp", ".firstTimestamp",
                                  ".eventTime", NULL };

    (void)arg;
    return first_of(c, paths);
}

static json_t *event_first_seen(const struct cell *c, const char *arg)
{
    const char *const paths[] = { ".firstTimestamp", ".eventTime", NULL };

    (void)arg;
    return first_of(c, paths);
}

static json_t *event_object(const struct cell *c, const char *arg)
{
    const json_t *about = json_object_get(c->obj, "involvedObject");
    char kind[64];

    (void)arg;
    snprintf(kind, sizeof kind, "%s", cell_str(about, "kind"));
    for (char *p = kind; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return json_sprintf("%s%s%s", kind, *cell_str(about, "name") ? "/" : "",
                        cell_str(about, "name"));
}

static json_t *event_source(const struct cell *c, const char *arg)
{
    const json_t *source = json_object_get(c->obj, "source");
    const char *component = cell_str(source, "component"), *host = cell_str(source, "host");

    (void)arg;
    if (!*component)
        component = cell_str(c->obj, "reportingComponent");
    if (!*host)
        host = cell_str(c->obj, "reportingInstance");
    return json_sprintf("%s%s%s", component, *host ? ", " : "", host);
}

static json_t *event_message(const struct cell *c, const char *arg)
{
    struct str s = str_trim(str_of(cell_str(c->obj, "message")));

    (void)arg;
    return json_stringn(s.p, s.n);
}

static json_t *event_count(const struct cell *c, const char *arg)
{
    const json_t *series = json_object_get(c->obj, "series");
    json_int_t n = json_integer_value(json_object_get(series ? series : c->obj, "count"));

    (void)arg;
    return json_integer(n ? n : 1);
}

/* ---- quotas ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "cpu: 1/2, pods: 3/10" by name */
static json_t *quota(const struct cell *c, bool limits)
{
    const json_t *used = cell_at(c->obj, ".status.used"), *hard = cell_at(c->obj, ".status.hard");
    auto_free const char **names = mem_calloc(json_object_size(hard) + 1, sizeof *names);
    auto_buf b = BUF(TEXT_MAX_BYTES);
    const char *key;
    size_t n = 0;
    json_t *v;

    json_object_foreach((json_t *)hard, key, v)
    {
        if ((strncmp(key, "limits.", 7) == 0) == limits)
            names[n++] = key;
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        const char *have = cell_str(used, names[i]);
        auto_free char *text =
            mem_printf("%s: %s/%s", names[i], *have ? have : "0", cell_str(hard, names[i]));
        cell_part(&b, ", ", text);
    }
    return json_string(buf_cstr(&b));
}

static json_t *quota_requests(const struct cell *c, const char *arg)
{
    (void)arg;
    return quota(c, false);
}

static json_t *quota_limits(const struct cell *c, const char *arg)
{
    (void)arg;
    return quota(c, true);
}

/* ---- workloads ---- */

static json_t *owner(const struct cell *c, const char *arg)
{
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".metadata.ownerReferences"), i, v)
    {
        char kind[64];
        if (!json_is_true(json_object_get(v, "controller")))
            continue;
        snprintf(kind, sizeof kind, "%s", cell_str(v, "kind"));
        for (char *p = kind; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        struct str group, version;
        bool grouped = str_cut(str_of(cell_str(v, "apiVersion")), '/', &group, &version);
        return json_sprintf("%s%s%.*s/%s", kind, grouped ? "." : "", grouped ? (int)group.n : 0,
                            group.p ? group.p : "", cell_str(v, "name"));
    }
    return json_string("<none>");
}

static bool job_is(const struct cell *c, const char *type)
{
    json_t *v;
    size_t i;

    json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
    {
        if (strcmp(cell_str(v, "type"), type) == 0)
            return strcmp(cell_str(v, "status"), "True") == 0;
    }
    return false;
}

static json_t *job_status(const struct cell *c, const char *arg)
{
    const char *word = "Running";

    (void)arg;
    if (job_is(c, "Complete"))
        word = "Complete";
    else if (job_is(c, "Failed"))
        word = "Failed";
    else if (cell_at(c->obj, ".metadata.deletionTimestamp"))
        word = "Terminating";
    else if (job_is(c, "Suspended"))
        word = "Suspended";
    else if (job_is(c, "FailureTarget"))
        word = "FailureTarget";
    return json_string(word);
}

static json_t *job_completions(const struct cell *c, const char *arg)
{
    const json_t *wanted = cell_at(c->obj, ".spec.completions");
    json_int_t parallel = json_integer_value(cell_at(c->obj, ".spec.parallelism"));
    json_int_t done = json_integer_value(cell_at(c->obj, ".status.succeeded"));

    (void)arg;
    if (wanted)
        return json_sprintf("%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT, done,
                            json_integer_value(wanted));
    if (parallel > 1)
        return json_sprintf("%" JSON_INTEGER_FORMAT "/1 of %" JSON_INTEGER_FORMAT, done, parallel);
    return json_sprintf("%" JSON_INTEGER_FORMAT "/1", done);
}

static json_t *job_duration(const struct cell *c, const char *arg)
{
    const char *start = json_string_value(cell_at(c->obj, ".status.startTime"));
    const char *end = json_string_value(cell_at(c->obj, ".status.completionTime"));
    int64_t from_us, to_us = c->now_s * 1000000;
    char text[CELL_AGE_MAX];

    (void)arg;
    if (!start || !time_parse(&from_us, str_of(start)))
        return json_string("");
    if (end && !time_parse(&to_us, str_of(end)))
        to_us = c->now_s * 1000000;
    cell_duration(text, (to_us - from_us) / 1000000);
    return json_string(text);
}

/* ---- access ---- */

static json_t *binding_role(const struct cell *c, const char *arg)
{
    const json_t *ref = json_object_get(c->obj, "roleRef");

    (void)arg;
    return json_sprintf("%s/%s", cell_str(ref, "kind"), cell_str(ref, "name"));
}

static json_t *subjects(const struct cell *c, const char *kind)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(c->obj, "subjects"), i, v)
    {
        const char *ns = cell_str(v, "namespace");
        char text[384];
        if (strcmp(cell_str(v, "kind"), kind) != 0)
            continue;
        snprintf(text, sizeof text, "%.120s%s%.250s", ns, *ns ? "/" : "", cell_str(v, "name"));
        cell_part(&b, ", ", text);
    }
    return json_string(buf_cstr(&b));
}

static json_t *binding_users(const struct cell *c, const char *arg)
{
    (void)arg;
    return subjects(c, "User");
}

static json_t *binding_groups(const struct cell *c, const char *arg)
{
    (void)arg;
    return subjects(c, "Group");
}

static json_t *binding_accounts(const struct cell *c, const char *arg)
{
    (void)arg;
    return subjects(c, "ServiceAccount");
}

static json_t *csr_duration(const struct cell *c, const char *arg)
{
    const json_t *v = cell_at(c->obj, ".spec.expirationSeconds");
    char text[CELL_AGE_MAX];

    (void)arg;
    if (!v)
        return json_string("<none>");
    cell_duration(text, json_integer_value(v));
    return json_string(text);
}

static json_t *csr_condition(const struct cell *c, const char *arg)
{
    bool approved = false, denied = false, failed = false;
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
    {
        approved |= strcmp(cell_str(v, "type"), "Approved") == 0;
        denied |= strcmp(cell_str(v, "type"), "Denied") == 0;
        failed |= strcmp(cell_str(v, "type"), "Failed") == 0;
    }
    return json_sprintf("%s%s%s",
                        denied     ? "Denied"
                        : approved ? "Approved"
                                   : "Pending",
                        failed ? ",Failed" : "",
                        json_string_length(cell_at(c->obj, ".status.certificate")) ? ",Issued"
                                                                                   : "");
}

/* ---- the API itself ---- */

static json_t *apiservice(const struct cell *c, const char *arg)
{
    const json_t *s = cell_at(c->obj, ".spec.service");

    (void)arg;
    return s ? json_sprintf("%s/%s", cell_str(s, "namespace"), cell_str(s, "name"))
             : json_string("Local");
}

/* "True", or "False (MissingEndpoints)" */
static json_t *apiservice_available(const struct cell *c, const char *arg)
{
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
    {
        const char *status = cell_str(v, "status"), *reason = cell_str(v, "reason");
        if (strcmp(cell_str(v, "type"), "Available") != 0)
            continue;
        return strcmp(status, "True") == 0 || !*reason ? json_string(status)
                                                       : json_sprintf("%s (%s)", status, reason);
    }
    return json_string("Unknown");
}

static json_t *param_kind(const struct cell *c, const char *arg)
{
    const json_t *kind = cell_at(c->obj, ".spec.paramKind");

    (void)arg;
    return kind ? json_sprintf("%s/%s", cell_str(kind, "apiVersion"), cell_str(kind, "kind"))
                : json_string("<unset>");
}

/* Nobody knows here whether parameters lie in namespaces. */
static json_t *param_ref(const struct cell *c, const char *arg)
{
    const json_t *ref = cell_at(c->obj, ".spec.paramRef"), *selector;
    const char *ns = cell_str(ref, "namespace");

    (void)arg;
    selector = json_object_get(ref, "selector");
    if (*cell_str(ref, "name"))
        return json_sprintf("%s/%s", *ns ? ns : "*", cell_str(ref, "name"));
    return selector ? cell_selector(selector, "<error>") : json_string("<unset>");
}

static json_t *flow_missing_level(const struct cell *c, const char *arg)
{
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
    {
        if (strcmp(cell_str(v, "type"), "Dangling") == 0)
            return json_string(cell_str(v, "status"));
    }
    return json_string("?");
}

static const json_t *health(const struct cell *c)
{
    json_t *v;
    size_t i;

    json_array_foreach(cell_at(c->obj, ".conditions"), i, v)
    {
        if (strcmp(cell_str(v, "type"), "Healthy") == 0)
            return v;
    }
    return NULL;
}

static json_t *component_status(const struct cell *c, const char *arg)
{
    const json_t *v = health(c);

    (void)arg;
    if (!v)
        return json_string("Unknown");
    return json_string(strcmp(cell_str(v, "status"), "True") == 0 ? "Healthy" : "Unhealthy");
}

static json_t *component_said(const struct cell *c, const char *arg)
{
    return json_string(cell_str(health(c), arg));
}

const struct cell_entry cells_of_kinds[] = {
    { "secret_data", secret_data },
    { "configmap_data", configmap_data },
    { "sa_secrets", sa_secrets },
    { "phase", phase },
    { "event_last_seen", event_last_seen },
    { "event_first_seen", event_first_seen },
    { "event_object", event_object },
    { "event_source", event_source },
    { "event_message", event_message },
    { "event_count", event_count },
    { "quota_requests", quota_requests },
    { "quota_limits", quota_limits },
    { "owner", owner },
    { "job_status", job_status },
    { "job_completions", job_completions },
    { "job_duration", job_duration },
    { "binding_role", binding_role },
    { "binding_users", binding_users },
    { "binding_groups", binding_groups },
    { "binding_accounts", binding_accounts },
    { "csr_duration", csr_duration },
    { "csr_condition", csr_condition },
    { "apiservice", apiservice },
    { "apiservice_available", apiservice_available },
    { "param_kind", param_kind },
    { "param_ref", param_ref },
    { "flow_missing_level", flow_missing_level },
    { "component_status", component_status },
    { "component_said", component_said },
    { NULL, NULL },
};
