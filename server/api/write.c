/*
 * Create, update and patch, and the small subresources that are updates in disguise (binding,
 * finalize). An update is built anew on the current object each time the commit loses a race,
 * unless the client named the version it meant.
 */
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/charge.h"
#include "server/api/claims.h"
#include "server/api/request.h"
#include "server/api/write.h"
#include "server/resource/service_claims.h"
#include "server/resource/warn.h"
#include "server/schema/defaults.h"
#include "server/schema/validate.h"

static bool sub_is(const struct api_req *r, const char *name)
{
    return r->sub && strcmp(r->sub->name, name) == 0;
}

/* ---- commit ---- */

void write_give_back(struct api_req *r)
{
    if (r->taken)
        r->hooks->undo(&r->api->env, r->taken);
    json_decref(r->taken);
    r->taken = NULL;
}

static void on_commit(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    struct api_req *r = arg;

    r->n_pending--;
    r->err = e ? *e : (struct err){ 0 };
    r->list_rev = rev;
    if (charge_lost(r, failed, current, rev, e) && r->state == REQ_COMMIT) {
        r->err = (struct err){ 0 };
        req_move(r, REQ_QUOTA);
        api_step(r);
        return;
    }
    charge_leave(r);
    r->claim_lost = failed > 0 && e && (e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND);
    if (!e && r->hooks->after_commit)
        r->hooks->after_commit(&r->api->env, r->removes ? NULL : r->obj, r->old_doc);
    if (e && e->code != ERR_TIMEOUT) /* then it may still be stored */
        write_give_back(r);
    json_decref(r->taken);
    r->taken = NULL;
    if (r->claim_lost) {
        r->claims_kept = e->code == ERR_NOT_FOUND;
        err_set(&r->err, ERR_CONFLICT, "provided address or node port is already allocated");
    } else if (e && e->code == ERR_CONFLICT) { /* saves a read */
        store_obj_unref(r->old);
        r->old = current ? store_obj_ref(current) : NULL;
    }
    api_step(r);
}

void write_commit(struct api_req *r)
{
    auto_free struct service_claims *claims = NULL;
    struct store_op ops[STORE_OPS_MAX];
    size_t n = 1;
    struct err e;

    ops[0] = (struct store_op){
        .kind = r->removes ? STORE_DELETE
                : r->old   ? STORE_UPDATE
                           : STORE_CREATE,
        .key = str_of(r->key),
        .value = str_of(r->removes ? NULL : r->text),
        .if_mod_rev = r->old ? r->old->mod_rev : 0,
        .ephemeral = r->kind->ephemeral,
    };

    req_move(r, REQ_COMMIT);
    if (r->params.dry_run) {
        write_give_back(r);
        r->list_rev = r->old ? r->old->mod_rev : 0;
        api_step(r);
        return;
    }
    if (r->hooks->claims && store_is_shared(r->api->store)) {
        claims = mem_alloc(sizeof *claims);
        if (claims_add(r, claims, ops, &n, &e)) {
            write_give_back(r);
            req_err(r, &e);
            return;
        }
    }
    if (charge_add(r, ops, &n, &e)) {
        write_give_back(r);
        req_err(r, &e);
        return;
    }
    r->n_pending++;
    store_commit(r->api->store, ops, n, on_commit, r);
}

/* The old object as a document with its version. False: answered. */
bool write_parse_old(struct api_req *r)
{
    struct err e;

    json_decref(r->old_doc);
    r->old_doc = NULL;
    if (!encode_parse(&r->old_doc, r->kind, store_obj_value(r->old), r->old->mod_rev, &e))
        return true;
    err_wrap(&e, "%s", r->key);
    req_err(r, &e);
    return false;
}

void write_set(struct api_req *r, json_t *obj_take)
{
    json_decref(r->obj);
    r->obj = obj_take;
    free(r->text);
    r->text = NULL;
}

void write_track(struct api_req *r, const json_t *live, json_t *obj)
{
    struct write_by w;

    write_by_init(&w, r);
    managed_update(r->kind, &w.by, live, obj);
}

/* ---- create ---- */

static void on_namespace(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct api_req *r = arg;

    (void)rev;
    r->n_pending--;
    r->err = e && e->code != ERR_NOT_FOUND ? *e : (struct err){ 0 };
    store_obj_unref(r->old);
    r->old = o ? store_obj_ref(o) : NULL;
    api_step(r);
}

