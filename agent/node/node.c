#include "agent/node/node.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/http/date.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"
#include "base/kube/metadata.h"

#include <stdio.h>

#define LEASE_INTERVAL_MS  10000  /* kubelet: a quarter of the lease */
#define STATUS_INTERVAL_MS 300000 /* kubelet nodeStatusReportFrequency */
#define CHECK_INTERVAL_MS  10000  /* kubelet nodeStatusUpdateFrequency: look whether it changed */
#define LEASE_SECONDS      40
#define GIVEN_UP_MS        35000 /* a silence after which the cluster may have said NotReady */
#define HURRY_MS           500   /* within it: the other agents hurry too */
#define LEASES             "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

enum step { STEP_CREATE, STEP_METADATA, STEP_STATUS, STEP_DONE };

struct node {
    struct node_config c;
    enum node_state state;
    enum step step;
    char *path, *status_path, *lease_path;
    char *uid;
    json_t *written;    /* the status as last sent, or what stood there; NULL: neither */
    bool seen_other;    /* the watch told another Ready than ours while a write was under way */
    bool unsure;        /* a write failed: what stands there is not known */
    bool has_addresses; /* the Node there has some */
    uint64_t written_ms;
    struct timer step_timer, lease_timer, status_timer;
    struct backoff backoff, lease_backoff;
    struct kube_call *call, *lease_call, *status_call;
    bool lease_exists, status_due;
    int64_t lease_renewed_unix_s;
    uint64_t lease_renewed_ms; /* 0: not yet */
    char last_error[256];
    bool closing;
    unsigned n_open;
    void (*done)(void *arg);
    void *done_arg;
};

static void node_step(struct node *n);
static void renew_lease(struct node *n);
static void write_status(struct node *n);

static void note(struct node *n, const char *what, const struct err *e)
{
    if (!e) {
        n->last_error[0] = '\0';
        if (n->c.on_error)
            n->c.on_error(n->c.arg, "");
        return;
    }
    if (strncmp(n->last_error + strlen(what) + 2, e->text, 64) != 0) /* one line per cause */
        log_warn("node is not up to date in the cluster, will retry", kv("step", what),
                 kv("err", e->text));
    snprintf(n->last_error, sizeof n->last_error, "%s: %.200s", what, e->text);
    if (n->c.on_error)
        n->c.on_error(n->c.arg, n->last_error);
}

static void move(struct node *n, enum node_state s)
{
    if (n->state == s)
        return;
    n->state = s;
    n->c.on_state(n->c.arg, s);
}

static void maybe_gone(struct node *n)
{
    void (*done)(void *) = n->done;
    void *arg = n->done_arg;

    if (!n->closing || n->n_open || n->call || n->lease_call || n->status_call)
        return;
    json_decref(n->written);
    free(n->path);
    free(n->status_path);
    free(n->lease_path);
    free(n->uid);
    free(n);
    if (done)
        done(arg);
}

/* ---- registration -------------------------------------------------------------------------------
 */

static void on_step_timer(void *arg)
{
    node_step(arg);
}

static void retry(struct node *n, const char *what, const struct err *e)
{
    note(n, what, e);
    timer_start_ms(&n->step_timer, backoff_next_ms(&n->backoff), on_step_timer, n);
}

static void keep_uid(struct node *n, const json_t *object)
{
    free(n->uid);
    n->uid = mem_strdup(meta_uid(object));
}

static void on_created(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;

    n->call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    if (e && e->code != ERR_EXISTS) {
        retry(n, "register", e);
        return;
    }
    if (!e) {
        log_info("node registered", kv("node", n->c.object->name));
        keep_uid(n, r->object);
        n->has_addresses = true;
    }
    n->step = e ? STEP_METADATA : STEP_STATUS;
    node_step(n);
}

