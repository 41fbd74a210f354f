#!/usr/bin/env bats
# Quotas on two servers of one etcd: together they never exceed a limit.
#
#   srv1 10.77.0.11, etcd beside it ------ srv2 10.77.0.12

load lib

TOKEN=0123456789abcdef-of-the-cluster

setup_file() {
    lib_need ip jq kubectl etcd curl
    lib_init
    two_servers
}
teardown_file() { lib_cleanup; }

used() { [ "$(kubectl_on "$1" get resourcequota "$2" -o json | jq -r ".status.used[\"$3\"]")" = "$4" ]; }

@test "creates on both at once: exactly as many as the limit leaves" {
    one create quota q --hard=count/leases.coordination.k8s.io=40
    wait_for 20 used srv1 q count/leases.coordination.k8s.io 0
    local h
    printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"generateName":"l-"}}' >"$T/lease.json"
    for h in srv1 srv2; do
        spawn "proxy-$h" kubectl_on "$h" proxy --port=8001
        wait_for 10 in_net "$h" curl -sf http://127.0.0.1:8001/version
    done
    for h in srv1 srv2; do
        seq 40 | in_net "$h" xargs -P 10 -I{} curl -s -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' \
            -d "@$T/lease.json" http://127.0.0.1:8001/apis/coordination.k8s.io/v1/namespaces/default/leases >"$T/codes.$h" &
        eval "pid_$h=$!"
    done
    # shellcheck disable=SC2154
    wait "$pid_srv1" "$pid_srv2"
    [ "$(cat "$T"/codes.* | grep -c '^201$')" = 40 ]
    [ "$(cat "$T"/codes.* | grep -c '^403$')" = 40 ]
    [ "$(one get leases -o name | wc -l)" = 40 ]
    used srv2 q count/leases.coordination.k8s.io 40
}

@test "what goes on one server is free on the other" {
    one delete "$(one get leases -o name | head -1)"
    wait_for 20 used srv2 q count/leases.coordination.k8s.io 39
    printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"last"}}' >"$T/last.json"
    wait_for 10 kubectl_on srv2 create -f "$T/last.json"
    sed 's/last/more/' "$T/last.json" >"$T/more.json"
    refute kubectl_on srv1 create -f "$T/more.json"
}
