#!/usr/bin/env bats
# Quotas with the real kubectl: what exceeds one is refused in upstream's words, what goes is free again, scopes choose pods,
# many creates at once never exceed a limit, kinds of one's own are counted.

load lib

setup_file() {
    lib_need ip kubectl jq curl
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

setup() {
    NS=q$BATS_TEST_NUMBER
    k create namespace "$NS" >/dev/null
}

n() { k -n "$NS" "$@"; }
used() { [ "$(n get resourcequota "$1" -o json | jq -r ".status.used[\"$2\"]")" = "$3" ]; } # used QUOTA NAME AMOUNT
counted() { wait_for 20 used "$@"; }

pod() { # pod NAME RESOURCES SPEC: one container; waits for no account
    printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"containers":[{"name":"c","image":"i","resources":%s}]%s}}' \
        "$1" "${2:-{\}}" "${3:+,$3}" >"$T/$1.json"
    n create -f "$T/$1.json"
}

@test "what exceeds a quota is refused, and fits when something has gone" {
    n create quota q --hard=pods=2,secrets=1
    counted q pods 0
    pod a
    pod b
    used q pods 2
    refused 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2' pod x
    n create secret generic s
    refused 'exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1' n create secret generic t
    refused 'exceeded quota: q' n create secret generic t --dry-run=server
    n delete pod a --grace-period=0 --force
    n delete secret s
    counted q pods 1
    counted q secrets 0
    pod x
    n create secret generic t
    n get resourcequota q | grep -q 'pods: 2/2'
}

@test "amounts: containers have to say, defaults count, gpus and overheads too" {
    n create quota q --hard=requests.cpu=1,limits.memory=1Gi,requests.example.com/gpu=2
    counted q requests.cpu 0
    refused 'failed quota: q: must specify limits.memory for: c; requests.cpu for: c' pod a
    pod a '{"requests":{"cpu":"600m"},"limits":{"memory":"600Mi","example.com/gpu":"1"}}'
    used q requests.cpu 600m
    used q requests.example.com/gpu 1
    refused 'exceeded quota: q, requested: limits.memory=600Mi,requests.cpu=600m, used: limits.memory=600Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1' \
        pod b '{"requests":{"cpu":"600m"},"limits":{"memory":"600Mi"}}'
    refused 'requested: requests.cpu=500m' pod b '{"requests":{"cpu":"100m"},"limits":{"memory":"1Mi"}}' \
        '"initContainers":[{"name":"i","image":"i","resources":{"requests":{"cpu":"500m"},"limits":{"memory":"1Mi"}}}]'
    n create -f - <<'EOF'
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec: {limits: [{type: Container, default: {memory: 64Mi}, defaultRequest: {cpu: 100m}}]}
EOF
    by_default() { pod c; }
    wait_for 10 by_default
    used q limits.memory 664Mi
    k create -f - <<'EOF'
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: heavy}
handler: heavy
overhead: {podFixed: {cpu: 250m}}
EOF
    heavy() { refused 'requested: requests.cpu=350m, used: requests.cpu=700m' pod d '' '"runtimeClassName":"heavy"'; }
    wait_for 10 heavy
}

@test "scopes choose the pods that count" {
    k get priorityclass high || k create priorityclass high --value=1000
    n create quota best --hard=pods=1 --scopes=BestEffort
    n create quota short --hard=pods=1 --scopes=Terminating
    n create -f - <<'EOF'
apiVersion: v1
kind: ResourceQuota
metadata: {name: high}
spec:
  hard: {pods: "0"}
  scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}
EOF
    counted best pods 0
    counted short pods 0
    counted high pods 0
    pod a '{"requests":{"cpu":"1m"}}'
    pod b
    used best pods 1
    used short pods 0
    refused 'exceeded quota: best' pod c
    pod d '{"requests":{"cpu":"1m"}}' '"activeDeadlineSeconds":60'
    used short pods 1
    refused 'exceeded quota: short' pod e '{"requests":{"cpu":"1m"}}' '"activeDeadlineSeconds":60'
    refused 'exceeded quota: high, requested: pods=1, used: pods=0, limited: pods=0' \
        pod f '{"requests":{"cpu":"1m"}}' '"priorityClassName":"high"'
}

@test "a change takes what it adds, and gives back what it drops" {
    n create quota q --hard=services=3,services.nodeports=1,services.loadbalancers=0,requests.storage=3Gi,persistentvolumeclaims=1
    counted q services 0
    n create service clusterip a --tcp=80:80
    n patch service a -p '{"spec":{"type":"NodePort"}}'
    used q services.nodeports 1
    refused 'exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1' \
        n create service nodeport b --tcp=80:80
    refused 'services.loadbalancers=1' n patch service a -p '{"spec":{"type":"LoadBalancer"}}'
    n patch service a -p '{"spec":{"type":"ClusterIP"}}'
    counted q services.nodeports 0
    n create service nodeport b --tcp=80:80
    n create -f - <<'EOF'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
EOF
    used q requests.storage 2Gi
    n patch resourcequota q -p '{"spec":{"hard":{"services":"1"}}}'
    hard() { [ "$(n get resourcequota q -o jsonpath='{.status.hard.services}')" = 1 ]; }
    wait_for 20 hard
    refused 'requested: services=1, used: services=2, limited: services=1' n create service clusterip d --tcp=80:80
    n delete resourcequota q
    wait_for 10 n create service clusterip d --tcp=80:80
}

@test "many creates at once never exceed a limit" {
    n create quota q --hard=configmaps=25,count/configmaps=30
    ready() { used q configmaps "$(n get configmaps -o name | wc -l)"; }
    wait_for 20 ready
    local had
    had=$(n get configmaps -o name | wc -l)
    for i in $(seq 60); do printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m%s"}}' "$i" >"$T/m$i.json"; done
    kubectl_on srv proxy --port=8001 >"$T/log/proxy" 2>&1 &
    local proxy=$!
    wait_for 10 in_net srv curl -sf http://127.0.0.1:8001/version
    seq 60 | in_net srv xargs -P 20 -I{} curl -s -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' \
        -d "@$T/m{}.json" "http://127.0.0.1:8001/api/v1/namespaces/$NS/configmaps" >"$T/codes"
    kill "$proxy"
    [ "$(grep -c '^201$' "$T/codes")" = $((25 - had)) ]
    [ "$(grep -c '^403$' "$T/codes")" = $((60 - 25 + had)) ]
    [ "$(n get configmaps -o name | wc -l)" = 25 ]
    used q configmaps 25
    used q count/configmaps 25
}

@test "kinds of one's own are counted" {
    n create quota q --hard=count/widgets.example.com=1,count/jobs.batch=1
    counted q count/jobs.batch 0
    k create -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
EOF
    k wait --for=condition=Established "--timeout=$(patience 10)s" crd/widgets.example.com
    counted q count/widgets.example.com 0
    widget() { printf '{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"%s"}}' "$1" | n create -f -; }
    widget a
    refused 'widgets.example.com "b" is forbidden: exceeded quota: q, requested: count/widgets.example.com=1, used: count/widgets.example.com=1, limited: count/widgets.example.com=1' \
        widget b
    n delete widget a
    counted q count/widgets.example.com 0
    widget b
    n create job j --image=i
    refused 'exceeded quota: q, requested: count/jobs.batch=1' n create job l --image=i
}
