#!/usr/bin/env bats
# Two API endpoints, one killed: the next request through the node's balancer succeeds at once. Two
# forwarders in front of one server stand in for two servers.

load lib

setup_file() {
    lib_need ip kubectl curl socat
    lib_init
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    in_net srv ip addr add 198.51.100.11/32 dev lo
    in_net srv ip addr add 198.51.100.12/32 dev lo
    start_server srv --disable-agent --node-ip 198.51.100.10 --tls-san 198.51.100.11,198.51.100.12 --advertise-address 198.51.100.11 --advertise-port 7001
    forwarder 198.51.100.11 7001
    spawn_first=$SPAWNED
    echo "$spawn_first" >"$T/first"
    forwarder 198.51.100.12 7001
    echo "$SPAWNED" >"$T/second"
    start_agent srv --server https://198.51.100.12:7001 --token "$(agent_token srv)" --node-name n1 --container-runtime-endpoint /dev/null
    registered() { kubectl_on srv get node n1; }
    wait_for 20 registered || { show_logs; false; }
}
teardown_file() { lib_cleanup; }

forwarder() { spawn "fwd-$1" in_net srv socat "TCP-LISTEN:$2,bind=$1,fork,reuseaddr" TCP:198.51.100.10:6443; }
lb() { in_host srv "$CORACLE" agent lb status --data-dir "$T/srv/data" "$@"; }
through_lb() { in_net srv curl -sS -k --max-time $((20 * SLOW)) https://127.0.0.1:6444/ping; }

@test "the balancer has learned the listed address and keeps the fixed one" {
    both() { lb | grep -q 198.51.100.11:7001 && lb | grep -q '198.51.100.12:7001.*(--server)'; }
    wait_for 10 both || { lb; show_logs; false; }
    [ "$(jq -r .ServerURL "$T/srv/data/agent/etc/k3s-agent-load-balancer.json")" = https://198.51.100.12:7001 ]
    [ "$(jq -r '.ServerAddresses[0]' "$T/srv/data/agent/etc/k3s-agent-load-balancer.json")" = 198.51.100.11:7001 ]
}

@test "one endpoint killed: the next request succeeds at once" {
    [ "$(through_lb)" = pong ]
    kill -KILL "$(cat "$T/first")"
    [ "$(through_lb)" = pong ]
    failed() { lb --output json | jq -e '.servers[] | select(.address=="198.51.100.11:7001") | .state == "FAILED"'; }
    wait_for 10 failed || { lb; false; }
}

@test "it comes back and is used again" {
    forwarder 198.51.100.11 7001
    good() { lb --output json | jq -e '.servers[] | select(.address=="198.51.100.11:7001") | .state | IN("PREFERRED","ACTIVE","HEALTHY")'; }
    wait_for 15 good || { lb; show_logs; false; }
}
