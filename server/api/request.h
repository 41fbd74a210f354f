#pragma once
/*
 * Request: one exchange on its way through the API server. Inside server/api only.
 *
 *   BODY --> START -+-> READ -------------------------------> (answer)    get, connect
 *                   +-> LIST --> SEND ----------------------> (answer)    list, deletecollection
 *                   +-> LIST --> SEND --> WATCH ------------> (answer)    watch; LIST and SEND only
 *                   |                                                     with initial events
 *                   +-> NAMESPACE ------+
 *                   |      ^            v
 *                   +-> READ --------> COMMIT --------------> (answer)    writes; a lost race goes
 *                         ^-------------+                                 from COMMIT back to READ
 *
 * Before COMMIT lies QUOTA for what takes from a ResourceQuota (charge.h).
 *
 * BODY sleeps on the peer; NAMESPACE, READ, LIST and COMMIT on one store callback; QUOTA on other
 * requests for the same namespace; SEND on drains;
 * WATCH on events, drains and its timer; CONNECT on a kubelet. Callbacks keep the outcome in the
 * request and call api_step. Whoever answers does it last: the request may be gone after it.
 *
 * A request is freed when its peer is gone (http on_done; for local calls after done) and nothing
 * that it started is under way.
 */
#include "base/core/buf.h"
#include "base/core/list.h"
#include "base/http/server.h"
#include "base/io/timer.h"
#include "server/api/api.h"
#include "server/api/encode.h"
#include "server/api/params.h"
#include "server/api/route.h"
#include "server/auth/authorize.h"
#include "server/resource/resource.h"
#include "server/schema/decode.h"
#include "server/schema/schema.h"
#include "server/store/store.h"

#include <jansson.h>

#define API_BODY_MAX_BYTES   (3 * 1024 * 1024)    /* upstream's limit */
#define API_ANSWER_MAX_BYTES (1024 * 1024 * 1024) /* one encoded answer held in memory */

enum req_state {
    REQ_BODY,
    REQ_START,
    REQ_NAMESPACE,
    REQ_READ,
    REQ_LIST,
    REQ_SEND,
    REQ_QUOTA,
    REQ_COMMIT,
    REQ_WATCH,
    REQ_CONNECT,
    REQ_DONE,
};

enum req_verb {
    VERB_GET,
    VERB_LIST,
    VERB_WATCH,
    VERB_CREATE,
    VERB_UPDATE,
    VERB_PATCH,
    VERB_DELETE,
    VERB_DELETECOLLECTION,
    VERB_CONNECT,
    VERBS_N
};
extern const char *const req_verb_names[VERBS_N];

enum req_class { CLASS_READ, CLASS_WRITE, CLASS_WATCH, CLASS_STREAM, CLASS_FREE, CLASSES_N };

struct api_req;

/* Where the answer goes: an HTTP exchange or a caller on this loop. */
struct req_sink {
    void (*reply)(struct api_req *r, int code, const char *content_type, struct str body,
                  const struct http_header *extra, size_t n_extra);
    void (*start)(struct api_req *r, int code, const char *content_type,
                  const struct http_header *extra, size_t n_extra);
    void (*write)(struct api_req *r, struct str bytes);
    size_t (*queued)(struct api_req *r);
    void (*end)(struct api_req *r);
    void (*abort)(struct api_req *r);
};

struct charge;
struct charges;
struct deadline;
struct gzip;
struct tally;
struct scrape;
struct share_user;
struct watch;
struct watch_frame;
struct list_size;
struct connect;
struct label_selector;
struct field_selector;

struct api_req {
    struct list link; /* api.reqs */
    struct api *api;
    enum req_state state;
    enum req_class class_;
    struct share_user *user; /* share.c: whose place it takes; NULL: nobody's */
    const struct req_sink *sink;
    struct http_req *http;                                /* NULL: local */
    void (*local_done)(void *arg, int code, json_t *doc); /* doc is borrowed */
    void *local_arg;
    bool gone;          /* nobody hears the answer any more */
    bool answered;      /* reply or start was called */
    bool refreshed;     /* the store was asked for its newest revision */
    unsigned n_pending; /* store operations and child requests under way */
    struct err err;     /* outcome of the last one, code 0: fine */
    uint64_t began_ns;
    struct deadline *deadline; /* of the timeout parameter; NULL: none */

    /* the answer */
    bool takes_gzip, pretty;
    struct gzip *gzip; /* NULL: not packed */
    uint64_t sent_bytes;
    const char *allow; /* what a 405 names, during req_status; NULL: nothing */

    struct identity *id;
    char *target; /* path and query: routes and parameters point into it */
    struct route route;
    struct params params;
    struct accept accept;
    enum content_type content_type;
    const struct schema_kind *kind; /* NULL: a plain path */
    const struct schema_sub *sub;
    const struct resource_hooks *hooks;
    enum req_verb verb;
    struct buf body;

