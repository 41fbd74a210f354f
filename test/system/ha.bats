#!/usr/bin/env bats
# Three servers on one etcd, behind one name with their addresses: killed, started and moved in random order,
# one, two or all at once. The agents are Ready within 5 s of any server that is up, their kubelets are reached
# by every server that lives, and no acknowledged write is lost.
#
#   etcd 10.77.0.2 --- sw 10.77.0.1 (DNS) --- srv1 10.77.0.11, srv2 .12, srv3 .13 --- edge1 .21, edge2 .22
#
# HA_SECONDS: how long (60); FAULT_SEED makes the same choices again; HA_FIGURES: a file that gets a line for
# every step. From 200 s on some outages are longer than a Lease.

load lib

TOKEN=0123456789abcdef-of-the-cluster
READY_MS=5000  # from a server that is up
REACH_MS=40000 # a server with a new address is told to the agents by the controllers, which may have to move first

setup_file() {
    lib_need ip dnsmasq curl jq kubectl containerd runc ctr etcd
    lib_init
    host_new sw
    in_net sw ip link add br0 type bridge
    in_net sw ip addr add 10.77.0.1/24 dev br0
    in_net sw ip link set br0 up
    local h n=1
    for h in etcd:2 srv1:11 srv2:12 srv3:13 edge1:21 edge2:22; do
        host_new "${h%:*}"
        ip link add "p$n" netns "$P-sw" type veth peer name eth0 netns "$P-${h%:*}"
        in_net sw ip link set "p$n" master br0 up
        in_net "${h%:*}" ip addr add "10.77.0.${h#*:}/24" dev eth0
        in_net "${h%:*}" ip link set eth0 up
        in_net "${h%:*}" ip route add default via 10.77.0.1
        echo 'nameserver 10.77.0.1' >"$T/${h%:*}/resolv.conf"
        n=$((n + 1))
    done
    for n in 1 2 3; do echo "10.77.0.1$n" >"$T/srv$n/address"; done
    names
    spawn dns in_net sw dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file= \
        --listen-address=10.77.0.1 --bind-interfaces --log-facility=- --user=root --addn-hosts="$T/hosts"
    echo "$SPAWNED" >"$T/dns.pid"
    spawn etcd in_net etcd etcd --data-dir "$T/etcd/data" --logger zap --log-level warn \
        --listen-client-urls http://10.77.0.2:2379 --advertise-client-urls http://10.77.0.2:2379
    for n in 1 2 3; do
        up "$n"
        wait_for 30 serves "$n" || { show_logs; false; }
    done
    for n in 1 2; do
        mkdir -p "$T/edge$n/data/agent/images"
        cp "$BUILD/images/busybox.tar" "$T/edge$n/data/agent/images/"
        start_agent "edge$n" --server https://cluster.test:6443 --token "$TOKEN" --node-name "edge$n"
    done
}
teardown_file() { lib_cleanup; }

# ---- servers: $T/srvN has address, pid, state ---------------------------------------------------

names() {
    cat "$T"/srv*/address | sed 's/$/ cluster.test/' >"$T/hosts.new"
    mv "$T/hosts.new" "$T/hosts"
    [ ! -e "$T/dns.pid" ] || kill -HUP "$(cat "$T/dns.pid")"
}
up() { # up N: its process begins
    # shellcheck disable=SC2046
    K3S_DATASTORE_ENDPOINT=http://10.77.0.2:2379 spawn "srv$1" in_host "srv$1" "$CORACLE" server \
        $(server_args "srv$1") --token "$TOKEN" --disable-agent --node-name "srv$1"
    echo "$SPAWNED" >"$T/srv$1/pid"
    echo up >"$T/srv$1/state"
}
down() { # down N...: at once
    local n pids=()
    for n in "$@"; do
        pids+=("$(cat "$T/srv$n/pid")")
        echo down >"$T/srv$n/state"
    done
    kill -KILL "${pids[@]}"
    for n in "${pids[@]}"; do
        while kill -0 "$n" 2>/dev/null; do sleep 0.01; done
    done
}
move() { # move N: a server that is down gets another address
    local next
    next=$(($(cat "$T/next" 2>/dev/null || echo 30) + 1))
    [ "$next" -lt 250 ] || next=31
    echo "$next" >"$T/next"
    in_net "srv$1" ip addr del "$(cat "$T/srv$1/address")/24" dev eth0
    in_net "srv$1" ip addr add "10.77.0.$next/24" dev eth0
    in_net "srv$1" ip route add default via 10.77.0.1
    echo "10.77.0.$next" >"$T/srv$1/address"
    names
}
in_state() { # in_state STATE: the numbers of those
    local n
    for n in 1 2 3; do [ "$(cat "$T/srv$n/state")" != "$1" ] || echo "$n"; done
}
states() { echo "$(in_state up | wc -l) up"; }

# ---- what has to be true ------------------------------------------------------------------------

