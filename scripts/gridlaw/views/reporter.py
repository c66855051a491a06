"""Progress reports while a grid runs: after every change on a terminal, and less often in a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

from gridlaw.views.grid_progress import Progress
from gridlaw.views.terminal import Terminal


class Pace(NamedTuple):
    """Least seconds between two reports: after a finished cell, after another change, and without one."""

    cell: float
    change: float
    none: float


ON_TERMINAL, IN_FILE = Pace(10, 10, 300), Pace(60, 300, 1800)
HEAD = "progress: "


class Reporter:
    """Reports the progress of a grid, at a pace that suits the output.

    Args:
        say: prints a report.
        stream: the output; a terminal also gets a line for each training.
        clock: gives seconds.
    """

    # Time between two looks at the files, and the largest share of time that looking may take.
    PERIOD_SECONDS, SHARE = 5.0, 0.02
    # The first report comes after this time, as soon as the time left can be estimated.
    FIRST_SECONDS = 15.0

    def __init__(self, say: Callable[[str], None], stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._say, self._stream, self._clock = say, stream, clock
        self._pace = ON_TERMINAL if stream.isatty() else IN_FILE
        self._began = self._reported_at = clock()
        self._reported = None
        self._stopped = threading.Event()

    def look(self, progress: Progress) -> None:
        """Look at a grid, and report if enough time has passed."""
        progress.look()
        state = progress.cells_done, (progress.trainings_done, set(progress.running), progress.failed)
        last = self._reported = self._reported or state
        least = self._pace.cell if state[0] != last[0] else self._pace.change if state != last else self._pace.none
        is_first = self._reported_at == self._began
        if is_first and self._clock() - self._began >= self.FIRST_SECONDS and progress.estimate():
            least = 0.0
        if self._clock() - self._reported_at >= least and not progress.is_over:
            self._reported_at, self._reported = self._clock(), state
            self._say(self._report(progress))

    def run(self, begin: Callable[[], Progress]) -> None:
        """Look at a grid until it is done.

        Args:
            begin: gives the grid's progress.
        """
        try:
            progress, began = begin(), self._clock()
            while not progress.is_over:
                # Files appear and disappear meanwhile.
                with suppress(OSError):
                    self.look(progress)
                if self._stopped.wait(max(self.PERIOD_SECONDS, (self._clock() - began) / self.SHARE)):
                    return
                began = self._clock()
        except Exception as error:
            # A failing report must not end the run.
            self._say(f"progress cannot be shown: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    def _report(self, progress: Progress) -> str:
        if self._stream.isatty():
            return "\n".join(progress.lines(Terminal.from_stream(self._stream), HEAD))
        return HEAD + progress.line()
