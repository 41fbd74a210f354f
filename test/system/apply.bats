#!/usr/bin/env bats
# Apply with the real kubectl: client-side, server-side, from the one to the other; who owns what, conflicts, force,
# prune, dry runs; with the kinds that are served.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

ssa() { k apply --server-side "$@" -f -; } # ssa FLAG...: the manifest on stdin
# kubectl 1.20 shows managedFields always, later ones when asked: so they are read raw.
raw() { k get --raw "/api/v1/namespaces/${2:-default}/$1"; } # raw configmaps/x [NAMESPACE]
owners() { raw "$1" | jq -r '.metadata.managedFields[] | .manager + "/" + .operation' | sort | xargs; }
owned() { raw "$1" | jq -c --arg m "$2" '.metadata.managedFields[] | select(.manager == $m) | .fieldsV1'; } # owned PATH MANAGER
version() { field "$1" "$2" '{.metadata.resourceVersion}'; }

cm() { # cm NAME KEY=VALUE...
    local name=$1 kv
    shift
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  labels: {app: t}\ndata:\n' "$name"
    for kv; do printf '  %s: "%s"\n' "${kv%%=*}" "${kv#*=}"; done
}

everything() { # one of each kind that a manifest usually has
    cat <<EOF
apiVersion: v1
kind: Namespace
metadata: {name: $1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: $1}
data: {a: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: $1}
stringData: {password: "$2"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sa, namespace: $1}
imagePullSecrets: [{name: s}]
---
apiVersion: v1
kind: Service
metadata: {name: svc, namespace: $1}
spec:
  selector: {app: web}
  ports:
    - {name: http, port: 80}
    - {name: dns, port: 53, protocol: UDP}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: $1, labels: {app: web}}
spec:
  containers:
    - name: web
      image: registry.example/web:1
      ports: [{containerPort: 80}]
      env: [{name: A, value: "1"}]
      resources: {requests: {cpu: 100m}}
---
apiVersion: v1
kind: Node
metadata: {name: node-$1, labels: {rack: r1}}
spec: {unschedulable: true}
EOF
}

@test "client-side apply makes every kind, and changes nothing the second time" {
    everything one x | k apply -f - >"$T/out"
    [ "$(grep -c created "$T/out")" = 7 ]
    everything one x | k apply -f - >"$T/out"
    cat "$T/out"
    [ "$(grep -c unchanged "$T/out")" -ge 6 ] # stringData is patched each time
    [ "$(raw configmaps/c one | jq -r '.metadata.managedFields[0] | .manager + " " + .operation + " " + .apiVersion')" = "kubectl-client-side-apply Update v1" ]
    everything one x | sed 's/app: web/app: www/' | k apply -f - | grep -q 'service/svc configured'
    [ "$(k -n one get svc svc -o 'jsonpath={.spec.selector.app}')" = www ]
}

