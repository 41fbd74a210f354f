/*
 * One gRPC call per function: the request is packed, the answer read into the structs of cri.h.
 * A connection that broke is dialed again by the next call (base/http/client.h).
 */
#include "agent/cri/cri.h"

#include "agent/cri/answer.h"
#include "agent/cri/request.h"
#include "base/core/mem.h"
#include "base/http/grpc.h"
#include "base/io/unix.h"

#include <assert.h>
#include <stdio.h>

#define REQUEST_MAX_BYTES GRPC_MESSAGE_MAX_BYTES

/* Deadlines. kubelet's runtimeRequestTimeout is 2 min and covers most; what pulls images or waits
 * for processes gets its own. A status that takes longer than ten seconds is none. */
#define STATUS_MS  (10 * 1000)
#define CALL_MS    (2 * 60 * 1000)
#define SANDBOX_MS (4 * 60 * 1000) /* kubelet: twice; the pause image may have to come */
#define PULL_MS    (10 * 60 * 1000)

#define RUNTIME(method) "/runtime.v1.RuntimeService/" method
#define IMAGE(method)   "/runtime.v1.ImageService/" method

struct cri {
    uv_loop_t *loop;
    char *path;
    struct http_endpoint *endpoint;
    void (*done)(void *arg);
    void *done_arg;
};

struct cri_call {
    struct grpc_call *grpc;
    const char *method; /* "/package.Service/Method" */
    char object[96];    /* what it is about, for errors; "" */
    enum answer_kind kind;
    union {
        cri_done_fn done;
        cri_text_fn text;
        cri_version_fn version;
        cri_status_fn status;
        cri_sandboxes_fn sandboxes;
        cri_containers_fn containers;
        cri_images_fn images;
        cri_exec_fn exec;
    } fn;
    void *arg;
};

const char *cri_pair_get(const struct cri_pair *v, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].key, key) == 0)
            return v[i].value;
    return "";
}

/* ---- the connection ---- */

static void dial(void *arg, uint64_t timeout_ms, http_dialed_fn done, void *done_arg)
{
    struct cri *c = arg;

    unix_dial(c->loop, c->path, timeout_ms, done, done_arg);
}

void cri_new(struct cri **out, uv_loop_t *loop, const char *socket_path)
{
    struct cri *c = mem_alloc(sizeof *c);
    struct http_endpoint_config cfg = {
        .authority = "localhost", .dial = dial, .dial_arg = c, .proto = HTTP_H2
    };

    c->loop = loop;
    c->path = mem_strdup(socket_path);
    http_endpoint_new(&c->endpoint, loop, &cfg);
    *out = c;
}

static void on_closed(void *arg)
{
    struct cri *c = arg;
    void (*done)(void *) = c->done;
    void *done_arg = c->done_arg;

    free(c->path);
    free(c);
    if (done)
        done(done_arg);
}

void cri_close(struct cri *c, void (*done)(void *arg), void *arg)
{
    c->done = done;
    c->done_arg = arg;
    http_endpoint_close(c->endpoint, on_closed, c);
}

void cri_cancel(struct cri_call *call)
{
    grpc_cancel(call->grpc);
}

/* ---- any call ---- */

/* "Method: cause" becomes "Method object: cause". */
static void name_object(struct err *e, const struct cri_call *k)
{
    const char *method = strrchr(k->method, '/') + 1;
    size_t n = strlen(method);
    char cause[sizeof e->text];

    if (!k->object[0])
        return;
    snprintf(cause, sizeof cause, "%s",
             strncmp(e->text, method, n) == 0 && e->text[n] == ':' ? e->text + n + 2 : e->text);
    snprintf(e->text, sizeof e->text, "%s %s: %.*s", method, k->object,
             (int)(sizeof e->text - sizeof k->object - 64), cause);
}

