#pragma once
/*
 * Informer: a live copy of the objects of one list path, kept by list and watch. Loop thread only.
 *
 *   LIST --> WATCH --> (server's timeout) --> WATCH ...   resumes at the last resourceVersion
 *     ^        |
 *     +--------+-- 410 Expired: lists again;  failures: backoff with jitter, then resumes
 *
 * Objects are refcounted json_t: json_incref keeps one beyond a callback; never change them. They
 * come without metadata.managedFields, which would be the larger part; an update without them does
 * not lose them.
 */
#include "base/kube/client.h"

struct informer;

struct informer_events { /* all may be NULL; objects are borrowed */
    void (*on_add)(void *arg, json_t *object);
    void (*on_update)(void *arg, json_t *before, json_t *object);
    /* The last known state; the object is not in the informer any more. */
    void (*on_delete)(void *arg, json_t *object);
    /* After the first whole list has been told with on_add. Once. */
    void (*on_synced)(void *arg);
    /* A list or watch failed; it will be tried again. For status pages. */
    void (*on_error)(void *arg, const struct err *e);
};

struct informer_config {
    struct kube_client *client; /* borrowed, outlives the informer */
    const char *path;           /* "/api/v1/pods", "/api/v1/namespaces/x/configmaps"; copied */
    const char *label_selector; /* NULL: all; copied */
    const char *field_selector; /* NULL: all; copied ("spec.nodeName=n1", "metadata.name=x") */
    size_t n_objects_max;       /* beyond it a list fails with ERR_LIMIT; 0: 10000 */
};

/* Starts at once; callbacks come later, from the loop. */
void informer_new(struct informer **out, const struct informer_config *c,
                  const struct informer_events *events, void *arg);
/* No callback comes after this but done (may be NULL), later. Also legal inside a callback. */
void informer_close(struct informer *inf, void (*done)(void *arg), void *arg);

bool informer_is_synced(const struct informer *inf);
/* Its watch runs: what it has is what the server has, as far as anybody can tell. */
bool informer_is_watching(const struct informer *inf);
size_t informer_n_objects(const struct informer *inf);
/* ns is "" or NULL for cluster-wide kinds. Borrowed; NULL when absent. */
json_t *informer_get(const struct informer *inf, const char *ns, const char *name);
/* Walks all, in no order: for (size_t i = 0; (obj = informer_next(inf, &i));) */
json_t *informer_next(const struct informer *inf, size_t *i);
/* Skips a running backoff: a hint that the server is in reach again. */
void informer_kick(struct informer *inf);