@test "server-side apply makes every kind, and the second time changes nothing" {
    everything two x | ssa >"$T/out"
    [ "$(grep -c serverside-applied "$T/out")" = 7 ]
    local before
    wait_for 10 k -n two get sa/default cm/kube-root-ca.crt # made by controllers
    before=$(k -n two get cm,sa,svc -o 'jsonpath={.items[*].metadata.resourceVersion}')
    sleep 1.1 # times have whole seconds
    everything two x | ssa
    [ "$(k -n two get cm,sa,svc -o 'jsonpath={.items[*].metadata.resourceVersion}')" = "$before" ]
    # defaults and what the server chose belong to nobody
    raw services/svc two | jq -e '.metadata.managedFields[0].fieldsV1 == {"f:spec":{
        "f:ports":{"k:{\"port\":53,\"protocol\":\"UDP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{}},
                   "k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}},"f:selector":{}}}'
    k -n two get svc svc -o 'jsonpath={.spec.clusterIP}' | grep -q '^10\.43\.'
}

@test "another manager's field is a conflict, in kubectl's words, until it is forced" {
    cm conflict a=1 b=1 | ssa --field-manager=first
    run bash -c "$(declare -f cm); cm conflict a=2 | KUBECONFIG=$T/srv/kubeconfig HOME=$T nsenter --net=/run/netns/$P-srv kubectl apply --server-side --field-manager=second -f -"
    [ "$status" != 0 ]
    [[ $output == *'Apply failed with 1 conflict: conflict with "first": .data.a'* ]]
    [[ $output == *'--force-conflicts'* ]]
    [ "$(field cm conflict '{.data.a}')" = 1 ]
    cm conflict a=2 | ssa --field-manager=second --force-conflicts
    [ "$(field cm conflict '{.data.a}')" = 2 ]
    owned configmaps/conflict first | jq -e '.["f:data"] == {"f:b":{}}'
    # the value that is there is shared
    cm conflict a=2 b=1 | ssa --field-manager=first
    cm conflict | ssa --field-manager=second # says nothing of a any more, but the first one does
    [ "$(field cm conflict '{.data.a}')" = 2 ]
}

@test "what a manager no longer applies goes, what others wrote stays" {
    cm removes a=1 b=1 | ssa
    k patch cm removes --type=merge -p '{"data":{"c":"1"}}' --field-manager=editor
    [ "$(owners configmaps/removes)" = "editor/Update kubectl/Apply" ]
    cm removes a=1 | ssa
    k get cm removes -o json | jq -e '.data == {"a":"1","c":"1"}'
    k delete cm removes
}

@test "lists merge by their keys" {
    svc() { printf 'apiVersion: v1\nkind: Service\nmetadata: {name: keys}\nspec:\n  ports:\n'; printf '    - %s\n' "$@"; }
    svc '{port: 80, name: a}' '{port: 81, name: b}' | ssa --field-manager=first
    svc '{port: 82, name: c}' | ssa --field-manager=second
    svc '{port: 80, name: z}' | ssa --field-manager=first
    k get svc keys -o json | jq -e '[.spec.ports[] | [.port, .name]] == [[80,"z"],[82,"c"]]'
}

@test "kubectl goes from client-side to server-side apply and back" {
    cm moves a=1 b=1 | k apply -f -
    [ "$(owners configmaps/moves)" = "kubectl-client-side-apply/Update" ]
    cm moves a=2 | ssa
    k get cm moves -o json | jq -e '.data.a == "2"'
    [[ $(owners configmaps/moves) == *kubectl/Apply* ]]
    # the annotation of client-side apply keeps up
    [ "$(k get cm moves -o json | jq -r '.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]' | jq -c .data)" = '{"a":"2"}' ]
    cm moves a=3 | k apply -f -
    [ "$(field cm moves '{.data.a}')" = 3 ]
}

@test "dry runs and diffs store nothing" {
    cm dry a=1 | ssa --dry-run=server | grep -q 'server dry run'
    refute k get cm dry
    cm dry a=1 | ssa
    local v
    v=$(version cm dry)
    run bash -c "$(declare -f cm); cm dry a=2 | KUBECONFIG=$T/srv/kubeconfig HOME=$T nsenter --net=/run/netns/$P-srv kubectl diff --server-side -f -"
    [ "$status" = 1 ]
    [[ $output == *'+  a: "2"'* ]]
    [ "$(version cm dry)" = "$v" ]
}

@test "prune deletes what is applied no longer" {
    local list=--prune-allowlist
    k apply --help | grep -q -- "$list" || list=--prune-whitelist # kubectl before 1.26
    { cm p1 a=1; echo ---; cm p2 a=1; } | k apply --prune -l app=t "$list=core/v1/ConfigMap" -f - >/dev/null
    cm p1 a=1 | k apply --prune -l app=t "$list=core/v1/ConfigMap" -f - | grep -q 'configmap/p2 pruned'
    k get cm p1
    refute k get cm p2
}

@test "a field that is not in the schema, and one of the wrong type, say so" {
    run bash -c "printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndota: {a: b}\n' | KUBECONFIG=$T/srv/kubeconfig HOME=$T nsenter --net=/run/netns/$P-srv kubectl apply --server-side --validate=false -f -"
    [ "$status" != 0 ]
    [[ $output == *'failed to create typed patch object (default/bad; /v1, Kind=ConfigMap): .dota: field not declared in schema'* ]]
}

@test "an empty list of managers ends the tracking" {
    cm reset a=1 | ssa
    k patch cm reset --type=json -p '[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]'
    raw configmaps/reset | jq -e '.metadata | has("managedFields") | not'
    cm reset b=1 | ssa --field-manager=late
    [ "$(owners configmaps/reset)" = "before-first-apply/Update late/Apply" ]
}
