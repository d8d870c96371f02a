# `make demo` and `make test` need only make and Python 3.12 to 3.14; `make help` lists the rest.
# PYTHON=/path/to/python chooses the interpreter, ARGS="-k name" goes on to pytest and to `workbench demo`.

VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin
PIP := -m pip install -qq --disable-pip-version-check --no-warn-script-location
export PYTHONNOUSERSITE := 1

.DEFAULT_GOAL := help
.PHONY: help demo test slow lint format lock environment bench clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.stamp ## calibrate the theophylline study and write its report
	@$(BIN)/workbench demo $(ARGS) || [ $$? -eq 3 ] # 3: the report is written, and strikes out what its card doubts

test: $(VENV)/.stamp ## run the tests, all but the slow ones
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(ARGS)

slow: $(VENV)/.stamp ## run the slow tests
	@$(BIN)/python -m pytest -n auto --dist loadfile -m slow $(ARGS) || [ $$? -eq 5 ] # 5: no test is slow

lint: $(VENV)/.stamp ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.stamp ## mend what can be mended without thinking
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: $(VENV)/.stamp ## pin again what pyproject.toml asks for; ARGS=--upgrade takes newer versions
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --all-extras --group dev \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(ARGS) --output-file requirements.lock \
		pyproject.toml

environment: $(VENV)/.stamp ## write environment.yml from pyproject.toml
	@$(BIN)/python tools/environment.py

bench: $(BENCH)/.stamp ## run the benchmarks beside their peers (Stan's needs Python 3.12 and a C++ compiler)
	@for name in startup gradient lynx_hare engine.stiff engine.nonstiff engine.ensemble engine.robertson engine.adjoint; do \
		$(BENCH)/bin/python -m benchmarks.$$name $(ARGS) || exit 1; done

clean: ## remove the environments, caches and builds
	rm -rf $(VENV) $(BENCH) build dist .pytest_cache .ruff_cache .mypy_cache

# The stamp is written last, so an interrupted set-up is taken up again at the next make.
$(VENV)/.stamp: requirements.lock pyproject.toml
	@PYTHON=$(BIN)/python sh tools/find_python.sh >/dev/null 2>&1 || { \
		python=$$(PYTHON="$(PYTHON)" sh tools/find_python.sh) && \
		echo "Making the environment in $(VENV) with $$python (once, a few minutes) ..." && \
		"$$python" -m venv --clear $(VENV); }
	@$(BIN)/python $(PIP) --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH)/.stamp: requirements.lock pyproject.toml
	@python=$$(PYTHON="$(PYTHON)" sh tools/find_python.sh 3.12) && "$$python" -m venv --clear $(BENCH)
	@$(BENCH)/bin/python $(PIP) --no-deps --require-hashes --requirement requirements.lock
	@$(BENCH)/bin/uv pip install --quiet --python $(BENCH) --group bench --editable .
	@touch $@
