#!/usr/bin/env bats
# A real pod on real containerd, its log, a shell in it, and the balancer under way: all through a
# tunnel from an agent that can only dial out.

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl containerd runc ctr curl
    lib_init
    topology_nat
    start_server srv --tls-san cluster.test --disable-agent --egress-selector-mode pod
    mkdir -p "$T/edge/data/agent/images"
    cp "$BUILD/images/busybox.tar" "$T/edge/data/agent/images/"
    start_agent edge --server https://cluster.test:6443 --token "$(agent_token srv)" --node-name edge
    wait_for 40 node_ready srv edge || { show_logs; false; }
}
teardown_file() { lib_cleanup; }

phase() { [ "$(k get pod "$1" -o jsonpath='{.status.phase}')" = "$2" ]; }
logs_hold() { k logs "$1" | grep -qF -- "$2"; }

@test "the scheduler gives a pod to the node, it runs, kubectl logs reads it" {
    k apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    wait_for 30 phase hello Running || { k describe pod hello; show_logs; false; }
    wait_for 10 logs_hold hello 'hello from a pod on coracle' || { k logs hello; show_logs; false; }
    [ "$(k get pod hello -o jsonpath='{.spec.nodeName}')" = edge ]
    [[ "$(k get pod hello -o jsonpath='{.status.podIP}')" == 10.42.* ]]
    ready() { k get pod hello -o wide | grep -q '1/1'; }
    wait_for 10 ready
}

@test "kubectl exec runs a command, carries its input and its exit code" {
    [ "$(k exec hello -- sh -c 'echo $((6*7))')" = 42 ]
    [ "$(echo through the tunnel | k exec -i hello -- cat)" = 'through the tunnel' ]
    run k exec hello -- sh -c 'exit 7'
    [ "$status" -eq 7 ]
    [[ "$(k exec hello -- sh -c 'echo $POD_GREETING')" == 'a pod on coracle' ]]
}

@test "exec carries a megabyte unharmed" {
    head -c 1048576 /dev/urandom >"$T/blob"
    k exec -i hello -- cat <"$T/blob" | cmp - "$T/blob"
}

@test "CONNECT reaches the pod's own address, which only its node knows" {
    k exec hello -- sh -c 'mkdir -p /tmp/www && echo from the pod >/tmp/www/index.html && httpd -p 8080 -h /tmp/www'
    local ip tls=$T/srv/data/server/tls
    ip=$(k get pod hello -o jsonpath='{.status.podIP}')
    through() { # the server as an HTTP proxy
        in_net srv curl -sS --max-time $((20 * SLOW)) --proxytunnel -x https://127.0.0.1:6443 --proxy-cacert "$tls/server-ca.crt" \
            --proxy-cert "$tls/client-admin.crt" --proxy-key "$tls/client-admin.key" "$1"
    }
    wait_for 10 through "http://$ip:8080/"
    [ "$(through "http://$ip:8080/")" = 'from the pod' ]
    run through "http://192.168.77.10:10249/" # no pod's
    [ "$status" -ne 0 ]
}

@test "pods/proxy and services/proxy reach it as well" {
    local ip raw=/api/v1/namespaces/default
    ip=$(k get pod hello -o jsonpath='{.status.podIP}')
    [ "$(k get --raw $raw/pods/hello:8080/proxy/index.html)" = 'from the pod' ]
    k create service clusterip web --tcp=80:8080
    k apply -f - <<EOF
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets:
  - addresses: [{ip: $ip, targetRef: {kind: Pod, name: hello, namespace: default}}]
    ports: [{name: 80-8080, port: 8080}]
EOF
    [ "$(k get --raw $raw/services/web:80/proxy/)" = 'from the pod' ]
    [ "$(k get --raw $raw/services/web:80-8080/proxy/index.html)" = 'from the pod' ]
    run k get --raw $raw/services/web:81/proxy/
    [[ $output == *'no service port 81 found for service "web"'* ]]
    k delete service/web endpoints/web
}

@test "port-forward carries connections, in a websocket and in SPDY" {
    local port=18080 way
    fetched() { [ "$(in_net srv curl -sS --max-time 5 "http://127.0.0.1:$port/")" = 'from the pod' ]; }
    for way in true false; do
        KUBECTL_PORT_FORWARD_WEBSOCKETS=$way spawn "forward-$way.log" kubectl_on srv port-forward pod/hello $port:8080
        wait_for 15 fetched
        stop_pid "$SPAWNED"
        port=$((port + 1))
    done
    k get --raw /metrics | grep 'subresource="portforward"' | grep 'code="101"'
    refute eval "k get --raw /metrics | grep 'subresource=\"portforward\"' | grep 'code=\"400\"'"
}

@test "logs follow, tail and end with the container" {
    k run ticker --image=docker.io/library/busybox:1 --image-pull-policy=Never --restart=Never -- \
        sh -c 'for i in 1 2 3 4 5; do echo tick $i; sleep 0.3; done'
    began() { phase ticker Running || phase ticker Succeeded; }
    wait_for 20 began || { k describe pod ticker; show_logs; false; }
    timeout $((60 * SLOW)) bash -c "$(declare -f k kubectl_on in_net patience); k logs -f ticker" >"$T/followed"
    grep -q 'tick 5' "$T/followed"
    [ "$(k logs --tail=2 ticker | wc -l)" = 2 ]
    k logs --timestamps --tail=1 ticker | grep -qE '^20[0-9]{2}-.*Z tick 5$'
    wait_for 15 phase ticker Succeeded
    [ "$(k get pod ticker -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}')" = Completed ]
}

@test "a container that fails is restarted, with backoff, and says so" {
    k run crash --image=docker.io/library/busybox:1 --image-pull-policy=Never -- sh -c 'echo dying; exit 3'
    restarted() { [ "$(k get pod crash -o jsonpath='{.status.containerStatuses[0].restartCount}')" -ge 1 ]; }
    wait_for 40 restarted || { k describe pod crash; show_logs; false; }
    wait_for 10 logs_hold crash dying
    k delete pod crash --wait=false
}

@test "an image that is nowhere keeps the pod waiting with the reason" {
    k run lost --image=docker.io/library/no-such-image:1 --image-pull-policy=Never
    reason() { [ "$(k get pod lost -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}')" = ErrImageNeverPull ]; }
    wait_for 20 reason || { k get pod lost -o yaml; show_logs; false; }
    k delete pod lost --wait=false
}

@test "a deleted pod goes with all that it had" {
    k delete pod hello ticker "--timeout=$(patience 40)s"
    run k get pod hello
    [ "$status" -ne 0 ]
    gone() { [ -z "$(in_net edge ip -o link show type veth | grep -v eth0)" ]; }
    wait_for 20 gone || { in_net edge ip link; show_logs; false; }
}

@test "an agent that restarts keeps its pods running" {
    k apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    wait_for 30 logs_hold hello 'hello from'
    local before after
    before=$(k get pod hello -o jsonpath='{.status.containerStatuses[0].containerID}')
    stop_pid "$(restart_pid edge)"
    start_agent edge --server https://cluster.test:6443 --token "$(agent_token srv)" --node-name edge
    wait_for 30 logs_hold hello 'hello from' || { show_logs; false; }
    after=$(k get pod hello -o jsonpath='{.status.containerStatuses[0].containerID}')
    [ "$before" = "$after" ]
    [ "$(k get pod hello -o jsonpath='{.status.containerStatuses[0].restartCount}')" = 0 ]
    k delete pod hello "--timeout=$(patience 40)s"
}
