#!/usr/bin/env bats
# The API as the real kubectl sees it: every kind listed and explained, manifests validated, applied and diffed, two
# versions of one object, and what a server makes itself.

load lib

setup_file() {
    lib_need ip kubectl jq openssl
    lib_init
    api_server
    manifest >"$T/all.yaml"
}
teardown_file() { lib_cleanup; }

quiet() { "$@" 2>/dev/null; } # without the warnings of kinds that nothing acts on yet

manifest() { # what a chart has: no field more than it needs
    cat <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: c
          image: i
          resources: {limits: {cpu: 1, memory: 1Gi}}
          livenessProbe: {httpGet: {path: /, port: 80}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: empty}
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 3
  targetCPUUtilizationPercentage: 50
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "@daily"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
    - host: a.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
EOF
}

@test "every kind is explained with all its fields, and those that can be are listed" {
    local name rest kind
    k api-resources --no-headers >"$T/resources"
    [ "$(wc -l <"$T/resources")" -ge 57 ]
    while read -r name rest; do
        kind=${rest##* }
        k explain "$name" --recursive >"$T/explained" </dev/null || { echo "explain $name"; false; }
        grep -Eq "^KIND: +$kind\$" "$T/explained"
        grep -Eq '^ +metadata	<' "$T/explained"
    done < <(awk '$1 != "events"' "$T/resources") # two groups have one: the first is explained below
    k explain events --recursive | grep -q 'involvedObject	<'
    for name in $(k api-resources --verbs=list -o name); do
        quiet k get "$name" -A -o wide >/dev/null || { echo "get $name"; false; }
    done
    k explain pod.spec.containers.livenessProbe.httpGet | grep -q 'port	<'
}

@test "a field that is not known is refused, and named" {
    sed 's/replicas: 2/replicaz: 2/' "$T/all.yaml" >"$T/bad.yaml"
    run k apply -f "$T/bad.yaml"
    [ "$status" -ne 0 ]
    [[ "$output" == *'unknown field'*replicaz* ]]
    quiet k delete -f "$T/bad.yaml" --ignore-not-found
}

counted() { [ "$(field pdb web '{.status.observedGeneration}')" = 1 ]; } # its status is a controller's
versions() { k get -f "$T/all.yaml" -o jsonpath='{.items[*].metadata.resourceVersion}'; }

# kubectl sends patches for some of it though nothing is different (a number for a quantity, a selector that is replaced
# as a whole); they change nothing.
@test "a manifest is applied once, is then unchanged, without a difference, and goes again" {
    quiet k apply -f "$T/all.yaml"
    wait_for 10 counted
    versions >"$T/versions"
    [ "$(wc -w <"$T/versions")" -eq 8 ]
    quiet k apply -f "$T/all.yaml"
    [ "$(versions)" = "$(cat "$T/versions")" ]
    quiet k diff -f "$T/all.yaml"
    quiet k apply -f "$T/all.yaml" --dry-run=server
    k get deploy,hpa,cj,ing,netpol,pdb,pvc -o wide
    quiet k apply --server-side --force-conflicts -f "$T/all.yaml"
    quiet k delete -f "$T/all.yaml"
    [ -z "$(quiet k get deploy,role,hpa,cj,ing,netpol,pdb,pvc -o name)" ]
}

@test "a kustomization is built, applied and deleted" {
    mkdir -p "$T/kz"
    cp "$T/all.yaml" "$T/kz/"
    printf 'resources: [all.yaml]\nnamePrefix: x-\npatchesStrategicMerge: [patch.yaml]\n' >"$T/kz/kustomization.yaml"
    printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5}\n' >"$T/kz/patch.yaml"
    quiet k apply -k "$T/kz"
    [ "$(field deployment x-web '{.spec.replicas}')" = 5 ]
    [ "$(field ingress x-web '{.spec.rules[0].http.paths[0].backend.service.name}')" = web ]
    quiet k delete -k "$T/kz"
}

@test "an autoscaler is one object in both versions" {
    local v1=horizontalpodautoscalers.v1.autoscaling v2=horizontalpodautoscalers.v2.autoscaling
    quiet k create -f - <<EOF
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: both}
spec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 3, targetCPUUtilizationPercentage: 50}
EOF
    [ "$(field $v2 both '{.spec.metrics[0].resource.target.averageUtilization}')" = 50 ]
    quiet k patch $v2 both --type=json -p '[{"op":"add","path":"/spec/metrics/0","value":{"type":"Resource","resource":{
        "name":"memory","target":{"type":"AverageValue","averageValue":"1Gi"}}}}]'
    [ "$(field $v1 both '{.spec.targetCPUUtilizationPercentage}')" = 50 ]
    field $v1 both '{.metadata.annotations}' | grep -q 'targetAverageValue[^,]*1Gi'
    quiet k patch $v1 both --type=merge -p '{"spec":{"targetCPUUtilizationPercentage":70}}'
    [ "$(field $v2 both '{.spec.metrics[*].resource.name}')" = "memory cpu" ]
    [ "$(field $v2 both '{.spec.metrics[1].resource.target.averageUtilization}')" = 70 ]
    k get hpa both | grep -q 'memory: <unknown>/1Gi, cpu: <unknown>/70%'
    k delete hpa both
}

