# Every target does its own set-up: a machine needs Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS ?= .venv-peers
# Pinned versions by default; `make test CONSTRAINTS=` takes the newest of everything.
CONSTRAINTS ?= requirements.lock
PIP := $(BIN)/pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
WORKERS ?= 2

.PHONY: help history test test-slow parity battery battery-ci slurm-install slurm-test lint format smoke readme notebooks notebooks-ci bench bench-ci bench-peers gpu screenshot docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

history: $(VENV)/.runtime  ## train the ImageNet history on the embedded data and write runs/history/report.html
	$(BIN)/cnn-jax history --workdir=runs/history

# Tests that have a target of their own.
OTHERS = slurm or battery or notebook or bench

test: $(VENV)/.dev  ## run the tests but for those that take over five seconds
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m "not (slow or $(OTHERS))"

test-slow: $(VENV)/.dev  ## run the tests that take over five seconds: whole runs, and many examples of one property
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m "slow and not ($(OTHERS))"

parity: $(VENV)/.parity  ## compare with PyTorch and Keras; installs them (CPU builds)
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m parity tests/parity

battery-ci: $(VENV)/.dev  ## the battery with a few trials of each kind
	$(BIN)/python -m pytest tests/battery --numprocesses=$(WORKERS) --dist=worksteal

battery: $(VENV)/.dev  ## hurt runs thousands of times: kills, full disks, flipped bits (an hour; as root also full disks)
	CNN_JAX_BATTERY=full CNN_JAX_BATTERY_RESULTS=experiments/results/battery.json \
		$(BIN)/python -m pytest tests/battery --numprocesses=$(WORKERS) --dist=worksteal

slurm-install:  ## as root, with apt: Slurm, where it is missing
	@command -v slurmctld slurmd sbatch > /dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins > /dev/null; }

slurm-test: $(VENV)/.dev slurm-install  ## sweep on a Slurm of one node that the test starts, as root
	$(BIN)/python -m pytest -m slurm tests/sweep

smoke: $(VENV)/.runtime  ## the history in under a minute: every joint, no result worth reading
	$(BIN)/cnn-jax history --workdir=runs/smoke --preset=smoke

lint: $(VENV)/.dev  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev  ## let ruff format and mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/.runtime  ## regenerate the tables of README and docs from the committed results
	$(BIN)/python -m cnn_jax.report.readme
	$(BIN)/python -m cnn_jax.report.readme --readme=docs/performance.md

notebooks-ci: $(VENV)/.dev  ## execute the notebooks, and keep nothing
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m notebook tests/notebooks

notebooks: $(VENV)/.dev  ## execute the notebooks, to runs/notebooks, and redraw the figures of docs/notebooks.md. ONLY="03 07" chooses
	$(BIN)/python scripts/run_notebooks.py --figures $(ONLY)

bench: $(VENV)/.runtime $(PEERS)/.peers  ## measure against Flax, Keras and PyTorch on the CPU (an hour and more, of an idle machine)
	$(BIN)/cnn-jax bench cpu --output=runs/bench

bench-ci: $(VENV)/.dev  ## the benchmarks at the size of a test
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m bench tests/bench

bench-peers: $(PEERS)/.peers  ## the environment of the benchmarks' peers

gpu:  ## benchmarks for a GPU and claims at the papers' scale, to runs/gpu; 9.5 minutes a call. ONLY="G2 degradation" chooses
	scripts/gpu.sh $(ONLY)

screenshot: $(VENV)/.runtime  ## docs/report.png from runs/history/report.html; needs Chromium
	$(BIN)/python scripts/screenshot.py

docs: $(VENV)/.docs  ## write the documentation to site/, which opens from the file system
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo site/index.html

lock: $(VENV)/.parity  ## write the versions in use to requirements.lock
	$(BIN)/pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel | grep -vE '@|^-' | sed 's/+cpu$$//' > requirements.lock

clean:  ## remove the environment; runs and caches stay
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.parity: $(VENV)/.dev
	$(PIP) --editable '.[dev,parity]'
	@touch $@

$(VENV)/.docs: $(VENV)/.runtime
	$(PIP) --editable '.[docs]'
	@touch $@

$(PEERS)/.peers: $(CONSTRAINTS)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) \
		torch==2.13.0 keras jax flax optax
	@touch $@
