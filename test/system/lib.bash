# lib.bash: hosts as network namespaces, programs started in them, and waits with deadlines, for the
# system tests. Everything made here is undone by lib_cleanup (teardown_file), by name and by pid.

CORACLE=${CORACLE:-$BATS_TEST_DIRNAME/../../build/coracle}
BUILD=${BUILD:-$BATS_TEST_DIRNAME/../../build}
# A sanitized binary is slower: what a test promises of time is multiplied by this.
SLOW=1
case $BUILD in *san*) SLOW=4 ;; esac
# How long is waited for what must come is no promise, and a machine may be busy with much else: see patience.
PATIENCE=$((3 * SLOW))

lib_init() { # setup_file: a folder of our own and a prefix that no other run has
    export T=$BATS_FILE_TMPDIR
    export P=cor$$x
    export LIB_PIDS=$T/pids LIB_NS=$T/ns
    : >"$LIB_PIDS" >"$LIB_NS"
    mkdir -p "$T/log"
    export ASAN_OPTIONS=log_path=$T/log/asan:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    export TSAN_OPTIONS=log_path=$T/log/tsan
}

lib_need() { # lib_need PROGRAM...: skips the file when one is missing
    local p
    for p in "$@"; do
        command -v "$p" >/dev/null || skip "$p is not installed"
    done
}

# ---- hosts ------------------------------------------------------------------------------------

host_new() { # host_new NAME: a network namespace with its loopback
    ip netns add "$P-$1"
    echo "$P-$1" >>"$LIB_NS"
    in_net "$1" ip link set lo up
    in_net "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 2>/dev/null || true
    mkdir -p "$T/$1"
}

in_net() { # in_net NAME COMMAND...: `ip netns exec` would hide the cgroups behind a fresh /sys
    local ns=$1
    shift
    ${EXEC:-} nsenter --net="/run/netns/$P-$ns" "$@"
}

link_hosts() { # link_hosts A IF ADDR/LEN B IF ADDR/LEN
    ip link add "$2" netns "$P-$1" type veth peer name "$5" netns "$P-$4"
    in_net "$1" ip addr add "$3" dev "$2"
    in_net "$4" ip addr add "$6" dev "$5"
    in_net "$1" ip link set "$2" up
    in_net "$4" ip link set "$5" up
}

# Its own mounts: /etc/resolv.conf as the host's, and whatever the program mounts goes with it.
in_host() { # in_host NAME COMMAND...
    local name=$1
    shift
    [ -e "$T/$name/resolv.conf" ] || echo 'nameserver 127.0.0.1' >"$T/$name/resolv.conf"
    ${EXEC:-} nsenter --net="/run/netns/$P-$name" unshare -m --propagation private \
        sh -c 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && shift && exec "$@"' sh \
        "$T/$name/resolv.conf" "$@"
}

# ---- programs ---------------------------------------------------------------------------------

spawn() { # spawn LOG COMMAND...: in the background; $! of the last one is in $SPAWNED
    local log=$T/log/$1
    shift
    (EXEC=exec; "$@") >>"$log" 2>&1 3>&- 4>&- &
    SPAWNED=$! # nsenter, unshare and sh exec what follows: the program itself
    echo "$SPAWNED" >>"$LIB_PIDS"
}

stop_pid() { # stop_pid PID [SIGNAL]: asks, waits, insists
    local pid=$1 i
    kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
    for i in $(seq $((300 * SLOW))); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
}

lib_cleanup() { # teardown_file
    local pid ns
    for pid in $(tac "$LIB_PIDS"); do
        # a coracle removes its pods first at SIGUSR1; others go with SIGTERM
        if [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$CORACLE")" ]; then
            stop_pid "$pid" USR1
        else
            stop_pid "$pid" TERM
        fi
    done
    for ns in $(cat "$LIB_NS"); do
        # what was left running in it: end it before the namespace goes
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
        ip netns del "$ns" 2>/dev/null
    done
    if compgen -G "$T/log/[at]san.*" >/dev/null; then
        cat "$T"/log/[at]san.* >&2
        return 1
    fi
    return 0
}

refute() { # refute COMMAND...: it must fail. (A plain "! command" never fails a test: bash's set -e skips it.)
    "$@" || return 0
    echo "succeeded, and must not: $*" >&2
    return 1
}

# ---- waits ------------------------------------------------------------------------------------