static const struct schema_kind *namespaces(struct api_req *r)
{
    return schema_find(r->api->schema, STR(""), STR("v1"), STR("namespaces"));
}

/* Goes on in NAMESPACE with r->old being the Namespace. */
static void read_namespace(struct api_req *r)
{
    auto_free char *key = resource_key(namespaces(r), "", r->route.namespace_);

    req_move(r, REQ_NAMESPACE);
    r->old = store_peek(r->api->store, str_of(key));
    if (r->old) {
        api_step(r);
        return;
    }
    r->n_pending++;
    store_get(r->api->store, str_of(key), on_namespace, r);
}

/* False: answered. Drops r->old. */
static bool check_home(struct api_req *r)
{
    const json_t *ns = r->old ? req_parsed(r->api, r->old, namespaces(r)) : NULL;
    bool deleting = ns && meta_is_deleting(ns);

    store_obj_unref(r->old);
    r->old = NULL;
    if (!ns) {
        req_status(r, status_not_found("", "namespaces", r->route.namespace_));
        return false;
    }
    if (deleting) {
        auto_free char *why = mem_printf("unable to create new content in namespace %s because it "
                                         "is being terminated",
                                         r->route.namespace_);
        json_t *s = status_forbidden(r->kind->group, r->kind->plural, meta_name(r->in), why);
        json_t *causes = json_array();

        status_cause_add(causes, "NamespaceTerminating", "metadata.namespace",
                         "namespace %s is being terminated", r->route.namespace_);
        json_object_set_new(json_object_get(s, "details"), "causes", causes);
        req_status(r, s);
        return false;
    }
    return true;
}

/* A hook could not prepare the object: a wrong field, or something ran out. */
static void answer_unprepared(struct api_req *r, const struct err *e)
{
    auto_field_errors fe = { 0 };

    if (e->code != ERR_INVALID && e->code != ERR_EXISTS && e->code != ERR_LIMIT) {
        req_err(r, e);
        return;
    }
    field_add(&fe, FIELD_INVALID, FIELD_AT(NULL, "spec"), "%s", e->text);
    req_invalid(r, r->name, &fe);
}

/* What the object asks for is taken. False: answered. */
static bool allocate(struct api_req *r, json_t *obj, const json_t *old)
{
    auto_field_errors fe = { 0 };
    struct err e;

    if (r->hooks->allocate && r->hooks->allocate(&r->api->env, obj, old, &r->taken, &fe, &e)) {
        e.code = ERR_IO; /* upstream answers 500 when a range is full */
        req_err(r, &e);
        return false;
    }
    if (fe.n)
        req_invalid(r, r->name, &fe);
    return !fe.n;
}

/* What a client should know of r->obj; fe: what is wrong in it, but may stay. */
static void warn_of(struct api_req *r, const json_t *old, const struct field_errors *fe)
{
    decode_notes_cut(&r->notes, r->n_read_notes); /* of an object that lost a race */
    for (size_t i = 0; i < fe->n_warnings; i++)
        decode_notes_add(&r->notes, "%s", fe->warnings[i]);
    if (!r->sub)
        warn_object(r->kind, r->obj, old, &r->notes);
}

/* A client may not choose it: what is left is what upstream writes of an empty one. */
static void reset_status(const struct api_req *r, json_t *obj)
{
    const struct schema_field *f = schema_field(r->kind->type, "status");
    struct decode_notes none = { 0 };
    json_t *status = json_object();
    struct err e;

    if (r->kind->custom) { /* no Go struct that would always be there */
        json_decref(status);
        json_object_del(obj, "status");
        return;
    }
    if (f && f->type->shape == SCHEMA_STRUCT) /* nothing in it can be wrong */
        err_ignore(decode_value(f->type, status, (struct str){ 0 }, DECODE_IGNORE, &none, &e));
    json_object_set_new(obj, "status", status);
}

/* New; NULL: answered. The document itself goes where no other try can follow this one. */
static json_t *create_from(struct api_req *r)
{
    bool once = r->verb == VERB_CREATE && !r->hooks->claims && !*meta_str(r->in, "generateName");

    if (write_is_apply(r))
        return write_applied(r);
    return once ? STEAL(r->in) : json_deep_copy(r->in);
}

/* Makes the object anew each time: a generated name may be taken, an apply may find none any more.
 */