static void on_metadata(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;

    n->call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    if (e) {
        n->step = e->code == ERR_NOT_FOUND ? STEP_CREATE : STEP_METADATA;
        retry(n, "update the node's labels and annotations", e);
        return;
    }
    keep_uid(n, r->object);
    n->has_addresses = json_array_size(json_at(r->object, "status.addresses")) > 0;
    if (!n->written) /* transition times outlive a restart of the agent */
        n->written = json_incref(json_object_get(r->object, "status"));
    n->step = STEP_STATUS;
    node_step(n);
}

static void on_first_status(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;

    (void)r;
    n->call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    if (e) {
        n->step = e->code == ERR_NOT_FOUND ? STEP_CREATE : STEP_STATUS;
        retry(n, "write the node's status", e);
        return;
    }
    note(n, "", NULL);
    backoff_reset(&n->backoff);
    n->step = STEP_DONE;
    n->has_addresses = true;
    n->written_ms = uv_now(n->c.loop);
    renew_lease(n);
    write_status(n); /* arms its timer; the runtime may have come meanwhile */
    move(n, NODE_RUNNING);
}

/* Where a cloud controller makes the addresses (of our annotations, or of what it knows), the Node
 * gets ours only while it has none, as kubelet's do (pkg/kubelet/nodestatus/setters.go): else each
 * heartbeat would be undone by another write. */
static struct kube_call *patch_status(struct node *n, kube_reply_fn done)
{
    json_auto_t *patch = json_object();
    json_t *status = node_object_status(n->c.object, n->written), *sent = json_copy(status);
    auto_free char *text = NULL;

    json_decref(n->written);
    n->written = status;
    if (n->c.object->external_cloud && n->has_addresses)
        json_object_del(sent, "addresses");
    json_object_set_new(patch, "status", sent);
    text = json_text(patch);
    return kube_patch(n->c.client, n->status_path, KUBE_PATCH_STRATEGIC, str_of(text), done, n);
}

static void node_step(struct node *n)
{
    json_auto_t *body = NULL;
    auto_free char *text = NULL;
    struct err e;

    if (n->closing)
        return;
    switch (n->step) {
    case STEP_CREATE:
        if (node_object_new(&body, n->c.object, &e)) { /* checked in node_start */
            retry(n, "register", &e);
            return;
        }
        text = json_text(body);
        n->call = kube_create(n->c.client, "/api/v1/nodes", str_of(text), on_created, n);
        break;
    case STEP_METADATA:
        body = node_object_metadata_patch(n->c.object);
        text = json_text(body);
        n->call = kube_patch(n->c.client, n->path, KUBE_PATCH_MERGE, str_of(text), on_metadata, n);
        break;
    case STEP_STATUS:
        n->call = patch_status(n, on_first_status);
        break;
    case STEP_DONE:
        break;
    }
}

/* ---- lease --------------------------------------------------------------------------------------
 */

static void on_lease_timer(void *arg)
{
    renew_lease(arg);
}

/* Somebody deleted the Node: a lease alone would keep a ghost. */
static void check_gone(struct node *n);

static void on_lease(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;
    uint64_t interval = n->c.lease_interval_ms ? n->c.lease_interval_ms : LEASE_INTERVAL_MS;
    int64_t server_s;

    n->lease_call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    if (n->state == NODE_GONE)
        return;
    if (!e) {
        n->lease_exists = true;
        backoff_reset(&n->lease_backoff);
        n->lease_renewed_unix_s = clock_wall_s();
        if (n->lease_renewed_ms && uv_now(n->c.loop) - n->lease_renewed_ms >
                                       (n->c.given_up_ms ? n->c.given_up_ms : GIVEN_UP_MS)) {
            n->unsure = true; /* the watch may still hang on a connection of before */
            write_status(n);
        }
        n->lease_renewed_ms = uv_now(n->c.loop);
        if (strncmp(n->last_error, "renew the lease", 15) == 0)
            note(n, "", NULL);
        timer_start_ms(&n->lease_timer, rand_jitter_ms(interval, 4), on_lease_timer, n);
        if (n->c.on_server_time && http_date_parse(&server_s, http_headers_get(r->headers, "Date")))
            n->c.on_server_time(n->c.arg, server_s);
        return;
    }
    if (e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND) {
        bool was_there = n->lease_exists;
        n->lease_exists = e->code == ERR_EXISTS;
        if (was_there && e->code == ERR_NOT_FOUND)
            check_gone(n);
        timer_start_ms(&n->lease_timer, 200, on_lease_timer, n);
        return;
    }
    note(n, "renew the lease", e);
    /* A connection that outlived a cut waits for TCP's own retransmission, up to minutes: leave it.
     */
    if (e->code == ERR_TIMEOUT || e->code == ERR_CLOSED || e->code == ERR_IO)
        kube_client_reset(n->c.client);
    /* Worth hurrying for at first; a server that is away or overrun is not helped by it for long.
     */
    timer_start_ms(&n->lease_timer, MIN(backoff_next_ms(&n->lease_backoff), interval),
                   on_lease_timer, n);
}

