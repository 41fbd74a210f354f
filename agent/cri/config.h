#pragma once
/*
 * Config: the files that our containerd and its network plugins read, as text. No I/O; any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

struct config_containerd {
    const char *root, *state, *socket; /* paths */
    const char *pause_image, *snapshotter;
    const char *cni_bin_dir, *cni_conf_dir;
    bool restrict_oom_score_adj; /* this host does not let us lower it */
    bool debug;
};

/* containerd's config.toml, version 2 (containerd 1.6, docs/cri/config.md). ERR_LIMIT. */
MUST_USE int config_containerd(struct buf *b, const struct config_containerd *c);

/* The network of the pods: Debian's bridge plugin with an address of each network of cidrs
 * ("10.42.0.0/24,fd00:42::/64" or one) and forwarding of host ports (CNI spec 0.4.0). ERR_INVALID:
 * one is no IPv4 or IPv6 prefix. */
MUST_USE int config_cni(struct buf *b, const char *cidrs, const char *bridge, const char *lease_dir,
                        struct err *e);
