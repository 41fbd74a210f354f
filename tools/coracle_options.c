#include "tools/coracle_options.h"

#include <stddef.h>

#define S(field)  offsetof(struct server_options, field)
#define A(field)  offsetof(struct node_options, field)
#define SN(field) offsetof(struct server_options, node.field)
/* clang-format off */
#define UNSUPPORTED(name_, type_, dflt_) { .name = (name_), .type = (type_), .dflt = (dflt_), .unsupported = true }
#define UNSUPPORTED_ENV(name_, type_, dflt_, env_) { .name = (name_), .type = (type_), .dflt = (dflt_), .env = (env_), .unsupported = true }

/* Flags of both roles; AT is where the role's options struct keeps the node part. */
#define NODE_FLAGS(AT) \
    { .name = "data-dir", .alias = 'd', .type = FLAG_STR, .offset = AT(data_dir), .dflt = "/var/lib/rancher/k3s", .env = "K3S_DATA_DIR", .help = "folder that holds the state" }, \
    { .name = "token", .alias = 't', .type = FLAG_STR, .offset = AT(token), .env = "K3S_TOKEN", .help = "shared secret to join the cluster", .secret = true }, \
    { .name = "token-file", .type = FLAG_STR, .offset = AT(token_file), .env = "K3S_TOKEN_FILE", .help = "file that holds the token" }, \
    { .name = "node-name", .type = FLAG_STR, .offset = AT(node_name), .env = "K3S_NODE_NAME", .help = "name of this node (default: the host name)" }, \
    { .name = "with-node-id", .type = FLAG_BOOL, .offset = AT(with_node_id), .help = "append a stable id to the node name" }, \
    { .name = "node-label", .type = FLAG_LIST, .offset = AT(node_label), .help = "label of the node, key=value; repeats" }, \
    { .name = "node-taint", .type = FLAG_LIST, .offset = AT(node_taint), .help = "taint at registration, key=value:Effect; repeats" }, \
    { .name = "node-ip", .alias = 'i', .type = FLAG_LIST_COMMA, .offset = AT(node_ip), .help = "address of the node, or one of each IP family (default: that of the default route)" }, \
    { .name = "node-external-ip", .type = FLAG_LIST_COMMA, .offset = AT(node_external_ip), .help = "external address of the node" }, \
    { .name = "node-internal-dns", .type = FLAG_LIST_COMMA, .offset = AT(node_internal_dns), .help = "internal DNS name of the node" }, \
    { .name = "node-external-dns", .type = FLAG_LIST_COMMA, .offset = AT(node_external_dns), .help = "external DNS name of the node" }, \
    { .name = "lb-server-port", .type = FLAG_INT, .offset = AT(lb_server_port), .dflt = "6444", .env = "K3S_LB_SERVER_PORT", .help = "port of the agent's load balancer; 0: random" }, \
    { .name = "container-runtime-endpoint", .type = FLAG_STR, .offset = AT(container_runtime_endpoint), .help = "CRI socket of another runtime; /dev/null: none" }, \
    { .name = "pause-image", .type = FLAG_STR, .offset = AT(pause_image), .dflt = "docker.io/coracle/pause:1", .help = "image of the pod sandbox" }, \
    { .name = "snapshotter", .type = FLAG_STR, .offset = AT(snapshotter), .help = "containerd's snapshotter (default: overlayfs where it works, else native)" }, \
    { .name = "resolv-conf", .type = FLAG_STR, .offset = AT(resolv_conf), .env = "K3S_RESOLV_CONF", .help = "resolv.conf for pods" }, \
    { .name = "debug", .type = FLAG_BOOL, .offset = AT(debug), .env = "K3S_DEBUG", .help = "log every step" }, \
    { .name = "node-dir", .type = FLAG_STR, .offset = AT(node_dir), .dflt = "/etc/rancher/node", .help = "folder of the node's password and id" }, \
    { .name = "run-dir", .type = FLAG_STR, .offset = AT(run_dir), .dflt = "/run/k3s", .help = "folder of the runtime's sockets" }, \
    { .name = "kubelet-port", .type = FLAG_INT, .offset = AT(kubelet_port), .dflt = "10250", .help = "port of the node's own API" }, \
    UNSUPPORTED("v", FLAG_INT, "0"), UNSUPPORTED("vmodule", FLAG_STR, NULL), \
    { .name = "log", .alias = 'l', .type = FLAG_STR, .unsupported = true }, UNSUPPORTED("alsologtostderr", FLAG_BOOL, NULL), \
    UNSUPPORTED("image-credential-provider-bin-dir", FLAG_STR, "/var/lib/rancher/credentialprovider/bin"), \
    UNSUPPORTED("image-credential-provider-config", FLAG_STR, "/var/lib/rancher/credentialprovider/config.yaml"), \
    UNSUPPORTED_ENV("selinux", FLAG_BOOL, NULL, "K3S_SELINUX"), UNSUPPORTED("protect-kernel-defaults", FLAG_BOOL, NULL), \
    UNSUPPORTED("default-runtime", FLAG_STR, NULL), UNSUPPORTED("image-service-endpoint", FLAG_STR, NULL), \
    UNSUPPORTED("private-registry", FLAG_STR, "/etc/rancher/k3s/registries.yaml"), \
    UNSUPPORTED("airgap-extra-registry", FLAG_LIST, NULL), UNSUPPORTED("docker", FLAG_BOOL, NULL), \
    UNSUPPORTED("disable-default-registry-endpoint", FLAG_BOOL, NULL), UNSUPPORTED("nonroot-devices", FLAG_BOOL, NULL), \
    UNSUPPORTED("flannel-iface", FLAG_STR, NULL), UNSUPPORTED("flannel-conf", FLAG_STR, NULL), \
    UNSUPPORTED("flannel-cni-conf", FLAG_STR, NULL), UNSUPPORTED_ENV("vpn-auth", FLAG_STR, NULL, "K3S_VPN_AUTH"), \
    UNSUPPORTED("vpn-auth-file", FLAG_STR, NULL), UNSUPPORTED("kubelet-arg", FLAG_LIST, NULL), \
    UNSUPPORTED("kube-proxy-arg", FLAG_LIST, NULL), UNSUPPORTED("enable-pprof", FLAG_BOOL, NULL), \
    UNSUPPORTED("rootless", FLAG_BOOL, NULL), UNSUPPORTED("prefer-bundled-bin", FLAG_BOOL, NULL)


