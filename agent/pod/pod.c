/*
 * One pod. pod_step runs when nothing is under way and the last look at the runtime is newer than
 * our last change there. It reads like a list of questions; the first one that is not answered yes
 * starts something, whose end brings the next look and the next step:
 *
 *   deleted or orphaned?   stop containers (with grace) -> stop sandboxes -> remove them ->
 *                          remove folders -> report -> DELETE the object -> gone
 *   over (Succeeded, Failed)?   stop the sandbox, keep what is left for its logs
 *   is the spec one that we carry out?   else report which field is not
 *   folders?  sandbox?  its addresses?   (a sandbox that died: stop its rest, make the next)
 *   init containers, in order            each has ended well before the next
 *   containers: start, or start again when the restart policy and its pause say so
 *   older runs: keep the last but one
 *
 * Pauses after failures of a container: 10 s, doubled to 5 min, forgotten after 10 min without one
 * (kubelet's CrashLoopBackOff). The first restart is immediate.
 */
#include "agent/pod/pod_int.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/families.h"
#include "base/kube/metadata.h"

#include <stdio.h>

#define CRASH_MIN_MS   10000
#define CRASH_MAX_MS   300000
#define CRASH_RESET_MS 600000
#define SANDBOX_MIN_MS 1000
#define SANDBOX_MAX_MS 60000

static void ctrs_free(struct pod *p)
{
    for (size_t i = 0; i < p->n_ctrs; i++) {
        pod_run_clear(&p->ctrs[i].now);
        pod_run_clear(&p->ctrs[i].last);
    }
    free(p->ctrs);
    p->ctrs = NULL;
    p->n_ctrs = 0;
}

bool pod_is_ending(const struct pod *p)
{
    return p->orphaned || (p->object && meta_is_deleting(p->object));
}

/* ---- operations ---- */

struct pod_op *pod_op_new(struct pod *p, const char *id)
{
    struct pod_op *op = mem_alloc(sizeof *op);

    op->pod = p;
    op->id = id ? mem_strdup(id) : NULL;
    list_push(&p->ops, &op->link);
    return op;
}

void pod_op_end(struct pod_op *op, bool look)
{
    struct pod *p = op->pod;

    list_remove(&op->link);
    free(op->id);
    free(op);
    p->look_after = p->look_after || look;
    if (p->closing) {
        pod_maybe_gone(p);
        return;
    }
    pod_step(p);
}

/* ---- folders and facts ---- */

char *pod_log_dir(const struct pod *p)
{
    return mem_printf("%s/%s_%s_%s", p->node->log_root, p->ns, p->name, p->uid);
}

char *pod_dir(const struct pod *p)
{
    return mem_printf("%s/%s", p->node->state_dir, p->uid);
}

char *pod_volume_dir(const struct pod *p)
{
    return mem_printf("%s/%s/volumes/kubernetes.io~empty-dir", p->node->state_dir, p->uid);
}

static const char *join(struct arena *a, const char *const *v, size_t n)
{
    size_t size = 1, at = 0;
    char *t;

    for (size_t i = 0; i < n; i++)
        size += strlen(v[i]) + 1;
    t = arena_calloc(a, 1, size);
    for (size_t i = 0; t && i < n; i++)
        at += (size_t)snprintf(t + at, size - at, "%s%s", i ? "," : "", v[i]);
    return t ? t : "";
}

void pod_facts(const struct pod *p, struct translate_facts *out, struct arena *a)
{
    const struct pod_node *n = p->node;
    bool host = p->spec && p->spec->host_network;
    const char *const *ips = host ? n->host_ips : (const char *const *)p->ips;
    size_t n_ips = host ? n->n_host_ips : p->n_ips;

    *out = n->facts;
    out->pod_ip = n_ips ? ips[0] : "";
    out->pod_ips = join(a, ips, n_ips);
    out->host_ip = n->n_host_ips ? n->host_ips[0] : "";
    out->host_ips = join(a, n->host_ips, n->n_host_ips);
}

/* ---- waiting ---- */

void pod_on_timer(void *arg)
{
    pod_step(arg);
}

