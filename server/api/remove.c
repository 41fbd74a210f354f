/*
 * Delete (registry/rest/delete.go, BeforeDelete): an object goes at once, or it gets a
 * deletionTimestamp and stays until its grace is over (a pod on a node: the kubelet deletes it with
 * grace 0), its finalizers are gone or its controller is done. Deletecollection is a list and one
 * delete after the other.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/http/url.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/write.h"
#include "server/schema/decode.h"

#define TRIES_MAX 8

/* DeleteOptions of the body over those of the query. False: answered. */
static bool parse_options(struct api_req *r)
{
    const struct params *p = &r->params;
    const char *policy;
    struct err e;

    const struct schema_type *t = schema_builtin_type("meta/v1", "DeleteOptions");

    if (!write_body(r, t, false))
        return false;
    r->opts = r->in ? r->in : json_object();
    r->in = NULL;
    buf_deinit(&r->body);
    const char *kind = json_str_at(r->opts, "kind", "");
    if (*kind && strcmp(kind, "DeleteOptions") != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the body of a delete must be DeleteOptions, not %s", kind));
        return false;
    }
    json_object_del(r->opts, "kind");
    json_object_del(r->opts, "apiVersion");
    if (t && decode_value(t, r->opts, (struct str){ 0 }, DECODE_WARN, &r->notes, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    if (p->grace_period_s >= 0 && !json_object_get(r->opts, "gracePeriodSeconds"))
        json_object_set_new(r->opts, "gracePeriodSeconds", json_integer(p->grace_period_s));
    if (*p->propagation_policy && !json_object_get(r->opts, "propagationPolicy"))
        json_object_set_new(r->opts, "propagationPolicy", json_string(p->propagation_policy));
    policy = json_str_at(r->opts, "propagationPolicy", "");
    if (*policy && strcmp(policy, "Background") != 0 && strcmp(policy, "Foreground") != 0 &&
        strcmp(policy, "Orphan") != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "propagationPolicy: Unsupported value: \"%s\": supported values: "
                                 "\"Background\", \"Foreground\", \"Orphan\"",
                                 policy));
        return false;
    }
    if (json_i64_at(r->opts, "gracePeriodSeconds", 0) < 0)
        json_object_set_new(r->opts, "gracePeriodSeconds", json_integer(1)); /* as upstream */
    if (json_array_size(json_object_get(r->opts, "dryRun")))
        r->params.dry_run = true;
    return true;
}

/* False: answered. */
static bool check_preconditions(struct api_req *r)
{
    const char *uid = json_str_at(r->opts, "preconditions.uid", NULL);
    const char *rv = json_str_at(r->opts, "preconditions.resourceVersion", NULL);
    auto_free char *why = NULL;

    if (uid && strcmp(uid, meta_uid(r->old_doc)) != 0)
        why = mem_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s",
                         uid, meta_uid(r->old_doc));
    else if (rv && strcmp(rv, meta_str(r->old_doc, "resourceVersion")) != 0)
        why = mem_printf("Precondition failed: ResourceVersion in precondition: %s, "
                         "ResourceVersion in object meta: %s",
                         rv, meta_str(r->old_doc, "resourceVersion"));
    if (!why)
        return true;
    req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, why));
    return false;
}

static void mark(json_t *obj, int64_t at_unix_s, int64_t grace_s)
{
    char text[TIME_TEXT_BYTES];

    time_text_s(text, at_unix_s);
    meta_set_str(obj, "deletionTimestamp", text);
    meta_set_int(obj, "deletionGracePeriodSeconds", grace_s);
    if (meta_generation(obj) > 0)
        meta_set_int(obj, "generation", meta_generation(obj) + 1);
}

static void answer_object(struct api_req *r)
{
    req_object(r, 200, store_obj_value(r->old), r->old->mod_rev);
}

static void remove_apply(struct api_req *r)
{
    int64_t asked = json_i64_at(r->opts, "gracePeriodSeconds", -1), grace, now = clock_wall_s();
    struct err e;

    if (!r->old) {
        req_not_found(r, r->name);
        return;
    }
    if (!write_parse_old(r) || !check_preconditions(r))
        return;
    if (r->hooks->check_delete && r->hooks->check_delete(r->old_doc, &e)) {
        if (e.code == ERR_DENIED)
            req_status(r, status_forbidden(r->kind->group, r->kind->plural, r->name, e.text));
        else
            req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, e.text));
        return;
    }
    if (!write_admit(r, "delete", NULL, r->old_doc, false))
        return;
    json_decref(r->obj);
    r->obj = json_deep_copy(r->old_doc);
    bool deleting = meta_is_deleting(r->obj), finalizers = meta_has_finalizers(r->obj);
    int64_t given = json_i64_at(r->obj, "metadata.deletionGracePeriodSeconds", 0);

    grace = r->hooks->grace_s ? r->hooks->grace_s(r->obj, asked) : 0;
    if (deleting && given > 0 && (asked < 0 || grace >= given)) {
        answer_object(r); /* it is on its way, and not slower than asked for */
        return;
    }
    if (grace > 0) {
        int64_t ends_us;

        if (deleting && time_parse(&ends_us, str_of(meta_str(r->obj, "deletionTimestamp"))))
            now = ends_us / 1000000 - given; /* a shorter grace counts from the first request */
        mark(r->obj, now + grace, grace);
    } else {
        bool stays = finalizers ||
                     (r->hooks->begin_delete && !deleting && r->hooks->begin_delete(r->obj)) ||
                     (deleting && r->hooks->is_finished && !r->hooks->is_finished(r->obj));

        if (stays && deleting && given == 0) {
            answer_object(r);
            return;
        }
        if (stays)
            mark(r->obj, now, 0);
        r->removes = !stays;
    }
    free(r->text);
    r->text = encode_stored(r->kind, r->obj);
    write_commit(r);
}

