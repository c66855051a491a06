"""The grid: its cells, and their names.

A cell is one (model, size, gpus). Paths are made of names, so names are canonical: `64000`, `64k` and `0.064M` are
the same size, `64k`.
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
    """One point of the grid: a model of the catalogue, the canonical name of a size, and a number of ranks."""

    model: str
    size: str
    gpus: int


def parse_size(size: str | int) -> int | None:
    """Return the number of tokens of a size; None for `all`.

    Raises:
        ValueError: the text is not a size, or not a whole number of tokens (`0.5`, `1.23456k`).
    """
    if size == ALL:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMB]?)", str(size))
    if not match:
        raise ValueError(f"{size!r} is not a size; expected a number such as 0, 64k, 1M or 2.5B, or all")
    number, unit = match.groups()
    tokens = Decimal(number) * UNITS.get(unit, 1)
    if tokens != int(tokens):
        raise ValueError(f"{size!r} is not a whole number of tokens")
    return int(tokens)


def is_trained(size: str | int) -> bool:
    """Return whether a model is trained at a size; at size 0 it keeps its initial weights."""
    return parse_size(size) != 0


def size_name(size: str | int) -> str:
    """Return the canonical name of a size, in the largest unit that needs at most three decimals."""
    tokens = parse_size(size)
    if tokens is None:
        return ALL
    for unit, factor in UNITS.items():
        if tokens >= factor and tokens * 1000 % factor == 0:
            return f"{(Decimal(tokens) / factor).normalize():f}{unit}"
    return str(tokens)


def rounded(tokens: float) -> str:
    """Return the name of the size nearest to some tokens that has two digits."""
    return size_name(int(Decimal(f"{tokens:.1e}")))


def size_order(name: str) -> float:
    """Return the sort key of a size's name; `all` comes last."""
    tokens = parse_size(name)
    return float("inf") if tokens is None else tokens


def cells(config: dict) -> Iterator[Cell]:
    """Yield the cells of a validated configuration, in the order of its axes, without the excluded ones."""
    excluded = [_chosen(entry) for entry in config["exclude"]]
    for cell in map(Cell._make, product(config["models"], map(size_name, config["sizes"]), config["gpus"])):
        if not any(all(getattr(cell, axis) in values for axis, values in entry.items()) for entry in excluded):
            yield cell


def exclusions(config: dict) -> list[dict[str, list]]:
    """Return the exclusions of a configuration in one normal form, however they are written.

    There is one entry for each model and each set of gpus values that some of its sizes lack.
    """
    kept = set(cells(config))
    sizes = sorted(map(size_name, config["sizes"]), key=size_order)
    entries: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for model, size in product(sorted(config["models"]), sizes):
        missing = tuple(gpus for gpus in sorted(config["gpus"]) if Cell(model, size, gpus) not in kept)
        if missing:
            entries.setdefault((model, missing), []).append(size)
    return [{"model": model, "size": names, "gpus": list(gpus)} for (model, gpus), names in entries.items()]


def _chosen(entry: dict) -> dict[str, set]:
    """Return the values of each axis that an exclusion names."""
    chosen = {axis: {*value} if isinstance(value, list) else {value} for axis, value in entry.items()}
    return chosen | {axis: {size_name(size) for size in chosen[axis]} for axis in chosen.keys() & {"size"}}


def compared(config: dict, model: str, size: str) -> list[int]:
    """Return the gpus values at which one model and size is trained alike, 1 first; empty if there are not several.

    With weak scaling the batch differs too, and at size 0 there is no training.
    """
    if config["pretrain"]["scaling"] == "weak" or not is_trained(size):
        return []
    gpus = sorted(cell.gpus for cell in cells({**config, "models": [model], "sizes": [size]}))
    return gpus if gpus[:1] == [1] and len(gpus) > 1 else []


def scored(config: dict) -> dict[Cell, int]:
    """Return each cell with the gpus value whose fine-tuning gives the cell its scores.

    With strong scaling, cells that differ only in gpus hold the same model, up to floating-point summation order, so
    one of them is fine-tuned for all. A cell that is not fine-tuned itself takes the smallest gpus value that is.
    """
    chosen, everything = config["finetune"]["gpus"], list(cells(config))
    finetuned = {cell: cell.gpus for cell in everything if chosen == "all" or cell.gpus in chosen}
    smallest: dict[tuple[str, str], int] = {}
    for cell in finetuned:
        smallest[cell[:2]] = min(cell.gpus, smallest.get(cell[:2], cell.gpus))
    return {cell: finetuned.get(cell) or smallest[cell[:2]] for cell in everything}
