/*
 * Scale: the subresource that is one number: an autoscaling/v1 Scale made from the object, and laid
 * back over it (ScaleREST of pkg/registry/apps and of apiextensions-apiserver). What a write owns
 * is the object's number, under the subresource's name (apimachinery/pkg/util/managedfields,
 * scalehandler.go).
 *
 *   START --> READ --> (answer)                     get
 *   START --> READ --> COMMIT --> (answer)          update, patch, apply; a lost race reads again
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/api/write.h"
#include "server/schema/table.h"
#include "server/schema/validate.h"

#include <inttypes.h>

/* pkg/printers/internalversion, printScale */
static const struct schema_column columns[] = {
    { "Name", "string", "name", "Name of what is scaled", ".metadata.name", 0 },
    { "Desired", "integer", "", "Replicas wanted", "=int:.spec.replicas", 0 },
    { "Available", "integer", "", "Replicas there are", "=int:.status.replicas", 0 },
    { "Age", "string", "", "Time since it was made", "=age", 0 },
};

static struct schema_kind scale_kind(const struct api_req *r)
{
    return (struct schema_kind){
        .group = "autoscaling",
        .version = "v1",
        .kind = "Scale",
        .plural = "scales",
        .namespaced = r->kind->namespaced,
        .type = schema_builtin_type("autoscaling/v1", "Scale"),
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
    };
}

/* ---- from the object ---- */

/* A map of labels as "a=b,c=d". */
static char *labels_text(const json_t *labels)
{
    json_auto_t *selector = json_pack("{s:O}", "matchLabels", labels);
    AUTO(label_selector) struct label_selector *s = NULL;
    struct err e;

    return label_selector_from_json(&s, selector, &e) ? mem_strdup("") : label_selector_text(s);
}

/* Text, a LabelSelector, or a map of labels. ERR_INVALID. */
static int selector_of(char **out, const struct schema_scale *paths, const json_t *doc,
                       struct err *e)
{
    json_t *v = paths->selector_path ? json_at(doc, paths->selector_path) : NULL;
    AUTO(label_selector) struct label_selector *s = NULL;

    if (!json_is_object(v)) {
        *out = mem_strdup(json_is_string(v) ? json_string_value(v) : "");
        return 0;
    }
    for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it))
        if (json_is_string(json_object_iter_value(it))) {
            *out = labels_text(v);
            return 0;
        }
    if (label_selector_from_json(&s, v, e))
        return e->code;
    *out = label_selector_text(s);
    return 0;
}

/* NULL: answered. */
static json_t *scale_of(struct api_req *r, const json_t *doc)
{
    static const char *const copied[] = { "name", "namespace", "uid", "resourceVersion",
                                          "creationTimestamp" };
    const struct schema_scale *paths = r->kind->scale;
    const json_t *want = json_at(doc, paths->spec_path), *meta = json_object_get(doc, "metadata");
    int64_t replicas = json_i64_at(doc, paths->spec_path, 0);
    auto_free char *selector = NULL;
    struct err e;

    if (!schema_is_builtin(r->kind) && !json_is_integer(want)) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR,
                                 "Internal error occurred: the spec replicas field \".%s\" does "
                                 "not exist",
                                 paths->spec_path));
        return NULL;
    }
    if (selector_of(&selector, paths, doc, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return NULL;
    }
    json_t *s = json_pack("{s:s, s:s, s:{}, s:{}, s:{s:I}}", "kind", "Scale", "apiVersion",
                          "autoscaling/v1", "metadata", "spec", "status", "replicas",
                          (json_int_t)json_i64_at(doc, paths->status_path, 0));
    for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
        json_t *v = json_object_get(meta, copied[i]);

        if (v)
            json_object_set(json_object_get(s, "metadata"), copied[i], v);
    }
    if (replicas)
        json_object_set_new(json_object_get(s, "spec"), "replicas", json_integer(replicas));
    if (*selector)
        json_object_set_new(json_object_get(s, "status"), "selector", json_string(selector));
    return s;
}

/* ---- back to it ---- */

