# Everything here makes its own virtual environment in .venv first, so `make demo` works in a fresh clone.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.hubq-installed
DEMO   := $(VENV)/.hubq-for-demo

# Tests start hundreds of processes, and each pytest process rewrites every file of tests: without byte code on disk, all of
# them compile all of it again, which is a fifth of the work of a run. (An empty value is as good as none.)
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv demo chaos sim test test-all test-server floors pythons lock check lint bench bench-quick clean

# Make .venv, and install hubq with these extras into it.
define install
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11 or newer, or say make PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: hubq needs Python 3.11 or newer (make PYTHON=...)"; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(LOCKED),-c requirements-dev.lock) -e '.[$(1)]'
	@touch $@
endef

help: ## show this
	@echo "make <target>:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with hubq and everything its tests need (LOCKED=1: in the versions of requirements-dev.lock)

$(STAMP): pyproject.toml
	$(call install,dev)

# A demo needs none of the tools of tests. They take minutes to install.
$(DEMO): pyproject.toml
	$(call install,embedded)

demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO)) ## workers join, drain and die while words are counted; proves that nothing is lost (under a minute)
	$(BIN)/hubq demo

chaos: $(STAMP) ## throw faults at real workers and a real Redis: make chaos SECONDS=1800 SEED=7 (60 s, a new seed)
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) \
	  $(if $(PRIMARIES),--primaries $(PRIMARIES)) $(if $(GROUPS),--groups $(GROUPS))

# Most tests wait more than they work: with four side by side two cores have a third of their time left. All tests, and those of other
# servers, run four at a time: some of them fill the machine. One at a time is handed out, since some are much longer than others.
JOBS   ?= 4
PYTEST  = $(BIN)/python -m pytest -q -n $(JOBS) --maxschedchunk 1

test: JOBS = 6
test: $(STAMP) ## the tests of every day, side by side (JOBS=6; minutes: docs/testing.md)
	$(PYTEST) -m 'not long'

test-all: $(STAMP) ## all tests: those that are long, too (MARK='not server': of these marks)
	$(PYTEST) $(if $(MARK),-m '$(MARK)')

# (Not even collected is where none of them is: tests/conftest.py.)
test-server: $(STAMP) ## all tests that depend on the Redis server, to run them on another one
	$(PYTEST) -m server tests/acceptance tests/chaos tests/cluster tests/contract

SCHEDULES ?= 5000
SEED      ?= 1
sim: $(STAMP) ## thousands of simulated schedules of faults; SCHEDULES=5000 SEED=1 (the first one's; from 1000000 on children rest, from 2000000 on there are groups)
	$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) --seed $(SEED) $(if $(SECONDS),--seconds $(SECONDS))

lint: $(STAMP) ## style, types, and which layer imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

lock: $(STAMP) ## write requirements-dev.lock: the versions of all that tests need, as pip resolves them today
	.ci/lock $(BIN)/python

floors: $(STAMP) ## some tests with the oldest versions that pyproject.toml allows
	.ci/floors $(BIN)/python

pythons: $(STAMP) ## some tests on each other Python from 3.11 to 3.13 that is here
	.ci/pythons $(BIN)/python

check: lint test ## what to run before each commit: lint, then the tests

bench: $(STAMP) ## measure hubq, two bare loops and seven job systems (BENCH="--only messages,peers")
	$(BIN)/python -m benchmarks $(BENCH)

bench-quick: $(STAMP) ## the same with small sizes, once
	$(BIN)/python -m benchmarks --quick $(BENCH)

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
