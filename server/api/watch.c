/*
 * Watch: one JSON event per line, or one protobuf frame, until the timeout, the peer or the store
 * ends it.
 *
 *   START --(rv N)-------------------------------> WATCH
 *     +--(rv 0/none, sendInitialEvents)--> LIST --> SEND --> WATCH      state as ADDED events first
 *
 * Events go straight from the store to the peer. When the peer is slow the store holds events back;
 * when that lasts longer than the store's window, the watch ends with 410 Expired in the stream and
 * the client lists again. Semantics: kubernetes.io/docs, "Efficient detection of changes", and
 * "Streaming lists" (KEP 3157).
 */
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/api/tally.h"
#include "server/api/request.h"
#include "server/schema/crd.h"

#include <inttypes.h>

#define EVENT_MAX_BYTES   (16 * 1024 * 1024)
#define BOOKMARK_EVERY_MS 60000 /* upstream: about once a minute, and right before the end */
#define TIMEOUT_MIN_S     1800  /* --min-request-timeout: 30 to 60 minutes when none is named */
#define TIMEOUT_MAX_S     86400
#define SEND_PIECE_BYTES  (128 * 1024)

struct watch {
    struct api_req *req;
    struct store_watch *sw; /* NULL until WATCH, and after its end */
    struct timer timer;
    int64_t sent_rev; /* everything up to here was delivered or did not match */
    uint64_t bookmark_at_ms;
    bool one_name; /* the request's path names the object: its key is ours, not only begins so */
    bool columns_sent;
    bool held;   /* the store waits for store_watch_resume */
    bool closed; /* the timer is closing */
};

static void on_timer_closed(void *arg)
{
    struct watch *w = arg;
    struct api_req *r = w->req;

    free(w);
    r->watch = NULL;
    req_release(r);
}

/* Stops the sources; the watch is freed by its timer's close. */
void watch_stop(struct api_req *r)
{
    struct watch *w = r->watch;

    if (!w || w->closed)
        return;
    w->closed = true;
    if (w->sw)
        store_watch_stop(w->sw);
    w->sw = NULL;
    timer_close(&w->timer, on_timer_closed, w);
}

static void finish(struct api_req *r)
{
    watch_stop(r);
    r->state = REQ_DONE;
    api_count(r, 200);
    r->sink->end(r);
}

void watch_end(struct api_req *r)
{
    if (r->watch && !r->watch->closed && r->state != REQ_DONE)
        finish(r);
}

static void broken(struct api_req *r)
{
    watch_stop(r);
    r->state = REQ_DONE;
    r->sink->abort(r);
}

/* A whole end is no failure to client-go: it watches on from the last version that it saw. After a
 * cut it lists everything again, and all nodes would at once. But half a state is none: objects
 * that are still missing may be older than what was sent last. */
void watch_shut(struct api_req *r)
{
    if (r->watch->closed || r->state == REQ_DONE)
        return;
    if (r->state == REQ_WATCH)
        finish(r);
    else
        broken(r);
}

/* ---- events ---- */

static bool matches(struct api_req *r, struct store_obj *o)
{
    if (r->watch->one_name && !str_is(store_obj_key(o), r->key))
        return false;
    return req_matches(r, o);
}

/* The last event that had to be made anew: the next watcher of it gets the same bytes. */
struct watch_frame {
    struct store_obj *o;
    const struct schema_kind *kind; /* a reference */
    const char *type;               /* a literal */
    int64_t rev;
    enum accept_as as;
    bool proto;
    struct buf bytes;
};

void watch_frame_free(struct watch_frame *f)
{
    if (!f)
        return;
    store_obj_unref(f->o);
    schema_kind_unref(f->kind);
    buf_deinit(&f->bytes);
    free(f);
}

void watch_frame_forget(struct api *a, const struct schema_kind *k)
{
    if (!a->frame || a->frame->kind != k)
        return;
    watch_frame_free(a->frame);
    a->frame = NULL;
}

