# Everything happens in .venv beside this file: uv when it is there, else venv and pip.
PYTHON ?= python3
BIN := .venv/bin
# Without compiled files every process takes half as long again to start.
unexport PYTHONDONTWRITEBYTECODE

# The grammar of AL asks for a newer Python than it needs. On a machine that it was not built for, its tests are left out.
AL := tree-sitter-al==4.5.0 --no-deps --only-binary=:all: --python-version 3.12 --upgrade \
  --target $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: demo test lint bench simulate soak storm mutants clean

demo: .venv/ready
	@$(BIN)/koppel demo

# A worker for each core takes file after file: tests of one file share what is slow to start, and the short ones, which
# come last, leave nobody waiting.
test: .venv/ready-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

lint: .venv/ready-dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/mypy

bench: .venv/ready-dev
	@$(BIN)/python -m bench

# make simulate SEEDS=1000 plays the seeds from 0 on, make simulate SEED=17 that one again; with TWICE=1 each twice, to
# see whether the same happens.
simulate: .venv/ready-dev
	@PYTHONPATH=tests:tests/integration $(BIN)/python -m simulation \
	  $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(if $(TWICE),--twice)

# Serve and a worker, people, faults, deaths and restarts, for so many minutes; then nothing may differ.
soak: .venv/ready-dev
	@PYTHONPATH=tests:tests/e2e $(BIN)/python tests/soak.py --minutes $(or $(MINUTES),30) --seed $(or $(SEED),0)

# So many notifications a second, half of them from either system, for so many seconds; nothing may be lost.
storm: .venv/ready-dev
	@PYTHONPATH=tests:tests/e2e $(BIN)/python tests/storm.py --seconds $(or $(SECONDS),60) --rate $(or $(RATE),1000)

# What the tests of the engine do not notice; only functions that changed since the last time are tried again.
mutants: .venv/ready-mutation
	@nice -n 19 $(BIN)/python -m mutmut run --max-children $$($(BIN)/python -c 'import os; print(os.cpu_count())')
	@$(BIN)/python -m mutmut results --all true | $(BIN)/python tests/mutation_score.py

clean:
	rm -rf .venv mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Koppel needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python $(PYTHON) .venv; else $(PYTHON) -m venv .venv; fi
	@touch $@

.venv/ready: .venv/python pyproject.toml
	@echo "Setting up (once)..."
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python -e .; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e .; fi
	@touch $@

.venv/ready-dev: .venv/ready
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python --group dev; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' && \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev; fi
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(AL); \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check $(AL); fi || true
	@touch $@

.venv/ready-mutation: .venv/ready-dev
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python --group mutation; \
	  else $(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutation; fi
	@touch $@
