/* Cells of the kinds beside pods and nodes. */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/data/time.h"
#include "server/schema/table_cells.h"

#include <ctype.h>
#include <stdio.h>

enum { TEXT_MAX_BYTES = 16 * 1024, SHOWN_MAX = 3 };

static json_t *number_of(const struct cell *c, const char *path)
{
    const json_t *v = cell_at(c->obj, path);

    return json_integer((json_int_t)(json_is_array(v) ? json_array_size(v) : json_object_size(v)));
}

/* One more part of a line; parts past a full buffer are left out. */
static void part(struct buf *b, const char *sep, const char *s)
{
    if (*s)
        err_ignore(buf_addf(b, "%s%s", b->n ? sep : "", s));
}

static json_t *line(const struct buf *b)
{
    return cell_text(buf_cstr(b), "<none>");
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

static json_t *service_cluster_ip(const struct cell *c, const char *arg)
{
    const json_t *spec = json_object_get(c->obj, "spec");
    const char *first = json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));

    (void)arg;
    return cell_text(first ? first : cell_str(spec, "clusterIP"), "<none>");
}

static void balancer_addresses(struct buf *b, const json_t *obj)
{
    json_t *v;
    size_t i;

    json_array_foreach(cell_at(obj, ".status.loadBalancer.ingress"), i, v)
    {
        const char *ip = cell_str(v, "ip");
        part(b, ",", *ip ? ip : cell_str(v, "hostname"));
    }
}

static json_t *service_external_ip(const struct cell *c, const char *arg)
{
    const json_t *spec = json_object_get(c->obj, "spec");
    bool balancer = strcmp(cell_str(spec, "type"), "LoadBalancer") == 0;
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    if (strcmp(cell_str(spec, "type"), "ExternalName") == 0)
        return cell_text(cell_str(spec, "externalName"), "<none>");
    if (balancer)
        balancer_addresses(&b, c->obj);
    json_array_foreach(json_object_get(spec, "externalIPs"), i, v)
        part(&b, ",", json_string_value(v) ? json_string_value(v) : "");
    return cell_text(buf_cstr(&b), balancer ? "<pending>" : "<none>");
}

static json_t *service_ports(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.ports"), i, v)
    {
        json_int_t node_port = json_integer_value(json_object_get(v, "nodePort"));
        char text[96], node[32] = "";
        if (node_port)
            snprintf(node, sizeof node, ":%" JSON_INTEGER_FORMAT, node_port);
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "%s/%.8s",
                 json_integer_value(json_object_get(v, "port")), node, cell_str(v, "protocol"));
        part(&b, ",", text);
    }
    return line(&b);
}

static json_t *service_selector(const struct cell *c, const char *arg)
{
    (void)arg;
    return cell_labels(cell_at(c->obj, ".spec.selector"));
}

/* Up to three; the others are counted. */
struct shown {
    struct buf b;
    unsigned n;
};

static void show(struct shown *s, const char *text)
{
    if (s->n++ < SHOWN_MAX)
        part(&s->b, ",", text);
}

static json_t *shown_end(struct shown *s)
{
    if (s->n > SHOWN_MAX)
        err_ignore(buf_addf(&s->b, " + %u more...", s->n - SHOWN_MAX)); /* a full line stays */
    json_t *text = line(&s->b);
    buf_deinit(&s->b);
    return text;
}

static json_t *endpoints(const struct cell *c, const char *arg)
{
    struct shown s = { .b = BUF(TEXT_MAX_BYTES) };
    json_t *subset, *address, *port;
    size_t i, j, k;

    (void)arg;
    json_array_foreach(json_object_get(c->obj, "subsets"), i, subset)
    {
        const json_t *ports = json_object_get(subset, "ports");
        json_array_foreach(json_object_get(subset, "addresses"), j, address)
        {
            const char *ip = cell_str(address, "ip");
            if (!json_array_size(ports))
                show(&s, ip);
            json_array_foreach(ports, k, port)
            {
                char text[96];
                bool v6 = strchr(ip, ':') != NULL;
                snprintf(text, sizeof text, "%s%.46s%s:%" JSON_INTEGER_FORMAT, v6 ? "[" : "", ip,
                         v6 ? "]" : "", json_integer_value(json_object_get(port, "port")));
                show(&s, text);
            }
        }
    }
    return shown_end(&s);
}

static json_t *slice_ports(const struct cell *c, const char *arg)
{
    struct shown s = { .b = BUF(TEXT_MAX_BYTES) };
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(json_object_get(c->obj, "ports"), i, v)
    {
        char text[32] = "*";
        if (json_object_get(v, "port"))
            snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(v, "port")));
        show(&s, text);
    }
    json_t *text = shown_end(&s);
    if (strcmp(json_string_value(text), "<none>") == 0)
        json_string_set(text, "<unset>");
    return text;
}