/* NULL: it cannot be encoded. */
static const struct watch_frame *frame_of(struct api_req *r, const char *type, struct store_obj *o,
                                          int64_t rev)
{
    struct watch_frame *c = r->api->frame;
    struct encode_form f = req_form(r);
    struct err e;

    if (c && c->o == o && c->rev == rev && c->kind == f.kind && c->as == f.as &&
        c->proto == f.proto && strcmp(c->type, type) == 0)
        return c;
    watch_frame_free(c);
    r->api->frame = c = mem_alloc(sizeof *c);
    *c = (struct watch_frame){ store_obj_ref(o),    f.kind, type, rev, f.as, f.proto,
                               BUF(EVENT_MAX_BYTES) };
    schema_kind_ref(f.kind);
    if (encode_event(&c->bytes, &f, type, store_obj_value(o), rev, false, &e) == 0)
        return c;
    watch_frame_free(c);
    r->api->frame = NULL;
    return NULL;
}

static void send_bytes(struct api_req *r, struct str event)
{
    tally_watch_event(r->api->tally, r->kind->group, r->kind->version, r->kind->kind, event.n);
    r->sent_bytes += event.n;
    r->sink->write(r, event);
}

static bool send_event(struct api_req *r, const char *type, struct store_obj *o, int64_t rev)
{
    struct watch *w = r->watch;
    struct encode_form f = req_form(r);
    auto_buf line = BUF(EVENT_MAX_BYTES);
    struct err e;

    if (f.proto || (f.kind->convert && f.as == ACCEPT_OBJECT)) {
        const struct watch_frame *c = frame_of(r, type, o, rev);

        if (c)
            send_bytes(r, buf_str(&c->bytes));
        return c != NULL;
    }
    if (encode_event(&line, &f, type, store_obj_value(o), rev, !w->columns_sent, &e))
        return false;
    w->columns_sent = true;
    send_bytes(r, buf_str(&line));
    return true;
}

static void send_bookmark(struct api_req *r, int64_t rev, bool initial_end)
{
    struct watch *w = r->watch;
    struct encode_form f = req_form(r);
    auto_buf line = BUF(EVENT_MAX_BYTES);
    struct err e;

    if (encode_bookmark(&line, &f, rev, initial_end, &e))
        return;
    send_bytes(r, buf_str(&line));
    w->bookmark_at_ms = uv_now(r->api->loop) + rand_jitter_ms(BOOKMARK_EVERY_MS, 10);
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct api_req *r = arg;
    struct watch *w = r->watch;
    bool was, is, ok = true;

    if (r->sink->queued(r) > STREAM_HIGH_BYTES) {
        w->held = true;
        return false;
    }
    was = ev->prev && matches(r, ev->prev);
    is = ev->now && matches(r, ev->now);
    if (is)
        ok = send_event(r, was ? "MODIFIED" : "ADDED", ev->now, ev->rev);
    else if (was) /* deleted, or it matches no longer: the last state that matched */
        ok = send_event(r, "DELETED", ev->prev, ev->rev);
    w->sent_rev = ev->rev;
    if (!ok)
        broken(r);
    return true;
}

static void on_progress(void *arg, int64_t rev)
{
    struct api_req *r = arg;
    struct watch *w = r->watch;

    if (rev <= w->sent_rev)
        return;
    w->sent_rev = rev;
    if (r->params.allow_watch_bookmarks && uv_now(r->api->loop) >= w->bookmark_at_ms)
        send_bookmark(r, rev, false);
}

static void on_end(void *arg, const struct err *e)
{
    struct api_req *r = arg;
    struct watch *w = r->watch;
    struct err ignored;

    w->sw = NULL;
    if (e->code == ERR_EXPIRED) {
        auto_buf line = BUF(EVENT_MAX_BYTES);
        json_auto_t *s =
            status_new(STATUS_EXPIRED, "too old resource version: %" PRId64 " (%" PRId64 ")",
                       w->sent_rev, store_compacted_rev(r->api->store));

        struct encode_form f = req_form(r);

        if (encode_error_event(&line, &f, s, &ignored) == 0)
            r->sink->write(r, buf_str(&line));
    }
    finish(r);
}

