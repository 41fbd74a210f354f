#!/usr/bin/env bats
# What people do with kubectl, with the installed one and with Debian's (1.20, which test/old_kubectl.sh puts beside it):
# every kind, and every command that needs no controller and no running pod. Apply has a file of its own (apply.bats), so
# have deletes, scale and evictions (delete.bats) and custom kinds (crd.bats).

load lib

setup_file() {
    lib_need ip kubectl jq openssl
    lib_init
    OLD="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build/kubectl-1.20/kubectl"
    export OLD
    api_server
    openssl req -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=one -out "$T/one.csr" 2>/dev/null
}
teardown_file() { lib_cleanup; }

# both FUNCTION: in a namespace of its own, with each kubectl. What fails names the kubectl before.
both() {
    local which
    for which in new old; do
        KUBECTL=kubectl
        [ "$which" = new ] || KUBECTL=$OLD
        [ -x "$(command -v "$KUBECTL")" ] || { echo "# no kubectl 1.20 here: only the installed one" >&3; continue; }
        NS="$1-$which" NS=${NS//_/-}
        echo "with $which kubectl"
        k create namespace "$NS"
        wait_for 10 n get sa/default cm/kube-root-ca.crt # made by controllers
        "$1"
        k delete namespace "$NS" --wait=false
    done
}
is_new() { [ "$KUBECTL" = kubectl ]; }
n() { k -n "$NS" "$@"; }
field() { n get "$1" "$2" -o "jsonpath=$3"; }
manifest() { sed "s|\$NS|$NS|g; s|\$CSR|$(base64 -w0 <"$T/one.csr")|" "$BATS_TEST_DIRNAME/kinds.yaml"; }
says() { # says TEXT COMMAND...: it succeeds, and its output holds the text
    local text=$1
    shift
    "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }
    grep -qF -- "$text" "$T/said" || { cat "$T/said"; return 1; }
}
fails() { # fails TEXT COMMAND...: it fails, and says so
    local text=$1
    shift
    if "$@" >"$T/said" 2>&1; then cat "$T/said"; return 1; fi
    grep -qF -- "$text" "$T/said" || { cat "$T/said"; return 1; }
}

replaced() { n get -f "$T/all.yaml" -o json >"$T/now.json" && says replaced n replace -f "$T/now.json"; }
every_kind() {
    local name
    manifest >"$T/all.yaml"
    n create --dry-run=server -f "$T/all.yaml" -o name >"$T/dry"
    says created n create -f "$T/all.yaml"
    n get -f "$T/all.yaml" -o name | sort >"$T/names"
    sort "$T/dry" | cmp - "$T/names"
    # whatever the server offers is in the manifest
    k api-resources --verbs=create,get -o name | grep -v "$NS" | sort >"$T/offered"
    cut -d/ -f1 "$T/names" | sed 's/^\([a-z]*\)$/\1/' | sort -u >"$T/made"
    for name in $(cat "$T/offered"); do
        kind=$(echo "$name" | sed -E 's/^([a-z]+)(\..*)?$/\1/')
        singular=$(k api-resources --no-headers | awk -v p="$kind" '$1 == p { print tolower($NF); exit }')
        grep -qE "^$singular(\.|$)" "$T/made" || { echo "$name is not in kinds.yaml"; return 1; }
    done
    for form in yaml json wide name 'jsonpath={.kind}' 'custom-columns=N:.metadata.name'; do
        n get -f "$T/all.yaml" -o "$form" >"$T/out"
        [ -s "$T/out" ]
    done
    n get -f "$T/all.yaml" -o json | jq -e '.items | length > 40 and all(.metadata.uid and .metadata.resourceVersion and .metadata.creationTimestamp)' >/dev/null
    if is_new; then # 1.20 describes some kinds by versions that are gone from every server
        n describe -f "$T/all.yaml" >"$T/out"
    else
        n describe cm/one pod/one svc/one deploy/one rs/one sts/one ds/one job/one secret/one sa/one pvc/one quota/one role/one >"$T/out"
    fi
    grep -q '^Labels:' "$T/out"
    n label -f "$T/all.yaml" seen=yes
    n annotate -f "$T/all.yaml" example.com/note="a b"
    wait_for 10 replaced # a controller may have been quicker
    jq -e '.items | all(.metadata.labels.seen == "yes" and .metadata.annotations["example.com/note"] == "a b")' "$T/now.json" >/dev/null
    n patch -f "$T/all.yaml" --type=merge -p '{"metadata":{"labels":{"seen":null}}}' >/dev/null
    n get -f "$T/all.yaml" -o json | jq -e '.items | all(.metadata.labels.seen == null)' >/dev/null
    n delete -f "$T/all.yaml" --wait=false | grep -c deleted
    wait_for 20 refute n get -f "$T/all.yaml"
}
@test "every kind is created, read in every form, described, labelled, replaced, patched and deleted" {
    both every_kind
}

creators() {
    echo 'A=1' >"$T/vars"
    printf 'B=2\nC=3\n' >>"$T/vars"
    echo hello >"$T/word.txt"
    n create configmap lit --from-literal=a=1 --from-literal=b=2
    n create configmap file --from-file="$T/word.txt" --from-file=other="$T/word.txt"
    n create configmap env --from-env-file="$T/vars"
    [ "$(field cm lit '{.data.a}{.data.b}')" = 12 ]
    [ "$(field cm file '{.data.other}')" = hello ]
    [ "$(field cm env '{.data.C}')" = 3 ]
    n create secret generic gen --from-literal=p=q
    [ "$(field secret gen '{.data.p}' | base64 -d)" = q ]
    n create secret docker-registry reg --docker-server=registry.example --docker-username=u --docker-password=p
    [ "$(field secret reg '{.type}')" = kubernetes.io/dockerconfigjson ]
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=t -days 2 -keyout "$T/t.key" -out "$T/t.crt" 2>/dev/null
    n create secret tls pair --cert="$T/t.crt" --key="$T/t.key"
    n create quota q --hard=pods=5,services=9
    [ "$(field quota q '{.spec.hard.pods}')" = 5 ]
    n create role r --verb=get,list --resource=pods,deployments.apps
    n create rolebinding rb --role=r --serviceaccount="$NS:default" --user=somebody
    k create clusterrole "cr-$NS" --verb=get --resource=nodes
    k create clusterrolebinding "crb-$NS" --clusterrole="cr-$NS" --group=some
    n create serviceaccount sa
    n create job j --image=registry.example/j:1 -- true
    if is_new; then # 1.20 asks for batch/v1beta1, which 1.25 has removed
        n create cronjob cj --image=registry.example/j:1 --schedule='*/5 * * * *' -- true
        n create job from --from=cronjob/cj
        [ "$(field job from '{.metadata.ownerReferences[0].kind}')" = CronJob ]
    fi
    if is_new; then n create pdb b --selector=app=x --min-available=50%; fi # 1.20: policy/v1beta1
    n create deployment d --image=registry.example/d:1
    n create service clusterip ci --tcp=80:8080
    n create service nodeport np --tcp=80:8080
    n create service externalname en --external-name=example.com
    n create service loadbalancer lb --tcp=443
    [ "$(field svc np '{.spec.ports[0].nodePort}')" -ge 30000 ]
    [ -n "$(field svc ci '{.spec.clusterIP}')" ]
    [ "$(field svc en '{.spec.clusterIP}')" = "" ]
    n create ingress i --rule=one.example/x*=ci:80
    k create priorityclass "pc-$NS" --value=10
    n run p --image=registry.example/p:1 --restart=Never --labels=app=p
    n expose pod p --port=80 --name=exposed
    [ "$(field svc exposed '{.spec.selector.app}')" = p ]
    fails 'already exists' n create configmap lit
    k delete clusterrole "cr-$NS"
    k delete clusterrolebinding "crb-$NS"
    k delete priorityclass "pc-$NS"
}
@test "create makes everything it knows, from literals, files and variables" {
    both creators
}

changes() {
    n create deployment d --image=registry.example/d:1
    n set image deployment/d d=registry.example/d:2
    n set env deployment/d A=1 B-
    n set resources deployment/d --limits=cpu=200m,memory=64Mi --requests=cpu=0.1
    n set serviceaccount deployment/d default
    [ "$(field deploy d '{.spec.template.spec.containers[0].image}')" = registry.example/d:2 ]
    [ "$(field deploy d '{.spec.template.spec.containers[0].resources.requests.cpu}')" = 100m ]
    [ "$(field deploy d '{.metadata.generation}')" = 5 ]
    n create service clusterip s --tcp=80:80
    n set selector service/s app=d
    n label deployment d tier=web
    fails 'overwrite' n label deployment d tier=app
    n label deployment d tier=app --overwrite
    n label deployment d tier-
    n annotate deployment d note=1
    n scale deployment d --replicas=3
    fails 'Expected replicas to be 9, was 3' n scale deployment d --current-replicas=9 --replicas=4
    n autoscale deployment d --min=1 --max=4 --cpu-percent=50
    [ "$(field hpa d '{.spec.maxReplicas}')" = 4 ]
    n patch deployment d --type=json -p '[{"op":"replace","path":"/spec/replicas","value":2}]'
    n patch deployment d -p '{"spec":{"template":{"spec":{"containers":[{"name":"e","image":"registry.example/e:1"}]}}}}'
    says 'e d' field deploy d '{.spec.template.spec.containers[*].name}'
    printf '#!/bin/sh\nsed -i "s/replicas: 2/replicas: 5/" "$1"\n' >"$T/editor"
    chmod +x "$T/editor"
    in_net srv env KUBE_EDITOR="$T/editor" KUBECONFIG="$T/srv/kubeconfig" HOME="$T" timeout $((60 * SLOW)) "$KUBECTL" -n "$NS" edit deployment d
    [ "$(field deploy d '{.spec.replicas}')" = 5 ]
    n get deployment d -o json | jq '.spec.replicas = 6' >"$T/d.json"
    n replace -f "$T/d.json"
    fails 'the object has been modified' n replace -f "$T/d.json"
    fails 'field is immutable' n patch deployment d --type=merge -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'
    n get deployment d -o yaml | sed 's/replicas: 6/replicas: 7/' >"$T/d.yaml"
    if n diff -f "$T/d.yaml" >"$T/diff"; then echo "no difference was found"; return 1; fi
    grep -q '^+ *replicas: 7' "$T/diff"
    k create -f - <<END
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-$NS"}}
END
    k replace -f - <<END
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-$NS", "annotations": {"a": "b"}, "resourceVersion": "0"}}
END
    [ "$(k get node "node-$NS" -o jsonpath='{.metadata.annotations.a}')" = b ]
    if is_new; then says DESIRED n get deployment d --subresource=scale; fi
    k taint node "node-$NS" example.com/a=b:NoSchedule
    says untainted k taint node "node-$NS" example.com/a-
    says cordoned k cordon "node-$NS"
    says uncordoned k uncordon "node-$NS"
    k delete node "node-$NS"
}
@test "set, label, annotate, scale, autoscale, patch, edit, replace, diff, taint and cordon change what they say" {
    both changes
}

looks() {
    says 'is running at' k cluster-info
    says 'apps/v1' k api-versions
    says 'v1.32.0+coracle' k version
    k get --raw /version | jq -e '.gitCommit | test("^[0-9a-f]+$")' # upstream's conformance test of kubectl version
    says persistentvolumeclaims k api-resources
    [ "$(k get --raw /readyz)" = ok ]
    k get --raw /apis/apps/v1 | jq -e '.resources | length > 10' >/dev/null
    n create configmap a --from-literal=x=1
    n create configmap b
    n label cm a l=1
    [ "$(n get cm -l l=1 -o name)" = configmap/a ]
    [ "$(n get cm -l '!l' --field-selector metadata.name!=kube-root-ca.crt -o name)" = configmap/b ]
    [ "$(n get cm --sort-by=.metadata.name -o name | head -n 1)" = configmap/a ]
    [ "$(n get cm --chunk-size=1 -o name | wc -l)" = 3 ]
    n get cm --show-labels | grep -q 'l=1'
    n get cm -L l >/dev/null
    n create deployment d --image=registry.example/d:1
    says deployment.apps/d n get all
    says "$NS" k get all -A
    says 'deployment.apps/d' n get deploy,cm -o name
    fails 'NotFound' n get cm none
    fails "the server doesn't have a resource type" n get nothings
    n wait --for=condition=Available deployment/d --timeout=1s 2>&1 | grep -q 'timed out'
    n delete cm b --wait=false
    if is_new; then n wait --for=delete cm/b "--timeout=$(patience 10)s"; fi # 1.20: what is gone already is an error
    n auth can-i create pods | grep -q yes
    spawn "watched-$NS" n get cm a -w -o name
    watched() { [ "$(grep -c configmap/a "$T/log/watched-$NS")" -ge "$1" ]; }
    wait_for 10 watched 1
    n label cm a l=2 --overwrite
    wait_for 10 watched 2
    stop_pid "$SPAWNED"
}
@test "cluster-info, versions, resources, selectors, chunks, wait and watch answer as everywhere" {
    both looks
}

explained() {
    local r n=0
    for r in $(k api-resources --verbs=get -o name); do
        n=$((n + 1))
        # core has events too, and kubectl takes the rest of the name for a field of those
        # 1.20 takes no groups at all
        if [ "$r" = events.events.k8s.io ]; then
            set -- events --api-version=events.k8s.io/v1
        elif is_new; then
            set -- "$r"
        else
            set -- "${r%%.*}"
        fi
        k explain "$@" --recursive >"$T/explained" 2>&1 || { echo "explain $r:"; cat "$T/explained"; return 1; }
        grep -qE '^ *(apiVersion|metadata)' "$T/explained" || { echo "explain $r:"; head -n 5 "$T/explained"; return 1; }
    done
    [ "$n" -gt 45 ]
    says 'FIELD' k explain pods.spec.containers.livenessProbe.httpGet.port
    fails 'does not exist' k explain pods.spec.nothing
}
@test "explain --recursive knows every kind" {
    both explained
}

bad_input() {
    fails 'unknown field "spec.nothing"' n apply -f - <<END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"nothing": 1, "containers": [{"name": "c", "image": "i"}]}}
