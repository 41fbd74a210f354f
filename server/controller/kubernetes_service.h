#pragma once
/*
 * Kubernetes service: what Service, Endpoints and EndpointSlice default/kubernetes must say, and
 * what is wrong with the ones that exist. Pure. Contents as K3s publishes them
 * (pkg/controlplane/controller/kubernetesservice of kubernetes, test/golden).
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kubernetes_want {
    const char *service_ip;
    uint16_t service_port;  /* targetPort of 443 */
    const char *const *ips; /* of the servers that live, at least one */
    size_t n_ips;
    uint16_t port; /* at which each of them answers */
};

/* Endpoints may hold that address: it is none of loopback, link-local or unspecified. False: why
 * says so, in validation's words. */
bool kubernetes_publishes(const char *ip, char *why, size_t n_bytes);

/* New documents, the caller's. A slice has the addresses of the Service's family; when no server
 * has one, those of the other. */
json_t *kubernetes_service_new(const struct kubernetes_want *w);
json_t *kubernetes_endpoints_new(const struct kubernetes_want *w);
json_t *kubernetes_slice_new(const struct kubernetes_want *w);

/* The merge patch that makes now like want; NULL when nothing is wrong. Only the named fields of
 * want and its labels are compared: what others add beside them is theirs. */
json_t *kubernetes_fix(const json_t *now, const json_t *want, const char *const *fields);
/* An EndpointSlice's addressType cannot be changed: true when it has to be made anew. */
bool kubernetes_slice_must_go(const json_t *now, const json_t *want);