static void renew_lease(struct node *n)
{
    char now[TIME_TEXT_BYTES];
    json_auto_t *body = NULL;
    auto_free char *text = NULL;

    if (n->closing || n->lease_call || n->state == NODE_GONE)
        return;
    time_now_us(now);
    if (n->lease_exists) {
        body = json_pack("{s:{s:s, s:i, s:s}}", "spec", "holderIdentity", n->c.object->name,
                         "leaseDurationSeconds", LEASE_SECONDS, "renewTime", now);
        text = json_text(body);
        n->lease_call =
            kube_patch(n->c.client, n->lease_path, KUBE_PATCH_MERGE, str_of(text), on_lease, n);
        return;
    }
    body = json_pack("{s:s, s:s, s:{s:s, s:s, s:[{s:s, s:s, s:s, s:s}]}, s:{s:s, s:i, s:s}}",
                     "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name",
                     n->c.object->name, "namespace", "kube-node-lease", "ownerReferences",
                     "apiVersion", "v1", "kind", "Node", "name", n->c.object->name, "uid",
                     n->uid ? n->uid : "", "spec", "holderIdentity", n->c.object->name,
                     "leaseDurationSeconds", LEASE_SECONDS, "renewTime", now);
    text = json_text(body);
    n->lease_call = kube_create(n->c.client, LEASES, str_of(text), on_lease, n);
}

/* ---- status -------------------------------------------------------------------------------------
 */

static void on_status_timer(void *arg)
{
    write_status(arg);
}

static void on_status(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;

    (void)r;
    n->status_call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    n->unsure = e || n->seen_other;
    n->status_due |= n->seen_other;
    n->seen_other = false;
    if (e) {
        if (e->code == ERR_NOT_FOUND)
            check_gone(n);
        else
            note(n, "write the node's status", e);
    } else {
        n->written_ms = uv_now(n->c.loop);
        if (strncmp(n->last_error, "write the node's", 16) == 0)
            note(n, "", NULL);
    }
    if (n->state == NODE_GONE)
        return;
    timer_start_ms(&n->status_timer, e || n->status_due ? 1000 : CHECK_INTERVAL_MS, on_status_timer,
                   n);
}

static void write_status(struct node *n)
{
    uint64_t every = n->c.status_interval_ms ? n->c.status_interval_ms : STATUS_INTERVAL_MS;
    json_auto_t *now = NULL;

    if (n->closing || n->step != STEP_DONE || n->state == NODE_GONE)
        return;
    if (n->status_call) {
        n->status_due = true;
        return;
    }
    n->status_due = false;
    machine_refresh(n->c.machine, n->c.data_dir);
    now = node_object_status(n->c.object, n->written);
    if (!n->unsure && node_object_same_status(n->written, now) &&
        uv_now(n->c.loop) - n->written_ms < every) {
        timer_start_ms(&n->status_timer, CHECK_INTERVAL_MS, on_status_timer, n);
        return;
    }
    n->status_call = patch_status(n, on_status);
}

void node_touch(struct node *n)
{
    write_status(n);
}

