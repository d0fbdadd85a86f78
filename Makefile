# `make` alone says what there is. Each install leaves a stamp in the virtual environment, so that it happens once,
# and again when pyproject.toml or constraints.txt changed.
VENV ?= .venv
PYTHON ?= python3
PYTEST_ARGS ?= -n auto --maxprocesses 8

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt -e
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
VOICES := $(VENV)/.installed-voices
SYNTHESISERS := espeak-ng flite festival

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## install the runtime and find a word in a recording
	@$(BIN)/earmark demo

test: $(DEV) $(VOICES) ## install what development needs and run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

quick: $(DEV) ## every test that takes less than five seconds
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

check: $(DEV) ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV) ## write the formatting and what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove caches and built packages; the virtual environment stays
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "earmark needs Python 3.11 or newer; for example: make PYTHON=python3.12 demo")'
	@echo "creating $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing the runtime …"
	@$(INSTALL) ".[plots]"
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing what development needs (torch among it; this takes minutes the first time) …"
	@$(INSTALL) ".[dev]"
	@touch $(RUNTIME) $@

# Tests of synthetic speech skip where a synthesizer is missing, so a failure here is told and does not stop the tests.
$(VOICES): | $(BIN)/pip
	@missing=; for tool in $(SYNTHESISERS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ]; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing …"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $(SYNTHESISERS) festvox-kallpc16k; } >/dev/null \
			&& touch $@ || echo "they could not be installed: tests of synthetic speech will skip"; \
	else echo "not installed:$$missing; tests of synthetic speech will skip"; fi
