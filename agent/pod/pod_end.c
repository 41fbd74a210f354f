/* The end of a pod that was deleted, and of one that ran to its end (the picture is in pod.c). */
#include "agent/pod/pod_int.h"
#include "base/core/log.h"
#include "base/data/json.h"

#define ORPHAN_GRACE_S 2 /* of a pod whose object vanished without saying how long */

/* ---- the end: of a deleted pod, and of one that ran to its end ---- */

static void on_stopped(void *arg, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;

    if (e && e->code != ERR_CANCELED && e->code != ERR_NOT_FOUND) {
        log_warn("pod cannot be stopped yet, will retry", kv("pod", p->name), kv("err", e->text));
        pod_fail(p);
    }
    pod_op_end(op, true);
}

static int64_t grace_of(const struct pod *p)
{
    int64_t g = p->object ? json_i64_at(p->object, "metadata.deletionGracePeriodSeconds", -1) : -1;

    if (g < 0 && p->orphaned)
        g = ORPHAN_GRACE_S;
    else if (g < 0)
        g = p->spec ? p->spec->grace_s : 30;
    return MAX(g, (int64_t)1); /* kubelet's least */
}

bool pod_stop_containers(struct pod *p, struct cri *cri)
{
    for (size_t i = 0; i < p->n_ctrs; i++) {
        struct pod_run *r = &p->ctrs[i].now;
        struct pod_op *op;

        if (!r->id || r->state != CRI_RUNNING)
            continue;
        if (p->object)
            recorder_note(p->node->recorder, p->object, p->spec->containers[i].name, "Normal",
                          "Killing", "Stopping container %s", p->spec->containers[i].name);
        op = pod_op_new(p, r->id);
        op->call = cri_stop_container(cri, r->id, grace_of(p), on_stopped, op);
    }
    return !list_empty(&p->ops);
}

static void on_box_stopped(void *arg, const struct err *e)
{
    struct pod_op *op = arg;

    if (!e || e->code == ERR_NOT_FOUND)
        op->pod->stopped_boxes = true;
    on_stopped(arg, e);
}

bool pod_stop_boxes(struct pod *p, struct cri *cri)
{
    if (p->stopped_boxes)
        return false;
    for (size_t i = 0; i < p->n_boxes; i++) {
        struct pod_op *op = pod_op_new(p, p->boxes[i].id);

        op->call = cri_stop_sandbox(cri, p->boxes[i].id, on_box_stopped, op);
    }
    return !list_empty(&p->ops);
}

bool pod_remove_boxes(struct pod *p, struct cri *cri, size_t from)
{
    for (size_t i = from; i < p->n_boxes; i++) {
        struct pod_op *op = pod_op_new(p, p->boxes[i].id);

        op->call = cri_remove_sandbox(cri, p->boxes[i].id, on_stopped, op);
    }
    return !list_empty(&p->ops);
}

void pod_step_ending(struct pod *p, struct cri *cri)
{
    if (p->n_boxes || p->n_observed_containers) {
        if (!cri || pod_must_wait(p, p->retry_at_ms) || pod_ask_details(p, cri) ||
            pod_stop_containers(p, cri))
            return;
        pod_report(p); /* the exit codes, before they are gone */
        if (pod_stop_boxes(p, cri) || pod_remove_boxes(p, cri, 0))
            return;
        /* Containers without a sandbox: the runtime removes them with what it still knows. */
        pod_fail(p);
        pod_wake_at(p, p->retry_at_ms);
        p->look_after = true;
        return;
    }
    if (!p->dirs_gone) {
        if (!pod_must_wait(p, p->retry_at_ms))
            pod_disk_remove(p);
        return;
    }
    if (!p->orphaned) {
        pod_report(p);
        if (!p->deleted && pod_report_is_clean(p) && !pod_must_wait(p, p->retry_at_ms))
            pod_delete(p);
        return; /* the watch tells when the object is gone */
    }
    if (!p->status_call && !p->delete_call)
        p->node->gone(p->node->arg, p); /* last: p is closed now */
}

void pod_step_over(struct pod *p, struct cri *cri)
{
    if (cri && !pod_must_wait(p, p->retry_at_ms) && p->n_boxes && p->boxes[0].ready)
        pod_stop_boxes(p, cri);
}