static const char *ready_of(const json_t *status)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), "Ready") == 0)
            return json_str_at(c, "status", "");
    }
    return "";
}

void node_seen(struct node *n, const json_t *object)
{
    json_t *status = json_object_get(object, "status");

    if (n->closing || n->step != STEP_DONE || !n->written || !status ||
        strcmp(ready_of(status), ready_of(n->written)) == 0)
        return;
    if (n->status_call) { /* before or after our write? it is written once more to be sure */
        n->seen_other = true;
        return;
    }
    log_info("the cluster's word on this node differs, writing the status again",
             kv("ready_there", ready_of(status)), kv("ready_here", ready_of(n->written)));
    json_decref(n->written);
    n->written = json_incref(status); /* its transition times hold */
    n->unsure = true;
    write_status(n);
}

/* ---- deleted ------------------------------------------------------------------------------------
 */

static void on_looked(void *arg, const struct kube_reply *r, const struct err *e)
{
    struct node *n = arg;

    n->call = NULL;
    if (n->closing) {
        maybe_gone(n);
        return;
    }
    if (!e && n->uid && strcmp(meta_uid(r->object), n->uid) == 0)
        return;
    if (e && e->code != ERR_NOT_FOUND)
        return; /* the next lease tells */
    if (!e) {   /* somebody made it anew: it is ours */
        keep_uid(n, r->object);
        return;
    }
    log_warn("the node was deleted from the cluster; restart the agent to join again",
             kv("node", n->c.object->name));
    snprintf(n->last_error, sizeof n->last_error,
             "the node was deleted from the cluster; restart the agent to join again");
    timer_stop(&n->lease_timer);
    timer_stop(&n->status_timer);
    move(n, NODE_GONE);
}

static void check_gone(struct node *n)
{
    if (!n->call)
        n->call = kube_get(n->c.client, n->path, on_looked, n);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

int node_start(struct node **out, const struct node_config *c, struct err *e)
{
    json_auto_t *probe = NULL;
    struct node *n;

    if (node_object_new(&probe, c->object, e))
        return (int)e->code;
    n = mem_alloc(sizeof *n);
    n->c = *c;
    n->path = mem_printf("/api/v1/nodes/%s", c->object->name);
    n->status_path = mem_printf("%s/status", n->path);
    n->lease_path = mem_printf(LEASES "/%s", c->object->name);
    n->backoff = (struct backoff)BACKOFF(200, 10000);
    n->lease_backoff = (struct backoff)BACKOFF(1500, LEASE_INTERVAL_MS);
    n->lease_backoff.jitter_percent = 50;
    timer_init(&n->step_timer, c->loop);
    timer_init(&n->lease_timer, c->loop);
    timer_init(&n->status_timer, c->loop);
    n->n_open = 3;
    *out = n;
    node_step(n);
    return 0;
}

void node_hurry(struct node *n)
{
    if (n->lease_backoff.n_tries && n->step == STEP_DONE && timer_is_running(&n->lease_timer) &&
        uv_timer_get_due_in(&n->lease_timer.h) > HURRY_MS)
        timer_start_ms(&n->lease_timer, rand_below(HURRY_MS), on_lease_timer, n);
}

enum node_state node_state(const struct node *n)
{
    return n->state;
}

const char *node_last_error(const struct node *n)
{
    return n->last_error;
}

int64_t node_lease_renewed_unix_s(const struct node *n)
{
    return n->lease_renewed_unix_s;
}

static void on_timer_closed(void *arg)
{
    struct node *n = arg;

    n->n_open--;
    maybe_gone(n);
}

void node_close(struct node *n, void (*done)(void *arg), void *arg)
{
    struct kube_call *const calls[] = { n->call, n->lease_call, n->status_call };

    n->closing = true;
    n->done = done;
    n->done_arg = arg;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i])
            kube_call_cancel(calls[i]);
    timer_close(&n->step_timer, on_timer_closed, n);
    timer_close(&n->lease_timer, on_timer_closed, n);
    timer_close(&n->status_timer, on_timer_closed, n);
}
