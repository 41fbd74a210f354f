#!/usr/bin/env bats
# Supervisor and API on ports of their own: an agent behind NAT is told one of them, learns the other,
# balances each, and opens its tunnel at the supervisor's.

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl curl jq
    lib_init
    topology_nat
    in_net gate nft add rule ip gate pre ip daddr 198.51.100.5 tcp dport 9345 dnat to 10.77.0.10:9345
    echo 'nameserver 198.51.100.1' >"$T/nat/resolv.conf"
    serve_split
    start_edge
}
teardown_file() { lib_cleanup; }

serve_split() { start_server srv --tls-san cluster.test --disable-agent --https-listen-port 6443 --supervisor-port 9345; }
start_edge() {
    # shellcheck disable=SC2046
    spawn edge in_host edge env "$@" "$CORACLE" agent $(agent_args edge) --server https://cluster.test:9345 \
        --token "$(agent_token srv)" --node-name edge --container-runtime-endpoint /dev/null
    echo "$SPAWNED" >"$T/edge/pid"
}
reached() { [ "$(kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz)" = ok ]; }
asks() { # the API, as the node asks it: its certificate, its balancer
    local tls=$T/edge/data/agent
    in_net edge curl -sSf --max-time $((20 * SLOW)) --cacert "$tls/server-ca.crt" --cert "$tls/client-kubelet.crt" \
        --key "$tls/client-kubelet.key" https://127.0.0.1:6443/api/v1/nodes/edge
}
code() { in_net srv curl -sk -o /dev/null -w '%{http_code}' "https://127.0.0.1:$1$2"; }

@test "each port answers what is its own" {
    [ "$(code 9345 /ping)" = 200 ]
    [ "$(code 9345 /cacerts)" = 200 ]
    [[ "$(code 6443 /ping)" =~ ^(401|403|404)$ ]]
    [[ "$(code 6443 /cacerts)" =~ ^(401|403|404)$ ]]
    grep -q 'server: https://127.0.0.1:6443' "$T/srv/kubeconfig"
    kubectl_on srv get --raw /readyz
}

@test "an agent joins at the supervisor's port and finds the API's" {
    wait_for 30 reached || { show_logs; false; }
    wait_for 10 asks
    grep -q 'server: "\?https://127.0.0.1:6443' "$T/edge/data/agent/kubelet.kubeconfig"
    in_host edge "$CORACLE" agent lb status --data-dir "$T/edge/data" >"$T/lb"
    grep -q 'cluster.test:9345' "$T/lb" && grep -q 'cluster.test:6443' "$T/lb" || { cat "$T/lb"; false; }
    [ "$(jq -r .ServerURL "$T/edge/data/agent/etc/k3s-agent-load-balancer.json")" = https://cluster.test:9345 ]
    [ "$(jq -r .ServerURL "$T/edge/data/agent/etc/k3s-api-server-agent-load-balancer.json")" = https://cluster.test:6443 ]
}

@test "both come back after the server was away" {
    stop_pid "$(restart_pid srv)"
    serve_split
    wait_for 30 reached || { show_logs; false; }
    wait_for 10 asks
}

@test "both go through a proxy" {
    stop_pid "$(restart_pid edge)"
    in_net edge ip route del default
    spawn proxy in_host nat "$BUILD/test/tools/proxy" 192.168.77.1:1080
    start_edge HTTPS_PROXY=socks5://192.168.77.1:1080 K3S_AGENT_HTTP_PROXY_ALLOWED=true
    wait_for 30 reached || { show_logs; false; }
    wait_for 10 asks
    grep -q '^socks cluster.test:9345' "$T/log/proxy"
    grep -q '^socks cluster.test:6443' "$T/log/proxy"
}

@test "a server whose own node would want the API's port says so" {
    run in_host srv "$CORACLE" server --data-dir "$T/none" --supervisor-port 9445
    [ "$status" -eq 1 ]
    [[ "$output" == *--supervisor-port*--lb-server-port* ]]
}
