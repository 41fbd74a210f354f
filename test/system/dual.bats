#!/usr/bin/env bats
# IPv6: a cluster that knows nothing else, with a node that joins over it; and a cluster of both
# families, its services and its node.
#
#   six fd00:77::1 --- fd00:77::2 lone        two 10.77.0.1, fd00:78::1 --- 10.77.0.2, fd00:78::2 both

load lib

TWO_NETWORKS="--cluster-cidr 10.42.0.0/16,fd00:42::/56 --service-cidr 10.43.0.0/16,fd00:43::/112"

cable() { # cable A ADDRS B ADDRS: the addresses work at once
    local a
    ip link add eth0 netns "$P-$1" type veth peer name eth0 netns "$P-$3"
    for a in $2; do in_net "$1" ip addr add "$a" dev eth0 nodad 2>/dev/null; done
    for a in $4; do in_net "$3" ip addr add "$a" dev eth0 nodad 2>/dev/null; done
    in_net "$1" ip link set eth0 up
    in_net "$3" ip link set eth0 up
}

setup_file() {
    lib_need ip kubectl containerd runc ctr openssl ip6tables
    lib_init
    local h
    for h in six lone two both; do host_new $h; done
    cable six fd00:77::1/64 lone fd00:77::2/64
    cable two '10.77.0.1/24 fd00:78::1/64' both '10.77.0.2/24 fd00:78::2/64'
    for h in lone both; do
        mkdir -p "$T/$h/data/agent/images"
        cp "$BUILD/images/busybox.tar" "$T/$h/data/agent/images/"
    done
    start_server six --node-name six
    kubectl_on six cordon six || wait_for 30 kubectl_on six cordon six # pods go to the other
    # shellcheck disable=SC2086
    start_server two --disable-agent --egress-selector-mode pod $TWO_NETWORKS
    start_agent lone --server 'https://[fd00:77::1]:6443' --token "$(agent_token six)" --node-name lone
    start_agent both --server 'https://[fd00:78::1]:6443' --token "$(agent_token two)" --node-name both
}
teardown_file() { lib_cleanup; }

six() { kubectl_on six "$@"; }
k() { kubectl_on two "$@"; }
of() { k get "$@" -o jsonpath='{.spec.ipFamilyPolicy} {.spec.ipFamilies} {.spec.clusterIPs}'; }
phase() { [ "$($1 get pod "$2" -o jsonpath='{.status.phase}')" = "$3" ]; }
says() { $1 logs "$2" | grep -qF -- "$3"; }

@test "a machine with IPv6 alone makes a cluster of it" {
    [ "$(six get service kubernetes -o jsonpath='{.spec.clusterIPs} {.spec.ipFamilies}')" = '["fd00:43::1"] ["IPv6"]' ]
    [ "$(six get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[*].ip}')" = fd00:77::1 ]
    [ "$(six get endpointslice kubernetes -o jsonpath='{.addressType} {.endpoints[*].addresses}')" = 'IPv6 ["fd00:77::1"]' ]
    grep -q 'server: https://\[::1\]:6443' "$T/six/kubeconfig"
    in_net six openssl s_client -connect '[fd00:77::1]:6443' </dev/null 2>/dev/null |
        openssl x509 -noout -text | grep -q 'IP Address:FD00:43:0:0:0:0:0:1'
}

@test "its own node is Ready" {
    wait_for 60 node_ready six six || { show_logs; false; }
    [ "$(six get node six -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')" = fd00:77::1 ]
    [ "$(six get --raw /api/v1/nodes/six/proxy/healthz)" = ok ]
}

@test "an agent joins over IPv6 and is Ready" {
    wait_for 60 node_ready six lone || { show_logs; false; }
    [ "$(six get node lone -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')" = fd00:77::2 ]
    [[ "$(six get node lone -o jsonpath='{.spec.podCIDRs}')" == '["fd00:42:'*'::/64"]' ]] ||
        [ "$(six get node lone -o jsonpath='{.spec.podCIDRs}')" = '["fd00:42::/64"]' ]
    run in_host lone "$CORACLE" agent lb status --data-dir "$T/lone/data"
    [[ "$output" == *'[fd00:77::1]:6443'* ]]
    in_net lone ss -Hltn 'sport = :10250' | grep -q '\*:10250\|\[::\]:10250'
}