void pod_wake_at(struct pod *p, uint64_t at_ms)
{
    uint64_t now = uv_now(p->node->loop);
    uint64_t in = at_ms > now ? at_ms - now : 1;

    if (timer_is_running(&p->timer) && uv_timer_get_due_in(&p->timer.h) <= in)
        return;
    timer_start_ms(&p->timer, in, pod_on_timer, p);
}

bool pod_must_wait(struct pod *p, uint64_t until_ms)
{
    if (until_ms <= uv_now(p->node->loop))
        return false;
    pod_wake_at(p, until_ms);
    return true;
}

void pod_fail(struct pod *p)
{
    p->retry_at_ms = uv_now(p->node->loop) + backoff_next_ms(&p->backoff);
}

/* ---- sandbox ---- */

static uint32_t next_box_attempt(const struct pod *p)
{
    uint32_t n = 0;

    for (size_t i = 0; i < p->n_boxes; i++)
        n = MAX(n, p->boxes[i].attempt + 1);
    return n;
}

static void on_box(void *arg, const char *id, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;

    if (e && e->code != ERR_CANCELED) {
        snprintf(p->box_why, sizeof p->box_why, "failed to create pod sandbox: %s", e->text);
        log_warn("pod sandbox not created, will retry", kv("pod", p->name), kv("err", e->text));
        if (p->object)
            recorder_note(p->node->recorder, p->object, NULL, "Warning", "FailedCreatePodSandBox",
                          "Failed to create pod sandbox: %s", e->text);
        pod_fail(p);
    }
    if (id) {
        p->box_why[0] = '\0';
        p->stopped_boxes = false;
        backoff_reset(&p->backoff);
    }
    pod_op_end(op, true);
}

static void run_box(struct pod *p, struct cri *cri)
{
    struct arena a = ARENA(SPEC_MAX_BYTES);
    auto_free char *log_dir = pod_log_dir(p), *volume_dir = pod_volume_dir(p);
    struct cri_sandbox_config c;
    struct translate_facts f;
    struct pod_op *op;
    struct err e;

    pod_facts(p, &f, &a);
    f.log_dir = log_dir;
    f.volume_dir = volume_dir;
    if (translate_sandbox(&c, p->spec, &f, next_box_attempt(p), &a, &e)) {
        snprintf(p->box_why, sizeof p->box_why, "%s", e.text);
        pod_fail(p);
        pod_wake_at(p, p->retry_at_ms);
    } else {
        op = pod_op_new(p, NULL);
        op->call = cri_run_sandbox(cri, &c, on_box, op);
    }
    arena_deinit(&a);
}

static void on_addresses(void *arg, const struct cri_sandbox *v, size_t n, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;
    const char *shown[2];
    size_t n_shown;

    if (!e && n) {
        for (size_t i = 0; i < p->n_ips; i++)
            free(p->ips[i]);
        p->n_ips = 0;
        n_shown = families_pick(shown, v->ips, v->n_ips,
                                p->node->n_host_ips && strchr(p->node->host_ips[0], ':'));
        for (size_t i = 0; i < n_shown; i++)
            p->ips[p->n_ips++] = mem_strdup(shown[i]);
        free(p->ip_of);
        p->ip_of = mem_strdup(op->id);
    } else if (e && e->code != ERR_CANCELED) {
        pod_fail(p);
    }
    pod_op_end(op, e != NULL);
}

/* true: the sandbox runs and we know its addresses. */
static bool has_box(struct pod *p, struct cri *cri)
{
    struct pod_box *box = pod_box(p);
    struct pod_op *op;

    if (!box) {
        if (pod_must_wait(p, p->retry_at_ms))
            return false;
        if (p->n_boxes && !p->stopped_boxes) { /* what is left of the one that died */
            if (pod_stop_containers(p, cri) || pod_stop_boxes(p, cri))
                return false;
        }
        run_box(p, cri);
        return false;
    }
    if (!p->ip_of || strcmp(p->ip_of, box->id) != 0) {
        if (!pod_must_wait(p, p->retry_at_ms)) {
            op = pod_op_new(p, box->id);
            op->call = cri_sandbox_status(cri, box->id, on_addresses, op);
        }
        return false;
    }
    if (p->n_boxes > 1 && !pod_must_wait(p, p->retry_at_ms) && pod_remove_boxes(p, cri, 1))
        return false;
    return true;
}

