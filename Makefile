# `make help` lists what there is. Every target makes .venv itself, and is quick the second time.
PYTHON ?= python3.11
VENV := .venv/.installed
# Airflow starts a process for each task, which would compile all of Airflow anew where this is set, as in many images.
unexport PYTHONDONTWRITEBYTECODE
# One more than there are cores: many tests wait for a database, a scheduler or a model that hangs.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
TESTS = -m pytest -q -m "not slow" -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(VENV): requirements.txt pyproject.toml
	@echo "installing requirements.txt into .venv"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python requirements.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV) ## shadow real flights for ten weeks, then three days under Airflow's scheduler
	@.venv/bin/python -m shadow_demo demo

test: $(VENV) ## all tests but the slow simulations
	@.venv/bin/python $(TESTS)

test-unit: $(VENV) ## the unit tests, without a database or Airflow
	@.venv/bin/python -m pytest -q -m "not slow" -n 2 tests/unit

test-slow: $(VENV) ## the simulations of error rates and power
	@.venv/bin/python -m pytest -q -m slow

coverage: $(VENV) ## the share of the engine's branches that the tests take; fails below 95 %
	@.venv/bin/python -m coverage erase
	@.venv/bin/python -m coverage run $(TESTS)
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m tests.branches

mutants: $(VENV) ## change what decides in every small way, and list what no unit test notices (MUTANTS="statistics.margin ...")
	@OPENBLAS_NUM_THREADS=1 nice -n 10 .venv/bin/python -m pytest -q -s -p tests.mutants -p no:xdist -p no:cacheprovider \
	  --timeout=0 --tb=native --assert=plain -m "not slow" tests/unit/statistics tests/unit/decision \
	  tests/unit/data/test_sampling.py

simulate: $(VENV) ## how often policies err and how long they take, simulated
	@.venv/bin/python -m tests.simulation
	@.venv/bin/python -m tests.left_out
	@.venv/bin/python -m tests.units
	@.venv/bin/python -m tests.families

bench: $(VENV) ## what all this costs, beside what the same work costs without it (BENCH="NAME ... --quick")
	@.venv/bin/python -m tests.bench $(BENCH)

reference: $(VENV) ## write include/deployments/README.md from the schema of deployment files
	@.venv/bin/python -m shadow_deployment.config.reference include/deployments

lint: $(VENV) ## ruff, mypy, import-linter, bandit and cfn-lint, and whether the reference is current
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/bandit --quiet --recursive --configfile pyproject.toml include dags plugins
	@.venv/bin/cfn-lint include/infrastructure/shadow.yaml
	@.venv/bin/python -m shadow_deployment.config.reference include/deployments --check

audit: $(VENV) ## ask PyPI for known vulnerabilities of what is installed (needs its JSON API; fails where it cannot ask)
	@.venv/bin/uv tool run --quiet "pip-audit>=2.10" --strict --disable-pip --no-deps --requirement requirements.txt

compat: $(VENV) ## a day of the demo on other releases of Airflow, by their constraints (CONSTRAINTS=FOLDER)
	@.venv/bin/python -m tests.compat

test-engines: $(VENV) ## the contract of sources on a real Spark Connect server (needs Java; installs Spark into .shadow)
	@.venv/bin/python -m tests.engines test

bench-engines: $(VENV) ## a sample of a large log by Spark, beside its own count and hash (needs Java; SIZE="--quick")
	@.venv/bin/python -m tests.engines bench $(SIZE)

env: ## write the secrets that docker compose needs into .env, where they are missing, and print the login
	@python3 include/shadow_demo/env_file.py

deploy: $(VENV) ## make deploy ENV=dev: show what would change on AWS, ask, do it (PARAMETERS="NAME=VALUE ...", YES=1)
	@include/infrastructure/stack.sh deploy

destroy: $(VENV) ## make destroy ENV=dev: show what goes and what is kept, ask, delete the stack (YES=1)
	@include/infrastructure/stack.sh destroy

package: $(VENV) ## make package ENV=dev: write what the bucket of an MWAA environment holds into .shadow/mwaa-dev
	@.venv/bin/python include/infrastructure/package.py

up: $(VENV) ## start Airflow on the demo's data and print the login
	@.venv/bin/python -m shadow_demo up

down: $(VENV) ## stop what up or demo left running
	@.venv/bin/python -m shadow_demo down

clean: ## stop everything and remove the demo's data and the trained models
	@if test -x .venv/bin/python; then .venv/bin/python -m shadow_demo down; fi
	@rm -rf .shadow include/models .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* mutants

lock: $(VENV) ## renew requirements.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade pyproject.toml --extra all --group dev -o requirements.txt

.PHONY: help demo test test-unit test-slow coverage mutants simulate bench reference lint audit compat test-engines bench-engines env deploy destroy package up down clean lock
