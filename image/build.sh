#!/usr/bin/env bash
# Builds the operator's image, and its SBOM (CycloneDX) from the content, for `make image`.
#   IMAGE       its name; by default that of deploy/ with the version of pyproject.toml
#   BASE_IMAGE  the Dockerfile's base; by digest for a release
#   BUILDER     docker, podman or buildah; by default the first that works
#   SBOM        the file to write; by default below dist/
# The same commit and base give the same SBOM.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
image=${IMAGE:-ghcr.io/scriptix/scriptix-operator:$version}
sbom=${SBOM:-dist/scriptix-operator-$version.cdx.json}
builder=$(image/builder.sh)

git() { command git -c safe.directory="$PWD" "$@"; }
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=$revision-dirty
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
arguments=(
    --tag "$image"
    --build-arg "VERSION=$version"
    --build-arg "REVISION=$revision"
    --build-arg "CREATED=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
)
[ -z "${BASE_IMAGE:-}" ] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")

# In a container of the image; buildah has no `run` for images.
inside() {
    if [ "$builder" != buildah ]; then
        "$builder" run --rm --network none --read-only --entrypoint "$1" "$image" "${@:2}"
        return
    fi
    local container status=0
    container=$(buildah from --pull-never "$image")
    buildah run --isolation chroot --user 65532:65532 "$container" -- "$@" || status=$?
    buildah rm "$container" >/dev/null
    return "$status"
}

case $builder in
docker) DOCKER_BUILDKIT=1 docker build "${arguments[@]}" . ;;
podman) podman build --layers --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" . ;;
# An engine's isolation needs an OCI runtime and cgroups; a build of our own Dockerfile needs neither.
buildah) buildah build --isolation chroot --layers --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" . ;;
esac
mkdir -p "$(dirname "$sbom")"
inside python -c "$(cat image/inventory.py)" |
    python3 image/sbom.py "$version" requirements/runtime.txt >"$sbom.new"
mv "$sbom.new" "$sbom"
echo "Built $image with $builder; its SBOM is $sbom"
