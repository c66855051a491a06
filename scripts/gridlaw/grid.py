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


def rounded(tokens: float) -> str:
    """The name of a size near some tokens, with two digits."""
    return size_name(int(Decimal(f"{tokens:.1e}")))


def size_order(name: str) -> float:
    """Sort key of a size's name; `all` comes last."""
    tokens = parse_size(name)
    return float("inf") if tokens is None else tokens


def cells(config: dict) -> Iterator[Cell]:
    """The cells of a validated configuration, in the order of its axes, without the excluded ones."""
    excluded = [_chosen(entry) for entry in config["exclude"]]
    for cell in map(Cell._make, product(config["models"], map(size_name, config["sizes"]), config["gpus"])):
        if not any(all(getattr(cell, axis) in values for axis, values in entry.items()) for entry in excluded):
            yield cell


def exclusions(config: dict) -> list[dict[str, list]]:
    """Entries that exclude what those of the configuration do, however they are written: one for each model and each
    set of gpus values that some of its sizes go without."""
    kept = set(cells(config))
    sizes = sorted(map(size_name, config["sizes"]), key=size_order)
    entries: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for model, size in product(sorted(config["models"]), sizes):
        without = tuple(gpus for gpus in sorted(config["gpus"]) if Cell(model, size, gpus) not in kept)
        if without:
            entries.setdefault((model, without), []).append(size)
    return [{"model": model, "size": names, "gpus": list(gpus)} for (model, gpus), names in entries.items()]


def _chosen(entry: dict) -> dict[str, set]:
    """The values of each axis that an exclusion names."""
    chosen = {axis: {*value} if isinstance(value, list) else {value} for axis, value in entry.items()}
    return chosen | {axis: {size_name(size) for size in chosen[axis]} for axis in chosen.keys() & {"size"}}


def compared(config: dict, model: str, size: str) -> list[int]:
    """The gpus values of a model's runs at one size that differ in nothing else, the single rank first; or none.

    In weak scaling they differ in the batch, and at size 0 there is no training.
    """
    if config["pretrain"]["scaling"] == "weak" or parse_size(size) == 0:
        return []
    gpus = sorted(cell.gpus for cell in cells({**config, "models": [model], "sizes": [size]}))
    return gpus if gpus[:1] == [1] and len(gpus) > 1 else []


def scored(config: dict) -> dict[Cell, int]:
    """The cells, each with the gpus value whose fine-tuning gives it its scores.

    In strong scaling, cells that differ in gpus only hold the same model up to the order of float sums, so one of them
    speaks for all. A cell whose own gpus value is not fine-tuned takes the smallest one that is.
    """
    chosen, whole = config["finetune"]["gpus"], list(cells(config))
    own = {cell: cell.gpus for cell in whole if chosen == "all" or cell.gpus in chosen}
    smallest: dict[tuple[str, str], int] = {}
    for cell in own:
        smallest[cell[:2]] = min(cell.gpus, smallest.get(cell[:2], cell.gpus))
    return {cell: own.get(cell) or smallest[cell[:2]] for cell in whole}
