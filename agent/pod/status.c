#include "agent/pod/status.h"

#include "base/core/buf.h"
#include "base/data/json.h"
#include "base/data/time.h"

static void set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
}

static void set_text(json_t *o, const char *key, const char *value)
{
    if (value && *value)
        set(o, key, json_str_of(str_of(value)));
}

static void set_time(json_t *o, const char *key, int64_t unix_s)
{
    char t[TIME_TEXT_BYTES];

    time_text_s(t, unix_s);
    set(o, key, unix_s ? json_string(t) : json_null());
}

static json_t *id_of(const char *scheme, const char *id)
{
    return json_sprintf("%s://%s", scheme, id ? id : "");
}

/* ---- containers ---- */

static json_t *terminated(const struct status_run *r, const char *scheme)
{
    json_t *t = json_object(), *state = json_object();

    set(t, "exitCode", json_integer(r->exit_code));
    set_text(t, "reason",
             r->reason && *r->reason ? r->reason
             : r->exit_code          ? "Error"
                                     : "Completed");
    set_text(t, "message", r->message);
    set_time(t, "startedAt", r->started_unix_s);
    set_time(t, "finishedAt", r->finished_unix_s);
    if (r->id && *r->id)
        set(t, "containerID", id_of(scheme, r->id));
    set(state, "terminated", t);
    return state;
}

static json_t *container_state(const struct status_container *c, const char *scheme)
{
    json_t *state, *inner;

    if (c->state == STATUS_TERMINATED)
        return terminated(&c->run, scheme);
    state = json_object();
    inner = json_object();
    if (c->state == STATUS_RUNNING) {
        set_time(inner, "startedAt", c->run.started_unix_s);
        set(state, "running", inner);
    } else {
        set_text(inner, "reason", c->reason);
        set_text(inner, "message", c->message);
        set(state, "waiting", inner);
    }
    return state;
}

static bool is_done(const struct status_container *c)
{
    return c->state == STATUS_TERMINATED && c->run.exit_code == 0;
}

static json_t *container(const struct status_container *c, bool is_init, const char *scheme)
{
    json_t *o = json_object();
    bool running = c->state == STATUS_RUNNING;

    set(o, "name", json_str_of(str_of(c->name)));
    set(o, "state", container_state(c, scheme));
    set(o, "lastState", c->last.id && *c->last.id ? terminated(&c->last, scheme) : json_object());
    set(o, "ready", json_boolean(is_init ? is_done(c) : running));
    set(o, "restartCount", json_integer(c->restart_count));
    set(o, "image", json_str_of(str_of(c->image)));
    set(o, "imageID", json_str_of(str_of(c->image_id)));
    if (c->run.id && *c->run.id)
        set(o, "containerID", id_of(scheme, c->run.id));
    else if (c->last.id && *c->last.id)
        set(o, "containerID", id_of(scheme, c->last.id));
    set(o, "started", json_boolean(running));
    return o;
}

static json_t *containers(const struct status_container *v, size_t n, bool is_init,
                          const char *scheme)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, container(&v[i], is_init, scheme));
    return a;
}

/* ---- phase ---- */

static bool init_is_done(const struct status_facts *f)
{
    for (size_t i = 0; i < f->n_init; i++)
        if (!is_done(&f->init[i]))
            return false;
    return true;
}

/* kubelet's getPhase (pkg/kubelet/kubelet_pods.go). */
const char *status_phase(const struct status_facts *f)
{
    size_t running = 0, waiting = 0, stopped = 0, succeeded = 0;

    if (f->failed_reason && *f->failed_reason)
        return "Failed";
    for (size_t i = 0; i < f->n_init; i++)
        if (f->init[i].state == STATUS_TERMINATED && f->init[i].run.exit_code &&
            f->restart == SPEC_NEVER)
            return "Failed";
    if (!init_is_done(f))
        return "Pending";
    for (size_t i = 0; i < f->n_main; i++) {
        const struct status_container *c = &f->main[i];

        if (c->state == STATUS_RUNNING) {
            running++;
        } else if (c->state == STATUS_TERMINATED) {
            stopped++;
            succeeded += c->run.exit_code == 0;
        } else if (c->last.id && *c->last.id) {
            stopped++; /* it waits for its next run */
        } else {
            waiting++;
        }
    }
    if (waiting)
        return "Pending";
    if (running)
        return "Running";
    if (f->restart == SPEC_ALWAYS && !f->deleting)
        return "Running";
    if (stopped == succeeded)
        return "Succeeded";
    return f->restart == SPEC_NEVER || f->deleting ? "Failed" : "Running";
}

