"""How far a grid is while it runs: what is done, what trains and how fast, and when all of it will be done.

Records, leases and heartbeats tell, which lie on the file system that jobs share with whoever looks.
"""

from __future__ import annotations

import os
import statistics
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gridlaw import grid
from gridlaw.bill import Limits
from gridlaw.cost import Cost, Rates, Span
from gridlaw.heartbeat import Beat
from gridlaw.steps import TRAININGS, Step
from gridlaw.terminal import Terminal, shortened
from gridlaw.verdicts import FAILED, INTERRUPTED, RUNNING, Verdicts, to_run
from gridlaw.words import duration, short

# Trainings that are shown.
SHOWN = 8
# Columns that a training's name needs to tell something.
NAME = 20

# What tells a record from one that is written in its place; None is no record.
Stamp = tuple[int, int] | None


def stamp(record: str) -> Stamp:
    """The stamp of what is in a record's place now."""
    with suppress(OSError):
        about = os.stat(record)  # noqa: PTH116 - of thousands, and a Path takes longer than the call
        return about.st_mtime_ns, about.st_ino
    return None


@dataclass(frozen=True)
class Run:
    """A run of Snakemake.

    Args:
        planned: records that it makes, each with what was in its place when it began.
        limits: what its jobs share.
        began: when, in seconds since the epoch.
        retries: whether it tries a training again that was killed.
    """

    planned: dict[str, Stamp]
    limits: Limits
    began: float
    retries: bool


class Progress:
    """A grid on its way, from where it is when this is made.

    Args:
        config: a completed configuration.
        run: that makes it; None is any, of which only the jobs are seen.
        remote: whether jobs run on other machines than this one.
    """

    def __init__(self, config: dict, run: Run | None = None, remote: bool = False):
        self._verdicts = Verdicts(config)
        self._rates = Rates(self._verdicts, remote)
        self._run = run
        due, planned = to_run(self._verdicts), run.planned if run else {}
        steps = [step for step in self._verdicts.steps if step in due or step.record in planned]
        # Each with what its record is like before it is made.
        self._left = {step: planned[step.record] if step.record in planned else stamp(step.record) for step in steps}
        self._cells = list(grid.cells(config))
        self._trainings = sum(step.rule in TRAININGS for step in self._verdicts.steps)
        self.running: dict[Step, Beat | None] = {}
        self.failed: set[Step] = set()

    @property
    def is_over(self) -> bool:
        """Whether all is done that was to be."""
        return not any(map(self._is_planned, self._left))

    @property
    def cells_done(self) -> int:
        """Cells of which every step is done."""
        return len(self._cells) - len({step.cell for step in self._left}.intersection(self._cells))

    @property
    def trainings_done(self) -> int:
        """Pre-trainings, sections of trunks and fine-tunings that are done."""
        return self._trainings - sum(step.rule in TRAININGS for step in self._left)

    def look(self) -> None:
        """See what has become of it."""
        while made := [step for step in self._ready() if stamp(step.record) not in (None, self._left[step])]:
            for step in made:
                del self._left[step]
                self._verdicts.forget(step)
                self._rates.learn(step)
        states = {}
        for step in self._ready():
            self._verdicts.forget(step)
            states[step] = self._verdicts.of(step).state
        self.running = {step: Beat.of(step.work) for step, state in states.items() if state == RUNNING}
        ends = {FAILED} if self._run is None or self._run.retries else {FAILED, INTERRUPTED}
        self.failed = {step for step, state in states.items() if state in ends and self._is_of_this_run(step.log)}

    def estimate(self) -> Cost | None:
        """What is left of the steps that can still be made; None if nothing tells."""
        blocked = set(self.failed)
        blocked.update(step for step in self._left if any(earlier in blocked for earlier in step.after))
        steps = {step: None for step in self._left if self._is_planned(step) and step not in blocked}
        estimate = self._rates.of(steps)
        ratios = [
            beat.seconds / estimate.seconds[step].middle
            for step, beat in self.running.items()
            if beat and beat.seconds and step in estimate.seconds
        ]
        if not self._rates.measured and not ratios:
            return None
        # As long as no training is done, those that run tell how wrong the assumed pace is.
        factor = 1.0 if self._rates.measured else statistics.median(ratios)
        seconds = {}
        for step in sorted(steps, key=lambda step: step not in self.running):
            beat = self.running.get(step)
            left = beat.seconds_left if beat else None
            if left is None:
                seconds[step] = estimate.seconds[step] * (factor if step.rule in TRAININGS else 1.0)
            else:
                seconds[step] = Span(left, left, left)
        return Cost(seconds, unknown=estimate.unknown)

    def line(self) -> str:
        """All of it in a line."""
        text = f"{self.cells_done} of {len(self._cells)} cells"
        text += f" and {self.trainings_done} of {self._trainings} trainings done"
        text += f", {len(self.running)} running" if self.running else ""
        text += f", {len(self.failed)} failed" if self.failed else ""
        # Of a run that nothing is known of, the trainings that run show how many may.
        limits = self._run.limits if self._run else Limits(jobs=len(self.running)) if self.running else None
        estimate = limits and self.estimate()
        if not estimate or not estimate.seconds:
            return text
        left = limits.makespan(estimate).middle
        return f"{text}; {'more than' if estimate.unknown else 'about'} {duration(left)} left, till {_at(left)}"

    def lines(self, terminal: Terminal, head: str = "") -> list[str]:
        """The line behind a head, wrapped, and under it a line for each training that runs."""
        rows = sorted(map(_row, self.running.items()), key=lambda row: -row.seconds)
        more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        return [*textwrap.wrap(head + self.line(), terminal.width), *_table(rows[:SHOWN], terminal.width), *more]

    def _is_planned(self, step: Step) -> bool:
        return self._run is None or step.record in self._run.planned

    def _is_of_this_run(self, log: str) -> bool:
        """Whether a log is that of a job of the run, and not of one before it."""
        written = stamp(log)
        return self._run is None or (written is not None and written[0] >= self._run.began * 1e9)

    def _ready(self) -> list[Step]:
        """The steps that are left and wait for no other."""
        return [step for step in self._left if not any(earlier in self._left for earlier in step.after)]


class Row(NamedTuple):
    """A training that runs, in words; `seconds` are left of it."""

    name: str
    share: str
    speed: str
    left: str
    seconds: float


def _row(of: tuple[Step, Beat | None]) -> Row:
    step, beat = of
    if beat is None:
        return Row(step.name, "", "", "starting", float("inf"))
    share, left = f"{int(100 * beat.share)} %", beat.seconds_left
    if beat.is_silent:
        return Row(step.name, share, "", f"silent for {duration(beat.age)}", float("inf"))
    if left is None:
        return Row(step.name, share, "", "starting", float("inf"))
    speed = f"{short(float(f'{beat.per_second:.3g}'))} {beat.unit.name}/s"
    return Row(step.name, share, speed, f"{duration(left)} left" if left else "finishing", left)


def _table(rows: list[Row], width: int) -> list[str]:
    """Lines of some trainings in columns; on a narrow terminal without their speed, then without their share."""
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
        lines.append("  ".join(["", shortened(name, room).ljust(room), *cells]))
    return lines


def _at(seconds: float) -> str:
    """The time of day in some seconds, with its weekday if that is another one; the date if that is far off."""
    now = datetime.now()
    then = now + timedelta(seconds=seconds)
    days = (then.date() - now.date()).days
    return then.strftime("%H:%M" if not days else "%a %H:%M" if days < 7 else "%Y-%m-%d")
