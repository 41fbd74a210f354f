/*
 * ComponentStatus: how the parts of the control plane are, made when somebody asks; nothing is
 * stored (pkg/registry/core/componentstatus of kubernetes, 1.32, which asks processes). Ours are
 * loops of this process: while it answers they run. The datastore says itself what ails it; it is
 * called etcd-0 whichever it is, as K3s does.
 */
#include "base/core/mem.h"
#include "base/kube/status.h"
#include "server/api/request.h"

static const char *const names[] = { "controller-manager", "etcd-0", "scheduler" };

bool component_is(const struct schema_kind *k)
{
    return !*k->group && strcmp(k->plural, "componentstatuses") == 0;
}

/* As a stored object, that nobody has stored. New. */
static struct store_obj *make(struct api_req *r, const char *name)
{
    bool ill = strcmp(name, "etcd-0") == 0;
    struct err e;

    ill = ill && store_trouble(r->api->store, &e);
    json_auto_t *doc =
        json_pack("{s:{s:s}, s:[{s:s, s:s, s:s}]}", "metadata", "name", name, "conditions", "type",
                  "Healthy", "status", ill ? "False" : "True", "message", ill ? e.text : "ok");
    auto_free char *text = encode_stored(r->kind, doc);
    return store_obj_new(str_of(name), str_of(text), 0, 0);
}

static void answer_one(struct api_req *r)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], r->route.name) != 0)
            continue;
        r->old = make(r, names[i]);
        req_object(r, 200, store_obj_value(r->old), 0);
        return;
    }
    req_status(r, status_not_found("", "componentstatus", r->route.name)); /* upstream's slip */
}

void component_step(struct api_req *r)
{
    struct store_obj **objs;
    size_t n = 0;

    if (r->verb == VERB_GET) {
        answer_one(r);
        return;
    }
    if (!req_selectors(r))
        return;
    objs = mem_calloc(ARRAY_LEN(names), sizeof *objs);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        objs[n] = make(r, names[i]);
        if (req_matches(r, objs[n]))
            n++;
        else
            store_obj_unref(objs[n]);
    }
    read_listed(r, objs, n);
}
