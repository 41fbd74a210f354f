#include "server/api/local.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/status.h"
#include "server/api/request.h"
#include "server/schema/crd.h"

/* The version of a group's kind that is stored: the preferred one. */
const char *local_version(const struct api *a, const char *group, const char *resource)
{
    size_t n;
    const struct schema_kind *const *v = schema_kinds(a->schema, &n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i]->group, group) == 0 && strcmp(v[i]->plural, resource) == 0 &&
            (v[i]->custom ? crd_version_is_home(v[i]->custom)
                          : strcmp(v[i]->version, v[i]->storage_version) == 0))
            return v[i]->version;
    return "v1";
}

static int add_path(struct buf *b, struct api *a, const struct local_ref *r)
{
    const char *group = r->group ? r->group : "";
    const char *version = r->version ? r->version : local_version(a, group, r->resource);

    if (buf_addf(b, *group ? "/apis/%s%s%s" : "/api%s%s%s", group, *group ? "/" : "/", version))
        return ERR_LIMIT;
    if (r->ns && *r->ns && (buf_adds(b, "/namespaces/") || url_encode(b, str_of(r->ns))))
        return ERR_LIMIT;
    if (buf_addf(b, "/%s", r->resource))
        return ERR_LIMIT;
    if (r->name && (buf_addc(b, '/') || url_encode(b, str_of(r->name))))
        return ERR_LIMIT;
    return r->subresource ? buf_addf(b, "/%s", r->subresource) : 0;
}

struct local_call {
    local_fn done;
    void *arg;
};

static void on_done(void *arg, int code, json_t *doc)
{
    struct local_call call = *(struct local_call *)arg;
    struct err e;

    free(arg);
    if (code < 400) {
        call.done(call.arg, code, doc, NULL);
        return;
    }
    err_set(&e, status_err_code(json_str_at(doc, "reason", NULL), code), "%s",
            json_str_at(doc, "message", "no message"));
    call.done(call.arg, code, doc, &e);
}

static void start(struct api *a, const char *method, const struct local_ref *r,
                  const struct local_list_opts *o, const char *content_type, const json_t *body,
                  local_fn done, void *arg)
{
    auto_buf target = BUF(64 * 1024);
    struct local_call *call = mem_alloc(sizeof *call);
    int rc = add_path(&target, a, r);

    call->done = done;
    call->arg = arg;
    if (!rc && o && o->label_selector)
        rc = url_query_add(&target, "labelSelector", str_of(o->label_selector));
    if (!rc && o && o->field_selector)
        rc = url_query_add(&target, "fieldSelector", str_of(o->field_selector));
    /* a name that long is no name: the server says so about the path it gets */
    err_ignore(rc);
    api_call(a, identity_masters(), method, buf_cstr(&target), content_type, body, on_done, call);
}

void local_get(struct api *a, const struct local_ref *r, local_fn done, void *arg)
{
    start(a, "GET", r, NULL, NULL, NULL, done, arg);
}

void local_list(struct api *a, const struct local_ref *r, const struct local_list_opts *o,
                local_fn done, void *arg)
{
    start(a, "GET", r, o, NULL, NULL, done, arg);
}

void local_create(struct api *a, const struct local_ref *r, const json_t *obj, local_fn done,
                  void *arg)
{
    struct local_ref at = *r;

    if (!r->subresource)
        at.name = NULL; /* it is in the object */
    start(a, "POST", &at, NULL, NULL, obj, done, arg);
}

void local_update(struct api *a, const struct local_ref *r, const json_t *obj, local_fn done,
                  void *arg)
{
    start(a, "PUT", r, NULL, NULL, obj, done, arg);
}

void local_patch(struct api *a, const struct local_ref *r, enum local_patch type,
                 const json_t *patch, local_fn done, void *arg)
{
    static const char *const types[] = { "application/json-patch+json",
                                         "application/merge-patch+json",
                                         "application/strategic-merge-patch+json" };

    start(a, "PATCH", r, NULL, types[type], patch, done, arg);
}

void local_delete(struct api *a, const struct local_ref *r, const struct local_delete_opts *o,
                  local_fn done, void *arg)
{
    json_auto_t *body = json_object();

    if (o && o->grace_period_s >= 0)
        json_object_set_new(body, "gracePeriodSeconds", json_integer(o->grace_period_s));
    if (o && (o->uid || o->resource_version))
        json_object_set_new(
            body, "preconditions",
            json_pack("{s:s*, s:s*}", "uid", o->uid, "resourceVersion", o->resource_version));
    if (o && o->propagation)
        json_object_set_new(body, "propagationPolicy", json_string(o->propagation));
    start(a, "DELETE", r, NULL, NULL, body, done, arg);
}
