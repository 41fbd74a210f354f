/* Cells of pods and nodes. */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "server/schema/table_cells.h"

#include <stdio.h>

struct pod_view {
    char status[160];
    unsigned ready, total;
    struct restarts {
        json_int_t n;
        const char *at; /* the latest; "" for never */
    } restarts;
};

static json_int_t int_in(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

static bool condition_is_true(const json_t *conditions, const char *type)
{
    json_t *v;
    size_t i;

    json_array_foreach(conditions, i, v)
    {
        if (strcmp(cell_str(v, "type"), type) == 0)
            return strcmp(cell_str(v, "status"), "True") == 0;
    }
    return false;
}

static bool is_sidecar(const json_t *spec, const char *name)
{
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(spec, "initContainers"), i, c)
    {
        if (strcmp(cell_str(c, "name"), name) == 0)
            return strcmp(cell_str(c, "restartPolicy"), "Always") == 0;
    }
    return false;
}

static void add_restarts(struct restarts *r, const json_t *status)
{
    const char *at = cell_str(cell_at(status, ".lastState.terminated"), "finishedAt");

    r->n += int_in(status, "restartCount");
    if (strcmp(at, r->at) > 0) /* RFC 3339 in UTC sorts as text */
        r->at = at;
}

static void say_terminated(struct pod_view *p, const char *prefix, const json_t *terminated)
{
    const char *reason = cell_str(terminated, "reason");

    if (*reason)
        snprintf(p->status, sizeof p->status, "%s%.128s", prefix, reason);
    else if (int_in(terminated, "signal"))
        snprintf(p->status, sizeof p->status, "%sSignal:%" JSON_INTEGER_FORMAT, prefix,
                 int_in(terminated, "signal"));
    else
        snprintf(p->status, sizeof p->status, "%sExitCode:%" JSON_INTEGER_FORMAT, prefix,
                 int_in(terminated, "exitCode"));
}

/* True while the pod is still in its init containers. Their restarts count until then, those of
 * sidecars always. */
static bool view_init(struct pod_view *p, struct restarts *sidecars, const json_t *spec,
                      const json_t *status)
{
    json_t *s;
    size_t i;

    json_array_foreach(json_object_get(status, "initContainerStatuses"), i, s)
    {
        const json_t *state = json_object_get(s, "state");
        const json_t *terminated = json_object_get(state, "terminated");
        const char *waiting = cell_str(json_object_get(state, "waiting"), "reason");
        bool sidecar = is_sidecar(spec, cell_str(s, "name"));
        add_restarts(&p->restarts, s);
        if (sidecar)
            add_restarts(sidecars, s);
        if (terminated && !int_in(terminated, "exitCode"))
            continue;
        if (sidecar && json_is_true(json_object_get(s, "started"))) {
            p->ready += json_is_true(json_object_get(s, "ready"));
            continue;
        }
        if (terminated)
            say_terminated(p, "Init:", terminated);
        else if (*waiting && strcmp(waiting, "PodInitializing") != 0)
            snprintf(p->status, sizeof p->status, "Init:%.128s", waiting);
        else
            snprintf(p->status, sizeof p->status, "Init:%zu/%zu", i,
                     json_array_size(json_object_get(spec, "initContainers")));
        return true;
    }
    return false;
}

static void view_containers(struct pod_view *p, const json_t *status)
{
    const json_t *list = json_object_get(status, "containerStatuses");
    bool running = false;

    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *s = json_array_get(list, i), *state = json_object_get(s, "state");
        const json_t *terminated = json_object_get(state, "terminated");
        const char *waiting = cell_str(json_object_get(state, "waiting"), "reason");
        add_restarts(&p->restarts, s);
        if (*waiting) {
            snprintf(p->status, sizeof p->status, "%.128s", waiting);
        } else if (terminated) {
            say_terminated(p, "", terminated);
        } else if (json_is_true(json_object_get(s, "ready")) && json_object_get(state, "running")) {
            running = true;
            p->ready++;
        }
    }
    if (running && strcmp(p->status, "Completed") == 0)
        snprintf(p->status, sizeof p->status, "%s",
                 condition_is_true(json_object_get(status, "conditions"), "Ready") ? "Running"
                                                                                   : "NotReady");
}

static void view_pod(struct pod_view *p, const json_t *pod)
{
    const json_t *spec = json_object_get(pod, "spec"), *status = json_object_get(pod, "status");
    const char *phase = cell_str(status, "phase"), *reason = cell_str(status, "reason");
    struct restarts sidecars = { .at = "" };
    json_t *c;
    size_t i;

    *p = (struct pod_view){ .restarts = sidecars };
    snprintf(p->status, sizeof p->status, "%.128s", *reason ? reason : phase);
    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(cell_str(c, "type"), "PodScheduled") == 0 &&
            strcmp(cell_str(c, "reason"), "SchedulingGated") == 0)
            snprintf(p->status, sizeof p->status, "SchedulingGated");
    }
    p->total = (unsigned)json_array_size(json_object_get(spec, "containers"));
    json_array_foreach(json_object_get(spec, "initContainers"), i, c) p->total +=
        strcmp(cell_str(c, "restartPolicy"), "Always") == 0;
    if (!view_init(p, &sidecars, spec, status) ||
        condition_is_true(json_object_get(status, "conditions"), "Initialized")) {
        p->restarts = sidecars;
        view_containers(p, status);
    }
    if (!cell_at(pod, ".metadata.deletionTimestamp"))
        return;
    if (strcmp(reason, "NodeLost") == 0)
        snprintf(p->status, sizeof p->status, "Unknown");
    else if (strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0)
        snprintf(p->status, sizeof p->status, "Terminating");
}

