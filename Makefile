# Fleetowl for people: every target makes what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/.peers/usr/bin:$(PATH)
# Without its bytecode each worker of pytest, and each program that a test starts, compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo install test acceptance lint bench detection dist requirements peers

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP) ## Watch this host: agent and analyzer in one process, on http://127.0.0.1:9480
	@exec $(BIN)/fleetowl up

demo: $(STAMP) ## A simulated cluster, one fault, told as a story (no GPU, no network)
	@exec $(BIN)/fleetowl demo

install: ## Only what the agent and the analyzer need, in .venv (for systemd, see deploy/systemd)
	$(call venv,requirements/analyzer.txt)

test: $(STAMP) peers ## Unit, property and peer tests (under 3 minutes)
	$(BIN)/pytest -n auto --dist worksteal -m "not acceptance and not gpu" --ignore=tests/acceptance

acceptance: $(STAMP) peers ## Real time, kills, minutes of real peers (under 10 minutes)
	$(BIN)/pytest -n 2 --dist loadfile -m "acceptance and not gpu" tests

lint: $(STAMP) ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) peers ## The measurements of bench/, each beside a named peer
	@for one in codec window rules promql tick agent alerts detectors entities peers demo; do echo "== $$one"; $(BIN)/python -m bench.$$one || exit 1; done

detection: $(STAMP) ## How well the detectors do on labelled series: make detection DATA=DIR (docs/detection.md)
	$(BIN)/python -m bench.detection --data "$(DATA)"

dist: $(STAMP) ## A wheel in dist/
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip -q
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w dist .

# Which extras go to which file; hashed, without an index address, for uv and pip alike.
requirements: ## Resolve requirements/*.txt again (needs uv)
	echo 'setuptools>=75,<83' | uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --python-version 3.11 - -o requirements/build.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 pyproject.toml -o requirements/agent.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 --extra analyzer pyproject.toml -o requirements/analyzer.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 --all-extras pyproject.toml -o requirements/dev.txt

peers: ## Fetch the real tools that tests compare with into .peers/ (Debian packages, not installed)
	@bash tests/peers.sh

# Makes .venv from a requirements file: with uv if it is there, else with venv and pip.
define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Fleetowl needs Python 3.11 or later; on Debian or Ubuntu: apt-get install python3.11 python3.11-venv"; exit 2; }
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/build.txt -r $(1) && uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }; \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt -r $(1) && $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
endef

$(STAMP): requirements/dev.txt pyproject.toml
	$(call venv,requirements/dev.txt)
	@touch $@