static void tell(struct cri_call *k, const struct answer *a, const struct err *e)
{
    switch (k->kind) {
    case ANSWER_VERSION:
        k->fn.version(k->arg, e ? NULL : &a->version, e);
        break;
    case ANSWER_STATUS:
        k->fn.status(k->arg, e ? NULL : &a->status, e);
        break;
    case ANSWER_SANDBOX_ID:
    case ANSWER_CONTAINER_ID:
    case ANSWER_IMAGE_REF:
    case ANSWER_URL:
        k->fn.text(k->arg, e ? NULL : a->text, e);
        break;
    case ANSWER_SANDBOXES:
    case ANSWER_SANDBOX_STATUS:
        k->fn.sandboxes(k->arg, e ? NULL : a->sandboxes, e ? 0 : a->n, e);
        break;
    case ANSWER_CONTAINERS:
    case ANSWER_CONTAINER_STATUS:
        k->fn.containers(k->arg, e ? NULL : a->containers, e ? 0 : a->n, e);
        break;
    case ANSWER_IMAGES:
    case ANSWER_IMAGE_STATUS:
        k->fn.images(k->arg, e ? NULL : a->images, e ? 0 : a->n, e);
        break;
    case ANSWER_EXEC:
        k->fn.exec(k->arg, e ? NULL : &a->exec, e);
        break;
    case ANSWER_NONE:
    case ANSWER_KINDS_N:
        k->fn.done(k->arg, e);
        break;
    }
}

static void on_reply(void *arg, struct str reply, const struct err *failure)
{
    struct cri_call *k = arg;
    struct err e = failure ? *failure : (struct err){ 0 };
    struct answer a = { 0 };

    if (!e.code)
        err_ignore(answer_read(&a, k->kind, reply, &e)); /* told below */
    if (e.code) {
        name_object(&e, k);
        tell(k, NULL, &e);
    } else {
        tell(k, &a, NULL);
        answer_deinit(&a);
    }
    free(k);
}

static struct cri_call *call_new(const char *method, enum answer_kind kind, const char *object,
                                 void *arg)
{
    struct cri_call *k = mem_alloc(sizeof *k);

    k->method = method;
    k->kind = kind;
    k->arg = arg;
    /* Ids are 64 hex digits, of which people use 13. */
    if (object)
        snprintf(k->object, sizeof k->object, "%.*s", strlen(object) == 64 ? 13 : 95, object);
    return k;
}

/* packed: what the request_ function returned. A request that is too large for one message is sent
 * empty, which the runtime refuses: limits of objects in the API are far below ours. */
static struct cri_call *call_start(struct cri *c, struct cri_call *k, struct buf *b, int packed,
                                   uint64_t timeout_ms)
{
    if (packed)
        buf_clear(b);
    k->grpc = grpc_unary(c->endpoint, k->method, buf_str(b), timeout_ms, on_reply, k);
    return k;
}

/* One call: its method, kind of answer, object, callback, deadline, and how to pack it. */
#define CALL(method, kind, object, member, timeout_ms, packed)                                     \
    do {                                                                                           \
        struct cri_call *k_ = call_new(method, kind, object, arg);                                 \
        auto_buf b = BUF(REQUEST_MAX_BYTES);                                                       \
        k_->fn.member = done;                                                                      \
        return call_start(c, k_, &b, packed, timeout_ms);                                          \
    } while (0)

/* ---- the runtime ---- */

struct cri_call *cri_get_version(struct cri *c, cri_version_fn done, void *arg)
{
    CALL(RUNTIME("Version"), ANSWER_VERSION, NULL, version, STATUS_MS, request_version(&b));
}

struct cri_call *cri_get_status(struct cri *c, cri_status_fn done, void *arg)
{
    CALL(RUNTIME("Status"), ANSWER_STATUS, NULL, status, STATUS_MS, 0);
}

struct cri_call *cri_update_runtime_config(struct cri *c, const char *pod_cidr, cri_done_fn done,
                                           void *arg)
{
    CALL(RUNTIME("UpdateRuntimeConfig"), ANSWER_NONE, pod_cidr, done, CALL_MS,
         request_runtime_config(&b, pod_cidr));
}

