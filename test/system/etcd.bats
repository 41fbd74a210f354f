#!/usr/bin/env bats
# Two servers on one etcd: one cluster. An agent joins by a name that has both addresses; whoever of
# the servers dies, the other goes on, with its controllers and its tunnel.
#
#   etcd 10.77.0.2 ---+--- sw 10.77.0.1 (DNS) ---+--- srv1 10.77.0.11, srv2 10.77.0.12 --- edge 10.77.0.20

load lib

TOKEN=0123456789abcdef-of-the-cluster

setup_file() {
    lib_need ip dnsmasq curl jq kubectl containerd runc ctr etcd
    lib_init
    host_new sw
    in_net sw ip link add br0 type bridge
    in_net sw ip addr add 10.77.0.1/24 dev br0
    in_net sw ip link set br0 up
    local h n=1
    for h in etcd:2 srv1:11 srv2:12 stranger:13 edge:20; do
        host_new "${h%:*}"
        ip link add "p$n" netns "$P-sw" type veth peer name eth0 netns "$P-${h%:*}"
        in_net sw ip link set "p$n" master br0 up
        in_net "${h%:*}" ip addr add "10.77.0.${h#*:}/24" dev eth0
        in_net "${h%:*}" ip link set eth0 up
        in_net "${h%:*}" ip route add default via 10.77.0.1
        n=$((n + 1))
    done
    in_net edge ip addr add fd00:77::20/64 dev eth0 nodad # its pods have both families
    spawn dns in_net sw dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file= \
        --listen-address=10.77.0.1 --bind-interfaces --log-facility=- --user=root \
        --host-record=cluster.test,10.77.0.11 --host-record=cluster.test,10.77.0.12
    echo 'nameserver 10.77.0.1' >"$T/edge/resolv.conf"
    start_etcd
    join_server srv1
    join_server srv2
    mkdir -p "$T/edge/data/agent/images"
    cp "$BUILD/images/busybox.tar" "$T/edge/data/agent/images/"
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name edge
}
teardown_file() { lib_cleanup; }

start_etcd() {
    spawn etcd in_net etcd etcd --data-dir "$T/etcd/data" --logger zap --log-level warn \
        --listen-client-urls http://10.77.0.2:2379 --advertise-client-urls http://10.77.0.2:2379
    echo "$SPAWNED" >"$T/etcd/pid"
}

join_server() { # join_server HOST [TOKEN]
    K3S_DATASTORE_ENDPOINT=http://10.77.0.2:2379 start_server "$1" --token "${2:-$TOKEN}" --disable-agent --node-name "$1" \
        --cluster-cidr 10.42.0.0/16,fd00:42::/56 --service-cidr 10.43.0.0/16,fd00:43::/112
}

endpoints() { # endpoints SERVER: the addresses of the servers that live, as one line
    kubectl_on "$1" get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[*].ip}'
}
endpoints_are() { [ "$(endpoints "$1")" = "$2" ]; }
slice_is() {
    [ "$(kubectl_on "$1" get endpointslice kubernetes -o jsonpath='{.endpoints[*].addresses[0]}')" = "$2" ]
}
holder() { # the server whose controllers run
    kubectl_on "$1" get lease -n kube-system coracle-controllers -o jsonpath='{.spec.holderIdentity}' | cut -d_ -f1
}
phase() { [ "$(kubectl_on "$1" get pod "$2" -o jsonpath='{.status.phase}')" = "$3" ]; }
logs_hold() { kubectl_on "$1" logs "$2" | grep -qF -- "$3"; }
proxied() { [ "$(kubectl_on "$1" get --raw /api/v1/nodes/edge/proxy/healthz)" = ok ]; }

@test "both servers have one CA, and each is in the endpoints" {
    cmp "$T/srv1/data/server/tls/server-ca.crt" "$T/srv2/data/server/tls/server-ca.crt"
    cmp "$T/srv1/data/server/tls/service.key" "$T/srv2/data/server/tls/service.key"
    wait_for 20 endpoints_are srv1 '10.77.0.11 10.77.0.12' || { show_logs; false; }
    wait_for 10 slice_is srv2 '10.77.0.11 10.77.0.12'
}

@test "the agent is Ready at both, and both reach it" {
    wait_for 40 node_ready srv1 edge || { show_logs; false; }
    node_ready srv2 edge
    wait_for 20 proxied srv1 || { show_logs; false; }
    wait_for 20 proxied srv2 || { show_logs; false; }
}

@test "what one server wrote the other reads at once" {
    local i
    for i in 1 2 3 4 5; do
        kubectl_on srv1 create configmap "seen-$i" --from-literal=n="$i"
        [ "$(kubectl_on srv2 get configmap "seen-$i" -o jsonpath='{.data.n}')" = "$i" ]
        kubectl_on srv2 patch configmap "seen-$i" -p '{"data":{"n":"x"}}'
        [ "$(kubectl_on srv1 get configmap "seen-$i" -o jsonpath='{.data.n}')" = x ]
    done
}

