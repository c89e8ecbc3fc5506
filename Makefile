# `make` lists the targets. Needs Python 3.11 with pip, and make.
PYTHON ?= python3.11
VENV := .venv
PORT ?= 5000
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --editable
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# Every job is a process of its own, which would compile torch's modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help maze video smoke show why verify gpu test test-full test-slurm format docs ui tracking-rebuild
.PHONY: lint lint-style lint-types lint-workflow

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/stamp: pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) '.[dev]'
	touch $@

$(VENV)/stamp-video: $(VENV)/stamp
	$(PIP_INSTALL) '.[dev,video]'
	touch $@

$(VENV)/stamp-ui: $(VENV)/stamp
	$(PIP_INSTALL) '.[dev,ui]'
	touch $@

$(VENV)/stamp-slurm: $(VENV)/stamp
	$(PIP_INSTALL) '.[dev,slurm]'
	touch $@

maze: $(VENV)/stamp ## results/maze/metrics.csv and the pictures
	snakemake --quiet rules host

video: $(VENV)/stamp-video ## the tables, pictures and report of results/video/
	snakemake --quiet rules host -- video

smoke: $(VENV)/stamp ## the maze's pipeline at toy size, in about four minutes, in results-smoke/
	snakemake --workflow-profile profiles/smoke --quiet rules host

show: $(VENV)/stamp ## a variant beside its parent: changes, artifacts, what would run, figures (VARIANT=k4)
	@python -m interdiff.workflow.show $(VARIANT)

why: $(VENV)/stamp ## what would run, why, and what it will cost (PROFILE=wan; ARGS='options or targets for snakemake')
	@python -m interdiff.workflow.why $(if $(filter wan%,$(PROFILE)),video) $(if $(PROFILE),--workflow-profile profiles/$(PROFILE)) $(ARGS)

verify: $(VENV)/stamp ## check results/ against what was recorded when it was made (ARGS=another-folder)
	@python -m interdiff.workflow.verify $(ARGS)

# Two workers on two cores: more threads would only wait for each other.
test test-full: export OMP_NUM_THREADS := 1

test: $(VENV)/stamp-video ## run the tests
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not full and not slurm'

test-full: $(VENV)/stamp-video ## run the tests with their long versions
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slurm'

test-slurm: $(VENV)/stamp-slurm ## run the pipeline through a SLURM of this machine alone
	tests/slurm/install.sh
	python -m pytest -m slurm tests/slurm

gpu: $(VENV)/stamp-video ## on a GPU, in eight minutes: smoke run, resume, leases, speed and memory at Wan's size (OUT=gpu.json)
	python -m benchmarks.gpu $(or $(OUT),gpu.json)

lint: lint-style lint-types lint-workflow ## check style, types and workflow

lint-style: $(VENV)/stamp
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules

lint-types: $(VENV)/stamp
	mypy

lint-workflow: $(VENV)/stamp
	snakemake --lint

format: $(VENV)/stamp ## format the sources
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

docs: $(VENV)/stamp ## the configuration's schema and key reference, in docs/
	python -m interdiff.workflow.config_reference docs

ui: $(VENV)/stamp-ui ## MLflow on http://127.0.0.1:5000, with a link that compares all variants (PORT=5000 RESULTS=results)
	python -m interdiff.workflow.tracking.runs ui --port $(PORT) $(if $(RESULTS),--results $(RESULTS))

tracking-rebuild: $(VENV)/stamp ## make MLflow's database anew from the files under results/ (RESULTS=results)
	python -m interdiff.workflow.tracking.runs rebuild $(if $(RESULTS),--results $(RESULTS))
