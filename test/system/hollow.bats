#!/usr/bin/env bats
# Hollow: a server with fifty agents that misbehave: agents without containers (tools/hollow.c), with the
# real registration, tunnels, watches and leases. Whatever some of them do, the server and the others go on.

load lib

N=50

setup_file() {
    lib_need ip kubectl jq
    lib_init
    HOLLOW=$BUILD/hollow
    [ -x "$HOLLOW" ] || { echo "$HOLLOW is missing: make system builds it"; return 1; }
    host_new srv
    in_net srv ip link add eth0 type bridge
    in_net srv ip addr add 198.51.100.10/24 dev eth0
    in_net srv ip link set eth0 up
    few_descriptors start_server srv --disable-agent
    wait_for 10 kubectl_on srv get namespace default # its controllers run
    fds >"$T/fds"
    mkfifo "$T/in"
    start_hollow
}
teardown_file() { lib_cleanup; }

few_descriptors() { # the server then has room for 512 connections
    (ulimit -n 700 && "$@")
}
start_hollow() {
    spawn hollow in_net srv sh -c 'exec "$@" <>"$0"' "$T/in" "$BUILD/hollow" --server https://127.0.0.1:6443 \
        --token-file "$T/srv/data/server/agent-token" --dir "$T/agents" --agents $N --lease-ms 2000
    echo "$SPAWNED" >"$T/hollow.pid"
}
tell() { echo "$*" >"$T/in"; }
line() { grep -E '^[0-9.]+ started=' "$T/log/hollow" | tail -n 1; }
count() { line | grep -oE "$1=[0-9]+" | cut -d= -f2; } # count ready
all() { [ "$(count ready)" = $N ] && [ "$(count tunnels)" -ge $N ] && [ "$(count watches)" = $((2 * N)) ]; }
back() { # back: since the last mark, every one of them
    line | grep -q back_s= && all
}
mark() { # a line that was printed before it must not count
    tell mark
    wait_for 5 no_back
}
no_back() { ! line | grep -q back_s=; }
fds() { find "/proc/$(cat "$T/srv/pid")/fd" -mindepth 1 | wc -l; }
server_lives() { kubectl_on srv get --raw /readyz >/dev/null; }
gave_up() { # for a test that fails
    tell laggards
    sleep 1
    show_logs 40
}
ready_nodes() {
    kubectl_on srv get nodes -o json |
        jq '[.items[] | select(.status.conditions[] | .type == "Ready" and .status == "True")] | length'
}
newest_lease_of() { kubectl_on srv -n kube-node-lease get lease "$1" -o jsonpath='{.spec.renewTime}'; }
lease_moves() { [ "$(newest_lease_of "$1")" != "$2" ]; }
are_ready() { [ "$(ready_nodes)" -ge "$1" ] && [ "$(count ready)" -ge "$1" ]; }
others_are_well() { # others_are_well BAD: of the good ones none fails, and their leases move
    local before
    before=$(newest_lease_of "hollow-$((N - 1))")
    server_lives && wait_for 5 are_ready $((N - $1)) &&
        wait_for 15 lease_moves "hollow-$((N - 1))" "$before"
}

@test "fifty agents join at once, are Ready and renew their leases" {
    wait_for 90 all || { gave_up; false; }
    wait_for 10 are_ready $N
    before=$(newest_lease_of hollow-0)
    wait_for 15 lease_moves hollow-0 "$before"
}

@test "an agent holds two connections: its tunnel and one for the API" {
    two_each() { [ "$(count connections)" = $((2 * N)) ]; }
    wait_for 60 two_each || { gave_up; false; } # a tunnel to the fixed address goes after 30 s
}

@test "a tunnel ends at the agent: a dial through it is answered there" {
    run kubectl_on srv get --raw /api/v1/nodes/hollow-7/proxy/healthz
    [[ $output == *"connection refused"* ]] || { echo "$output"; false; }
}

@test "after a restart of the server all come back, and nobody joins again" {
    stop_pid "$(cat "$T/srv/pid")"
    joins=$(grep -c '\[join' "$T/log/hollow" || true)
    mark
    few_descriptors start_server srv --disable-agent
    wait_for 60 back || { gave_up; false; }
    [ "$(grep -c '\[join' "$T/log/hollow" || true)" = "$joins" ]
    wait_for 10 are_ready $N
}

@test "slow readers of large answers disturb nobody, and recover" {
    tell slow 5
    sleep 4
    others_are_well 5 || { gave_up; false; }
    mark
    tell slow 0
    wait_for 60 back || { gave_up; false; }
}

@test "agents that fall silent are given up, disturb nobody, and recover" {
    given_up() { [ "$(grep -c "node's tunnel ended" "$T/log/srv")" -ge $((before + 5)) ]; }
    before=$(grep -c "node's tunnel ended" "$T/log/srv" || true)
    tell silent 5
    wait_for 25 given_up || { gave_up; false; }
    others_are_well 5 || { gave_up; false; }
    mark
    tell silent 0
    wait_for 60 back || { gave_up; false; }
}

@test "garbage in tunnels ends those tunnels and nothing else" {
    ended() { [ "$(grep -c "node's tunnel ended.*hollow-[0-9] " "$T/log/srv")" -ge $((before + 10)) ]; }
    before=$(grep -c "node's tunnel ended.*hollow-[0-9] " "$T/log/srv" || true)
    tell garbage 10
    wait_for 20 ended || { gave_up; false; }
    others_are_well 0 || { gave_up; false; }
    mark
    wait_for 30 back || { gave_up; false; }
}

@test "a storm of reconnects: all are cut again and again, and come back" {
    tell storm 1
    sleep 5
    server_lives
    tell storm 0
    mark
    wait_for 60 back || { gave_up; false; }
    wait_for 10 are_ready $N
}

@test "a flood of silent connections locks nobody out who is inside, nor the administrator" {
    spawn flood in_net srv bash -c 'for i in $(seq 700); do exec {fd}<>/dev/tcp/127.0.0.1/6443; done; sleep 60'
    full() { logged srv 'the server is full'; }
    wait_for 20 full || { gave_up; false; }
    for _ in 1 2 3; do kubectl_on srv get namespace default; done
    others_are_well 0 || { gave_up; false; }
    stop_pid "$SPAWNED"
}

@test "when they are gone the server holds what it held before" {
    stop_pid "$(cat "$T/hollow.pid")"
    as_before() { [ "$(fds)" -le $(($(cat "$T/fds") + 2)) ]; }
    wait_for 30 as_before || { fds; cat "$T/fds"; ls -l "/proc/$(cat "$T/srv/pid")/fd"; false; }
    tail -n 1 "$T/log/hollow" | jq -e ".joined == $N" # its summary
}
