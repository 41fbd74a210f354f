/*
 * Binding: gives a pod to a node, once (registry/core/pod/storage, BindingREST). The body is a
 * Binding; the pod gets spec.nodeName and the condition PodScheduled.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"
#include "server/api/write.h"

static const struct schema_kind *pods(struct api_req *r)
{
    return schema_find(r->api->schema, STR(""), STR("v1"), STR("pods"));
}

static void bind_start(struct api_req *r)
{
    const char *kind, *node, *name;

    if (!write_body(r, schema_builtin_type("core/v1", "Binding"), true))
        return;
    buf_deinit(&r->body);
    kind = json_str_at(r->in, "target.kind", "");
    node = json_str_at(r->in, "target.name", "");
    name = *r->route.name && r->sub ? r->route.name : meta_name(r->in);
    if (*meta_name(r->in) && strcmp(meta_name(r->in), name) != 0) {
        req_status(
            r, status_new(STATUS_BAD_REQUEST, "name in URL does not match name in Binding object"));
        return;
    }
    auto_field_errors fe = { 0 };
    const struct field_path *target = FIELD_AT(NULL, "target");

    if (*kind && strcmp(kind, "Node") != 0)
        field_not_supported(&fe, FIELD_AT(target, "kind"), kind,
                            (const char *const[]){ "Node", "<empty>", NULL });
    if (!*node)
        field_required(&fe, FIELD_AT(target, "name"), "");
    if (!*name)
        field_required(&fe, FIELD_AT(FIELD_AT(NULL, "metadata"), "name"), "");
    r->name = mem_strdup(name);
    if (fe.n) {
        req_invalid(r, r->name, &fe);
        return;
    }
    /* from here on the request is about the pod */
    r->kind = pods(r);
    r->hooks = resource_hooks_find(r->kind);
    r->key = resource_key(r->kind, r->route.namespace_, r->name);
    req_read(r);
}

static void add_condition(json_t *pod)
{
    json_t *status = json_object_get(pod, "status"), *list, *c;
    char now[TIME_TEXT_BYTES];
    size_t i;

    if (!status) {
        status = json_object();
        json_object_set_new(pod, "status", status);
    }
    list = json_object_get(status, "conditions");
    if (!list) {
        list = json_array();
        json_object_set_new(status, "conditions", list);
    }
    json_array_foreach(list, i, c)
    {
        if (strcmp(json_str_at(c, "type", ""), "PodScheduled") != 0)
            continue;
        json_array_remove(list, i);
        break;
    }
    time_now_s(now);
    json_array_append_new(list, json_pack("{s:s, s:s, s:n, s:s}", "type", "PodScheduled", "status",
                                          "True", "lastProbeTime", "lastTransitionTime", now));
}

/* Why this pod, of that name, is not the one to bind. Heap; NULL: it is. */
static char *mismatch(const struct api_req *r)
{
    const char *uid = meta_uid(r->in), *version = meta_str(r->in, "resourceVersion");

    if (*uid && strcmp(uid, meta_uid(r->old_doc)) != 0)
        return mem_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s",
                          uid, meta_uid(r->old_doc));
    if (*version && strcmp(version, meta_str(r->old_doc, "resourceVersion")) != 0)
        return mem_printf("Precondition failed: ResourceVersion in precondition: %s, "
                          "ResourceVersion in object meta: %s",
                          version, meta_str(r->old_doc, "resourceVersion"));
    return NULL;
}

/* Why it cannot be bound now. Heap; NULL: it can. */
static char *obstacle(const struct api_req *r)
{
    const char *bound = json_str_at(r->old_doc, "spec.nodeName", "");

    if (meta_is_deleting(r->old_doc))
        return mem_printf("pod %s is being deleted, cannot be assigned to a host", r->name);
    if (*bound)
        return mem_printf("pod %s is already assigned to node \"%s\"", r->name, bound);
    if (json_array_size(json_at(r->old_doc, "spec.schedulingGates")))
        return mem_printf("pod %s has non-empty .spec.schedulingGates", r->name);
    return NULL;
}

static void bind_apply(struct api_req *r)
{
    auto_free char *why = NULL;
    const char *key;
    json_t *v;

    if (!r->old) {
        req_not_found(r, r->name);
        return;
    }
    if (!write_parse_old(r))
        return;
    why = mismatch(r);
    if (why) {
        req_status(r, status_conflict("", "pods", r->name, why));
        return;
    }
    why = obstacle(r);
    if (why) {
        req_status(r, status_conflict("", "pods/binding", r->name, why));
        return;
    }
    json_decref(r->obj);
    r->obj = json_deep_copy(r->old_doc);
    json_object_set_new(json_object_get(r->obj, "spec"), "nodeName",
                        json_string(json_str_at(r->in, "target.name", "")));
    json_object_foreach(json_at(r->in, "metadata.annotations"), key, v)
    {
        json_t *a = json_object_get(meta_of(r->obj), "annotations");

        if (!a) {
            a = json_object();
            json_object_set_new(meta_of(r->obj), "annotations", a);
        }
        json_object_set(a, key, v);
    }
    add_condition(r->obj);
    free(r->text);
    r->text = encode_stored(r->kind, r->obj);
    write_commit(r);
}

void bind_step(struct api_req *r)
{
    switch (r->state) {
    case REQ_BODY:
        req_move(r, REQ_START);
        /* fall through */
    case REQ_START:
        bind_start(r);
        break;
    case REQ_READ:
        bind_apply(r);
        break;
    case REQ_COMMIT:
        if (r->err.code == 0) {
            write_success(r);
        } else if (r->err.code == ERR_CONFLICT && ++r->n_tries < WRITE_TRIES_MAX) {
            r->err = (struct err){ 0 };
            req_move(r, REQ_READ);
            bind_apply(r); /* on the pod that won */
        } else if (r->err.code == ERR_NOT_FOUND) {
            req_not_found(r, r->name);
        } else {
            req_commit_err(r, &r->err);
        }
        break;
    default:
        break;
    }
}
