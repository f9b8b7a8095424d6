# The commands that people, hooks and CI share. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export OMP_NUM_THREADS ?= 1
BIN := .venv/bin
FAST := not e2e and not browser and not slow and not chaos
KILLS ?= 40
SEED ?= 1

.PHONY: help demo demo-clean test chaos fast check lint format app test-env label-studio system renew release clean

help:  ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | column -t -s '|'

demo: app label-studio  ## Label Studio with a live queue, on this machine (IMAGES=folder LABELS=a,b, LS_PORT=8080 for Label Studio, PORT=9090 for LabelQueue)
	@env -u OMP_NUM_THREADS $(BIN)/python -m scripts.demo

demo-clean:  ## forget the demo's projects, labels and settings
	@$(BIN)/python -m scripts.demo --clean

test: lint label-studio system  ## what `check` looks at, then every test, the end-to-end ones included (about 20 minutes on 2 cores)
	@$(BIN)/python -m pytest -m "$(FAST)" -n 2
	@$(BIN)/python -m pytest -m "slow and not e2e and not browser and not chaos" -n 2
	@$(BIN)/python -m pytest -m "(e2e or browser) and not chaos"

chaos: test-env label-studio system  ## kill -9 of every part at random while people work, minutes (KILLS=40 of them, drawn from SEED=1)
	@CHAOS_KILLS=$(KILLS) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -s -m chaos tests/chaos

fast: test-env  ## the tests that need no Label Studio and no browser (about 2 minutes)
	@$(BIN)/python -m pytest -m "$(FAST)" -n 2

check: lint fast  ## format, lint, types, import contracts, fast tests

lint: test-env  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: test-env  ## format the code and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

app:  ## our environment, .venv
	@scripts/env.sh app

test-env:  ## our environment with what the tests need
	@scripts/env.sh test

label-studio:  ## Label Studio 1.23.2 in an environment of its own, .venv-ls
	@scripts/env.sh label-studio

system:  ## Debian packages of the tests: Chromium and PostgreSQL
	@scripts/env.sh system

renew:  ## take today's releases of all packages, write them to scripts/constraints, show what changed; then run `make test`
	@scripts/env.sh renew

release: lint  ## build sdist and wheel into dist/, test the wheel, tag the commit; refuses with uncommitted changes or a used version
	@$(BIN)/python -m scripts.release

clean: demo-clean  ## both environments, caches and the demo
	rm -rf .venv .venv-ls .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
