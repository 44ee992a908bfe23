# The operator's image; `make image` builds it and writes its SBOM. Plain Dockerfile commands only,
# so that docker, podman and buildah (1.28 and newer) all take it.
# --build-arg BASE_IMAGE=… takes another base, or this one by digest: a Linux with python3 (3.11 or
# newer, its venv module included), a shell and find.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/runtime.txt requirements/dev.txt requirements/
# Hash-checked wheels only: no package runs code of its own while it is installed. /venv is what
# ships, without pip; /build has pip, and the pinned setuptools that makes the operator's own wheel.
RUN python3 -m venv --without-pip /venv \
    && python3 -m venv /build \
    && /build/bin/python -m pip --python /venv/bin/python install \
        --no-compile --require-hashes --only-binary :all: -r requirements/runtime.txt
RUN awk '/^[^ #]/ {wanted = /^setuptools==/} wanted' requirements/dev.txt > requirements/build.txt \
    && /build/bin/python -m pip install \
        --no-compile --require-hashes --only-binary :all: -r requirements/build.txt
# The modules are compiled here, as nothing can be written where they run. The compiled files go by
# the source's hash and unchecked: times differ from layer to layer, and a stale one would be
# compiled again at each start.
RUN /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/python -m pip --python /venv/bin/python install \
        --no-compile --no-deps --no-index /wheels/*.whl \
    && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /venv/lib/python3*/site-packages/scriptix_*

FROM ${BASE_IMAGE} AS root
COPY --from=build /venv /venv
COPY image/strip.sh /strip.sh
RUN sh /strip.sh

# One layer: what strip.sh removed is in none.
FROM scratch
COPY --from=root / /
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/scriptix/scriptix-operator
LABEL org.opencontainers.image.title="scriptix-operator" \
      org.opencontainers.image.description="Kubernetes operator that runs custom-model trainings at the Scriptix speech API from Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
# The root file system is read-only in the cluster.
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/ \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
# The operator is process 1 and handles SIGTERM itself; it starts no processes, so there are none to
# reap.
ENTRYPOINT ["scriptix-operator"]
CMD ["run"]
