/* What comes into a write from outside it: the body, decoded or as a patch, and the verdict of
 * admission. */
#include "base/data/json.h"
#include "base/core/mem.h"
#include "base/data/yaml.h"
#include "base/kube/metadata.h"
#include "base/kube/patch.h"
#include "base/kube/status.h"
#include "server/admission/admission.h"
#include "server/api/admission_feed.h"
#include "server/api/proto.h"
#include "server/api/write.h"
#include "server/schema/go_text.h"
#include "server/schema/strategic.h"

#define SUMMARY_BYTES 30

/* The first bytes of what could not be read: as they are where they look like JSON, else in hex
 * (apiserver/pkg/endpoints/handlers/rest.go, summarizeData). */
static void summary(struct buf *b, struct str body)
{
    struct str head = str_n(body.p, MIN(body.n, (size_t)SUMMARY_BYTES));

    if (!body.n)
        err_ignore(buf_adds(b, "<empty>"));
    else if (head.p[0] == '{')
        err_ignore(buf_add_str(b, head));
    else
        for (size_t i = 0; i < head.n; i++)
            err_ignore(buf_addf(b, "%02x", (unsigned char)head.p[i]));
    if (head.n < body.n)
        err_ignore(buf_adds(b, " ..."));
}

/* A body that says neither its kind nor its version. */
static void unrecognized(struct api_req *r, const struct schema_type *t, const char *why)
{
    auto_buf head = BUF(SUMMARY_BYTES * 2 + 16);

    summary(&head, buf_str(&r->body));
    req_status(r, status_new(STATUS_BAD_REQUEST,
                             "the object provided is unrecognized (must be of type %s): %s%s (%s)",
                             t && t->name[0] ? t->name
                             : r->kind       ? r->kind->kind
                                             : "object",
                             r->content_type == CONTENT_JSON
                                 ? "couldn't get version/kind; json parse error: "
                                 : "",
                             why, buf_cstr(&head)));
}

bool write_body(struct api_req *r, const struct schema_type *t, bool required)
{
    struct err e;
    int rc;

    if (r->in || (!required && r->body.n == 0))
        return true;
    switch (r->content_type) {
    case CONTENT_JSON:
        rc = json_parse_noting(&r->in, buf_str(&r->body), &r->repeats, &e);
        break;
    case CONTENT_YAML:
        rc = yaml_parse(&r->in, buf_str(&r->body), &e);
        break;
    case CONTENT_PROTOBUF:
        if (r->kind && r->kind->custom && t == r->kind->type)
            t = NULL;
        rc = t ? proto_read(&r->in, t, buf_str(&r->body), &e)
               : err_set(&e, ERR_INVALID, "no protobuf form is known for this body");
        break;
    default:
        req_status(r, status_new(STATUS_UNSUPPORTED_MEDIA_TYPE,
                                 "the body of the request was in an unknown format - accepted "
                                 "media types include: application/json, application/yaml, "
                                 "application/vnd.kubernetes.protobuf"));
        return false;
    }
    if (rc == 0 && !json_is_object(r->in)) {
        rc = err_set(&e, ERR_INVALID, "it is not an object");
        json_decref(r->in);
        r->in = NULL;
    }
    if (rc)
        unrecognized(r, t, e.text);
    return rc == 0;
}

struct str write_raw_json(const struct api_req *r)
{
    return r->content_type == CONTENT_JSON && r->repeats ? buf_str(&r->body) : (struct str){ 0 };
}

/* Upstream's texts name the file where its scheme of built-in kinds is made. */
#define SCHEME "pkg/api/legacyscheme/scheme.go:30"

/* The Go package of a group's internal types: "rbac" of rbac.authorization.k8s.io. */
static struct str internal_package(const char *group)
{
    struct str first, rest;

    if (!*group || strcmp(group, "events.k8s.io") == 0)
        return STR("core");
    return str_cut(str_of(group), '.', &first, &rest) ? first : str_of(group);
}

/* Upstream's scheme knows the versions that are served no longer, too. */
static bool is_old_version(struct str group, struct str version, const char *of)
{
    struct str a, b;

    return str_is(group, "extensions") ||
           (str_is(group, of) && (str_cut_str(version, STR("alpha"), &a, &b) ||
                                  str_cut_str(version, STR("beta"), &a, &b)));
}

/* Why upstream decodes no `kind` of `api` into k: a kind that its scheme does not have, or one
 * without a conversion to k (apimachinery/pkg/runtime/serializer/versioning, pkg/conversion). NULL:
 * the version alone is not the path's. */