END
    fails 'spec.containers[0].image: Required value' n create -f - <<END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "c"}]}}
END
    fails 'a lowercase RFC 1123 subdomain' n create configmap Not_A_Name
    fails 'Invalid value' n create quota q --hard=pods=-1
    fails 'no matches for kind' n create -f - <<END
{"apiVersion": "example.com/v1", "kind": "Nothing", "metadata": {"name": "x"}}
END
    n create configmap c
    fails 'cannot restore map from string' n patch cm c -p '{"metadata":{"labels":"x"}}'
    printf 'apiVersion: v1\nkind: Pod\n' >"$T/pod.yaml"
    fails 'the object provided is unrecognized (must be of type Namespace)' k create --raw /api/v1/namespaces -f "$T/pod.yaml"
}
# 1.20 finds unknown fields itself and says it otherwise
@test "wrong input is named with its field" {
    KUBECTL=kubectl NS=bad-input
    k create namespace "$NS"
    bad_input
}

# What a client is warned of stands beside the answer, whatever that is.
@test "who writes something odd is warned of it, and who uses a deprecated version is on every answer" {
    KUBECTL=kubectl NS=warned
    k create namespace "$NS"
    while read -r path value text; do
        k run p --image=registry.example/p:1 --dry-run=client -o json | jq "setpath([$path]; $value)" >"$T/odd.json"
        says "Warning: $text" n create --dry-run=server -f "$T/odd.json"
        fails 'received' n create --dry-run=server --warnings-as-errors -f "$T/odd.json"
    done <<'END'
"metadata","name" "a.b" metadata.name: this is used in the Pod's hostname
"spec","terminationGracePeriodSeconds" -1 spec.terminationGracePeriodSeconds: must be >= 0
"spec","nodeSelector" {"beta.kubernetes.io/os":"linux"} spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14
"spec","containers",0,"env" [{"name":"A","value":"1"},{"name":"A","value":"2"}] spec.containers[0].env[1]: hides previous definition of "A"
"spec","containers",0,"resources" {"limits":{"memory":"100m"}} spec.containers[0].resources.limits[memory]: fractional byte value "100m"
END
    k create -f - <<'END'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: olds.warned.example.com}
