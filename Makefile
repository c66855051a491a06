# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
CORES ?= $(shell nproc)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo test test-all test-nightly lint reference clean

help:
	@echo "make demo          set up and run the default grid to its report"
	@echo "make test          set up and test that this installation works"
	@echo "make test-all      the same, and all other tests but the nightly ones"
	@echo "make test-nightly  tests of rare combinations"
	@echo "make lint          set up and check the style of everything"
	@echo "make reference     set up and write docs/reference/config.md from schemas/"
	@echo "make clean         remove everything that runs have written (results/, resources/, work/, logs/)"

# Made again when the pins change. A finished set-up is reused, and then needs no network.
.venv/.done: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gridlaw needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

setup: .venv/.done

# Remove the lock of a killed run. The lock that is held here ends with its process.
demo: setup
	flock --nonblock .venv/.lock sh -c 'snakemake --unlock > /dev/null 2>&1; snakemake --cores $(CORES) --rerun-incomplete --show-failed-logs all'
	@echo
	@echo "Report:  results/report.html"
	@echo "Tables:  results/scores.csv  results/runs.csv  results/summary.csv  (each also as .parquet)"
	@echo "Figures: results/figures/scores.png  laws.png  front.png  ...  (each also as .svg, .pdf and .csv)"

# The tests of a file share their fixtures, so one process runs all of them.
PYTEST = python -m pytest -rs --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: setup lint
	$(PYTEST) -n $(CORES) -m "not extended and not nightly"

# One process more than cores, because the tests of Slurm mostly wait.
test-all: test
	$(PYTEST) -n $$(($(CORES) + 1)) -m extended

test-nightly: setup
	python -m pytest -rs -m nightly

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint > /dev/null

reference: setup
	python docs/make_reference.py

clean:
	rm -rf results resources work logs
