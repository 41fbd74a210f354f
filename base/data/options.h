#pragma once
/*
 * Options: what `coracle server` and `coracle agent` were told, in one place, so that the roles,
 * which never include each other, agree on it: the node part is shared. Names, defaults and
 * environment are K3s's (docs/cli.md); fields hold the text as given, checked where it is used.
 */
#include "base/data/flags.h"

/* What makes a node of this machine: the flags of `agent`, which `server` takes too. */
struct node_options {
    char *data_dir;           /* /var/lib/rancher/k3s; parts live in its "agent" */
    char *server;             /* https URL of the fixed registration address */
    char *token, *token_file; /* either */
    char *node_name;          /* NULL: the host name, lower case */
    bool with_node_id;        /* append "-<8 hex>" of <node_dir>/id */
    struct flag_list node_ip, node_external_ip, node_internal_dns, node_external_dns;
    struct flag_list node_label, node_taint;
    int64_t lb_server_port;           /* 6444; 0: random */
    char *bind_address;               /* of the kubelet port; NULL: all */
    char *container_runtime_endpoint; /* NULL: our own containerd; "/dev/null": none */
    char *pause_image;
    char *snapshotter;
    char *resolv_conf;
    char *node_dir;       /* /etc/rancher/node */
    char *run_dir;        /* /run/k3s: containerd's socket and state */
    int64_t kubelet_port; /* 10250 */
    bool debug;
    /* k3s.io/node-args and node-env, ready made (JSON texts) */
    char *node_args, *node_env;
    const char *version; /* "v1.32.0+coracle..."; static */
};

struct server_options {
    struct node_options node;  /* data_dir, token, ... are the same fields */
    const char *build_commit;  /* no flag: what main was built from, "" when not from git; static */
    int64_t https_listen_port; /* 6443 */
    int64_t supervisor_port;   /* 0: https_listen_port; else that one serves the API only */
    char *bind_address;        /* NULL: all */
    char *advertise_address;   /* NULL: node-external-ip, else node-ip, else the default route's */
    int64_t advertise_port;    /* 0: https_listen_port */
    struct flag_list tls_san;
    struct flag_list cluster_cidr, service_cidr, cluster_dns;
    char *service_node_port_range; /* 30000-32767 */
    char *cluster_domain;
    char *egress_selector_mode; /* agent, pod, cluster, disabled */
    char *agent_token, *agent_token_file;
    char
        *datastore_endpoint; /* NULL or "": SQLite below data_dir; secret, it may hold a password */
    char *datastore_cafile, *datastore_certfile, *datastore_keyfile;
    char *write_kubeconfig, *write_kubeconfig_mode, *write_kubeconfig_group, *write_kubeconfig_name;
    struct flag_list disable;
    bool disable_agent, disable_scheduler, disable_cloud_controller, disable_kube_proxy;
    bool disable_network_policy, disable_helm_controller;
    /* snapshots of the datastore; K3s's names, whatever it is */
    bool etcd_disable_snapshots, etcd_snapshot_compress;
    char *etcd_snapshot_name, *etcd_snapshot_schedule_cron, *etcd_snapshot_dir;
    int64_t etcd_snapshot_retention;
    bool cluster_reset;
    char *cluster_reset_restore_path;
};
