#!/usr/bin/env bats
# Custom kinds with the real kubectl: a definition is made, its objects live and go with it; what is wrong is refused in
# upstream's words; versions, columns, status, apply; a server that starts knows them.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

raw() { k get --raw "$@"; }

# definition NAME KIND SCHEMA: <NAME>s.example.com with one version; SCHEMA is what "spec" may hold, as YAML
definition() {
    cat <<EOF
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $1s.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: $1s, kind: $2}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: $3}}}
EOF
}

established() { k wait --for=condition=Established "--timeout=$(patience 10)s" "crd/$1" >/dev/null; }

crontab() { # crontab NAME SPEC: a CronTab
    printf 'apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: %s}\nspec: %s\n' "$1" "$2"
}

# refuses FILE SENTENCE: create says so
refuses() {
    refute k create --validate=false -f "$1" 2>"$T/err" >/dev/null
    grep -qF -- "$2" "$T/err" || {
        cat "$T/err"
        return 1
    }
}

@test "a definition brings its kind: discovery, short names, columns, explain" {
    cat <<'EOF' | k apply -f -
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources:
        status: {}
        scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
      selectableFields: [{jsonPath: .spec.image}]
      additionalPrinterColumns:
        - {name: Cron, type: string, jsonPath: .spec.cronSpec}
        - {name: Replicas, type: integer, jsonPath: .spec.replicas}
        - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
        - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
      schema:
        openAPIV3Schema:
          type: object
          description: A job that comes again.
          required: [spec]
          properties:
            spec:
              type: object
              required: [cronSpec]
              properties:
                cronSpec: {type: string, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', description: When it comes.}
                image: {type: string, default: "busybox"}
                replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
                limit: {x-kubernetes-int-or-string: true}
                any: {type: object, x-kubernetes-preserve-unknown-fields: true}
                ports:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items:
                    type: object
                    required: [name]
                    properties: {name: {type: string}, port: {type: integer}}
            status:
              type: object
              properties:
                replicas: {type: integer}
                selector: {type: string}
                conditions:
                  type: array
                  items:
                    type: object
                    properties: {type: {type: string}, status: {type: string}}
EOF
    established crontabs.example.com
    raw /apis/example.com/v1 | jq -e '.resources | map(.name) | index("crontabs") and index("crontabs/status")'
    crontab one '{cronSpec: "* * * * */5"}' | k create -f -
    k get ct one -o json | jq -e '.spec == {"cronSpec": "* * * * */5", "image": "busybox", "replicas": 1} and .metadata.generation == 1'
    k get crontabs | head -1 | grep -qE '^NAME +CRON +REPLICAS +READY +AGE'
    k get ct one -o wide | grep -qE '^one +\* \* \* \* \*/5 +1 +.*busybox'
    k get all | grep -q '^crontab.example.com/one'
    k explain crontab.spec.cronSpec | grep -q 'When it comes.'
    [ "$(k get ct --field-selector spec.image=busybox -o name)" = crontab.example.com/one ]
    [ -z "$(k get ct --field-selector spec.image=other -o name)" ]
}

@test "what the schema does not allow is refused, in upstream's words" {
    bad() {
        crontab bad "$1" >"$T/bad.yaml"
        refuses "$T/bad.yaml" "$2"
    }
    bad '{cronSpec: "* * * * *", replicas: 20}' 'spec.replicas: Invalid value: 20: spec.replicas in body should be less than or equal to 10'
    bad '{cronSpec: "* * * * *", replicas: 0}' 'spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1'
    bad '{cronSpec: "* * * *"}' 'spec.cronSpec: Invalid value: "* * * *": spec.cronSpec in body should match'
    bad '{replicas: 2}' 'spec.cronSpec: Required value'
    bad '{cronSpec: 1}' 'spec.cronSpec: Invalid value: "integer": spec.cronSpec in body must be of type string: "integer"'
    bad '{cronSpec: "* * * * *", ports: [{name: a}, {name: a}]}' 'spec.ports[1]: Duplicate value: {"name":"a"}'
}

@test "fields that the schema does not know are pruned, warned of, or refused" {
    crontab extra '{cronSpec: "* * * * *", extra: 1, any: {deep: {er: 1}}}' >"$T/extra.yaml"
    k create --validate=warn -f "$T/extra.yaml" 2>"$T/err"
    grep -q 'Warning: unknown field "spec.extra"' "$T/err"
    k get ct extra -o json | jq -e '.spec | has("extra") | not'
    k get ct extra -o json | jq -e '.spec.any.deep.er == 1'
    k delete ct extra
    refute k create --validate=strict -f "$T/extra.yaml" 2>"$T/err"
    grep -q 'strict decoding error: unknown field "spec.extra"' "$T/err"
}

@test "the status is written apart, and the generation counts the spec" {
    k patch ct one --subresource=status --type=merge -p '{"spec":{"replicas":3},"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    k get ct one -o json | jq -e '.status.conditions[0].status == "True" and .spec.replicas == 1 and .metadata.generation == 1'
    k get ct one | grep -qE ' True '
    k patch ct one --type=merge -p '{"spec":{"replicas":3},"status":{"replicas":7}}'
    k get ct one -o json | jq -e '.spec.replicas == 3 and (.status.replicas | not) and .metadata.generation == 2'
    refute k patch ct one --type=strategic -p '{"spec":{"replicas":4}}' 2>"$T/err"
    grep -q 'application/merge-patch+json, application/apply-patch+yaml' "$T/err"
}

@test "scale writes the number that the definition names" {
    k scale ct/one --replicas=5
    k get ct one -o json | jq -e '.spec.replicas == 5 and .metadata.generation == 3'
    k get ct one --subresource=scale -o json | jq -e '.kind == "Scale" and .spec.replicas == 5'
    refute k scale ct/one --replicas=11 2>"$T/err"
    grep -q 'spec.replicas in body should be less than or equal to 10' "$T/err"
    k scale ct/one --replicas=3
}

@test "apply merges lists by the definition's keys, and knows the owners" {
    crontab ssa '{cronSpec: "* * * * *", ports: [{name: a, port: 1}]}' | k apply --server-side --field-manager=first -f -
    crontab ssa '{cronSpec: "* * * * *", ports: [{name: b, port: 2}], any: {x: 1}}' | k apply --server-side --field-manager=second -f -
    k get ct ssa -o json | jq -e '[.spec.ports[].name] == ["a","b"] and .spec.any.x == 1'
    crontab ssa '{cronSpec: "1 * * * *"}' >"$T/ssa.yaml"
    refute k apply --server-side --field-manager=third -f "$T/ssa.yaml" 2>"$T/err"
    grep -q 'conflicts' "$T/err"
    grep -q '\.spec\.cronSpec' "$T/err"
    crontab ssa '{cronSpec: "* * * * *"}' | k apply --server-side --field-manager=second -f -
    k get ct ssa -o json | jq -e '[.spec.ports[].name] == ["a"] and (.spec | has("any") | not)'
    crontab client '{cronSpec: "* * * * *"}' | k apply -f -
    crontab client '{cronSpec: "2 * * * *"}' | k apply -f - | grep -q configured
}

@test "a definition that cannot be served is refused" {
    bad() {
        definition broken Broken "$1" >"$T/bad.yaml"
        refuses "$T/bad.yaml" "$2"
    }
    local at='spec.versions[0].schema.openAPIV3Schema.properties[spec]'
    bad '{properties: {a: {type: string}}}' "$at.type: Required value: must not be empty for specified object fields"
    bad '{type: object, properties: {a: {type: string, pattern: "("}}}' "$at.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression"
    bad '{type: object, properties: {a: {type: integer, default: x}}}' "$at.properties[a].default: Invalid value: \"string\""
    bad '{type: array}' "$at.items: Required value: must be specified"
    definition broken Broken '{type: object}' | sed 's/name: brokens.example.com/name: other.example.com/' >"$T/bad.yaml"
    refuses "$T/bad.yaml" 'metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group'
    definition broken Broken '{type: object}' | sed 's/  scope:/  conversion: {strategy: Webhook}\n  scope:/' >"$T/bad.yaml"
    refuses "$T/bad.yaml" 'calls no conversion webhooks yet'
}

@test "names that are taken are not accepted until they are free" {
    definition widget Widget '{type: object}' | k create -f -
    established widgets.example.com
    definition gadget Widget '{type: object}' | k create -f -
    k wait --for=condition=NamesAccepted=False "--timeout=$(patience 10)s" crd/gadgets.example.com
    k get crd gadgets.example.com -o json | jq -e '.status.conditions[] | select(.type == "NamesAccepted") | .reason | endswith("KindConflict")'
    refute raw /apis/example.com/v1/gadgets
    k delete crd widgets.example.com
    established gadgets.example.com
    k delete crd gadgets.example.com
}

@test "two versions show one object, each with what it knows" {
    definition thing Thing '{type: object, properties: {a: {type: string}, old: {type: string}}}' | k create -f -
    established things.example.com
    printf 'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec: {a: "1", old: "o"}\n' | k create -f -
    k get crd things.example.com -o json | jq '.spec.versions |= [(.[0] | .storage = false),
        {name: "v2", served: true, storage: true, schema: {openAPIV3Schema: {type: "object", properties: {spec: {type: "object",
            properties: {a: {type: "string"}, "new": {type: "string", default: "n"}}}}}}}]' | k replace -f -
    wait_for 10 raw /apis/example.com/v2/namespaces/default/things/x
    raw /apis/example.com/v2/namespaces/default/things/x | jq -e '.apiVersion == "example.com/v2" and .spec == {"a":"1","new":"n"}'
    raw /apis/example.com/v1/namespaces/default/things/x | jq -e '.apiVersion == "example.com/v1" and .spec == {"a":"1","old":"o"}'
    k get crd things.example.com -o json | jq -e '.status.storedVersions == ["v1","v2"]'
    [ "$(raw /apis/example.com | jq -r .preferredVersion.version)" = v2 ]
    k patch things.v2.example.com x --type=merge -p '{"spec":{"a":"2"}}' # stored as v2 now: what that does not know is gone
    raw /apis/example.com/v1/namespaces/default/things/x | jq -e '.spec == {"a":"2"}'
}