static void create_build(struct api_req *r)
{
    json_t *obj = create_from(r);
    const char *prefix = meta_str(obj, "generateName");
    auto_field_errors fe = { 0 };
    char name[64];
    struct err e;

    if (!obj)
        return;
    write_set(r, obj);
    if (write_is_apply(r) && (!write_check_namespace(r, obj) || !write_check_name(r, obj)))
        return;
    if (!*meta_name(obj) && *prefix) {
        meta_generate_name(name, prefix);
        meta_set_str(obj, "name", name);
    }
    free(r->name);
    r->name = mem_strdup(meta_name(obj));
    meta_init_new(obj, clock_wall_s());
    json_object_del(meta_of(obj), "generation");
    if (r->kind->generation)
        meta_set_int(obj, "generation", 1);
    if (schema_find_sub(r->kind, STR("status")) && !r->hooks->keeps_status)
        reset_status(r, obj);
    strategy_create(r, obj);
    defaults_apply(r->kind, obj);
    /* what comes after this, nobody owns: upstream's order too */
    if (!write_is_apply(r))
        write_track(r, NULL, obj);
    if (!write_admit(r, "create", obj, NULL, true))
        return;
    if (r->hooks->prepare_create && r->hooks->prepare_create(&r->api->env, obj, &e)) {
        answer_unprepared(r, &e);
        return;
    }
    if (!allocate(r, obj, NULL))
        return;
    validate_create(r->kind, obj, &fe);
    if (r->hooks->validate)
        r->hooks->validate(&r->api->env, obj, &fe);
    if (fe.n || !write_admit(r, "create", obj, NULL, false)) {
        write_give_back(r);
        if (fe.n)
            req_invalid(r, r->name, &fe);
        return;
    }
    warn_of(r, NULL, &fe);
    free(r->key);
    r->key = resource_key(r->kind, req_ns(r), r->name);
    r->text = encode_stored(r->kind, obj);
    r->ok_code = 201;
    charge_commit(r);
}

static void create_start(struct api_req *r)
{
    if (!write_body(r, r->kind->type, true) ||
        !write_decode(r, r->kind, r->in, write_raw_json(r)) || !write_check_namespace(r, r->in))
        return;
    buf_deinit(&r->body);
    if (*meta_str(r->in, "resourceVersion") &&
        strcmp(meta_str(r->in, "resourceVersion"), "0") != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "resourceVersion should not be set on objects to be created"));
        return;
    }
    if (r->kind->namespaced) {
        read_namespace(r);
        return;
    }
    create_build(r);
}

/* ---- update and patch ---- */

bool write_is_unchanged(const struct api_req *r)
{
    struct str was = store_obj_value(r->old), is = str_of(r->text);

    if (is.n != was.n || str_eq(is, was))
        return is.n == was.n;
    json_auto_t *old = json_copy(r->old_doc);
    json_t *meta = json_copy(json_object_get(old, "metadata"));

    json_object_del(meta, "resourceVersion");
    json_object_set_new(old, "metadata", meta);
    return json_equal(old, r->obj);
}

void write_conflict(struct api_req *r)
{
    req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, NULL));
}

bool write_call_ended(struct api_req *r)
{
    r->n_pending--;
    if (r->gone)
        req_release(r);
    else
        return r->state != REQ_DONE; /* its deadline has answered it */
    return false;
}

void write_success(struct api_req *r)
{
    req_doc(r, 201,
            json_pack("{s:s, s:s, s:{}, s:s, s:i}", "kind", "Status", "apiVersion", "v1",
                      "metadata", "status", "Success", "code", 201));
}

