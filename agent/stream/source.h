#pragma once
/*
 * Source: the calls by which the port learns about the node: the real ones of agent/pod and
 * agent/cri (source.c), or a test's own. Loop thread only.
 */
#include "agent/pod/pods.h"
#include "agent/stream/session_ask.h"

struct source {
    int (*container)(const struct pods *p, const char *ns, const char *pod, const char *uid,
                     const char *container, struct pods_container *out, struct err *e);
    int (*sandbox)(const struct pods *p, const char *ns, const char *pod, const char *uid,
                   const char **sandbox_id, struct err *e);
    json_t *(*list)(const struct pods *p);
    /* Asks for the URL of a session with that container (or sandbox, for port-forward). ERR_AGAIN:
     * the runtime is not there now. done comes as of cri_exec: once, later. */
    int (*url)(struct runtime *r, const char *id, const struct session_ask *ask,
               struct cri_call **call, cri_text_fn done, void *done_arg, struct err *e);
    void (*cancel)(struct cri_call *call); /* done comes with ERR_CANCELED */
};

/* Where the answers come from now; pods and runtime may be NULL. */
struct node_view {
    const struct source *source;
    struct pods *pods;
    struct runtime *runtime;
};
