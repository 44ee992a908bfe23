# Entry points for people and CI; `make help` lists them. A target without help text is a bug.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FAILURES_PAGE := docs/failures.md
CRD := crds/custommodeltrainings.scriptix.io.yaml
CHART_CRD := charts/scriptix-operator/files/custommodeltrainings.scriptix.io.yaml
STAMP := .venv/.installed

# A PYTHON of another version than .venv's rebuilds it; without PYTHON, .venv stays as it is.
version := -c 'import sys; print(sys.version_info[:2])'
OTHER_PYTHON := $(if $(PYTHON),$(shell \
	[ "$$($(PYTHON) $(version) 2>&1)" = "$$(.venv/bin/python $(version) 2>&1)" ] || echo FORCE))

COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	$(if $(UPGRADE),--upgrade)

print_failures_page := -c 'from scriptix_operator.core.status.failure_page import failures_page; \
	print(failures_page(), end="")'

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: $(STAMP) ## .venv with the hash-pinned dependencies; PYTHON=python3.12 chooses another Python
	@:

$(STAMP): requirements/runtime.txt requirements/dev.txt requirements/install.sh pyproject.toml $(OTHER_PYTHON)
	@PYTHON="$(PYTHON)" requirements/install.sh
	@touch $@

.PHONY: FORCE
FORCE:

.PHONY: demo
demo: install ## the operator at work against a real API server and the simulator; KEEP=1 leaves it running
	@.venv/bin/python -m demo

.PHONY: test
test: install ## all tests, with a real control plane; ARGS="-k name" chooses some
	@.venv/bin/pytest $(ARGS)

.PHONY: test-crash
test-crash: install ## the operator killed at each await of a start: all cases, about ten minutes
	@.venv/bin/pytest tests/crash -m whole $(ARGS)

.PHONY: test-day
test-day: install ## a day of 1,000 resources over 10 keys, with faults, in virtual time: half an hour
	@.venv/bin/pytest tests/virtual -m whole $(ARGS)

.PHONY: test-model
test-model: install ## search all that can happen to a start, minutes; ARGS=mutations: how worse protocols start twice
	@.venv/bin/python -m tests.model $(ARGS)

.PHONY: test-gitops
test-gitops: install ## Argo CD and Flux's libraries with our resources; the first run builds Argo CD, some seven minutes
	@tests/gitops/redis.sh
	@.venv/bin/pytest tests/gitops -m gitops $(ARGS)

.PHONY: bench
bench: install ## the operator beside a fixed interval, in virtual time, minutes; ARGS="eta outage" chooses some
	@.venv/bin/python -m bench $(ARGS)

.PHONY: lint
lint: install ## style, types, layers, known vulnerabilities, and whether generated files are current
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	@.venv/bin/python -m tools.check_words
	@.venv/bin/python image/audit.py
	@for file in $(CRD) $(CHART_CRD); do .venv/bin/scriptix-operator crd | diff -u $$file - || \
		{ echo "$$file is not what the models say; run: make crd" >&2; exit 1; }; done
	@.venv/bin/python $(print_failures_page) | diff -u $(FAILURES_PAGE) - || \
		{ echo "$(FAILURES_PAGE) is not what the table says; run: make docs" >&2; exit 1; }
	@if grep -E '^[a-z][a-z-]*:' Makefile | grep -v '## '; then \
		echo "The targets above have no help text; add it in the Makefile behind ##" >&2; exit 1; fi

.PHONY: controlplane
controlplane: install ## find or build etcd, kube-apiserver, kube-controller-manager, kubectl; last line: where they are
	@.venv/bin/python -m tests.controlplane build

.PHONY: tools
tools: install ## find or build all Go programs that tests use: control plane, Helm, kubeconform, Argo CD, Flux's libraries
	@.venv/bin/python -m tests.controlplane build
	@.venv/bin/python -m tests.chart.tools
	@.venv/bin/python -m tests.gitops.tools

.PHONY: chart
chart: install ## lint the chart and pack it into dist/, with a Helm built from its Go module
	@helm=$$(.venv/bin/python -m tests.chart.tools)/helm; \
		"$$helm" lint --strict charts/scriptix-operator; \
		"$$helm" package charts/scriptix-operator --destination dist

.PHONY: renders
renders: install ## write tests/chart/renders anew from the chart; read the difference before you commit it
	@.venv/bin/python -m tests.chart.renders

.PHONY: image
image: ## the operator's image and its SBOM, with docker, podman or buildah; IMAGE=, BASE_IMAGE=, BUILDER=
	@image/build.sh

.PHONY: fuzz
fuzz: install ## hostile replies and manifests, thousands of new ones, some ten minutes; ARGS="-k status" chooses
	@HYPOTHESIS_PROFILE=fuzz .venv/bin/pytest tests/fuzz --timeout 3600 $(ARGS)

.PHONY: requirements
requirements: install ## pin what pyproject.toml and requirements/*.in ask for; UPGRADE=1 takes newer versions
	@$(COMPILE) pyproject.toml -o requirements/runtime.txt
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) requirements/go.in -o requirements/go.txt

.PHONY: crd
crd: install ## write the CustomResourceDefinition from the models, for crds/ and the chart
	@.venv/bin/scriptix-operator crd >$(CRD).new || { rm -f $(CRD).new; exit 1; }
	@cp $(CRD).new $(CHART_CRD)
	@mv $(CRD).new $(CRD)

.PHONY: gitops
gitops: install ## write what is made from gitops/argocd's Lua files: the argocd-cm snippet and test data
	@.venv/bin/python -m tests.gitops.customizations

.PHONY: docs
docs: install ## write docs/failures.md from the table of failures in the code
	@.venv/bin/python $(print_failures_page) >$(FAILURES_PAGE).new || { rm -f $(FAILURES_PAGE).new; exit 1; }
	@mv $(FAILURES_PAGE).new $(FAILURES_PAGE)
