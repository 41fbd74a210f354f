/*
 * Get and list. Stored bytes are spliced into the answer; long lists go out in pieces, as fast as
 * the peer takes them. resourceVersion semantics: kubernetes.io/docs, "Semantics for get and list".
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/api/cursor.h"
#include "server/api/match.h"
#include "server/api/write.h"

#include <inttypes.h>

#define LIST_CHUNK       500               /* objects per store read while a selector filters */
#define LIST_PIECE_BYTES (128 * 1024)      /* encoded at once between looks at the peer's queue */
#define LIST_WHOLE_BYTES (8 * 1024 * 1024) /* a longer one goes out as it is, without indents */

bool req_not_from_the_future(struct api_req *r)
{
    int64_t now = store_revision(r->api->store);
    json_t *s;

    if (r->params.resource_version <= now)
        return true;
    s = status_new(STATUS_TIMEOUT,
                   "Timeout: Too large resource version: %" PRId64 ", current: %" PRId64,
                   r->params.resource_version, now);
    json_object_set_new(s, "details",
                        json_pack("{s:[{s:s,s:s}],s:i}", "causes", "reason",
                                  "ResourceVersionTooLarge", "message",
                                  "Too large resource version", "retryAfterSeconds", 1));
    req_status(r, s);
    return false;
}

static void get_step(struct api_req *r)
{
    static const char *const whole[] = { "status", "ephemeralcontainers", "approval" };
    bool served = !r->sub;

    if (r->kind->scale && r->sub && strcmp(r->sub->name, "scale") == 0) {
        scale_step(r);
        return;
    }
    switch (r->state) {
    case REQ_START:
        if (!req_not_from_the_future(r))
            return;
        for (size_t i = 0; r->sub && i < ARRAY_LEN(whole); i++)
            served = served || strcmp(r->sub->name, whole[i]) == 0;
        if (!served) {
            req_status(r,
                       status_new(STATUS_METHOD_NOT_ALLOWED, "%s/%s is not served by this version",
                                  r->kind->plural, r->sub->name));
            return;
        }
        r->key = resource_key(r->kind, req_ns(r), r->route.name);
        req_read(r);
        return;
    case REQ_READ:
        if (!r->old)
            req_not_found(r, r->route.name);
        else
            req_object(r, 200, store_obj_value(r->old), r->old->mod_rev);
        return;
    default:
        return;
    }
}

/* ---- list ---- */

static bool filtered(const struct api_req *r)
{
    return !label_selector_is_empty(r->labels) || !field_selector_is_empty(r->fields);
}

/* A list without limit is read in pages of one revision: two of them are in memory, the one that
 * goes out and the one that is read meanwhile. Not where all of it has to be there at once. A
 * client that takes so long that the revision is compacted meanwhile (five minutes at least) gets a
 * broken answer and has to use limits. */
static bool is_paged(const struct api_req *r)
{
    return r->verb == VERB_LIST && r->http && !r->params.limit && !r->accept.proto &&
           !reply_is_dressed(r);
}

static void on_list(void *arg, const struct store_list *l, const struct err *e);

/* The next page; the state stays. */
static void read_page(struct api_req *r)
{
    size_t limit = is_paged(r) ? LIST_CHUNK : (size_t)r->params.limit;
    struct store_list_opts o = {
        .at_rev = r->list_rev,
        .after = buf_str(&r->after),
        .limit = limit && filtered(r) ? MAX(limit, (size_t)LIST_CHUNK) : limit,
    };
    struct match m = { .kind = r->kind, .labels = r->labels };

    if (match_wants_labels(&m)) {
        o.likes = match_labels;
        o.likes_arg = r->labels;
    }

    r->n_pending++;
    store_list(r->api->store, str_of(r->key), &o, on_list, r);
}

