"""Progress of a training: a small file in its work folder, written every few seconds while it runs.

Any process that sees the file system can read it, on any machine. No result depends on it.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gridlaw import io

FILE = "progress.json"
PERIOD_SECONDS = 5.0
# The speed is that of the last minute.
REMEMBERED = 12
# After this time without news, a running training is evaluating, saving or stuck.
SILENT_SECONDS = 180.0


@dataclass(frozen=True)
class Unit:
    """Unit of a training's speed, and the number of units in an optimizer step: 2048 tokens, 32 examples."""

    name: str
    per_step: float


class Heartbeat:
    """Writes the progress of a training. If it cannot be written, the training goes on without it.

    Args:
        folder: the training's work folder.
        total: optimizer steps of the training, over all its runs.
        unit: unit of its speed.
        clock: returns the time in seconds.
    """

    def __init__(self, folder: str | Path, total: int, unit: Unit, clock: Callable[[], float] = time.monotonic):
        self._folder, self._total, self._unit, self._clock = Path(folder), total, unit, clock
        self._marks: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)

    def beat(self, done: int) -> None:
        """Write the number of finished optimizer steps, if the last time is long enough ago."""
        now = self._clock()
        if self._marks and done < self._total and now - self._marks[-1][0] < PERIOD_SECONDS:
            return
        self._marks.append((now, done))
        then, before = self._marks[0]
        speed = (done - before) / (now - then) if done > before else None
        content = {"done": done, "total": self._total, "steps_per_second": speed}
        with suppress(OSError):
            io.write_json(self._folder / FILE, content | {"unit": self._unit.name, "per_step": self._unit.per_step})


def clear(folder: str | Path) -> None:
    """Remove the progress of a training that has ended."""
    # A killed attempt may have left a partial file, whose name ends with its process number.
    for file in [*Path(folder).glob(FILE), *Path(folder).glob(f".{FILE}.*")]:
        file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Beat:
    """The last progress that a training wrote.

    Args:
        done, total: optimizer steps.
        steps_per_second: None before the first steps.
        unit: unit of its speed.
        age: seconds since it was written.
    """

    done: int
    total: int
    steps_per_second: float | None
    unit: Unit
    age: float

    @classmethod
    def read(cls, folder: str | Path) -> Beat | None:
        """Return the progress in a work folder; None if there is none."""
        file = Path(folder, FILE)
        try:
            content = json.loads(file.read_text())
            # As for leases, the file system's clock is compared with this machine's: clocks of nodes may differ.
            age = max(0.0, time.time() - file.stat().st_mtime)
            return cls(
                content["done"],
                content["total"],
                content["steps_per_second"],
                Unit(content["unit"], content["per_step"]),
                age,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def share(self) -> float:
        """The finished share, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def per_second(self) -> float | None:
        """Units per second."""
        return self.steps_per_second and self.steps_per_second * self.unit.per_step

    @property
    def seconds(self) -> float | None:
        """Seconds that the whole training takes at this speed; None while the speed is unknown."""
        return self.total / self.steps_per_second if self.steps_per_second else None

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds at this speed; None while the speed is unknown."""
        if not self.steps_per_second:
            return None
        return max(0.0, (self.total - self.done) / self.steps_per_second - self.age)

    @property
    def is_silent(self) -> bool:
        """True if the last progress is long ago."""
        return self.age > SILENT_SECONDS
