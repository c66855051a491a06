"""A configured experiment: the completed configuration, its cells, and the existing records."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from gridlaw import io
from gridlaw.config import grid


class Experiment:
    """A configuration and the records, from which steps are derived.

    Args:
        config: a completed configuration.
        read: returns the record in a file, or None.
    """

    def __init__(self, config: dict, read: Callable[[str], dict | None] = io.find_json):
        self.config, self.read = config, read

    @cached_property
    def cells(self) -> list[grid.Cell]:
        """The grid's cells."""
        return list(grid.cells(self.config))

    @cached_property
    def scored(self) -> list[grid.Cell]:
        """The cells that are fine-tuned and scored, sorted."""
        return sorted({cell._replace(gpus=gpus) for cell, gpus in grid.scored(self.config).items()})

    @cached_property
    def compared(self) -> list[tuple[str, str]]:
        """The models and sizes whose runs on several ranks are compared with the one on a single rank, sorted."""
        runs = dict.fromkeys((cell.model, cell.size) for cell in self.cells)
        return sorted(run for run in runs if grid.compared(self.config, *run))
