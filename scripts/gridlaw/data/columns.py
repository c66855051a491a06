"""Columns of the user's Parquet, csv, tsv and JSON files, a few rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TextIO

import pyarrow.parquet as pq

from gridlaw import words
from gridlaw.cli import Failure
from gridlaw.data import formats
from gridlaw.data.text_files import open_text

# Rows that are held in memory at once, and the most characters of a cell of a csv file.
ROWS, LONGEST_CELL = 1000, 2**31 - 1
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
OBJECTS = "expected an object on each line, or one array of objects"


def read(file: str, columns: list[str]) -> Iterator[dict[str, list]]:
    """Yield the values of some columns of a file; None for a missing one.

    Cells of csv and tsv files are text, whatever they look like, or missing if they are empty.

    Raises:
        Failure: a column is missing, or a row cannot be read.
        OSError, ValueError: the file cannot be read.
    """
    yield from READERS[formats.reader_of(file)](file, columns)


class MissingColumn(Failure):
    """A column is missing; the message names those that exist.

    Args:
        name: of the column.
        source: file or data set without it.
    """

    def __init__(self, name: str, existing: Iterable[str], source: str):
        known = ", ".join(f"{other:.40}" for other in existing)
        super().__init__(f"{source}: no column {name}; expected one of {known:.400}")
        self.name = name


def _parquet(file: str, columns: list[str]) -> Iterator[dict[str, list]]:
    # pyarrow would look for a protocol in a name.
    with open(file, "rb") as stream:
        table = pq.ParquetFile(stream)
        for name in columns:
            if name not in table.schema_arrow.names:
                raise MissingColumn(name, table.schema_arrow.names, file)
        for batch in table.iter_batches(ROWS, columns=columns):
            yield batch.select(columns).to_pydict()


def _csv(file: str, columns: list[str]) -> Iterator[dict[str, list]]:
    """Yield columns of a csv or tsv file; tsv files have no quotes."""
    separator, quoting = (
        ("\t", csv.QUOTE_NONE) if formats.split_suffixes(file)[0] == ".tsv" else (",", csv.QUOTE_MINIMAL)
    )
    csv.field_size_limit(LONGEST_CELL)
    # A cell keeps the line ends that it contains.
    with open_text(file, newline="") as stream:
        rows = csv.reader(stream, delimiter=separator, quoting=quoting, strict=True)
        try:
            header = next(filter(None, rows), None)
            if header is None:
                return
            places = [_place(name, header, separator, file) for name in columns]
            full = (_checked(cells, len(header), rows.line_num, file) for cells in rows if cells)
            for some in _batched(full):
                yield {name: [cells[at] or None for cells in some] for name, at in zip(columns, places, strict=True)}
        except csv.Error as error:
            raise Failure(f"{file}: line {rows.line_num}: {error}; a quote in a cell is written twice") from error


def _place(name: str, header: list[str], separator: str, file: str) -> int:
    """Return the place of a column in a row."""
    if header.count(name) > 1:
        raise Failure(f"{file}: {header.count(name)} columns are called {name}; expected one")
    if name in header:
        return header.index(name)
    line = separator.join(header)
    for other, word in SEPARATORS.items():
        if other != separator and name in [cell.strip(' "') for cell in line.split(other)]:
            raise Failure(
                f"{file}: no column {name}: {word} seem to separate its columns; expected {SEPARATORS[separator]}"
            )
    raise MissingColumn(name, header, file)


def _checked(cells: list[str], count: int, line: int, file: str) -> list[str]:
    if len(cells) != count:
        raise Failure(
            f"{file}: line {line} has {words.count(len(cells), 'cell')}, and the header has {count}; expected the same,"
            " with quotes around a cell that contains the separator"
        )
    return cells


def _json(file: str, columns: list[str]) -> Iterator[dict[str, list]]:
    """Yield columns of a file of JSON objects, one on each line, or in one array; a missing key is None."""
    keys: dict[str, None] = {}
    with open_text(file) as stream:
        for rows in _batched(_json_rows(stream, file)):
            keys |= dict.fromkeys(chain.from_iterable(rows))
            yield {name: [row.get(name) for row in rows] for name in columns}
    for name in columns if keys else ():
        if name not in keys:
            raise MissingColumn(name, keys, file)


def _json_rows(stream: TextIO, file: str) -> Iterator[dict]:
    first, before = "", 0
    while not first.strip() and (line := stream.readline()):
        first, before = line, before + 1
    if first.lstrip().startswith("["):
        try:
            rows = enumerate(json.loads(first + stream.read()), 1)
        except json.JSONDecodeError as error:
            raise Failure(f"{file}: no JSON array: {error}; {OBJECTS}") from error
        unit = "row"
    else:
        rows, unit = _json_lines(chain([first], stream), before, file), "line"
    for number, row in rows:
        if not isinstance(row, dict):
            raise Failure(f"{file}: {unit} {number} is a {type(row).__name__}; {OBJECTS}")
        yield row


def _json_lines(lines: Iterable[str], first: int, file: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(lines, first):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise Failure(f"{file}: line {number} is not JSON ({error.msg}); {OBJECTS}") from error


def _batched(rows: Iterable) -> Iterator[list]:
    rows = iter(rows)
    while some := list(islice(rows, ROWS)):
        yield some


READERS: dict[str, Callable[[str, list[str]], Iterator[dict[str, list]]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "json": _json,
}
