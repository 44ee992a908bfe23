#!/usr/bin/env bash
# Sees to it that redis-server is there, which Argo CD keeps its cache in: found, or installed from
# the distribution where that is possible without asking anybody.
set -euo pipefail

if command -v redis-server >/dev/null; then
    exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Argo CD needs redis-server, which is not on PATH; install it (Debian, Ubuntu:" \
        "apt install redis-server) and try again" >&2
    exit 1
fi
echo "Installing redis-server from the distribution"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends redis-server; } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "apt-get could not install redis-server, see above and $log" >&2
    exit 1
}
rm "$log"
