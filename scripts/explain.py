"""Show the state of the grid, or of one cell: what is done, what is stale and why, and the cost of the rest.

    python scripts/explain.py
    python scripts/explain.py tiny 64k 2

Without a cell, the output is that of `snakemake -n`. The program reads only the records beside the results, so it also
works on an unpacked archive. Use the same --configfile and --directory as with Snakemake.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gridlaw import cli
from gridlaw.config import grid
from gridlaw.config.grid import Cell
from gridlaw.cost.estimates import Rates
from gridlaw.views import console
from gridlaw.views.estimate_text import Limits, bill, step_counts
from gridlaw.views.overview import Overview
from gridlaw.views.terminal import Terminal
from gridlaw.words import duration, join_comma
from gridlaw.workflow import record
from gridlaw.workflow.states import DONE, INTERRUPTED, PARTLY, STALE
from gridlaw.workflow.status import Verdicts, causes, to_run
from gridlaw.workflow.steps import Step


def main() -> None:
    args = console.parser(__doc__).parse_args()
    config = console.configuration(args, absent=True)
    verdicts = Verdicts(config)
    due = to_run(verdicts)
    overview = Overview(verdicts, due, causes(verdicts, due, {}))
    rates, terminal = Rates(verdicts), Terminal.from_stream(sys.stdout)
    if args.model is None:
        lines = [*overview.lines(terminal), ""]
        if due:
            lines += terminal.table({"to run": step_counts(rates, due), **bill(rates, due, Limits())})
        print(*lines, sep="\n")
        return
    for cell in console.cells(args, config):
        print(*explain(overview, cell, rates, terminal), "", sep="\n")


def explain(overview: Overview, cell: Cell, rates: Rates, terminal: Terminal) -> Iterator[str]:
    """Yield the lines of a cell: the state of each step that its results come from, upstream first."""
    steps = overview.steps_behind(cell)
    due = {step for step in steps if step in overview.due}
    seconds = rates.estimate(due).seconds
    state = overview.tallies[cell].state
    to_do = f", {step_counts(rates, due)} to run" if due else ""
    yield terminal.paint(
        f"{terminal.mark(state)} {cell.model}, size {cell.size}, gpus {cell.gpus}: {state}{to_do}", state
    )
    width = max(len(step.name) for step in steps) + 4
    for step in steps:
        state, words = describe(overview, step)
        takes = f", about {duration(seconds[step].middle)}" if step in due else ""
        yield f"  {step.name}".ljust(width) + terminal.paint(f"{terminal.mark(state)} {words}{takes}", state)
        for line in overview.verdicts.verdict(step).lines():
            yield from terminal.wrapped("", line, 6)
    scored_at = grid.scored(overview.config)[cell]
    if scored_at != cell.gpus:
        yield f"  its scores are those of gpus {scored_at}"


def describe(overview: Overview, step: Step) -> tuple[str, str]:
    """Return the state whose mark a step has, and a few words on the step."""
    verdict, facts = overview.verdicts.verdict(step), overview.verdicts.record(step.record)
    if step in overview.due:
        roots = {origin.name: None for origin in overview.why[step].values() if origin is not step}
        if verdict.state == DONE:
            return STALE, f"follows from {join_comma(roots)}"
        return PARTLY if verdict.state == INTERRUPTED else verdict.state, verdict.state
    if facts is None:
        return DONE, "missing, but not needed"
    return DONE, "; ".join([f"done {facts['started'][:10]} on {facts['host']}", *record.marks(facts)])


if __name__ == "__main__":
    cli.run(main)