/* Takes the new object and goes to COMMIT, or answers. */
static void update_build(struct api_req *r, json_t *obj_take)
{
    json_t *obj = obj_take;
    auto_field_errors fe = { 0 };
    bool status = sub_is(r, "status");
    const char *uid = meta_uid(obj);
    int64_t rev;
    struct err e;

    if (meta_resource_version(obj, &rev, &e)) {
        json_decref(obj);
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return;
    }
    if (*uid && strcmp(uid, meta_uid(r->old_doc)) != 0) {
        auto_free char *why =
            mem_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                       meta_uid(r->old_doc));

        json_decref(obj);
        req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, why));
        return;
    }
    if (rev && rev != r->old->mod_rev) {
        json_decref(obj);
        write_conflict(r);
        return;
    }
    if (!rev && r->verb == VERB_UPDATE && r->hooks->needs_version)
        field_invalid(&fe, FIELD_AT(FIELD_AT(NULL, "metadata"), "resourceVersion"), "0x0",
                      "must be specified for an update");
    meta_carry_over(obj, r->old_doc);
    defaults_apply(r->kind, obj);
    bool first = r->sub && !status; /* what it drops of the object, the writer does not own */
    if (first)
        obj = strategy_update(r, obj);
    if (!write_is_apply(r))
        write_track(r, r->old_doc, obj);
    if (!first)
        obj = strategy_update(r, obj);
    write_set(r, obj);
    int (*prepare)(struct resource_env *, json_t *, const json_t *, struct err *) =
        status   ? r->hooks->prepare_status
        : r->sub ? NULL
                 : r->hooks->prepare_update;
    if (prepare && prepare(&r->api->env, obj, r->old_doc, &e)) {
        answer_unprepared(r, &e);
        return;
    }
    if (!r->sub && !allocate(r, obj, r->old_doc))
        return;
    json_object_del(meta_of(obj), "generation");
    if (r->kind->generation) {
        bool bump = !r->sub && (strategy_differs(obj, r->old_doc) ||
                                (r->hooks->counts && r->hooks->counts(obj, r->old_doc)));

        if (r->kind->custom && !schema_find_sub(r->kind, STR("status"))) { /* then it counts too */
            const json_t *now = json_object_get(obj, "status");
            const json_t *was = json_object_get(r->old_doc, "status");

            bump = bump || (now && was ? !json_equal(now, was) : now != was);
        }
        meta_set_int(obj, "generation", meta_generation(r->old_doc) + bump);
    }
    if (!write_admit(r, "update", obj, r->old_doc, true)) {
        write_give_back(r);
        return;
    }
    if (status)
        validate_status(r->kind, obj, r->old_doc, &fe);
    else if (sub_is(r, "ephemeralcontainers"))
        validate_ephemeral(r->kind, obj, r->old_doc, &fe);
    else if (sub_is(r, "approval"))
        validate_approval(r->kind, obj, r->old_doc, &fe);
    else
        validate_update(r->kind, obj, r->old_doc, &fe);
    if (!r->sub && r->hooks->validate)
        r->hooks->validate(&r->api->env, obj, &fe);
    if (!r->sub && r->hooks->validate_update)
        r->hooks->validate_update(&r->api->env, obj, r->old_doc, &fe);
    if (fe.n || !write_admit(r, "update", obj, r->old_doc, false)) {
        write_give_back(r);
        if (fe.n)
            req_invalid(r, r->name, &fe);
        return;
    }
    warn_of(r, r->old_doc, &fe);
    managed_settle(obj, r->old_doc);
    r->text = encode_stored(r->kind, obj);
    r->ok_code = 200;
    /* the last finalizer of a deleted object is gone: so is the object */
    r->removes = meta_is_deleting(obj) && !meta_has_finalizers(obj) &&
                 json_i64_at(obj, "metadata.deletionGracePeriodSeconds", 0) == 0 &&
                 (!r->hooks->is_finished || r->hooks->is_finished(obj));
    if (!r->removes && write_is_unchanged(r)) {
        req_object(r, 200, store_obj_value(r->old), r->old->mod_rev); /* nothing changed */
        return;
    }
    charge_commit(r);
}

static void update_start(struct api_req *r)
{
    r->name = mem_strdup(r->route.name);
    if (write_is_apply(r)) {
        if (!write_apply_body(r))
            return;
    } else if (r->verb == VERB_PATCH) {
        if (!write_patch_body(r))
            return;
    } else {
        if (!write_body(r, r->kind->type, true) ||
            !write_decode(r, r->kind, r->in, write_raw_json(r)) ||
            !write_check_namespace(r, r->in) || !write_check_name(r, r->in))
            return;
    }
    buf_deinit(&r->body);
    r->key = resource_key(r->kind, req_ns(r), r->name);
    req_read(r);
}

