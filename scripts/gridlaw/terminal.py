"""Lines for a terminal, as wide as it is; in colour on one that has it, and plain in a file."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from gridlaw.states import DONE, FAILED, NEW, PARTLY, RUNNING, STALE

# Of each state its mark, the one for terminals that know no such characters, and its colour (ECMA-48).
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
    """What lines are written for: how wide it is, whether it has colours, and whether it has more than ASCII."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    @classmethod
    def from_stream(cls, stream: TextIO) -> Terminal:
        """The terminal behind a stream, or what stands for one."""
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
        """Lines of texts, each behind its head."""
        indent = max(map(len, rows)) + 2
        for head, text in rows.items():
            yield from self.wrapped(head, text, indent)

    def wrapped(self, head: str, text: str, indent: int) -> list[str]:
        """Lines of a text behind a head, `indent` columns wide."""
        lines = textwrap.wrap(text, self.width - indent, break_on_hyphens=False) or [""]
        return [head.ljust(indent) + lines[0], *(" " * indent + line for line in lines[1:])]

    def marked(self, state: str, text: str) -> list[str]:
        """Lines of a text behind a state's mark."""
        first, *more = self.wrapped(self.mark(state), text, 2)
        return [self.paint(first[0], state) + first[1:], *more]

    def legend(self, states: Iterable[str], *more: str) -> list[str]:
        """Lines that say what marks mean."""
        of = {f"{self.mark(state)} {state}": state for state in states}
        lines = textwrap.wrap("   ".join([*of, *more]), self.width)
        for text, state in of.items():
            painted = self.paint(self.mark(state), state) + text[1:]
            lines = [line.replace(text, painted) for line in lines]
        return lines


def shortened(name: str, length: int) -> str:
    """A name of at most so many characters; its end, where names differ, is kept."""
    return name if len(name) <= length else f"{name[: length // 2 - 1]}..{name[len(name) + length // 2 + 1 - length :]}"