raw() { # raw N PATH: asked of the server itself
    local tls=$T/srv$1/data/server/tls
    in_net "srv$1" curl -sf --max-time 5 --cacert "$tls/server-ca.crt" --cert "$tls/client-admin.crt" \
        --key "$tls/client-admin.key" "https://127.0.0.1:6443$2"
}
serves() { raw "$1" /readyz >/dev/null; }
answers() { [ "$(in_net "$1" curl -sk --max-time 10 https://127.0.0.1:6444/ping)" = pong ]; }
ready() { # ready N NODE
    raw "$1" "/api/v1/nodes/$2" |
        jq -e '.status.conditions[] | select(.type == "Ready") | .status == "True"' >/dev/null
}
beats_since() { # beats_since N NODE UNIX-SECONDS: the Lease was renewed later
    raw "$1" "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/$2" |
        jq -e --argjson t "$3" '.spec.renewTime | sub("\\.[0-9]+Z$"; "Z") | fromdate >= $t' >/dev/null
}
reached() { # reached N: logs of edge1's pod, both kubelets
    [ "$(raw "$1" /api/v1/nodes/edge1/proxy/healthz)" = ok ] &&
        [ "$(raw "$1" /api/v1/nodes/edge2/proxy/healthz)" = ok ] &&
        raw "$1" /api/v1/namespaces/default/pods/hello/log | grep -qF 'hello from a pod on coracle'
}
all_well() { # all_well SINCE: nodes at the first server that is up, and their own way to it
    local n e
    for n in $(in_state up); do
        if serves "$n"; then
            for e in edge1 edge2; do
                answers "$e" && ready "$n" "$e" || return 1
                [ "$1" = 0 ] || beats_since "$n" "$e" "$1" || return 1
            done
            return 0
        fi
    done
    return 1
}
until_ms() { # until_ms BEGAN LIMIT COMMAND...: TOOK_MS; fails above the limit
    local began=$1 limit=$2 e
    shift 2
    until "$@"; do
        now_ms
        [ $((NOW_MS - began)) -lt $((limit * 4 * SLOW)) ] || break
        sleep 0.05
    done
    now_ms
    TOOK_MS=$((NOW_MS - began))
    slack_ms "$@"
    [ "$TOOK_MS" -le $((limit * SLOW + SLACK_MS)) ] && return 0
    show_logs 40
    for e in edge1 edge2; do in_host "$e" "$CORACLE" agent lb status --data-dir "$T/$e/data"; done
    echo "after $STEP: $TOOK_MS ms; the limit is $limit ms ($SLACK_MS ms more on this machine): $*; $(states)"
    return 1
}

recover() { # recover OUTAGE_MS: since the last server was up; 0: there was one all the time
    local began since=0 n ready_ms reach_ms=0
    if [ "$1" -gt 0 ]; then
        wait_for 60 serves "$(in_state up | head -n 1)" || return 1
        [ "$1" -lt 15000 ] || since=$((EPOCHSECONDS - 2)) # their Leases were due
    fi
    now_ms
    began=$NOW_MS
    until_ms "$began" "$READY_MS" all_well "$since" || return 1
    ready_ms=$TOOK_MS
    for n in $(in_state up); do
        until_ms "$began" "$REACH_MS" reached "$n" || return 1
        [ "$TOOK_MS" -le "$reach_ms" ] || reach_ms=$TOOK_MS
    done
    echo "$ready_ms $reach_ms $STEP: $(states)" >>"$T/figures"
}

