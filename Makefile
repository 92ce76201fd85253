# The commands of the project. Each installs what it needs into $(VENV), pinned by version and hash.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

.PHONY: demo test lint bench soak schema lock clean

demo: $(VENV)/.lab
	$(BIN)/area4 demo $(ARGS)

test: $(VENV)/.dev
	sh tests/tools/ensure.sh
	$(BIN)/python -m pytest -m "not soak and not benchmark" -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev
	sh tests/tools/ensure.sh
	$(BIN)/python -m tests.benchmarks $(ARGS)

soak: $(VENV)/.dev
	sh tests/tools/ensure.sh
	$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS)

schema: $(VENV)/.dev
	$(BIN)/area4 schema --write docs/schema

# Resolves anew; the only target that changes pinned versions.
lock: $(VENV)/.dev
	for set in "dev --extra lab --group dev" "lab --extra lab --group build" "gateway --group build"; do \
	    name=$${set%% *}; \
	    $(BIN)/uv pip compile pyproject.toml $${set#* } --universal --python-version 3.11 --generate-hashes --upgrade \
	        --no-header --no-annotate -o requirements/$$name.txt \
	        $$([ $$name = dev ] || echo --constraints requirements/dev.txt) >/dev/null || exit 1; \
	done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.lab: requirements/lab.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lab.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.lab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

clean:
	rm -rf $(VENV) .demo
