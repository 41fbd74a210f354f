#pragma once
/*
 * Runtime: the node's container runtime as a whole: our containerd as a supervised child, or one
 * that somebody else runs, its images and its pod network. Loop thread only.
 *
 *   PREPARE --> DIAL --> IMPORT --> RUNNING      PREPARE: folders, config, what the host can
 *                ^          |          |         IMPORT: the pause image; other archives follow
 *                +----------+----------+         in the background
 *                 the socket is gone or silent
 *
 * The node is Ready when runtime_is_ready; else runtime_why tells why in a sentence. Containers do
 * not stop with containerd: it finds them again when it comes back.
 */
#include "agent/cri/cri.h"

struct runtime;

#define RUNTIME_PAUSE_IMAGE "docker.io/coracle/pause:1" /* part of the program */

struct runtime_config {
    uv_loop_t *loop;
    const char *data_dir;    /* "/var/lib/rancher/k3s"; ours is its "agent" */
    const char *run_dir;     /* "/run/k3s"; ours is its "containerd" */
    const char *endpoint;    /* NULL: our own child; "unix:///..." or a path; "/dev/null": none */
    const char *pause_image; /* NULL: RUNTIME_PAUSE_IMAGE */
    const char *snapshotter; /* NULL: overlayfs where it can be mounted, else native */
    const char *cni_bin_dir; /* NULL: /usr/lib/cni */
    const char *cni_bridge;  /* NULL: cni0 */
    void (*on_change)(void *arg); /* ready, why or version changed, or an archive was imported;
                                     from the loop, never from inside a call */
    void *arg;
};

/* Starts at once. ERR_INVALID: an endpoint that is none. All else is retried for ever. */
MUST_USE int runtime_start(struct runtime **out, const struct runtime_config *c, struct err *e);

bool runtime_is_ready(const struct runtime *r);
const char *runtime_why(const struct runtime *r); /* "" when ready */
const char *runtime_version(
    const struct runtime *r); /* "containerd://1.6.20~ds1"; "" before known */
/* For calls; NULL while it is not running (DIAL). Ask again for each call, do not keep it. */
struct cri *runtime_cri(const struct runtime *r);
/* Are archives of <data_dir>/agent/images still on their way in? */
bool runtime_is_importing(const struct runtime *r);

/* The node's pod network, "10.42.0.0/24", or one of each family with a comma between: writes the
 * CNI configuration. Again with the same is free. ERR_INVALID: not an IPv4 or IPv6 prefix. */
MUST_USE int runtime_set_pod_cidr(struct runtime *r, const char *cidrs, struct err *e);

/* Stops our child; pods keep running, or are stopped and removed first (stop_pods). Then done is
 * called, later, and it is gone. */
void runtime_close(struct runtime *r, bool stop_pods, void (*done)(void *arg), void *arg);