static json_t *slice_endpoints(const struct cell *c, const char *arg)
{
    struct shown s = { .b = BUF(TEXT_MAX_BYTES) };
    json_t *v, *address;
    size_t i, j;

    (void)arg;
    json_array_foreach(json_object_get(c->obj, "endpoints"), i, v)
    {
        json_array_foreach(json_object_get(v, "addresses"), j, address)
            show(&s, json_string_value(address) ? json_string_value(address) : "");
    }
    json_t *text = shown_end(&s);
    if (strcmp(json_string_value(text), "<none>") == 0)
        json_string_set(text, "<unset>");
    return text;
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
    const char *const paths[] = { ".series.lastObservedTime", ".lastTimestamp", ".eventTime",
                                  NULL };

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
    return json_sprintf("%s/%s", kind, cell_str(about, "name"));
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
    return json_sprintf("%s%s%s", component, *host && *component ? ", " : "", host);
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

/* ---- volumes ---- */

static json_t *access_modes(const json_t *modes)
{
    static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
                                            { "ReadOnlyMany", "ROX" },
                                            { "ReadWriteMany", "RWX" },
                                            { "ReadWriteOncePod", "RWOP" } };
    auto_buf b = BUF(64);
    json_t *v;
    size_t i;

    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        json_array_foreach(modes, i, v)
        {
            if (json_is_string(v) && strcmp(json_string_value(v), names[k][0]) == 0)
                part(&b, ",", names[k][1]);
        }
    return json_string(buf_cstr(&b));
}

static json_t *pv_access_modes(const struct cell *c, const char *arg)
{
    (void)arg;
    return access_modes(cell_at(c->obj, ".spec.accessModes"));
}

static json_t *pv_claim(const struct cell *c, const char *arg)
{
    const json_t *claim = cell_at(c->obj, ".spec.claimRef");

    (void)arg;
    return claim ? json_sprintf("%s/%s", cell_str(claim, "namespace"), cell_str(claim, "name"))
                 : json_string("");
}

static json_t *pvc_capacity(const struct cell *c, const char *arg)
{
    (void)arg;
    return cell_text(json_string_value(cell_at(c->obj, ".status.capacity.storage")), "");
}

static json_t *pvc_access_modes(const struct cell *c, const char *arg)
{
    (void)arg;
    return access_modes(cell_at(c->obj, ".status.accessModes"));
}

static json_t *storageclass_name(const struct cell *c, const char *arg)
{
    const json_t *a = cell_at(c->obj, ".metadata.annotations");
    const char *name = json_string_value(cell_at(c->obj, ".metadata.name"));
    bool is_default =
        strcmp(cell_str(a, "storageclass.kubernetes.io/is-default-class"), "true") == 0;

    (void)arg;
    return json_sprintf("%s%s", name ? name : "", is_default ? " (default)" : "");
}

static json_t *csidriver_tokens(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.tokenRequests"), i, v)
        part(&b, ",", cell_str(v, "audience"));
    return cell_text(buf_cstr(&b), "<unset>");
}

/* ---- quotas ---- */

static json_t *quota(const struct cell *c, bool limits)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);
    const json_t *used = cell_at(c->obj, ".status.used");
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)cell_at(c->obj, ".status.hard"), key, v)
    {
        char text[256];
        if ((strncmp(key, "limits.", 7) == 0) != limits)
            continue;
        snprintf(text, sizeof text, "%.120s: %.40s/%.40s", key, cell_str(used, key),
                 json_string_value(v) ? json_string_value(v) : "");
        part(&b, ", ", text);
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

static json_t *job_status(const struct cell *c, const char *arg)
{
    static const char *const names[][2] = { { "Complete", "Complete" },
                                            { "Failed", "Failed" },
                                            { "Suspended", "Suspended" },
                                            { "FailureTarget", "FailureTarget" },
                                            { "SuccessCriteriaMet", "SuccessCriteriaMet" } };
    json_t *v;
    size_t i;

    (void)arg;
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
        {
            if (strcmp(cell_str(v, "type"), names[k][0]) == 0 &&
                strcmp(cell_str(v, "status"), "True") == 0)
                return json_string(names[k][1]);
        }
    return json_string(cell_at(c->obj, ".metadata.deletionTimestamp") ? "Terminating" : "Running");
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

/* ---- scaling ---- */

static json_t *hpa_reference(const struct cell *c, const char *arg)
{
    const json_t *ref = cell_at(c->obj, ".spec.scaleTargetRef");

    (void)arg;
    return json_sprintf("%s/%s", cell_str(ref, "kind"), cell_str(ref, "name"));
}

static json_t *hpa_targets(const struct cell *c, const char *arg)
{
    struct shown s = { .b = BUF(TEXT_MAX_BYTES) };
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.metrics"), i, v)
    {
        const json_t *resource = json_object_get(v, "resource");
        const json_t *target = json_object_get(resource, "target");
        const json_t *current = json_object_get(
            json_object_get(json_array_get(cell_at(c->obj, ".status.currentMetrics"), i),
                            "resource"),
            "current");
        const json_t *wanted = json_object_get(target, "averageUtilization");
        const json_t *now = json_object_get(current, "averageUtilization");
        char text[128], have[32] = "<unknown>";
        if (!resource)
            continue; /* metrics of other sources are counted nowhere yet */
        if (now)
            snprintf(have, sizeof have, "%" JSON_INTEGER_FORMAT "%%", json_integer_value(now));
        if (wanted)
            snprintf(text, sizeof text, "%.40s: %s/%" JSON_INTEGER_FORMAT "%%",
                     cell_str(resource, "name"), have, json_integer_value(wanted));
        else
            snprintf(text, sizeof text, "%.40s: %.30s/%.30s", cell_str(resource, "name"),
                     *cell_str(current, "averageValue") ? cell_str(current, "averageValue")
                                                        : "<unknown>",
                     cell_str(target, "averageValue"));
        show(&s, text);
    }
    return shown_end(&s);
}

/* ---- network ---- */

static json_t *ingress_hosts(const struct cell *c, const char *arg)
{
    struct shown s = { .b = BUF(TEXT_MAX_BYTES) };
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".spec.rules"), i, v)
    {
        if (*cell_str(v, "host"))
            show(&s, cell_str(v, "host"));
    }
    json_t *text = shown_end(&s);
    if (strcmp(json_string_value(text), "<none>") == 0)
        json_string_set(text, "*");
    return text;
}

