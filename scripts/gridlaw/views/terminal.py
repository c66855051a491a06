"""Lines for a terminal: wrapped to its width, in colour if it has colours, and plain in a file."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from gridlaw.workflow.states import DONE, FAILED, NEW, PARTLY, RUNNING, STALE

# For each state its mark, a mark in ASCII, and its colour (ECMA-48).
MARKS = {
    DONE: ("●", "#", "32"),
    PARTLY: ("◐", "/", "33"),
    NEW: ("○", ".", "2"),
    STALE: ("~", "~", "35"),
    FAILED: ("✗", "x", "31"),
    RUNNING: ("▶", ">", "36"),
}


@dataclass(frozen=True)
class Terminal:
    """The terminal that lines are written for: its width in columns, and whether it has colours and Unicode."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    @classmethod
    def from_stream(cls, stream: TextIO) -> Terminal:
        """The terminal behind a stream; for a file, one of 80 columns without colours."""
        try:
            width = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            width = 80
        colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(max(40, width), colour, "utf" in (stream.encoding or "").lower())

    def paint(self, text: str, state: str) -> str:
        """Text in a state's colour."""
        return f"\033[{MARKS[state][2]}m{text}\033[0m" if self.colour and text.strip() else text

    def mark(self, state: str) -> str:
        """A state's mark."""
        return MARKS[state][0 if self.unicode else 1]

    def table(self, rows: dict[str, str]) -> Iterator[str]:
        """Wrapped lines of texts, each after its heading."""
        indent = max(map(len, rows)) + 2
        for head, text in rows.items():
            yield from self.wrapped(head, text, indent)

    def wrapped(self, head: str, text: str, indent: int) -> list[str]:
        """Wrapped lines of a text after a heading of `indent` columns."""
        lines = textwrap.wrap(text, self.width - indent, break_on_hyphens=False) or [""]
        return [head.ljust(indent) + lines[0], *(" " * indent + line for line in lines[1:])]

    def marked(self, state: str, text: str) -> list[str]:
        """Wrapped lines of a text after a state's mark."""
        first, *more = self.wrapped(self.mark(state), text, 2)
        return [self.paint(first[0], state) + first[1:], *more]

    def legend(self, states: Iterable[str], *more: str) -> list[str]:
        """Lines that explain the marks of some states."""
        entries = {f"{self.mark(state)} {state}": state for state in states}
        lines = textwrap.wrap("   ".join([*entries, *more]), self.width)
        for text, state in entries.items():
            painted = self.paint(self.mark(state), state) + text[1:]
            lines = [line.replace(text, painted) for line in lines]
        return lines


def shorten(name: str, length: int) -> str:
    """Shorten a name to a number of characters; the end is kept, because there names differ."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}..{name[len(name) + length // 2 + 1 - length :]}"