spec:
  group: warned.example.com
  scope: Namespaced
  names: {plural: olds, kind: Old}
  versions:
    - {name: v1, served: true, storage: true, deprecated: true, schema: {openAPIV3Schema: {type: object}}}
END
    k wait --for=condition=Established crd/olds.warned.example.com
    wait_for 10 n get olds
    says 'Warning: warned.example.com/v1 Old is deprecated' n get olds
    fails 'Warning: warned.example.com/v1 Old is deprecated' n get olds none
    k delete crd olds.warned.example.com
    k delete namespace "$NS" --wait=false
}

# The commands that send the same manifest again and again.
@test "a pod's manifest creates it, replaces it, is applied to it by client and server, and makes no difference" {
    KUBECTL=kubectl NS=manifest
    k create namespace "$NS"
    k run p --image=registry.example/p:1 --labels=name=one --dry-run=client -o yaml | sed '/creationTimestamp/d' >"$T/pod.yaml"
    n create -f "$T/pod.yaml"
    says replaced n replace -f "$T/pod.yaml"
    says replaced n replace -f "$T/pod.yaml" --save-config
    says unchanged n apply -f "$T/pod.yaml"
    n diff -f "$T/pod.yaml"
    says serverside-applied n apply --server-side -f "$T/pod.yaml"
    n diff --server-side -f "$T/pod.yaml"
    sed 's/name: one/name: two/' "$T/pod.yaml" >"$T/other.yaml"
    fails 'name: two' n diff -f "$T/other.yaml"
    says replaced n replace --force -f "$T/other.yaml"
    [ "$(field pod p '{.metadata.labels.name}')" = two ]
    k delete namespace "$NS" --wait=false
}
