#!/usr/bin/env bats
# The datastore of a real server: kill -9 in a storm of writes, disks that are full, frozen or remounted, and
# snapshots that become the cluster again on an empty machine.

load lib

setup_file() {
    lib_need ip kubectl curl openssl mkfs.ext4 fsfreeze losetup
    lib_init
    host_new srv
    host_new edge
    link_hosts srv eth0 198.51.100.10/24 edge eth0 198.51.100.21/24
    in_net edge ip route add default via 198.51.100.10
    mkdir -p "$T/disk"
    truncate -s 200M "$T/disk.img"
    mkfs.ext4 -q -F -m 0 "$T/disk.img"
    mount -o loop "$T/disk.img" "$T/disk" || skip "this host has no loop devices"
    start_server srv --disable-agent --token storage-secret --data-dir "$T/disk/data"
}
teardown_file() {
    fsfreeze -u "$T/disk" 2>/dev/null || true
    lib_cleanup || { umount -l "$T/disk"; return 1; }
    umount "$T/disk"
}

raw() { # raw PATH [CURL-ARGS...]: as the administrator, straight, by no name that gets indents; prints the body and the code
    local path=$1 tls=$T/disk/data/server/tls
    shift
    in_net srv curl -sA storage-test --max-time $((30 * SLOW)) --cacert "$tls/server-ca.crt" --cert "$tls/client-admin.crt" \
        --key "$tls/client-admin.key" -w '\n%{http_code}' "$@" "https://127.0.0.1:6443$path"
}
create_cm() { # create_cm NAME
    raw /api/v1/namespaces/default/configmaps -X POST -H 'Content-Type: application/json' \
        -d "{\"metadata\":{\"name\":\"$1\"},\"data\":{\"k\":\"v\"}}"
}
created() { create_cm "$1" | grep -q '^201$'; }
created_or_there() { create_cm "$1" | grep -qE '^(201|409)$'; }
storage_ready() { [[ "$(raw /readyz)" == *$'\n200' ]]; }
again() { # again FLAG...: the server's process is gone; another one on the same data
    start_server srv --disable-agent --token storage-secret --data-dir "$T/disk/data" "$@"
}
alive() { kill -0 "$(restart_pid srv)"; }