/* ---- containers ---- */

static bool in_box(struct pod *p, const struct pod_run *r)
{
    struct pod_box *box = pod_box(p);

    return box && r->id && strcmp(r->sandbox_id, box->id) == 0;
}

static bool alive(const struct pod_run *r)
{
    return r->id && (r->state == CRI_RUNNING || r->state == CRI_CREATED);
}

/* A run that is over: does the policy want another? is_init: those that ended well are done. */
static bool wants_again(const struct pod *p, const struct pod_run *r, bool is_init)
{
    if (is_init)
        return r->exit_code != 0 && p->spec->restart != SPEC_NEVER;
    return p->spec->restart == SPEC_ALWAYS ||
           (p->spec->restart == SPEC_ON_FAILURE && r->exit_code != 0);
}

static bool in_crash_pause(struct pod *p, size_t i)
{
    struct pod_ctr *c = &p->ctrs[i];
    uint64_t now = uv_now(p->node->loop);
    int64_t since_ms = clock_wall_us() / 1000 - c->now.finished_unix_ms;

    if (c->crash_ms && now - c->crash_grew_ms > CRASH_RESET_MS)
        c->crash_ms = 0;
    since_ms = MAX(since_ms, (int64_t)0);
    if (!c->crash_ms || (uint64_t)since_ms >= c->crash_ms)
        return false;
    pod_wake_at(p, now + c->crash_ms - (uint64_t)since_ms);
    snprintf(c->waiting, sizeof c->waiting, "CrashLoopBackOff");
    snprintf(c->waiting_why, sizeof c->waiting_why,
             "back-off %llus restarting failed container=%s pod=%s_%s(%s)",
             (unsigned long long)c->crash_ms / 1000, p->spec->containers[i].name, p->name, p->ns,
             p->uid);
    if (!c->warned && p->object)
        recorder_note(p->node->recorder, p->object, p->spec->containers[i].name, "Warning",
                      "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)",
                      p->spec->containers[i].name, p->name, p->ns, p->uid);
    c->warned = true;
    return true;
}

static uint32_t next_attempt(const struct pod *p, size_t i)
{
    const struct pod_ctr *c = &p->ctrs[i];
    const char *list =
        i < p->spec->n_init ? "status.initContainerStatuses" : "status.containerStatuses";
    json_t *v = json_at(p->object, list), *s;
    size_t k;

    if (c->now.id)
        return c->now.attempt + 1;
    /* After a reboot the runtime may have nothing left of the runs that the API tells of. */
    json_array_foreach(
        v, k, s) if (strcmp(json_str_at(s, "name", ""), p->spec->containers[i].name) == 0 &&
                     json_str_at(s, "containerID",
                                 NULL)) return (uint32_t)json_i64_at(s, "restartCount", 0) +
        1;
    return 0;
}

/* true: it runs, or is over and stays so. false: it is being started, or has to wait. */
static bool has_container(struct pod *p, size_t i)
{
    struct pod_ctr *c = &p->ctrs[i];
    bool is_init = i < p->spec->n_init;
    uint64_t now = uv_now(p->node->loop);

    if (in_box(p, &c->now) && c->now.state == CRI_RUNNING)
        return !is_init;
    if (in_box(p, &c->now) && c->now.state == CRI_CREATED) {
        if (pod_must_wait(p, c->retry_at_ms))
            return false;
        pod_start_container(p, i, c->now.attempt);
        return false;
    }
    if (c->now.id && (in_box(p, &c->now) || !is_init)) {
        if (!wants_again(p, &c->now, is_init))
            return !is_init || c->now.exit_code == 0;
        if (in_crash_pause(p, i))
            return false;
    }
    if (pod_must_wait(p, c->retry_at_ms))
        return false;
    if (c->now.id && in_box(p, &c->now)) {
        c->crash_ms = c->crash_ms ? MIN(2 * c->crash_ms, (uint64_t)CRASH_MAX_MS) : CRASH_MIN_MS;
        c->crash_grew_ms = now;
        c->warned = false;
    }
    pod_start_container(p, i, next_attempt(p, i));
    return false;
}

