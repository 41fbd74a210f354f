#pragma once
/*
 * Local: the API for code on the server's own loop (controllers, scheduler, supervisor), without a
 * socket but with the full semantics: defaults, validation, admission, conflicts. The identity is
 * system:masters. Loop thread only.
 *
 * Calls never fail at once and always call done once, later; they cannot be cancelled, so arg must
 * live until then (or point to something that knows it is closed). Documents handed to callbacks
 * are borrowed: json_incref to keep, json_deep_copy to change.
 */
#include "base/core/err.h"

#include <jansson.h>

struct api;

/* What: {.resource = "nodes", .name = "a"}, {.group = "apps", ...}. version NULL: the preferred
 * one. ns NULL: cluster scope or all namespaces. Strings are copied. */
struct local_ref {
    const char *group; /* NULL or "": core */
    const char *version;
    const char *resource;
    const char *ns;
    const char *name;
    const char *subresource;
};

/* Items of a List carry no kind and apiVersion, as upstream's.
 * e NULL: code is 2xx and obj the answer (object, List or Status). Else code is the HTTP code, e
 * says it in our codes (ERR_NOT_FOUND, ERR_EXISTS, ERR_CONFLICT, ERR_INVALID, ...) and obj is the
 * Status. */
typedef void (*local_fn)(void *arg, int code, const json_t *obj, const struct err *e);

void local_get(struct api *a, const struct local_ref *r, local_fn done, void *arg);

struct local_list_opts {
    const char *label_selector, *field_selector; /* NULL: all */
};
void local_list(struct api *a, const struct local_ref *r, const struct local_list_opts *o,
                local_fn done, void *arg);

/* obj is borrowed (copied during the call). apiVersion and kind are filled in when absent. */
void local_create(struct api *a, const struct local_ref *r, const json_t *obj, local_fn done,
                  void *arg);
/* With metadata.resourceVersion in obj: ERR_CONFLICT when it is not the current one. */
void local_update(struct api *a, const struct local_ref *r, const json_t *obj, local_fn done,
                  void *arg);

enum local_patch { LOCAL_PATCH_JSON, LOCAL_PATCH_MERGE, LOCAL_PATCH_STRATEGIC };
void local_patch(struct api *a, const struct local_ref *r, enum local_patch type,
                 const json_t *patch, local_fn done, void *arg);

struct local_delete_opts {
    int64_t grace_period_s; /* -1: the kind's default; 0: at once */
    const char *uid;        /* preconditions; NULL: none */
    const char *resource_version;
    const char *propagation; /* "Background", "Foreground", "Orphan"; NULL: the kind's default */
};
void local_delete(struct api *a, const struct local_ref *r, const struct local_delete_opts *o,
                  local_fn done, void *arg);

/* ---- informer: all objects of a kind, and every change, for ever ---- */
/* Lists, then watches; a lost watch is made good by a fresh list whose differences arrive as
 * ordinary events, so it never ends until it is stopped. */
enum local_event { LOCAL_ADDED, LOCAL_MODIFIED, LOCAL_DELETED };
struct local_watch;
struct local_watch_events {
    /* obj is the state now; for DELETED the last known one. metadata.resourceVersion is set. */
    void (*on_event)(void *arg, enum local_event ev, const json_t *obj);
    /* Once, when the first list has been delivered; may be NULL. */
    void (*on_synced)(void *arg);
    /* Keep no documents: _get and _each find nothing, and a DELETED that was missed during a lost
     * watch carries only name and namespace. For who keeps his own extract of many objects. */
    bool no_cache;
};
/* r->name, subresource must be NULL; o may be NULL. Events begin later, from the loop. */
void local_watch_start(struct local_watch **out, struct api *a, const struct local_ref *r,
                       const struct local_list_opts *o, const struct local_watch_events *events,
                       void *arg);
/* The cached object, borrowed until the next loop turn; NULL when absent. ns "" for cluster scope.
 */
const json_t *local_watch_get(const struct local_watch *w, const char *ns, const char *name);
size_t local_watch_len(const struct local_watch *w);
bool local_watch_is_synced(const struct local_watch *w);
/* Those of the whole API that are not stopped. */
bool local_watches_are_synced(const struct api *a);
/* Every cached object once; return false to stop. */
void local_watch_each(const struct local_watch *w, bool (*fn)(void *arg, const json_t *obj),
                      void *arg);
/* Allowed from inside its events; no more come, it is gone at once for the caller. */
void local_watch_stop(struct local_watch *w);
