#!/usr/bin/env bats
# A site that lets nothing out but a proxy: no route, no DNS. Joining, the API and the tunnel, so logs
# and exec too, go through it, where K3S_AGENT_HTTP_PROXY_ALLOWED says so.

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl
    lib_init
    topology_nat
    in_net edge ip route del default
    echo 'nameserver 192.0.2.1' >"$T/edge/resolv.conf" # nobody
    echo 'nameserver 198.51.100.1' >"$T/nat/resolv.conf"
    start_server srv --tls-san cluster.test --disable-agent
    open_proxy
    spawn closed in_host nat "$BUILD/test/tools/proxy" 192.168.77.1:3128 'edge:se:cret'
}
teardown_file() { lib_cleanup; }

open_proxy() {
    spawn open in_host nat "$BUILD/test/tools/proxy" 192.168.77.1:1080
    echo "$SPAWNED" >"$T/open.pid"
}
edge_with() { # edge_with [NAME=VALUE...]: an agent with that environment, the one before ended
    [ ! -e "$T/edge/pid" ] || stop_pid "$(restart_pid edge)"
    # shellcheck disable=SC2046
    spawn edge in_host edge env "$@" "$CORACLE" agent $(agent_args edge) --server https://cluster.test:6443 \
        --token "$(agent_token srv)" --node-name edge --container-runtime-endpoint /dev/null
    echo "$SPAWNED" >"$T/edge/pid"
}
reached() { [ "$(kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz)" = ok ]; }
status() { in_host edge "$CORACLE" agent status --data-dir "$T/edge/data"; }
tunnel_through() { # tunnel_through LOG KIND: more than one connection of this kind to the server: the balancer's and the tunnel's
    [ "$(grep -c "^$2 cluster.test:6443" "$T/log/$1")" -ge 2 ]
}

@test "without leave the proxy is not used, and the agent says what is wrong" {
    edge_with HTTPS_PROXY=socks5://192.168.77.1:1080
    waits() { status | grep -qE 'DNS|TCP'; }
    wait_for 20 waits || { status; show_logs; false; }
    [ ! -s "$T/log/open" ]
}

@test "SOCKS 5: the node joins, and its tunnel is there" {
    edge_with HTTPS_PROXY=socks5://192.168.77.1:1080 K3S_AGENT_HTTP_PROXY_ALLOWED=true
    wait_for 30 reached || { status; show_logs; false; }
    wait_for 10 tunnel_through open socks || { cat "$T/log/open"; false; }
}

@test "a tunnel that the proxy lost comes back through it" {
    stop_pid "$(cat "$T/open.pid")"
    gone() { ! reached; }
    wait_for 20 gone
    open_proxy
    wait_for 30 reached || { status; show_logs; false; }
}

@test "HTTP CONNECT with a password" {
    edge_with HTTPS_PROXY=http://edge:se%3Acret@192.168.77.1:3128 K3S_AGENT_HTTP_PROXY_ALLOWED=true
    wait_for 30 tunnel_through closed http || { cat "$T/log/closed"; status; show_logs; false; }
    wait_for 30 reached || { status; show_logs; false; }
}

@test "a wrong password is named, and no password is told" {
    edge_with HTTPS_PROXY=http://edge:wrong-secret@192.168.77.1:3128 K3S_AGENT_HTTP_PROXY_ALLOWED=true
    named() { in_host edge "$CORACLE" agent lb status --data-dir "$T/edge/data" | grep -q 'HTTP 407'; }
    wait_for 20 named || { in_host edge "$CORACLE" agent lb status --data-dir "$T/edge/data"; show_logs; false; }
    run grep -E 'wrong-secret|se:cret|se%3Acret' "$T/log/edge"
    [ "$status" -eq 1 ]
    run in_host edge "$CORACLE" agent lb status --data-dir "$T/edge/data" --output json
    [[ "$output" != *wrong-secret* ]]
}
