/*
 * Reviews: questions about who somebody is and what he may do, answered with what this server
 * really enforces. Nothing is stored.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/status.h"
#include "server/api/write.h"

static struct identity *identity_of_spec(const json_t *spec)
{
    const json_t *list = json_object_get(spec, "groups");
    auto_free const char **groups = mem_calloc(json_array_size(list) + 1, sizeof *groups);
    size_t n = 0, i;
    json_t *v;

    json_array_foreach(list, i, v) if (json_is_string(v)) groups[n++] = json_string_value(v);
    return identity_exact(json_str_at(spec, "user", ""), groups, n, json_str_at(spec, "uid", NULL),
                          json_incref(json_object_get(spec, "extra")));
}

/* pkg/apis/authorization/validation. namespace_: of a LocalSubjectAccessReview, else NULL; self: a
 * SelfSubjectAccessReview. */
static void check_access(const json_t *doc, bool self, const char *namespace_,
                         struct field_errors *fe)
{
    const struct field_path spec_at = { .name = "spec" };
    const json_t *spec = json_object_get(doc, "spec"), *v;
    const json_t *res = json_object_get(spec, "resourceAttributes");
    const json_t *path = json_object_get(spec, "nonResourceAttributes");
    bool bare = true;
    const char *key;

    if (res && path)
        field_invalid_json(fe, FIELD_AT(&spec_at, "nonResourceAttributes"), path,
                           "cannot be specified in combination with resourceAttributes");
    if (!res && !path)
        field_invalid(fe, FIELD_AT(&spec_at, "resourceAttributes"), "null",
                      "exactly one of nonResourceAttributes or resourceAttributes must be "
                      "specified");
    if (!self && !*json_str_at(spec, "user", "") &&
        !json_array_size(json_object_get(spec, "groups")))
        field_invalid(fe, FIELD_AT(&spec_at, "user"), "",
                      "at least one of user or group must be specified");
    json_object_foreach(json_object_get(doc, "metadata"), key, v)
    {
        bool empty = json_is_null(v) || (json_is_string(v) && !json_string_length(v));

        bare = bare && (empty || strcmp(key, "managedFields") == 0 ||
                        (namespace_ && strcmp(key, "namespace") == 0));
    }
    if (!bare)
        field_invalid_json(fe, &(struct field_path){ .name = "metadata" },
                           json_object_get(doc, "metadata"),
                           namespace_ ? "must be empty except for namespace" : "must be empty");
    if (!namespace_)
        return;
    if (res && strcmp(json_str_at(res, "namespace", ""), namespace_) != 0)
        field_invalid(fe, FIELD_AT(FIELD_AT(&spec_at, "resourceAttributes"), "namespace"),
                      json_str_at(res, "namespace", ""), "must match metadata.namespace");
    if (path)
        field_invalid_json(fe, FIELD_AT(&spec_at, "nonResourceAttributes"), path,
                           "disallowed on this kind of request");
}

/* Only who may do everything may ask about others' rights beyond his own; the authorizer decided
 * that already by letting the create through. */
static json_t *access_status(struct api_req *r, const struct identity *id, const char *ns_forced)
{
    const json_t *spec = json_object_get(r->in, "spec");
    const json_t *res = json_object_get(spec, "resourceAttributes");
    const json_t *path = json_object_get(spec, "nonResourceAttributes");
    const json_t *src = res ? res : path;
    char reason[AUTHZ_REASON_BYTES];
    auto_free char *lower = mem_strdup(json_str_at(src, "verb", ""));
    struct authz_attrs a = {
        .id = id,
        .verb = lower,
        .is_resource = res != NULL,
        .group = json_str_at(res, "group", ""),
        .version = json_str_at(res, "version", ""),
        .resource = json_str_at(res, "resource", ""),
        .subresource = json_str_at(res, "subresource", ""),
        .namespace_ = ns_forced ? ns_forced : json_str_at(res, "namespace", ""),
        .name = json_str_at(res, "name", ""),
        .field_selector = json_str_at(res, "fieldSelector.rawSelector", NULL),
        .path = json_str_at(path, "path", ""),
    };
    bool ok = authz_allowed(r->api->authz, &a, reason);
    json_t *s = json_pack("{s:b}", "allowed", ok);

    if (*reason)
        json_object_set_new(s, "reason", json_string(reason));
    return s;
}

