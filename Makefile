# make run    sets up .venv, runs the tour of notebooks, prints the gallery's path
# make test   sets up .venv, runs the tests
# make lab    JupyterLab on notebooks/
# make check  the linters and type checker that CI runs
# make gpu-suite OUT=DIR  everything that only a GPU can answer, from the source tree (no install)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Built by pip: a change installs anew.
NATIVE := $(wildcard native/CMakeLists.txt native/*/*.h native/*/*.cpp native/*/*.inc native/*/*.cu)

.PHONY: run test lab check gpu-suite setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), the workbench needs Python >= 3.11"; \
	    echo "  → make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP)
	$(BIN)/workbench run

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lab: $(STAMP)
	$(BIN)/jupyter lab --notebook-dir notebooks

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

# With the Python that has PyTorch for the GPU, which needs nothing of this project installed.
gpu-suite:
	@test -n "$(OUT)" || { echo "error: no folder for the results"; echo "  → make gpu-suite OUT=DIR"; exit 2; }
	$(PYTHON) -m workbench.studies.gpu_suite --out "$(OUT)" $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
