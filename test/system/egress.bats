#!/usr/bin/env bats
# What a server reaches on a node behind NAT, by CONNECT, in each egress mode: processes that stand in
# for pods listen on the node's address, on a pod's, and on one that is nobody's.

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl socat openssl
    lib_init
    topology_nat
    in_net edge ip addr add 10.42.7.5/32 dev lo
    in_net edge ip addr add 192.168.88.9/32 dev lo
    # the server has no way there but its tunnels, and is told so at once
    in_net srv ip route add unreachable 192.168.0.0/16
    in_net srv ip route add unreachable 10.42.0.0/16
    serve 192.168.77.10 8080
    serve 192.168.77.10 8081
    serve 10.42.7.5 80
    serve 192.168.88.9 80
    serve_mode pod
    start_edge
    has_node() { kubectl_on srv get node edge; }
    wait_for 30 has_node || { show_logs; false; }
    kubectl_on srv apply -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: { name: host }
spec:
  nodeName: edge
  hostNetwork: true
  containers: [{ name: c, image: i, ports: [{ containerPort: 8080 }] }]
---
apiVersion: v1
kind: Pod
metadata: { name: own }
spec:
  nodeName: edge
  containers: [{ name: c, image: i }]
YAML
    kubectl_on srv patch pod own --subresource=status --type=merge \
        -p '{"status":{"phase":"Running","podIP":"10.42.7.5","podIPs":[{"ip":"10.42.7.5"}]}}'
}
teardown_file() { lib_cleanup; }

serve() { # serve IP PORT: says where it is, on the edge
    spawn "pod-$1-$2" in_net edge socat "TCP-LISTEN:$2,bind=$1,fork,reuseaddr" SYSTEM:"echo edge $1 $2"
}
serve_mode() { start_server srv --tls-san cluster.test --disable-agent --egress-selector-mode "$1"; }
start_edge() {
    start_agent edge --server https://cluster.test:6443 --token "$(agent_token srv)" --node-name edge --container-runtime-endpoint /dev/null
}
server_in() { # server_in MODE: another mode, the same cluster
    stop_pid "$(restart_pid srv)"
    serve_mode "$1"
}
edge_again() {
    stop_pid "$(restart_pid edge)"
    start_edge
}

# connects TARGET: the answer to CONNECT and what the other end said, until it ends or 10 s are over
connects() {
    printf 'CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n' "$1" | in_net srv timeout $((10 * SLOW)) \
        openssl s_client -quiet -servername x -connect 127.0.0.1:6443 \
        -cert "$T/srv/data/server/tls/client-admin.crt" -key "$T/srv/data/server/tls/client-admin.key" 2>/dev/null
}
says() { [[ "$(connects "$1")" == *"$2"* ]]; } # says TARGET TEXT
label() { kubectl_on srv get node edge -o jsonpath='{.metadata.labels.egress\.k3s\.io/cluster}'; }
labeled() { [ "$(label)" = "$1" ]; }

@test "a mode that does not exist is refused by name" {
    run in_host srv "$CORACLE" server --data-dir "$T/none" --egress-selector-mode nodes
    [ "$status" -eq 1 ]
    [[ "$output" == *egress-selector-mode*nodes* ]]
    [[ "$output" == *agent*pod*cluster*disabled* ]]
}

@test "pod: pods of a node behind NAT are reached, on their own addresses and declared host ports" {
    wait_for 20 labeled true || { show_logs; false; }
    wait_for 20 says 192.168.77.10:8080 'edge 192.168.77.10 8080' || { connects 192.168.77.10:8080; show_logs; false; }
    wait_for 20 says 10.42.7.5:80 'edge 10.42.7.5 80' || { connects 10.42.7.5:80; show_logs; false; }
}

@test "pod: a port of the node that no pod declares is refused, and the refusal says by whom and why" {
    says 192.168.77.10:8081 'HTTP/1.1 502' || { connects 192.168.77.10:8081; false; }
    says 192.168.77.10:8081 'node edge: not allowed: tcp/192.168.77.10:8081' || { connects 192.168.77.10:8081; false; }
    # and cost the tunnel nothing
    says edge:10250 'HTTP/1.1 200'
}

@test "pod: a pod that is deleted is out of reach" {
    kubectl_on srv delete pod own --grace-period=0 --force
    gone() { ! says 10.42.7.5:80 'edge 10.42'; }
    wait_for 20 gone
}

@test "cluster: the node's ports and the pod network, once the agent has started again" {
    server_in cluster
    refused() { says 192.168.77.10:8081 'not allowed'; }
    wait_for 20 refused # the agent still does as it was told when it started
    edge_again
    wait_for 20 says 192.168.77.10:8081 'edge 192.168.77.10 8081' || { connects 192.168.77.10:8081; show_logs; false; }
    labeled true
    kubectl_on srv run own --image=i --overrides='{"spec":{"nodeName":"edge"}}'
    kubectl_on srv patch pod own --subresource=status --type=merge \
        -p '{"status":{"phase":"Running","podIP":"10.42.7.5","podIPs":[{"ip":"10.42.7.5"}]}}'
    wait_for 20 says 10.42.7.5:80 'edge 10.42.7.5 80' || { connects 10.42.7.5:80; show_logs; false; }
    # an address outside of the pod network is no pod, whatever its status says
    kubectl_on srv run odd --image=i --overrides='{"spec":{"nodeName":"edge"}}'
    kubectl_on srv patch pod odd --subresource=status --type=merge \
        -p '{"status":{"phase":"Running","podIP":"192.168.88.9","podIPs":[{"ip":"192.168.88.9"}]}}'
    wait_for 20 says 192.168.88.9:80 'node edge: not allowed: tcp/192.168.88.9:80' || { connects 192.168.88.9:80; false; }
}

@test "agent: only the kubelet is reached; pods are dialed directly, which NAT forbids" {
    server_in agent
    edge_again
    wait_for 20 labeled '' || { label; show_logs; false; }
    wait_for 20 says edge:10250 'HTTP/1.1 200' || { connects edge:10250; show_logs; false; }
    for target in 192.168.77.10:8080 10.42.7.5:80; do
        says "$target" 'HTTP/1.1 502' || { connects "$target"; false; }
        says "$target" "egress: dial $target: " || { connects "$target"; false; }
    done
}
