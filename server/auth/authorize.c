#include "server/auth/authorize.h"

#include "base/core/mem.h"
#include "server/auth/rules.h"

#include <stdio.h>

#define AUTHORIZERS_MAX 16

struct authz {
    struct {
        authorizer_fn fn;
        void *arg;
    } v[AUTHORIZERS_MAX];
    size_t n;
};

void authz_new(struct authz **out, const struct node_graph *graph)
{
    struct authz *z = mem_alloc(sizeof *z);

    authz_add(z, rules_masters, NULL);
    authz_add(z, rules_everybody, NULL);
    authz_add(z, rules_node, (void *)graph);
    authz_add(z, rules_k3s_controller, NULL);
    authz_add(z, rules_kube_proxy, NULL);
    *out = z;
}

void authz_free(struct authz *z)
{
    free(z);
}

void authz_add(struct authz *z, authorizer_fn fn, void *arg)
{
    if (z->n == AUTHORIZERS_MAX)
        abort(); /* our own wiring, not input */
    z->v[z->n].fn = fn;
    z->v[z->n++].arg = arg;
}

bool authz_allowed(struct authz *z, const struct authz_attrs *a, char reason[AUTHZ_REASON_BYTES])
{
    reason[0] = '\0';
    for (size_t i = 0; i < z->n; i++) {
        char now[AUTHZ_REASON_BYTES] = "";
        enum authz_decision d = z->v[i].fn(z->v[i].arg, a, now);

        if (now[0] && !reason[0])
            memcpy(reason, now, sizeof now);
        if (d != AUTHZ_NO_OPINION)
            return d == AUTHZ_ALLOW;
    }
    return false;
}

/* apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage */
void authz_describe(const struct authz_attrs *a, char *out, size_t out_bytes)
{
    const char *user = a->id ? a->id->user : "system:anonymous";

    if (!a->is_resource)
        snprintf(out, out_bytes, "User \"%s\" cannot %s path \"%s\"", user, a->verb, a->path);
    else
        snprintf(out, out_bytes,
                 "User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\"%s%s%s", user,
                 a->verb, a->resource, *a->subresource ? "/" : "", a->subresource, a->group,
                 *a->namespace_ ? " in the namespace \"" : " at the cluster scope", a->namespace_,
                 *a->namespace_ ? "\"" : "");
}
