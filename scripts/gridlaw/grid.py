"""The grid: its cells, and the names they go by.

A cell is one (model, size, gpus). Names are what paths are made of, so they are canonical: `64000`, `64k` and
`0.064M` are the one size `64k`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import NamedTuple

ALL = "all"
UNITS = {"B": 10**9, "M": 10**6, "k": 10**3}


class Cell(NamedTuple):
    """One point of the grid: a model of the catalogue, a canonical size, a number of ranks."""

    model: str
    size: str
    gpus: int


def parse_size(size: str | int) -> int | None:
    """Tokens that a size stands for; None for `all`.

    Raises:
        ValueError: the text is no size, or not a whole number of tokens (`0.5`, `1.23456k`).
    """
    if size == ALL:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMB]?)", str(size))
    if not match:
        raise ValueError(f"{size!r} is not a size; write 0, 64k, 1M, 2.5B or all")
    number, unit = match.groups()
    tokens = Decimal(number) * UNITS.get(unit, 1)
    if tokens != int(tokens):
        raise ValueError(f"{size!r} is not a whole number of tokens")
    return int(tokens)


def size_name(size: str | int) -> str:
    """The canonical name of a size: the largest unit that needs at most three decimals."""
    tokens = parse_size(size)
    if tokens is None:
        return ALL
    for unit, factor in UNITS.items():
        if tokens >= factor and tokens * 1000 % factor == 0:
            return f"{(Decimal(tokens) / factor).normalize():f}{unit}"
    return str(tokens)


def size_order(name: str) -> float:
    """Sort key of a size's name; `all` comes last."""
    tokens = parse_size(name)
    return float("inf") if tokens is None else tokens


def cells(config: dict) -> Iterator[Cell]:
    """The cells of a validated configuration, in the order of its axes, without the excluded ones."""
    for model, size, gpus in product(config["models"], config["sizes"], config["gpus"]):
        cell = Cell(model, size_name(size), gpus)
        if not any(_matches(cell, entry) for entry in config["exclude"]):
            yield cell


def _matches(cell: Cell, entry: dict) -> bool:
    chosen = {axis: value if isinstance(value, list) else [value] for axis, value in entry.items()}
    if "size" in chosen:
        chosen["size"] = [size_name(size) for size in chosen["size"]]
    return all(getattr(cell, axis) in values for axis, values in chosen.items())


def compared(config: dict) -> dict[tuple[str, str], list[int]]:
    """The gpus values, the single rank first, of each model and size whose runs differ in nothing else.

    In weak scaling they differ in the batch, and at size 0 there is no training.
    """
    runs: dict[tuple[str, str], list[int]] = {}
    for cell in cells(config):
        if config["pretrain"]["scaling"] == "strong" and parse_size(cell.size) != 0:
            runs.setdefault(cell[:2], []).append(cell.gpus)
    return {run: sorted(gpus) for run, gpus in runs.items() if 1 in gpus and len(gpus) > 1}


def scored_at(config: dict, cell: Cell) -> int:
    """The gpus value whose fine-tuning gives this cell its scores.

    In strong scaling, cells that differ in gpus only hold the same model up to the order of float sums, so one of them
    speaks for all. A cell whose own gpus value is not fine-tuned takes the smallest one that is.
    """
    chosen = config["finetune"]["gpus"]
    if chosen == "all" or cell.gpus in chosen:
        return cell.gpus
    return min(other.gpus for other in cells(config) if other[:2] == cell[:2] and other.gpus in chosen)
