"""Cutting documents into segments, the unit that is shuffled."""

from __future__ import annotations

import re
from collections.abc import Iterator

PARAGRAPH = re.compile(r"\n\s*\n")
SENTENCE = re.compile(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)])\s+""")


def segments(document: str, limit: int) -> Iterator[str]:
    """Cut a document into segments of at most `limit` words.

    A segment is a paragraph; a long one is cut between sentences, or, within a sentence longer than `limit`, between
    words. Paragraphs shorter than a quarter of `limit` (lines of dialogue, headings) are joined with what follows,
    so that a model sees some context. A document without blank lines has one paragraph a line.
    """
    breaks = PARAGRAPH if PARAGRAPH.search(document.strip()) else re.compile(r"\n")
    held: list[str] = []
    for paragraph in breaks.split(document):
        for piece in _pieces(paragraph, limit):
            if len(held) + len(piece) > limit:
                yield " ".join(held)
                held = []
            held += piece
            if len(held) >= limit / 4:
                yield " ".join(held)
                held = []
    if held:
        yield " ".join(held)


def _pieces(paragraph: str, limit: int) -> Iterator[list[str]]:
    """Runs of whole sentences of at most `limit` words; the words of a longer sentence in runs of `limit`."""
    held: list[str] = []
    for sentence in SENTENCE.split(paragraph):
        words = sentence.split()
        if held and len(held) + len(words) > limit:
            yield held
            held = []
        held += words
        while len(held) > limit:
            yield held[:limit]
            held = held[limit:]
    if held:
        yield held
