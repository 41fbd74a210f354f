# paths.sh: where a cluster made by `make up` lives: K3s's paths, or all under DIR. Sourced.
if [ -n "${DIR:-}" ]; then
    case $DIR in /*) ;; *) DIR=$PWD/$DIR ;; esac
    DATA_DIR=$DIR/data RUN_DIR=$DIR/run LOG=$DIR/coracle.log KUBECONFIG_FILE=$DIR/k3s.yaml
    FLAGS="--data-dir $DATA_DIR --run-dir $RUN_DIR --node-dir $DIR/node --config $DIR/config.yaml --write-kubeconfig $KUBECONFIG_FILE"
else
    DIR=
    DATA_DIR=/var/lib/rancher/k3s RUN_DIR=/run/k3s LOG=/var/log/coracle.log KUBECONFIG_FILE=/etc/rancher/k3s/k3s.yaml
    FLAGS=
fi
PID_FILE=$RUN_DIR/coracle.pid

running_pid() { # prints the pid of our running coracle
    [ -s "$PID_FILE" ] || return 1
    rp=$(cat "$PID_FILE")
    [ "$(basename "$(readlink "/proc/$rp/exe" 2>/dev/null || echo none)" | cut -d' ' -f1)" = coracle ] && echo "$rp"
}
