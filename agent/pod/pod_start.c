/*
 * The start of one container, a chain of calls that one operation spans:
 *
 *   ImageStatus --(not there, or Always)--> PullImage --+
 *        |                                              v
 *        +--------------------------------> CreateContainer --> StartContainer
 *
 * A container that exists but was never started (we went away between) begins at the last. A
 * failure leaves the container waiting, with kubelet's reason, until its backoff is over.
 */
#include "agent/pod/pod_int.h"
#include "base/core/log.h"
#include "base/core/mem.h"

#include <stdio.h>

#define IMPORT_WAIT_MS                                                                             \
    2000 /* an archive may have it: the importer tells, this is the safety net                     \
          */
#define CREATE_WAIT_MS 10000

static void note(struct pod_op *op, const char *type, const char *reason, const char *text)
{
    struct pod *p = op->pod;

    recorder_note(p->node->recorder, p->object, p->spec->containers[op->index].name, type, reason,
                  "%s", text);
}

static void wait(struct pod_op *op, const char *reason, const char *why, uint64_t ms)
{
    struct pod_ctr *c = &op->pod->ctrs[op->index];

    snprintf(c->waiting, sizeof c->waiting, "%s", reason);
    snprintf(c->waiting_why, sizeof c->waiting_why, "%s", why);
    c->retry_at_ms = uv_now(op->pod->node->loop) + ms;
}

/* ---- start ---- */

static void on_started(void *arg, const struct err *e)
{
    struct pod_op *op = arg;
    auto_free char *text = NULL;

    op->call = NULL;
    if (!e) {
        text = mem_printf("Started container %s", op->pod->spec->containers[op->index].name);
        note(op, "Normal", "Started", text);
    } else if (e->code != ERR_CANCELED) {
        text = mem_printf("Error: %s", e->text);
        note(op, "Warning", "Failed", text);
        log_warn("container not started", kv("pod", op->pod->name), kv("err", e->text));
        wait(op, "RunContainerError", e->text, CREATE_WAIT_MS);
    }
    pod_op_end(op, true);
}

static void start(struct pod_op *op, struct cri *cri)
{
    op->call = cri_start_container(cri, op->id, on_started, op);
}

/* ---- create ---- */

static void on_created(void *arg, const char *id, const struct err *e)
{
    struct pod_op *op = arg;
    struct cri *cri = runtime_cri(op->pod->node->runtime);
    auto_free char *text = NULL;

    op->call = NULL;
    if (e && e->code != ERR_CANCELED) {
        text = mem_printf("Error: %s", e->text);
        note(op, "Warning", "Failed", text);
        log_warn("container not created", kv("pod", op->pod->name), kv("err", e->text));
        wait(op, "CreateContainerError", e->text, CREATE_WAIT_MS);
    }
    if (e || !cri || op->pod->closing) {
        pod_op_end(op, true);
        return;
    }
    text = mem_printf("Created container %s", op->pod->spec->containers[op->index].name);
    note(op, "Normal", "Created", text);
    free(op->id);
    op->id = mem_strdup(id);
    start(op, cri);
}

static void create(struct pod_op *op, const char *image, const struct cri_image *info)
{
    struct pod *p = op->pod;
    const struct spec_container *c = &p->spec->containers[op->index];
    struct cri *cri = runtime_cri(p->node->runtime);
    auto_free char *log_dir = pod_log_dir(p), *volume_dir = pod_volume_dir(p);
    struct arena a = ARENA(SPEC_MAX_BYTES);
    struct cri_container_config k;
    struct cri_sandbox_config s;
    struct translate_facts f;
    struct err e = { 0 };

    if (!cri || !pod_box(p) || p->closing) {
        pod_op_end(op, true);
        return;
    }
    pod_facts(p, &f, &a);
    f.log_dir = log_dir;
    f.volume_dir = volume_dir;
    if (c->non_root && !c->has_user && info && info->uid == 0)
        err_set(&e, ERR_INVALID,
                "container has runAsNonRoot and image will run as root (container: %s)", c->name);
    else if (c->non_root && !c->has_user && info && info->uid < 0 && *info->username)
        err_set(&e, ERR_INVALID,
                "container has runAsNonRoot and image has non-numeric user (%s), cannot verify "
                "user is non-root (container: %s)",
                info->username, c->name);
    else if (c->non_root && !c->has_user && (!info || (info->uid < 0 && !*info->username)))
        err_set(&e, ERR_INVALID,
                "container has runAsNonRoot and image will run as root (container: %s)", c->name);
    if (!e.code && !translate_sandbox(&s, p->spec, &f, p->boxes[0].attempt, &a, &e) &&
        !translate_container(&k, p->spec, op->index, &f, op->attempt, image, &a, &e)) {
        op->call = cri_create_container(cri, p->boxes[0].id, &k, &s, on_created, op);
    } else {
        auto_free char *text = mem_printf("Error: %s", e.text);

        note(op, "Warning", "Failed", text);
        wait(op, "CreateContainerConfigError", e.text, CREATE_WAIT_MS);
        pod_op_end(op, false);
    }
    arena_deinit(&a);
}

