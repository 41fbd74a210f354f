#!/usr/bin/env bats
# Registration: every kind of token, node passwords, names, restarts; each refusal with the message that
# a user needs, on the agent's side and on the server's.

load lib

setup_file() {
    lib_need ip kubectl curl openssl
    lib_init
    host_new wan
    host_new srv
    in_net wan ip link add br0 type bridge
    in_net wan ip link set br0 up
    attach srv 198.51.100.10
    start_server srv --disable-agent
    TOKEN=$(agent_token srv)
    export TOKEN
    export SHORT=${TOKEN##*:}
}
teardown_file() { lib_cleanup; }

attach() { # attach HOST IP: onto the wan's bridge
    ip link add "w$1" netns "$P-wan" type veth peer name eth0 netns "$P-$1"
    in_net wan ip link set "w$1" master br0 up
    in_net "$1" ip addr add "$2/24" dev eth0
    in_net "$1" ip link set eth0 up
}

node_host() { # node_host NAME IP: a host of its own, made once
    [ -e "/run/netns/$P-$1" ] || { host_new "$1"; attach "$1" "$2"; in_net "$1" ip route add default via 198.51.100.10; }
}

# The agents here never get as far as pods, so they need no container runtime.
join() { # join HOST FLAG...
    local h=$1
    shift
    start_agent "$h" --server https://198.51.100.10:6443 --container-runtime-endpoint /dev/null --node-name "$h" "$@"
}
registered() { kubectl_on srv get node "$1" >/dev/null; }
status_says() { in_host "$1" "$CORACLE" agent status --data-dir "$T/$1/data" | grep -qF -- "$2"; }

@test "a full token joins" {
    node_host full 198.51.100.21
    join full --token "$TOKEN"
    wait_for 15 registered full || { show_logs; false; }
}

@test "a short token joins, and the log says that the server was not pinned" {
    node_host short 198.51.100.22
    join short --token "$SHORT"
    wait_for 15 registered short || { show_logs; false; }
    logged short 'the token has no CA hash'
}

@test "a token from a file and from the environment joins" {
    node_host tfile 198.51.100.23
    join tfile --token-file "$T/tfile/token"
    sleep 1
    echo "$TOKEN" >"$T/tfile/token" # it may appear later
    wait_for 20 registered tfile || { show_logs; false; }
    node_host tenv 198.51.100.24
    K3S_TOKEN=$TOKEN K3S_URL=https://198.51.100.10:6443 spawn tenv in_host tenv "$CORACLE" agent $(agent_args tenv) --container-runtime-endpoint /dev/null --node-name tenv
    wait_for 15 registered tenv || { show_logs; false; }
}

@test "a bootstrap token joins until it expires" {
    local id=abcdef secret=0123456789abcdef
    bootstrap_secret "$id" "$secret" "$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)"
    node_host boot 198.51.100.25
    join boot --token "$id.$secret"
    wait_for 15 registered boot || { show_logs; false; }
    bootstrap_secret expird "$secret" "$(date -u -d '-1 hour' +%Y-%m-%dT%H:%M:%SZ)"
    node_host late 198.51.100.26
    join late --token "expird.$secret"
    wait_for 15 status_says late 'token'
    wait_for 10 logged late 'expired'
    refute registered late
}
bootstrap_secret() { # ID SECRET EXPIRATION
    kubectl_on srv apply -f - <<EOF
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-$1, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: $1
  token-secret: $2
  expiration: "$3"
  usage-bootstrap-authentication: "true"
  auth-extra-groups: system:bootstrappers:k3s:default-node-token
EOF
}

@test "a wrong token is named on both sides and lets nobody in" {
    node_host wrong 198.51.100.27
    join wrong --token "${TOKEN%:*}:not-the-password"
    wait_for 15 logged wrong 'the server refuses the token'
    wait_for 10 status_says wrong 'cause         token'
    wait_for 5 logged srv 'credentials refused'
    refute registered wrong
    refute grep -rqF not-the-password "$T/log"
}

@test "a token of another cluster is refused before a secret is sent" {
    local hash
    hash=$(printf '%064d' 7)
    node_host other 198.51.100.28
    join other --token "K10${hash}::node:$SHORT"
    wait_for 15 logged other "$hash"
    wait_for 10 status_says other 'cause         token'
    refute registered other
}

@test "a malformed token is an error at once" {
    run in_host srv timeout $((30 * SLOW)) "$CORACLE" agent --server https://198.51.100.10:6443 --token K10abc::node:x --data-dir "$T/x" --node-dir "$T/x" --config "$T/none" --lb-server-port 0
    [ "$status" -eq 1 ]
    [[ "$output" == *--token* ]]
}

@test "a name that somebody else joined with: 403, the command that helps, an Event; --with-node-id passes" {
    node_host thief 198.51.100.29
    join thief --token "$TOKEN" --node-name full
    wait_for 15 logged thief 'kubectl delete node full'
    wait_for 10 status_says thief 'cause         password'
    wait_for 5 logged srv 'node password rejected'
    event() { kubectl_on srv get events -n default -o jsonpath='{range .items[*]}{.reason} {.involvedObject.name} {.message}{"\n"}{end}' | grep -F 'NodePasswordValidationFailed full' | grep -qF 'kubectl delete node full'; }
    wait_for 10 event
    stop_pid "$(restart_pid thief)"
    join thief --token "$TOKEN" --node-name full --with-node-id
    suffixed() { kubectl_on srv get nodes -o name | grep -qE '^node/full-[0-9a-f]{8}$'; }
    wait_for 15 suffixed || { show_logs; false; }
    [[ "$(cat "$T/thief/node/id")" =~ ^[0-9a-f]{8}$ ]]
}

@test "after the node was deleted, whoever comes first has the name, with a new secret" {
    stop_pid "$(restart_pid full)"
    kubectl_on srv delete node full
    gone() { ! kubectl_on srv get secret -n kube-system full.node-password.k3s >/dev/null 2>&1; }
    wait_for 15 gone
    join full --token "$TOKEN"
    wait_for 15 registered full || { show_logs; false; }
    kubectl_on srv get secret -n kube-system full.node-password.k3s
}

@test "a lost /etc/rancher/node is refused until the node is deleted" {
    stop_pid "$(restart_pid short)"
    rm -rf "$T/short/node"
    join short --token "$TOKEN"
    wait_for 15 logged short 'kubectl delete node short'
    kubectl_on srv delete node short
    wait_for 25 registered short || { show_logs; false; } # it keeps trying: nobody touches it
}

@test "an agent restarts with its certificates and no token" {
    stop_pid "$(restart_pid full)"
    : >"$T/log/full"
    join full
    wait_for 15 logged full 'joined the cluster' || { show_logs; false; }
}

@test "without token and certificates it says what is needed" {
    run in_host srv timeout $((30 * SLOW)) "$CORACLE" agent --server https://198.51.100.10:6443 --data-dir "$T/y" --node-dir "$T/y" --config "$T/none" --lb-server-port 0
    [ "$status" -eq 1 ]
    [[ "$output" == *'--token'*'is needed'* ]]
}

@test "an unknown name, a dead port, a server that is none: the cause is in the status" {
    node_host lost 198.51.100.30
    start_agent lost --server https://no.such.name.invalid:6443 --token "$TOKEN" --container-runtime-endpoint /dev/null
    wait_for 20 status_says lost 'cause         DNS' || { show_logs; false; }
    stop_pid "$(restart_pid lost)"
    start_agent lost --server https://198.51.100.10:1 --token "$TOKEN" --container-runtime-endpoint /dev/null
    wait_for 20 status_says lost 'cause         TCP' || { show_logs; false; }
}

@test "files of an agent have K3s's names and modes" {
    local d=$T/full/data/agent f
    for f in client-ca.crt server-ca.crt serving-kubelet.crt serving-kubelet.key client-kubelet.crt client-kubelet.key \
        client-kube-proxy.crt client-kube-proxy.key client-k3s-controller.crt client-k3s-controller.key \
        kubelet.kubeconfig kubeproxy.kubeconfig k3scontroller.kubeconfig; do
        [ "$(stat -c %a "$d/$f")" = 600 ] || { echo "$f"; stat "$d/$f"; false; }
    done
    [ "$(stat -c %a "$d")" = 700 ]
    [ "$(stat -c %a "$T/full/node/password")" = 600 ]
    [ "$(wc -c <"$T/full/node/password")" = 33 ]
    [ "$(stat -c %a "$d/etc/k3s-agent-load-balancer.json")" = 644 ]
}

@test "no secret is in any log" {
    refute grep -rqF -- "$SHORT" "$T/log"
    refute grep -rqF -- "$(cat "$T/full/node/password")" "$T/log"
}
