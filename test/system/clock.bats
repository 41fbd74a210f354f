#!/usr/bin/env bats
# Clocks and certificates through the years: each process has a clock of its own that the test moves
# (CORACLE_TEST_CLOCK_FILE), so years pass in seconds, and machines start in 1970 and in the future.
# The agents but edge never get as far as pods, so they need no container runtime.

load lib

DAY=86400
YEAR=$((365 * DAY))

setup_file() {
    lib_need ip kubectl openssl containerd
    lib_init
    host_new wan
    in_net wan ip link add br0 type bridge
    in_net wan ip link set br0 up
    attach srv 198.51.100.10
    set_clock srv 0
    clocked srv start_server srv --disable-agent
    TOKEN=$(agent_token srv)
    export TOKEN
    attach edge 198.51.100.20
    set_clock edge 0
    clocked edge start_agent edge --server "$URL" --token "$TOKEN" --node-name edge
    join_with_bootstrap_token boot 198.51.100.21
    attach gone 198.51.100.22
    set_clock gone 0
    again gone --token "$TOKEN"
    wait_for 40 node_ready srv edge || { show_logs; return 1; }
    wait_for 15 registered boot
    wait_for 15 registered gone
}
teardown_file() { lib_cleanup; }

URL=https://198.51.100.10:6443

attach() { # attach HOST IP: a host on the wan's bridge
    host_new "$1"
    ip link add "w$1" netns "$P-wan" type veth peer name eth0 netns "$P-$1"
    in_net wan ip link set "w$1" master br0 up
    in_net "$1" ip addr add "$2/24" dev eth0
    in_net "$1" ip link set eth0 up
    in_net "$1" ip route add default via 198.51.100.10 2>/dev/null || true
}

# ---- clocks -----------------------------------------------------------------------------------

set_clock() { # set_clock HOST SECONDS: how far its machine's clock is ahead
    (umask 077 && echo "$2" >"$T/$1.clock.tmp" && mv "$T/$1.clock.tmp" "$T/$1.clock")
}
clocked() { # clocked HOST FUNCTION...: what it starts has that host's clock
    CORACLE_TEST_CLOCK_FILE=$T/$1.clock "${@:2}"
}
now_on() { echo $(($(date +%s) + $(cat "$T/$1.clock"))); }

# kubectl has the real time, so it cannot judge the dates of the server's certificate: server_is_valid
# does. Its own certificate, the one of the kubeconfig, is judged by the server.
kubectl_on() {
    local name=$1
    shift
    sed 's/certificate-authority-data: .*/insecure-skip-tls-verify: true/' "$T/$name/kubeconfig" >"$T/$name/kubeconfig.now"
    in_net "$name" env KUBECONFIG="$T/$name/kubeconfig.now" HOME="$T" timeout "$(patience 65)" kubectl "$@"
}
server_is_valid() { # server_is_valid AT: its certificate, at that time, by the CA that agents pin
    in_net srv timeout 10 openssl s_client -connect 127.0.0.1:6443 -attime "$1" -verify_return_error \
        -verify_hostname kubernetes -CAfile "$T/srv/data/server/tls/server-ca.crt" </dev/null 2>&1 | grep -q 'Verify return code: 0'
}

# ---- agents -----------------------------------------------------------------------------------

again() { # again HOST FLAG...: an agent without a runtime, by its machine's clock
    clocked "$1" start_agent "$1" --server "$URL" --container-runtime-endpoint /dev/null --node-name "$1" "${@:2}"
}
join_with_bootstrap_token() { # HOST IP
    kubectl_on srv apply -f - <<YAML
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: abcdef
  token-secret: 0123456789abcdef
  expiration: "$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)"
  usage-bootstrap-authentication: "true"
YAML
    attach "$1" "$2"
    set_clock "$1" 0
    again "$1" --token abcdef.0123456789abcdef
}
registered() { kubectl_on srv get node "$1" >/dev/null; }
stop_agent() { stop_pid "$(restart_pid "$1")"; }
status_says() { in_host "$1" "$CORACLE" agent status --data-dir "$T/$1/data" | grep -qF -- "$2"; }
proxied() { [ "$(kubectl_on srv get --raw "/api/v1/nodes/$1/proxy/healthz")" = ok ]; }

lease_is_fresh() { # lease_is_fresh NODE [CLOCK]: renewed within a minute of the server's time
    local at
    at=$(kubectl_on srv get lease -n kube-node-lease "$1" -o jsonpath='{.spec.renewTime}')
    at=$(($(date -d "$at" +%s) - ${2:-$(now_on srv)}))
    [ "${at#-}" -lt $((60 * SLOW)) ]
}
serves() { registered "$1" && lease_is_fresh "$1" && proxied "$1"; }
ready_since() { kubectl_on srv get node edge -o jsonpath='{.status.conditions[?(@.type=="Ready")].lastTransitionTime}'; }

