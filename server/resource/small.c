/* Kinds that differ from the rest by a flag. */
#include "server/resource/kinds.h"

const struct resource_hooks resource_leases = {
    .group = "coordination.k8s.io",
    .plural = "leases",
    .needs_version = true, /* a holder must have read what it takes over */
};

const struct resource_hooks resource_serviceaccounts = {
    .group = "",
    .plural = "serviceaccounts",
    .returns_deleted = true,
};