static bool has_started_main(struct pod *p)
{
    for (size_t i = p->spec->n_init; i < p->n_ctrs; i++)
        if (in_box(p, &p->ctrs[i].now))
            return true;
    return false;
}

static void on_removed(void *arg, const struct err *e)
{
    struct pod_op *op = arg;

    if (e && e->code != ERR_CANCELED) /* it is found again at the next look */
        pod_fail(op->pod);
    pod_op_end(op, true);
}

static void step_containers(struct pod *p, struct cri *cri)
{
    if (!has_started_main(p))
        for (size_t i = 0; i < p->spec->n_init; i++)
            if (!has_container(p, i))
                return;
    for (size_t i = p->spec->n_init; i < p->n_ctrs; i++) {
        has_container(p, i);
        if (!list_empty(&p->ops))
            return; /* one at a time; those that wait do not hold up the others */
    }
    if (p->to_remove && !pod_must_wait(p, p->retry_at_ms)) {
        struct pod_op *op = pod_op_new(p, p->to_remove);

        op->call = cri_remove_container(cri, p->to_remove, on_removed, op);
        free(STEAL(p->to_remove));
    }
}

/* ---- the step ---- */

/* Nothing will ever run again: by what the API knows already, or by what the runtime shows. */
static bool is_over(struct pod *p)
{
    const char *phase = json_str_at(p->object, "status.phase", "");
    bool any_failed = false;

    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
        return true;
    if (!p->spec)
        return false;
    for (size_t i = 0; i < p->n_ctrs; i++) {
        const struct pod_run *r = &p->ctrs[i].now;
        bool is_init = i < p->spec->n_init;

        if (is_init && r->id && r->state == CRI_EXITED && r->detailed && r->exit_code &&
            p->spec->restart == SPEC_NEVER)
            any_failed = true;
        if (!is_init && !any_failed &&
            (!r->id || r->state != CRI_EXITED || !r->detailed || wants_again(p, r, false)))
            return false;
    }
    for (size_t i = 0; i < p->n_ctrs; i++)
        if (alive(&p->ctrs[i].now))
            return false;
    return true;
}

static void step_live(struct pod *p, struct cri *cri)
{
    if (!cri || !p->spec)
        return;
    if (pod_ask_details(p, cri))
        return;
    if (is_over(p)) {
        pod_step_over(p, cri);
        return;
    }
    if (!p->has_dirs) {
        if (!pod_must_wait(p, p->retry_at_ms))
            pod_disk_make(p);
        return;
    }
    if (has_box(p, cri))
        step_containers(p, cri);
}

void pod_step(struct pod *p)
{
    struct cri *cri = runtime_cri(p->node->runtime);

    if (p->closing || !list_empty(&p->ops) || p->work)
        return;
    if (p->look_after) {
        p->look_after = false;
        p->observed = false; /* what we saw is old: the next look steps */
        p->min_look = p->node->next_look;
        p->node->look(p->node->arg);
        return;
    }
    if (!p->observed)
        return;
    timer_stop(&p->timer);
    if (pod_is_ending(p)) {
        pod_step_ending(p, cri);
        return;
    }
    step_live(p, cri);
    pod_report(p);
}

/* ---- objects, lifetime, questions of others ---- */

static void read_spec(struct pod *p)
{
    struct err e;

    if (p->spec || !p->object || p->refusal.code)
        return; /* what runs is what was bound: the fields that may change do not concern us yet */
    if (spec_read(&p->spec, p->object, &e)) {
        p->refusal = e;
        log_warn("pod refused", kv("pod", p->name), kv("namespace", p->ns), kv("err", e.text));
        recorder_note(p->node->recorder, p->object, NULL, "Warning", "Failed", "Error: %s", e.text);
        return;
    }
    p->n_ctrs = p->spec->n_containers;
    p->ctrs = mem_calloc(p->n_ctrs, sizeof *p->ctrs);
    for (size_t i = 0; i < p->n_ctrs; i++)
        p->ctrs[i].image_backoff = (struct backoff)BACKOFF(10000, 300000);
}

