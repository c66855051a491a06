"""Say what is true of the grid, or of one of its cells: what is done, stale and why, and what it would take to run.

    python scripts/explain.py
    python scripts/explain.py tiny 64k 2

Without a cell the grid is shown as `snakemake -n` shows it. It goes by the records beside the results alone, so that an
unpacked archive explains itself; give it --configfile and --directory as you would give them to Snakemake.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gridlaw import cli, console, grid, record
from gridlaw.bill import Limits, bill, step_counts
from gridlaw.cost import Rates
from gridlaw.grid import Cell
from gridlaw.overview import Overview
from gridlaw.states import DONE, STALE
from gridlaw.steps import Step
from gridlaw.terminal import Terminal
from gridlaw.verdicts import Verdicts, causes, to_run
from gridlaw.words import duration, join_comma


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
        print(*explained(overview, cell, rates, terminal), "", sep="\n")


def explained(overview: Overview, cell: Cell, rates: Rates, terminal: Terminal) -> Iterator[str]:
    """All that is to be said of a cell: each step that it rests on, upstream first."""
    steps = overview.steps_behind(cell)
    due = {step for step in steps if step in overview.due}
    seconds = rates.of(due).seconds
    state = overview.tallies[cell].state
    to_do = f", {step_counts(rates, due)} to run" if due else ""
    yield terminal.paint(
        f"{terminal.mark(state)} {cell.model}, size {cell.size}, gpus {cell.gpus}: {state}{to_do}", state
    )
    width = max(len(step.name) for step in steps) + 4
    for step in steps:
        state, said = told(overview, step)
        takes = f", about {duration(seconds[step].middle)}" if step in due else ""
        yield f"  {step.name}".ljust(width) + terminal.paint(f"{terminal.mark(state)} {said}{takes}", state)
        for line in overview.verdicts.of(step).lines():
            yield from terminal.wrapped("", line, 6)
    scored_at = grid.scored(overview.config)[cell]
    if scored_at != cell.gpus:
        yield f"  its scores are those of gpus {scored_at}"


def told(overview: Overview, step: Step) -> tuple[str, str]:
    """A step's mark, and what is true of it in a word or two."""
    verdict, made = overview.verdicts.of(step), overview.verdicts.record(step.record)
    if step in overview.due:
        roots = {origin.name: None for origin in overview.why[step].values() if origin is not step}
        if verdict.state == DONE:
            return STALE, f"follows from {join_comma(roots)}"
        return verdict.state, verdict.state
    if made is None:
        return DONE, "not there, and not needed"
    return DONE, "; ".join([f"done {made['started'][:10]} on {made['host']}", *record.marks(made)])


if __name__ == "__main__":
    cli.run(main)
