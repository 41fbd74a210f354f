#pragma once
/*
 * Kinds: the hooks that exist, one file each. Inside server/resource only.
 */
#include "server/resource/resource.h"

extern const struct resource_hooks resource_pods;            /* pod.c */
extern const struct resource_hooks resource_nodes;           /* node.c */
extern const struct resource_hooks resource_namespaces;      /* namespace.c */
extern const struct resource_hooks resource_services;        /* service.c */
extern const struct resource_hooks resource_jobs;            /* job.c */
extern const struct resource_hooks resource_daemonsets;      /* daemon_set.c */
extern const struct resource_hooks resource_statefulsets;    /* small.c */
extern const struct resource_hooks resource_deployments;     /* small.c */
extern const struct resource_hooks resource_leases;          /* small.c */
extern const struct resource_hooks resource_apiservices;     /* apiservice.c */
extern const struct resource_hooks resource_serviceaccounts; /* small.c */
extern const struct resource_hooks resource_claims;          /* small.c */
extern const struct resource_hooks resource_volumes;         /* small.c */
extern const struct resource_hooks resource_podtemplates;    /* small.c */
extern const struct resource_hooks resource_quotas;          /* small.c */
extern const struct resource_hooks resource_crds;            /* crd.c */
