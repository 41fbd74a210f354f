#pragma once
/*
 * What the files of the agent role share: agent.c puts the parts together and takes them apart,
 * account.c tells how they are. Inside agent/boot only.
 */
#include "agent/boot/agent.h"
#include "agent/boot/join.h"
#include "agent/boot/reach.h"
#include "agent/boot/report.h"
#include "agent/boot/reporter.h"
#include "agent/boot/servers.h"
#include "agent/node/node.h"
#include "agent/pod/pods.h"
#include "agent/stream/port.h"
#include "base/io/host.h"
#include "base/io/timer.h"
#include "base/kube/informer.h"
#include "lb/metrics.h"

#define AGENT_ADDRESSES_MAX 16

/* One API identity: its TLS settings and client, through one balancer. */
struct client {
    uv_loop_t *loop;
    const struct balancer *balancer;
    struct tls_client_config *tls;
    struct kube_client *kube;
};

struct agent {
    const struct node_options *o;
    struct agent_events events;
    uv_loop_t loop;
    uv_async_t stop_async;
    struct timer renew_timer;
    bool stop_pods; /* written before the async, read after it */
    bool stopping, is_ready;

    char node_name[HOST_NAME_BYTES];
    char found_ips[HOST_IPS_MAX][HOST_IP_BYTES];
    const char *ips[AGENT_ADDRESSES_MAX];
    size_t n_ips;
    char *ips_text, *external_ips_text, *seed, *status_path;
    struct machine machine;
    struct node_object object;
    struct credentials credentials;
    bool has_credentials;
    struct cluster_config config;
    struct tunnel_authorizer authorizer;

    struct lb_proxy proxy;
    struct balancer *balancer;
    struct balancer *api_balancer; /* NULL unless supervisor and API server have different ports */
    struct report *report;
    struct reporter *reporter;
    struct runtime *runtime;
    struct join *join;
    struct client kubelet, controller;
    struct client supervisor; /* the kubelet's certificate; there only with api_balancer */
    struct servers *servers;
    struct port *port;
    struct node *node;
    struct informer *own_node;
    struct reach *reach; /* in the egress modes pod and cluster */
    struct pods *pods;

    enum cause cause;
    char why[512];
    int64_t since_unix_s;
};

/* ---- account.c ---- */
/* For report_start: arg is the struct agent. The caller owns the reference. */
json_t *account_make(void *arg, enum agent_report what);
/* For port_config.add_metrics: arg is the struct agent. */
void account_add_metrics(void *arg, struct buf *out);