static void list_more(struct api_req *r)
{
    req_move(r, REQ_LIST);
    read_page(r);
}

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    struct api_req *r = arg;
    size_t limit = (size_t)r->params.limit;

    r->n_pending--;
    r->err = e ? *e : (struct err){ 0 };
    if (!e && !r->gone) {
        r->list_rev = l->rev;
        r->more = l->more;
        r->n_remaining = filtered(r) ? -1 : l->n_remaining;
        if (r->state == REQ_SEND) { /* what went out makes room */
            memmove(r->objs, r->objs + r->at_obj, (r->n_objs - r->at_obj) * sizeof *r->objs);
            r->n_objs -= r->at_obj;
            r->at_obj = 0;
        }
        r->objs = mem_realloc(r->objs, (r->n_objs + l->n) * sizeof(struct store_obj *));
        for (size_t i = 0; i < l->n; i++) {
            if (!req_matches_once(r, l->v[i]))
                continue;
            if (limit && r->n_objs == limit) { /* one too many: the next page begins with it */
                r->more = true;
                break;
            }
            r->objs[r->n_objs++] = store_obj_ref(l->v[i]);
        }
        if (l->n && r->more) { /* behind the last one served, or the last one looked at */
            struct store_obj *last =
                limit && r->n_objs == limit ? r->objs[r->n_objs - 1] : l->v[l->n - 1];

            buf_clear(&r->after);
            if (buf_add_str(&r->after, store_obj_key(last)))
                r->err = (struct err){ .code = ERR_LIMIT, .text = "key is too long to continue" };
        }
    }
    api_step(r);
}

/* Upstream's answer for a token whose revision is gone: with another token, for who can live with
 * an inconsistent rest. */
static void answer_expired(struct api_req *r)
{
    json_t *s;

    if (!*r->params.continue_) {
        req_status(r, status_new(STATUS_EXPIRED, "The resourceVersion for the provided list is too "
                                                 "old."));
        return;
    }
    s = status_new(STATUS_EXPIRED,
                   "The provided continue parameter is too old to display a consistent list "
                   "result. You can start a new list without the continue parameter, or use the "
                   "continue token in this response to retrieve the remainder of the results. "
                   "Continuing with the provided token results in an inconsistent list - objects "
                   "that were created, modified, or deleted between the time the first chunk was "
                   "returned and now may show up in the list.");
    auto_free char *token = cursor_text(-1, buf_str(&r->after));
    json_object_set_new(json_object_get(s, "metadata"), "continue", json_string(token));
    req_status(r, s);
}

/* Protobuf puts the length of a list before its items. So that a long list is never in memory as a
 * whole, each item is encoded twice: here, to be measured, and again when it goes out. */
struct list_size {
    size_t at_obj, items_bytes;
};

/* False: answered, or there is more to measure in the next turn. */
static bool measure(struct api_req *r)
{
    struct encode_form f = req_form(r);
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    size_t read_bytes = 0;
    struct err e;

    if (!r->size)
        r->size = mem_alloc(sizeof *r->size);
    for (; r->size->at_obj < r->n_objs; r->size->at_obj++) {
        struct store_obj *o = r->objs[r->size->at_obj];

        if (read_bytes >= LIST_PIECE_BYTES) {
            req_step_later(r);
            return false;
        }
        buf_clear(&b);
        if (encode_list_item(&b, &f, store_obj_value(o), o->mod_rev, false, &e)) {
            req_err(r, &e);
            return false;
        }
        r->size->items_bytes += b.n;
        read_bytes += store_obj_value(o).n;
    }
    return true;
}

static void fail_sending(struct api_req *r, const struct err *e)
{
    if (!r->answered) {
        req_err(r, e);
        return;
    }
    r->state = REQ_DONE;
    r->sink->abort(r); /* half a list must not look like a whole one */
}

