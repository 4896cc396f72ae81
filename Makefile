# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench chaos clean

# The package alone, as a user would have it.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "batchml needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { echo "no venv module: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# What the tests and the gates need besides.
$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/python -m batchml --registry sqlite:///demo.db run docs/examples/quickstart.toml

test: $(VENV)/.dev
	@tests/services/install.sh
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmark -s --run-benchmarks $(ARGS)

# Ten minutes of torment for each database; SEED=7 MINUTES=3 DATABASE=postgresql repeats and narrows it.
chaos: $(VENV)/.dev
	SEED="$(SEED)" MINUTES="$(or $(MINUTES),10)" DATABASE="$(DATABASE)" CHAOS_REPORTS="$(CURDIR)/build/chaos" \
	$(BIN)/python -m pytest tests/chaos $(ARGS)

clean:
	rm -rf $(VENV) build dist demo.db demo.db-* demo.db.*