/* Sets path ("spec.replicas") of obj; objects on the way are made. */
static void put_at(json_t *obj, const char *path, int64_t value)
{
    struct str head, rest = str_of(path);

    for (bool more = true; more;) {
        more = str_cut(rest, '.', &head, &rest);
        auto_free char *key = str_dup(head);

        if (!more) {
            json_object_set_new(obj, key, json_integer(value));
            return;
        }
        json_t *in = json_object_get(obj, key);
        if (!json_is_object(in)) {
            in = json_object();
            json_object_set_new(obj, key, in);
        }
        obj = in;
    }
}

/* pkg/apis/autoscaling/validation, ValidateScale. False: answered. */
static bool check(struct api_req *r, const json_t *scale)
{
    auto_field_errors fe = { 0 };
    int64_t n = json_i64_at(scale, "spec.replicas", 0);

    if (n < 0)
        field_add(&fe, FIELD_INVALID, FIELD_AT(FIELD_AT(NULL, "spec"), "replicas"),
                  "Invalid value: %" PRId64 ": must be greater than or equal to 0", n);
    if (fe.n)
        req_invalid_as(r, "autoscaling", "Scale", r->name, &fe);
    return fe.n == 0;
}

/* False: answered. */
static bool check_identity(struct api_req *r, const json_t *scale)
{
    const char *uid = meta_uid(scale);
    int64_t rev;
    struct err e;

    if (meta_resource_version(scale, &rev, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    if (*uid && strcmp(uid, meta_uid(r->old_doc)) != 0) {
        auto_free char *what = mem_printf("%s/scale", r->kind->plural);
        auto_free char *why =
            mem_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                       meta_uid(r->old_doc));

        req_status(r, status_conflict(r->kind->group, what, r->name, why));
        return false;
    }
    if (rev && rev != r->old->mod_rev) {
        write_conflict(r);
        return false;
    }
    return true;
}

/* The object with the number that the Scale in r->in, sent or patched, says; NULL: answered. */
static json_t *updated(struct api_req *r)
{
    struct schema_kind sk = scale_kind(r);
    json_auto_t *scale = NULL;

    if (r->verb == VERB_PATCH) {
        json_auto_t *was = scale_of(r, r->old_doc);

        scale = was ? write_patched(r, sk.type, was) : NULL;
        if (!scale || !write_decode_patched(r, &sk, scale) || !write_check_namespace(r, scale) ||
            !write_check_name(r, scale))
            return NULL;
    } else {
        scale = json_incref(r->in);
    }
    if (!check(r, scale) || !check_identity(r, scale))
        return NULL;
    json_t *obj = json_deep_copy(r->old_doc);
    put_at(obj, r->kind->scale->spec_path, json_i64_at(scale, "spec.replicas", 0));
    write_track(r, r->old_doc, obj);
    return obj;
}

/* The same for an applied Scale: what it says of the object is applied to that. NULL: answered. */
static json_t *applied(struct api_req *r)
{
    struct schema_kind sk = scale_kind(r);
    char api[SCHEMA_API_VERSION_MAX];
    json_t *out = NULL;
    struct write_by w;
    struct err e;

    if (strcmp(json_str_at(r->in, "apiVersion", ""), schema_api_version(&sk, api)) != 0 ||
        strcmp(json_str_at(r->in, "kind", ""), sk.kind) != 0) {
        const char *v = json_str_at(r->in, "apiVersion", "");

        req_status(r, status_new(STATUS_BAD_REQUEST, "invalid object type: %s%s, Kind=%s",
                                 strchr(v, '/') ? "" : "/", v, json_str_at(r->in, "kind", "")));
        return NULL;
    }
    if (json_at(r->in, "metadata.managedFields")) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "metadata.managedFields must be nil"));
        return NULL;
    }
    json_auto_t *scale = json_deep_copy(r->in);
    if (!write_decode(r, &sk, scale, (struct str){ 0 }) || !write_check_namespace(r, scale) ||
        !write_check_name(r, scale) || !check(r, scale) || !check_identity(r, scale))
        return NULL;
    json_auto_t *config =
        json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", schema_api_version(r->kind, api), "kind",
                  r->kind->kind, "metadata", "name", r->name);
    if (*req_ns(r))
        meta_set_str(config, "namespace", req_ns(r));
    if (json_at(r->in, "spec.replicas"))
        put_at(config, r->kind->scale->spec_path, json_i64_at(scale, "spec.replicas", 0));
    write_by_init(&w, r);
    json_t *refused = managed_apply(&out, r->kind, &w.by, r->params.force, r->old_doc, config);
    if (refused) {
        req_status(r, refused);
        return NULL;
    }
    if (decode_object(r->kind, out, (struct str){ 0 }, DECODE_IGNORE, &r->notes, &e)) {
        json_decref(out);
        req_err(r, &e);
        return NULL;
    }
    return out;
}

