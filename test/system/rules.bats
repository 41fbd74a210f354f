#!/usr/bin/env bats
# What the API refuses, and what it keeps, as the real kubectl shows it: upstream's sentences, the fields they are about,
# and node ports across a restart.

load lib

setup_file() {
    lib_need ip kubectl jq openssl
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

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
    k delete quota q
}

job() { # job NAME FIELDS...
    printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s}\nspec:\n' "$1"
    shift
    printf '  %s\n' "$@" "template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"
}

@test "kubectl's generators make what is accepted" {
    k create deployment web --image=i --port=80
    k create job once --image=i -- true
    k create cronjob tick --image=i --schedule='*/5 * * * *'
    k create job from-tick --from=cronjob/tick
    k create poddisruptionbudget web --selector=app=web --min-available=50%
    k create ingress web --rule='a.example/*=web:80' --class=nginx
    k create role reader --verb=get --resource=pods
    k create clusterrole healthy --verb=get --non-resource-url=/healthz
    k create rolebinding reader --role=reader --user=ann --serviceaccount=default:default
    k create clusterrolebinding ops --clusterrole=healthy --group=ops
    k create priorityclass high --value=1000
    k autoscale deployment web --min=1 --max=3 --cpu-percent=50
    k expose deployment web
    k create quota few --hard=pods=50
}

@test "a job has a selector of its own, and a template of one has no defaults" {
    uid=$(field job once '{.metadata.uid}')
    [ "$(field job once '{.spec.selector.matchLabels.batch\.kubernetes\.io/controller-uid}')" = "$uid" ]
    [ "$(field job once '{.spec.template.metadata.labels.job-name}')" = once ]
    [ "$(field job once '{.spec.completionMode} {.spec.backoffLimit} {.spec.suspend}')" = "NonIndexed 6 false" ]
    [ -z "$(field cronjob tick '{.spec.jobTemplate.spec.backoffLimit}')" ]
}

@test "what is wrong is refused in upstream's words" {
    refused 'spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]' \
        k create cronjob bad --image=i --schedule='* * * *'
    refused 'maximum allowed value of a user defined priority is 1000000000' \
        k create priorityclass low --value=1000000001
    refused 'priority class names with '\''system-'\'' prefix are reserved' k create priorityclass system-x --value=1
    job idx "completionMode: Indexed" "parallelism: 2" >"$T/idx.yaml"
    refused 'spec.completions: Required value: when completion mode is Indexed' k apply -f "$T/idx.yaml"
    refused '`selector` does not match template `labels`' k patch deployment web --type=json \
        -p '[{"op":"replace","path":"/spec/template/metadata/labels","value":{"app":"other"}}]'
    refused 'spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"other"}' k patch \
        deployment web --type=json -p '[{"op":"replace","path":"/spec/selector/matchLabels/app","value":"other"},
        {"op":"replace","path":"/spec/template/metadata/labels/app","value":"other"}]'
    refused 'cannot change roleRef' k patch rolebinding reader -p '{"roleRef":{"name":"admin"}}'
    refused 'field is immutable' k patch job once -p '{"spec":{"completions":5}}'
    refused 'must be greater than or equal to `minReplicas`' k patch hpa web -p '{"spec":{"minReplicas":9}}'
}

@test "a pod has the priority of its class, and limits of its namespace" {
    k run p --image=i --overrides='{"spec":{"priorityClassName":"high"}}'
    [ "$(field pod p '{.spec.priority} {.spec.preemptionPolicy}')" = "1000 PreemptLowerPriority" ]
    refused 'pods "x" is forbidden: no PriorityClass with name none was found' \
        k run x --image=i --overrides='{"spec":{"priorityClassName":"none"}}'
    k create namespace small
    k -n small create -f - <<YAML
apiVersion: v1
kind: LimitRange
metadata: {name: small}
spec: {limits: [{type: Container, max: {cpu: 100m}, default: {cpu: 50m}}]}
YAML
    k -n small run p --image=i
    [ "$(k -n small get pod p -o 'jsonpath={.spec.containers[0].resources.limits.cpu}')" = 50m ]
    refused 'maximum cpu usage per Container is 100m, but limit is 1' k -n small run big --image=i \
        --overrides='{"spec":{"containers":[{"name":"big","image":"i","resources":{"limits":{"cpu":"1"}}}]}}'
}

@test "requests for certificates are PKCS#10, and nobody asks to be a master" {
    openssl ecparam -name prime256v1 -genkey -noout -out "$T/key.pem"
    csr() { # csr NAME SUBJECT
        openssl req -new -key "$T/key.pem" -subj "$2" -out "$T/req.pem"
        jq -n --arg n "$1" --arg r "$(base64 -w0 "$T/req.pem")" '{apiVersion: "certificates.k8s.io/v1",
            kind: "CertificateSigningRequest", metadata: {name: $n}, spec: {request: $r, usages: ["client auth"],
            signerName: "kubernetes.io/kube-apiserver-client"}}' | k create -f -
    }
    csr ann /CN=ann
    refused 'use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed' \
        csr root /O=system:masters/CN=root
    refused 'PEM block type must be CERTIFICATE REQUEST' k create -f - <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: none}
spec: {request: YWI=, usages: [client auth], signerName: example.com/s}
YAML
}
