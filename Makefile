# `make` lists the targets. Needs Python 3.11 with pip, and make.
PYTHON ?= python3.11
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help maze smoke test test-full test-slurm lint format ui

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/stamp: pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/stamp-ui: $(VENV)/stamp
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,ui]'
	touch $@

$(VENV)/stamp-slurm: $(VENV)/stamp
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,slurm]'
	touch $@

maze: $(VENV)/stamp ## results/maze/metrics.csv and the pictures
	snakemake --quiet rules host

smoke: $(VENV)/stamp ## the whole pipeline in about two minutes, in results-smoke/
	snakemake --workflow-profile profiles/smoke --quiet rules host

test: $(VENV)/stamp ## run the tests
	python -m pytest -m 'not full and not slurm'

test-full: $(VENV)/stamp ## run the tests with their long versions
	python -m pytest -m 'not slurm'

test-slurm: $(VENV)/stamp-slurm ## run the pipeline through a SLURM of this machine alone
	tests/slurm/install.sh
	python -m pytest -m slurm tests/slurm

lint: $(VENV)/stamp ## check style and workflow
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

format: $(VENV)/stamp ## format the sources
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

ui: $(VENV)/stamp-ui ## MLflow's view of all runs, on http://127.0.0.1:5000
	mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///$(CURDIR)/results/mlflow.db
