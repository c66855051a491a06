"""The report of a grid as it is, finished or not: its analysis from what is there, in a folder beside the whole one's.

Snakemake makes the report when everything is done. This runs the same programs with the same recipes on what there is;
none of it is a result of the workflow, so that the next run which comes to its end makes everything from the whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gridlaw import recipes, record
from gridlaw.bill import Limits, bill, counted
from gridlaw.cli import Failure
from gridlaw.cost import Rates
from gridlaw.overview import Overview
from gridlaw.steps import FILES, RULES, Step
from gridlaw.terminal import Terminal
from gridlaw.verdicts import Verdicts, causes, to_run

FOLDER = Path("results/so_far")
STATES = FOLDER / "states.json"
REPORT, RECORD = map(Path, FILES["report"])
# After a failure nobody is to wait for longer.
PATIENCE_SECONDS = 60.0


def write(config: dict, command: str, patience: float | None = None, publish: bool = True) -> Path:
    """Write the report of what is there.

    Args:
        config: a completed configuration of the grid in the working directory.
        command: what would finish the grid, for the page.
        patience: seconds that it may take; None is no limit.
        publish: whether the page takes the place of the grid's report, which then counts as not made.

    Returns:
        where the page is.

    Raises:
        Failure: nothing can be reported yet, it took too long, or one of the programs failed.
    """
    verdicts = Verdicts(config)
    due = to_run(verdicts)
    report = verdicts.steps.of(str(RECORD))
    if report not in due:
        return REPORT
    FOLDER.mkdir(parents=True, exist_ok=True)
    record.write_json(STATES, states(Overview(verdicts, due, causes(verdicts, due, {})), Rates(verdicts)))
    end = None if patience is None else time.monotonic() + patience
    done: set[Step] = set()
    waiting = dict.fromkeys(_needed(report))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while waiting:
            ready = [step for step in waiting if done.issuperset(_analysis(step))]
            done.update(pool.map(lambda step: _run(step, command, end), ready))
            waiting = dict.fromkeys(step for step in waiting if step not in done)
    page = place(str(REPORT))
    if not publish:
        return page
    RECORD.unlink(missing_ok=True)
    partial = REPORT.with_name(f".{REPORT.name}.{os.getpid()}")
    shutil.copyfile(page, partial)
    partial.replace(REPORT)
    return REPORT


def after_failure(config: dict, command: str) -> None:
    """Write the report of what is there when a run has failed; whatever goes wrong here is a line, and no more."""
    print("\nwriting a report of what is there (Ctrl-C leaves it)", file=sys.stderr, flush=True)
    try:
        said = f"report of what is there: {write(config, command, PATIENCE_SECONDS)}"
    except KeyboardInterrupt:
        said = "no report of what is there: interrupted"
    except Exception as error:
        why = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        said = f"no report of what is there: {why}; python scripts/so_far.py tries again"
    print(said, file=sys.stderr, flush=True)


def states(overview: Overview, rates: Rates) -> dict:
    """What is true of each cell, what is known of those that are not done, and what would finish them.

    Returns:
        `cells`, `notes` in the words of the preview, and `to_do`: texts by what they are of.
    """
    cells = [
        {**cell._asdict(), "state": tally.state, "done": tally.states["done"], "total": tally.total}
        for cell, tally in overview.tallies.items()
    ]
    line = Terminal(width=10**6)
    notes = [*overview.reasons(line), *overview.unfinished(line)]
    to_do = {"to run": counted(rates, overview.due), **bill(rates, overview.due, Limits())}
    return {"cells": cells, "notes": notes, "to_do": to_do}


def arguments(step: Step) -> dict[str, list[str]]:
    """The options of a step's program, without the recipe: what it reads and writes, by its name."""
    given: dict[str, list[str]] = defaultdict(list)
    if step.rule == "aggregate":
        given |= {"results": ["results"], "work": ["work"]}
    else:
        for file in step.inputs:
            given[_option(file)].append(str(place(file)))
    *made, written = FILES[step.rule]
    if step.rule.startswith("figure_"):
        given["figure"] = [str(place(made[0]))]
    else:
        given |= {Path(file).stem: [str(place(file))] for file in made if not file.endswith(".parquet")}
    return given | {"record": [str(place(written))]}


def place(file: str) -> Path:
    """Where a file of the analysis is written here; another is where it is."""
    return FOLDER / Path(file).relative_to("results") if file in RULES else Path(file)


def _option(file: str) -> str:
    """The option that a program takes an input by."""
    path = Path(file)
    if path.parent.name == "figures":
        return "figures"
    return "packs" if path.parts[1] == "pack" else path.stem


def _analysis(step: Step) -> list[Step]:
    """The steps of the analysis that a step is made from."""
    return [earlier for earlier in step.after if earlier.rule in FILES]


def _needed(step: Step) -> Iterator[Step]:
    """A step of the analysis, after those that it is made from; some more than once."""
    for earlier in _analysis(step):
        yield from _needed(earlier)
    yield step


def _run(step: Step, command: str, end: float | None) -> Step:
    """Run a step's program on what is there; gives the step."""
    more = {"states": [str(STATES)], "command": [command]} if step.rule == "report" else {}
    options = [part for name, values in (arguments(step) | more).items() for part in (f"--{name}", *values)]
    line = [sys.executable, str(step.program), "--recipe", recipes.canonical(step.recipe), *options]
    log = FOLDER / f"{step.rule}.log"
    patience = None if end is None else max(0.0, end - time.monotonic())
    try:
        with log.open("w") as stream:
            subprocess.run(line, check=True, stdout=stream, stderr=stream, timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise Failure("it takes too long") from error
    except subprocess.CalledProcessError as error:
        *_, said = log.read_text().splitlines() or [f"exit status {error.returncode}"]
        raise Failure(said.removeprefix("error: ") if said.startswith("error: ") else f"{said}; see {log}") from error
    return step