/* ---- conditions ---- */

static void condition(json_t *a, const json_t *before, const char *type, bool is_true,
                      const char *reason, const char *message, int64_t now_unix_s)
{
    const char *status = is_true ? "True" : "False";
    json_t *o = json_object(), *old;
    const json_t *list = json_at(before, "conditions");
    const char *since = NULL;
    size_t i;

    json_array_foreach(list, i, old) if (strcmp(json_str_at(old, "type", ""), type) == 0 &&
                                         strcmp(json_str_at(old, "status", ""), status) == 0)
        since = json_str_at(old, "lastTransitionTime", NULL);
    set_text(o, "type", type);
    set_text(o, "status", status);
    set(o, "lastProbeTime", json_null());
    if (since)
        set_text(o, "lastTransitionTime", since);
    else
        set_time(o, "lastTransitionTime", now_unix_s);
    set_text(o, "reason", reason);
    set_text(o, "message", message);
    json_array_append_new(a, o);
}

static void names_of(struct buf *b, const struct status_container *v, size_t n, bool is_init)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        bool fine = is_init ? is_done(&v[i]) : v[i].state == STATUS_RUNNING;

        /* A list that is too long is cut: it is for people. */
        if (!fine)
            err_ignore(buf_addf(b, "%s%s", k++ ? " " : "", v[i].name));
    }
}

static void conditions(json_t *status, const struct status_facts *f, const char *phase,
                       const json_t *before)
{
    json_t *a = json_array();
    auto_buf init = BUF(512), unready = BUF(512), text = BUF(1024);
    bool succeeded = strcmp(phase, "Succeeded") == 0,
         over = succeeded || strcmp(phase, "Failed") == 0;
    bool ready = !over, initialized = init_is_done(f);
    const char *reason = succeeded ? "PodCompleted" : over ? "PodFailed" : "ContainersNotReady";

    names_of(&init, f->init, f->n_init, true);
    names_of(&unready, f->main, f->n_main, false);
    ready = ready && initialized && !unready.n;
    if (!over && unready.n)
        err_ignore(buf_addf(&text, "containers with unready status: [%s]", buf_cstr(&unready)));
    condition(a, before, "PodScheduled", true, NULL, NULL, f->now_unix_s);
    if (initialized) {
        condition(a, before, "Initialized", true, succeeded ? "PodCompleted" : NULL, NULL,
                  f->now_unix_s);
    } else {
        auto_buf why = BUF(1024);

        err_ignore(buf_addf(&why, "containers with incomplete status: [%s]", buf_cstr(&init)));
        condition(a, before, "Initialized", false, "ContainersNotInitialized", buf_cstr(&why),
                  f->now_unix_s);
    }
    condition(a, before, "Ready", ready, ready ? NULL : reason, buf_cstr(&text), f->now_unix_s);
    condition(a, before, "ContainersReady", ready, ready ? NULL : reason, buf_cstr(&text),
              f->now_unix_s);
    set(status, "conditions", a);
}

static void addresses(json_t *status, const char *one, const char *all, const char *const *ips,
                      size_t n)
{
    json_t *a;

    if (!n)
        return;
    a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_pack("{s:s}", "ip", ips[i]));
    set_text(status, one, ips[0]);
    set(status, all, a);
}

json_t *status_json(const struct status_facts *f, const json_t *before)
{
    static const char *const qos[] = { "BestEffort", "Burstable", "Guaranteed" };
    const char *phase = status_phase(f);
    json_t *s = json_object();

    set_text(s, "phase", phase);
    set_text(s, "reason", f->failed_reason);
    set_text(s, "message", f->message);
    conditions(s, f, phase, before);
    addresses(s, "hostIP", "hostIPs", f->host_ips, f->n_host_ips);
    addresses(s, "podIP", "podIPs", f->pod_ips, f->n_pod_ips);
    if (f->start_unix_s)
        set_time(s, "startTime", f->start_unix_s);
    if (f->n_init)
        set(s, "initContainerStatuses", containers(f->init, f->n_init, true, f->scheme));
    set(s, "containerStatuses", containers(f->main, f->n_main, false, f->scheme));
    set_text(s, "qosClass", qos[f->qos]);
    return s;
}
