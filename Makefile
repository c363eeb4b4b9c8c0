# The words of the project. They use .venv where it is, else they make it; PYTHON=… names another Python ≥ 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Real pictures for testing, where they lie beside the checkout.
ifneq ($(wildcard ../shared/datasets),)
export OMMA_MIRROR ?= $(abspath ../shared/datasets)
endif

.PHONY: demo test check types docs setup tidy pictures clean

demo: $(BIN)/omma
	$(BIN)/python -m omma demo

setup: $(BIN)/.dev

# Two files at once, each on a core of its own: most tests are one thread's work.
test: $(BIN)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests/test_house.py

types: $(BIN)/.dev
	$(BIN)/mypy

docs: $(BIN)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

# Write again what is generated: the tree and the table in both READMEs, the pages of reference.
tidy: $(BIN)/.dev
	$(BIN)/python scripts/write_docs.py

# Draw the README's pictures again: learns each task for a few minutes.
pictures: $(BIN)/.dev
	OMMA_PICTURES=docs/pictures $(BIN)/python -m pytest -m slow tests/test_pictures.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "omma needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12 …")'
	@echo "omma: making $(VENV) and installing into it; nothing outside this folder is touched."
	@echo "omma: PyTorch with its CUDA packages from the package index is about 5.5 GB on Linux (a download of 2-3 GB); on a Mac about 0.5 GB."
	@echo "omma: for a CPU build of about 1 GB, stop now (Ctrl-C), make $(VENV) yourself and install torch and torchvision into it from"
	@echo "omma: PyTorch's own CPU index (both from the same one), then say make again: what is installed is kept."
	$(PYTHON) -m venv $(VENV)

$(BIN)/omma: | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e .

$(BIN)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@
