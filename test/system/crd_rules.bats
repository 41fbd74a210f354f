#!/usr/bin/env bats
# Rules of custom kinds (x-kubernetes-validations) with the real kubectl: a definition whose rules cannot be compiled or afforded is
# refused, objects that break them are told in upstream's words, on create, update, patch, apply and status; a server that starts
# still enforces them.

load lib

setup_file() {
    lib_need ip kubectl jq
    lib_init
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    start_server srv --disable-agent
    wait_for 10 k get namespace default
    cat <<'YAML' | k apply -f -
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ruleds.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: ruleds, kind: Ruled}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          x-kubernetes-validations:
            - {rule: "self.metadata.name.startsWith('r-')", message: names begin with r-}
            - {rule: "!has(self.status) || self.status.used <= self.spec.max", fieldPath: .status.used}
          properties:
            spec:
              type: object
              x-kubernetes-validations:
                - {rule: self.min <= self.max, messageExpression: "'min %d is above max %d'.format([self.min, self.max])"}
              properties:
                min: {type: integer, default: 0}
                max: {type: integer, default: 10}
                fixed: {type: string, x-kubernetes-validations: [{rule: self == oldSelf, message: fixed, reason: FieldValueForbidden}]}
                until: {type: string, format: date-time, x-kubernetes-validations: [{rule: "self > timestamp('2020-01-01T00:00:00Z')"}]}
                size: {x-kubernetes-int-or-string: true, x-kubernetes-validations: [{rule: "type(self) == int ? self < 5 : self.endsWith('%')"}]}
                ports:
                  type: array
                  maxItems: 10
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items:
                    type: object
                    required: [name]
                    x-kubernetes-validations: [{rule: "!has(oldSelf.port) || self.port >= oldSelf.port"}]
                    properties: {name: {type: string}, port: {type: integer}}
                tags:
                  type: object
                  maxProperties: 5
                  additionalProperties: {type: string, maxLength: 20, x-kubernetes-validations: [{rule: "self.matches('^[a-z]+$')"}]}
            status: {type: object, properties: {used: {type: integer}}}
YAML
    k wait --for=condition=Established "--timeout=$((10 * SLOW))s" crd/ruleds.example.com >/dev/null
}
teardown_file() { lib_cleanup; }

k() { kubectl_on srv "$@"; }

ruled() { # ruled NAME SPEC: a Ruled
    printf 'apiVersion: example.com/v1\nkind: Ruled\nmetadata: {name: %s}\nspec: %s\n' "$1" "$2"
}

# says SENTENCE: the error of the kubectl before had it
says() {
    grep -qF -- "$1" "$T/err" || {
        cat "$T/err"
        return 1
    }
}

# refused SPEC SENTENCE: no such object is made
refused() {
    ruled r-bad "$1" >"$T/bad.yaml"
    refute k create -f "$T/bad.yaml" 2>"$T/err" >/dev/null
    says "$2"
}

@test "an object that breaks a rule is not made" {
    refused '{min: 11}' 'spec: Invalid value: "object": min 11 is above max 10'
    refused '{until: "2019-01-01T00:00:00Z"}' "spec.until: Invalid value: \"string\": failed rule: self > timestamp('2020-01-01T00:00:00Z')"
    refused '{size: 7}' "spec.size: Invalid value: \"\": failed rule: type(self) == int ? self < 5 : self.endsWith('%')"
    refused '{tags: {a: x, b: "7"}}' "spec.tags[b]: Invalid value: \"string\": failed rule: self.matches('^[a-z]+\$')"
    ruled wrong '{}' >"$T/bad.yaml"
    refute k create -f "$T/bad.yaml" 2>"$T/err"
    says '<nil>: Invalid value: "object": names begin with r-'
    # what is not even of its type is told first
    refused '{min: x}' 'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation'
    ruled r-one '{min: 1, fixed: a, size: 50%, until: "2030-01-01T00:00:00Z", tags: {a: x}, ports: [{name: a, port: 1}, {name: b, port: 2}]}' | k create -f -
}

@test "an update that breaks a rule is refused, however it comes" {
    refute k patch ruled r-one --type=merge -p '{"spec":{"min":20}}' 2>"$T/err"
    says 'min 20 is above max 10'
    refute k patch ruled r-one --type=json -p '[{"op":"replace","path":"/spec/max","value":0}]' 2>"$T/err"
    says 'min 1 is above max 0'
    k get ruled r-one -o json | jq '.spec.fixed = "b"' >"$T/b.json"
    refute k replace -f "$T/b.json" 2>"$T/err"
    says 'spec.fixed: Forbidden: fixed'
    # items are the same ones by their key, wherever they stand
    k get ruled r-one -o json | jq '.spec.ports = [{name: "b", port: 1}, {name: "c", port: 0}, {name: "a", port: 5}]' >"$T/b.json"
    refute k replace -f "$T/b.json" 2>"$T/err"
    says 'spec.ports[0]: Invalid value: "object": failed rule: !has(oldSelf.port) || self.port >= oldSelf.port'
    refute grep -q 'ports\[1\]\|ports\[2\]' "$T/err"
    ruled r-one '{min: 30}' >"$T/ssa.yaml"
    refute k apply --server-side --force-conflicts -f "$T/ssa.yaml" 2>"$T/err"
    says 'min 30 is above max 10'
    k patch ruled r-one --type=merge -p '{"spec":{"min":2}}'
    refute k patch ruled r-one --subresource=status --type=merge -p '{"status":{"used":11}}' 2>"$T/err"
    says 'status.used: Invalid value: "object": failed rule: !has(self.status) || self.status.used <= self.spec.max'
    k patch ruled r-one --subresource=status --type=merge -p '{"status":{"used":10}}'
    k get ruled r-one -o json | jq -e '.spec.min == 2 and .spec.fixed == "a" and .status.used == 10'
}

