# Entry points for developers and CI; `make help` lists them. Every target needs a help text.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

METRICS_PAGE := docs/reference/metrics.md
REFERENCE_PAGE := docs/reference/conditions-and-events.md
SETTINGS_PAGE := docs/reference/settings.md
CRD := crds/custommodeltrainings.scriptix.io.yaml
CHART_CRD := charts/scriptix-operator/files/custommodeltrainings.scriptix.io.yaml
STAMP := .venv/.installed

# A PYTHON of another version than .venv's rebuilds .venv; without PYTHON, .venv is kept.
version := -c 'import sys; print(sys.version_info[:2])'
OTHER_PYTHON := $(if $(PYTHON),$(shell \
	[ "$$($(PYTHON) $(version) 2>&1)" = "$$(.venv/bin/python $(version) 2>&1)" ] || echo FORCE))

# Most tests of a running operator wait, so there are three processes for each core. Each has its own
# control plane, 0.6 GB in all. A run of selected tests has one process, unless PROCESSES is set.
PROCESSES ?= $(if $(ARGS),0,$(shell wanted=$$((3 * $$(nproc))); echo $$((wanted < 8 ? wanted : 8))))

COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	$(if $(UPGRADE),--upgrade)

print_reference_page := -c 'from scriptix_operator.core.status.reference_page import reference_page; \
	print(reference_page(), end="")'

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: $(STAMP) ## create .venv with the hash-pinned dependencies; PYTHON=python3.12 selects another Python
	@:

$(STAMP): requirements/runtime.txt requirements/dev.txt requirements/install.sh pyproject.toml $(OTHER_PYTHON)
	@PYTHON="$(PYTHON)" requirements/install.sh
	@touch $@

.PHONY: FORCE
FORCE:

.PHONY: demo
demo: install ## run the operator against a real API server and the simulator; KEEP=1 leaves everything running
	@.venv/bin/python -m demo

.PHONY: test
test: install ## run all tests, with a real control plane; ARGS="-k name" selects some, PROCESSES=0: one by one
	@.venv/bin/pytest --numprocesses=$(PROCESSES) $(ARGS)

.PHONY: test-crash
test-crash: install ## kill the operator at each await of a start: all cases, about ten minutes
	@.venv/bin/pytest tests/crash -m whole $(ARGS)

.PHONY: test-day
test-day: install ## simulate a day of 1,000 resources and 10 keys, with faults, in virtual time: half an hour
	@.venv/bin/pytest tests/virtual -m whole $(ARGS)

.PHONY: campaign
campaign: install ## edit each property, show old states after restarts, continue all recorded runs; SEED=7 repeats
	@export SEED=$(or $(SEED),$$RANDOM); echo "SEED=$$SEED"; .venv/bin/pytest tests/campaign tests/recorded -m "whole or not whole" \
		--numprocesses=$(if $(ARGS),0,$(shell nproc)) $(ARGS)

.PHONY: soak
soak: install ## run real operators with random faults for 10 minutes: nothing grows; ARGS="--minutes 2 --seed 7"
	@.venv/bin/python -m tests.soak $(ARGS)

.PHONY: test-model
test-model: install ## search every order of events around a start, minutes; ARGS=mutations: how wrong protocols fail
	@.venv/bin/python -m tests.model $(ARGS)

.PHONY: test-python
test-python: install ## test watch and leadership on the Python of the image: all of their tests, two minutes
	@.venv/bin/pytest tests/operator/test_image_python.py -m whole $(ARGS)

.PHONY: test-gitops
test-gitops: install ## test with the libraries of Argo CD and Flux; the first run builds Argo CD, about seven minutes
	@tests/gitops/redis.sh
	@.venv/bin/pytest tests/gitops -m gitops --numprocesses=$(if $(ARGS),0,2) $(ARGS)

.PHONY: test-dashboard
test-dashboard: install ## test the queries of the dashboard with a real Prometheus during 20 runs, about two minutes
	@.venv/bin/pytest tests/dashboard -m dashboard $(ARGS)

.PHONY: bench
bench: install ## compare the operator with a fixed interval, in virtual time, minutes; ARGS="eta outage" selects some
	@.venv/bin/python -m bench $(ARGS)

.PHONY: bench-real
bench-real: install ## measure the operator beside a minimal Kopf operator, real processes, an hour; ARGS="plain --runs 1" selects
	@.venv/bin/python -m bench.real $(ARGS)

