"""The cause of a failure, from the logs of the program that failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gridlaw import io

# Lines of a program's log that give the cause of a failure, best first: our own message, an exception, what torchrun
# reports of a killed rank.
PATTERNS = (r"error: ", r"(?!torch\.distributed)[\w.]*(Error|Exception)\b", r" *traceback : (?=Signal)")
# Bytes at the end of a log in which to look for the cause of a failure. A rank that loses contact with the others
# prints a stack of 8 kB after the cause.
TAIL_BYTES = 1 << 18


def find(logs: Iterable[str | Path], patterns: Sequence[str] = PATTERNS) -> str:
    """Return the last line of some logs that matches the first pattern with a match, without what only marks it.

    Args:
        logs: files, the one that is read first first; missing ones are left out.
        patterns: regular expressions of the beginning of a line, best first.

    Returns:
        the empty string if no line matches.
    """
    lines = read_lines(logs)
    matches = ([line for line in lines if re.match(pattern, line)] for pattern in patterns)
    line = next(filter(None, matches), [""])[-1]
    return re.sub(r"^(error: | *traceback : )", "", line)


def last_line(logs: Iterable[str | Path]) -> str:
    """Return the last line of some logs; the empty string if there is none."""
    return (read_lines(logs) or [""])[-1]


def read_lines(logs: Iterable[str | Path]) -> list[str]:
    """Return the lines at the end of some logs, without empty ones."""
    return [line for log in logs for line in io.read_tail(log, TAIL_BYTES).splitlines() if line.strip()]
