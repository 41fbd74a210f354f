#!/bin/sh
# old_kubectl.sh FOLDER: puts Debian's kubectl (1.20) into FOLDER, unpacked beside the installed one, which stays as it
# is. Where there is none to be had, it says so and the tests that want it are left out.
set -u
folder=$1
[ ! -x "$folder/kubectl" ] || exit 0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
chmod 755 "$work"
if (cd "$work" && { apt-get download -qq kubernetes-client || { apt-get update -qq && apt-get download -qq kubernetes-client; }; }) >"$work/log" 2>&1 &&
    dpkg-deb -x "$work"/kubernetes-client_*.deb "$work/tree" && cp "$work/tree/usr/bin/kubectl" "$folder/"; then
    exit 0
fi
echo "no older kubectl: $(tail -n 1 "$work/log")"
