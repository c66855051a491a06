"""Cutting documents into segments, the units that are shuffled, and into words, by which segments are measured.

A word is what stands between white space. Scripts that are written without spaces have no such words: there, every
character counts as a word, with its marks and punctuation. So does every character of a run of more than
`LONGEST` characters without white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Largest number of characters in a word, as in BERT's WordPiece.
LONGEST = 100
# Blocks of Unicode with scripts that have no spaces between words (those of line breaking classes ID, CJ and SA in
# UAX #14, and their relatives): Thai and Lao, Tibetan, Myanmar, Khmer, Tai scripts, Balinese, Han and kana, Yi,
# Javanese, half-width kana, and the supplementary planes of kana and Han.
UNSPACED = (
    r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fdf\u3005-\u3007"
    r"\u3021-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    r"\uff66-\uff9d\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
ANY_UNSPACED = re.compile(f"[{UNSPACED}]")
OPENING = r"「『（〈《【〔“‘(\["
UNSPACED_WORD = re.compile(rf"[{OPENING}]*[{UNSPACED}][^\w\s{OPENING}]*|[^{UNSPACED}]+")
PARAGRAPH = re.compile(r"\n\s*\n")
# Ends of sentences: before white space, or, since such scripts write none, after one of their full stops.
SENTENCE = re.compile(
    r"""(?=\s)(?:(?<=[.!?…])|(?<=[.!?…]["'”’)]))"""
    r"""|(?<=[。！？｡។။])(?![。！？｡」』）"'”’)])|(?<=[。！？｡។။][」』）"'”’)])"""
)


def words(text: str) -> list[str]:
    """Return the words of a text, each with a space before it if it follows white space."""
    runs = text.split()
    if max(map(len, runs), default=0) <= LONGEST and (text.isascii() or not ANY_UNSPACED.search(text)):
        cut = [f" {run}" for run in runs]
    else:
        cut = [word if place else f" {word}" for run in runs for place, word in enumerate(_cut(run))]
    if cut and not text[0].isspace():
        cut[0] = cut[0][1:]
    return cut


def count_words(text: str) -> int:
    """Return the number of words of a text."""
    return len(words(text))


def _cut(run: str) -> Iterator[str]:
    """Yield the words of a run of characters without white space."""
    for word in UNSPACED_WORD.findall(run):
        yield from [word] if len(word) <= LONGEST else word


def segments(document: str, limit: int) -> Iterator[tuple[str, int]]:
    """Cut a document into segments of at most `limit` words, each with its number of words.

    A segment is a paragraph. A longer paragraph is cut between sentences; a sentence longer than `limit` is cut between
    words. A paragraph shorter than a quarter of `limit` (dialogue, headings) is joined with the next one, so that the
    model sees some context. In a document without blank lines, each line is a paragraph.
    """
    breaks = PARAGRAPH if PARAGRAPH.search(document.strip()) else re.compile(r"\n")
    pending: list[str] = []
    for paragraph in breaks.split(document):
        for piece in _pieces(paragraph, limit):
            if len(pending) + len(piece) > limit:
                yield "".join(pending).strip(), len(pending)
                pending = []
            pending += piece
            if len(pending) >= limit / 4:
                yield "".join(pending).strip(), len(pending)
                pending = []
    if pending:
        yield "".join(pending).strip(), len(pending)


def _pieces(paragraph: str, limit: int) -> Iterator[list[str]]:
    """Yield groups of whole sentences of at most `limit` words; a longer sentence is cut after each `limit` words."""
    pending: list[str] = []
    for sentence in SENTENCE.split(f" {paragraph}"):
        cut = words(sentence)
        if pending and len(pending) + len(cut) > limit:
            yield pending
            pending = []
        pending += cut
        if len(pending) > limit:
            *full, pending = (pending[start : start + limit] for start in range(0, len(pending), limit))
            yield from full
    if pending:
        yield pending