@test "its pod has an IPv6 address; logs and exec come through the tunnel" {
    six apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    wait_for 60 phase six hello Running || { six describe pod hello; show_logs; false; }
    wait_for 10 says six hello 'hello from a pod on coracle'
    [ "$(six exec hello -- echo through)" = through ]
    [[ "$(six get pod hello -o jsonpath='{.status.podIP}')" == fd00:42:* ]]
    [ "$(six get pod hello -o jsonpath='{.status.hostIPs}')" = '[{"ip":"fd00:77::2"}]' ]
    [ "$(six get --raw /api/v1/nodes/lone/proxy/healthz)" = ok ]
}

@test "a service of an IPv6 cluster is IPv6, and nothing else can be" {
    six create service clusterip plain --tcp=80
    [[ "$(six get service plain -o jsonpath='{.spec.ipFamilies} {.spec.clusterIP}')" == '["IPv6"] fd00:43::'* ]]
    run six create -f - <<'YAML'
---
{apiVersion: v1, kind: Service, metadata: {name: four}, spec: {ports: [{port: 80}], ipFamilies: [IPv4]}}
YAML
    [ "$status" -ne 0 ]
    [[ "$output" == *'spec.ipFamilies[0]: Invalid value: "IPv4": not configured on this cluster'* ]]
}

@test "a server whose address nobody else could use is not published, and says so once" {
    stop_pid "$(restart_pid six)"
    : >"$T/log/six"
    start_server six --node-name six --advertise-address ::1
    wait_for 20 logged six 'a server is not published'
    wait_for 20 node_ready six lone
    [ "$(six get endpoints kubernetes -o jsonpath='{.subsets[0].addresses[*].ip}')" = fd00:77::1 ]
    [ "$(grep -c 'a server is not published' "$T/log/six")" = 1 ]
    logged six 'may not be in the loopback range'
    refute logged six 'controller=kubernetes_service'
}

@test "services of a cluster with both families get what they ask for" {
    [ "$(of service kubernetes)" = 'SingleStack ["IPv4"] ["10.43.0.1"]' ]
    k create -f - <<'YAML'
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Service, metadata: {name: plain}, spec: {ports: [{port: 80}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: prefer}, spec: {ports: [{port: 80}], ipFamilyPolicy: PreferDualStack}}
  - {apiVersion: v1, kind: Service, metadata: {name: turned}, spec: {ports: [{port: 80}], ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4]}}
  - {apiVersion: v1, kind: Service, metadata: {name: named}, spec: {ports: [{port: 80}], ipFamilyPolicy: RequireDualStack, clusterIP: "fd00:43::beef", clusterIPs: ["fd00:43::beef", 10.43.7.7]}}
  - {apiVersion: v1, kind: Service, metadata: {name: headless}, spec: {clusterIP: None}}
YAML
    [[ "$(of service plain)" == 'SingleStack ["IPv4"] ["10.43.'*'"]' ]]
    [[ "$(of service prefer)" == 'PreferDualStack ["IPv4","IPv6"] ["10.43.'*'","fd00:43::'*'"]' ]]
    [[ "$(of service turned)" == 'RequireDualStack ["IPv6","IPv4"] ["fd00:43::'*'","10.43.'*'"]' ]]
    [ "$(of service named)" = 'RequireDualStack ["IPv6","IPv4"] ["fd00:43::beef","10.43.7.7"]' ]
    [ "$(of service headless)" = 'RequireDualStack ["IPv4","IPv6"] ["None"]' ]
}

@test "an address is given once, however it is written" {
    run k create -f - <<'YAML'
---
{apiVersion: v1, kind: Service, metadata: {name: again}, spec: {ports: [{port: 80}], clusterIP: "FD00:43:0::BEEF"}}
YAML
    [ "$status" -ne 0 ]
    [[ "$output" == *'failed to allocate IP FD00:43:0::BEEF: provided IP is already allocated'* ]]
}