const struct flag agent_flags[] = {
    NODE_FLAGS(A),
    { .name = "server", .alias = 's', .type = FLAG_STR, .offset = A(server), .env = "K3S_URL", .help = "URL of the server to join, https://host:port" },
    { .name = "bind-address", .type = FLAG_STR, .offset = A(bind_address), .help = "address of the node's own API (default: all)" },
    UNSUPPORTED("disable-apiserver-lb", FLAG_BOOL, NULL),
};
const size_t agent_flags_n = ARRAY_LEN(agent_flags);

const struct flag server_flags[] = {
    NODE_FLAGS(SN),
    { .name = "bind-address", .type = FLAG_STR, .offset = S(bind_address), .help = "address to listen on (default: all)" },
    { .name = "https-listen-port", .type = FLAG_INT, .offset = S(https_listen_port), .dflt = "6443", .help = "port of supervisor and API" },
    { .name = "supervisor-port", .type = FLAG_INT, .offset = S(supervisor_port), .dflt = "0", .env = "K3S_SUPERVISOR_PORT", .help = "port of the supervisor, where agents join; https-listen-port is then the API's alone (default: https-listen-port)" },
    { .name = "advertise-address", .type = FLAG_STR, .offset = S(advertise_address), .help = "address published for agents (default: node-external-ip, else node-ip)" },
    { .name = "advertise-port", .type = FLAG_INT, .offset = S(advertise_port), .dflt = "0", .help = "port published for agents (default: https-listen-port)" },
    { .name = "tls-san", .type = FLAG_LIST_COMMA, .offset = S(tls_san), .help = "further name or address in the server's certificate; repeats" },
    { .name = "cluster-cidr", .type = FLAG_LIST_COMMA, .offset = S(cluster_cidr), .help = "networks of pods, one or one of each IP family (default: 10.42.0.0/16; fd00:42::/56 when the first node-ip is IPv6)" },
    { .name = "service-cidr", .type = FLAG_LIST_COMMA, .offset = S(service_cidr), .help = "networks of services, of the same IP families (default: 10.43.0.0/16; fd00:43::/112 when the first node-ip is IPv6)" },
    { .name = "service-node-port-range", .type = FLAG_STR, .offset = S(service_node_port_range), .dflt = "30000-32767", .help = "ports of NodePort services" },
    { .name = "cluster-dns", .type = FLAG_LIST_COMMA, .offset = S(cluster_dns), .help = "address of the cluster's DNS (default: the tenth of service-cidr)" },
    { .name = "cluster-domain", .type = FLAG_STR, .offset = S(cluster_domain), .dflt = "cluster.local", .help = "DNS domain of the cluster" },
    { .name = "egress-selector-mode", .type = FLAG_STR, .offset = S(egress_selector_mode), .dflt = "agent", .help = "what goes through the tunnels: agent (kubelets), pod or cluster (pods too) or disabled", .one_of = "agent|pod|cluster|disabled" },
    { .name = "write-kubeconfig", .alias = 'o', .type = FLAG_STR, .offset = S(write_kubeconfig), .env = "K3S_KUBECONFIG_OUTPUT", .help = "where to write the admin kubeconfig (default: /etc/rancher/k3s/k3s.yaml)" },
    { .name = "write-kubeconfig-mode", .type = FLAG_STR, .offset = S(write_kubeconfig_mode), .env = "K3S_KUBECONFIG_MODE", .help = "its mode, octal (default: 0600)" },
    { .name = "write-kubeconfig-group", .type = FLAG_STR, .offset = S(write_kubeconfig_group), .env = "K3S_KUBECONFIG_GROUP", .help = "its group" },
    { .name = "write-kubeconfig-name", .type = FLAG_STR, .offset = S(write_kubeconfig_name), .dflt = "default", .help = "name of cluster, user and context in it" },
    { .name = "agent-token", .type = FLAG_STR, .offset = S(agent_token), .env = "K3S_AGENT_TOKEN", .help = "secret for agents only (default: token)", .secret = true },
    { .name = "agent-token-file", .type = FLAG_STR, .offset = S(agent_token_file), .env = "K3S_AGENT_TOKEN_FILE", .help = "file that holds it" },
    { .name = "datastore-endpoint", .type = FLAG_STR, .offset = S(datastore_endpoint), .env = "K3S_DATASTORE_ENDPOINT", .help = "etcd of the cluster: http(s)://host:2379,... (default: SQLite in data-dir)", .secret = true },
    { .name = "datastore-cafile", .type = FLAG_STR, .offset = S(datastore_cafile), .env = "K3S_DATASTORE_CAFILE", .help = "CA that etcd's certificate is checked against" },
    { .name = "datastore-certfile", .type = FLAG_STR, .offset = S(datastore_certfile), .env = "K3S_DATASTORE_CERTFILE", .help = "client certificate for etcd" },
    { .name = "datastore-keyfile", .type = FLAG_STR, .offset = S(datastore_keyfile), .env = "K3S_DATASTORE_KEYFILE", .help = "its key" },
    { .name = "disable", .type = FLAG_LIST_COMMA, .offset = S(disable), .help = "packaged component not to deploy (none is deployed yet)", .one_of = NULL },
    { .name = "disable-agent", .type = FLAG_BOOL, .offset = S(disable_agent), .help = "no node on this server" },
    { .name = "disable-scheduler", .type = FLAG_BOOL, .offset = S(disable_scheduler), .help = "pods wait for another scheduler" },
    { .name = "disable-cloud-controller", .type = FLAG_BOOL, .offset = S(disable_cloud_controller), .help = "node addresses come from elsewhere" },
    { .name = "disable-kube-proxy", .type = FLAG_BOOL, .offset = S(disable_kube_proxy), .help = "agents run no service proxy" },
    { .name = "disable-network-policy", .type = FLAG_BOOL, .offset = S(disable_network_policy), .help = "agents enforce no network policies" },
    { .name = "disable-helm-controller", .type = FLAG_BOOL, .offset = S(disable_helm_controller), .help = "charts are left alone" },
    UNSUPPORTED_ENV("server", FLAG_STR, NULL, "K3S_URL"), UNSUPPORTED_ENV("cluster-init", FLAG_BOOL, NULL, "K3S_CLUSTER_INIT"),
    { .name = "cluster-reset", .type = FLAG_BOOL, .offset = S(cluster_reset), .env = "K3S_CLUSTER_RESET", .help = "with cluster-reset-restore-path: restore and exit" },
    { .name = "cluster-reset-restore-path", .type = FLAG_STR, .offset = S(cluster_reset_restore_path), .help = "snapshot to restore" },
    { .name = "etcd-disable-snapshots", .type = FLAG_BOOL, .offset = S(etcd_disable_snapshots), .help = "no snapshots on schedule" },
    { .name = "etcd-snapshot-name", .type = FLAG_STR, .offset = S(etcd_snapshot_name), .dflt = "etcd-snapshot", .help = "first part of the names of scheduled snapshots" },
    { .name = "etcd-snapshot-schedule-cron", .type = FLAG_STR, .offset = S(etcd_snapshot_schedule_cron), .dflt = "0 */12 * * *", .help = "when snapshots are made" },
    { .name = "etcd-snapshot-retention", .type = FLAG_INT, .offset = S(etcd_snapshot_retention), .dflt = "5", .help = "how many scheduled snapshots stay; 0: all" },
    { .name = "etcd-snapshot-dir", .type = FLAG_STR, .offset = S(etcd_snapshot_dir), .help = "folder of snapshots (default: <data-dir>/server/db/snapshots)" },
    { .name = "etcd-snapshot-compress", .type = FLAG_BOOL, .offset = S(etcd_snapshot_compress), .help = "compress them (zip)" },
    UNSUPPORTED("apiserver-port", FLAG_INT, NULL),
    UNSUPPORTED("apiserver-bind-address", FLAG_STR, NULL), UNSUPPORTED("tls-san-security", FLAG_BOOL, "true"),
    UNSUPPORTED("flannel-backend", FLAG_STR, "vxlan"), UNSUPPORTED("flannel-ipv6-masq", FLAG_BOOL, NULL),
    UNSUPPORTED("flannel-external-ip", FLAG_BOOL, NULL), UNSUPPORTED("servicelb-namespace", FLAG_STR, "kube-system"),
    UNSUPPORTED("kube-apiserver-arg", FLAG_LIST, NULL), UNSUPPORTED("etcd-arg", FLAG_LIST, NULL),
    UNSUPPORTED("kube-controller-manager-arg", FLAG_LIST, NULL), UNSUPPORTED("kube-controller-arg", FLAG_LIST, NULL),
    UNSUPPORTED("kube-scheduler-arg", FLAG_LIST, NULL), UNSUPPORTED("kube-cloud-controller-manager-arg", FLAG_LIST, NULL),
    UNSUPPORTED("kube-cloud-controller-arg", FLAG_LIST, NULL), UNSUPPORTED("helm-controller-arg", FLAG_LIST, NULL),
    UNSUPPORTED("kine-tls", FLAG_BOOL, NULL),
    UNSUPPORTED("etcd-expose-metrics", FLAG_BOOL, NULL), UNSUPPORTED("etcd-snapshot-reconcile-interval", FLAG_STR, "10m"),
    UNSUPPORTED("etcd-s3", FLAG_BOOL, NULL), UNSUPPORTED("etcd-s3-endpoint", FLAG_STR, "s3.amazonaws.com"),
    UNSUPPORTED("etcd-s3-bucket", FLAG_STR, NULL), UNSUPPORTED("etcd-s3-region", FLAG_STR, "us-east-1"),
    UNSUPPORTED("etcd-s3-endpoint-ca", FLAG_STR, NULL), UNSUPPORTED("etcd-s3-skip-ssl-verify", FLAG_BOOL, NULL),
    UNSUPPORTED("etcd-s3-insecure", FLAG_BOOL, NULL), UNSUPPORTED("etcd-s3-folder", FLAG_STR, NULL),
    UNSUPPORTED("etcd-s3-bucket-lookup-type", FLAG_STR, "auto"), UNSUPPORTED("etcd-s3-retention", FLAG_INT, "5"),
    UNSUPPORTED("etcd-s3-proxy", FLAG_STR, NULL), UNSUPPORTED("etcd-s3-timeout", FLAG_STR, "5m"),
    UNSUPPORTED("etcd-s3-config-secret", FLAG_STR, NULL),
    { .name = "etcd-s3-session-token", .type = FLAG_STR, .secret = true, .unsupported = true },
    { .name = "etcd-s3-access-key", .type = FLAG_STR, .secret = true, .unsupported = true },
    { .name = "etcd-s3-secret-key", .type = FLAG_STR, .secret = true, .unsupported = true },
    UNSUPPORTED("default-local-storage-path", FLAG_STR, NULL), UNSUPPORTED("disable-apiserver", FLAG_BOOL, NULL),
    UNSUPPORTED("disable-controller-manager", FLAG_BOOL, NULL), UNSUPPORTED("disable-etcd", FLAG_BOOL, NULL),
    UNSUPPORTED("embedded-registry", FLAG_BOOL, NULL), UNSUPPORTED("supervisor-metrics", FLAG_BOOL, NULL),
    UNSUPPORTED("helm-job-image", FLAG_STR, NULL), UNSUPPORTED("secrets-encryption", FLAG_BOOL, NULL),
    UNSUPPORTED("secrets-encryption-provider", FLAG_STR, "aescbc"), UNSUPPORTED_ENV("system-default-registry", FLAG_STR, NULL, "K3S_SYSTEM_DEFAULT_REGISTRY"),
};
const size_t server_flags_n = ARRAY_LEN(server_flags);
/* clang-format on */
