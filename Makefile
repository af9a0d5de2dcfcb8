# Everything runs in .venv, which make builds as far as a target needs it: `serve` installs the
# serving dependencies alone, `check` adds the tools, and only `test` and `export` add torch.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
ENGINE_ARGS ?=
K8S := build/k8s

# One version, here and in pyproject.toml; no lock holds it, since its builds differ by machine.
TORCH := torch==2.13.0

# The provider's own build of ONNX Runtime, and what its tests import.
OPENVINO := onnxruntime-openvino==1.24.1 openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6 \
	pydantic prometheus_client tokenizers pillow simplejpeg anyio pytest==9.2.0 pytest-timeout \
	blockbuster

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-cache-dir
LOCKED := $(PIP) install --quiet --require-hashes --requirement
COMPILE := $(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# ONNX Runtime's telemetry is on by default; Slipway's is not there at all.
export ORT_DISABLE_TELEMETRY := 1

# Weights and activations in pages of 2 MiB, where Linux gives them to who asks: fewer misses of the
# table that finds memory; see docs/tuning.md.
serve bench: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

# What the head of a lock file names as its maker.
export CUSTOM_COMPILE_COMMAND := make lock

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-container test-k8s check openvino format bench export lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS="…" hands options on, as in: make serve ARGS="--port 9000"'

serve: $(VENV)/.serve ## start the server with the models of model_zoo
	$(BIN)/slipway serve $(ARGS)

test: $(VENV)/.torch ## run all tests (installs torch)
	$(BIN)/python -m pytest $(ARGS)

test-container: $(VENV)/.dev ## build the image and run the stack; installs an engine if need be
	$(BIN)/python -m tests.container.engine $(ENGINE_ARGS) \
		$(BIN)/python -m pytest tests/container tests/monitoring tests/e2e/test_rolling_restart.py \
		$(ARGS)

test-k8s: $(VENV)/.dev $(K8S)/tools/.made $(K8S)/kubectl ## check the manifests of k8s/, run the pod
	SLIPWAY_KUBECTL=$(CURDIR)/$(K8S)/kubectl \
		$(K8S)/tools/bin/python -m tests.k8s.validate $(K8S)/rendered
	SLIPWAY_KUBECTL=$(CURDIR)/$(K8S)/kubectl $(BIN)/python -m tests.k8s.podman \
		$(BIN)/python -m pytest tests/k8s $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

openvino: $(VENV)-openvino/.made ## run the runtime's tests on OpenVINO, in an environment of its own
	$(VENV)-openvino/bin/python -m pytest tests/runtime/test_openvino.py $(ARGS)

format: $(VENV)/.dev ## format the code and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure every figure, in some ten minutes; writes bench/results
	$(BIN)/python -m bench $(ARGS)

export: $(VENV)/.torch ## train, convert, prove and publish: make export ARGS="all --quick"
	$(BIN)/slipway-export $(ARGS)

lock: $(VENV)-lock/.made ## resolve the dependencies anew and write the lock files
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --all-build-deps --only-build-deps --allow-unsafe \
		--output-file requirements-build.lock pyproject.toml
	$(COMPILE) --extra tracing --constraint requirements.lock \
		--output-file requirements-tracing.lock pyproject.toml
	$(COMPILE) --extra export --extra test --extra dev --extra tracing --unsafe-package torch \
		--constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove the environments, caches and build folders
	rm -rf $(VENV) $(VENV)-lock $(VENV)-openvino build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find service export model_zoo bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

# An empty file marks each finished step, so that a repeated call costs nothing and an interrupted
# one starts its step again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Slipway needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.serve: $(VENV)/.made pyproject.toml requirements.lock requirements-build.lock
	$(LOCKED) requirements-build.lock
	$(LOCKED) requirements.lock
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.serve requirements-dev.lock
	$(LOCKED) requirements-dev.lock
	@touch $@

$(VENV)/.torch: $(VENV)/.dev
	$(PIP) install $(TORCH)
	@touch $@

# onnxruntime-openvino and onnxruntime share one module name: never both in one environment.
$(VENV)-openvino/.made: requirements-dev.lock
	$(PYTHON) -m venv $(VENV)-openvino
	$(VENV)-openvino/bin/python -m pip install --quiet --no-cache-dir $(OPENVINO)
	@touch $@

$(K8S)/tools/.made: tests/k8s/tools.lock
	$(PYTHON) -m venv $(K8S)/tools
	$(K8S)/tools/bin/python -m pip --disable-pip-version-check --no-cache-dir install --quiet \
		--require-hashes --requirement tests/k8s/tools.lock
	@touch $@

$(K8S)/kubectl:
	tests/k8s/fetch_kubectl.sh $@

$(VENV)-lock/.made:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	@touch $@
