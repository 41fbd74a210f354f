#pragma once
/*
 * Controller: what every controller of this folder is: some watched kinds, a queue of keys, and a
 * function that makes one key right. Inside server/controller only.
 *
 * Watches are shared: one informer per kind however many look at it. A controller's queue is held
 * until all its kinds have been listed, so work may trust what it finds (and what it does not).
 * Decisions are pure functions over documents (declared in each controller's header, tested
 * there); the rest is one call and queue_done_local.
 */
#include "server/api/local.h"
#include "server/controller/controllers.h"
#include "server/controller/queue.h"

enum watched {
    WATCH_NODES,      /* kept */
    WATCH_LEASES,     /* of kube-node-lease; told, not kept */
    WATCH_PODS,       /* told, not kept */
    WATCH_NAMESPACES, /* kept */
    WATCH_SECRETS,    /* of kube-system; told, not kept */
    WATCH_EVENTS,     /* told, not kept */
    WATCH_SERVICE,    /* default/kubernetes only, as the next two; kept */
    WATCH_ENDPOINTS,
    WATCH_SLICE,
    WATCH_CA_MAPS,      /* kube-root-ca.crt of each namespace; kept */
    WATCH_ACCOUNTS,     /* the service account default of each namespace; kept */
    WATCH_BUDGETS,      /* PodDisruptionBudgets; kept */
    WATCH_QUOTAS,       /* ResourceQuotas; kept */
    WATCH_API_SERVICES, /* kept */
    WATCH_CRDS,         /* CustomResourceDefinitions; kept */
    WATCH_PRIORITIES,   /* PriorityClasses; told, not kept */
    WATCH_FLOWS,        /* FlowSchemas; kept */
    WATCH_LEVELS,       /* PriorityLevelConfigurations; kept */
    WATCHES_N,
};
#define WATCH_BIT(w) (1u << (w))

struct controller_env {
    struct controllers_config config; /* texts are ours */
    struct local_watch *watches[WATCHES_N];
};

struct controller { /* first member of each controller's own struct */
    const struct controller_ops *ops;
    struct controller_env *env;
    struct queue *queue;
};

struct controller_ops {
    const char *name;
    unsigned watches; /* WATCH_BITs */
    unsigned n_parallel;
    uint64_t retry_max_ms;                                         /* 0: the queue's default */
    bool on_each_server;                                           /* else: on one of them */
    bool (*is_wanted)(const struct controllers_config *);          /* NULL: always */
    struct controller *(*make)(const struct controllers_config *); /* NULL: plain */
    /* All it watches is known; may be NULL. Who has a stop too releases the queue himself. */
    void (*start)(struct controller *c);
    /* May come before start. Adds keys; must not make calls. */
    void (*on_event)(struct controller *c, enum watched w, enum local_event ev, const json_t *obj);
    void (*work)(struct controller *c, struct queue_item *it);
    /* No more events are wanted, the queue is about to close; for what start has begun beside the
     * shared watches. May be NULL. */
    void (*stop)(struct controller *c);
    void (*free)(struct controller *c); /* NULL: plain */
};

extern const struct controller_ops kubernetes_service_controller;
extern const struct controller_ops node_lifecycle_controller;
extern const struct controller_ops node_ipam_controller;
extern const struct controller_ops cloud_node_controller;
extern const struct controller_ops node_role_controller;
extern const struct controller_ops node_companion_controller;
extern const struct controller_ops namespace_defaults_controller;
extern const struct controller_ops namespace_lifecycle_controller;
extern const struct controller_ops pod_gc_controller;
extern const struct controller_ops event_ttl_controller;
extern const struct controller_ops token_cleaner_controller;
extern const struct controller_ops disruption_controller;
extern const struct controller_ops gc_controller;
extern const struct controller_ops system_priorities_controller;
extern const struct controller_ops api_services_controller;
extern const struct controller_ops quota_controller;
extern const struct controller_ops flow_keeper_controller;
extern const struct controller_ops crd_names_controller;
extern const struct controller_ops crd_finalizer_controller;

void kubernetes_service_changed(struct controller *c); /* live_servers has another answer */

/* The Node of that name as it is now, borrowed; NULL when there is none. */
const json_t *controller_node(const struct controller *c, const char *name);
uint64_t controller_now_ms(const struct controller *c); /* the loop's */
/* Writes an Event about an object, of which involved is an ObjectReference; nobody waits for it. */
void controller_event(const struct controller *c, const json_t *involved, const char *type,
                      const char *reason, const char *message);
/* The ObjectReference of a document that has kind and apiVersion; new. */
json_t *controller_reference(const json_t *obj);

/* {"metadata":{"resourceVersion": that of obj}}: a merge patch that fails with ERR_CONFLICT when
 * somebody was quicker. The caller adds to it. */
json_t *controller_patch_of(const json_t *obj);
/* Ends work with one patch. patch is consumed. */
void controller_patch(struct controller *c, struct queue_item *it, const struct local_ref *r,
                      json_t *patch_take);