void pod_new(struct pod **out, struct pod_node *node, const char *uid, const char *ns,
             const char *name, json_t *object)
{
    struct pod *p = mem_alloc(sizeof *p);
    int64_t us;

    p->node = node;
    p->uid = mem_strdup(uid);
    p->ns = mem_strdup(ns);
    p->name = mem_strdup(name);
    p->object = json_incref(object);
    p->orphaned = !object;
    p->backoff = (struct backoff)BACKOFF(SANDBOX_MIN_MS, SANDBOX_MAX_MS);
    p->status_backoff = (struct backoff)BACKOFF(1000, 60000);
    p->start_unix_s = clock_wall_s();
    if (object && time_parse(&us, str_of(json_str_at(object, "status.startTime", ""))))
        p->start_unix_s = us / 1000000;
    list_init(&p->ops);
    timer_init(&p->timer, node->loop);
    read_spec(p);
    *out = p;
}

void pod_set_object(struct pod *p, json_t *object)
{
    json_t *old = p->object;

    p->object = json_incref(object);
    json_decref(old);
    read_spec(p);
    pod_step(p);
}

void pod_orphan(struct pod *p)
{
    p->orphaned = true;
    pod_step(p);
}

void pod_retry_images(struct pod *p)
{
    for (size_t i = 0; i < p->n_ctrs; i++)
        if (p->ctrs[i].waits_for_image)
            p->ctrs[i].retry_at_ms = 0;
    pod_step(p);
}

const char *pod_uid(const struct pod *p)
{
    return p->uid;
}

json_t *pod_object(const struct pod *p)
{
    return p->object;
}

json_t *pod_status(const struct pod *p)
{
    return json_incref(p->status);
}

bool pod_is_settled(const struct pod *p)
{
    return list_empty(&p->ops) && !p->work && !pod_is_ending(p);
}

const char *pod_sandbox_id(const struct pod *p)
{
    return p->n_boxes && p->boxes[0].ready ? p->boxes[0].id : "";
}

static const char *or_empty(const char *t)
{
    return t ? t : "";
}

bool pod_container(const struct pod *p, const char *name, struct pods_container *out)
{
    for (size_t i = 0; i < p->n_ctrs; i++) {
        const struct pod_ctr *c = &p->ctrs[i];

        if (strcmp(p->spec->containers[i].name, name) != 0)
            continue;
        *out = (struct pods_container){ .pod_uid = p->uid,
                                        .name = p->spec->containers[i].name,
                                        .container_id = or_empty(c->now.id),
                                        .log_path = or_empty(c->now.log_path),
                                        .running = c->now.id && c->now.state == CRI_RUNNING,
                                        .tty = p->spec->containers[i].tty,
                                        .stdin_open = p->spec->containers[i].stdin_open,
                                        .previous_id = or_empty(c->last.id),
                                        .previous_log_path = or_empty(c->last.log_path) };
        return true;
    }
    return false;
}

static void on_timer_closed(void *arg)
{
    struct pod *p = arg;
    void (*done)(void *) = p->done;
    void *done_arg = p->done_arg;

    ctrs_free(p);
    pod_boxes_clear(p);
    spec_free(p->spec);
    json_decref(p->object);
    json_decref(p->status);
    json_decref(p->written);
    for (size_t i = 0; i < p->n_ips; i++)
        free(p->ips[i]);
    free(p->ip_of);
    free(p->to_remove);
    free(p->uid);
    free(p->ns);
    free(p->name);
    free(p);
    if (done)
        done(done_arg);
}

void pod_maybe_gone(struct pod *p)
{
    if (p->closing && list_empty(&p->ops) && !p->work && !p->status_call && !p->delete_call)
        timer_close(&p->timer, on_timer_closed, p);
}

void pod_close(struct pod *p, void (*done)(void *arg), void *arg)
{
    p->closing = true;
    p->done = done;
    p->done_arg = arg;
    timer_stop(&p->timer);
    list_each (op, &p->ops, struct pod_op, link)
        cri_cancel(op->call);
    if (p->work)
        work_cancel(p->work);
    if (p->status_call)
        kube_call_cancel(p->status_call);
    if (p->delete_call)
        kube_call_cancel(p->delete_call);
    pod_maybe_gone(p);
}
