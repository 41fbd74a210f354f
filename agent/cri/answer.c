#include "agent/cri/answer.h"

#include "agent/cri/cri.pb-c.h"
#include "base/data/protobuf.h"

#include <stdio.h>
#include <string.h>

static void *unpack(struct answer *a, const ProtobufCMessageDescriptor *d, struct str bytes,
                    struct err *e)
{
    return protobuf_unpack(&a->arena, d, bytes, e);
}

static void *list_of(struct answer *a, size_t n, size_t size, struct err *e)
{
    void *p = arena_calloc(&a->arena, n, size);

    if (!p)
        err_set(e, ERR_LIMIT, "the answer needs more than %u bytes", ANSWER_MAX_BYTES);
    return p;
}

static const char *text(const char *s)
{
    return s ? s : "";
}

/* map<string, string> is a list of entries with key and value; each map has a type of its own. */
#define PAIRS(a, out, n_out, entries, n_entries, e)                                                \
    do {                                                                                           \
        struct cri_pair *pairs_ = list_of(a, n_entries, sizeof *pairs_, e);                        \
        if (!pairs_)                                                                               \
            return (e)->code;                                                                      \
        for (size_t i_ = 0; i_ < (n_entries); i_++)                                                \
            pairs_[i_] =                                                                           \
                (struct cri_pair){ text((entries)[i_]->key), text((entries)[i_]->value) };         \
        (out) = pairs_;                                                                            \
        (n_out) = (n_entries);                                                                     \
    } while (0)

/* ---- one reader per kind ---- */

static int read_version(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__VersionResponse *m =
        unpack(a, &runtime__v1__version_response__descriptor, bytes, e);

    if (!m)
        return e->code;
    a->version = (struct cri_version){ text(m->runtime_name), text(m->runtime_version),
                                       text(m->runtime_api_version) };
    return 0;
}

static const char *why(struct answer *a, const Runtime__V1__RuntimeCondition *c)
{
    const char *reason = text(c->reason), *message = text(c->message);
    size_t n = strlen(reason) + strlen(message) + 3;
    char *p = arena_calloc(&a->arena, 1, n);

    if (!p)
        return message;
    snprintf(p, n, "%s%s%s", reason, *reason && *message ? ": " : "", message);
    return p;
}

static int read_status(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__StatusResponse *m = unpack(a, &runtime__v1__status_response__descriptor, bytes, e);

    if (!m)
        return e->code;
    a->status.runtime_why = a->status.network_why = "not reported";
    for (size_t i = 0; m->status && i < m->status->n_conditions; i++) {
        const Runtime__V1__RuntimeCondition *c = m->status->conditions[i];

        if (strcmp(text(c->type), "RuntimeReady") == 0) {
            a->status.runtime_ready = c->status;
            a->status.runtime_why = why(a, c);
        } else if (strcmp(text(c->type), "NetworkReady") == 0) {
            a->status.network_ready = c->status;
            a->status.network_why = why(a, c);
        }
    }
    return 0;
}

