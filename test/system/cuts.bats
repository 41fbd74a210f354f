#!/usr/bin/env bats
# The agent's only way to its server is cut again and again, at random, in every manner that the fault
# proxy knows and by packets that are dropped; the node proxy works again soon after each.
#
#   edge 10.10.1.2 --- 10.10.1.1 gate (fault proxy) 10.10.2.1 --- 10.10.2.2 srv

load lib

setup_file() {
    lib_need ip nft kubectl socat
    lib_init
    host_new srv
    host_new gate
    host_new edge
    link_hosts gate eth0 10.10.1.1/24 edge eth0 10.10.1.2/24
    link_hosts gate eth1 10.10.2.1/24 srv eth0 10.10.2.2/24
    spawn fault in_net gate "$BUILD/test/tools/fault" 10.10.1.1:6443 10.10.2.2:6443 "$T/fault.sock"
    start_server srv --disable-agent
    # the runtime has no part in it: the kubelet port serves without one
    start_agent edge --server https://10.10.1.1:6443 --token "$(agent_token srv)" --node-name edge \
        --container-runtime-endpoint /dev/null
    wait_for 30 answers || { show_logs; false; }
}
teardown_file() { lib_cleanup; }

fault() { # fault COMMAND...: what it answers
    local answer
    answer=$(echo "$*" | socat -t 30 - "UNIX-CONNECT:$T/fault.sock")
    [[ "$answer" == ok* ]] && echo "${answer#ok }"
}

answers() { # the kubelet of the node, through the tunnel; a hanging request is given up
    [ "$(kubectl_on srv get --raw /api/v1/nodes/edge/proxy/healthz --request-timeout=3s)" = ok ]
}

usable_again() { # usable_again WHAT: 5 s, and a silent peer's 10 s before them; kubectl's own time is in it
    local t=$SECONDS
    within 20 answers || { show_logs; echo "after $1"; return 1; }
    echo "# usable $((SECONDS - t)) s after $1" >&3
}

@test "the node proxy works through the fault proxy" {
    answers
    [[ "$(fault status)" == "connections "* ]]
}

@test "it works again after each of eight random cuts" {
    local i cut ms
    echo "# $(head -n 1 "$T/log/fault")" >&3
    for i in 1 2 3 4 5 6 7 8; do
        cut=$(fault next 2500)
        ms=${cut##*, }
        sleep "$(awk "BEGIN { print ${ms% ms} / 1000 }")"
        fault heal
        usable_again "$cut"
    done
}

@test "it works again after a time without any packet" {
    in_net gate nft add table inet cut
    in_net gate nft 'add chain inet cut in { type filter hook input priority 0; policy accept; }'
    in_net gate nft 'add rule inet cut in iif "eth0" drop'
    sleep 4
    in_net gate nft delete table inet cut
    usable_again "4 s without a packet"
}

@test "a server that forgot the connection is noticed within the time of a silent peer" {
    fault lose
    usable_again "a router that forgot"
    logged edge reason=silent
}

@test "the tunnel is one again, and nothing of the cut ones is left" {
    one_left() { [[ "$(fault status)" =~ ^connections\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -le 6 ]; }
    wait_for 30 one_left || { fault status; false; }
}