/* ---- steps ---- */

static void start(struct api_req *r)
{
    struct schema_kind sk = scale_kind(r);

    r->name = mem_strdup(r->route.name);
    if (r->verb == VERB_GET)
        ; /* no body */
    else if (write_is_apply(r) ? !write_apply_body(r)
                               : r->verb == VERB_PATCH && !write_patch_body(r))
        return;
    else if (r->verb == VERB_UPDATE &&
             (!write_body(r, sk.type, true) || !write_decode(r, &sk, r->in, write_raw_json(r)) ||
              !write_check_namespace(r, r->in) || !write_check_name(r, r->in)))
        return;
    buf_deinit(&r->body);
    r->key = resource_key(r->kind, req_ns(r), r->name);
    req_read(r);
}

static json_t *table_of(const struct api_req *r, json_t *scale_take)
{
    json_auto_t *scale = scale_take;
    const struct schema_kind k = scale_kind(r);
    json_t *rows = json_array(), *meta = json_object();

    json_array_append_new(rows, table_row(&k, scale, req_form(r).include, clock_wall_s()));
    json_object_set_new(meta, "resourceVersion", json_string(meta_str(scale, "resourceVersion")));
    return table_new(&k, rows, meta, true);
}

static void answer(struct api_req *r, const json_t *doc)
{
    json_t *scale = scale_of(r, doc);

    if (scale)
        req_doc(r, 200, r->accept.as == ACCEPT_TABLE ? table_of(r, scale) : scale);
}

static void build(struct api_req *r)
{
    auto_field_errors fe = { 0 };
    json_t *obj = write_is_apply(r) ? applied(r) : updated(r);

    if (!obj)
        return;
    write_set(r, obj);
    meta_carry_over(obj, r->old_doc);
    if (r->kind->generation && strategy_differs(obj, r->old_doc))
        meta_set_int(obj, "generation", meta_generation(r->old_doc) + 1);
    if (!write_admit(r, "update", obj, r->old_doc, true))
        return;
    validate_update(r->kind, obj, r->old_doc, &fe);
    if (fe.n) {
        req_invalid(r, r->name, &fe);
        return;
    }
    if (!write_admit(r, "update", obj, r->old_doc, false))
        return;
    managed_settle(obj, r->old_doc);
    r->text = encode_stored(r->kind, obj);
    if (write_is_unchanged(r))
        answer(r, r->old_doc);
    else
        write_commit(r);
}

static void have_object(struct api_req *r)
{
    if (!r->old && r->verb == VERB_GET) {
        req_not_found(r, r->name);
    } else if (!r->old) {
        auto_free char *what = mem_printf("%s/scale", r->kind->plural);

        req_status(r, status_not_found(r->kind->group, what, r->name));
    } else if (!write_parse_old(r)) {
        ; /* answered */
    } else if (r->verb == VERB_GET) {
        answer(r, r->old_doc);
    } else {
        build(r);
    }
}

static void committed(struct api_req *r)
{
    if (!r->err.code) {
        meta_set_resource_version(r->obj, r->list_rev);
        answer(r, r->obj);
    } else if (r->err.code == ERR_NOT_FOUND) {
        req_not_found(r, r->name);
    } else if (r->err.code != ERR_CONFLICT) {
        req_commit_err(r, &r->err);
    } else if (write_names_version(r) || ++r->n_tries >= WRITE_TRIES_MAX) {
        write_conflict(r);
    } else {
        r->err = (struct err){ 0 };
        req_move(r, REQ_READ);
        have_object(r); /* the one that won */
    }
}

void scale_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        if (r->verb == VERB_GET || write_check_options(r))
            start(r);
        break;
    case REQ_READ:
        have_object(r);
        break;
    case REQ_COMMIT:
        committed(r);
        break;
    default:
        break;
    }
}