    /* writes */
    char *key;
    char *name;   /* generated, or the URL's or the object's */
    json_t *in;   /* the decoded body */
    bool repeats; /* the body has a key twice */
    json_t *opts; /* DeleteOptions */
    struct decode_notes notes;
    size_t n_read_notes; /* of these, what reading the body gave; the others are of r->obj */
    struct store_obj *old;
    json_t *old_doc;
    json_t *obj;           /* what is written, or was deleted */
    char *text;            /* its bytes */
    bool removes;          /* COMMIT deletes */
    struct charge *charge; /* charge.h; NULL: it takes from no quota */
    json_t *taken;         /* by hooks->allocate: undo when nothing is stored; ours */
    bool claim_lost;  /* the commit failed at a claim (server/api/claims.h), not at the object */
    bool claims_kept; /* of those that it should give up one is not there: all are left */
    unsigned n_tries;
    int ok_code; /* 200 or 201 */

    /* lists and watches */
    struct label_selector *labels;
    struct field_selector *fields;
    struct store_obj **objs;
    size_t n_objs, at_obj;
    int64_t list_rev;
    bool more;
    int64_t n_remaining;
    struct list_size *size; /* read.c: of a list in protobuf */
    char *continue_;
    struct buf after;         /* list from behind this key */
    bool sent_head, sent_any; /* of a list: its front, one of its items */
    struct watch *watch;
    struct connect *connect;
};

/* ---- request.c ---- */
struct api_req *req_new(struct api *a, const struct req_sink *sink, const char *method,
                        struct str path, struct str query);
/* After authentication: routes, authorizes, and either answers or goes to BODY / START. */
void req_begin(struct api_req *r, const char *method, struct str accept, struct str content_type);
void req_move(struct api_req *r, enum req_state to);
void api_step(struct api_req *r);
/* The peer is gone: stops what can be stopped, frees as soon as nothing is under way. */
void req_gone(struct api_req *r);
void req_release(struct api_req *r); /* frees it if it may go */
const char *req_group(const struct api_req *r);
bool req_knows_group(const struct api *a, struct str group); /* some kind is of it */
const char *req_ns(const struct api_req *r);

/* ---- reply.c: the last thing a function does ---- */
void req_status(struct api_req *r, json_t *status_take);
void req_err(struct api_req *r, const struct err *e); /* through the table of base/kube/status.h */
/* 403 with the sentence of at, and the reason where there is one. */
void req_forbidden(struct api_req *r, const struct authz_attrs *at, const char *reason);
/* What store_commit failed with, other than a lost race: a disk that takes nothing is 503. */
void req_commit_err(struct api_req *r, const struct err *e);
void req_doc(struct api_req *r, int code, json_t *doc_take);
void req_text(struct api_req *r, int code, const char *content_type, struct str body);
void req_object(struct api_req *r, int code, struct str value, int64_t rev);
void req_not_found(struct api_req *r, const char *name);
/* No Status: what upstream says, in plain text, of paths that lie in no group it knows: its router
 * does not get them (pkg/server/handler.go, director). */
void req_page_not_found(struct api_req *r);
void req_invalid(struct api_req *r, const char *name, const struct field_errors *fe);
/* The same about something that is not of the request's kind. */
void req_invalid_as(struct api_req *r, const char *group, const char *kind, const char *name,
                    const struct field_errors *fe);
struct encode_form req_form(const struct api_req *r);
const char *req_media_type(const struct api_req *r); /* of objects, lists, Status and watches */

#define REPLY_HEADERS_MAX 32
void reply_text(struct api_req *r, int code, const char *content_type, struct str body,
                const struct http_header *extra, size_t n_extra);
/* JSON, or what the client wants instead: indented, YAML. */
void reply_json(struct api_req *r, int code, struct str json, const struct http_header *extra,
                size_t n_extra);
/* It wants something else than the bytes that encode makes, so an answer must be whole. */
bool reply_is_dressed(const struct api_req *r);
/* The head of a 200 whose body comes in pieces. */
void reply_start(struct api_req *r);
/* A long answer, 200: pieces as encode makes them, and the last one, which may be the only one. */
void reply_piece(struct api_req *r, struct str piece);
void reply_last(struct api_req *r, struct str piece);
void reply_deinit(struct api_req *r);

/* Selectors of params into r->labels and r->fields. False: answered with 400. */
bool req_selectors(struct api_req *r);
bool req_matches(struct api_req *r, struct store_obj *o);
/* The same without parsing all of it, where nobody else will ask about this object. */
bool req_matches_once(struct api_req *r, struct store_obj *o);
/* A store_list that counted in n_pending came back: those that match go to r->objs, and r steps. */
void req_listed(struct api_req *r, const struct store_list *l,
                bool (*matches)(struct api_req *r, struct store_obj *o), const struct err *e);
/* The client has seen a newer state than we have: it is told to come again. False: answered. */
bool req_not_from_the_future(struct api_req *r);
/* Parsed, borrowed until the next turn; shared by all watchers of one event. NULL: damaged. */
const json_t *req_parsed(struct api *a, struct store_obj *o, const struct schema_kind *k);
/* Steps again in the next turn of the loop: long work lets others have theirs. */
void req_step_later(struct api_req *r);
/* Reads r->key into r->old (NULL: absent) and steps again in READ; at once when in memory. */
void req_read(struct api_req *r);
void req_authz_attrs(const struct api_req *r, struct authz_attrs *out);

