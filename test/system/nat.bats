#!/usr/bin/env bats
# A node behind NAT: it can only dial out, and only the fixed registration address is reachable.

load lib

setup_file() {
    lib_need ip nft dnsmasq kubectl
    lib_init
    topology_nat
    start_server srv --tls-san cluster.test,198.51.100.5 --disable-agent
    start_agent edge --server https://cluster.test:6443 --token "$(agent_token srv)" --node-name edge
}
teardown_file() { lib_cleanup; }

@test "an agent behind NAT joins by DNS name through the fixed address and is Ready" {
    wait_for 40 node_ready srv edge || { show_logs; false; }
}

@test "the server's listed address is not reachable from the agent" {
    run in_net edge timeout 3 nc -z -w 2 10.77.0.10 6443
    [ "$status" -ne 0 ]
    [ "$(kubectl_on srv get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[0].ip}')" = 10.77.0.10 ]
}

@test "nothing can dial in to the agent" {
    run in_net gate timeout 3 nc -z -w 2 198.51.100.20 10250
    [ "$status" -ne 0 ]
}

@test "the node proxy answers through the tunnel" {
    wait_for 10 kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz
    [ "$(kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz)" = ok ]
    kubectl_on srv get --raw /api/v1/nodes/edge/proxy/metrics | grep -q '^process_'
    kubectl_on srv get --raw /api/v1/nodes/edge/proxy/pods | grep -q '"kind":"PodList"'
}

@test "the registration is as a K3s server would have it" {
    run kubectl_on srv get node edge -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}'
    [ "$output" = 192.168.77.10 ]
    run kubectl_on srv get node edge -o jsonpath='{.spec.providerID}'
    [ "$output" = k3s://edge ]
    run kubectl_on srv get secret -n kube-system edge.node-password.k3s -o jsonpath='{.data.hash}'
    [[ "$(echo "$output" | base64 -d)" == '$1:'*':15:8:1:'* ]]
    run kubectl_on srv get lease -n kube-node-lease edge -o jsonpath='{.spec.holderIdentity}'
    [ "$output" = edge ]
}

@test "agent status and lb status say where it stands" {
    run in_host edge "$CORACLE" agent status --data-dir "$T/edge/data"
    [ "$status" -eq 0 ]
    [[ "$output" == *Ready* ]]
    run in_host edge "$CORACLE" agent lb status --data-dir "$T/edge/data"
    [ "$status" -eq 0 ]
    [[ "$output" == *cluster.test:6443* ]]
}

@test "a restarted server finds tunnel, watches and lease again without touching the agent" {
    stop_pid "$(restart_pid srv)"
    start_server srv --tls-san cluster.test,198.51.100.5 --disable-agent
    wait_for 30 node_ready srv edge || { show_logs; false; }
    wait_for 15 kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz
    local before after
    before=$(kubectl_on srv get lease -n kube-node-lease edge -o jsonpath='{.spec.renewTime}')
    lease_moved() {
        after=$(kubectl_on srv get lease -n kube-node-lease edge -o jsonpath='{.spec.renewTime}')
        [ "$after" != "$before" ]
    }
    wait_for 30 lease_moved
}

@test "a node that is cut off turns NotReady after its lease went stale, and comes back by itself" {
    [ "$SLOW" = 1 ] || skip "waits 40 s for real; once is enough"
    in_net nat nft add table inet cut
    in_net nat nft 'add chain inet cut off { type filter hook forward priority -10; policy drop; }'
    wait_for 75 node_not_ready srv edge
    says_why() { kubectl_on srv get node edge -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}' | grep -qF 'stopped posting node status. session: its tunnel ended at '; }
    wait_for 20 says_why
    in_net nat nft delete table inet cut
    wait_for 20 node_ready srv edge || { show_logs; false; }
    wait_for 15 kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz
}
