# syntax=docker/dockerfile:1
# The operator's image, for `make image`. --build-arg BASE_IMAGE=… takes another base, or this one
# by digest.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
COPY requirements/runtime.txt requirements/dev.txt requirements/
# Hash-checked wheels only: no package runs code of its own while it is installed. /venv is what
# ships, without pip; /build has the pinned setuptools that makes the operator's own wheel.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install \
        --require-hashes --only-binary :all: -r requirements/runtime.txt
RUN awk '/^[^ #]/ {wanted = /^setuptools==/} wanted' requirements/dev.txt > requirements/build.txt \
    && python -m venv --without-pip /build \
    && python -m pip --python /build/bin/python install \
        --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN python -m pip --python /build/bin/python wheel \
        --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /venv/bin/python install --no-deps --no-index /wheels/*.whl

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="scriptix-operator" \
      org.opencontainers.image.description="Kubernetes operator that runs custom-model trainings at the Scriptix speech API from Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The base's own pip has no business in a running operator.
RUN python -m pip uninstall --yes --root-user-action ignore pip
COPY --from=build /venv /venv
# The root file system is read-only in the cluster.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["scriptix-operator"]
CMD ["run"]