@test "one server's controllers run, the pod's log comes by both" {
    [[ "$(holder srv1)" == srv[12] ]]
    runs() { grep -oE "this server's controllers (run|stop)" "$T/log/$1" | tail -n 1 | grep -q run; }
    [ "$(for s in srv1 srv2; do runs "$s" && echo "$s"; done)" = "$(holder srv1)" ]
    kubectl_on srv2 apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    wait_for 30 phase srv1 hello Running || { kubectl_on srv1 describe pod hello; show_logs; false; }
    wait_for 10 logs_hold srv1 hello 'hello from a pod on coracle'
    wait_for 10 logs_hold srv2 hello 'hello from a pod on coracle'
}

service_at() { # service_at SERVER NAME ADDRESS PORT: asks for both; prints the code
    post "$1" "{\"metadata\":{\"name\":\"$2\"},\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"$3\",
                \"ports\":[{\"port\":80,\"nodePort\":$4}]}}"
}
dual_at() { # dual_at SERVER NAME ADDRESS: asks for an IPv6 address, and for any of the other family
    post "$1" "{\"metadata\":{\"name\":\"$2\"},\"spec\":{\"ipFamilyPolicy\":\"RequireDualStack\",
                \"clusterIP\":\"$3\",\"clusterIPs\":[\"$3\"],\"ports\":[{\"port\":80}]}}"
}
post() { # post SERVER SERVICE: prints the code; the answer is $T/answer-SERVER
    local tls=$T/$1/data/server/tls
    in_net "$1" curl -s --max-time $((60 * SLOW)) -o "$T/answer-$1" -w '%{http_code}' --cacert "$tls/server-ca.crt" \
        --cert "$tls/client-admin.crt" --key "$tls/client-admin.key" -H 'Content-Type: application/json' \
        -d "$2" https://127.0.0.1:6443/api/v1/namespaces/default/services
}

@test "an address and a node port that both servers are asked for in the same moment are given once" {
    local i codes ip=10.43.9.1 port=31500 other_ip other_port
    for i in $(seq 2 25); do
        other_ip=10.43.9.$i other_port=$port # the port alone, and the address alone
        [ $((i % 2)) = 0 ] || other_ip=$ip other_port=$((port + i))
        service_at srv1 one "$ip" "$port" >"$T/code1" &
        service_at srv2 two "$other_ip" "$other_port" >"$T/code2" &
        wait %1 %2 2>/dev/null || wait
        codes=$(printf '%s\n' "$(cat "$T/code1")" "$(cat "$T/code2")" | sort | xargs)
        [ "$codes" = '201 422' ] || { echo "round $i: $codes"; cat "$T/answer-srv1" "$T/answer-srv2"; false; }
        grep -q 'already allocated' "$T/answer-srv1" "$T/answer-srv2"
        kubectl_on srv2 delete service one two --ignore-not-found
    done
    # nothing of what was deleted is left
    wait_for 10 claims_are /registry/coracle/serviceips/10.43.0.1
}

@test "an IPv6 address that both are asked for is given once, with one of the other family" {
    local i codes
    for i in $(seq 1 12); do # of odd rounds the second writes it differently
        dual_at srv1 one "fd00:43::$i" >"$T/code1" &
        dual_at srv2 two "$([ $((i % 2)) = 0 ] && echo fd00:43:: || echo FD00:43:0::000)$i" >"$T/code2" &
        wait %1 %2 2>/dev/null || wait
        codes=$(printf '%s\n' "$(cat "$T/code1")" "$(cat "$T/code2")" | sort | xargs)
        [ "$codes" = '201 422' ] || { echo "round $i: $codes"; cat "$T/answer-srv1" "$T/answer-srv2"; false; }
        [ "$(claims | wc -w)" = 3 ] # the two, and that of kubernetes
        kubectl_on srv2 delete service one two --ignore-not-found
    done
    [ "$(claims)" = /registry/coracle/serviceips/10.43.0.1 ]
}

etcd_raw() { in_net etcd curl -sf "http://10.77.0.2:2379/v3/kv/$1" -d "$2"; } # etcd_raw CALL JSON: its HTTP gateway
b64() { printf '%s' "$1" | base64 -w0; }
claims() { # what is claimed, as one line
    etcd_raw range "{\"key\":\"$(b64 /registry/coracle/)\",\"range_end\":\"$(b64 /registry/coracle0)\"}" |
        jq -r '.kvs[]?.key | @base64d' | xargs
}
claims_are() { [ "$(claims)" = "$1" ]; }