/* ---- verbs, each called by api_step ---- */
void read_step(struct api_req *r);      /* read.c: get, list */
void write_step(struct api_req *r);     /* write.c: create, update, patch, binding, finalize */
void remove_step(struct api_req *r);    /* remove.c: delete, deletecollection */
void watch_step(struct api_req *r);     /* watch.c */
void connect_step(struct api_req *r);   /* connect.c */
void review_step(struct api_req *r);    /* review.c */
void component_step(struct api_req *r); /* component.c: get and list of ComponentStatus */
bool component_is(const struct schema_kind *k);
void plain_step(struct api_req *r); /* plain.c: paths that are no resources */

/* Answers with a list of what is not stored; takes the array and a reference to each. */
void read_listed(struct api_req *r, struct store_obj **objs_take, size_t n);
void read_drain(struct api_req *r);
void watch_drain(struct api_req *r);
void watch_stop(struct api_req *r);
void watch_end(struct api_req *r);  /* the kind is served no more, or otherwise */
void watch_shut(struct api_req *r); /* the server stops */
void watch_frame_free(struct watch_frame *f);
/* The last event in protobuf is not one of k. */
void watch_frame_forget(struct api *a, const struct schema_kind *k);
void connect_stop(struct api_req *r);
void connect_body(struct api_req *r, const char *p, size_t n);
void connect_body_end(struct api_req *r);
void connect_drain(struct api_req *r);
/* Is this subresource one that connects to a kubelet or pod? */
bool connect_is(const struct schema_kind *k, const struct schema_sub *sub);

/* ---- the server itself ---- */
#define API_PARSED_N 8
struct api {
    uv_loop_t *loop;
    struct store *store;
    struct schema *schema;
    struct discovery *discovery;
    struct authn *authn;
    struct authz *authz;
    struct node_graph *graph;
    struct resource_env env;
    struct api_config config; /* texts are ours */
    char *git_version;
    struct list reqs;
    unsigned n_running[CLASSES_N];
    unsigned n_shared[CLASSES_N]; /* of these, those that the bounds of share.h are about */
    struct map *users;            /* name -> struct share_user */
    unsigned n_packing;           /* answers that are being packed */
    struct {
        struct store_obj *o;
        const struct schema_kind *kind;
        json_t *doc;
    } parsed[API_PARSED_N];
    unsigned parsed_at;
    struct watch_frame *frame; /* watch.c: the last event in protobuf */
    json_t *lent;              /* array of documents that callers use until the next turn */
    struct tally *tally;
    struct scrape *scrape;               /* what /metrics knows of the store */
    struct map *nodes;                   /* "node:port" -> struct node_link (connect_kubelet.c) */
    struct tls_client_config *proxy_tls; /* connect_proxy.c; NULL until it is needed */
    struct list checks;
    bool serving, informed;         /* api_is_informed */
    struct customs *customs;        /* custom.h */
    struct charges *charges;        /* charge.h */
    struct local_watch *pods_watch; /* feeds graph */
    struct admission_feed *admission_feed;
    struct local_watch *services_watch; /* feeds env.service_ips when the store is shared */
    void (*started)(void *arg, const struct err *e);
    void *started_arg;
    struct err start_err;
    unsigned n_starting;     /* steps of api_start under way */
    struct list local_queue; /* api_call's, for the next turn */
    uv_idle_t local_idle;
    struct list watches; /* local_watch_start's */
    struct list feeds; /* what else has to end before: local_meta.h, local_gone.h, proxied bodies */
    struct timer close_timer, recount_timer;
    bool recounting; /* a list of the services is on its way: service_ips_recount_* */
    uint64_t close_deadline_ms;
    unsigned n_open_handles;
    void (*closed)(void *arg);
    void *closed_arg;
    bool closing;
};

void api_count(struct api_req *r, int code); /* the answer's code is known: into the metrics */
/* The checks of /readyz, or of /livez; why: NULL if all is well. */
typedef void (*api_check_fn)(void *arg, const char *name, const char *why);
void api_checks_walk(struct api *a, bool live, api_check_fn fn, void *arg);
/* The version of a kind that is stored (local.c). */
const char *local_version(const struct api *a, const char *group, const char *resource);
void connect_deinit(struct api *a); /* its handles count in n_open_handles */
void api_handle_closed(struct api *a);
/* Keeps doc, which is taken and may be NULL, until the next turn. Returns it. */
const json_t *api_lend(struct api *a, json_t *doc_take);
/* One call with its whole answer in memory, as local.h makes them; identity is taken. body may be
 * NULL, borrowed. Deferred to the next turn. content_type NULL: JSON. */
void api_call(struct api *a, struct identity *id_take, const char *method, const char *target,
              const char *content_type, const json_t *body,
              void (*done)(void *arg, int code, json_t *doc), void *arg);
