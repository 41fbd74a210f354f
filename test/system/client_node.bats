#!/usr/bin/env bats
# The JavaScript client of Kubernetes, unmodified, as npm has it (test/clients/node): what a program does
# with it, the errors it sees, and an informer that outlives a restart of the server.

load lib

setup_file() {
    lib_need ip kubectl node npm
    lib_init
    export CLIENT=$BUILD/clients/node
    install_client
    api_server --token node-secret
}
teardown_file() { lib_cleanup; }

# Into a folder of the build, once for each lock file.
install_client() {
    local from=$BATS_TEST_DIRNAME/../clients/node
    mkdir -p "$CLIENT"
    cp "$from/client.mjs" "$from/package.json" "$CLIENT/"
    [ -d "$CLIENT/node_modules" ] && cmp -s "$from/package-lock.json" "$CLIENT/package-lock.json" && return 0
    cp "$from/package-lock.json" "$CLIENT/"
    timeout 240 npm ci --prefix "$CLIENT" --omit=optional --ignore-scripts --no-audit --no-fund >"$T/log/npm" 2>&1 || {
        rm -f "$CLIENT/package-lock.json"
        skip "npm cannot install the client: $(tail -n 1 "$T/log/npm")"
    }
}
client() { # client WHAT
    in_net srv env KUBECONFIG="$T/srv/kubeconfig" timeout $((60 * SLOW)) node "$CLIENT/client.mjs" "$@"
}
apply() { # apply NAME VALUE
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: node}}\ndata: {v: "%s"}\n' "$1" "$2" |
        kubectl_on srv apply -f -
}
@test "objects are made, read, patched in four ways, listed in pages and deleted" {
    client objects
}

log_has() { grep -qx -- "$1" "$T/log/informer"; }

@test "an informer goes on after a restart, and after an older state was restored" {
    local pid name
    spawn informer in_net srv env KUBECONFIG="$T/srv/kubeconfig" node "$CLIENT/client.mjs" informer
    pid=$SPAWNED
    wait_for 20 log_has connect
    apply first 1
    wait_for 10 log_has "add first 1"
    name=$(in_host srv "$CORACLE" etcd-snapshot save --data-dir "$T/srv/data" | sed -n 's/^Snapshot \(.*\) saved\.$/\1/p')
    apply first 2
    apply second 1
    wait_for 10 log_has "update first 2"
    wait_for 10 log_has "add second 1"

    stop_pid "$(restart_pid srv)"
    wait_for 10 logged informer error # refused, until it is there again
    start_server srv --disable-agent --token node-secret
    apply third 1
    wait_for 20 log_has "add third 1"
    [ "$(grep -c '^add first' "$T/log/informer")" = 1 ] # it did not begin anew

    stop_pid "$(restart_pid srv)"
    in_host srv "$CORACLE" server --cluster-reset --cluster-reset-restore-path "$T/srv/data/server/db/snapshots/$name" \
        --token node-secret $(server_args srv)
    start_server srv --disable-agent --token node-secret
    # its version is of a time that is gone: it lists again, and sees what is no more
    wait_for 20 log_has "delete second 1"
    wait_for 10 log_has "delete third 1"
    wait_for 10 log_has "update first 1"
    apply fourth 1
    wait_for 20 log_has "add fourth 1"
    stop_pid "$pid"
}

# After the restore, for the first versions are forgotten then.
@test "errors have the code and the Status that the client's users expect" {
    client errors
    client expired
}