#define READ_TEXT(type_descriptor, Type, field)                                                    \
    do {                                                                                           \
        Type *m_ = unpack(a, &type_descriptor, bytes, e);                                          \
        if (!m_)                                                                                   \
            return e->code;                                                                        \
        if (!*text(m_->field))                                                                     \
            return err_set(e, ERR_PROTOCOL, "the answer has no " #field);                          \
        a->text = m_->field;                                                                       \
        return 0;                                                                                  \
    } while (0)

static int read_text(struct answer *a, enum answer_kind kind, struct str bytes, struct err *e)
{
    switch (kind) {
    case ANSWER_SANDBOX_ID:
        READ_TEXT(runtime__v1__run_pod_sandbox_response__descriptor,
                  Runtime__V1__RunPodSandboxResponse, pod_sandbox_id);
    case ANSWER_CONTAINER_ID:
        READ_TEXT(runtime__v1__create_container_response__descriptor,
                  Runtime__V1__CreateContainerResponse, container_id);
    case ANSWER_IMAGE_REF:
        READ_TEXT(runtime__v1__pull_image_response__descriptor, Runtime__V1__PullImageResponse,
                  image_ref);
    default:
        READ_TEXT(runtime__v1__url_response__descriptor, Runtime__V1__UrlResponse, url);
    }
}

static void sandbox_metadata(struct cri_sandbox *s, const Runtime__V1__PodSandboxMetadata *m)
{
    s->name = m ? text(m->name) : "";
    s->uid = m ? text(m->uid) : "";
    s->namespace = m ? text(m->namespace_) : "";
    s->attempt = m ? m->attempt : 0;
}

static int read_sandboxes(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ListPodSandboxResponse *m =
        unpack(a, &runtime__v1__list_pod_sandbox_response__descriptor, bytes, e);
    struct cri_sandbox *v;

    if (!m || !(v = list_of(a, m->n_items, sizeof *v, e)))
        return e->code;
    for (size_t i = 0; i < m->n_items; i++) {
        const Runtime__V1__PodSandbox *p = m->items[i];

        v[i].id = text(p->id);
        sandbox_metadata(&v[i], p->metadata);
        v[i].ready = p->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY;
        v[i].created_at_ns = p->created_at;
        PAIRS(a, v[i].labels, v[i].n_labels, p->labels, p->n_labels, e);
        PAIRS(a, v[i].annotations, v[i].n_annotations, p->annotations, p->n_annotations, e);
    }
    a->sandboxes = v;
    a->n = m->n_items;
    return 0;
}

static int read_ips(struct answer *a, struct cri_sandbox *v,
                    const Runtime__V1__PodSandboxNetworkStatus *n, struct err *e)
{
    const char **ips;

    if (!n || !*text(n->ip))
        return 0;
    ips = list_of(a, 1 + n->n_additional_ips, sizeof *ips, e);
    if (!ips)
        return e->code;
    ips[v->n_ips++] = n->ip;
    for (size_t i = 0; i < n->n_additional_ips; i++)
        ips[v->n_ips++] = text(n->additional_ips[i]->ip);
    v->ips = ips;
    return 0;
}

static int read_sandbox_status(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__PodSandboxStatusResponse *m =
        unpack(a, &runtime__v1__pod_sandbox_status_response__descriptor, bytes, e);
    const Runtime__V1__PodSandboxStatus *p;
    struct cri_sandbox *v;

    if (!m)
        return e->code;
    p = m->status;
    if (!p)
        return err_set(e, ERR_PROTOCOL, "the answer has no status");
    v = list_of(a, 1, sizeof *v, e);
    if (!v)
        return e->code;
    v->id = text(p->id);
    sandbox_metadata(v, p->metadata);
    v->ready = p->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY;
    v->created_at_ns = p->created_at;
    PAIRS(a, v->labels, v->n_labels, p->labels, p->n_labels, e);
    PAIRS(a, v->annotations, v->n_annotations, p->annotations, p->n_annotations, e);
    if (read_ips(a, v, p->network, e))
        return e->code;
    a->sandboxes = v;
    a->n = 1;
    return 0;
}

static enum cri_state state_of(Runtime__V1__ContainerState s)
{
    switch (s) {
    case RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED:
        return CRI_CREATED;
    case RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING:
        return CRI_RUNNING;
    case RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED:
        return CRI_EXITED;
    default:
        return CRI_UNKNOWN; /* numbers that we do not know too */
    }
}

static void container_texts(struct cri_container *v, const Runtime__V1__ContainerMetadata *m,
                            const Runtime__V1__ImageSpec *image)
{
    v->name = m ? text(m->name) : "";
    v->attempt = m ? m->attempt : 0;
    v->image = image ? text(image->image) : "";
    v->sandbox_id = v->reason = v->message = v->log_path = "";
}

static int read_containers(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ListContainersResponse *m =
        unpack(a, &runtime__v1__list_containers_response__descriptor, bytes, e);
    struct cri_container *v;

    if (!m || !(v = list_of(a, m->n_containers, sizeof *v, e)))
        return e->code;
    for (size_t i = 0; i < m->n_containers; i++) {
        const Runtime__V1__Container *p = m->containers[i];

        container_texts(&v[i], p->metadata, p->image);
        v[i].id = text(p->id);
        v[i].sandbox_id = text(p->pod_sandbox_id);
        v[i].state = state_of(p->state);
        v[i].image_id = text(p->image_ref);
        v[i].created_at_ns = p->created_at;
        PAIRS(a, v[i].labels, v[i].n_labels, p->labels, p->n_labels, e);
        PAIRS(a, v[i].annotations, v[i].n_annotations, p->annotations, p->n_annotations, e);
    }
    a->containers = v;
    a->n = m->n_containers;
    return 0;
}

static int read_container_status(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ContainerStatusResponse *m =
        unpack(a, &runtime__v1__container_status_response__descriptor, bytes, e);
    const Runtime__V1__ContainerStatus *p;
    struct cri_container *v;

    if (!m)
        return e->code;
    p = m->status;
    if (!p)
        return err_set(e, ERR_PROTOCOL, "the answer has no status");
    v = list_of(a, 1, sizeof *v, e);
    if (!v)
        return e->code;
    container_texts(v, p->metadata, p->image);
    v->id = text(p->id);
    v->state = state_of(p->state);
    v->image_id = text(p->image_ref);
    v->created_at_ns = p->created_at;
    v->started_at_ns = p->started_at;
    v->finished_at_ns = p->finished_at;
    v->exit_code = p->exit_code;
    v->reason = text(p->reason);
    v->message = text(p->message);
    v->log_path = text(p->log_path);
    PAIRS(a, v->labels, v->n_labels, p->labels, p->n_labels, e);
    PAIRS(a, v->annotations, v->n_annotations, p->annotations, p->n_annotations, e);
    a->containers = v;
    a->n = 1;
    return 0;
}

static void image(struct cri_image *v, const Runtime__V1__Image *p)
{
    v->id = text(p->id);
    v->tags = (const char *const *)p->repo_tags;
    v->n_tags = p->n_repo_tags;
    v->digests = (const char *const *)p->repo_digests;
    v->n_digests = p->n_repo_digests;
    v->size_bytes = p->size;
    v->uid = p->uid ? p->uid->value : -1;
    v->username = text(p->username);
}

static int read_images(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ListImagesResponse *m =
        unpack(a, &runtime__v1__list_images_response__descriptor, bytes, e);
    struct cri_image *v;

    if (!m || !(v = list_of(a, m->n_images, sizeof *v, e)))
        return e->code;
    for (size_t i = 0; i < m->n_images; i++)
        image(&v[i], m->images[i]);
    a->images = v;
    a->n = m->n_images;
    return 0;
}

static int read_image_status(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ImageStatusResponse *m =
        unpack(a, &runtime__v1__image_status_response__descriptor, bytes, e);
    struct cri_image *v;

    if (!m || !(v = list_of(a, 1, sizeof *v, e)))
        return e->code;
    if (m->image)
        image(v, m->image);
    a->images = v;
    a->n = m->image ? 1 : 0;
    return 0;
}

static int read_exec(struct answer *a, struct str bytes, struct err *e)
{
    Runtime__V1__ExecSyncResponse *m =
        unpack(a, &runtime__v1__exec_sync_response__descriptor, bytes, e);

    if (!m)
        return e->code;
    a->exec.out = str_n(m->stdout_.data, m->stdout_.len);
    a->exec.err = str_n(m->stderr_.data, m->stderr_.len);
    a->exec.exit_code = m->exit_code;
    return 0;
}

static int read_kind(struct answer *a, enum answer_kind kind, struct str bytes, struct err *e)
{
    switch (kind) {
    case ANSWER_VERSION:
        return read_version(a, bytes, e);
    case ANSWER_STATUS:
        return read_status(a, bytes, e);
    case ANSWER_SANDBOX_ID:
    case ANSWER_CONTAINER_ID:
    case ANSWER_IMAGE_REF:
    case ANSWER_URL:
        return read_text(a, kind, bytes, e);
    case ANSWER_SANDBOXES:
        return read_sandboxes(a, bytes, e);
    case ANSWER_SANDBOX_STATUS:
        return read_sandbox_status(a, bytes, e);
    case ANSWER_CONTAINERS:
        return read_containers(a, bytes, e);
    case ANSWER_CONTAINER_STATUS:
        return read_container_status(a, bytes, e);
    case ANSWER_IMAGES:
        return read_images(a, bytes, e);
    case ANSWER_IMAGE_STATUS:
        return read_image_status(a, bytes, e);
    case ANSWER_EXEC:
        return read_exec(a, bytes, e);
    case ANSWER_NONE:
    case ANSWER_KINDS_N:
        break;
    }
    return 0;
}

int answer_read(struct answer *a, enum answer_kind kind, struct str bytes, struct err *e)
{
    struct answer r = { .arena = ARENA(ANSWER_MAX_BYTES) };

    if (read_kind(&r, kind, bytes, e)) {
        arena_deinit(&r.arena);
        return e->code;
    }
    *a = r;
    return 0;
}

void answer_deinit(struct answer *a)
{
    arena_deinit(&a->arena);
}
