# What a newcomer needs: `make run` serves the example mesh, `make test` runs every test.
# `make check` runs the gates, `make lock` renews the lock file, `make bench` measures,
# `make manifests` renders the chart for `kubectl apply`, `make demo-datapath` shows packets on their way.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(CURDIR)/.tools
GRPCURL_VERSION := v1.9.3
HELM_VERSION := v3.22.0
export PATH := $(TOOLS):$(PATH)

.PHONY: run test check lint types layers protos-check protos lock bench demo-datapath setup tools manifests clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

run: setup
	$(BIN)/offmesh serve --manifests examples/bookinfo/mesh --cluster-conf examples/bookinfo/cluster-conf.yaml

tools:
	@sh tests/install-tools.sh $(TOOLS) $(GRPCURL_VERSION) $(HELM_VERSION)

test: setup tools
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: lint types layers protos-check

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

protos-check: setup
	$(BIN)/python protos/generate.py --check

protos: setup
	$(BIN)/python protos/generate.py

LOCK := pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --build-deps-for editable \
	--no-header --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/$(LOCK) --output-file requirements.lock pyproject.toml
	$(BIN)/$(LOCK) --extra dev --output-file requirements-dev.lock pyproject.toml

# Needs root, and iptables and ipset.
demo-datapath: setup
	@$(BIN)/python examples/datapath/demo.py

bench: setup
	$(BIN)/python bench/run.py

manifests: tools
	helm template offmesh deploy/charts/offmesh --namespace istio-system > deploy/kubernetes/offmesh.yaml

clean:
	rm -rf $(VENV) $(TOOLS) build dist