/* Sends what fits; the whole answer at once when it is short. */
static void send_more(struct api_req *r)
{
    struct encode_form f = req_form(r);
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    bool whole = reply_is_dressed(r);
    struct err e;

    if (f.proto && !r->answered && !measure(r))
        return;
    f.items_bytes = r->size ? r->size->items_bytes : 0;

    if (!r->sent_head &&
        encode_list_head(&b, &f, r->list_rev, r->continue_ ? r->continue_ : "", r->n_remaining, &e))
        goto fail;
    r->sent_head = true;
    if (r->more && is_paged(r) && !r->n_pending && r->n_objs - r->at_obj <= LIST_CHUNK)
        read_page(r); /* while this one goes out */
    while (r->at_obj < r->n_objs) {
        struct store_obj *o = r->objs[r->at_obj];

        if (b.n > LIST_PIECE_BYTES && r->http && !(whole && b.n < LIST_WHOLE_BYTES)) {
            reply_piece(r, buf_str(&b));
            buf_clear(&b);
            if (r->state == REQ_DONE || r->sink->queued(r) > STREAM_HIGH_BYTES)
                return; /* read_drain goes on */
        }
        if (encode_list_item(&b, &f, store_obj_value(o), o->mod_rev, !r->sent_any, &e)) {
            err_wrap(&e, "%s", o->key);
            goto fail;
        }
        r->sent_any = true;
        r->at_obj++;
        store_obj_unref(o);
    }
    if (r->more && is_paged(r)) { /* on_list goes on */
        if (!r->n_pending)
            read_page(r);
        if (b.n)
            reply_piece(r, buf_str(&b));
        return;
    }
    if (encode_list_tail(&b, &f, &e))
        goto fail;
    reply_last(r, buf_str(&b));
    return;
fail:
    fail_sending(r, &e);
}

static void list_start(struct api_req *r)
{
    const struct params *p = &r->params;
    struct err e;
    const char *name;

    if (!req_selectors(r) || !req_not_from_the_future(r))
        return;
    name = field_selector_requires(r->fields, "metadata.name");
    r->key = resource_prefix(r->kind, req_ns(r));
    if (*p->continue_) {
        if (cursor_parse(p->continue_, str_of(r->key), &r->list_rev, &r->after, &e)) {
            req_status(r, status_new(STATUS_BAD_REQUEST, "invalid continue token: %s", e.text));
            return;
        }
        if (r->list_rev < 0)
            r->list_rev = 0;
    } else if (strcmp(p->resource_version_match, "Exact") == 0 ||
               (p->limit && p->resource_version && !*p->resource_version_match)) {
        r->list_rev = p->resource_version;
    }
    if (name && !r->list_rev && *name &&
        (*req_ns(r) || !r->kind->namespaced)) { /* at most one: its own key is the prefix */
        free(r->key);
        r->key = resource_key(r->kind, req_ns(r), name);
    }
    list_more(r);
}

static void list_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_START:
        list_start(r);
        return;
    case REQ_LIST:
        if (r->err.code == ERR_EXPIRED)
            answer_expired(r);
        else if (r->err.code)
            req_err(r, &r->err);
        else if (r->more && r->params.limit && r->n_objs < (size_t)r->params.limit)
            list_more(r); /* the selector left too few: on, at the same revision */
        else {
            if (r->more && r->params.limit)
                r->continue_ = cursor_text(r->list_rev, buf_str(&r->after));
            else
                r->n_remaining = -1;
            req_move(r, REQ_SEND);
            send_more(r);
        }
        return;
    case REQ_SEND:
        if (r->err.code)
            fail_sending(r, &r->err);
        else
            send_more(r);
        return;
    default:
        return;
    }
}

void read_drain(struct api_req *r)
{
    if (r->state == REQ_SEND)
        send_more(r);
}

void read_listed(struct api_req *r, struct store_obj **objs_take, size_t n)
{
    r->objs = objs_take;
    r->n_objs = n;
    r->n_remaining = -1;
    req_move(r, REQ_LIST);
    req_move(r, REQ_SEND);
    send_more(r);
}

void read_step(struct api_req *r)
{
    if (component_is(r->kind) && r->state == REQ_START)
        component_step(r);
    else if (r->verb == VERB_GET)
        get_step(r);
    else
        list_step(r);
}
