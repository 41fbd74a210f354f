#pragma once
/*
 * Admission: what is decided with the object in hand, after authorization: the built-in plugins of
 * upstream that a plain cluster has on. One file per plugin; each is a pair of functions in the
 * table of admission.c. Webhooks and policies come behind them. Loop thread only.
 */
#include "base/core/err.h"
#include "server/schema/schema.h"

#include <jansson.h>

/* What plugins look up, as it was a moment ago: informers, as upstream's. */
enum admission_kind {
    ADMISSION_PRIORITY_CLASSES,
    ADMISSION_STORAGE_CLASSES,
    ADMISSION_INGRESS_CLASSES,
    ADMISSION_RUNTIME_CLASSES,
    ADMISSION_LIMIT_RANGES,
    ADMISSION_KINDS_N
};
struct admission_world {
    /* Borrowed until the next loop turn; NULL when absent. ns "" for cluster scope. */
    const json_t *(*get)(void *arg, enum admission_kind k, const char *ns, const char *name);
    /* Every object of the kind, in no order; fn returns false to stop. */
    void (*each)(void *arg, enum admission_kind k, bool (*fn)(void *fn_arg, const json_t *obj),
                 void *fn_arg);
    void *arg;
};

struct admission {
    const struct admission_world *world;
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
/* pod_defaults.c: ServiceAccount (the name), DefaultTolerationSeconds. */
int pod_defaults_mutate(const struct admission *a, struct err *e);
/* priority.c: the numbers of a pod's PriorityClass; one class at most is the default. */
int priority_mutate(const struct admission *a, struct err *e);
int priority_validate(const struct admission *a, struct err *e);
/* default_classes.c: DefaultStorageClass and DefaultIngressClass. */
int default_classes_mutate(const struct admission *a, struct err *e);
/* runtime_class.c: a pod's overhead, node selector and tolerations by its RuntimeClass. */
int runtime_class_mutate(const struct admission *a, struct err *e);
int runtime_class_validate(const struct admission *a, struct err *e);
/* limit_ranger.c: amounts that the LimitRanges of a namespace fill in and bound. */
int limit_ranger_mutate(const struct admission *a, struct err *e);
int limit_ranger_validate(const struct admission *a, struct err *e);

/* certificate_subject.c: CertificateSubjectRestriction. */
int certificate_subject_validate(const struct admission *a, struct err *e);

/* ---- for plugins ---- */
/* Is it this resource itself, no subresource? */
bool admission_is(const struct admission *a, const char *group, const char *plural);
bool admission_creates(const struct admission *a);
