"""Titles and captions of what a grid results in, for the page and for `snakemake --report` alike.

Each is a file of captions/, in reStructuredText without further markup: a title, underlined, and one paragraph or more.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "captions"


def file(kind: str, name: str) -> Path:
    """The file of a caption.

    Args:
        kind: `figures` or `tables`.
    """
    return FOLDER / kind / f"{name}.rst"


def read(kind: str, name: str) -> tuple[str, str]:
    """A result's title and caption."""
    title, _, *lines = file(kind, name).read_text().splitlines()
    return title, " ".join(" ".join(lines).split())
