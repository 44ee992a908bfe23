#!/usr/bin/env bash
# Prints the builder that `make image` uses: docker, podman or buildah, the first that is there and
# works (a docker client without an engine does not). BUILDER chooses one. Without any: exit code 1.
set -euo pipefail

works() {
    command -v "$1" >/dev/null || return 1
    case $1 in
    docker | podman) "$1" info >/dev/null 2>&1 ;;
    # Its storage may fail, for example overlay inside a container.
    buildah)
        (
            container=$(buildah from scratch 2>/dev/null) || exit 1
            trap 'buildah rm "$container" >/dev/null 2>&1' EXIT
            buildah mount "$container" >/dev/null 2>&1
        )
        ;;
    *) return 1 ;;
    esac
}

for builder in ${BUILDER:-docker podman buildah}; do
    if works "$builder"; then
        echo "$builder"
        exit
    fi
    tried="${tried:+$tried, }$builder $(command -v "$builder" >/dev/null && echo 'does not work' || echo 'is not there')"
done
echo "make image: $tried; install one of docker, podman and buildah (Debian, Ubuntu: apt install buildah, works as root without an engine; where overlay does not: STORAGE_DRIVER=vfs)" >&2
exit 1
