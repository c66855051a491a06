"""Changes of the experiment, by name, each with patterns of the jobs whose own result it touches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..home import Home

Change = Callable[[Home], None]


class Row(NamedTuple):
    """A change, and patterns of the jobs whose own result it touches."""

    change: Change
    touched: tuple[str, ...]


class Rows(dict[str, Row]):
    """Rows by name."""

    def enter(self, name: str, change: Change, *touched: str) -> None:
        """Add a row."""
        assert name not in self, name
        self[name] = Row(change, touched)


def together(*changes: Change) -> Change:
    """Several changes, one after another."""

    def change(home: Home) -> None:
        for one in changes:
            one(home)

    return change