# Every certificate on the server's and edge's disk and in the admin's kubeconfig.
certificates() {
    local f
    for f in "$T"/srv/data/server/tls/{client-,serving-,etcd/*client,kube-}*.crt "$T"/srv/data/server/tls/kube-*/*.crt \
        "$T"/edge/data/agent/{client-,serving-}kube*.crt "$T"/edge/data/agent/client-k3s-controller.crt; do
        case $f in *-ca.crt | *-ca.nochain.crt) continue ;; esac
        [ -e "$f" ] && echo "${f#"$T"/} $(openssl x509 -in "$f" -noout -enddate)"
    done
    echo "kubeconfig $(sed -n 's/.*client-certificate-data: //p' "$T/srv/kubeconfig" | base64 -d | openssl x509 -noout -enddate)"
}
all_are_valid() { # all_are_valid AT: for a hundred days from then at least
    local name end ok=0
    while IFS=' ' read -r name end; do
        [ $(($(date -d "${end#notAfter=}" +%s) - $1)) -gt $((100 * DAY)) ] || { echo "$name ends $end"; ok=1; }
    done < <(certificates)
    return $ok
}

# -----------------------------------------------------------------------------------------------

@test "three years in steps: all certificates renew, no restart, the node stays Ready" {
    local step at since pids
    stop_agent boot
    stop_agent gone
    [ "$(certificates | wc -l)" -ge 17 ] # 13 of the server's, 4 of the agent's, the admin's
    since=$(ready_since)
    pids="$(restart_pid srv) $(restart_pid edge)"
    for step in 1 2 3 4; do
        at=$((step * 280 * DAY)) # due after 262 days at the latest, good for 365
        set_clock srv $at
        set_clock edge $at
        wait_for 20 all_are_valid "$(now_on srv)" || { certificates; show_logs; false; }
        wait_for 20 proxied edge || { show_logs; false; }
        node_ready srv edge
        server_is_valid "$(now_on srv)"
    done
    wait_for 20 serves edge || { show_logs; false; }
    [ "$(ready_since)" = "$since" ] # not for a moment was it anything else
    [ "$pids" = "$(restart_pid srv) $(restart_pid edge)" ]
    # shellcheck disable=SC2086
    kill -0 $pids
}

@test "a node that was off for five years is back, without a token" {
    stop_agent edge
    set_clock srv $((8 * YEAR))
    set_clock edge $((8 * YEAR))
    again edge
    wait_for 20 serves edge || { show_logs; false; }
    logged srv 'a node came back after its certificate had expired'
}

@test "one whose bootstrap token has expired too is back" {
    set_clock boot $((8 * YEAR))
    again boot --token abcdef.0123456789abcdef
    wait_for 20 serves boot || { show_logs; false; }
}

@test "one whose Node was deleted meanwhile is not; it says that it needs a token, and joins with one" {
    kubectl_on srv delete node gone
    set_clock gone $((8 * YEAR))
    again gone
    wait_for 15 logged gone 'a token is needed' || { show_logs; false; }
    wait_for 10 status_says gone 'cause         token'
    run registered gone
    [ "$status" -ne 0 ]
    stop_agent gone
    again gone --token "$TOKEN"
    wait_for 20 serves gone || { show_logs; false; }
}

@test "an agent whose machine starts in 1970 joins, and has the cluster's time" {
    attach old 198.51.100.23
    set_clock old "-$(date +%s)"
    again old --token "$TOKEN"
    wait_for 20 serves old || { show_logs; false; }
    logged old "going on with the cluster's time"
}

@test "it starts in 1970 again, and goes on where it was" {
    stop_agent old
    grep -q '^known 20' "$T/old/data/last-known-time"
    set_clock old "-$(($(date +%s) - 60))"
    again old
    wait_for 20 serves old || { show_logs; false; }
    logged old 'behind the last known time'
}

@test "an agent whose machine is five years ahead joins, and has the cluster's time" {
    attach new 198.51.100.24
    set_clock new $((13 * YEAR))
    again new --token "$TOKEN"
    wait_for 20 serves new || { show_logs; false; }
    logged new "going on with the cluster's time"
}

@test "somebody sets the clock of a running agent five years ahead, then years back: it notices and stays" {
    set_clock boot $((13 * YEAR))
    wait_for 30 logged boot "going on with the cluster's time" || { show_logs; false; }
    wait_for 20 serves boot || { show_logs; false; }
    set_clock boot 0
    corrected_twice() { [ "$(grep -cF "going on with the cluster's time" "$T/log/boot")" -ge 2 ]; }
    wait_for 30 corrected_twice || { show_logs; false; }
    wait_for 20 serves boot || { show_logs; false; }
}

@test "a server that starts in 1970 goes on where it was, and its agents with it" {
    local was
    stop_pid "$(restart_pid srv)"
    was=$(date -d "$(sed -n 's/^known //p' "$T/srv/data/last-known-time")" +%s)
    set_clock srv "-$(date +%s)"
    clocked srv start_server srv --disable-agent
    logged srv 'behind the last known time'
    server_is_valid "$was"
    wait_for 30 lease_is_fresh edge "$was" || { show_logs; false; }
    wait_for 20 proxied edge
}
