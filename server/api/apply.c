/*
 * Who writes, for managedFields, and server-side apply: the body is the whole of what one manager
 * wants to say about the object (apiserver/pkg/endpoints/handlers/patch.go, applyPatcher).
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/yaml.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/write.h"
#include "server/schema/crd.h"

#define LOCAL_MANAGER "coracle" /* controllers and the supervisor in this process */

void write_by_init(struct write_by *w, const struct api_req *r)
{
    struct str agent =
        r->http ? http_headers_get(http_req_headers(r->http), "user-agent") : STR(LOCAL_MANAGER);

    managed_name(w->name, agent);
    time_text_s(w->now, clock_wall_s());
    w->by = (struct managed_by){
        .manager = *r->params.field_manager ? r->params.field_manager : w->name,
        .subresource = r->sub ? r->sub->name : "",
        .now = w->now,
    };
}

bool write_is_apply(const struct api_req *r)
{
    return r->verb == VERB_PATCH && r->content_type == CONTENT_APPLY_PATCH;
}

/* apimachinery/pkg/apis/meta/v1/validation, ValidatePatchOptions and its kin. */
bool write_check_options(struct api_req *r)
{
    static const char *const kinds[VERBS_N] = { [VERB_CREATE] = "CreateOptions",
                                                [VERB_UPDATE] = "UpdateOptions",
                                                [VERB_PATCH] = "PatchOptions" };
    const struct field_path *manager = FIELD_AT(NULL, "fieldManager");
    const char *name = r->params.field_manager;
    auto_field_errors fe = { 0 };

    if (r->verb == VERB_PATCH && !write_is_apply(r) && r->params.has_force)
        field_forbidden(&fe, FIELD_AT(NULL, "force"), "may not be specified for non-apply patch");
    if (write_is_apply(r) && !*name)
        field_required(&fe, manager, "is required for apply patch");
    if (strlen(name) > MANAGED_NAME_MAX)
        field_too_long(&fe, manager, MANAGED_NAME_MAX);
    for (size_t i = 0; name[i]; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            field_add(&fe, FIELD_INVALID, manager,
                      "Invalid value: \"%.128s\": invalid character U+%04X (at position %zu)", name,
                      (unsigned)(unsigned char)name[i], i);
    if (!fe.n)
        return true;
    req_invalid_as(r, "meta.k8s.io", kinds[r->verb], "", &fe);
    return false;
}

bool write_apply_body(struct api_req *r)
{
    struct err e;

    if (!r->in && yaml_parse(&r->in, buf_str(&r->body), &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "error decoding YAML: %s", e.text));
        return false;
    }
    if (json_is_object(r->in))
        return true;
    req_status(r, status_new(STATUS_BAD_REQUEST, "error decoding YAML: the body of the request is "
                                                 "not an object"));
    return false;
}

/* An apply may make an object only for who may create one. False: answered. */
static bool may_create(struct api_req *r)
{
    char reason[AUTHZ_REASON_BYTES], what[512];
    struct authz_attrs at;

    if (r->kind->custom && r->kind->custom->terminating) { /* as a POST is told */
        req_status(r, status_new(STATUS_METHOD_NOT_ALLOWED,
                                 "create not allowed while custom resource definition is "
                                 "terminating"));
        return false;
    }
    req_authz_attrs(r, &at);
    at.verb = "create";
    if (authz_allowed(r->api->authz, &at, reason))
        return true;
    authz_describe(&at, what, sizeof what);
    auto_free char *why = mem_printf("%s%s%s", what, *reason ? ": " : "", reason);
    req_status(r, status_forbidden(at.group, at.resource, at.name, why));
    return false;
}

json_t *write_applied(struct api_req *r)
{
    const char *uid = meta_uid(r->in);
    json_auto_t *obj = NULL;
    struct write_by w;
    struct err e;

    if (!r->old && !may_create(r))
        return NULL;
    write_by_init(&w, r);
    json_t *refused =
        managed_apply(&obj, r->kind, &w.by, r->params.force, r->old ? r->old_doc : NULL, r->in);
    if (refused) {
        req_status(r, refused);
        return NULL;
    }
    if (!r->old && *uid) {
        auto_free char *why = mem_printf("uid mismatch: the provided object specified uid %s, and "
                                         "no existing object was found",
                                         uid);
        req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, why));
        return NULL;
    }
    if (!r->old && *meta_str(r->in, "resourceVersion")) {
        req_status(r, status_conflict(r->kind->group, r->kind->plural, r->name, NULL));
        return NULL;
    }
    if (decode_object(r->kind, obj, (struct str){ 0 }, DECODE_IGNORE, &r->notes, &e)) {
        char api[SCHEMA_API_VERSION_MAX];
        json_t *s =
            status_new(STATUS_INTERNAL_ERROR,
                       "failed to convert new typed object (%s/%s; %s%s, Kind=%s) to object: %s",
                       meta_namespace(r->in), meta_name(r->in), *r->kind->group ? "" : "/",
                       schema_api_version(r->kind, api), r->kind->kind, e.text);

        json_object_del(s, "reason"); /* not one of the API's own errors, as upstream answers */
        req_status(r, s);
        return NULL;
    }
    return json_incref(obj);
}