static void on_timeout(void *arg)
{
    struct api_req *r = arg;
    struct watch *w = r->watch;

    if (r->state == REQ_WATCH && r->params.allow_watch_bookmarks)
        send_bookmark(r, w->sent_rev, false);
    finish(r);
}

static void follow(struct api_req *r)
{
    static const struct store_watch_events events = { on_event, on_progress, on_end };
    struct watch *w = r->watch;

    req_move(r, REQ_WATCH);
    w->sent_rev = r->list_rev;
    store_watch_start(&w->sw, r->api->store, str_of(r->key), r->list_rev, &events, r);
}

/* ---- the state before ---- */

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    req_listed(arg, l, matches, e);
}

static void send_initial(struct api_req *r)
{
    while (r->at_obj < r->n_objs) {
        struct store_obj *o = r->objs[r->at_obj];

        if (r->sink->queued(r) > STREAM_HIGH_BYTES)
            return; /* watch_drain goes on */
        if (!send_event(r, "ADDED", o, o->mod_rev)) {
            broken(r);
            return;
        }
        r->at_obj++;
        store_obj_unref(o);
    }
    if (r->params.send_initial_events && r->params.allow_watch_bookmarks)
        send_bookmark(r, r->list_rev, true);
    follow(r);
}

/* A name in an old watch path is a field selector (handlers/get.go, ListResource), and the only
 * one. False: answered. */
static bool check_name(struct api_req *r, const char *selected)
{
    if (!*r->route.name || field_selector_is_empty(r->fields) ||
        (selected && strcmp(selected, r->route.name) == 0))
        return true;
    req_status(r, status_new(STATUS_BAD_REQUEST,
                             "fieldSelector metadata.name doesn't match requested name"));
    return false;
}

static void start(struct api_req *r)
{
    const struct params *p = &r->params;
    const char *name;
    int64_t timeout_s;

    if (!req_selectors(r) || !req_not_from_the_future(r))
        return;
    name = field_selector_requires(r->fields, "metadata.name");
    if (!check_name(r, name))
        return;
    name = *r->route.name ? r->route.name : name;
    r->key = name && *name && (*req_ns(r) || !r->kind->namespaced)
                 ? resource_key(r->kind, req_ns(r), name)
                 : resource_prefix(r->kind, req_ns(r));
    struct watch *w = mem_alloc(sizeof *w);
    w->req = r;
    w->one_name = *r->route.name != '\0';
    w->bookmark_at_ms = uv_now(r->api->loop) + BOOKMARK_EVERY_MS;
    timer_init(&w->timer, r->api->loop);
    r->watch = w;
    timeout_s = p->has_timeout ? MIN(MAX(p->timeout_s, (int64_t)0), TIMEOUT_MAX_S)
                               : TIMEOUT_MIN_S + (int64_t)rand_below(TIMEOUT_MIN_S);
    timer_start_ms(&w->timer, (uint64_t)timeout_s * 1000, on_timeout, r);
    reply_start(r); /* at once: clients wait for the head */
    if (p->has_send_initial_events ? p->send_initial_events : p->resource_version == 0) {
        req_move(r, REQ_LIST);
        r->n_pending++;
        store_list(r->api->store, str_of(r->key), &(struct store_list_opts){ 0 }, on_list, r);
        return;
    }
    r->list_rev = p->resource_version ? p->resource_version : store_revision(r->api->store);
    follow(r);
}

void watch_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_START:
        start(r);
        break;
    case REQ_LIST:
        if (r->err.code) {
            broken(r);
            return;
        }
        req_move(r, REQ_SEND);
        send_initial(r);
        break;
    default:
        break;
    }
}

void watch_drain(struct api_req *r)
{
    struct watch *w = r->watch;

    if (!w || w->closed)
        return;
    if (r->state == REQ_SEND) {
        send_initial(r);
    } else if (w->held && w->sw) {
        w->held = false;
        store_watch_resume(w->sw);
    }
}
