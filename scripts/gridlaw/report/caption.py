"""Titles and captions of figures and tables, for the report page and for `snakemake --report`.

Each is a file in captions/, in reStructuredText without further markup: an underlined title, and paragraphs.
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
    """Read a result's title and caption."""
    title, _, *lines = file(kind, name).read_text().splitlines()
    return title, " ".join(" ".join(lines).split())
