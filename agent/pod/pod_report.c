/* What the API is told of a pod: its status, when it changed, and that a deleted one is gone. */
#include "agent/pod/pod_int.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"

#include <stdio.h>

static char *path_of(const struct pod *p, const char *sub)
{
    return mem_printf("/api/v1/namespaces/%s/pods/%s%s", p->ns, p->name, sub);
}

/* ---- the status ---- */

static struct status_run run_of(const struct pod_run *r)
{
    return (struct status_run){ .id = r->id,
                                .started_unix_s = r->started_unix_s,
                                .finished_unix_s = r->finished_unix_s,
                                .exit_code = r->exit_code,
                                .reason = r->reason,
                                .message = r->message };
}

static void container_of_run(struct status_container *out, const struct pod *p, size_t i)
{
    const struct pod_ctr *c = &p->ctrs[i];
    bool waits = c->waiting[0] != '\0';

    *out = (struct status_container){ .name = p->spec->containers[i].name,
                                      .image = p->spec->containers[i].image,
                                      .image_id = c->now.image_id ? c->now.image_id : "",
                                      .restart_count = c->now.id ? c->now.attempt : 0 };
    if (c->now.id && c->now.state == CRI_RUNNING) {
        out->state = STATUS_RUNNING;
        out->run = run_of(&c->now);
        out->last = run_of(&c->last);
    } else if (c->now.id && c->now.state == CRI_EXITED && !waits) {
        out->state = STATUS_TERMINATED;
        out->run = run_of(&c->now);
        out->last = run_of(&c->last);
    } else {
        out->state = STATUS_WAITING;
        out->reason = waits                                     ? c->waiting
                      : i >= p->spec->n_init && p->spec->n_init ? "PodInitializing"
                                                                : "ContainerCreating";
        out->message = c->waiting_why;
        if (c->now.id && c->now.state == CRI_EXITED)
            out->last = run_of(&c->now);
        else
            out->last = run_of(&c->last);
    }
}

/* A pod whose spec we do not carry out: its containers wait, and the reason names the field. */
static json_t *refused(const struct pod *p, const json_t *before)
{
    const json_t *list = json_at(p->object, "spec.containers");
    size_t n = json_array_size(list);
    struct status_container *v = mem_calloc(n + 1, sizeof *v);
    struct status_facts f = { .scheme = "containerd",
                              .host_ips = p->node->host_ips,
                              .n_host_ips = p->node->n_host_ips,
                              .start_unix_s = p->start_unix_s,
                              .now_unix_s = clock_wall_s(),
                              .main = v,
                              .n_main = n,
                              .message = p->refusal.text };
    json_t *s;

    for (size_t i = 0; i < n; i++)
        v[i] =
            (struct status_container){ .name = json_str_at(json_array_get(list, i), "name", ""),
                                       .image = json_str_at(json_array_get(list, i), "image", ""),
                                       .image_id = "",
                                       .state = STATUS_WAITING,
                                       .reason = "CreateContainerConfigError",
                                       .message = p->refusal.text };
    s = status_json(&f, before);
    free(v);
    return s;
}

static json_t *make(const struct pod *p, const json_t *before)
{
    struct status_container v[SPEC_CONTAINERS_MAX];
    bool host = p->spec && p->spec->host_network;
    char scheme[32] = "containerd";
    const char *version = runtime_version(p->node->runtime);
    struct status_facts f;

    if (!p->spec)
        return refused(p, before);
    if (strstr(version, "://"))
        snprintf(scheme, sizeof scheme, "%.*s", (int)MIN(strstr(version, "://") - version, 31L),
                 version);
    for (size_t i = 0; i < p->n_ctrs; i++)
        container_of_run(&v[i], p, i);
    f = (struct status_facts){ .restart = p->spec->restart,
                               .qos = p->spec->qos,
                               .scheme = scheme,
                               .pod_ips = host ? p->node->host_ips : (const char *const *)p->ips,
                               .n_pod_ips = host ? p->node->n_host_ips : p->n_ips,
                               .host_ips = p->node->host_ips,
                               .n_host_ips = p->node->n_host_ips,
                               .start_unix_s = p->start_unix_s,
                               .now_unix_s = clock_wall_s(),
                               .init = v,
                               .n_init = p->spec->n_init,
                               .main = v + p->spec->n_init,
                               .n_main = p->n_ctrs - p->spec->n_init,
                               .deleting = pod_is_ending(p),
                               .message = p->box_why };
    return status_json(&f, before);
}

