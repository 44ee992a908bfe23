#!/usr/bin/env bash
# Makes the image that stands in for the Dockerfile's base where no registry can be reached: Debian
# 12 with its Python 3.11. Prints the image's name. For tests only: it is not rebuilt when Debian changes.
# The file system is kept in the user's cache, the image in buildah's storage.
set -euo pipefail
suite=bookworm
packages=python3,python3-venv,ca-certificates
# Certificates that this machine trusts beside Debian's: a build behind a proxy needs them too.
authorities=/usr/local/share/ca-certificates

fingerprint=$({ cat "$0"; cat "$authorities"/*.crt 2>/dev/null || true; } | sha256sum | cut -c 1-16)
image=localhost/scriptix-operator-base:$fingerprint
buildah() { command buildah "$@" >&2; }

if ! command buildah images --quiet "$image" >/dev/null 2>&1; then
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/scriptix-operator/image
    archive=$cache/base-$fingerprint.tar
    mkdir -p "$cache"
    exec 9>"$cache/base.lock"
    flock 9
    if [ ! -f "$archive" ]; then
        rm -f "$cache"/base-*.tar*
        # mmdebstrap takes half the time of debootstrap.
        mmdebstrap --quiet --format=tar --variant=essential --include="$packages" \
            --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
            --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' \
            --dpkgopt='path-exclude=/usr/share/doc/*' \
            --customize-hook="[ ! -d $authorities ] || cp -r $authorities \"\$1/usr/local/share\"" \
            --customize-hook='chroot "$1" update-ca-certificates' \
            "$suite" "$archive.partial" >&2
        mv "$archive.partial" "$archive"
    fi
    container=$(command buildah from scratch)
    trap 'command buildah rm "$container" >/dev/null' EXIT
    buildah add --quiet "$container" "$archive" /
    # Debian's pip does not use the system's certificates automatically.
    buildah config --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$container"
    buildah commit --quiet "$container" "$image"
fi
echo "$image"