static json_t *pod_ready(const struct cell *c, const char *arg)
{
    struct pod_view p;

    (void)arg;
    view_pod(&p, c->obj);
    return json_sprintf("%u/%u", p.ready, p.total);
}

static json_t *pod_status(const struct cell *c, const char *arg)
{
    struct pod_view p;

    (void)arg;
    view_pod(&p, c->obj);
    return json_string(p.status);
}

static json_t *pod_restarts(const struct cell *c, const char *arg)
{
    struct pod_view p;
    char ago[CELL_AGE_MAX];

    (void)arg;
    view_pod(&p, c->obj);
    if (!p.restarts.n || !*p.restarts.at)
        return json_sprintf("%" JSON_INTEGER_FORMAT, p.restarts.n);
    cell_since(ago, p.restarts.at, c->now_s);
    return json_sprintf("%" JSON_INTEGER_FORMAT " (%s ago)", p.restarts.n, ago);
}

static json_t *pod_ip(const struct cell *c, const char *arg)
{
    const json_t *status = json_object_get(c->obj, "status");
    const char *first = cell_str(json_array_get(json_object_get(status, "podIPs"), 0), "ip");

    (void)arg;
    return cell_text(*first ? first : cell_str(status, "podIP"), "<none>");
}

static json_t *pod_gates(const struct cell *c, const char *arg)
{
    const json_t *gates = cell_at(c->obj, ".spec.readinessGates");
    const json_t *conditions = cell_at(c->obj, ".status.conditions");
    unsigned n = 0;
    json_t *v;
    size_t i;

    (void)arg;
    if (!json_array_size(gates))
        return json_string("<none>");
    json_array_foreach(gates, i, v) n +=
        condition_is_true(conditions, cell_str(v, "conditionType"));
    return json_sprintf("%u/%zu", n, json_array_size(gates));
}

/* ---- nodes ---- */

static json_t *node_status(const struct cell *c, const char *arg)
{
    const json_t *conditions = cell_at(c->obj, ".status.conditions");
    const char *word = "Unknown";
    json_t *v;
    size_t i;

    (void)arg;
    json_array_foreach(conditions, i, v)
    {
        if (strcmp(cell_str(v, "type"), "Ready") == 0)
            word = strcmp(cell_str(v, "status"), "True") == 0 ? "Ready" : "NotReady";
    }
    return json_sprintf("%s%s", word,
                        json_is_true(cell_at(c->obj, ".spec.unschedulable")) ? ",SchedulingDisabled"
                                                                             : "");
}

static json_t *node_roles(const struct cell *c, const char *arg)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    json_auto_t *roles = json_object();
    auto_buf b = BUF(4096);
    const char *key, *role;
    json_t *v;

    (void)arg;
    json_object_foreach((json_t *)cell_at(c->obj, ".metadata.labels"), key, v)
    {
        const char *value = json_string_value(v) ? json_string_value(v) : "";
        role = "";
        if (strncmp(key, prefix, sizeof prefix - 1) == 0)
            role = key + sizeof prefix - 1;
        else if (strcmp(key, "kubernetes.io/role") == 0)
            role = value;
        if (*role)
            json_object_set_new(roles, role, json_true());
    }
    for (;;) { /* smallest first; there are one or two */
        const char *first = NULL;
        json_object_foreach(roles, key, v)
        {
            if (!first || strcmp(key, first) < 0)
                first = key;
        }
        if (!first || buf_addf(&b, "%s%s", b.n ? "," : "", first))
            break;
        json_object_del(roles, first);
    }
    return cell_text(buf_cstr(&b), "<none>");
}

static json_t *node_ip(const struct cell *c, const char *type)
{
    json_t *v;
    size_t i;

    json_array_foreach(cell_at(c->obj, ".status.addresses"), i, v)
    {
        if (strcmp(cell_str(v, "type"), type) == 0)
            return cell_text(cell_str(v, "address"), "<none>");
    }
    return json_string("<none>");
}

static json_t *node_internal_ip(const struct cell *c, const char *arg)
{
    (void)arg;
    return node_ip(c, "InternalIP");
}

static json_t *node_external_ip(const struct cell *c, const char *arg)
{
    (void)arg;
    return node_ip(c, "ExternalIP");
}

const struct cell_entry cells_of_pods[] = {
    { "pod_ready", pod_ready },
    { "pod_status", pod_status },
    { "pod_restarts", pod_restarts },
    { "pod_ip", pod_ip },
    { "pod_gates", pod_gates },
    { "node_status", node_status },
    { "node_roles", node_roles },
    { "node_internal_ip", node_internal_ip },
    { "node_external_ip", node_external_ip },
    { NULL, NULL },
};