/* ---- sandboxes ---- */

struct cri_call *cri_run_sandbox(struct cri *c, const struct cri_sandbox_config *s,
                                 cri_text_fn done, void *arg)
{
    char object[96];

    snprintf(object, sizeof object, "%s/%s", s->namespace, s->name);
    CALL(RUNTIME("RunPodSandbox"), ANSWER_SANDBOX_ID, object, text, SANDBOX_MS,
         request_run_sandbox(&b, s));
}

struct cri_call *cri_stop_sandbox(struct cri *c, const char *id, cri_done_fn done, void *arg)
{
    CALL(RUNTIME("StopPodSandbox"), ANSWER_NONE, id, done, CALL_MS, request_sandbox_id(&b, id));
}

struct cri_call *cri_remove_sandbox(struct cri *c, const char *id, cri_done_fn done, void *arg)
{
    CALL(RUNTIME("RemovePodSandbox"), ANSWER_NONE, id, done, CALL_MS, request_sandbox_id(&b, id));
}

struct cri_call *cri_sandbox_status(struct cri *c, const char *id, cri_sandboxes_fn done, void *arg)
{
    CALL(RUNTIME("PodSandboxStatus"), ANSWER_SANDBOX_STATUS, id, sandboxes, CALL_MS,
         request_sandbox_id(&b, id));
}

struct cri_call *cri_list_sandboxes(struct cri *c, cri_sandboxes_fn done, void *arg)
{
    CALL(RUNTIME("ListPodSandbox"), ANSWER_SANDBOXES, NULL, sandboxes, CALL_MS, 0);
}

/* ---- containers ---- */

struct cri_call *cri_create_container(struct cri *c, const char *sandbox_id,
                                      const struct cri_container_config *k,
                                      const struct cri_sandbox_config *s, cri_text_fn done,
                                      void *arg)
{
    char object[96];

    snprintf(object, sizeof object, "%s/%s/%s", s->namespace, s->name, k->name);
    CALL(RUNTIME("CreateContainer"), ANSWER_CONTAINER_ID, object, text, CALL_MS,
         request_create_container(&b, sandbox_id, k, s));
}

struct cri_call *cri_start_container(struct cri *c, const char *id, cri_done_fn done, void *arg)
{
    CALL(RUNTIME("StartContainer"), ANSWER_NONE, id, done, CALL_MS, request_container_id(&b, id));
}

struct cri_call *cri_stop_container(struct cri *c, const char *id, int64_t grace_s,
                                    cri_done_fn done, void *arg)
{
    CALL(RUNTIME("StopContainer"), ANSWER_NONE, id, done, CALL_MS + (uint64_t)grace_s * 1000,
         request_stop_container(&b, id, grace_s));
}

struct cri_call *cri_remove_container(struct cri *c, const char *id, cri_done_fn done, void *arg)
{
    CALL(RUNTIME("RemoveContainer"), ANSWER_NONE, id, done, CALL_MS, request_container_id(&b, id));
}

struct cri_call *cri_container_status(struct cri *c, const char *id, cri_containers_fn done,
                                      void *arg)
{
    CALL(RUNTIME("ContainerStatus"), ANSWER_CONTAINER_STATUS, id, containers, CALL_MS,
         request_container_id(&b, id));
}

struct cri_call *cri_list_containers(struct cri *c, const char *sandbox_id, cri_containers_fn done,
                                     void *arg)
{
    CALL(RUNTIME("ListContainers"), ANSWER_CONTAINERS, sandbox_id, containers, CALL_MS,
         request_list_containers(&b, sandbox_id));
}

struct cri_call *cri_reopen_log(struct cri *c, const char *container_id, cri_done_fn done,
                                void *arg)
{
    CALL(RUNTIME("ReopenContainerLog"), ANSWER_NONE, container_id, done, CALL_MS,
         request_container_id(&b, container_id));
}

/* ---- inside a container ---- */

