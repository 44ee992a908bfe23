#!/usr/bin/env bash
# Installs what tests/image needs to build and run the image, where it is missing: Debian's buildah,
# which works without an engine, and mmdebstrap for the base. CI runs it; it needs root.
set -euo pipefail
if command -v buildah >/dev/null && command -v mmdebstrap >/dev/null; then
    exit
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends buildah mmdebstrap >/dev/null
