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
	@echo "make clean         remove what runs have made (results/, resources/, work/, logs/)"

# Made anew when the pins change; a finished set-up is used again, also without a network.
.venv/.done: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gridlaw needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

setup: .venv/.done

# The lock of a run that was killed is taken away; the one held here is gone with its process.
demo: setup
	flock --nonblock .venv/.lock sh -c 'snakemake --unlock > /dev/null 2>&1; snakemake --cores $(CORES) --rerun-incomplete --show-failed-logs all'
	@echo
	@echo "Report:  results/report.html"
	@echo "Tables:  results/scores.csv  results/runs.csv  results/summary.csv  (each also as .parquet)"
	@echo "Figures: results/figures/scores.png  laws.png  front.png  ...  (each also as .svg, .pdf and .csv)"

# The tests of a file share what they have made, so that one process runs them all.
PYTEST = python -m pytest -rs --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: setup lint
	$(PYTEST) -n $(CORES) -m "not extended and not nightly"

# One process more than cores: the tests of Slurm mostly wait for it.
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
