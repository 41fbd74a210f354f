#pragma once
/*
 * Pod: one pod on this node, level-triggered: what the object says (pod_set_object) and what the
 * runtime shows (pod_observe) are compared in pod_step, which starts the one next thing; its end
 * asks for another look. Loop thread only. The picture of the steps is in pod.c.
 */
#include "agent/cri/runtime.h"
#include "agent/pod/pods.h"
#include "agent/pod/recorder.h"
#include "agent/pod/translate.h"

#include <jansson.h>

struct pod;

struct pod_node { /* what all pods of a node share; owned by pods */
    uv_loop_t *loop;
    struct kube_client *client;
    struct runtime *runtime;
    struct recorder *recorder;
    const char *state_dir, *log_root;
    const char *const *host_ips;
    size_t n_host_ips;
    struct translate_facts facts;           /* DNS and the node's memory */
    uint64_t next_look;                     /* number of the next look at the runtime */
    void (*look)(void *arg);                /* a look is wanted; from the loop, coalesced */
    void (*gone)(void *arg, struct pod *p); /* nothing is left of it: forget and free it */
    void *arg;
};

/* object: NULL for what runs without one (uid, namespace and name then come from its labels). */
void pod_new(struct pod **out, struct pod_node *node, const char *uid, const char *ns,
             const char *name, json_t *object);
void pod_set_object(struct pod *p, json_t *object);
/* The API has it no more: what is left here is removed. */
void pod_orphan(struct pod *p);
/* All that the runtime has, ours or not; look is the number of that look. */
void pod_observe(struct pod *p, uint64_t look, const struct cri_sandbox *sandboxes,
                 size_t n_sandboxes, const struct cri_container *containers, size_t n_containers);
/* Forgets waits for images: something was imported. */
void pod_retry_images(struct pod *p);

const char *pod_uid(const struct pod *p);
json_t *pod_object(const struct pod *p);  /* borrowed; NULL for an orphan of before our time */
json_t *pod_status(const struct pod *p);  /* a new reference to our view; NULL: none yet */
bool pod_is_settled(const struct pod *p); /* nothing is on its way */
bool pod_container(const struct pod *p, const char *name, struct pods_container *out);
const char *pod_sandbox_id(const struct pod *p); /* "" when none runs */

/* What runs in the runtime keeps running; calls of ours are cancelled. done comes later, then it is
 * gone. */
void pod_close(struct pod *p, void (*done)(void *arg), void *arg);
