#pragma once
/*
 * Admission: what is decided with the object in hand, after authorization: the built-in plugins of
 * upstream that a plain cluster has on. One file per plugin; each is a pair of functions in the
 * table of admission.c. Webhooks and policies come behind them. Loop thread only.
 */
#include "base/core/err.h"
#include "server/schema/schema.h"

#include <jansson.h>

struct admission {
    const char *user; /* who asks */
    const char *node; /* the node when a node asks, else NULL */
    const char *verb; /* "create", "update" (patches too), "delete" */
    const struct schema_kind *kind;
    const char *subresource; /* "" for the object itself */
    const char *namespace_, *name;
    json_t *obj;       /* NULL for delete */
    const json_t *old; /* NULL for create */
};

/* Changes obj. */
MUST_USE int admission_mutate(const struct admission *a, struct err *e);
/* ERR_DENIED: 403, e is the reason. */
MUST_USE int admission_validate(const struct admission *a, struct err *e);

/* ---- plugins ---- */
/* node_restriction.c: what a node may write (upstream plugin/pkg/admission/noderestriction). */
int node_restriction_validate(const struct admission *a, struct err *e);
/* pod_defaults.c: ServiceAccount (the name), Priority, DefaultTolerationSeconds. */
int pod_defaults_mutate(const struct admission *a, struct err *e);
