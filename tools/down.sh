#!/bin/sh
# down.sh: stops the cluster that `make up` started: removes its pods, ends its processes, takes its
# mounts, network and cgroups away. The data stays, so that `make up` goes on where it was. Only what
# carries our run folder in its name is touched.
set -u
cd "$(dirname "$0")/.."
. tools/paths.sh

if pid=$(running_pid); then
    kill -USR1 "$pid" # stop the pods of this node, then end
    i=0
    while kill -0 "$pid" 2>/dev/null; do
        i=$((i + 1))
        [ $i -lt 400 ] || { echo "down: pid $pid does not end, killing it"; kill -KILL "$pid"; }
        sleep 0.1
    done
    echo "down: stopped"
else
    echo "down: not running"
fi

# What a killed coracle leaves: containerd and the shims of its socket, then their mounts.
left=$(pgrep -f -- "-address $RUN_DIR/containerd/containerd.sock" ; pgrep -f -- "containerd.*--config $DATA_DIR/agent/etc/containerd/config.toml")
for p in $left; do
    for c in $(pgrep -P "$p"); do kill -KILL "$c" 2>/dev/null; done
    kill -KILL "$p" 2>/dev/null
done
[ -z "$left" ] || sleep 0.5
awk -v d="$RUN_DIR/" -v e="$DATA_DIR/" 'index($2, d) == 1 || index($2, e) == 1 { print $2 }' /proc/mounts | sort -r |
while read -r m; do umount -l "$m"; done
for ns in $(ip netns list 2>/dev/null | awk '/^cni-/ { print $1 }'); do
    [ -e "$RUN_DIR/netns.$ns" ] && ip netns del "$ns"
done
rm -f "$PID_FILE"
exit 0