@test "what was stored before a rule came may stay until it is touched" {
    k patch crd ruleds.example.com --type=json -p '[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tags/x-kubernetes-validations","value":[{"rule":"!(\"a\" in self)","message":"no a"}]}]'
    refuses_tag() {
        ruled r-tag '{tags: {a: x}}' >"$T/tag.yaml"
        refute k create --dry-run=server -f "$T/tag.yaml" 2>"$T/err" && says 'spec.tags: Invalid value: "object": no a'
    }
    wait_for 10 refuses_tag
    k patch ruled r-one --type=merge -p '{"spec":{"min":3}}' 2>"$T/err"
    says 'Warning: spec.tags: Invalid value: "object": no a'
    refute k patch ruled r-one --type=merge -p '{"spec":{"tags":{"b":"y"}}}' 2>"$T/err"
    says 'spec.tags: Invalid value: "object": no a'
    k patch ruled r-one --type=merge -p '{"spec":{"tags":{"a":null,"b":"y"}}}'
}

@test "a definition with a rule that is wrong is refused" {
    # definition SPEC: one more kind; SPEC is what "spec" may hold
    definition() {
        printf 'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: others.example.com}\nspec: {group: example.com, scope: Namespaced, names: {plural: others, kind: Other}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: %s}}}}]}\n' "$1" >"$T/other.yaml"
    }
    bad() {
        definition "$1"
        refute k create --validate=false -f "$T/other.yaml" 2>"$T/err"
        says "$2"
    }
    local at='spec.versions[0].schema.openAPIV3Schema.properties[spec]' rule='x-kubernetes-validations: [{rule'
    bad "{type: integer, $rule: self = 42}]}" 'Syntax error: token recognition error'
    bad "{type: integer, $rule: self = 42}]}" "$at.x-kubernetes-validations[0].rule: Invalid value: apiextensions.ValidationRule{Rule:\"self = 42\""
    bad "{type: object, properties: {a: {type: integer}}, $rule: self.b > 1}]}" "compilation failed: ERROR: <input>:1:5: undefined field 'b'"
    bad "{type: integer, $rule: self + 1}]}" 'cel expression must evaluate to a bool'
    bad "{type: integer, $rule: '', message: m}]}" "$at.x-kubernetes-validations[0].rule: Required value: rule is not specified"
    bad "{type: integer, $rule: 'true', fieldPath: .x}]}" 'fieldPath must be a valid path: does not refer to a valid field'
    bad "{type: integer, $rule: 'true', reason: Whatever}]}" 'Unsupported value: "Whatever"'
    bad "{type: array, items: {type: integer, $rule: self == oldSelf}]}}" "oldSelf cannot be used on the uncorrelatable portion of the schema within $at"
    bad "{type: integer, default: 1, $rule: self > 1}]}" "$at.default: Invalid value: \"integer\": failed rule: self > 1"
    bad "{type: array, items: {type: array, items: {type: string}}, $rule: 'self.all(x, x.all(y, y == y))'}]}" \
        'estimated rule cost exceeds budget by factor of more than 100x'
    definition "{type: integer, $rule: 'self > 1'}]}"
    k create -f "$T/other.yaml" 2>"$T/err"
    refute grep -q Warning "$T/err"
    k delete -f "$T/other.yaml"
}

@test "fields that nobody knows go from items of lists and entries of maps too" {
    ruled r-pruned '{ports: [{name: a, port: 1, x: 1}], other: 2, tags: {a1: x}}' | sed 's/a1/b/' >"$T/pruned.yaml"
    k create --validate=ignore -f "$T/pruned.yaml"
    k get ruled r-pruned -o json | jq -e '.spec.ports == [{"name":"a","port":1}] and (.spec | has("other") | not)'
    sed 's/r-pruned/r-strict/' "$T/pruned.yaml" >"$T/strict.yaml"
    refute k create --validate=strict -f "$T/strict.yaml" 2>"$T/err"
    says 'unknown field "spec.ports[0].x"'
}

@test "a server that starts still enforces them" {
    stop_pid "$(restart_pid srv)"
    start_server srv --disable-agent
    refused '{min: 11}' 'spec: Invalid value: "object": min 11 is above max 10'
    k patch ruled r-one --type=merge -p '{"spec":{"min":4}}'
}
