"""Reading the user's files as data sets and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import pyarrow as pa
from datasets import Dataset

from gridlaw.cli import Failure
from gridlaw.data import columns, formats, text_files

# Characters of a txt file that are read at once.
CHUNK = 10 << 20


def documents(files: Sequence[str], unit: str, column: str) -> Iterator[str | None]:
    """Yield the text of each document of some files of one format, sorted by name; None for a missing one.

    Args:
        unit: what a document of a txt file is: `file`, `paragraph` (text between empty lines) or `line`; `auto` is the
            file if there are several, else the paragraph.
        column: of the text, in other formats.

    Raises:
        Failure: a file cannot be read, or a value is no text; one line with the file, and the row if there is one.
    """
    if fault := formats.fault(files, formats.DOCUMENTS):
        raise Failure(fault)
    if unit == "auto":
        unit = "file" if len(files) > 1 else "paragraph"
    for file in sorted(files):
        if formats.reader_of(file) == "text":
            with _one_line(file):
                text_files.require_content(file)
                with text_files.open_text(file) as stream:
                    yield from UNITS[unit](stream)
        else:
            for batch in _batches(file, [column]):
                yield from batch[column]


def examples(file: str, texts: Sequence[str], label: str) -> dict[str, list]:
    """Return the columns of a file with examples of a task; cells of csv and tsv files are text, empty ones None.

    Args:
        texts: columns whose values have to be text.
        label: column with the label.

    Raises:
        Failure: as `documents`.
    """
    if fault := formats.fault([file], formats.EXAMPLES):
        raise Failure(fault)
    rows: dict[str, list] = {name: [] for name in [*texts, label]}
    for batch in _batches(file, texts, label):
        for name, values in batch.items():
            rows[name] += values
    return rows


def to_text(value: object, place: str, row: int, column: str) -> str | None:
    """Return a value of a column with text as text, a whole number as its digits; None for a missing one.

    Args:
        place: file or data set of the column, for messages.
        row: its number in it, from 1.

    Raises:
        Failure: the value is something else, such as a list.
    """
    if value is None or value != value:
        return None
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise Failure(
            f"{place}, row {row}: column {column} holds a {type(value).__name__} ({value!r:.60}); expected text"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"half a character (\\u{ord(value[error.start]):x})"
        raise Failure(f"{place}, row {row}: column {column} holds {half}; expected text") from error
    return value


def require_column(rows: Dataset, name: str, source: str) -> None:
    """Check that a data set has a column.

    Raises:
        Failure: the column is missing; the message names those that exist.
    """
    if name not in rows.column_names:
        raise columns.MissingColumn(name, rows.column_names, source)


def _batches(file: str, texts: Sequence[str], *others: str) -> Iterator[dict[str, list]]:
    """Yield columns of a file, a few rows at a time: text or None in `texts`, any values in others."""
    count = 0
    with _one_line(file):
        text_files.require_content(file)
        for rows in columns.read(file, list(dict.fromkeys([*texts, *others]))):
            for name in texts:
                values = enumerate(rows[name], count + 1)
                rows[name] = [to_text(value, file, row, name) for row, value in values]
            count += len(rows[texts[0]])
            yield rows


def _paragraphs(stream: TextIO) -> Iterator[str]:
    rest = ""
    while chunk := stream.read(CHUNK):
        *whole, rest = (rest + chunk).split("\n\n")
        yield from filter(None, whole)
    if rest:
        yield rest


UNITS: dict[str, Callable[[TextIO], Iterable[str]]] = {
    "file": lambda stream: [stream.read()],
    "paragraph": _paragraphs,
    "line": iter,
}


@contextmanager
def _one_line(file: str) -> Iterator[None]:
    """Turn whatever readers raise for a damaged file into a `Failure` of one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Failure(text_files.describe_encoding(file)) from error
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise Failure(f"{file}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
