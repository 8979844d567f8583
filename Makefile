# `make help` lists what there is. Every target makes .venv itself, and is quick the second time.
PYTHON ?= python3.11
VENV := .venv/.installed
export PYTHONPATH := $(CURDIR)
STACK_OPTIONS = $(if $(PROJECT),--project "$(PROJECT)") $(foreach one,$(PARAMETERS),--parameter "$(one)") $(if $(YES),--yes)

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(VENV): requirements.txt
	@echo "installing requirements.txt into .venv"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python requirements.txt
	@touch $@

demo: $(VENV) ## shadow real flights for two months, then three days under Airflow's scheduler
	@.venv/bin/python -m include.embedded demo

test: $(VENV) ## all tests but the slow simulations
	@.venv/bin/python -m pytest -q -m "not slow" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(VENV) ## the simulations of error rates and power
	@.venv/bin/python -m pytest -q -m slow

bench: $(VENV) ## how often policies err and how long they take, simulated
	@.venv/bin/python -m tests.simulation

lint: $(VENV) ## ruff, mypy and cfn-lint
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/cfn-lint include/infrastructure/shadow.yaml

env: ## write the secrets that docker compose needs into .env, where they are missing, and print the login
	@python3 -m include.embedded.env_file

deploy: $(VENV) ## make deploy ENV=dev: show what would change on AWS, ask, do it (PARAMETERS="NAME=VALUE ...", YES=1)
	@.venv/bin/python -m include.infrastructure.stack deploy "$(ENV)" $(STACK_OPTIONS)

destroy: $(VENV) ## make destroy ENV=dev: show what goes and what is kept, ask, delete the stack (YES=1)
	@.venv/bin/python -m include.infrastructure.stack destroy "$(ENV)" $(STACK_OPTIONS)

up: $(VENV) ## start Airflow on the demo's data and print the login
	@.venv/bin/python -m include.embedded up

down: $(VENV) ## stop what up or demo left running
	@.venv/bin/python -m include.embedded down

clean: ## stop everything and remove the demo's data and the trained models
	@if test -x .venv/bin/python; then .venv/bin/python -m include.embedded down; fi
	@rm -rf .shadow include/models .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock: $(VENV) ## renew requirements.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade pyproject.toml --group dev -o requirements.txt

.PHONY: help demo test test-slow bench lint env deploy destroy up down clean lock