draw() { DRAWN=$((RANDOM % $1)); } # not in a subshell, which would draw the same again
rest() { # rest MAX_MS
    draw "$1"
    sleep "$((DRAWN / 1000)).$(printf %03d $((DRAWN % 1000)))"
}
shuffled() { # shuffled WORD...: SHUFFLED
    local v=("$@") i t
    for ((i = ${#v[@]} - 1; i > 0; i--)); do
        draw $((i + 1))
        t=${v[i]} v[i]=${v[DRAWN]} v[DRAWN]=$t
    done
    SHUFFLED=("${v[@]}")
}

step() { # STEP: what it was; OUTAGE_MS
    local alive dead n began max
    mapfile -t alive < <(in_state up)
    mapfile -t dead < <(in_state down)
    OUTAGE_MS=0
    draw 6
    case $DRAWN in
    0 | 1)
        if [ ${#dead[@]} -gt 0 ]; then
            shuffled "${dead[@]}"
            n=${SHUFFLED[0]}
            STEP="srv$n started"
            up "$n"
        else
            shuffled "${alive[@]}"
            STEP="srv${SHUFFLED[0]} killed"
            down "${SHUFFLED[0]}"
        fi
        ;;
    2)
        shuffled "${alive[@]}"
        if [ ${#alive[@]} -gt 2 ]; then
            STEP="srv${SHUFFLED[0]} and srv${SHUFFLED[1]} killed"
            down "${SHUFFLED[@]:0:2}"
        elif [ ${#alive[@]} -gt 1 ]; then
            STEP="srv${SHUFFLED[0]} killed"
            down "${SHUFFLED[0]}"
        else
            STEP="all started"
            for n in "${dead[@]}"; do up "$n"; done
        fi
        ;;
    3)
        shuffled 1 2 3
        n=${SHUFFLED[0]}
        STEP="srv$n moved"
        [ "$(cat "$T/srv$n/state")" = down ] || down "$n"
        move "$n"
        up "$n"
        [ "$(in_state up)" != "$n" ] || OUTAGE_MS=1
        ;;
    4)
        STEP="killed and started again: srv${alive[*]}"
        down "${alive[@]}"
        for n in "${alive[@]}"; do up "$n"; done
        OUTAGE_MS=1
        ;;
    5)
        STEP="all killed, started one by one"
        [ ${#alive[@]} -eq 0 ] || down "${alive[@]}"
        now_ms
        began=$NOW_MS
        max=3000
        draw 4
        [ "$DRAWN" != 0 ] || [ "$HA_ALL_S" -lt 200 ] || max=60000
        rest "$max"
        shuffled 1 2 3
        for n in "${SHUFFLED[@]}"; do
            draw 3
            [ "$DRAWN" != 0 ] || move "$n"
        done
        up "${SHUFFLED[0]}"
        now_ms
        OUTAGE_MS=$((NOW_MS - began + 1))
        for n in "${SHUFFLED[@]:1}"; do
            rest 1000
            up "$n"
        done
        ;;
    esac
}

# ---- tests --------------------------------------------------------------------------------------

@test "three servers, two agents, one cluster" {
    local n
    for n in 1 2 3; do
        wait_for 60 ready "$n" edge1 || { show_logs; false; }
        wait_for 60 ready "$n" edge2 || { show_logs; false; }
    done
    kubectl_on srv1 apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    for n in 1 2 3; do wait_for 40 reached "$n" || { show_logs; false; }; done
}

@test "killed, started and moved in random order: Ready within 5 s, reached by each, nothing lost" {
    local seed=${FAULT_SEED:-$((SRANDOM % 100000))} end n storm tls=$T/srv1/data/server/tls
    HA_ALL_S=${HA_SECONDS:-60}
    echo "# FAULT_SEED=$seed" >&3
    RANDOM=$seed
    cp "$tls/client-admin.crt" "$tls/client-admin.key" "$tls/server-ca.crt" "$T/"
    spawn storm in_net edge1 "$BUILD/test/tools/storm" 127.0.0.1:6444 "$T/server-ca.crt" "$T/client-admin.crt" \
        "$T/client-admin.key" $((HA_ALL_S + 5)) hard pause=100
    storm=$SPAWNED
    end=$((SECONDS + HA_ALL_S))
    : >"$T/figures"
    while [ $SECONDS -lt $end ]; do
        step
        recover "$OUTAGE_MS" || { echo "FAULT_SEED=$seed"; false; }
        rest 2000
    done
    for n in $(in_state down); do up "$n"; done
    gone() { ! kill -0 "$1" 2>/dev/null; }
    wait_for 90 gone "$storm"
    cat "$T/log/storm"
    grep -qE '^storm: [0-9]+ acknowledged writes, [0-9]+ events, [1-9][0-9]* breaks: all there$' "$T/log/storm" ||
        { show_logs; echo "FAULT_SEED=$seed"; false; }
    [ -z "${HA_FIGURES:-}" ] || cp "$T/figures" "$HA_FIGURES"
    echo "# $(sort -n "$T/figures" | awk '{ v[NR] = $1; if ($2 > far) far = $2 } END { print NR " steps, Ready: median " \
        v[int((NR + 1) / 2)] " ms, max " v[NR] " ms; all reached: max " far " ms" }'), FAULT_SEED=$seed" >&3
    echo "# $(cat "$T/log/storm")" >&3
}

@test "then one holds the Lease, and the endpoints are the three" {
    local want
    want=$(sort "$T"/srv?/address | tr '\n' ' ')
    listed() {
        [ "$(kubectl_on srv2 get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[*].ip}') " = "$want" ]
    }
    wait_for 40 listed || { kubectl_on srv2 get endpoints kubernetes -o yaml; show_logs; false; }
    kubectl_on srv3 logs hello | grep -qF 'hello from a pod on coracle'
    [[ "$(kubectl_on srv1 get lease -n kube-system coracle-controllers -o jsonpath='{.spec.holderIdentity}')" == srv[123]_* ]]
}

@test "all killed: the one that held the Lease has it back at its next start" {
    local holder n
    holder=$(kubectl_on srv1 get lease -n kube-system coracle-controllers -o jsonpath='{.spec.holderIdentity}')
    holder=${holder%%_*}
    holder=${holder#srv}
    n=$(grep -c "this server's controllers run" "$T/log/srv$holder")
    down 1 2 3
    up "$holder"
    wait_for 30 serves "$holder"
    leads() { [ "$(grep -c "this server's controllers run" "$T/log/srv$holder")" -gt "$n" ]; }
    within 8 leads || { show_logs; false; } # another would have to wait 15 s
}
