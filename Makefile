# Targets for newcomers: `make train`, `make test`, `make help`. Everything runs in a virtual environment of its own.
VENV ?= .venv
PYTHON ?= python3
ARGS ?=
BIN := $(VENV)/bin
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist worksteal
INSTALLED := $(VENV)/.installed
unexport PYTHONDONTWRITEBYTECODE  # the tests start the commands a hundred times

.DEFAULT_GOAL := help
.PHONY: help install train test test-all test-slurm lint check format bench build clean

help:  ## list the targets
	@echo 'usage: make TARGET [ARGS="..."] [PYTHON=python3.12] [VENV=.venv]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@echo 'example: make train ARGS="model=full_covariance objective.beta=2"'

install: $(INSTALLED)  ## make the virtual environment with pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "make: $(PYTHON) is not Python 3.11 to 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "making $(VENV) with pinned packages: some minutes, about 6 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

train: install  ## train and evaluate, by default a VAE on MNIST; ARGS are overrides
	$(BIN)/vae-train $(ARGS)

test: install  ## run the tests (under five minutes on two quiet cores)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-all: install  ## run the slow tests, too (about half an hour on two quiet cores)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not slurm and not gpu' $(ARGS)

test-slurm: install  ## run the tests on SLURM: two nodes on this machine, installed and started if there are none (root)
	tests/slurm/cluster.sh run $(BIN)/python -m pytest tests/slurm -m slurm $(ARGS)

lint: install  ## lint, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright

check: lint test  ## lint, then test

format: install  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install  ## measure speed against a plain loop, Lightning with a DataLoader, and pythae
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m vae_cli.commands.benchmark $(ARGS)

build: install  ## build the wheel and the sdist into dist/
	$(BIN)/python -m build

clean:  ## remove the virtual environment and what was built; outputs/ stays
	rm -rf $(VENV) dist
