/* What the runtime shows of a pod: its sandboxes, and for each container of the spec the run that
 * is and the one before. */
#include "agent/pod/pod_int.h"
#include "base/core/clock.h"
#include "base/core/mem.h"

/* ---- runs ---- */

void pod_run_clear(struct pod_run *r)
{
    free(r->id);
    free(r->sandbox_id);
    free(r->reason);
    free(r->message);
    free(r->image_id);
    free(r->log_path);
    *r = (struct pod_run){ 0 };
}

void pod_boxes_clear(struct pod *p)
{
    for (size_t i = 0; i < p->n_boxes; i++)
        free(p->boxes[i].id);
    p->n_boxes = 0;
}

/* ---- what the runtime shows ---- */

static void observe_boxes(struct pod *p, const struct cri_sandbox *v, size_t n)
{
    pod_boxes_clear(p);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;

        if (strcmp(v[i].uid, p->uid) != 0 || p->n_boxes == POD_SANDBOXES_MAX)
            continue;
        while (at < p->n_boxes && p->boxes[at].created_at_ns > v[i].created_at_ns)
            at++;
        memmove(&p->boxes[at + 1], &p->boxes[at], (p->n_boxes - at) * sizeof p->boxes[0]);
        p->boxes[at] = (struct pod_box){ .id = mem_strdup(v[i].id),
                                         .attempt = v[i].attempt,
                                         .ready = v[i].ready,
                                         .created_at_ns = v[i].created_at_ns };
        p->n_boxes++;
    }
}

/* A run newer than the one we know moves that one to last. */
static void observe_run(struct pod *p, struct pod_ctr *c, const struct cri_container *k)
{
    if (c->now.id && strcmp(c->now.id, k->id) == 0) {
        if (c->now.state != k->state)
            c->now.detailed = false;
        c->now.state = k->state;
        return;
    }
    if (c->now.id && k->attempt <= c->now.attempt) {
        if (!c->last.id || k->attempt > c->last.attempt) {
            pod_run_clear(&c->last);
        } else if (strcmp(c->last.id, k->id) != 0) { /* two runs old */
            if (!p->to_remove)
                p->to_remove = mem_strdup(k->id);
            return;
        } else {
            return;
        }
        c->last = (struct pod_run){ .id = mem_strdup(k->id),
                                    .sandbox_id = mem_strdup(k->sandbox_id),
                                    .attempt = k->attempt,
                                    .state = k->state,
                                    .image_id = mem_strdup(k->image_id) };
        return;
    }
    pod_run_clear(&c->last);
    c->last = c->now;
    c->now = (struct pod_run){ .id = mem_strdup(k->id),
                               .sandbox_id = mem_strdup(k->sandbox_id),
                               .attempt = k->attempt,
                               .state = k->state,
                               .image_id = mem_strdup(k->image_id) };
    c->waiting[0] = c->waiting_why[0] = '\0';
    c->waits_for_image = c->warned = false;
    backoff_reset(&c->image_backoff);
}

/* A run that we knew as alive and that the runtime has no more was removed behind our back. */
static void observe_lost(struct pod_ctr *c, const struct cri_container *v, size_t n)
{
    if (!c->now.id || c->now.state == CRI_EXITED)
        return;
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].id, c->now.id) == 0)
            return;
    c->now.state = CRI_EXITED;
    c->now.detailed = true;
    c->now.exit_code = 137;
    c->now.finished_unix_s = clock_wall_s();
    c->now.finished_unix_ms = c->now.finished_unix_s * 1000;
    free(c->now.reason);
    free(c->now.message);
    c->now.reason = mem_strdup("ContainerStatusUnknown");
    c->now.message = mem_strdup("The container could not be located when the pod was looked at");
}

void pod_observe(struct pod *p, uint64_t look, const struct cri_sandbox *sandboxes,
                 size_t n_sandboxes, const struct cri_container *containers, size_t n_containers)
{
    if (p->closing || look < p->min_look)
        return;
    if (!list_empty(&p->ops) || p->work) { /* half old, half new: ask again afterwards */
        p->look_after = true;
        return;
    }
    p->observed = true;
    p->n_observed_containers = 0;
    observe_boxes(p, sandboxes, n_sandboxes);
    for (size_t i = 0; i < n_containers; i++) {
        const struct cri_container *k = &containers[i];

        if (strcmp(cri_pair_get(k->labels, k->n_labels, LABEL_POD_UID), p->uid) != 0)
            continue;
        p->n_observed_containers++;
        for (size_t j = 0; p->spec && j < p->n_ctrs; j++)
            if (strcmp(p->spec->containers[j].name, k->name) == 0)
                observe_run(p, &p->ctrs[j], k);
    }
    for (size_t j = 0; j < p->n_ctrs; j++)
        observe_lost(&p->ctrs[j], containers, n_containers);
    pod_step(p);
}

/* ---- details of runs ---- */

static void keep(char **to, const char *text)
{
    free(*to);
    *to = mem_strdup(text);
}

static void on_details(void *arg, const struct cri_container *v, size_t n, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;

    for (size_t i = 0; n && i < 2 * p->n_ctrs; i++) {
        struct pod_run *r = i % 2 ? &p->ctrs[i / 2].last : &p->ctrs[i / 2].now;

        if (!r->id || strcmp(r->id, v->id) != 0)
            continue;
        r->state = v->state;
        r->detailed = true;
        r->started_unix_s = v->started_at_ns / 1000000000;
        r->finished_unix_s = v->finished_at_ns / 1000000000;
        r->finished_unix_ms = v->finished_at_ns / 1000000;
        r->exit_code = v->exit_code;
        keep(&r->reason, v->reason);
        keep(&r->message, v->message);
        keep(&r->image_id, v->image_id);
        keep(&r->log_path, v->log_path);
    }
    if (e && e->code == ERR_NOT_FOUND) /* removed meanwhile: what we know of it has to do */
        for (size_t i = 0; i < 2 * p->n_ctrs; i++) {
            struct pod_run *r = i % 2 ? &p->ctrs[i / 2].last : &p->ctrs[i / 2].now;

            if (r->id && strcmp(r->id, op->id) == 0)
                r->detailed = true;
        }
    p->details_failed = e && e->code != ERR_NOT_FOUND && e->code != ERR_CANCELED;
    if (p->details_failed)
        pod_fail(p);
    pod_op_end(op, e != NULL);
}

/* true: something is being asked. */
bool pod_ask_details(struct pod *p, struct cri *cri)
{
    if (p->retry_at_ms > uv_now(p->node->loop) && p->details_failed) {
        pod_wake_at(p, p->retry_at_ms);
        return true;
    }
    for (size_t i = 0; i < 2 * p->n_ctrs; i++) {
        struct pod_run *r = i % 2 ? &p->ctrs[i / 2].last : &p->ctrs[i / 2].now;

        if (r->id && !r->detailed) {
            struct pod_op *op = pod_op_new(p, r->id);

            op->call = cri_container_status(cri, r->id, on_details, op);
        }
    }
    return !list_empty(&p->ops);
}