/* r->old is what is there now. */
static void update_apply(struct api_req *r)
{
    json_t *obj;

    if (!r->old) {
        bool creates = write_is_apply(r) || (r->verb == VERB_UPDATE && r->kind->create_on_update &&
                                             !*meta_str(r->in, "resourceVersion"));

        if (!creates || r->sub)
            req_not_found(r, r->name);
        else if (r->kind->namespaced)
            read_namespace(r);
        else
            create_build(r);
        return;
    }
    if (!write_parse_old(r))
        return;
    if (write_is_apply(r)) {
        obj = write_applied(r);
        if (!obj)
            return;
    } else if (r->verb == VERB_UPDATE) {
        obj = json_deep_copy(r->in);
    } else {
        obj = write_patched(r, r->kind->type, r->old_doc);
        if (!obj)
            return;
        if (!write_decode_patched(r, r->kind, obj)) {
            json_decref(obj);
            return;
        }
    }
    if (strcmp(meta_name(obj), r->name) != 0 ||
        strcmp(meta_namespace(obj), meta_namespace(r->old_doc)) != 0) {
        json_decref(obj);
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the name or namespace of the object does not match the URL"));
        return;
    }
    update_build(r, obj);
}

bool write_names_version(const struct api_req *r)
{
    const char *v = json_is_object(r->in) ? json_str_at(r->in, "metadata.resourceVersion", "") : "";

    return *v && strcmp(v, "0") != 0;
}

/* Another server gave out the same address in the same moment: the next try finds it taken, or
 * chooses another one. */
static void claim_lost(struct api_req *r)
{
    struct err e = r->err;

    r->err = (struct err){ 0 };
    r->claim_lost = r->removes = false;
    if (++r->n_tries >= WRITE_TRIES_MAX) {
        e.code = ERR_EXISTS;
        answer_unprepared(r, &e);
    } else if (r->old) {
        req_move(r, REQ_READ);
        write_step(r);
    } else {
        create_build(r);
    }
}

static void commit_done(struct api_req *r)
{
    enum err_code code = r->err.code;

    if (code == 0) {
        if (r->removes)
            req_object(r, 200, str_of(r->text), r->list_rev);
        else
            req_object(r, r->ok_code, str_of(r->text), r->list_rev);
        return;
    }
    if (r->claim_lost) {
        claim_lost(r);
        return;
    }
    if (code == ERR_EXISTS && *meta_str(r->in, "generateName") && !*meta_name(r->in) &&
        ++r->n_tries < WRITE_TRIES_MAX) {
        r->err = (struct err){ 0 };
        create_build(r);
        return;
    }
    if (code == ERR_EXISTS && write_is_apply(r) && ++r->n_tries < WRITE_TRIES_MAX) {
        req_read(r); /* somebody made it meanwhile: it is laid over that one */
        return;
    }
    if (code == ERR_EXISTS) {
        req_status(r, status_already_exists(r->kind->group, r->kind->plural, r->name));
        return;
    }
    if (code == ERR_NOT_FOUND) {
        req_not_found(r, r->name);
        return;
    }
    if (code == ERR_CONFLICT && (write_names_version(r) || ++r->n_tries >= WRITE_TRIES_MAX)) {
        write_conflict(r);
        return;
    }
    if (code == ERR_CONFLICT) {
        r->err = (struct err){ 0 };
        r->removes = false;
        req_move(r, REQ_READ);
        write_step(r); /* on the object that won */
        return;
    }
    req_commit_err(r, &r->err);
}

void write_step(struct api_req *r)
{
    static const char *const updates[] = { "status", "finalize", "ephemeralcontainers",
                                           "approval" };
    bool served = !r->sub;

    if (sub_is(r, "binding") || strcmp(r->route.resource, "bindings") == 0) {
        bind_step(r);
        return;
    }
    if (r->kind->scale && sub_is(r, "scale")) {
        scale_step(r);
        return;
    }
    if (sub_is(r, "eviction")) {
        evict_step(r);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(updates); i++)
        served = served || sub_is(r, updates[i]);
    if (!served) {
        req_status(r, status_new(STATUS_METHOD_NOT_ALLOWED, "%s/%s is not served by this version",
                                 r->kind->plural, r->sub->name));
        return;
    }
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        if (!write_check_options(r))
            return;
        if (r->verb == VERB_CREATE)
            create_start(r);
        else
            update_start(r);
        break;
    case REQ_NAMESPACE:
        if (check_home(r))
            create_build(r);
        break;
    case REQ_READ:
        update_apply(r);
        break;
    case REQ_QUOTA:
        charge_step(r);
        break;
    case REQ_COMMIT:
        commit_done(r);
        break;
    default:
        break;
    }
}