.PHONY: lint
lint: install ## check style, types, layers, words, known vulnerabilities, and that generated files are current
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	@.venv/bin/python -m tools.check_words
	@.venv/bin/python image/audit.py
	@for file in $(CRD) $(CHART_CRD); do .venv/bin/scriptix-operator crd | diff -u $$file - || \
		{ echo "$$file is not current; run: make crd" >&2; exit 1; }; done
	@.venv/bin/python $(print_reference_page) | diff -u $(REFERENCE_PAGE) - || \
		{ echo "$(REFERENCE_PAGE) is not current; run: make docs" >&2; exit 1; }
	@.venv/bin/python -m tools.metrics_page | diff -u $(METRICS_PAGE) - || \
		{ echo "$(METRICS_PAGE) is not current; run: make docs" >&2; exit 1; }
	@.venv/bin/python -m tools.settings_page | diff -u $(SETTINGS_PAGE) - || \
		{ echo "$(SETTINGS_PAGE) is not current; run: make docs" >&2; exit 1; }
	@if grep -E '^[a-z][a-z-]*:' Makefile | grep -v '## '; then \
		echo "The targets above have no help text; add it in the Makefile behind ##" >&2; exit 1; fi

.PHONY: controlplane
controlplane: install ## find or build etcd, kube-apiserver, kube-controller-manager, kubectl; the last line is their directory
	@.venv/bin/python -m tests.controlplane build

.PHONY: tools
tools: install ## find or build all programs that tests use: control plane, Helm, kubeconform, promtool, Argo CD, Flux's libraries
	@.venv/bin/python -m tests.controlplane build
	@.venv/bin/python -m tests.chart.tools
	@.venv/bin/python -m tests.chart.promtool
	@.venv/bin/python -m tests.gitops.tools

.PHONY: chart
chart: install ## lint the chart and pack it into dist/, with a Helm built from its Go module
	@helm=$$(.venv/bin/python -m tests.chart.tools)/helm; \
		"$$helm" lint --strict charts/scriptix-operator; \
		"$$helm" package charts/scriptix-operator --destination dist

.PHONY: plugin
plugin: install ## build the wheel of the kubectl plugin into dist/
	@.venv/bin/python -m tools.build_plugin dist

.PHONY: renders
renders: install ## render the chart into tests/chart/renders again; review the difference before you commit it
	@.venv/bin/python -m tests.chart.renders

.PHONY: image
image: ## build the operator's image and its SBOM, with docker, podman or buildah; IMAGE=, BASE_IMAGE=, BUILDER=
	@image/build.sh

.PHONY: fuzz
fuzz: install ## test with thousands of new hostile replies and manifests, about ten minutes; ARGS="-k status" selects
	@HYPOTHESIS_PROFILE=fuzz .venv/bin/pytest tests/fuzz --timeout 3600 $(ARGS)

.PHONY: requirements
requirements: install ## pin the dependencies of pyproject.toml and requirements/*.in; UPGRADE=1 takes newer versions
	@$(COMPILE) pyproject.toml --extra tracing -o requirements/runtime.txt
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) requirements/go.in -o requirements/go.txt

.PHONY: crd
crd: install ## write the CustomResourceDefinition from the models, for crds/ and the chart
	@.venv/bin/scriptix-operator crd >$(CRD).new || { rm -f $(CRD).new; exit 1; }
	@cp $(CRD).new $(CHART_CRD)
	@mv $(CRD).new $(CRD)

.PHONY: gitops
gitops: install ## write the files made from gitops/argocd's Lua files: the argocd-cm snippet and test data
	@.venv/bin/python -m tests.gitops.customizations

.PHONY: docs
docs: install ## write the pages of docs/reference that are generated from the code
	@.venv/bin/python $(print_reference_page) >$(REFERENCE_PAGE).new || { rm -f $(REFERENCE_PAGE).new; exit 1; }
	@mv $(REFERENCE_PAGE).new $(REFERENCE_PAGE)
	@.venv/bin/python -m tools.metrics_page >$(METRICS_PAGE).new || { rm -f $(METRICS_PAGE).new; exit 1; }
	@mv $(METRICS_PAGE).new $(METRICS_PAGE)
	@.venv/bin/python -m tools.settings_page >$(SETTINGS_PAGE).new || { rm -f $(SETTINGS_PAGE).new; exit 1; }
	@mv $(SETTINGS_PAGE).new $(SETTINGS_PAGE)