/* ---- image ---- */

static void on_there(void *arg, const struct cri_image *v, size_t n, const struct err *e);

static void on_pulled(void *arg, const char *ref, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;
    struct pod_ctr *c = &p->ctrs[op->index];
    const char *image = p->spec->containers[op->index].image;
    struct cri *cri = runtime_cri(p->node->runtime);
    auto_free char *text = NULL;

    (void)ref;
    op->call = NULL;
    if (e && e->code != ERR_CANCELED) {
        text = mem_printf("Failed to pull image \"%s\": %s", image, e->text);
        note(op, "Warning", "Failed", text);
        wait(op, "ErrImagePull", e->text, backoff_next_ms(&c->image_backoff));
        c->waits_for_image = true;
    }
    if (e || !cri || p->closing) {
        pod_op_end(op, false);
        return;
    }
    text = mem_printf("Successfully pulled image \"%s\"", image);
    note(op, "Normal", "Pulled", text);
    op->call = cri_image_status(cri, image, on_there, op);
}

static void pull(struct pod_op *op, struct cri *cri)
{
    const char *image = op->pod->spec->containers[op->index].image;
    auto_free char *text = mem_printf("Pulling image \"%s\"", image);

    note(op, "Normal", "Pulling", text);
    op->call = cri_pull_image(cri, image, NULL, on_pulled, op);
}

/* After a pull: the image must be there. */
static void on_there(void *arg, const struct cri_image *v, size_t n, const struct err *e)
{
    struct pod_op *op = arg;

    op->call = NULL;
    if (n) {
        create(op, v->id, v);
        return;
    }
    if (!e || e->code != ERR_CANCELED)
        wait(op, "ErrImagePull", e ? e->text : "the image vanished after the pull", CREATE_WAIT_MS);
    pod_op_end(op, false);
}

static void on_image(void *arg, const struct cri_image *v, size_t n, const struct err *e)
{
    struct pod_op *op = arg;
    struct pod *p = op->pod;
    struct pod_ctr *c = &p->ctrs[op->index];
    const struct spec_container *spec = &p->spec->containers[op->index];
    struct cri *cri = runtime_cri(p->node->runtime);
    auto_free char *text = NULL;

    op->call = NULL;
    if (e || !cri || p->closing) {
        if (e && e->code != ERR_CANCELED)
            wait(op, "ImageInspectError", e->text, CREATE_WAIT_MS);
        pod_op_end(op, false);
        return;
    }
    if (n && spec->pull != SPEC_PULL_ALWAYS) {
        text = mem_printf("Container image \"%s\" already present on machine", spec->image);
        note(op, "Normal", "Pulled", text);
        create(op, v->id, v);
        return;
    }
    if (!n && runtime_is_importing(p->node->runtime)) {
        wait(op, "ContainerCreating", "images are being imported", IMPORT_WAIT_MS);
        c->waits_for_image = true;
        pod_op_end(op, false);
        return;
    }
    if (spec->pull != SPEC_PULL_NEVER) {
        pull(op, cri);
        return;
    }
    text =
        mem_printf("Container image \"%s\" is not present with pull policy of Never", spec->image);
    note(op, "Warning", "ErrImageNeverPull", text);
    wait(op, "ErrImageNeverPull", text, CREATE_WAIT_MS);
    c->waits_for_image = true;
    pod_op_end(op, false);
}

void pod_start_container(struct pod *p, size_t index, uint32_t attempt)
{
    struct cri *cri = runtime_cri(p->node->runtime);
    struct pod_run *now = &p->ctrs[index].now;
    bool created = now->id && now->state == CRI_CREATED;
    struct pod_op *op = pod_op_new(p, created ? now->id : NULL);

    op->index = index;
    op->attempt = attempt;
    p->ctrs[index].waits_for_image = false;
    if (created)
        start(op, cri);
    else
        op->call = cri_image_status(cri, p->spec->containers[index].image, on_image, op);
}
