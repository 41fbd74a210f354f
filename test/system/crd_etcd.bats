#!/usr/bin/env bats
# Custom kinds on two servers of one etcd: what one is told of, the other serves.
#
#   srv1 10.77.0.11, etcd beside it ------ srv2 10.77.0.12

load lib

TOKEN=0123456789abcdef-of-the-cluster

setup_file() {
    lib_need ip jq kubectl etcd
    lib_init
    two_servers
}
teardown_file() { lib_cleanup; }

two() { kubectl_on srv2 "$@"; }

define() { # define SERVER NAME KIND: <NAME>s.example.com
    kubectl_on "$1" create -f - <<EOF
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $2s.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: $2s, kind: $3}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {num: {type: integer, maximum: 3}}}}}}
EOF
}
object() { printf 'apiVersion: example.com/v1\nkind: %s\nmetadata: {name: %s}\nspec: {num: %s}\n' "$@"; }

@test "a definition that is established is served by both, at once" {
    local i
    for i in 1 2 3; do
        define srv1 "a$i" "A$i"
        one wait --for=condition=Established "--timeout=$(patience 20)s" "crd/a${i}s.example.com"
        two get --raw "/apis/example.com/v1/a${i}s" # the first try
        object "A$i" x 1 | two create --validate=false -f -
        one get --raw "/apis/example.com/v1/a${i}s/x" | jq -e '.spec.num == 1'
    done
}

@test "the other server checks by the definition too, also when it has changed" {
    object A1 bad 5 >"$T/bad.yaml"
    refute two create --validate=false -f "$T/bad.yaml" 2>"$T/err"
    grep -q 'spec.num in body should be less than or equal to 3' "$T/err"
    one patch crd a1s.example.com --type=json \
        -p '[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/num/maximum","value":9}]'
    wait_for 10 two create --validate=false -f "$T/bad.yaml"
}

@test "a definition that goes is gone at both, with its objects" {
    spawn watch two get --raw "/apis/example.com/v1/a2s?watch=1&resourceVersion=0"
    local watcher=$SPAWNED
    wait_for 10 grep -q '"name":"x"' "$T/log/watch"
    one delete crd a2s.example.com "--timeout=$(patience 30)s"
    not_served() { refute two get --raw /apis/example.com/v1/a2s; }
    wait_for 10 not_served
    gone() { refute kill -0 "$watcher" 2>/dev/null; }
    wait_for 10 gone
    define srv2 a2 A2
    two wait --for=condition=Established "--timeout=$(patience 20)s" crd/a2s.example.com
    one get --raw /apis/example.com/v1/a2s | jq -e '.items == []'
}

@test "definitions are kept when the server that ran the controllers dies" {
    local holder other
    holder=$(one get lease -n kube-system coracle-controllers -o jsonpath='{.spec.holderIdentity}' | cut -d_ -f1)
    other=srv1
    [ "$holder" = srv1 ] && other=srv2
    stop_pid "$(restart_pid "$holder")" KILL
    kubectl_on "$other" get --raw /apis/example.com/v1/a1s/x | jq -e '.spec.num == 1'
    define "$other" late Late
    kubectl_on "$other" wait --for=condition=Established "--timeout=$(patience 60)s" crd/lates.example.com
}
