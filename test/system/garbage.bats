#!/usr/bin/env bats
# Ten thousand requests that are nearly right (test/tools/mangle.c): each gets an answer of the API's, the
# server stays alive, and its memory comes back.

load lib

setup_file() {
    lib_need ip kubectl
    lib_init
    api_server
}
teardown_file() { lib_cleanup; }

mangle() { # mangle N
    local tls=$T/srv/data/server/tls
    in_net srv "$BUILD/test/tools/mangle" 127.0.0.1:6443 "$tls/server-ca.crt" "$tls/client-admin.crt" \
        "$tls/client-admin.key" "$1"
}
resident_mb() {
    kubectl_on srv get --raw /metrics | awk '$1 == "process_resident_memory_bytes" {printf "%d\n", $2 / 1000000}'
}
empty() { # what they made is gone
    kubectl_on srv delete namespace mangle --ignore-not-found --wait=false
    kubectl_on srv get --raw /readyz
}
memory_is_back() { # memory_is_back MB
    echo "$(resident_mb) MB"
    [ "$(resident_mb)" -le "$1" ]
}

@test "mangled requests are answered, and nothing of them is left" {
    local before
    mangle 500 # what is made once and stays: caches, discovery documents
    before=$(resident_mb)
    mangle "${MANGLED:-10000}"
    [ "$(kubectl_on srv get --raw /livez)" = ok ]
    empty
    # 16 MiB of cached objects, and what an allocator keeps; sanitizers keep what was freed
    [[ $BUILD == *san* ]] || wait_for 90 memory_is_back $((before + 40))
}