static char *no_conversion(const struct api_req *r, const struct schema_kind *k, const char *api,
                           const char *kind)
{
    struct str group, version;

    if (!str_cut(str_of(api), '/', &group, &version)) {
        group = STR("");
        version = str_of(api);
    }
    const struct schema_kind *known =
        schema_find_kind(r->api->schema, group, version, str_of(kind));
    if (strcmp(kind, k->kind) == 0 &&
        ((known && str_is(group, k->group)) || is_old_version(group, version, k->group)))
        return NULL;
    if (!known || !schema_is_builtin(known))
        return mem_printf(
            "no kind \"%s\" is registered for version \"%s\" in scheme \"" SCHEME "\"", kind, api);
    return mem_printf("converting (" STR_FMT ".%s) to (" STR_FMT ".%s): unknown conversion",
                      STR_ARG(version), kind, STR_ARG(internal_package(k->group)), k->kind);
}

static void bad_patch(struct api_req *r, const json_t *made, const char *why);

/* Answers a body of another kind or version than the path's. */
static void refuse_kind(struct api_req *r, const struct schema_kind *k, json_t *doc, bool patched,
                        const char *expected)
{
    const char *api = json_str_at(doc, "apiVersion", expected);
    const char *kind = json_str_at(doc, "kind", k->kind);
    auto_free char *why = k->custom ? NULL : no_conversion(r, k, api, kind);
    auto_field_errors fe = { 0 };

    if (k->custom && strcmp(api, expected) == 0) { /* decoded as it is, and validated */
        auto_free char *must = mem_printf("must be %s", k->kind);

        field_invalid(&fe, FIELD_AT(NULL, "kind"), kind, must);
        req_invalid(r, meta_name(doc), &fe);
    } else if (!why) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the API version in the data (%s) does not match the expected API "
                                 "version (%s)",
                                 api, expected));
    } else if (patched) {
        bad_patch(r, doc, why);
    } else {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "%s in version \"%s\" cannot be handled as a %s: %s", kind,
                                 strchr(api, '/') ? strchr(api, '/') + 1 : api, k->kind, why));
    }
}

/* Fills in or checks apiVersion and kind. False: answered. */
static bool check_kind(struct api_req *r, const struct schema_kind *k, json_t *doc, bool patched)
{
    /* a strategic patch changes a typed object, whose type is no field */
    bool fixed = patched && r->content_type == CONTENT_STRATEGIC_PATCH;
    char api[SCHEMA_API_VERSION_MAX];
    const struct {
        const char *key, *value;
    } want[] = { { "apiVersion", schema_api_version(k, api) }, { "kind", k->kind } };

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (fixed || !*json_str_at(doc, want[i].key, ""))
            json_object_set_new(doc, want[i].key, json_string(want[i].value));
    }
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (strcmp(json_str_at(doc, want[i].key, ""), want[i].value) != 0) {
            refuse_kind(r, k, doc, patched, api);
            return false;
        }
    }
    return true;
}

/* What every decoding of a write begins with. False: answered. */
static bool decode_start(struct api_req *r, const struct schema_kind *k, json_t *doc, bool patched,
                         enum decode_mode *mode)
{
    if (!decode_mode_of(mode, str_of(r->params.field_validation))) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "fieldValidation: Unsupported value: \"%s\": supported values: "
                                 "\"Ignore\", \"Strict\", \"Warn\"",
                                 r->params.field_validation));
        return false;
    }
    if (!check_kind(r, k, doc, patched))
        return false;
    /* an empty list says something (managed.c, is_reset), but decoding drops it */
    json_t *managed = json_object_get(json_object_get(doc, "metadata"), "managedFields");
    if (json_is_array(managed) && json_array_size(managed) == 0)
        json_array_append_new(managed, json_object());
    decode_notes_deinit(&r->notes);
    return true;
}

bool write_decode(struct api_req *r, const struct schema_kind *k, json_t *doc, struct str raw)
{
    enum decode_mode mode;
    struct err e;

    if (!decode_start(r, k, doc, false, &mode))
        return false;
    if (decode_object(k, doc, raw, mode, &r->notes, &e)) {
        auto_free char *text = decode_bad_request(k, &r->notes, &e);

        decode_notes_deinit(&r->notes); /* an error, no warnings */
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", text));
        return false;
    }
    r->n_read_notes = r->notes.n;
    return true;
}

/* 422 without a kind or a name, about the patch (strategic) or the object that it makes
 * (apiserver/pkg/endpoints/handlers/patch.go). */
static void bad_patch(struct api_req *r, const json_t *made, const char *why)
{
    bool strategic = r->content_type == CONTENT_STRATEGIC_PATCH;
    auto_free char *json = strategic ? NULL : json_text_sorted(made);
    auto_buf text = BUF(API_ANSWER_MAX_BYTES);
    auto_field_errors fe = { 0 };

    if (strategic)
        err_ignore(go_text(&text, r->in, false)); /* cut: nobody reads that far */
    field_invalid(&fe, FIELD_AT(NULL, "patch"), json ? json : buf_cstr(&text), why);
    req_invalid_as(r, "", "", "", &fe);
}

