# `make` lists what there is. Every target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := cluster/constraints.txt
SOURCES := arena_ray plugins runners tests
WITHOUT_RAY := tests/unit tests/process tests/contract tests/docs
WITH_RAY := tests/ray tests/cluster tests/e2e
DEMO := cluster/examples/pbt_cartpole.yaml
UPSTREAM_HOME := $(CURDIR)/var/upstream
PROOF := cluster/examples/ppo_cartpole.yaml

.DEFAULT_GOAL := help
.PHONY: help setup demo prove format lint type test test-unit test-full test-upstream gpu-check bench build check-wheel clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-13s %s\n", $$1, $$2 }'

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "arena_ray needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	# torch alone and first: asked for by another package, pip would take a build with CUDA, several GB of it
	$(PIP) install --quiet -c $(CONSTRAINTS) torch
	$(PIP) install --quiet -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

setup: $(READY) ## Create the environment in .venv

demo: $(READY) ## Race four runs of ppo on CartPole-v1 by population-based training, deploy the best (KEEP=1 keeps all up)
	$(BIN)/arena run $(DEMO) $(if $(KEEP),--keep)

prove: $(READY) ## Train ppo on CartPole-v1, kill it half-way, resume it, prove that nothing was lost (KEEP=1 keeps the cluster)
	$(BIN)/arena prove $(PROOF) $(if $(KEEP),--keep)

format: $(READY) ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(READY) ## Check format and style
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

type: $(READY) ## Check types
	$(BIN)/mypy

test: $(READY) ## Run the test suite
	$(BIN)/pytest -m "not slow" -n 2 $(WITHOUT_RAY)
	$(BIN)/pytest -m "not slow" $(WITH_RAY)

test-unit: $(READY) ## Run the tests that need no Ray
	$(BIN)/pytest -m "not slow" -n 2 $(WITHOUT_RAY)

test-full: $(READY) ## Run everything: chaos, soak and the full exactness matrix too
	$(BIN)/pytest -n 2 $(WITHOUT_RAY)
	$(BIN)/pytest $(WITH_RAY)

gpu-check: $(READY) ## Check what only a GPU can show: resume on CUDA, a warm fork that uses it, runs that share one
	$(BIN)/pytest -rs tests/gpu

test-upstream: $(READY) ## Kill and resume original scripts, on their Gymnasium and on today's (UPSTREAM=DIR, a clone of CleanRL)
	@test -d "$(UPSTREAM)/cleanrl" || { echo "name a clone of CleanRL: make test-upstream UPSTREAM=DIR"; exit 2; }
	ARENA_HOME=$(UPSTREAM_HOME) $(BIN)/arena runners setup cleanrl --from "$(UPSTREAM)"
	UPSTREAM="$(UPSTREAM)" UPSTREAM_PYTHON=$(UPSTREAM_HOME)/var/training/runners/cleanrl/environment/bin/python \
		OMP_NUM_THREADS=1 $(BIN)/pytest tests/upstream

bench: $(READY) ## Measure against the bare script, Ray's own PBT and bare Ray Serve, side by side (ONLY=pbt: one topic)
	$(BIN)/python tests/bench/run.py $(ONLY)

build: $(READY) ## Build the wheel and the source distribution into dist/
	$(PIP) install --quiet build
	$(BIN)/python -m build

check-wheel: build ## Install the wheel into a clean environment and ask it for its help
	rm -rf dist/check && $(PYTHON) -m venv dist/check
	dist/check/bin/python -m pip install --quiet -c $(CONSTRAINTS) torch
	dist/check/bin/python -m pip install --quiet -c $(CONSTRAINTS) dist/*.whl
	cd dist/check && bin/arena --help >/dev/null && bin/arena runners && bin/arena plugins

clean: ## Remove the environment and what was built; var/ stays
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