@test "kill -9 in a storm of writes loses nothing acknowledged and no event" {
    local tls=$T/disk/data/server/tls seconds=$((${STORM_KILLS:-4} * 3 * (SLOW + 1) / 2)) i
    cp "$tls/client-admin.crt" "$tls/client-admin.key" "$tls/server-ca.crt" "$T/"
    spawn storm in_net srv "$BUILD/test/tools/storm" 127.0.0.1:6443 "$T/server-ca.crt" "$T/client-admin.crt" \
        "$T/client-admin.key" "$seconds"
    local storm=$SPAWNED
    for i in $(seq "${STORM_KILLS:-4}"); do
        sleep "1.$((RANDOM % 9))"
        kill -KILL "$(restart_pid srv)"
        again
    done
    wait_for 90 gone "$storm"
    cat "$T/log/storm"
    grep -qE '^storm: [0-9]+ acknowledged writes, [0-9]+ events, [1-9][0-9]* breaks: all there$' "$T/log/storm"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "a full disk is 503 with the reason, reads go on, and it recovers by itself" {
    created before-full
    dd if=/dev/zero of="$T/disk/ballast" bs=64k 2>/dev/null || true
    local out n
    for n in $(seq 60); do # the log may still have room in what it has
        printf '{"metadata":{"name":"full-%d"},"data":{"k":"%s"}}' "$n" "$(head -c 900000 /dev/zero | tr '\0' x)" >"$T/big.json"
        out=$(raw /api/v1/namespaces/default/configmaps -X POST -H 'Content-Type: application/json' --data-binary "@$T/big.json")
        [[ "$out" != *$'\n201' ]] && break
    done
    echo "$out"
    [[ "$out" == *'"reason":"ServiceUnavailable"'* ]]
    [[ "$out" == *'the disk is full'* ]]
    [[ "$out" == *$'\n503' ]]
    kubectl_on srv get configmap before-full -o name
    [[ "$(raw /readyz)" == *'[-]storage failed:'*'the disk is full'*$'\n500' ]]
    [[ "$(raw /livez)" == *$'\n200' ]]
    alive
    rm "$T/disk/ballast"
    wait_for 10 created after-full
    wait_for 10 storage_ready
}

@test "a frozen disk: writes time out with the reason, the server lives and is back within 5 s" {
    fsfreeze -f "$T/disk"
    # fsfreeze stands for a card that hangs: a write inside it cannot even be killed
    local out
    out=$(create_cm frozen) || true
    echo "$out"
    [[ "$out" == *'"reason":"Timeout"'* ]] || { fsfreeze -u "$T/disk"; false; }
    [[ "$out" == *'the disk of the datastore has not answered for'* ]] || { fsfreeze -u "$T/disk"; false; }
    out=$(raw /readyz) || true
    echo "$out"
    [[ "$out" == *'[-]storage failed: the disk of the datastore has not answered for'* ]] || { fsfreeze -u "$T/disk"; false; }
    kubectl_on srv get configmap before-full -o name || { fsfreeze -u "$T/disk"; false; }
    alive
    sleep "${FREEZE_SECONDS:-0}" # however long: nothing piles up behind it
    alive
    fsfreeze -u "$T/disk"
    within 5 created_or_there thawed
    wait_for 10 storage_ready
}

snap() { # snap SUBCOMMAND...: coracle etcd-snapshot
    in_host srv "$CORACLE" etcd-snapshot "$@" --data-dir "$T/disk/data" --config "$T/none"
}
node_cert_serial() { openssl x509 -noout -serial -in "$T/edge/data/agent/client-kubelet.crt"; }
heartbeat() { kubectl_on srv -n kube-node-lease get lease edge -o jsonpath='{.spec.renewTime}'; }
beats_since() { [ "$(heartbeat)" != "$1" ]; }

@test "snapshots are made, listed, pruned and deleted" {
    local a b
    a=$(snap save --name one | sed -n 's/^Snapshot \(.*\) saved\.$/\1/p')
    b=$(snap save --name two --snapshot-compress | sed -n 's/^Snapshot \(.*\) saved\.$/\1/p')
    [[ "$a" == one-* && "$b" == two-*.zip ]]
    snap ls | grep -q "^$a .*file://$T/disk/data/server/db/snapshots/$a"
    [ "$(snap ls -o json | jq -r '.items | length')" = 2 ]
    busybox unzip -l "$T/disk/data/server/db/snapshots/$b" | grep -q "${b%.zip}"
    [ "$(sqlite3 "$T/disk/data/server/db/snapshots/$a" 'PRAGMA integrity_check')" = ok ]
    run snap delete nonesuch-1
    [ "$status" -eq 1 ]
    [[ "$output" == *'snapshot nonesuch-1 is not in'* ]]
    snap delete "$a" | grep -q "Snapshot $a deleted."
    sleep 1.1
    snap save --name two >/dev/null
    snap prune --name two --snapshot-retention 1 | grep -q "Snapshot $b deleted."
    [ "$(snap ls -o json | jq -r '.items | length')" = 1 ]
}

@test "a snapshot restored on an empty machine: agents come back as they were" {
    local name serial objects secret beat
    start_agent edge --server https://198.51.100.10:6443 --container-runtime-endpoint /dev/null --node-name edge \
        --token storage-secret
    wait_for 20 node_lease
    serial=$(node_cert_serial)
    name=$(snap save --snapshot-compress | sed -n 's/^Snapshot \(.*\) saved\.$/\1/p')
    cp "$T/disk/data/server/db/snapshots/$name" "$T/snapshot.zip"
    objects=$(kubectl_on srv get configmaps -o jsonpath='{range .items[*]}{.metadata.name}={.data}{.metadata.uid}{"\n"}{end}')
    secret=$(kubectl_on srv -n kube-system get secret edge.node-password.k3s -o jsonpath='{.data.hash}')
    kubectl_on srv create configmap after-the-snapshot
    stop_pid "$(restart_pid srv)"

    run in_host srv "$CORACLE" server --cluster-reset --cluster-reset-restore-path "$T/snapshot.zip" --token wrong \
        $(server_args srv)
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *'was made with another token'* ]]
    [ ! -e "$T/srv/data/server/tls" ]
    run in_host srv "$CORACLE" server --cluster-reset --cluster-reset-restore-path "$T/snapshot.zip" --token storage-secret \
        $(server_args srv)
    echo "$output"
    [ "$status" -eq 0 ]

    start_server srv --disable-agent --token storage-secret # an empty folder until a moment ago
    [ "$objects" = "$(kubectl_on srv get configmaps -o jsonpath='{range .items[*]}{.metadata.name}={.data}{.metadata.uid}{"\n"}{end}')" ]
    run kubectl_on srv get configmap after-the-snapshot
    [[ "$output" == *NotFound* ]]
    [ "$secret" = "$(kubectl_on srv -n kube-system get secret edge.node-password.k3s -o jsonpath='{.data.hash}')" ]
    beat=$(heartbeat)
    wait_for 40 beats_since "$beat" || { show_logs; false; }
    [ "$serial" = "$(node_cert_serial)" ] # the agent went on with the certificate it had
    # and after a start of its own it comes in by its password
    stop_pid "$(restart_pid edge)"
    start_agent edge --server https://198.51.100.10:6443 --container-runtime-endpoint /dev/null --node-name edge \
        --token storage-secret
    beat=$(heartbeat)
    wait_for 40 beats_since "$beat" || { show_logs; false; }
}
node_lease() { [ -n "$(heartbeat)" ]; }

@test "a database that is damaged stops the start with its name and what to do" {
    stop_pid "$(restart_pid srv)"
    local db=$T/srv/data/server/db/coracle.db
    cp "$db" "$T/good.db"
    dd if=/dev/zero of="$db" bs=1 count=40 conv=notrunc 2>/dev/null
    run in_host srv "$CORACLE" server --disable-agent --token storage-secret $(server_args srv)
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"$db is malformed"*'restore a snapshot'* ]]
    cp "$T/good.db" "$db"
}