bool write_decode_patched(struct api_req *r, const struct schema_kind *k, json_t *doc)
{
    enum decode_mode mode;
    struct err e;
    int rc;

    if (!decode_start(r, k, doc, true, &mode))
        return false;
    rc = r->content_type == CONTENT_STRATEGIC_PATCH
             ? decode_map(k->type, doc, mode, &r->notes, &e)
             : decode_object(k, doc, (struct str){ 0 }, mode, &r->notes, &e);
    if (rc) {
        decode_notes_deinit(&r->notes);
        bad_patch(r, doc, e.text);
    }
    return rc == 0;
}

bool write_check_namespace(struct api_req *r, json_t *doc)
{
    const char *ns = meta_namespace(doc);

    if (!r->kind->namespaced) {
        if (*ns)
            meta_set_str(doc, "namespace", NULL);
        return true;
    }
    if (*ns && strcmp(ns, r->route.namespace_) != 0) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the namespace of the provided object does not match the "
                                 "namespace sent on the request"));
        return false;
    }
    meta_set_str(doc, "namespace", r->route.namespace_);
    return true;
}

bool write_check_name(struct api_req *r, const json_t *doc)
{
    if (strcmp(meta_name(doc), r->name) == 0)
        return true;
    if (*meta_name(doc))
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "the name of the object (%s) does not match the name on the URL "
                                 "(%s)",
                                 meta_name(doc), r->name));
    else
        req_status(r, status_new(STATUS_BAD_REQUEST, "name must be provided in the object"));
    return false;
}

json_t *write_patched(struct api_req *r, const struct schema_type *t, const json_t *live)
{
    json_t *out = NULL;
    struct err e;
    int rc;

    switch (r->content_type) {
    case CONTENT_JSON_PATCH:
        rc = patch_json(&out, live, r->in, &e);
        break;
    case CONTENT_MERGE_PATCH:
        rc = patch_merge(&out, live, r->in, &e);
        break;
    default:
        rc = strategic_apply(&out, t, live, r->in, &e);
        break;
    }
    if (rc == 0 && !json_is_object(out)) {
        json_decref(out);
        rc = err_set(&e, ERR_INVALID, "the patch leaves no object");
    }
    if (rc == 0)
        return out;
    if (r->content_type == CONTENT_JSON_PATCH && (rc == ERR_INVALID || rc == ERR_CONFLICT)) {
        /* handlers/patch.go says no more, and clients compare the text to see that a "test" in
         * their patch failed; people are told why by a warning */
        json_t *s = status_new(STATUS_INVALID,
                               "the server rejected our request due to an error in our request");

        json_object_set_new(s, "details", json_object());
        decode_notes_add(&r->notes, "%s", e.text);
        req_status(r, s);
    } else if (rc == ERR_LIMIT) {
        req_status(r, status_new(STATUS_REQUEST_TOO_LARGE, "%s", e.text));
    } else {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
    }
    return NULL;
}

bool write_patch_body(struct api_req *r)
{
    struct err e;

    if (r->content_type != CONTENT_JSON_PATCH && r->content_type != CONTENT_MERGE_PATCH &&
        r->content_type != CONTENT_STRATEGIC_PATCH) {
        req_status(r, status_new(STATUS_UNSUPPORTED_MEDIA_TYPE,
                                 "the body of the request was in an unknown format - accepted "
                                 "media types include: application/json-patch+json, "
                                 "application/merge-patch+json, "
                                 "application/strategic-merge-patch+json, "
                                 "application/apply-patch+yaml"));
        return false;
    }
    if (r->content_type == CONTENT_STRATEGIC_PATCH && r->kind->custom) {
        req_status(r, status_new(STATUS_UNSUPPORTED_MEDIA_TYPE,
                                 "the body of the request was in an unknown format - accepted "
                                 "media types include: application/json-patch+json, "
                                 "application/merge-patch+json, application/apply-patch+yaml"));
        return false;
    }
    if (!r->in && json_parse(&r->in, buf_str(&r->body), &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    return true;
}

/* False: answered with 403 (or whatever the plugin's error means). */
bool write_admit(struct api_req *r, const char *verb, json_t *obj, const json_t *old, bool mutate)
{
    struct admission a = {
        .world = admission_feed_world(r->api->admission_feed),
        .user = r->id->user,
        .node = identity_in(r->id, "system:masters") ? NULL : r->id->node,
        .verb = verb,
        .kind = r->kind,
        .subresource = r->sub ? r->sub->name : "",
        .namespace_ = req_ns(r),
        .name = r->name ? r->name : "",
        .obj = obj,
        .old = old,
    };
    struct err e;

    if (mutate ? admission_mutate(&a, &e) == 0 : admission_validate(&a, &e) == 0)
        return true;
    if (e.code == ERR_DENIED)
        req_status(r, status_forbidden(r->kind->group, r->kind->plural, a.name, e.text));
    else
        req_err(r, &e);
    return false;
}