@test "a server that starts serves them before it says that it is ready" {
    stop_pid "$(restart_pid srv)"
    start_server srv --disable-agent
    k get ct one -o json | jq -e '.spec.replicas == 3'
    k get things x
}

@test "a namespace that goes takes its custom objects along" {
    k create namespace going
    crontab inside '{cronSpec: "* * * * *"}' | k -n going create -f -
    k delete namespace going "--timeout=$(patience 30)s"
    [ -z "$(k get ct -A -o json | jq -r '.items[] | select(.metadata.namespace == "going") | .metadata.name')" ]
}

@test "a definition that goes takes its objects along, and their watches end" {
    spawn watch kubectl_on srv get --raw "/apis/example.com/v1/crontabs?watch=1&resourceVersion=0"
    local watcher=$SPAWNED
    wait_for 10 grep -q '"name":"one"' "$T/log/watch"
    k delete crd crontabs.example.com "--timeout=$(patience 30)s"
    refute raw /apis/example.com/v1/crontabs
    refute k get ct
    gone() { refute kill -0 "$watcher" 2>/dev/null; }
    wait_for 10 gone
    k delete crd things.example.com
    # the same names again find nothing of the old objects
    definition crontab CronTab '{type: object, properties: {cronSpec: {type: string}}}' | k create -f -
    established crontabs.example.com
    [ -z "$(k get crontabs -A -o name)" ]
    k delete crd crontabs.example.com
}

@test "an object that others hold back holds back its definition" {
    definition held Held '{type: object}' | k create -f -
    established helds.example.com
    printf 'apiVersion: example.com/v1\nkind: Held\nmetadata: {name: h, finalizers: [example.com/mine]}\n' | k create -f -
    k delete crd helds.example.com --wait=false
    k wait --for=condition=Terminating "--timeout=$(patience 10)s" crd/helds.example.com
    printf 'apiVersion: example.com/v1\nkind: Held\nmetadata: {name: late}\n' >"$T/late.yaml"
    wait_for 10 refuses "$T/late.yaml" 'create not allowed while custom resource definition is terminating'
    k patch held h --type=merge -p '{"metadata":{"finalizers":null}}'
    k wait --for=delete "--timeout=$(patience 20)s" crd/helds.example.com
}
