#!/usr/bin/env bats
# coracle node why: real causes made to happen, each named in the line; the same reason in the 502 of the
# node proxy and in the node's Ready condition; the transitions in order.
#
#   edge (NAT, joins by DNS name)      wan (joins by address, in the server's reach)

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl openssl jq
    lib_init
    topology_nat
    start_server srv --tls-san cluster.test,198.51.100.5 --disable-agent
    TOKEN=$(agent_token srv)
    export TOKEN
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name edge --container-runtime-endpoint /dev/null
}
teardown_file() { lib_cleanup; }

why() { in_net srv "$CORACLE" node why --kubeconfig "$T/srv/kubeconfig" "$@"; }
why_json() { why "$1" --output json | jq -r "$2"; }
line_has() { # NODE TEXT...: the first line holds each text
    local out text
    out=$(why "$1" | head -n 1) || return 1
    shift
    for text in "$@"; do [[ $out == *"$text"* ]] || { echo "$out"; return 1; }; done
}
reachable() { line_has "$1" "$1: reachable"; }

proxy_says_the_reason() { # NODE: the body of the 502 holds the reason of the line
    local body reason
    body=$(kubectl_on srv get --raw "/api/v1/nodes/$1/proxy/healthz" -v=8 2>&1) && return 1
    reason=$(why_json "$1" .reason)
    [[ $body == *502* && $body == *"$reason"* ]] || { echo "$reason"; echo "$body"; return 1; }
}
condition_says_the_reason() { # NODE
    local message reason
    message=$(kubectl_on srv get node "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}')
    reason=$(why_json "$1" .reason)
    [ "$message" = "Kubelet stopped posting node status. $reason" ] || { echo "$reason"; echo "$message"; return 1; }
}

# Rules on the edge's router, removed all at once.
block() { in_net nat nft -f - <<<"table inet cut { chain off { type filter hook forward priority -10; $1 }; }"; }
unblock() { in_net nat nft delete table inet cut; }

@test "a node that nobody has heard of is said to be unknown" {
    run why ghost
    [ "$status" -eq 1 ]
    [[ "$output" == *'nobody of that name has spoken to this server since it started'*'no such Node object'* ]]
}

@test "token: a new node with a wrong one is named, as a claim" {
    start_agent wan --server https://198.51.100.5:6443 --token "${TOKEN%:*}:wrong" --node-name w1 --container-runtime-endpoint /dev/null
    wait_for 20 line_has w1 'w1: not reachable: token: ' 'only claims this name' || { show_logs; false; }
    stop_pid "$(restart_pid wan)"
    start_agent wan --server https://198.51.100.5:6443 --token "$TOKEN" --node-name w1 --container-runtime-endpoint /dev/null
}

@test "a node that is there is reachable, and all nodes are listed" {
    wait_for 30 reachable edge || { show_logs; false; }
    wait_for 30 reachable w1 || { show_logs; false; }
    line_has edge 'by its tunnel from ' '(coracle.v1) since '
    [ "$(why | cut -d: -f1 | tr '\n' ' ')" = 'edge w1 ' ]
    [ "$(why_json edge .reachable)" = true ]
}

@test "kubelet port: refused, in the line and in the 502" {
    in_net edge nft -f - <<<'table inet kubelet { chain in { type filter hook input priority 0; iif "lo" tcp dport 10250 reject with tcp reset; }; }'
    wait_for 10 line_has edge 'not reachable: kubelet port: dial tcp 127.0.0.1:10250: ' refused
    wait_for 10 proxy_says_the_reason edge
    in_net edge nft delete table inet kubelet
    wait_for 10 reachable edge
    # For later: the other node keeps its tunnel, but its lease does not get through from here on.
    in_net wan nft -f - <<<'table inet api { chain in { type filter hook input priority 0; iif "lo" tcp dport 6444 drop; }; }'
}

@test "TCP: the way is shut; meanwhile the session, afterwards what the agent saw" {
    block 'tcp dport 6443 reject with tcp reset; tcp sport 6443 reject with tcp reset;'
    wait_for 30 line_has edge 'not reachable: session: its tunnel ended at 20' || { show_logs; false; }
    wait_for 10 proxy_says_the_reason edge
    agent_saw() { in_host edge "$CORACLE" agent status --data-dir "$T/edge/data" | grep -q 'tunnel  *cluster.test:6443 .*tcp: .*refused'; }
    wait_for 30 agent_saw || { show_logs; false; }
    unblock
    wait_for 30 line_has edge 'edge: reachable' 'it was away until 20' 'for: TCP: tunnel to cluster.test:6443: ' refused || { why edge; show_logs; false; }
}

@test "TLS: somebody else answers at the server's address" {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kubernetes -addext subjectAltName=DNS:kubernetes \
        -keyout "$T/mitm.key" -out "$T/mitm.crt" -days 2 2>/dev/null
    spawn mitm in_net gate openssl s_server -accept 7443 -cert "$T/mitm.crt" -key "$T/mitm.key" -quiet
    listens() { in_net gate ss -Hltn 'sport = :7443' | grep -q .; }
    wait_for 10 listens
    in_net gate nft -f - <<<'table ip mitm { chain pre { type nat hook prerouting priority -110; ip daddr 198.51.100.5 tcp dport 6443 ip saddr 198.51.100.20 redirect to :7443; }; }'
    block 'tcp dport 6443 ct state established reject with tcp reset; tcp sport 6443 ct state established reject with tcp reset;'
    wait_for 30 line_has edge 'not reachable: session: ' || { show_logs; false; }
    unblock
    agent_saw() { in_host edge "$CORACLE" agent status --data-dir "$T/edge/data" | grep -q 'tunnel  *cluster.test:6443 .*tls: '; }
    wait_for 30 agent_saw || { show_logs; false; }
    in_net gate nft delete table ip mitm
    wait_for 30 line_has edge 'edge: reachable' 'for: TLS: tunnel to cluster.test:6443: ' || { why edge; show_logs; false; }
}

@test "session: silence, until two pings are not answered" {
    block 'tcp dport 6443 drop; tcp sport 6443 drop;'
    wait_for 25 line_has edge 'not reachable: session: its tunnel ended at 20' 'no answer from edge' || { why edge; show_logs; false; }
    wait_for 10 proxy_says_the_reason edge
    unblock
    wait_for 40 reachable edge || { why edge; show_logs; false; }
}

@test "lease: not renewed for 40 s; the condition says what the line says" {
    wait_for 60 line_has w1 'not reachable: lease: it is not renewed since 20' 'though its tunnel answers' || { why w1; false; }
    wait_for 20 condition_says_the_reason w1
    in_net wan nft delete table inet api
    wait_for 40 reachable w1 || { why w1; show_logs; false; }
}

@test "DNS: a new node whose resolver is silent" {
    stop_pid "$(restart_pid edge)"
    wait_for 10 line_has edge 'not reachable: session: its tunnel ended at 20' 'the agent closes the tunnel'
    block 'udp dport 53 drop;'
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name e2 --container-runtime-endpoint /dev/null \
        --data-dir "$T/edge/e2" --node-dir "$T/edge/e2-node"
    agent_says() { in_host edge "$CORACLE" agent status --data-dir "$T/edge/e2" | grep -q 'cause  *DNS: '; }
    wait_for 30 agent_says || { show_logs; false; }
    unblock
    wait_for 40 line_has e2 'e2: reachable' 'for: DNS: joining: ' || { why e2; show_logs; false; }
    stop_pid "$(restart_pid edge)"
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name edge --container-runtime-endpoint /dev/null
    wait_for 30 reachable edge || { show_logs; false; }
}

@test "clock: a machine whose clock is behind joins, and the line says by how much" {
    stop_pid "$(restart_pid wan)"
    (umask 077 && echo -11530 >"$T/wan/clock")
    CORACLE_TEST_CLOCK_FILE=$T/wan/clock start_agent wan --server https://198.51.100.5:6443 --token "$TOKEN" --node-name w1 --container-runtime-endpoint /dev/null
    wait_for 30 line_has w1 'w1: reachable' 'its clock is 3 h 12 min behind' || { why w1; show_logs; false; }
    [ "$(why_json w1 .clockAheadSeconds)" -lt -11500 ]
}

@test "password: the machine came back without it" {
    stop_pid "$(restart_pid edge)"
    mv "$T/edge/node/password" "$T/edge/kept"
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name edge --container-runtime-endpoint /dev/null
    wait_for 30 line_has edge 'not reachable: password: the node password is not the one' || { why edge; show_logs; false; }
    advised() { why edge | grep -q 'what to do: .*kubectl delete node'; }
    wait_for 10 advised
    wait_for 10 proxy_says_the_reason edge
    stop_pid "$(restart_pid edge)"
    mv "$T/edge/kept" "$T/edge/node/password"
    start_agent edge --server https://cluster.test:6443 --token "$TOKEN" --node-name edge --container-runtime-endpoint /dev/null
    wait_for 30 line_has edge 'edge: reachable' || { why edge; show_logs; false; }
}

@test "transitions: from both ends, in order, at most 20" {
    local times
    why_json edge '.transitions[] | .from' | sort -u | tr '\n' ' ' | grep -q 'agent claim server'
    times=$(why_json edge '.transitions[].time')
    [ "$times" = "$(sort <<<"$times")" ]
    [ "$(wc -l <<<"$times")" -le 20 ]
    # the line, what to do, then one line for each
    [ "$(why edge | grep -cE '^  20[0-9-]+T[0-9:]+Z +(server|agent|claim) +(up|down) ')" = "$(wc -l <<<"$times")" ]
    why_json edge '.transitions[] | select(.from=="agent") | .cause' | grep -q session
}

@test "node: deleted, while its agent is still there" {
    kubectl_on srv delete node edge
    wait_for 20 line_has edge 'not reachable: node: the Node object was deleted at 20' || { why edge; false; }
    wait_for 20 line_has edge 'registers again when it is restarted' || { why edge; false; }
}

@test "only an admin may ask" {
    run in_net srv curl -sk "https://127.0.0.1:6443/v1-coracle/why"
    [[ "$output" == *'"code":403'* ]]
    run in_net srv curl -sk --cert "$T/edge/data/agent/client-kubelet.crt" --key "$T/edge/data/agent/client-kubelet.key" "https://127.0.0.1:6443/v1-coracle/why"
    [[ "$output" == *'"code":403'* ]]
}