patience() { # patience SECONDS: those of a quick and idle machine; what a test waits for before it gives up
    local s=$(($1 * PATIENCE))
    echo $((s < 60 * SLOW ? 60 * SLOW : s))
}
wait_for() { # wait_for SECONDS COMMAND...: until it succeeds; its last output on failure
    local end=$((SECONDS + $(patience "$1"))) out
    shift
    while :; do
        out=$("$@" 2>&1) && return 0
        [ $SECONDS -lt $end ] || break
        sleep 0.2
    done
    echo "gave up waiting for: $*"
    echo "$out"
    return 1
}

now_ms() { NOW_MS=$((${EPOCHREALTIME/./} / 1000)); }

slack_ms() { # slack_ms COMMAND...: SLACK_MS: what a busy machine may have on top of a limit: some tries of the command
    local began i
    now_ms
    began=$NOW_MS
    for i in 1 2; do "$@" >/dev/null 2>&1 || true; done
    now_ms
    SLACK_MS=$((3 * (NOW_MS - began)))
}

within() { # within SECONDS COMMAND...: wait_for, where the seconds are promised
    local began=0 took
    now_ms
    began=$NOW_MS
    wait_for "$@" || return 1
    now_ms
    took=$((NOW_MS - began))
    slack_ms "${@:2}"
    [ "$took" -le $(($1 * 1000 * SLOW + SLACK_MS)) ] && return 0
    echo "took $took ms, $1 s are promised ($SLACK_MS ms more on this machine): ${*:2}"
    return 1
}

logged() { # logged LOG TEXT: a line of the log holds the text
    grep -qF -- "$2" "$T/log/$1"
}

show_logs() { # for a failing test
    local f
    for f in "$T"/log/*; do
        echo "--- ${f##*/}"
        tail -n "${1:-25}" "$f"
    done
}

# ---- coracle ----------------------------------------------------------------------------------

# Each has its own folders, so that many share a machine.
server_args() { # server_args NAME
    echo --data-dir "$T/$1/data" --node-dir "$T/$1/node" --run-dir "$T/$1/run" \
        --write-kubeconfig "$T/$1/kubeconfig" --config "$T/$1/config.yaml"
}
agent_args() { # agent_args NAME
    echo --data-dir "$T/$1/data" --node-dir "$T/$1/node" --run-dir "$T/$1/run" --config "$T/$1/config.yaml"
}

# TEST_DATASTORE=etcd: a server whose test names no datastore gets an etcd of its own, in its host. It lives on
# while the server is started anew.
own_etcd() { # own_etcd HOST
    local dir=$T/$1/etcd
    kill -0 "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null && return 0
    mkdir -p "$dir"
    spawn "etcd-$1" in_net "$1" etcd --data-dir "$dir/data" --logger zap --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
    echo "$SPAWNED" >"$dir/pid"
}

start_server() { # start_server HOST FLAG...: log is HOST; waits until it is ready
    local name=$1 K3S_DATASTORE_ENDPOINT=${K3S_DATASTORE_ENDPOINT:-}
    shift
    if [ "${TEST_DATASTORE:-}" = etcd ] && [[ -z "$K3S_DATASTORE_ENDPOINT" && "$*" != *--datastore-endpoint* ]]; then
        own_etcd "$name"
        K3S_DATASTORE_ENDPOINT=http://127.0.0.1:2379
    fi
    export K3S_DATASTORE_ENDPOINT
    # shellcheck disable=SC2046
    spawn "$name" in_host "$name" "$CORACLE" server $(server_args "$name") "$@"
    export "SERVER_PID_$name=$SPAWNED"
    echo "$SPAWNED" >"$T/$name/pid"
    wait_for 20 server_ready "$name" || {
        show_logs 40
        return 1
    }
}
server_ready() {
    [ -s "$T/$1/kubeconfig" ] && kubectl_on "$1" get --raw /readyz >/dev/null
}

start_agent() { # start_agent HOST FLAG...: log is HOST; does not wait
    local name=$1
    shift
    # shellcheck disable=SC2046
    spawn "$name" in_host "$name" "$CORACLE" agent $(agent_args "$name") "$@"
    echo "$SPAWNED" >"$T/$name/pid"
}

restart_pid() { cat "$T/$1/pid"; }

kubectl_on() { # kubectl_on SERVERHOST ARGS...: the real kubectl (or $KUBECTL), in that host's network
    local name=$1
    shift
    in_net "$name" env KUBECONFIG="$T/$name/kubeconfig" HOME="$T" timeout "$(patience 65)" "${KUBECTL:-kubectl}" "$@"
}

