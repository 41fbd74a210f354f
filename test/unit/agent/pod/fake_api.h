#pragma once
/* A Kubernetes API server that knows pods and nothing else: list, watch, status patches (merged
 * key by key), deletion. Everything in one process and on one loop. */
#include "base/http/server.h"
#include "base/io/listener.h"
#include "base/kube/client.h"

struct fake_api {
    uv_loop_t *loop;
    struct listener *listener;
    struct http_server *server;
    struct kube_client *client;
    json_t *pods;           /* "uid" -> object */
    struct http_req *watch; /* the stream that is open; NULL */
    struct buf events;      /* "Reason object: message\n" */
    unsigned n_patches, version;
    bool refuse_patches; /* answers 500 */
};

void fake_api_start(struct fake_api *f, uv_loop_t *loop);
void fake_api_stop(struct fake_api *f, void (*done)(void *arg), void *arg);
/* Takes the reference; needs metadata.uid. Added, or replaced. */
void fake_api_put(struct fake_api *f, json_t *pod);
/* As `kubectl delete`: the deletion timestamp and grace; the node does the rest. */
void fake_api_delete(struct fake_api *f, const char *uid, int64_t grace_s);
/* At once, as with --force. */
void fake_api_remove(struct fake_api *f, const char *uid);
json_t *fake_api_get(const struct fake_api *f, const char *uid); /* NULL: gone */
