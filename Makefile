# python-shipper: `make` alone lists the targets. STACK=elk or STACK=embedded insists on one stack.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
.DEFAULT_GOAL := help
.PHONY: help up down status logs backup restore demo test lint check bench load faults clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: $(VENV)/run ## Launch the stack: ELK where Docker can run it, else the embedded one
	@$(BIN)/shipper up

down: $(VENV)/run ## Stop the stack; nothing is left running
	@$(BIN)/shipper down

status: $(VENV)/run ## Show what runs, how far behind it is, and where it listens
	@$(BIN)/shipper status

logs: $(VENV)/run ## Follow the newest log lines
	@$(BIN)/shipper tail

backup: $(VENV)/run ## Back the ELK stack's logs up now (it does so by itself every night)
	@$(BIN)/shipper stack backup

restore: $(VENV)/run ## Restore a backup beside what is there: NAME=… or the newest
	@$(BIN)/shipper stack restore $(NAME)

demo: $(VENV)/run ## Start everything, drive traffic, find a failed order by its trace id
	@$(BIN)/shipper demo

test: $(VENV)/dev ## Install what the tests need, then run all of them
	@sh tests/install.sh
	@$(BIN)/pytest

lint: $(VENV)/dev ## Lint, format and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

check: lint ## Lint, types and fast tests
	@$(BIN)/pytest -q -m "not slow" --numprocesses auto

bench: $(VENV)/bench ## Measure against the peers and the floor
	@for each in emit embedded; do $(BIN)/python benchmarks/$$each.py || exit 1; done

load: $(VENV)/bench ## The example service under 1,000 requests a second, two minutes a contender
	@$(BIN)/python benchmarks/load.py

faults: $(VENV)/dev ## The long fault suite: kills, full disks, damage, clocks
	@FAULTS=long $(BIN)/pytest tests/faults

clean: ## Remove the virtual environment, caches and the stack's data; asks first
	@[ ! -x $(BIN)/shipper ] || $(BIN)/shipper down --quiet
	@printf 'Remove .venv, caches and data/ (the embedded store)? [y/N] ' && read answer && [ "$$answer" = y ]
	@[ ! -x $(BIN)/shipper ] || $(BIN)/shipper stack erase
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis data

# One environment, grown by what a target needs; a stamp a set, made again when its list changes.
$(VENV)/run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the stack needs (once) …"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the tests need (once) …"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/run

$(VENV)/bench: benchmarks/requirements.txt $(VENV)/dev
	@$(PIP) --requirement benchmarks/requirements.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "$(PYTHON): Python 3.11 or newer is needed; install it, or name one: make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; install its venv package (Debian: python3-venv)" >&2; exit 2; }
