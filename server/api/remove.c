/*
 * Delete (registry/rest/delete.go, registry/generic/registry/store.go): an object goes at once, or
 * it gets a deletionTimestamp and stays until its grace is over (a pod on a node: the kubelet
 * deletes it with grace 0), its finalizers are gone or its controller is done.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/remove.h"

/* False: answered. */
static bool check_preconditions(struct api_req *r)
{
    const char *uid = json_str_at(r->opts, "preconditions.uid", NULL);
    const char *rv = json_str_at(r->opts, "preconditions.resourceVersion", NULL);
    auto_free char *why = NULL;

    if (uid && strcmp(uid, meta_uid(r->old_doc)) != 0)
        why = mem_printf("the UID in the precondition (%s) does not match the UID in record (%s). "
                         "The object might have been deleted and then recreated",
                         uid, meta_uid(r->old_doc));
    else if (rv && strcmp(rv, meta_str(r->old_doc, "resourceVersion")) != 0)
        why = mem_printf("the ResourceVersion in the precondition (%s) does not match the "
                         "ResourceVersion in record (%s). The object might have been modified",
                         rv, meta_str(r->old_doc, "resourceVersion"));
    if (!why)
        return true;
    req_status(r, status_conflict(r->kind->group, r->kind->kind, r->name, why)); /* its kind */
    return false;
}

/* False: answered. */
static bool check_allowed(struct api_req *r)
{
    struct err e;

    if (!r->hooks->check_delete || !r->hooks->check_delete(r->old_doc, &e))
        return write_admit(r, "delete", NULL, r->old_doc, false);
    if (e.code == ERR_DENIED)
        req_status(r, status_forbidden(r->kind->group, r->kind->plural, r->name, e.text));
    else
        req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, e.text));
    return false;
}

/* ---- what the delete makes of the object ---- */

static void mark(json_t *obj, int64_t at_unix_s, int64_t grace_s)
{
    char text[TIME_TEXT_BYTES];

    if (!meta_is_deleting(obj) && meta_generation(obj) > 0)
        meta_set_int(obj, "generation", meta_generation(obj) + 1);
    time_text_s(text, at_unix_s);
    meta_set_str(obj, "deletionTimestamp", text);
    meta_set_int(obj, "deletionGracePeriodSeconds", grace_s);
}

/* Ends at once. A deletionTimestamp that has passed stays. */
static void mark_now(json_t *obj)
{
    int64_t now = clock_wall_s(), ends_us;

    if (meta_is_deleting(obj) && time_parse(&ends_us, str_of(meta_str(obj, "deletionTimestamp"))) &&
        ends_us / 1000000 <= now)
        meta_set_int(obj, "deletionGracePeriodSeconds", 0);
    else
        mark(obj, now, 0);
}

enum grace { GRACE_NONE, GRACE_GIVEN, GRACE_PENDING };

/* BeforeDelete: GIVEN marks obj; PENDING: it is on its way, and not slower than asked for. */
static enum grace give_grace(struct api_req *r, json_t *obj, int64_t *grace_s)
{
    int64_t asked = json_i64_at(r->opts, "gracePeriodSeconds", -1), ends_us;
    int64_t given = json_i64_at(obj, "metadata.deletionGracePeriodSeconds", 0);

    *grace_s = 0;
    if (!r->hooks->grace_s)
        return GRACE_NONE;
    if (!meta_is_deleting(obj)) {
        *grace_s = r->hooks->grace_s(obj, asked);
        mark(obj, clock_wall_s() + *grace_s, *grace_s);
        return GRACE_GIVEN;
    }
    if (given == 0)
        return GRACE_NONE;
    if (asked < 0 || asked >= given)
        return GRACE_PENDING;
    *grace_s = asked; /* a shorter grace counts from the first request */
    if (time_parse(&ends_us, str_of(meta_str(obj, "deletionTimestamp"))))
        mark(obj, ends_us / 1000000 - given + asked, asked);
    return GRACE_GIVEN;
}

/* Neither finalizers nor grace: does its controller hold it? */
static bool is_held(const struct resource_hooks *hooks, json_t *obj)
{
    if (hooks->begin_delete && !meta_is_deleting(obj))
        return hooks->begin_delete(obj);
    return hooks->is_finished && !hooks->is_finished(obj);
}

/* ---- answers ---- */

/* The object is still there. A client of before propagationPolicy is told so by its code. */
static int code_of(const struct api_req *r)
{
    return json_is_false(json_object_get(r->opts, "orphanDependents")) ? 202 : 200;
}

static void answer_object(struct api_req *r)
{
    req_object(r, code_of(r), store_obj_value(r->old), r->old->mod_rev);
}

/* The kinds whose stores have ReturnDeletedObject: others answer a Status. */
static bool returns_object(const struct api_req *r)
{
    static const char *const core[] = { "persistentvolumes", "persistentvolumeclaims",
                                        "podtemplates", "resourcequotas", "services" };

    if (r->hooks->returns_deleted)
        return true;
    for (size_t i = 0; !*r->kind->group && i < ARRAY_LEN(core); i++)
        if (strcmp(core[i], r->kind->plural) == 0)
            return true;
    return false;
}

/* ---- steps ---- */

static void remove_apply(struct api_req *r)
{
    int64_t grace_s;

    if (!r->old) {
        req_not_found(r, r->name);
        return;
    }
    if (!write_parse_old(r) || !check_preconditions(r) || !check_allowed(r))
        return;
    json_t *obj = json_deep_copy(r->old_doc);
    write_set(r, obj);
    enum grace g = give_grace(r, obj, &grace_s);
    if (g == GRACE_PENDING) {
        answer_object(r);
        return;
    }
    remove_set_finalizers(r->kind, obj, r->opts);
    bool held = is_held(r->hooks, obj), stays = meta_has_finalizers(obj) || grace_s > 0 || held;
    if (stays && g == GRACE_NONE)
        mark_now(obj);
    r->removes = !stays;
    if (stays && json_equal(obj, r->old_doc)) {
        answer_object(r);
        return;
    }
    r->text = encode_stored(r->kind, obj);
    write_commit(r);
}

static void commit_done(struct api_req *r)
{
    if (r->err.code == ERR_CONFLICT && ++r->n_tries < WRITE_TRIES_MAX) {
        r->err = (struct err){ 0 };
        r->removes = false;
        req_move(r, REQ_READ);
        remove_apply(r); /* on the object that won; preconditions are looked at again */
    } else if (r->err.code == ERR_CONFLICT) {
        write_conflict(r);
    } else if (r->err.code == ERR_NOT_FOUND) {
        req_not_found(r, r->name);
    } else if (r->err.code) {
        req_commit_err(r, &r->err);
    } else if (r->removes && !returns_object(r)) {
        req_doc(r, 200,
                status_deleted(r->kind->group, r->kind->plural, r->name, meta_uid(r->old_doc)));
    } else {
        req_object(r, r->removes ? 200 : code_of(r), str_of(r->text), r->list_rev);
    }
}

void remove_step(struct api_req *r)
{
    if (r->verb == VERB_DELETECOLLECTION) {
        remove_many_step(r);
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
        if (!remove_options(r))
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
