# Two commands for a new machine: `make reproduce` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SYSTEM_CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help install dev reproduce test test-fast test-learning test-slow test-browser check format bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch numpy
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[joblib,report,tensorboard]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[joblib,report,tensorboard,hub,dev]'
	touch $@

install: $(VENV)/.installed  ## a virtual environment with what `reproduce` and sweeps need

dev: $(VENV)/.installed-dev  ## and what tests and checks need

reproduce: install  ## train 2 models x 2 seeds on SCAN and print published against ours (under 10 minutes on 2 cores)
	$(BIN)/seq2seq-ablate ablation=scan_primitives 'ablation.seeds=[1,2]' committed=null hydra/launcher=joblib

test: test-fast test-learning  ## all tests but the long suites (under 10 minutes on 2 cores)

test-fast: dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(SYSTEM_CORES) -m 'not slow and not very_slow'

test-learning: dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(SYSTEM_CORES) -m 'slow and not very_slow'

test-slow: dev  ## the long statistical and fault-injection suites
	mkdir -p build && rm -f build/faults.md
	SEQ2SEQ_FIGURES=build/faults.md OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -q -n $(SYSTEM_CORES) -m very_slow --timeout 3600
	mv build/faults.md benchmarks/faults.md

test-browser: dev  ## the pages of reports in headless Chromium (needs one: apt-get install chromium)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/reports/test_page_in_browser.py

check: dev  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## throughput of training and search beside the machine's measured peak
	$(BIN)/seq2seq-benchmark

clean:  ## remove the virtual environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
