"""Progress of a running grid: finished steps, running trainings with their speed, and the time left.

Everything is read from records, leases and heartbeats on the file system that jobs and viewers share.
"""

from __future__ import annotations

import os
import statistics
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gridlaw.config import grid
from gridlaw.cost.estimates import Cost, Rates, Span
from gridlaw.runtime.heartbeat import Beat
from gridlaw.views.estimate_text import Limits
from gridlaw.views.terminal import Terminal, shorten
from gridlaw.words import duration, short
from gridlaw.workflow.status import FAILED, INTERRUPTED, RUNNING, Verdicts, to_run
from gridlaw.workflow.steps import TRAININGS, Step

# Largest number of running trainings that are shown.
SHOWN = 8
# Smallest width of a training's name, in columns.
NAME = 20

# Identifies the file of a record, which changes when it is rewritten; None if there is no file.
Stamp = tuple[int, int] | None


def stamp(record: str) -> Stamp:
    """The stamp of a record's file now."""
    with suppress(OSError):
        status = os.stat(record)  # noqa: PTH116 - called for thousands of files; making a Path takes longer
        return status.st_mtime_ns, status.st_ino
    return None


@dataclass(frozen=True)
class Run:
    """A run of Snakemake.

    Args:
        planned: records that it will write, each with the stamp of its file when the run began.
        limits: limits that its jobs share.
        began: start time, in seconds since the epoch.
        retries: whether it retries trainings that were killed.
    """

    planned: dict[str, Stamp]
    limits: Limits
    began: float
    retries: bool


class Progress:
    """The progress of a grid from now on.

    Args:
        config: a completed configuration.
        run: the run to follow; None for any, of which only the jobs are visible.
        remote: whether jobs run on other machines.
    """

    def __init__(self, config: dict, run: Run | None = None, remote: bool = False):
        self._verdicts = Verdicts(config)
        self._rates = Rates(self._verdicts, remote)
        self._run = run
        due, planned = to_run(self._verdicts), run.planned if run else {}
        steps = [step for step in self._verdicts.steps if step in due or step.record in planned]
        # Unfinished steps, each with the stamp of its file before it is made.
        self._unfinished = {
            step: planned[step.record] if step.record in planned else stamp(step.record) for step in steps
        }
        self._cells = list(grid.cells(config))
        self._trainings = sum(step.rule in TRAININGS for step in self._verdicts.steps)
        self.running: dict[Step, Beat | None] = {}
        self.failed: set[Step] = set()

    @property
    def is_over(self) -> bool:
        """True if all planned steps are done."""
        return not any(map(self._is_planned, self._unfinished))

    @property
    def cells_done(self) -> int:
        """The number of cells whose steps are all done."""
        return len(self._cells) - len({step.cell for step in self._unfinished}.intersection(self._cells))

    @property
    def trainings_done(self) -> int:
        """The number of finished trainings: pre-trainings, trunk sections and fine-tunings."""
        return self._trainings - sum(step.rule in TRAININGS for step in self._unfinished)

    def look(self) -> None:
        """Update the state from the files."""
        while finished := [step for step in self._ready() if stamp(step.record) not in (None, self._unfinished[step])]:
            for step in finished:
                del self._unfinished[step]
                self._verdicts.forget(step)
                self._rates.learn(step)
        states = {}
        for step in self._ready():
            self._verdicts.forget(step)
            states[step] = self._verdicts.verdict(step).state
        self.running = {step: Beat.read(step.work) for step, state in states.items() if state == RUNNING}
        ends = {FAILED} if self._run is None or self._run.retries else {FAILED, INTERRUPTED}
        self.failed = {step for step, state in states.items() if state in ends and self._is_of_this_run(step.log)}

    def estimate(self) -> Cost | None:
        """The cost of the unfinished steps that are not blocked by a failure; None if unknown."""
        blocked = set(self.failed)
        blocked.update(step for step in self._unfinished if any(earlier in blocked for earlier in step.after))
        steps = {step: None for step in self._unfinished if self._is_planned(step) and step not in blocked}
        estimate = self._rates.estimate(steps)
        ratios = [
            beat.seconds / estimate.seconds[step].middle
            for step, beat in self.running.items()
            if beat and beat.seconds and step in estimate.seconds
        ]
        if not self._rates.measured and not ratios:
            return None
        # Before any training is done, running ones correct the assumed pace.
        factor = 1.0 if self._rates.measured else statistics.median(ratios)
        seconds = {}
        for step in sorted(steps, key=lambda step: step not in self.running):
            beat = self.running.get(step)
            remaining = beat.seconds_left if beat else None
            if remaining is None:
                seconds[step] = estimate.seconds[step] * (factor if step.rule in TRAININGS else 1.0)
            else:
                seconds[step] = Span(remaining, remaining, remaining)
        return Cost(seconds, unknown=estimate.unknown)

    def line(self) -> str:
        """The progress in one line."""
        text = f"{self.cells_done} of {len(self._cells)} cells"
        text += f" and {self.trainings_done} of {self._trainings} trainings done"
        text += f", {len(self.running)} running" if self.running else ""
        text += f", {len(self.failed)} failed" if self.failed else ""
        # For a run started elsewhere, assume as many parallel jobs as are running now.
        limits = self._run.limits if self._run else Limits(jobs=len(self.running)) if self.running else None
        estimate = limits and self.estimate()
        if not estimate or not estimate.seconds:
            return text
        remaining = limits.makespan(estimate).middle
        bound = "more than" if estimate.unknown else "about"
        return f"{text}; {bound} {duration(remaining)} left, till {_clock_time(remaining)}"

    def lines(self, terminal: Terminal, head: str = "") -> list[str]:
        """The progress after a heading, wrapped, and a line for each running training."""
        rows = sorted(map(_row, self.running.items()), key=lambda row: -row.seconds)
        more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        return [*textwrap.wrap(head + self.line(), terminal.width), *_table(rows[:SHOWN], terminal.width), *more]

    def _is_planned(self, step: Step) -> bool:
        return self._run is None or step.record in self._run.planned

    def _is_of_this_run(self, log: str) -> bool:
        """Return whether a log was written by a job of this run, not of an earlier one."""
        written = stamp(log)
        return self._run is None or (written is not None and written[0] >= self._run.began * 1e9)

    def _ready(self) -> list[Step]:
        """Unfinished steps whose inputs are finished."""
        return [step for step in self._unfinished if not any(earlier in self._unfinished for earlier in step.after)]


