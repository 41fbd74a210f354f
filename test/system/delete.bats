#!/usr/bin/env bats
# Deleting with the real kubectl: each propagation, a namespace with everything in it, evictions and drain against a
# PodDisruptionBudget, and scale. Pods are of nobody's node: nothing runs, so nothing waits for a kubelet.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

gone() { refute k get "$@"; }
uid() { field "$1" "$2" '{.metadata.uid}'; }

owned() { # owned NAME OWNER: a ConfigMap that blocks its owner, another ConfigMap
    k apply -f - <<EOF
apiVersion: v1
kind: ConfigMap
metadata:
  name: $1
  ownerReferences:
    - {apiVersion: v1, kind: ConfigMap, name: $2, uid: $(uid configmap "$2"), blockOwnerDeletion: true}
EOF
}

family() { # family NAME: a ConfigMap, one of its own, and one of that
    k create configmap "$1"
    owned "$1-child" "$1"
    owned "$1-grandchild" "$1-child"
}

deployment() { # deployment NAME REPLICAS
    k apply -f - <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec: {containers: [{name: c, image: registry.example/c:1}]}
EOF
}

ready_pod() { # ready_pod NAME APP NODE: a pod that says it is ready
    k apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: $2}}
spec: {nodeName: $3, terminationGracePeriodSeconds: 0, containers: [{name: c, image: registry.example/c:1}]}
EOF
    k patch pod "$1" --subresource=status --type=merge \
        -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
}

@test "the default cascade takes the dependents after their owner" {
    family bg
    k delete configmap bg
    wait_for 10 gone configmap bg-child
    wait_for 10 gone configmap bg-grandchild
}

is_going() { field "$1" "$2" '{.metadata.deletionTimestamp}' | grep .; }

@test "a foreground delete waits for its dependents" {
    family fg
    k patch configmap fg-grandchild --type=merge -p '{"metadata":{"finalizers":["test/hold"]}}'
    k delete configmap fg --cascade=foreground --wait=false
    [ "$(field configmap fg '{.metadata.finalizers[0]}')" = foregroundDeletion ]
    wait_for 10 is_going configmap fg-grandchild
    k get configmap fg fg-child fg-grandchild
    k patch configmap fg-grandchild --type=merge -p '{"metadata":{"finalizers":null}}'
    wait_for 10 gone configmap fg
    gone configmap fg-child
    gone configmap fg-grandchild
}

@test "orphans stay" {
    family or
    k delete configmap or --cascade=orphan
    wait_for 10 gone configmap or
    [ -z "$(field configmap or-child '{.metadata.ownerReferences}')" ]
    k get configmap or-grandchild
}

@test "a delete of the wrong object is refused" {
    k create configmap pre
    run k delete --raw /api/v1/namespaces/default/configmaps/pre -f - <<<'{"preconditions":{"uid":"other"}}'
    [ "$status" -ne 0 ]
    [[ $output == *"the UID in the precondition (other) does not match the UID in record"* ]]
    k get configmap pre
}

@test "everything of a namespace goes with it" {
    k create namespace full
    k -n full create configmap held
    k -n full patch configmap held --type=merge -p '{"metadata":{"finalizers":["test/hold"]}}'
    k -n full create secret generic s
    k -n full create serviceaccount sa
    k -n full create service clusterip svc --tcp=80
    k -n full create role r --verb=get --resource=pods
    k -n full create quota q
    k -n full create poddisruptionbudget p --selector=app=x --min-available=1
    k -n full create job j --image=registry.example/j:1
    k -n full run pod --image=registry.example/p:1
    k delete namespace full --wait=false
    wait_for 20 only_held
    [ "$(field namespace full '{.status.phase}')" = Terminating ]
    wait_for 10 says_so 'configmaps. has 1 resource instances'
    run k -n full create configmap late
    [ "$status" -ne 0 ]
    [[ $output == *"because it is being terminated"* ]]
    k -n full patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'
    wait_for 20 gone namespace full
    run k -n full create configmap late
    [[ $output == *'namespaces "full" not found'* ]]
}
only_held() {
    [ configmap/held = "$(k -n full get configmaps,secrets,serviceaccounts,services,roles,quota,pdb,jobs,pods -o name)" ]
}
says_so() { field namespace full '{.status.conditions[*].message}' | grep -F "$1"; }

@test "a deleted default comes back" {
    local was
    was=$(uid serviceaccount default)
    k delete serviceaccount default
    wait_for 10 k get serviceaccount default
    [ "$(uid serviceaccount default)" != "$was" ]
    k delete configmap kube-root-ca.crt
    wait_for 10 k get configmap kube-root-ca.crt
    k delete namespace kube-node-lease
    wait_for 10 k get namespace kube-node-lease
}

@test "scale sets the number, if nobody was quicker" {
    deployment web 1
    k scale deployment web --replicas=3
    [ "$(field deployment web '{.spec.replicas}')" = 3 ]
    k scale deployment web --current-replicas=3 --replicas=5
    [ "$(k get --raw /apis/apps/v1/namespaces/default/deployments/web/scale | jq -c '[.kind, .spec, .status]')" = \
        '["Scale",{"replicas":5},{"replicas":0,"selector":"app=web"}]' ]
    run k scale deployment web --current-replicas=3 --replicas=9
    [ "$status" -ne 0 ]
    run k scale deployment web --replicas=-1
    [ "$status" -ne 0 ]
    k patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
    [ "$(k get deployment web --subresource=scale -o 'jsonpath={.spec.replicas}')" = 2 ]
}

@test "drain evicts as far as the budget lets it" {
    k create -f - <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"old"}}'
    k create poddisruptionbudget budget --selector=app=shop --min-available=1
    ready_pod shop-0 shop old
    ready_pod shop-1 shop old
    wait_for 10 allowed 1
    run k drain old --force "--timeout=$((8 * SLOW))s" # an eviction that is refused is tried again every 5 s
    [ "$status" -ne 0 ]
    [[ $output == *"Cannot evict pod as it would violate the pod's disruption budget"* ]]
    [ "$(k get pods -l app=shop -o name | wc -l)" = 1 ]
    [ "$(field node old '{.spec.unschedulable}')" = true ]
    k delete poddisruptionbudget budget
    k drain old --force "--timeout=$(patience 20)s"
    [ -z "$(k get pods -l app=shop -o name)" ]
}
allowed() { [ "$(field poddisruptionbudget budget '{.status.disruptionsAllowed}')" = "$1" ]; }

counted() { field poddisruptionbudget "$1" '{.status.conditions[0].reason}' | grep InsufficientPods; }

@test "a raw eviction says which budget refuses, and when to ask again" {
    k create poddisruptionbudget raw --selector=app=raw --max-unavailable=0
    ready_pod raw-0 raw old
    wait_for 10 counted raw
    run k create --raw /api/v1/namespaces/default/pods/raw-0/eviction -f - \
        <<<'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"raw-0"}}'
    [ "$status" -ne 0 ]
    [[ $output == *"disruption budget"* ]]
    k delete poddisruptionbudget raw
    k create --raw /api/v1/namespaces/default/pods/raw-0/eviction -f - \
        <<<'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"raw-0"}}'
    gone pod raw-0
}
