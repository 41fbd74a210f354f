/* Snapshots on demand: /db/snapshot. */
#include "base/core/mem.h"
#include "server/boot/snapshot_api.h"
#include "server/boot/supervisor_ask.h"

static void on_snapshots_done(void *arg, const struct snapshot_files *made,
                              const struct snapshot_files *gone, const struct err *e)
{
    struct ask *a = arg;
    auto_buf body = BUF(4 * 1024 * 1024);

    if (!ask_resume(a))
        return;
    if (e && e->code == ERR_NOT_FOUND)
        ask_refuse(a, STATUS_NOT_FOUND, e->text);
    else if (e && (e->code == ERR_AGAIN || e->code == ERR_LIMIT || e->code == ERR_CANCELED))
        ask_refuse(a, STATUS_SERVICE_UNAVAILABLE, e->text);
    else if (e && e->code == ERR_INVALID)
        ask_refuse(a, STATUS_BAD_REQUEST, e->text);
    else if (e)
        ask_refuse(a, STATUS_INTERNAL_ERROR, e->text);
    else if (snapshot_answer(&body, a->snapshot_what, a->snapshot_dir, a->snapshot_node, made,
                             gone))
        ask_refuse(a, STATUS_INTERNAL_ERROR, "there are too many snapshots to list");
    else
        ask_reply_json(a, buf_str(&body));
}

static void on_snapshot_body(struct http_req *req, void *arg, struct str body)
{
    struct ask *a = arg;
    struct snapshots *snapshots = a->s->c.snapshots;
    struct snapshot_request r;
    struct err e;
    (void)req;

    if (!snapshots) { /* the body took until the server stops */
        ask_refuse(a, STATUS_SERVICE_UNAVAILABLE, "the server is stopping");
        return;
    }
    if (snapshot_request_parse(&r, body, &e)) {
        ask_refuse(a, STATUS_BAD_REQUEST, e.text);
        return;
    }
    a->snapshot_node = mem_strdup(snapshots_node(snapshots));
    a->snapshot_what = r.ask.what;
    a->snapshot_dir = mem_strdup(r.ask.dir && *r.ask.dir ? r.ask.dir : snapshots_dir(snapshots));
    a->waiting = true;
    snapshots_run(snapshots, &r.ask, on_snapshots_done, a);
    snapshot_request_deinit(&r);
}

void supervisor_run_snapshot(struct ask *a)
{
    if (!a->s->c.snapshots)
        ask_refuse(a, STATUS_BAD_REQUEST, "this server's datastore has snapshots of its own");
    else if (!str_is(http_req_method(a->req), "POST"))
        ask_refuse(a, STATUS_METHOD_NOT_ALLOWED, "only POST is known here");
    else
        http_req_read_body(a->req, SNAPSHOT_API_MAX_BYTES, on_snapshot_body);
}