static json_t *ingress_address(const struct cell *c, const char *arg)
{
    auto_buf b = BUF(TEXT_MAX_BYTES);

    (void)arg;
    balancer_addresses(&b, c->obj);
    return json_string(buf_cstr(&b));
}

static json_t *ingress_ports(const struct cell *c, const char *arg)
{
    (void)arg;
    return json_string(json_array_size(cell_at(c->obj, ".spec.tls")) ? "80, 443" : "80");
}

static json_t *ingressclass_parameters(const struct cell *c, const char *arg)
{
    const json_t *p = cell_at(c->obj, ".spec.parameters");
    const char *group = cell_str(p, "apiGroup");

    (void)arg;
    if (!p)
        return json_string("<none>");
    return json_sprintf("%s%s%s/%s", cell_str(p, "kind"), *group ? "." : "", group,
                        cell_str(p, "name"));
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
        part(&b, ", ", text);
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
    auto_buf b = BUF(TEXT_MAX_BYTES);
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(cell_at(c->obj, ".status.conditions"), i, v)
        part(&b, ",", cell_str(v, "type"));
    if (b.n && json_string_length(cell_at(c->obj, ".status.certificate")))
        part(&b, ",", "Issued");
    return cell_text(buf_cstr(&b), "Pending");
}

static json_t *apiservice(const struct cell *c, const char *arg)
{
    const json_t *s = cell_at(c->obj, ".spec.service");

    (void)arg;
    return s ? json_sprintf("%s/%s", cell_str(s, "namespace"), cell_str(s, "name"))
             : json_string("Local");
}

const struct cell_entry cells_of_kinds[] = {
    { "secret_data", secret_data },
    { "configmap_data", configmap_data },
    { "sa_secrets", sa_secrets },
    { "phase", phase },
    { "service_cluster_ip", service_cluster_ip },
    { "service_external_ip", service_external_ip },
    { "service_ports", service_ports },
    { "service_selector", service_selector },
    { "endpoints", endpoints },
    { "slice_ports", slice_ports },
    { "slice_endpoints", slice_endpoints },
    { "event_last_seen", event_last_seen },
    { "event_first_seen", event_first_seen },
    { "event_object", event_object },
    { "event_source", event_source },
    { "event_message", event_message },
    { "event_count", event_count },
    { "pv_access_modes", pv_access_modes },
    { "pv_claim", pv_claim },
    { "pvc_capacity", pvc_capacity },
    { "pvc_access_modes", pvc_access_modes },
    { "storageclass_name", storageclass_name },
    { "csidriver_tokens", csidriver_tokens },
    { "quota_requests", quota_requests },
    { "quota_limits", quota_limits },
    { "owner", owner },
    { "job_status", job_status },
    { "job_completions", job_completions },
    { "job_duration", job_duration },
    { "hpa_reference", hpa_reference },
    { "hpa_targets", hpa_targets },
    { "ingress_hosts", ingress_hosts },
    { "ingress_address", ingress_address },
    { "ingress_ports", ingress_ports },
    { "ingressclass_parameters", ingressclass_parameters },
    { "binding_role", binding_role },
    { "binding_users", binding_users },
    { "binding_groups", binding_groups },
    { "binding_accounts", binding_accounts },
    { "csr_duration", csr_duration },
    { "csr_condition", csr_condition },
    { "apiservice", apiservice },
    { NULL, NULL },
};