static void commit_done(struct api_req *r)
{
    if (r->err.code == ERR_CONFLICT && ++r->n_tries < TRIES_MAX) {
        r->err = (struct err){ 0 };
        r->removes = false;
        req_move(r, REQ_READ);
        remove_apply(r); /* on the object that won; preconditions are looked at again */
    } else if (r->err.code == ERR_CONFLICT) {
        req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, NULL));
    } else if (r->err.code == ERR_NOT_FOUND) {
        req_not_found(r, r->name);
    } else if (r->err.code) {
        req_commit_err(r, &r->err);
    } else if (r->removes && !r->hooks->returns_deleted) {
        req_doc(r, 200,
                status_deleted(r->kind->group, r->kind->plural, r->name, meta_uid(r->old_doc)));
    } else {
        req_object(r, 200, str_of(r->text), r->list_rev);
    }
}

/* ---- deletecollection ---- */

static void delete_next(struct api_req *r);

static void on_deleted(void *arg, int code, json_t *doc)
{
    struct api_req *r = arg;

    r->n_pending--;
    if (r->gone) {
        req_release(r);
        return;
    }
    if (r->state == REQ_DONE) /* the deadline has answered it */
        return;
    if (code >= 400 && code != 404) { /* gone already is as good */
        req_status(r, json_incref(doc));
        return;
    }
    delete_next(r);
}

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
        rc = encode_list_head(&b, &f, r->list_rev, "", -1, &e);
    if (rc == 0 && buf_add_str(&b, buf_str(&items)))
        rc = err_set(&e, ERR_LIMIT, "answer is too large");
    if (rc || encode_list_tail(&b, &f, &e))
        req_err(r, &e);
    else
        req_text(r, 200, req_media_type(r), buf_str(&b));
}

static void delete_next(struct api_req *r)
{
    if (r->n_remaining >= (int64_t)r->n_objs) {
        answer_list(r);
        return;
    }
    struct store_obj *o = r->objs[r->n_remaining++];
    struct str name = store_obj_key(o), head, path, query;
    auto_buf target = BUF(HTTP_TARGET_MAX_BYTES);

    while (str_cut(name, '/', &head, &name))
        ;
    name = head;
    str_cut(str_of(r->target), '?', &path, &query);
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    if (buf_add_str(&target, path) || buf_addc(&target, '/') || url_encode(&target, name)) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR, "name is too long to delete"));
        return;
    }
    if (r->params.dry_run && buf_adds(&target, "?dryRun=All")) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR, "name is too long to delete"));
        return;
    }
    r->n_pending++;
    api_call(r->api, identity_ref(r->id), "DELETE", buf_cstr(&target), NULL, r->opts, on_deleted,
             r);
}

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    req_listed(arg, l, req_matches_once, e);
}

static void collection_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        if (!parse_options(r) || !req_selectors(r))
            return;
        r->key = resource_prefix(r->kind, req_ns(r));
        req_move(r, REQ_LIST);
        r->n_pending++;
        store_list(r->api->store, str_of(r->key), &(struct store_list_opts){ 0 }, on_list, r);
        break;
    case REQ_LIST:
        if (r->err.code) {
            req_err(r, &r->err);
            return;
        }
        r->n_remaining = 0; /* the next one to delete */
        delete_next(r);
        break;
    default:
        break;
    }
}

void remove_step(struct api_req *r)
{
    if (r->verb == VERB_DELETECOLLECTION) {
        collection_step(r);
        return;
    }
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        if (r->sub) {
            req_status(r, status_method_not_allowed(r->kind->group, r->kind->plural, "delete"));
            return;
        }
        r->name = mem_strdup(r->route.name);
        if (!parse_options(r))
            return;
        r->key = resource_key(r->kind, req_ns(r), r->name);
        req_read(r);
        break;
    case REQ_READ:
        remove_apply(r);
        break;
    case REQ_COMMIT:
        commit_done(r);
        break;
    default:
        break;
    }
}
