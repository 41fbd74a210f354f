/*
 * Deletecollection: a list, and one delete for each of its objects, a few at a time. Who may delete
 * the collection may delete its objects, so these deletes are made as system:masters.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/status.h"
#include "server/api/cursor.h"
#include "server/api/remove.h"

#define PARALLEL 16 /* one commit holds as many of them as wait for it */

static void delete_next(struct api_req *r);

static void on_deleted(void *arg, int code, json_t *doc)
{
    struct api_req *r = arg;

    if (!write_call_ended(r))
        return;
    if (code >= 400 && code != 404 && !r->obj) /* gone already is as good */
        r->obj = json_incref(doc);
    delete_next(r);
}

/* What was there, as upstream answers. */
static void answer_list(struct api_req *r)
{
    struct encode_form f = req_form(r);
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    struct err e;
    auto_buf items = BUF(API_ANSWER_MAX_BYTES);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->n_objs; i++)
        rc = encode_list_item(&items, &f, store_obj_value(r->objs[i]), r->objs[i]->mod_rev, i == 0,
                              &e);
    f.items_bytes = items.n;
    if (rc == 0)
        rc = encode_list_head(&b, &f, r->list_rev, r->continue_ ? r->continue_ : "", -1, &e);
    if (rc == 0 && buf_add_str(&b, buf_str(&items)))
        rc = err_set(&e, ERR_LIMIT, "answer is too large");
    if (rc || encode_list_tail(&b, &f, &e))
        req_err(r, &e);
    else
        req_text(r, 200, req_media_type(r), buf_str(&b));
}

/* False: answered. */
static bool delete_one(struct api_req *r, const struct store_obj *o)
{
    struct str name = store_obj_key(o), head, path, query;
    auto_buf target = BUF(HTTP_TARGET_MAX_BYTES);

    while (str_cut(name, '/', &head, &name))
        ;
    name = head;
    str_cut(str_of(r->target), '?', &path, &query);
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    if (buf_add_str(&target, path) || buf_addc(&target, '/') || url_encode(&target, name) ||
        (r->params.dry_run && buf_adds(&target, "?dryRun=All"))) {
        json_decref(r->obj);
        r->obj = status_new(STATUS_INTERNAL_ERROR, "name is too long to delete");
        return false;
    }
    r->n_pending++;
    api_call(r->api, identity_masters(), "DELETE", buf_cstr(&target), NULL, r->opts, on_deleted, r);
    return true;
}

/* r->n_remaining is the next one, r->obj the first refusal: then no more are begun. */
static void delete_next(struct api_req *r)
{
    while (!r->obj && r->n_pending < PARALLEL && r->n_remaining < (int64_t)r->n_objs)
        if (!delete_one(r, r->objs[r->n_remaining++]))
            break;
    if (r->n_pending)
        return;
    if (r->obj)
        req_status(r, json_incref(r->obj));
    else
        answer_list(r);
}

/* The first ones of the list, as many as the client wants. */
static void cut(struct api_req *r)
{
    size_t limit = (size_t)r->params.limit;

    if (!limit || r->n_objs <= limit)
        return;
    r->continue_ = cursor_text(r->list_rev, store_obj_key(r->objs[limit - 1]));
    for (size_t i = limit; i < r->n_objs; i++)
        store_obj_unref(r->objs[i]);
    r->n_objs = limit;
}

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    req_listed(arg, l, req_matches_once, e);
}

static void list(struct api_req *r)
{
    int64_t ignored_rev;
    struct err e;

    r->key = resource_prefix(r->kind, req_ns(r));
    if (*r->params.continue_ &&
        cursor_parse(r->params.continue_, str_of(r->key), &ignored_rev, &r->after, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return;
    }
    struct store_list_opts o = { .after = buf_str(&r->after) };
    req_move(r, REQ_LIST);
    r->n_pending++;
    store_list(r->api->store, str_of(r->key), &o, on_list, r);
}

void remove_many_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        if (remove_options(r) && req_selectors(r))
            list(r);
        break;
    case REQ_LIST:
        if (r->err.code) {
            req_err(r, &r->err);
            return;
        }
        r->n_remaining = 0;
        cut(r);
        delete_next(r);
        break;
    default:
        break;
    }
}
