# Everything runs from a fresh clone with Python >= 3.11 and a package registry; nothing else is needed.
# All paths are relative, so a checkout whose own path has spaces works too.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first of these that runs and is new enough; `make demo PYTHON=/path/to/python` says otherwise.
FIND_PYTHON = for p in python3.11 python3 python3.12 python3.13 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done; true
PYTHON ?= $(shell $(FIND_PYTHON))

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install -qq --root-user-action=ignore -c constraints.txt
SERIES := neural_arith/systems/tables/lynx_hare.csv

.PHONY: help demo test docs notebooks format clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 -/p' Makefile

# --- environment: stamps remember that the installation is newer than what it was made from ---

# The exact torch goes first and alone: a pin finds a CPU build where one is offered, a range would not.
$(VENV)/.installed: pyproject.toml constraints.txt
	@if [ -z '$(PYTHON)' ]; then \
		echo 'neural_arith needs Python 3.11 or newer, and none was found. Try: make PYTHON=/path/to/python3.11' >&2; exit 1; fi
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "neural_arith needs Python 3.11 or newer; '$(PYTHON)' does not run or is older ($$('$(PYTHON)' --version 2>&1)). Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo '== environment: $(VENV) (once; PyTorch takes a few minutes to fetch)'
	@$(BIN)/python -c 'import pip' 2>/dev/null || { rm -rf $(VENV); '$(PYTHON)' -m venv $(VENV); } || { \
		echo "'$(PYTHON)' cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@$(INSTALL) -e '.[plot,tables]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed benchmarks/pyproject.toml
	@echo '== environment: tools for tests and documentation'
	@$(INSTALL) -e '.[plot,tables,test,docs]' -e ./benchmarks
	@touch $@

# --- what a newcomer runs ---

demo: $(VENV)/.installed  ## find the equations behind twenty years of lynx and hare pelts, and write the report
	@echo '== neural-arith discover $(SERIES) --time year --out demo'
	@$(BIN)/neural-arith discover $(SERIES) --time year --out demo
	@echo "== the whole story as one page: $$PWD/demo/report.html"

# --- what keeps the tree honest; the test suite stands last so that its closing line is the last line ---
# Two workers share the cores: threads within each would only wait for one another, thirty times as long as they work.

test: $(VENV)/.installed-test  ## everything that must pass: lint, types, docs, notebooks, doctests, tests
	@echo '== ruff check'
	@$(BIN)/python -m ruff check .
	@echo '== ruff format --check'
	@$(BIN)/python -m ruff format --check .
	@echo '== pyright'
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/python -m pyright --pythonpath $(BIN)/python
	@echo '== import direction'
	@$(BIN)/python -m pytest -q tests/test_imports.py
	@echo '== documentation builds without a warning'
	@$(MAKE) --no-print-directory docs
	@echo '== doctests of the package and the README'
	@$(BIN)/python -m pytest -q --doctest-modules --doctest-glob='*.md' neural_arith benchmarks README.md
	@echo '== tests, and notebooks say what is stored in them'
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --durations=15 tests

docs: $(VENV)/.installed-test  ## build the documentation into docs/_build/html
	@$(BIN)/python -m sphinx -q -W -n --keep-going -b html docs docs/_build/html
	@echo "   $$PWD/docs/_build/html/index.html"

notebooks: $(VENV)/.installed-test  ## run every notebook in examples/ and store its output in it
	@$(BIN)/python -m pytest -q --nbmake --nbmake-timeout=600 --overwrite examples

format: $(VENV)/.installed-test  ## let ruff fix and format the tree
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

clean:  ## remove the environment and everything that was built
	@rm -rf $(VENV) demo build dist docs/_build docs/examples .pytest_cache .ruff_cache .hypothesis .jupyter_cache
	@find neural_arith benchmarks tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
