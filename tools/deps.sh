#!/bin/sh
# deps.sh PACKAGE...: installs those of the Debian packages that are missing. The word `kubectl`
# stands for any kubectl on the PATH: one that is there is never replaced, else Debian's
# kubernetes-client serves.
set -eu

missing=
for p in "$@"; do
    if [ "$p" = kubectl ]; then
        command -v kubectl >/dev/null 2>&1 && continue
        p=kubernetes-client
    fi
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || { echo "deps: root is needed to install:$missing" >&2; exit 1; }
echo "deps: installing$missing"

# Debian asks policy-rc.d before a package starts its service: say no for the time of this run.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
# lists may be absent or stale on a fresh machine
apt-get update -qq || echo "deps: apt-get update failed, trying with the lists at hand" >&2
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
