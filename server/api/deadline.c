#include "server/api/deadline.h"

#include "base/core/mem.h"
#include "base/kube/status.h"

struct deadline {
    struct timer timer;
    struct api_req *req;
};

static void on_late(void *arg)
{
    struct deadline *d = arg;
    json_t *s;

    if (d->req->answered || d->req->gone)
        return;
    s = status_new(STATUS_TIMEOUT, "Timeout: request did not complete within the allotted timeout");
    json_object_set_new(s, "details", json_object());
    req_status(d->req, s);
}

static void on_closed(void *arg)
{
    free(arg);
}

void deadline_start(struct api_req *r)
{
    int64_t ms = r->params.deadline_ms;

    if (!r->http || ms <= 0 || ms >= DEADLINE_MAX_MS)
        return;
    r->deadline = mem_alloc(sizeof *r->deadline);
    r->deadline->req = r;
    timer_init(&r->deadline->timer, r->api->loop);
    timer_start_ms(&r->deadline->timer, (uint64_t)ms, on_late, r->deadline);
}

void deadline_stop(struct api_req *r)
{
    if (r->deadline)
        timer_close(&r->deadline->timer, on_closed, r->deadline);
    r->deadline = NULL;
}