static json_t *user_info(const struct identity *id)
{
    json_t *u = json_pack("{s:s, s:[]}", "username", id->user, "groups");

    for (size_t i = 0; i < id->n_groups; i++)
        json_array_append_new(json_object_get(u, "groups"), json_string(id->groups[i]));
    if (id->uid)
        json_object_set_new(u, "uid", json_string(id->uid));
    if (id->extra)
        json_object_set_new(u, "extra", json_deep_copy(id->extra));
    return u;
}

/* Would this bearer token get in here? */
static json_t *token_status(struct api_req *r)
{
    auto_free char *header = mem_printf("Bearer %s", json_str_at(r->in, "spec.token", ""));
    struct authn_credentials c = { .authorization = str_of(header) };
    struct identity *id = NULL;
    struct err e;
    json_t *s;

    if (authn_check(r->api->authn, &c, &id, &e) != AUTHN_OK)
        return json_pack("{s:b, s:s}", "authenticated", 0, "error", "the token is not valid");
    s = json_pack("{s:b, s:o}", "authenticated", 1, "user", user_info(id));
    identity_unref(id);
    return s;
}

void review_step(struct api_req *r)
{
    const char *plural = r->kind->plural;
    char api[SCHEMA_API_VERSION_MAX];
    struct identity *other = NULL;
    auto_field_errors fe = { 0 };
    json_t *status = NULL;
    struct err e;

    if (r->state == REQ_BODY)
        req_move(r, REQ_START);
    if (!write_body(r, r->kind->type, true))
        return;
    if (decode_object(r->kind, r->in, (struct str){ 0 }, DECODE_WARN, &r->notes, &e)) {
        auto_free char *text = decode_bad_request(r->kind, &r->notes, &e);

        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", text));
        return;
    }
    json_t *spec = json_object_get(r->in, "spec");
    bool self = strcmp(plural, "selfsubjectaccessreviews") == 0;
    bool local = strcmp(plural, "localsubjectaccessreviews") == 0;
    bool access = self || local || strcmp(plural, "subjectaccessreviews") == 0;
    if (local && !write_check_namespace(r, r->in))
        return;
    if (access) {
        check_access(r->in, self, local ? r->route.namespace_ : NULL, &fe);
        if (fe.n) {
            req_invalid(r, "", &fe);
            return;
        }
    }
    if (self) {
        status = access_status(r, r->id, NULL);
    } else if (access) {
        other = identity_of_spec(spec);
        status = access_status(r, other, local ? r->route.namespace_ : NULL);
    } else if (strcmp(plural, "tokenreviews") == 0) {
        status = token_status(r);
    } else if (strcmp(plural, "selfsubjectreviews") == 0) {
        status = json_pack("{s:o}", "userInfo", user_info(r->id));
    } else if (strcmp(plural, "selfsubjectrulesreviews") == 0 &&
               identity_in(r->id, "system:masters")) {
        status = json_pack("{s:[{s:[s], s:[s], s:[s]}], s:[{s:[s], s:[s]}], s:b}", "resourceRules",
                           "verbs", "*", "apiGroups", "*", "resources", "*", "nonResourceRules",
                           "verbs", "*", "nonResourceURLs", "*", "incomplete", 0);
    } else if (strcmp(plural, "selfsubjectrulesreviews") == 0) {
        status =
            json_pack("{s:[], s:[], s:b, s:s}", "resourceRules", "nonResourceRules", "incomplete",
                      1, "evaluationError", "this identity's rules are not listable");
    }
    identity_unref(other);
    if (!status) {
        req_status(
            r, status_new(STATUS_METHOD_NOT_ALLOWED, "%s are not served by this version", plural));
        return;
    }
    json_t *doc = json_deep_copy(r->in);
    json_object_set_new(doc, "kind", json_string(r->kind->kind));
    json_object_set_new(doc, "apiVersion", json_string(schema_api_version(r->kind, api)));
    if (!json_object_get(doc, "metadata"))
        json_object_set_new(doc, "metadata", json_object());
    json_object_set_new(doc, "status", status);
    req_doc(r, 201, doc);
}
