"""The partial report of an unfinished grid: its analysis from the results so far, in a folder of its own.

Snakemake makes the report when everything is done. This module runs the same programs with the same recipes on the
existing results. None of its files is a result of the workflow, so the next complete run makes the whole analysis anew.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from graphlib import TopologicalSorter
from pathlib import Path

from gridlaw import io
from gridlaw.cli import Failure
from gridlaw.cost.estimates import Rates
from gridlaw.views.estimate_text import PREDICTIONS, Limits, bill, step_counts
from gridlaw.views.overview import Overview
from gridlaw.views.terminal import Terminal
from gridlaw.workflow.states import DONE
from gridlaw.workflow.status import Verdicts, causes, to_run
from gridlaw.workflow.steps import KINDS, MAKERS, Step

FOLDER = Path("results/so_far")
STATES = FOLDER / "states.json"
REPORT, RECORD = map(Path, KINDS["report"].files())
PROCESSES = 4
# Largest time that a user waits for a report after a failure.
PATIENCE_SECONDS = 120.0


def write(config: dict, command: str, patience: float | None = None, publish: bool = True) -> Path:
    """Write the report of the results so far.

    Args:
        config: a completed configuration of the grid in the working directory.
        command: the command that finishes the grid, for the page.
        patience: time limit in seconds; None for no limit.
        publish: whether the page replaces the grid's report, which then counts as not made.

    Returns:
        the path of the page.

    Raises:
        Failure: there is nothing to report yet, the time was too short, or a program failed.
    """
    verdicts = Verdicts(config)
    report = verdicts.steps.find(str(RECORD))
    if report not in to_run(verdicts):
        return REPORT
    FOLDER.mkdir(parents=True, exist_ok=True)
    io.write_json(STATES, describe(verdicts))
    _analyse(report, command, patience)
    page = Path(place(str(REPORT)))
    if not publish:
        return page
    RECORD.unlink(missing_ok=True)
    io.write_atomically(REPORT, page.read_bytes())
    return REPORT


def after_failure(config: dict, command: str) -> None:
    """Write the report of the results so far when a run has failed; any error becomes a single line."""
    print("\nwriting a report of the results so far (Ctrl-C skips it)", file=sys.stderr, flush=True)
    try:
        line = f"report: {write(config, command, PATIENCE_SECONDS)}"
    except KeyboardInterrupt:
        line = "no report: interrupted"
    except Exception as error:
        why = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        line = f"no report: {why}"
    print(line, file=sys.stderr, flush=True)


def describe(verdicts: Verdicts) -> dict:
    """The states of all cells for the page.

    Returns:
        `cells`; `notes`, the lines of the preview on unfinished cells; and `to_do`, an estimate as texts by heading.
    """
    due, rates = to_run(verdicts), Rates(verdicts)
    overview = Overview(verdicts, due, causes(verdicts, due, {}))
    cells = [
        {**cell._asdict(), "state": tally.state, "done": tally.states[DONE], "total": tally.total}
        for cell, tally in overview.tallies.items()
    ]
    unwrapped = Terminal(width=10**6)
    notes = [*overview.reasons(unwrapped), *overview.unfinished(unwrapped)]
    to_do = {"to run": step_counts(rates, due), **bill(rates, due, Limits())}
    return {"cells": cells, "notes": notes, "to_do": to_do}


def place(file: str) -> str:
    """The path of a file: results of the analysis are in the folder of the partial report."""
    return str(FOLDER / Path(file).relative_to("results")) if file in MAKERS else file


def _analyse(report: Step, command: str, patience: float | None) -> None:
    """Run the report's program and those that its inputs come from, each after the programs that it depends on."""
    end = None if patience is None else time.monotonic() + patience
    steps = [step for step in (*report.ancestors(), report) if step.kind.single]
    order = TopologicalSorter({step: [earlier for earlier in step.after if earlier.kind.single] for step in steps})
    order.prepare()
    # Workers are reused: importing the libraries takes longer than most of the programs.
    with multiprocessing.get_context("spawn").Pool(min(PROCESSES, os.cpu_count()), _let_parent_end) as pool:
        while order.is_active():
            ready = order.get_ready()
            results = [pool.apply_async(run, (step.rule, line(step, command))) for step in ready]
            for result in results:
                try:
                    failure = result.get(None if end is None else max(0.0, end - time.monotonic()))
                except multiprocessing.TimeoutError as error:
                    raise Failure(f"it takes longer than {patience:g} s; scripts/so_far.py has no limit") from error
                if failure:
                    raise Failure(failure)
            order.done(*ready)


def line(step: Step, command: str) -> list[str]:
    """The command line of a step's program, without optional inputs that do not exist yet."""
    optional = [name for name, source in step.kind.reads.items() if source.passed and source.optional]
    existing = {name: [file for file in map(place, step.files[name]) if Path(file).is_file()] for name in optional}
    settings = {
        "aggregate": {"results": ["results"], "work": ["work"]},
        "report": {"states": [str(STATES)], "predictions": [str(PREDICTIONS)], "command": [command]},
    }
    return step.command(place, **existing, **settings.get(step.rule, {}))


def _let_parent_end() -> None:
    """Ignore Ctrl-C in a worker; the parent process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(rule: str, line: list[str]) -> str | None:
    """Run a rule's program in this process; gives the reason if it failed."""
    log = FOLDER / f"{rule}.log"
    sys.argv = line
    try:
        with log.open("w") as stream, redirect_stdout(stream), redirect_stderr(stream):
            importlib.import_module(rule).main()
    except Failure as failure:
        return str(failure)
    except Exception as error:
        with log.open("a") as stream:
            traceback.print_exc(file=stream)
        return f"{rule}: {type(error).__name__}: {error}; see {log}"
    return None
