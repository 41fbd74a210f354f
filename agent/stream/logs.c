/*
 * Logs: GET /containerLogs/{ns}/{pod}/{container}. Finds the file of the container's newest (or
 * previous) run and sends what logread makes of it, as fast as the peer reads.
 *
 * Source of the texts: kubelet.go validateContainerLogStatus, 1.32.
 */
#include "agent/stream/logread.h"
#include "agent/stream/port_impl.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"

struct logs {
    struct port_job job;
    struct http_req *req; /* NULL once it is over */
    struct logread *read; /* NULL once it is over */
    struct session_path path;
    char *container_id;
    bool is_started, is_previous;
};

static void maybe_free(struct logs *l)
{
    if (l->req || l->read)
        return;
    free(l->container_id);
    port_job_end(&l->job);
    free(l);
}

/* ---- which file ---- */

/* Why the container has no log yet, as its status says it. */
static void waiting_reason(struct buf *out, struct node_view node, const struct session_path *path)
{
    static const char *const lists[] = { "status.containerStatuses",
                                         "status.initContainerStatuses" };
    json_auto_t *list = node.source->list(node.pods);
    json_t *pod, *status;
    size_t i, k;

    json_array_foreach(json_at(list, "items"), i, pod)
    {
        if (strcmp(json_str_at(pod, "metadata.name", ""), path->pod) != 0 ||
            strcmp(json_str_at(pod, "metadata.namespace", ""), path->ns) != 0)
            continue;
        for (size_t n = 0; n < ARRAY_LEN(lists); n++)
            json_array_foreach(json_at(pod, lists[n]), k, status)
            {
                if (strcmp(json_str_at(status, "name", ""), path->container) == 0)
                    err_ignore(buf_adds(out, json_str_at(status, "state.waiting.reason", "")));
            }
    }
}

static int not_started(struct node_view node, const struct session_path *path, struct err *e)
{
    auto_buf reason = BUF(128);

    waiting_reason(&reason, node, path);
    if (!reason.n)
        return err_set(e, ERR_INVALID,
                       "container \"%s\" in pod \"%s\" is waiting to start - no logs yet",
                       path->container, path->pod);
    return err_set(e, ERR_INVALID, "container \"%s\" in pod \"%s\" is waiting to start: %s",
                   path->container, path->pod,
                   str_is(buf_str(&reason), "ErrImagePull") ? "image can't be pulled"
                   : str_is(buf_str(&reason), "ImagePullBackOff")
                       ? "trying and failing to pull image"
                       : buf_cstr(&reason));
}

static int find(struct node_view node, const struct session_path *path, bool previous,
                struct pods_container *out, struct err *e)
{
    if (!node.pods)
        return err_set(e, ERR_NOT_FOUND, "pod \"%s\" does not exist", path->pod);
    if (node.source->container(node.pods, path->ns, path->pod, path->uid, path->container, out, e))
        return e->code;
    if (previous && !*out->previous_id)
        return err_set(e, ERR_INVALID,
                       "previous terminated container \"%s\" in pod \"%s\" not found",
                       path->container, path->pod);
    return previous || *out->container_id ? 0 : not_started(node, path, e);
}

/* ---- the file ---- */

static void start_reply(struct logs *l)
{
    static const struct http_header type = { STR("Content-Type"), STR("text/plain") };

    if (l->is_started || !l->req)
        return;
    l->is_started = true;
    http_reply_start(l->req, 200, &type, 1, -1);
}

static void on_read_open(void *arg)
{
    start_reply(arg); /* now, for a container that says nothing is not one that does not answer */
}

static void on_read_data(void *arg, const char *p, size_t n)
{
    struct logs *l = arg;

    if (!l->req)
        return;
    http_reply_write(l->req, p, n);
    if (http_reply_queued(l->req) > STREAM_HIGH_BYTES)
        logread_pause(l->read);
}

static void on_read_end(void *arg, const struct err *e)
{
    struct logs *l = arg;

    l->read = NULL;
    if (l->req && e && !l->is_started) {
        struct err shown = *e;
        shown.code = ERR_INVALID; /* kubelet has one status for whatever is wrong with the file */
        port_reply_err(l->req, &shown);
    } else if (l->req && e) {
        if (e->code != ERR_CANCELED)
            log_warn("container log cannot be read on", kv("err", e->text));
        http_reply_abort(l->req);
    } else if (l->req) {
        http_reply_end(l->req);
    }
    maybe_free(l);
}

static bool on_read_is_running(void *arg)
{
    struct logs *l = arg;
    struct node_view node = port_view(l->job.port);
    struct pods_container c;
    struct err e;

    return !l->is_previous && l->req && find(node, &l->path, false, &c, &e) == 0 && c.running &&
           strcmp(c.container_id, l->container_id) == 0;
}

/* ---- the request ---- */

static void on_req_drain(struct http_req *r, void *arg)
{
    struct logs *l = arg;

    (void)r;
    if (l->read)
        logread_resume(l->read);
}

static void on_req_done(struct http_req *r, void *arg, const struct err *e)
{
    struct logs *l = arg;

    (void)r;
    (void)e;
    l->req = NULL;
    if (l->read)
        logread_cancel(l->read);
    maybe_free(l);
}

static void stop(struct port_job *j)
{
    struct logs *l = container_of(j, struct logs, job);

    if (l->read)
        logread_cancel(l->read);
}

void logs_serve(struct port *p, struct http_req *r, const struct session_path *path)
{
    static const struct logread_events events = { on_read_open, on_read_data, on_read_end,
                                                  on_read_is_running };
    static const struct http_req_events req_events = { .on_drain = on_req_drain,
                                                       .on_done = on_req_done };
    struct crilog_options o;
    struct pods_container c;
    struct logs *l;
    struct err e;

    if (crilog_options_parse(&o, http_req_query(r), clock_wall_us(), &e) ||
        find(port_view(p), path, o.previous, &c, &e)) {
        port_reply_err(r, &e);
        return;
    }
    l = mem_alloc(sizeof *l);
    l->req = r;
    l->path = *path;
    l->is_previous = o.previous;
    l->container_id = mem_strdup(o.previous ? c.previous_id : c.container_id);
    port_job_begin(p, &l->job, stop);
    http_req_accept(r, &req_events, l);
    logread_start(&l->read, port_loop(p), o.previous ? c.previous_log_path : c.log_path, &o,
                  &events, l);
}