@test "the policy of a service takes it to both families and back" {
    local first
    first=$(k get service plain -o jsonpath='{.spec.clusterIP}')
    k patch service plain -p '{"spec":{"ipFamilyPolicy":"PreferDualStack"}}'
    [[ "$(of service plain)" == "PreferDualStack [\"IPv4\",\"IPv6\"] [\"$first\",\"fd00:43::"*'"]' ]]
    k patch service plain -p '{"spec":{"ipFamilyPolicy":"SingleStack"}}'
    [ "$(of service plain)" = "SingleStack [\"IPv4\"] [\"$first\"]" ]
    k patch service named -p '{"spec":{"ipFamilyPolicy":"SingleStack"}}'
    k create -f - <<'YAML'
---
{apiVersion: v1, kind: Service, metadata: {name: heir}, spec: {ports: [{port: 80}], clusterIP: 10.43.7.7}}
YAML
    run k patch service prefer -p '{"spec":{"ipFamilies":["IPv6","IPv4"]}}'
    [ "$status" -ne 0 ]
    [[ "$output" == *'may not change once set'* || "$output" == *'expected an IPv6 value'* ]]
}

@test "an agent with both families is Ready, with two addresses and two pod networks" {
    wait_for 60 node_ready two both || { show_logs; false; }
    [ "$(k get node both -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')" = '10.77.0.2 fd00:78::2' ]
    [[ "$(k get node both -o jsonpath='{.spec.podCIDRs}')" == '["10.42.'*'.0/24","fd00:42:'*'/64"]' ]]
    k apply -f "$BATS_TEST_DIRNAME/../../docs/examples/hello.yaml"
    wait_for 60 phase k hello Running || { k describe pod hello; show_logs; false; }
    [[ "$(k get pod hello -o jsonpath='{.status.podIPs[*].ip}')" == 10.42.*' fd00:42:'* ]]
    [ "$(k get pod hello -o jsonpath='{.status.hostIPs[*].ip}')" = '10.77.0.2 fd00:78::2' ]
}

@test "pods are reached by their IPv6 address through the tunnel" {
    local ip raw=/api/v1/namespaces/default
    ip=$(k get pod hello -o jsonpath='{.status.podIPs[1].ip}')
    k exec hello -- sh -c 'mkdir -p /tmp/www && echo from the pod >/tmp/www/index.html && httpd -p [::]:8080 -h /tmp/www'
    k create -f - <<YAML
apiVersion: v1
kind: Endpoints
metadata: {name: prefer}
subsets:
  - addresses: [{ip: "$ip", targetRef: {kind: Pod, name: hello, namespace: default}}]
    ports: [{port: 8080}]
YAML
    wait_for 10 k get --raw $raw/services/prefer:80/proxy/
    [ "$(k get --raw $raw/services/prefer:80/proxy/)" = 'from the pod' ]
}

@test "a restart keeps what services hold, of both families" {
    local held
    held=$(k get services -o jsonpath='{.items[*].spec.clusterIPs}')
    stop_pid "$(restart_pid two)"
    # shellcheck disable=SC2086
    start_server two --disable-agent --egress-selector-mode pod $TWO_NETWORKS
    [ "$(k get services -o jsonpath='{.items[*].spec.clusterIPs}')" = "$held" ]
    run k create -f - <<'YAML'
---
{apiVersion: v1, kind: Service, metadata: {name: again}, spec: {ports: [{port: 80}], clusterIP: "fd00:43::beef"}}
YAML
    [[ "$output" == *'provided IP is already allocated'* ]]
}

@test "a cluster that loses a family leaves its services alone" {
    local held
    held=$(of service prefer)
    stop_pid "$(restart_pid two)"
    start_server two --disable-agent --egress-selector-mode pod
    k label service prefer touched=yes
    [ "$(of service prefer)" = "$held" ]
    run k label service turned touched=yes
    [ "$status" -ne 0 ]
    [[ "$output" == *'this cluster is not configured for dual-stack services'* ]]
}

@test "networks that do not go together are refused in K3s's words" {
    refuses() { # refuses TEXT FLAG...
        local text=$1
        shift
        # shellcheck disable=SC2046
        run in_host lone "$CORACLE" server $(server_args refused) "$@"
        [ "$status" -eq 1 ]
        [[ "$output" == *"$text"* ]] || { echo "$output"; false; }
    }
    refuses 'of one IP family' --disable-agent --service-cidr 10.43.0.0/16,10.44.0.0/16
    refuses 'cluster-cidr: [10.42.0.0/16 fd00:42::/56] and service-cidr: [fd00:43::/112], must share the same IP version' \
        --disable-agent --cluster-cidr 10.42.0.0/16,fd00:42::/56
    # shellcheck disable=SC2086
    refuses 'and node-ip: [fd00:77::2], must share the same IP version' $TWO_NETWORKS
}