class Row(NamedTuple):
    """A running training in words, and the `seconds` left."""

    name: str
    share: str
    speed: str
    left: str
    seconds: float


def _row(running: tuple[Step, Beat | None]) -> Row:
    step, beat = running
    if beat is None:
        return Row(step.name, "", "", "starting", float("inf"))
    share, remaining = f"{int(100 * beat.share)} %", beat.seconds_left
    if beat.is_silent:
        return Row(step.name, share, "", f"silent for {duration(beat.age)}", float("inf"))
    if remaining is None:
        return Row(step.name, share, "", "starting", float("inf"))
    speed = f"{short(float(f'{beat.per_second:.3g}'))} {beat.unit.name}/s"
    return Row(step.name, share, speed, f"{duration(remaining)} left" if remaining else "finishing", remaining)


def _table(rows: list[Row], width: int) -> list[str]:
    """Lines of some trainings in columns; on a narrow terminal without speed, then also without share."""
    if not rows:
        return []
    names, *columns = zip(*(row[:4] for row in rows), strict=True)
    others = [column for column in columns if any(column)]
    widths = [max(map(len, column)) for column in others]
    longest = max(map(len, names))
    while (room := width - sum(widths) - 2 * (1 + len(widths))) < min(NAME, longest) and len(others) > 1:
        del others[-2], widths[-2]
    room = min(room, longest)
    lines = []
    for name, *texts in zip(names, *others, strict=True):
        cells = [text.rjust(column) for text, column in zip(texts, widths, strict=True)]
        lines.append("  ".join(["", shorten(name, room).ljust(room), *cells]))
    return lines


def _clock_time(seconds: float) -> str:
    """The time of day after some seconds, with the weekday if it is another day; a date after a week."""
    now = datetime.now()
    then = now + timedelta(seconds=seconds)
    days = (then.date() - now.date()).days
    return then.strftime("%H:%M" if not days else "%a %H:%M" if days < 7 else "%Y-%m-%d")
