#!/usr/bin/env bats
# What the API refuses, and what it keeps, as the real kubectl shows it: upstream's sentences, the fields they are about,
# and node ports across a restart.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    start_server srv --disable-agent
    wait_for 10 k get namespace default
}
teardown_file() { lib_cleanup; }

k() { kubectl_on srv "$@"; }
field() { k get "$1" "$2" -o "jsonpath=$3"; }
# refused TEXT COMMAND...: the command fails and says TEXT
refused() {
    local text=$1
    shift
    run "$@"
    [ "$status" -ne 0 ]
    [[ "$output" == *"$text"* ]] || { echo "$output"; return 1; }
}
apply() { k apply -f -; }

pod() { # pod NAME SPEC: one container, and SPEC
    printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"containers":[{"name":"c","image":"i:1"}]%s}}' \
        "$1" "${2:+,$2}"
}

@test "a pod that is wrong is refused with its fields" {
    pod p '"volumes":[{"name":"v","hostPath":{"path":"/a/../b"}}],"restartPolicy":"Sometimes"' >"$T/bad.json"
    run k create -f "$T/bad.json"
    [ "$status" -ne 0 ]
    [[ "$output" == *'The Pod "p" is invalid:'* ]]
    [[ "$output" == *"* spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"* ]]
    [[ "$output" == *'* spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'* ]]
}

@test "a pod that exists keeps its spec, and may get another image" {
    pod fixed | apply
    k set image pod/fixed c=i:2
    [ "$(field pod fixed '{.spec.containers[0].image}')" = i:2 ]
    refused 'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`' \
        k patch pod fixed -p '{"spec":{"hostname":"h"}}'
    refused 'spec.containers: Forbidden: pod updates may not add or remove containers' \
        k patch pod fixed -p '{"spec":{"containers":[{"name":"d","image":"i"}]}}'
    k patch pod fixed -p '{"spec":{"activeDeadlineSeconds":60}}'
    refused 'spec.activeDeadlineSeconds: Invalid value: 61: must be less than or equal to previous value' \
        k patch pod fixed -p '{"spec":{"activeDeadlineSeconds":61}}'
}

@test "node ports are given once, and stay across a restart" {
    k create service nodeport a --tcp=80:80 --node-port=30080
    refused 'spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated' \
        k create service nodeport b --tcp=80:80 --node-port=30080
    refused 'provided port is not in the valid range. The range of valid ports is 30000-32767' \
        k create service nodeport b --tcp=80:80 --node-port=300
    k create service nodeport c --tcp=80:80
    local given
    given=$(field service c '{.spec.ports[0].nodePort}')
    stop_pid "$(cat "$T/srv/pid")"
    start_server srv --disable-agent
    wait_for 20 k get service a
    refused 'provided port is already allocated' k create service nodeport b --tcp=80:80 "--node-port=$given"
    k delete service a
    k create service nodeport b --tcp=80:80 --node-port=30080
}

@test "the range of node ports is the server's" {
    stop_pid "$(cat "$T/srv/pid")"
    start_server srv --disable-agent --service-node-port-range 30000-30099
    refused 'provided port is not in the valid range. The range of valid ports is 30000-30099' \
        k create service nodeport x --tcp=80:80 --node-port=30100
    stop_pid "$(cat "$T/srv/pid")"
    start_server srv --disable-agent
    k create service nodeport x --tcp=80:80 --node-port=30100
}

@test "another type gives back what the old one had" {
    k create service nodeport t --tcp=80:80 --node-port=30099
    local ip
    ip=$(field service t '{.spec.clusterIP}')
    k patch service t -p '{"spec":{"type":"ExternalName","externalName":"example.com"}}'
    [ "$(field service t '{.spec.clusterIP}{.spec.ports[0].nodePort}')" = "" ]
    k create service clusterip u --tcp=80:80 --clusterip="$ip"
    k create service nodeport v --tcp=80:80 --node-port=30099
}

@test "claims, quotas and config maps have their rules" {
    printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"immutable":true,"data":{"a":"1"}}' | apply
    refused 'data: Forbidden: field is immutable when `immutable` is set' k patch configmap m -p '{"data":{"a":"2"}}'
    k create quota q --hard=pods=10,requests.cpu=1
    refused 'must be a standard resource for quota' k create quota r --hard=storage=1
}
