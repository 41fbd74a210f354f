#!/usr/bin/env bats
# What `make up` and `make down` do, in a network of their own: a Ready node, the example pod's log,
# nothing left behind; and refusals that name who is in the way.

load lib

setup_file() {
    lib_need ip kubectl containerd runc ctr ss
    lib_init
    host_new box
    in_net box ip link add eth0 type bridge
    in_net box ip addr add 192.168.77.10/24 dev eth0
    in_net box ip link set eth0 up
    cd "$BATS_TEST_DIRNAME/../.." || return 1
}
teardown_file() {
    in_host box env DIR="$T/up" sh "$BATS_TEST_DIRNAME/../../tools/down.sh" >/dev/null 2>&1 || true
    lib_cleanup
}

up() { in_host box env DIR="$T/up" timeout $((300 * SLOW)) sh tools/up.sh "$BUILD" 3>&- 4>&-; }
down() { in_host box env DIR="$T/up" timeout $((180 * SLOW)) sh tools/down.sh; }
mine() { pgrep -f -- "$T/up" | grep -vx "$$" || true; }

@test "a port that somebody has is named, and nothing is started" {
    spawn squatter in_net box nc -lk 127.0.0.1 6444
    listens() { in_net box ss -Hltn 'sport = :6444' | grep -q .; }
    wait_for 10 listens
    run up
    [ "$status" -ne 0 ]
    [[ "$output" == *'port 6444 is in use by'*nc* ]]
    stop_pid "$SPAWNED"
}

@test "data of a K3s is named and left alone" {
    mkdir -p "$T/up/data/server/db"
    : >"$T/up/data/server/db/state.db"
    run up
    [ "$status" -ne 0 ]
    [[ "$output" == *'holds the data of a K3s'* ]]
    rm "$T/up/data/server/db/state.db"
}

@test "up shows a Ready node and the example pod's log" {
    run up
    echo "$output"
    [ "$status" -eq 0 ] || { tail -n 40 "$T/up/coracle.log"; false; }
    [[ "$output" == *' Ready '* ]]
    [[ "$output" == *'hello from a pod on coracle'* ]]
}

@test "up again says that it runs" {
    run up
    [ "$status" -eq 0 ]
    [[ "$output" == *'already running'* ]]
}

@test "coracle kubectl and the plain kubectl see the same" {
    KUBECONFIG=$T/up/k3s.yaml in_net box "$CORACLE" kubectl get nodes -o name | grep -q '^node/'
    [ "$(stat -c %a "$T/up/k3s.yaml")" = 600 ]
}

@test "down leaves no process, mount, link or cgroup" {
    run down
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$(mine)" ] || { ps -fp $(mine); false; }
    refute grep -q "$T/up" /proc/mounts
    [ -z "$(in_net box ip -o link show type veth)" ]
}

@test "up goes on where it was" {
    run up
    [ "$status" -eq 0 ] || { echo "$output"; tail -n 40 "$T/up/coracle.log"; false; }
    KUBECONFIG=$T/up/k3s.yaml in_net box kubectl get pod hello -o name
    run down
    [ "$status" -eq 0 ]
    [ -z "$(mine)" ]
}
