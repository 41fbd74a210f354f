/* What comes into a write from outside it: the body, and the verdict of admission. */
#include "base/data/json.h"
#include "base/data/yaml.h"
#include "base/kube/status.h"
#include "server/admission/admission.h"
#include "server/api/proto.h"
#include "server/api/write.h"

/* The body as a document in r->in. False: answered. */
bool write_body(struct api_req *r, const struct schema_type *t, bool required)
{
    struct err e;
    int rc;

    if (r->in || (!required && r->body.n == 0))
        return true;
    switch (r->content_type) {
    case CONTENT_JSON:
        rc = json_parse(&r->in, buf_str(&r->body), &e);
        break;
    case CONTENT_YAML:
        rc = yaml_parse(&r->in, buf_str(&r->body), &e);
        break;
    case CONTENT_PROTOBUF:
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
    if (rc) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    if (!json_is_object(r->in)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "the body of the request is not an object"));
        return false;
    }
    return true;
}

/* False: answered with 403 (or whatever the plugin's error means). */
bool write_admit(struct api_req *r, const char *verb, json_t *obj, const json_t *old, bool mutate)
{
    struct admission a = {
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
