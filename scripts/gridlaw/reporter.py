"""Reports on a grid while it runs: on a terminal whenever something has changed, in a file a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

from gridlaw.progress import Progress
from gridlaw.terminal import Terminal


class Pace(NamedTuple):
    """Seconds that have to pass before a grid is reported on again: after a cell is done, a change, and none."""

    cell: float
    change: float
    none: float


ON_TERMINAL, IN_FILE = Pace(10, 10, 300), Pace(60, 300, 1800)
# What reports begin with.
HEAD = "progress: "


class Reporter:
    """Reports on a grid while it runs, no more often than anyone wants to read it.

    Args:
        say: prints a report.
        stream: where that is: a terminal gets a line for each training, too.
        clock: gives seconds.
    """

    # Between two looks; and how much of the time they may take.
    PERIOD_SECONDS, SHARE = 5.0, 0.02
    # The first report comes this early, as soon as the time that is left can be told.
    FIRST_SECONDS = 15.0

    def __init__(self, say: Callable[[str], None], stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._say, self._stream, self._clock = say, stream, clock
        self._pace = ON_TERMINAL if stream.isatty() else IN_FILE
        self._began = self._said_at = clock()
        self._said = None
        self._stopped = threading.Event()

    def look(self, progress: Progress) -> None:
        """Look at a grid, and report if it is time to."""
        progress.look()
        state = progress.cells_done, (progress.trainings_done, set(progress.running), progress.failed)
        said = self._said = self._said or state
        least = self._pace.cell if state[0] != said[0] else self._pace.change if state != said else self._pace.none
        is_first = self._said_at == self._began
        if is_first and self._clock() - self._began >= self.FIRST_SECONDS and progress.estimate():
            least = 0.0
        if self._clock() - self._said_at >= least and not progress.is_over:
            self._said_at, self._said = self._clock(), state
            self._say(self._report(progress))

    def run(self, begin: Callable[[], Progress]) -> None:
        """Do so until the grid is done.

        Args:
            begin: gives it.
        """
        try:
            progress, began = begin(), self._clock()
            while not progress.is_over:
                # Files come and go while it looks at them.
                with suppress(OSError):
                    self.look(progress)
                if self._stopped.wait(max(self.PERIOD_SECONDS, (self._clock() - began) / self.SHARE)):
                    return
                began = self._clock()
        except Exception as error:
            # A report is not worth a run.
            self._say(f"progress cannot be shown: {type(error).__name__}: {error}")

    def stop(self) -> None:
        """Have `run` end."""
        self._stopped.set()

    def _report(self, progress: Progress) -> str:
        if self._stream.isatty():
            return "\n".join(progress.lines(Terminal.from_stream(self._stream), HEAD))
        return HEAD + progress.line()