struct cri_call *cri_exec_sync(struct cri *c, const char *container_id, const char *const *argv,
                               size_t n_argv, int64_t timeout_s, cri_exec_fn done, void *arg)
{
    int64_t limit_s = timeout_s > 0 ? timeout_s : 60;

    CALL(RUNTIME("ExecSync"), ANSWER_EXEC, container_id, exec, CALL_MS + (uint64_t)limit_s * 1000,
         request_exec_sync(&b, container_id, argv, n_argv, limit_s));
}

struct cri_call *cri_exec(struct cri *c, const char *container_id, const char *const *argv,
                          size_t n_argv, struct cri_stream_options o, cri_text_fn done, void *arg)
{
    CALL(RUNTIME("Exec"), ANSWER_URL, container_id, text, CALL_MS,
         request_exec(&b, container_id, argv, n_argv, o));
}

struct cri_call *cri_attach(struct cri *c, const char *container_id, struct cri_stream_options o,
                            cri_text_fn done, void *arg)
{
    CALL(RUNTIME("Attach"), ANSWER_URL, container_id, text, CALL_MS,
         request_attach(&b, container_id, o));
}

struct cri_call *cri_port_forward(struct cri *c, const char *sandbox_id, const int32_t *ports,
                                  size_t n_ports, cri_text_fn done, void *arg)
{
    CALL(RUNTIME("PortForward"), ANSWER_URL, sandbox_id, text, CALL_MS,
         request_port_forward(&b, sandbox_id, ports, n_ports));
}

/* ---- images ---- */

struct cri_call *cri_image_status(struct cri *c, const char *image, cri_images_fn done, void *arg)
{
    CALL(IMAGE("ImageStatus"), ANSWER_IMAGE_STATUS, image, images, CALL_MS,
         request_image_status(&b, image));
}

struct cri_call *cri_list_images(struct cri *c, cri_images_fn done, void *arg)
{
    CALL(IMAGE("ListImages"), ANSWER_IMAGES, NULL, images, CALL_MS, 0);
}

struct cri_call *cri_pull_image(struct cri *c, const char *image,
                                const struct cri_sandbox_config *s, cri_text_fn done, void *arg)
{
    CALL(IMAGE("PullImage"), ANSWER_IMAGE_REF, image, text, PULL_MS,
         request_pull_image(&b, image, s));
}

/* ---- events ---- */

struct cri_watch {
    struct grpc_call *grpc;
    void (*on_exit)(void *arg);
    cri_done_fn done;
    void *arg;
};

static void on_event(struct grpc_call *g, void *arg, struct str message)
{
    struct cri_watch *w = arg;

    (void)g;
    (void)message;
    w->on_exit(w->arg);
}

static void on_watch_done(struct grpc_call *g, void *arg, const struct err *e)
{
    struct cri_watch *w = arg;
    cri_done_fn done = w->done;
    void *done_arg = w->arg;

    (void)g;
    free(w);
    done(done_arg, e);
}

struct cri_watch *cri_watch_exits(struct cri *c, void (*on_exit)(void *arg), cri_done_fn done,
                                  void *arg)
{
    static const struct grpc_call_events events = { .on_message = on_event,
                                                    .on_done = on_watch_done };
    struct grpc_call_config cfg = { .path = "/containerd.services.events.v1.Events/Subscribe",
                                    .message_max_bytes = 64 * 1024 };
    struct cri_watch *w = mem_alloc(sizeof *w);
    auto_buf b = BUF(1024);

    w->on_exit = on_exit;
    w->done = done;
    w->arg = arg;
    err_ignore(request_subscribe(&b, "namespace==k8s.io,topic==\"/tasks/exit\"")); /* it fits */
    grpc_call_start(&w->grpc, c->endpoint, &cfg, &events, w);
    grpc_call_send(w->grpc, buf_str(&b));
    grpc_call_end(w->grpc);
    return w;
}

void cri_watch_cancel(struct cri_watch *w)
{
    grpc_cancel(w->grpc);
}
