"""How far a training is: a small file in its work folder, written every few seconds while it runs.

Whoever sees the file system can read it, on whatever machine the training runs. No result depends on it.
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
# The pace is that of the last minute.
REMEMBERED = 12
# A training that runs and has said nothing for so long is measuring, saving, or stuck.
SILENT_SECONDS = 180.0


@dataclass(frozen=True)
class Unit:
    """What a training's speed is counted in, and how many of them an update has: 2048 tokens, 32 examples."""

    name: str
    per_update: float


class Heartbeat:
    """Writes how far a training is. Where there is no room for it, nobody is told, and the training goes on.

    Args:
        folder: the training's work folder.
        total: updates that it does, of all runs if it has several.
        unit: what its speed is counted in.
        clock: gives seconds.
    """

    def __init__(self, folder: str | Path, total: int, unit: Unit, clock: Callable[[], float] = time.monotonic):
        self._folder, self._total, self._unit, self._clock = Path(folder), total, unit, clock
        self._marks: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)

    def tell(self, done: int) -> None:
        """Write how many updates are done, if it is time to."""
        now = self._clock()
        if self._marks and done < self._total and now - self._marks[-1][0] < PERIOD_SECONDS:
            return
        self._marks.append((now, done))
        then, before = self._marks[0]
        pace = (done - before) / (now - then) if done > before else None
        said = {"done": done, "total": self._total, "updates_per_second": pace}
        with suppress(OSError):
            io.write_json(self._folder / FILE, said | {"unit": self._unit.name, "per_update": self._unit.per_update})


def clear(folder: str | Path) -> None:
    """Take away what a training has told, for it has ended."""
    # A killed attempt may have left a partial file, whose name ends with its process number.
    for file in [*Path(folder).glob(FILE), *Path(folder).glob(f".{FILE}.*")]:
        file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Beat:
    """What a training told last.

    Args:
        done, total: updates.
        updates_per_second: None before there are some.
        unit: what its speed is counted in.
        age: seconds since.
    """

    done: int
    total: int
    updates_per_second: float | None
    unit: Unit
    age: float

    @classmethod
    def of(cls, folder: str | Path) -> Beat | None:
        """The last one in a work folder, if there is one."""
        file = Path(folder, FILE)
        try:
            said = json.loads(file.read_text())
            # By the file system's clock and this machine's, as with leases: clocks of nodes may differ.
            age = max(0.0, time.time() - file.stat().st_mtime)
            return cls(
                said["done"], said["total"], said["updates_per_second"], Unit(said["unit"], said["per_update"]), age
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def per_second(self) -> float | None:
        """Units a second."""
        return self.updates_per_second and self.updates_per_second * self.unit.per_update

    @property
    def seconds(self) -> float | None:
        """What all of it takes at this pace; None as long as there is none."""
        return self.total / self.updates_per_second if self.updates_per_second else None

    @property
    def seconds_left(self) -> float | None:
        """What is left at this pace; None as long as there is none."""
        if not self.updates_per_second:
            return None
        return max(0.0, (self.total - self.done) / self.updates_per_second - self.age)

    @property
    def is_silent(self) -> bool:
        """Whether it was long ago."""
        return self.age > SILENT_SECONDS
