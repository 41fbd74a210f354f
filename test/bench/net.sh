# net.sh, to be sourced: one machine's network for a measurement, in a namespace of its own. Needs $ns, a name.
#   net_make            makes it: loopback, and 192.168.77.10 as the machine's address
#   in_ns COMMAND...    runs something in it
#   net_gone            for the cleanup: kills what is left in it, and removes it

net_make() {
    ip netns add "$ns"
    in_ns ip link set lo up
    in_ns ip link add eth0 type bridge
    in_ns ip addr add 192.168.77.10/24 dev eth0
    in_ns ip link set eth0 up
}
in_ns() { nsenter --net="/run/netns/$ns" "$@"; }
net_gone() {
    for p in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$p"; done
    ip netns del "$ns" 2>/dev/null
}
