#!/usr/bin/env bats
# What K3s agents of either generation send before and beside the Kubernetes API, replayed with curl in
# the order and form of docs/protocols/registration.md: a stand-in for the real ones.

load lib

setup_file() {
    lib_need ip kubectl curl openssl jq
    lib_init
    host_new srv
    in_net srv ip addr add 198.51.100.10/32 dev lo
    start_server srv --disable-agent --node-ip 198.51.100.10
    TOKEN=$(agent_token srv)
    export TOKEN PW=${TOKEN##*:} S=https://127.0.0.1:6443
    ask /cacerts -k -o "$T/ca.pem"
}
teardown_file() { lib_cleanup; }

ask() { # ask PATH CURL-ARGS...
    local path=$1
    shift
    in_net srv curl -sS --max-time $((60 * SLOW)) "$@" "$S$path"
}
agent() { # agent PATH CURL-ARGS...: as user node, server verified
    local path=$1
    shift
    ask "$path" --cacert "$T/ca.pem" -u "node:$PW" "$@"
}
code() { "$@" -o "$T/body" -w '%{http_code}'; }

@test "/ping and /cacerts answer anybody; the token's hash is that of the received bytes" {
    [ "$(ask /ping -k)" = pong ]
    [[ "$TOKEN" == "K10$(sha256sum <"$T/ca.pem" | cut -d' ' -f1)::"* ]]
    # verified by the name that agents verify, and by the balancer's address
    in_net srv curl -sS --cacert "$T/ca.pem" --connect-to kubernetes:6443:127.0.0.1:6443 https://kubernetes:6443/ping
    ask /ping --cacert "$T/ca.pem"
}

@test "the table of credentials and codes" {
    [ "$(code ask /v1-k3s/config -k)" = 403 ]
    [ "$(jq -r .kind "$T/body")" = Status ]
    [ "$(code ask /v1-k3s/config -k -u node:wrong)" = 401 ]
    [ "$(code ask /v1-k3s/config -k -u "server:$PW")" = 403 ]
    [ "$(code ask /v1-k3s/config -k -u "node:$PW")" = 200 ]
    [ "$(code ask /v1-k3s/server-bootstrap -k -u "server:$PW")" = 400 ]
    [ "$(code ask /v1-k3s/connect -k -u "node:$PW")" = 403 ]
    [ "$(code ask /api/v1/nodes -k)" = 401 ]
}

@test "config has every key that agents read, of the right type" {
    agent /v1-k3s/config >"$T/config"
    local want
    while read -r key type; do
        [ "$(jq -r --arg k "$key" '.[$k] | type' "$T/config")" = "$type" ] || { echo "$key: want $type"; jq ".$key" "$T/config"; false; }
    done <<'KEYS'
ClusterIPRange object
ClusterIPRanges array
ServiceIPRange object
ServiceIPRanges array
ServiceNodePortRange object
ClusterDNS string
ClusterDNSs array
ClusterDomain string
FlannelBackend string
FlannelIPv6Masq boolean
FlannelExternalIP boolean
EgressSelectorMode string
DisableCCM boolean
DisableNPC boolean
DisableKubeProxy boolean
SystemDefaultRegistry string
MinTLSVersion string
CipherSuites null
EmbeddedRegistry boolean
SupervisorMetrics boolean
IPSECPSK string
SupervisorPort number
HTTPSPort number
VLevel number
KEYS
    [ "$(jq -r .ClusterIPRange.Mask "$T/config")" = //8AAA== ]
    [ "$(jq -r '.IPSECPSK | length' "$T/config")" = 96 ]
    [ "$(jq 'has("TLSMinVersion") or has("Datastore") or has("EtcdS3")' "$T/config")" = false ]
}

@test "a new agent posts DER requests and gets leaf and CA, never a key" {
    openssl ecparam -name prime256v1 -genkey -noout -out "$T/new.key"
    openssl req -new -key "$T/new.key" -subj / -outform DER -out "$T/new.csr"
    local p
    for p in serving-kubelet client-kubelet client-kube-proxy client-k3s-controller; do
        [ "$(code agent "/v1-k3s/$p.crt" --data-binary "@$T/new.csr" -H 'Content-Type:' \
            -H 'k3s-Node-Name: New1' -H 'k3s-Node-Password: 00112233445566778899aabbccddeeff' -H 'k3s-Node-IP: 192.0.2.7')" = 200 ]
        cp "$T/body" "$T/new-$p.crt"
        [ "$(grep -c 'BEGIN CERTIFICATE' "$T/body")" = 2 ]
        refute grep -q 'PRIVATE KEY' "$T/body"
    done
    openssl x509 -in "$T/new-client-kubelet.crt" -noout -subject | grep -q 'O = system:nodes, CN = system:node:new1'
    openssl x509 -in "$T/new-serving-kubelet.crt" -noout -ext subjectAltName | grep -q 'DNS:new1, DNS:localhost, IP Address:127.0.0.1.*192.0.2.7'
    openssl verify -CAfile "$T/ca.pem" "$T/new-serving-kubelet.crt"
}

@test "an old agent gets leaf, CA and the shared key by GET, with its own password" {
    local p
    for p in serving-kubelet client-kubelet client-kube-proxy client-k3s-controller; do
        [ "$(code agent "/v1-k3s/$p.crt" -H 'K3s-Node-Name: old1' -H 'K3s-Node-Password: ffeeddccbbaa99887766554433221100' -H 'K3s-Node-IP: 192.0.2.8')" = 200 ]
        cp "$T/body" "$T/old-$p.pem"
        grep -q 'BEGIN EC PRIVATE KEY' "$T/body"
        [ "$(openssl x509 -in "$T/body" -noout -pubkey)" = "$(openssl ec -in "$T/body" -pubout 2>/dev/null)" ]
    done
    [ "$(code agent /v1-k3s/client-kubelet.crt -H 'K3s-Node-Name: old1' -H 'K3s-Node-Password: 00000000000000000000000000000000')" = 403 ]
    grep -q 'kubectl delete node old1' "$T/body"
    [ "$(code agent /v1-k3s/client-kubelet.crt)" = 400 ]
    [ "$(code agent /v1-k3s/serving-kubelet.crt -H 'K3s-Node-Name: old1' -H 'K3s-Node-Password: ffeeddccbbaa99887766554433221100' -H 'K3s-Node-IP: nonsense')" = 500 ]
}

@test "the kubelet's certificate may do what a kubelet needs and nothing else" {
    cert() { ask "$1" --cacert "$T/ca.pem" --cert "$T/new-client-kubelet.crt" --key "$T/new.key" "${@:2}"; }
    [ "$(code cert /api/v1/nodes -X POST -H 'Content-Type: application/json' -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"new1"}}')" = 201 ]
    [ "$(code cert /api/v1/nodes -X POST -H 'Content-Type: application/json' -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"other"}}')" = 403 ]
    [ "$(code cert '/api/v1/nodes?fieldSelector=metadata.name%3Dnew1&limit=500&resourceVersion=0')" = 200 ]
    [ "$(code cert '/api/v1/pods?fieldSelector=spec.nodeName%3Dnew1&limit=500&resourceVersion=0')" = 200 ]
    [ "$(code cert '/api/v1/services?limit=500&resourceVersion=0')" = 200 ]
    [ "$(code cert /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases -X POST -H 'Content-Type: application/json' -d '{"metadata":{"name":"new1"},"spec":{"holderIdentity":"new1","leaseDurationSeconds":40}}')" = 201 ]
    [ "$(code cert /api/v1/nodes/new1/status -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' -d '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}')" = 200 ]
    [ "$(code cert /api/v1/nodes/new1 -X PATCH -H 'Content-Type: application/json-patch+json' -d '[{"op":"add","path":"/metadata/annotations","value":{}},{"op":"add","path":"/metadata/annotations/k3s.io~1hostname","value":"new1"}]')" = 200 ]
    [ "$(code cert /apis/storage.k8s.io/v1/csinodes/new1)" = 404 ]
    [ "$(code cert '/apis/node.k8s.io/v1/runtimeclasses?limit=500')" = 200 ]
    [ "$(code cert /api/v1/namespaces/kube-system/secrets)" = 403 ]
    [ "$(code cert /api/v1/nodes/old1 -X DELETE)" = 403 ]
    [ "$(code cert /v1-k3s/config)" = 200 ]
}

@test "the controller's certificate reads the slices, readyz and reviews" {
    ctl() { ask "$1" --cacert "$T/ca.pem" --cert "$T/new-client-k3s-controller.crt" --key "$T/new.key" "${@:2}"; }
    [ "$(code ctl '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes')" = 200 ]
    [ "$(jq -r '.items[0].endpoints[0].addresses[0]' "$T/body")" = 198.51.100.10 ]
    [ "$(jq -r '.items[0].ports[0].port' "$T/body")" = 6443 ]
    [ "$(code ctl '/readyz?verbose')" = 200 ]
    [ "$(code ctl /apis/authorization.k8s.io/v1/selfsubjectaccessreviews -X POST -H 'Content-Type: application/json' -d '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"list","group":"discovery.k8s.io","resource":"endpointslices","namespace":"default"}}}')" = 201 ]
    [ "$(jq .status.allowed "$T/body")" = true ]
    [ "$(code ctl /api/v1/secrets)" = 403 ]
}

@test "apiservers is never empty, readyz is plain" {
    [ "$(agent /v1-k3s/apiservers)" = '["198.51.100.10:6443"]' ]
    [ "$(agent /v1-k3s/readyz)" = ok ]
}

@test "CONNECT is for system:masters and reaches what it names" {
    local c=$T/srv/data/server/tls
    in_net srv curl -sS -p -x https://127.0.0.1:6443 --proxy-cacert "$c/server-ca.crt" \
        --proxy-cert "$c/client-kube-apiserver.crt" --proxy-key "$c/client-kube-apiserver.key" \
        --cacert "$T/ca.pem" https://127.0.0.1:6443/ping | grep -q pong
    run in_net srv curl -sS -p -x https://127.0.0.1:6443 --proxy-cacert "$c/server-ca.crt" \
        --proxy-cert "$T/new-client-kubelet.crt" --proxy-key "$T/new.key" -k https://127.0.0.1:6443/ping
    [[ "$output" == *403* ]]
}

@test "many joins at once are asked to come again, none is refused for good" {
    local i codes
    for i in $(seq 40); do
        # agents speak HTTP/1.1 here; curl's h2 gives up when an answer comes before its upload has ended
        agent /v1-k3s/client-kubelet.crt --http1.1 -H "K3s-Node-Name: burst$i" -H 'K3s-Node-Password: 11111111111111111111111111111111' \
            --data-binary "@$T/new.csr" -o /dev/null -w '%{http_code}\n' >"$T/burst.$i" &
    done
    wait
    codes=$(cat "$T"/burst.* | sort | uniq -c)
    echo "$codes"
    [ -z "$(cat "$T"/burst.* | grep -vE '^(200|429)$')" ]
    [ "$(cat "$T"/burst.* | grep -c 200)" -ge 10 ]
}
