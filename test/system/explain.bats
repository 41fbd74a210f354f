#!/usr/bin/env bats
# What `kubectl explain` says, from OpenAPI v3 (the installed kubectl) and v2 (the installed one when told so, and Debian's
# 1.20, which test/old_kubectl.sh puts beside it): head, descriptions, fields, what is required, enums.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    OLD="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build/kubectl-1.20/kubectl"
    export OLD
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    start_server srv --disable-agent
    wait_for 10 k get namespace default
}
teardown_file() { lib_cleanup; }

export KUBECTL=kubectl
k() { kubectl_on srv "$@"; }
# explained WORD...: what kubectl explain prints, blanks at the ends of lines left out, without empty lines
explained() { k explain "$@" 2>&1 | sed 's/[ \t]*$//; /^$/d' >"$T/explained"; }
shows() { # shows LINE...: each of them, in this order, with any others between
    local line from=1 at
    for line in "$@"; do
        at=$(tail -n +"$from" "$T/explained" | grep -nxF -m 1 -- "$line" | cut -d: -f1)
        [ -n "$at" ] || { echo "no line \"$line\" from line $from on:"; cat "$T/explained"; return 1; }
        from=$((from + at))
    done
}
old_or_skip() { [ -x "$OLD" ] || skip "no kubectl 1.20 here"; }

@test "head, description and fields, with what is required and what is allowed" {
    explained pod.spec.containers.livenessProbe
    shows 'KIND:       Pod' 'VERSION:    v1' 'FIELD: livenessProbe <Probe>' 'DESCRIPTION:' \
        '    A check that restarts the container when it fails too often. Absent: it' \
        '    A check that is repeated while a container runs.' 'FIELDS:' \
        $'  periodSeconds\t<integer>' '    Seconds from one check to the next; default 10.'
    explained deployment.spec.strategy
    shows 'GROUP:      apps' 'KIND:       Deployment' 'VERSION:    v1' $'  type\t<string>' \
        '  enum: Recreate, RollingUpdate' '    RollingUpdate (the default): little by little; Recreate: all old ones end'
    explained pod.spec.containers
    shows $'  image\t<string>' $'  imagePullPolicy\t<string>' '  enum: Always, IfNotPresent, Never' \
        $'  name\t<string> -required-'
    explained pod.spec.containers.imagePullPolicy
    shows 'FIELD: imagePullPolicy <string>' 'ENUM:' '    Always' '    IfNotPresent' '    Never' 'DESCRIPTION:'
    explained pod.spec.containers.resources.limits
    shows 'FIELD: limits <map[string]Quantity>' 'DESCRIPTION:'
    explained events --api-version events.k8s.io/v1
    shows 'GROUP:      events.k8s.io' 'FIELDS:' $'  regarding\t<ObjectReference>' '    What it happened to.'
}

@test "--recursive shows the fields of fields, and no descriptions" {
    explained pod.spec.containers.livenessProbe --recursive
    shows 'FIELDS:' $'  exec\t<ExecAction>' $'    command\t<[]string>' $'  httpGet\t<HTTPGetAction>' \
        $'    port\t<IntOrString> -required-'
    refute grep -q 'Ask for a page' "$T/explained"
}

@test "no kind, and no field at its top, is without a description" {
    local r
    for r in $(k api-resources --verbs=list -o name); do
        if [ "$r" = events.events.k8s.io ]; then r='events --api-version=events.k8s.io/v1'; fi
        # shellcheck disable=SC2086
        explained $r
        shows 'DESCRIPTION:' 'FIELDS:' $'  apiVersion\t<string>' $'  kind\t<string>' \
            '    Kind of the object in CamelCase, such as Pod; together with apiVersion it'
        refute grep -qE 'no description|<empty>' "$T/explained"
    done
    for r in spec status; do
        explained "pod.$r"
        shows 'DESCRIPTION:' 'FIELDS:'
        refute grep -qE 'no description|<empty>' "$T/explained"
    done
}

@test "kubectl that reads OpenAPI v2 sees the same" {
    explained pod.spec.containers.livenessProbe --output plaintext-openapiv2
    shows 'KIND:     Pod' 'VERSION:  v1' 'RESOURCE: livenessProbe <Object>' 'DESCRIPTION:' \
        '     A check that is repeated while a container runs.' 'FIELDS:' $'   periodSeconds\t<integer>' \
        '     Seconds from one check to the next; default 10.'
    explained pod.spec --output plaintext-openapiv2
    shows $'   containers\t<[]Object> -required-' '     The containers of the pod, at least one, all started together.'
    explained pod.spec --output plaintext-openapiv2 --recursive
    shows $'   containers\t<[]Object>' $'      livenessProbe\t<Object>' $'         exec\t<Object>'
}

@test "so does kubectl 1.20, which reads v2 as protobuf" {
    old_or_skip
    KUBECTL=$OLD
    explained pod.spec.containers.livenessProbe
    shows 'KIND:     Pod' 'VERSION:  v1' 'RESOURCE: livenessProbe <Object>' 'DESCRIPTION:' \
        '     A check that is repeated while a container runs.' 'FIELDS:' $'   periodSeconds\t<integer>' \
        '     Seconds from one check to the next; default 10.'
    explained deployments --recursive
    shows 'KIND:     Deployment' 'VERSION:  apps/v1' $'   spec\t<Object>' $'      selector\t<Object>'
    explained deployments.spec
    shows $'   selector\t<Object> -required-' $'   template\t<Object> -required-'
}

@test "a custom kind keeps its own descriptions, beside those that every object has" {
    k create -f - <<END
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: toys, kind: Toy}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          description: Something to play with.
          type: object
          properties:
            spec:
              type: object
              properties:
                color: {type: string, description: How it looks., enum: [red, blue]}
                size: {type: integer}
END
    k wait --for=condition=Established crd/toys.example.com --timeout=10s
    explained toy
    shows 'GROUP:      example.com' 'KIND:       Toy' '    Something to play with.' $'  apiVersion\t<string>' $'  kind\t<string>' \
        '    Kind of the object in CamelCase, such as Pod; together with apiVersion it' $'  metadata\t<ObjectMeta>' \
        "    Standard object's metadata: name, namespace, labels, annotations, owners,"
    explained toy.spec
    shows $'  color\t<string>' '  enum: red, blue' '    How it looks.' $'  size\t<integer>' '    <no description>'
    [ -x "$OLD" ] || return 0
    KUBECTL=$OLD
    explained toy.spec
    shows $'   color\t<string>' '     How it looks.'
}