@test "an event is one object in both groups" {
    k create -f - <<EOF
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: both, namespace: default}
regarding: {kind: Node, name: node1}
note: seen
reason: Test
type: Normal
action: Testing
reportingController: example.com/test
reportingInstance: t
eventTime: "2026-11-30T10:00:00.000000Z"
EOF
    [ "$(field events both '{.involvedObject.name} {.message} {.reportingComponent}')" = "node1 seen example.com/test" ]
    k get events.events.k8s.io --field-selector regarding.name=node1 | grep -q 'node/node1.*seen'
    k get events --field-selector involvedObject.name=node1 | grep -q 'node/node1.*seen'
    k delete event both
}

available() { # every APIService is; there is one for each group and version but its own
    [ "$(k get apiservices --no-headers | awk '$3 == "True"' | wc -l)" -eq "$(($(k api-versions | wc -l) - 1))" ]
}

@test "API services are available, and the system's priority classes there; both come back" {
    wait_for 10 available
    quiet k delete apiservice v1. v1.apps
    wait_for 10 available
    wait_for 10 k get pc system-node-critical system-cluster-critical
    quiet k delete pc system-node-critical
    wait_for 10 k get pc system-node-critical
}

@test "component statuses are told with a warning" {
    run k get cs
    [ "$status" -eq 0 ]
    [[ "$output" == *'Warning: v1 ComponentStatus is deprecated in v1.19+'* ]]
    grep -Eq '^NAME +STATUS +MESSAGE +ERROR *$' <<<"$output"
    for name in scheduler controller-manager etcd-0; do grep -Eq "^$name +Healthy +ok" <<<"$output"; done
    quiet k get cs scheduler -o jsonpath='{.conditions[0].type}' | grep -qx Healthy
}

@test "the default flow schemas are there with their levels, and come back" {
    linked() { [ "$(k get flowschemas --no-headers | awk '{ print $NF }' | sort -u)" = False ]; } # MISSINGPL
    [ "$(k get flowschemas -o name | wc -l)" = 13 ]
    [ "$(k get prioritylevelconfigurations -o name | wc -l)" = 8 ]
    wait_for 10 linked
    quiet k delete flowschema exempt global-default
    wait_for 10 k get flowschema exempt global-default
    quiet k patch prioritylevelconfiguration workload-low --type=merge \
        -p '{"spec":{"limited":{"nominalConcurrencyShares":7}}}'
    right() { [ "$(k get prioritylevelconfiguration workload-low -o jsonpath='{.spec.limited.nominalConcurrencyShares}')" = 100 ]; }
    wait_for 10 right
}

@test "groups come in upstream's order, and a short name means the first that has it" {
    k get --raw /apis | jq -r '.groups[].name' | head -3 | xargs | grep -qx 'apiregistration.k8s.io apps events.k8s.io'
    [ "$(k get --raw /apis/autoscaling | jq -r .preferredVersion.version)" = v2 ]
    quiet k create deployment web --image=i
    k get deploy web -o name | grep -qx deployment.apps/web
    k get ev -A -v=6 2>&1 | grep -q '/api/v1/events'
    quiet k delete deployment web
}

@test "--as acts as another: with his rights, under his name" {
    k auth whoami --as=ann --as-group=team --as-uid=7 -o json |
        jq -e '.status.userInfo == {"username": "ann", "uid": "7", "groups": ["team", "system:authenticated"]}'
    [ "$(k auth can-i delete nodes 2>/dev/null)" = yes ]
    run k auth can-i delete nodes --as=ann
    [[ "$status" -eq 1 && "$output" == *no ]]
    k auth can-i delete nodes --as=ann --as-group=system:masters
    run k get secrets --as=system:serviceaccount:default:default
    [ "$status" -ne 0 ]
    [[ "$output" == *'User "system:serviceaccount:default:default" cannot list resource "secrets" in API group ""'* ]]
    openssl req -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=ann -out "$T/ann.csr" 2>/dev/null
    printf '{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"ann"},
        "spec":{"signerName":"example.com/s","usages":["client auth"],"request":"%s"}}' "$(base64 -w0 "$T/ann.csr")" |
        k create -f - --as=ann --as-group=system:masters
    [ "$(k get csr ann -o jsonpath='{.spec.username}')" = ann ]
}
