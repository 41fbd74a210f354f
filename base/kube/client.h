#pragma once
/*
 * Kube client: calls to a Kubernetes API server, JSON in and out. Loop thread only.
 *
 * Paths are the server's own ("/api/v1/namespaces/default/pods/web"), query strings may be part of
 * them. An answer that is not 2xx becomes a struct err: its text is "METHOD path: Status.message",
 * its code follows Status.reason, or the HTTP status where there is none (kube_status_err).
 */
#include "base/http/client.h"

#include <jansson.h>

struct kube_client;
struct kube_call; /* one request that runs; only for kube_call_cancel, dead after its last event */

struct kube_client_config {
    struct http_endpoint_config endpoint; /* as http_endpoint_new wants it */
    const char *user_agent;               /* copied; NULL: "coracle" */
    const char *bearer_token;             /* copied, never logged; NULL: client certificate */
    uint64_t timeout_ms;                  /* of each call but watches; 0: 30 s */
    size_t body_max_bytes;                /* of one answer; 0: 64 MiB */
};

void kube_client_new(struct kube_client **out, uv_loop_t *loop, const struct kube_client_config *c);
/* Running calls end with ERR_CANCELED, then done (may be NULL) is called and it is gone. */
void kube_client_close(struct kube_client *k, void (*done)(void *arg), void *arg);
void kube_client_reset(struct kube_client *k); /* new connections, see http_endpoint_reset */
uv_loop_t *kube_client_loop(const struct kube_client *k);

struct kube_reply { /* all borrowed, valid during the call */
    int status;     /* HTTP status; 0: no answer came */
    const struct http_headers *headers;
    struct str body;
    json_t *object;          /* the body when it is JSON, else NULL; json_incref keeps it. On an
                              * error it is the Status object, if one came */
    const char *reason;      /* Status.reason, or "" */
    uint64_t retry_after_ms; /* Retry-After or Status.details.retryAfterSeconds; 0: not said */
};

/* Exactly once, later. r is never NULL; e is NULL for 2xx. ERR_NOT_FOUND, ERR_EXISTS, ERR_CONFLICT,
 * ERR_EXPIRED (410), ERR_DENIED (401, 403), ERR_INVALID, ERR_LIMIT (413), ERR_AGAIN (429, 503 and
 * server timeouts: retry), ERR_IO (other 5xx), and the transport's own. */
typedef void (*kube_reply_fn)(void *arg, const struct kube_reply *r, const struct err *e);

enum kube_patch {
    KUBE_PATCH_JSON,      /* application/json-patch+json */
    KUBE_PATCH_MERGE,     /* application/merge-patch+json */
    KUBE_PATCH_STRATEGIC, /* application/strategic-merge-patch+json */
    KUBE_PATCH_APPLY, /* application/apply-patch+yaml (JSON is YAML); fieldManager in the path */
};

struct kube_list_options { /* all may be NULL/0 */
    const char *label_selector;
    const char *field_selector;
    const char *resource_version;
    const char *continue_token;
    uint32_t limit;
};

/* Bodies are copied. An empty body of kube_delete sends none, else it is DeleteOptions. */
struct kube_call *kube_get(struct kube_client *k, const char *path, kube_reply_fn done, void *arg);
struct kube_call *kube_list(struct kube_client *k, const char *path,
                            const struct kube_list_options *o, kube_reply_fn done, void *arg);
struct kube_call *kube_create(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg);
struct kube_call *kube_update(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg);
struct kube_call *kube_patch(struct kube_client *k, const char *path, enum kube_patch type,
                             struct str body, kube_reply_fn done, void *arg);
struct kube_call *kube_delete(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg);
/* The general one. content_type NULL: application/json. */
struct kube_call *kube_request(struct kube_client *k, const char *method, const char *path,
                               const char *content_type, struct str body, kube_reply_fn done,
                               void *arg);
void kube_call_cancel(struct kube_call *c); /* its last event comes with ERR_CANCELED, later */

/* ---- watch ---- */

enum kube_event_type { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK };

struct kube_watch_events {
    /* object is borrowed. ERROR events do not come here: they end the watch. */
    void (*on_event)(void *arg, enum kube_event_type type, json_t *object);
    /* Once, last. NULL: the server ended the watch (its timeout). ERR_EXPIRED: list again.
     * retry_after_ms as in kube_reply. */
    void (*on_done)(void *arg, uint64_t retry_after_ms, const struct err *e);
};

struct kube_watch_options {
    const char *label_selector;
    const char *field_selector;
    const char *resource_version; /* NULL: from now, after an ADDED for each that exists */
    /* The server ends it then; 0: 300. We end it 30 s later, with ERR_TIMEOUT. */
    uint32_t timeout_s;
    bool bookmarks;
};

struct kube_call *kube_watch(struct kube_client *k, const char *path,
                             const struct kube_watch_options *o,
                             const struct kube_watch_events *events, void *arg);

/* ---- small parts, without I/O ---- */

/* The error for an answer: status is HTTP's, object the Status or NULL. Returns e->code. */
int kube_status_err(struct err *e, int status, const json_t *object);
/* The same for a Status object alone (a watch's ERROR event): its own code decides. */
int kube_status_object_err(struct err *e, const json_t *object);
/* Adds path with the options as query parameters. */
MUST_USE int kube_list_target(struct buf *out, const char *path, const struct kube_list_options *o);
