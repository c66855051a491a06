"""Cutting documents into segments, the units that are shuffled."""

from __future__ import annotations

import re
from collections.abc import Iterator

PARAGRAPH = re.compile(r"\n\s*\n")
SENTENCE = re.compile(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)])\s+""")


def segments(document: str, limit: int) -> Iterator[str]:
    """Cut a document into segments of at most `limit` words.

    A segment is a paragraph. A longer paragraph is cut between sentences; a sentence longer than `limit` is cut between
    words. A paragraph shorter than a quarter of `limit` (dialogue, headings) is joined with the next one, so that the
    model sees some context. In a document without blank lines, each line is a paragraph.
    """
    breaks = PARAGRAPH if PARAGRAPH.search(document.strip()) else re.compile(r"\n")
    pending: list[str] = []
    for paragraph in breaks.split(document):
        for piece in _pieces(paragraph, limit):
            if len(pending) + len(piece) > limit:
                yield " ".join(pending)
                pending = []
            pending += piece
            if len(pending) >= limit / 4:
                yield " ".join(pending)
                pending = []
    if pending:
        yield " ".join(pending)


def _pieces(paragraph: str, limit: int) -> Iterator[list[str]]:
    """Yield groups of whole sentences of at most `limit` words; a longer sentence is cut after each `limit` words."""
    pending: list[str] = []
    for sentence in SENTENCE.split(paragraph):
        words = sentence.split()
        if pending and len(pending) + len(words) > limit:
            yield pending
            pending = []
        pending += words
        while len(pending) > limit:
            yield pending[:limit]
            pending = pending[limit:]
    if pending:
        yield pending