@test "a start repairs the claims: one that is missing, and one that nobody has any more" {
    [ "$(service_at srv1 kept 10.43.9.7 31507)" = 201 ]
    local want
    want=$(claims)
    [ "$want" = '/registry/coracle/nodeports/31507 /registry/coracle/serviceips/10.43.0.1 /registry/coracle/serviceips/10.43.9.7' ]
    etcd_raw deleterange "{\"key\":\"$(b64 /registry/coracle/serviceips/10.43.9.7)\"}"
    etcd_raw put "{\"key\":\"$(b64 /registry/coracle/nodeports/31999)\",\"value\":\"$(b64 /registry/core/services/default/gone)\"}"
    refute claims_are "$want"
    stop_pid "$(cat "$T/srv2/pid")"
    join_server srv2
    wait_for 5 claims_are "$want" || { claims; show_logs; false; }
    kubectl_on srv1 delete service kept
    wait_for 10 claims_are /registry/coracle/serviceips/10.43.0.1
}

@test "another token is refused with the reason, and nothing is made" {
    K3S_DATASTORE_ENDPOINT=http://10.77.0.2:2379 run timeout $((60 * SLOW)) \
        nsenter --net="/run/netns/$P-stranger" "$CORACLE" server $(server_args stranger) --token another --disable-agent
    [ "$status" -eq 1 ]
    [[ "$output" == *"encrypted with a different token"* ]] || { echo "$output"; false; }
    [ ! -e "$T/stranger/data/server/tls/server-ca.crt" ]
    K3S_DATASTORE_ENDPOINT=http://10.77.0.2:2379 run timeout $((60 * SLOW)) \
        nsenter --net="/run/netns/$P-stranger" "$CORACLE" server $(server_args stranger) --disable-agent
    [ "$status" -eq 1 ]
    [[ "$output" == *"give its --token"* ]] || { echo "$output"; false; }
}

@test "a dead server vanishes from the endpoints, the other takes over, the node stays Ready" {
    local dead lives ip
    dead=$(holder srv1)
    lives=srv2 ip=10.77.0.12
    [ "$dead" = srv1 ] || lives=srv1 ip=10.77.0.11
    kill -KILL "$(cat "$T/$dead/pid")"
    elected() { [ "$(holder "$lives")" = "$lives" ]; }
    wait_for 40 elected || { show_logs; false; }
    wait_for 20 endpoints_are "$lives" "$ip" || { show_logs; false; }
    node_ready "$lives" edge
    proxied "$lives"
    kubectl_on "$lives" run after --image=docker.io/library/busybox:1 --image-pull-policy=Never --restart=Never -- \
        sh -c 'echo scheduled by the other'
    wait_for 30 phase "$lives" after Succeeded || { kubectl_on "$lives" describe pod after; show_logs; false; }
    join_server "$dead"
    wait_for 20 endpoints_are "$lives" '10.77.0.11 10.77.0.12' || { show_logs; false; }
    wait_for 30 proxied "$dead" || { show_logs; false; }
}

@test "kill -9 of etcd and of a server in a storm of writes loses nothing acknowledged and no event" {
    local tls=$T/srv1/data/server/tls kills=${STORM_KILLS:-4} i storm
    cp "$tls/client-admin.crt" "$tls/client-admin.key" "$tls/server-ca.crt" "$T/"
    spawn storm in_net srv1 "$BUILD/test/tools/storm" 127.0.0.1:6443 "$T/server-ca.crt" "$T/client-admin.crt" \
        "$T/client-admin.key" $((kills * 5 * (SLOW + 1) / 2)) hard
    storm=$SPAWNED
    for i in $(seq "$kills"); do
        sleep "1.$((RANDOM % 9))"
        if [ $((i % 2)) = 1 ]; then
            kill -KILL "$(cat "$T/etcd/pid")"
            start_etcd
        else
            kill -KILL "$(cat "$T/srv1/pid")"
            join_server srv1
        fi
    done
    wait_for 120 gone "$storm"
    cat "$T/log/storm"
    grep -qE '^storm: [0-9]+ acknowledged writes, [0-9]+ events, [1-9][0-9]* breaks: all there$' "$T/log/storm"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "a hung etcd: readyz says why, requests get 503 with the reason; it is over when etcd is back" {
    kill -STOP "$(cat "$T/etcd/pid")"
    not_ready() { kubectl_on srv1 get --raw '/readyz?verbose' 2>&1 | grep -q 'etcd at 10.77.0.2:2379'; }
    wait_for 20 not_ready || { show_logs; false; }
    sleep 3
    run kubectl_on srv1 get configmap seen-1 --request-timeout=15s
    [ "$status" -ne 0 ]
    [[ "$output" == *'datastore is not in reach'* ]] || { echo "$output"; false; }
    kill -CONT "$(cat "$T/etcd/pid")"
    wait_for 6 kubectl_on srv1 get configmap seen-1 || { show_logs; false; }
    wait_for 6 kubectl_on srv2 get configmap seen-1
    wait_for 15 kubectl_on srv1 create configmap after-the-hang
    wait_for 30 node_ready srv2 edge
}
