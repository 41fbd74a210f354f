#include "server/resource/kinds.h"

/* A kubelet registers its node with the status it begins with
 * (registry/core/node/strategy.go keeps it too). */
const struct resource_hooks resource_nodes = {
    .group = "",
    .plural = "nodes",
    .keeps_status = true,
};