# For files about the API alone: one server, of host srv, with nobody's node. k and field talk to it.
api_server() { # api_server FLAG...
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    start_server srv --disable-agent "$@"
    wait_for 10 k get namespace default
}
k() { kubectl_on srv "$@"; }
field() { k get "$1" "$2" -o "jsonpath=$3"; } # field KIND NAME JSONPATH

# Servers of hosts srv1 and srv2 on one etcd; one talks to the first. TOKEN is the cluster's.
two_servers() {
    local h
    host_new srv1
    host_new srv2
    link_hosts srv1 eth0 10.77.0.11/24 srv2 eth0 10.77.0.12/24
    in_net srv1 ip route add default via 10.77.0.12
    in_net srv2 ip route add default via 10.77.0.11
    spawn etcd in_net srv1 etcd --data-dir "$T/etcd" --logger zap --log-level warn \
        --listen-client-urls http://10.77.0.11:2379 --advertise-client-urls http://10.77.0.11:2379
    for h in srv1 srv2; do
        K3S_DATASTORE_ENDPOINT=http://10.77.0.11:2379 start_server "$h" --token "$TOKEN" --disable-agent --node-name "$h"
    done
}
one() { kubectl_on srv1 "$@"; }

# refused TEXT COMMAND...: the command fails and says TEXT
refused() {
    local text=$1
    shift
    run "$@"
    [ "$status" -ne 0 ]
    [[ "$output" == *"$text"* ]] || { echo "$output"; return 1; }
}

node_ready() { # node_ready SERVERHOST NODE
    [ "$(kubectl_on "$1" get node "$2" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
node_not_ready() {
    [ "$(kubectl_on "$1" get node "$2" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" != True ]
}

agent_token() { # agent_token SERVERHOST
    cat "$T/$1/data/server/agent-token"
}

# A network like the field's: a wan with a bridge and DNS; a server in a private net behind a gate that
# forwards the fixed address; an edge box behind a NAT router that drops all that comes in.
#
#   edge 192.168.77.10 --- nat (masquerade) 198.51.100.20 --- wan --- 198.51.100.5 gate (DNAT) --- 10.77.0.10 srv
topology_nat() {
    host_new wan
    host_new gate
    host_new srv
    host_new nat
    host_new edge
    in_net wan ip link add br0 type bridge
    in_net wan ip addr add 198.51.100.1/24 dev br0
    in_net wan ip link set br0 up
    local h
    for h in gate nat; do
        ip link add "w$h" netns "$P-wan" type veth peer name eth0 netns "$P-$h"
        in_net wan ip link set "w$h" master br0 up
        in_net "$h" ip link set eth0 up
        in_net "$h" sysctl -qw net.ipv4.ip_forward=1
    done
    in_net gate ip addr add 198.51.100.5/24 dev eth0
    in_net nat ip addr add 198.51.100.20/24 dev eth0
    link_hosts gate eth1 10.77.0.1/24 srv eth0 10.77.0.10/24
    link_hosts nat eth1 192.168.77.1/24 edge eth0 192.168.77.10/24
    in_net srv ip route add default via 10.77.0.1
    in_net edge ip route add default via 192.168.77.1
    in_net gate ip route add default via 198.51.100.1
    in_net nat ip route add default via 198.51.100.1
    in_net gate nft -f - <<'NFT'
table ip gate {
    chain pre { type nat hook prerouting priority -100; ip daddr 198.51.100.5 tcp dport 6443 dnat to 10.77.0.10:6443; }
    chain post { type nat hook postrouting priority 100; oif "eth1" masquerade; }
}
NFT
    in_net nat nft -f - <<'NFT'
table ip nat {
    chain post { type nat hook postrouting priority 100; oif "eth0" masquerade; }
}
table inet closed {
    chain inbound { type filter hook input priority 0; policy accept; iif "eth0" ct state new drop; }
    chain forwarded { type filter hook forward priority 0; policy accept; iif "eth0" ct state new drop; }
}
NFT
    spawn dns in_net wan dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file= \
        --listen-address=198.51.100.1 --bind-interfaces --log-facility=- --user=root \
        --host-record=cluster.test,198.51.100.5
    echo 'nameserver 198.51.100.1' >"$T/edge/resolv.conf"
}