/* What we once wrote and do not say any more must be taken back by name in a merge. */
static json_t *patch_of(const json_t *status, const json_t *before)
{
    static const char *const ours[] = { "reason", "message", "podIP" };
    json_t *patch = json_deep_copy(status), *old;
    json_t *body = json_object(), *meta = json_object();
    size_t i;

    for (i = 0; i < ARRAY_LEN(ours); i++)
        if (!json_object_get(status, ours[i]) && json_object_get(before, ours[i]))
            json_object_set_new(patch, ours[i], json_null());
    /* podIPs is merged by ip: those that are gone are named. */
    json_array_foreach(json_object_get(before, "podIPs"), i, old)
    {
        json_t *ips = json_object_get(patch, "podIPs"), *ip;
        size_t k;
        bool kept = false;

        json_array_foreach(ips, k, ip) kept = kept || json_equal(ip, old);
        if (kept)
            continue;
        if (!ips) {
            ips = json_array();
            json_object_set_new(patch, "podIPs", ips);
        }
        json_array_append_new(
            ips, json_pack("{s:s, s:s}", "$patch", "delete", "ip", json_str_at(old, "ip", "")));
    }
    json_object_set_new(body, "metadata", meta);
    json_object_set_new(body, "status", patch);
    return body;
}

static void on_status_written(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct pod *p = arg;

    p->status_call = NULL;
    if (p->closing) {
        pod_maybe_gone(p);
        return;
    }
    (void)r;
    if (!e) {
        backoff_reset(&p->status_backoff);
    } else if (e->code == ERR_NOT_FOUND || e->code == ERR_CONFLICT) {
        /* Deleted, or another pod of that name: the watch tells. */
    } else {
        log_debug("pod status not written, will retry", kv("pod", p->name), kv("err", e->text));
        json_decref(p->written);
        p->written = NULL;
        p->status_retry_ms = uv_now(p->node->loop) + backoff_next_ms(&p->status_backoff);
    }
    pod_step(p);
}

static void write_status(struct pod *p, const json_t *before)
{
    auto_free char *path = path_of(p, "/status");
    json_auto_t *body = patch_of(p->status, before);
    auto_free char *text = NULL;

    /* Not onto a later pod of the same name: the server compares the uid. */
    json_object_set_new(json_object_get(body, "metadata"), "uid", json_string(p->uid));
    text = json_text(body);
    json_decref(p->written);
    p->written = json_incref(p->status);
    p->status_call =
        kube_patch(p->node->client, path, KUBE_PATCH_STRATEGIC, str_of(text), on_status_written, p);
}

void pod_report(struct pod *p)
{
    const json_t *before = p->written ? p->written : json_object_get(p->object, "status");

    if (!p->object || p->orphaned || p->closing)
        return;
    if (!p->spec && !p->refusal.code)
        return;
    /* A pod that was over before we came, and of which nothing is left, keeps its last words. */
    if (p->spec && !p->written && !p->n_observed_containers && !p->n_boxes) {
        const char *phase = json_str_at(before, "phase", "");

        if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
            return;
    }
    json_decref(p->status);
    p->status = make(p, before);
    if (p->status_retry_ms > uv_now(p->node->loop)) {
        pod_wake_at(p, p->status_retry_ms);
        return;
    }
    if (p->status_call)
        return; /* its end steps again */
    if (!json_equal(p->status, before))
        write_status(p, before);
}

bool pod_report_is_clean(const struct pod *p)
{
    return !p->status_call && p->status_retry_ms <= uv_now(p->node->loop);
}

/* ---- deletion ---- */

static void on_deleted(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct pod *p = arg;

    p->delete_call = NULL;
    if (p->closing) {
        pod_maybe_gone(p);
        return;
    }
    (void)r;
    if (!e || e->code == ERR_NOT_FOUND || e->code == ERR_CONFLICT) {
        p->deleted = true; /* or it was a later pod of that name: the watch tells */
    } else {
        log_warn("pod is gone but its object could not be deleted, will retry", kv("pod", p->name),
                 kv("err", e->text));
        p->retry_at_ms = uv_now(p->node->loop) + backoff_next_ms(&p->status_backoff);
    }
    pod_step(p);
}

void pod_delete(struct pod *p)
{
    auto_free char *path = path_of(p, "");
    auto_free char *body =
        mem_printf("{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,"
                   "\"preconditions\":{\"uid\":\"%s\"}}",
                   p->uid);

    if (!p->delete_call)
        p->delete_call = kube_delete(p->node->client, path, str_of(body), on_deleted, p);
}
