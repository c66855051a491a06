"""Which cells to run next: those that make the forecast of a larger one surer, for the least rank-hours.

The draws of a law's parameters say how a loss at one size goes with that at another; a cell that is run there is a
measurement with a run's noise, and what it takes from the variance of the forecast is that of linear regression
(expected improvement of a knowledge gradient; Frazier et al. 2009). Where there is no law yet, the cells that it takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gridlaw import grid
from gridlaw.budget import paces
from gridlaw.judging import FORECAST_RANGE, FORECAST_VALUES
from gridlaw.laws import Law
from gridlaw.powerlaw import Array
from gridlaw.quality import Cells
from gridlaw.words import join_and, percent, rank_time, short

# Sizes that are worth a forecast, as multiples of the largest, where the configuration names none.
TARGET = 4.0
# A cell is worth running if it takes this share of a forecast's variance away.
WORTH = 0.05
UNTIMED = "Stop: no run says how long it takes, so that nothing can be planned."
# Neighbouring sizes closer than this have nothing between them.
APART = 1.8


@dataclass(frozen=True)
class Candidate:
    """A cell that could be run.

    Args:
        hours: rank-hours that all its pre-training seeds take, at the pace of the model's others.
    """

    model: str
    size: str
    gpus: int
    hours: float

    @property
    def corpus_tokens(self) -> float:
        """Distinct tokens that it reads."""
        return float(grid.parse_size(self.size))


def candidates(model: str, law: Law, cells: Cells, most: float, ranks: list[int] | str) -> Iterator[Candidate]:
    """Sizes beyond a model's largest, and between its others, at the gpus value of the best pace.

    Args:
        most: tokens that the corpus has.
        ranks: gpus values that are fine-tuned, or `all`; a cell on others would have no scores.
    """
    rates = {
        gpus: pace for (name, gpus), pace in paces(cells).items() if name == model and (ranks == "all" or gpus in ranks)
    }
    if not rates:
        return
    gpus = min(rates, key=rates.get)
    seeds = int(cells.table["seeds"].max())
    sizes = np.unique(law.points.x[:, 0])
    between = [math.sqrt(a * b) for a, b in pairwise(sizes) if b / a > APART**2]
    for tokens in [sizes[-1] * 2, sizes[-1] * 4, *between]:
        size = grid.rounded(tokens)
        if 0 < grid.parse_size(size) <= most:
            yield Candidate(model, size, gpus, grid.parse_size(size) * rates[gpus] * seeds)


def plan(laws: dict[str, Law], cells: Cells, budget: float, most: float, ranks: list[int] | str = "all") -> dict:
    """The cells to run next within a budget, for a JSON file.

    Args:
        budget: rank-hours.
        most: tokens that the corpus has.
        ranks: gpus values that are fine-tuned, or `all`.
    """
    possible = [one for model, law in laws.items() for one in candidates(model, law, cells, most, ranks)]
    affordable = [one for one in possible if one.hours <= budget]
    lacking = [model for model, law in laws.items() if not _knows(law)]
    rows = list(_surer(laws, affordable, budget))
    for model in lacking:
        left = budget - sum(row["cost_rank_hours"] for row in rows)
        rows += _first(model, laws[model], affordable, left)
    facts = {"budget_rank_hours": budget, "cells": rows, "tokens_there_are": most}
    return facts | {
        "stop": not rows,
        "verdict": _verdict(rows, possible, affordable, budget, most) if paces(cells) else UNTIMED,
    }


def _knows(law: Law) -> bool:
    """Whether there are draws of its parameters, so that what a cell would tell can be told."""
    return law.forecaster is not None and law.forecaster.draws is not None and law.forecaster.noise > 0


def _surer(laws: dict[str, Law], possible: list[Candidate], budget: float) -> Iterator[dict]:
    """Cells in the order in which they lower the variance of their model's forecast most for a rank-hour."""
    known = {model: law for model, law in laws.items() if _knows(law)}
    of = [one for one in possible if one.model in known]
    losses, targets = {}, {}
    for model, law in known.items():
        draws = law.forecaster.draws
        sizes = np.array([[one.corpus_tokens] for one in of if one.model == model] or [[1.0]])
        target = np.array([[TARGET * law.points.scale.max()]])
        losses[model], targets[model] = np.log(draws(sizes)), np.log(draws(target))[:, 0]
        losses[model] = losses[model] - losses[model].mean(0)
        targets[model] = targets[model] - targets[model].mean()
    places = {one: (one.model, [other for other in of if other.model == one.model].index(one)) for one in of}
    left, spent, random = list(of), 0.0, np.random.default_rng(0)
    while left:
        gains = {one: _gain(losses[one.model][:, places[one][1]], targets[one.model], known[one.model]) for one in left}
        worth = [one for one in left if gains[one] > WORTH and spent + one.hours <= budget]
        if not worth:
            return
        chosen = max(worth, key=lambda one: gains[one] / one.hours)
        left.remove(chosen)
        spent += chosen.hours
        target = short(float(f"{TARGET * known[chosen.model].points.scale.max():.2g}"))
        why = f"it would take {percent(gains[chosen])} off the variance of the forecast at {target} tokens"
        yield _row(chosen) | {"variance_reduction": gains[chosen], "why": why}
        # As if it had been run: what the others would still tell.
        model, place = places[chosen]
        measured = losses[model][:, place]
        weight = measured.var() + known[model].forecaster.noise ** 2
        seen = measured + random.normal(0, known[model].forecaster.noise, len(measured))
        targets[model] = targets[model] - (measured * targets[model]).mean() / weight * seen
        gain = (measured[:, None] * losses[model]).mean(0) / weight
        losses[model] = losses[model] - gain * seen[:, None]


def _gain(measured: Array, target: Array, law: Law) -> float:
    """Share of a target's variance that a measurement takes away."""
    covariance = (measured * target).mean()
    return float(covariance**2 / (measured.var() + law.forecaster.noise**2) / max(target.var(), 1e-300))


def _first(model: str, law: Law, affordable: list[Candidate], budget: float) -> Iterator[dict]:
    """The cheapest cells that a model lacks for a forecast, as far as the budget goes."""
    sizes = set(law.points.x[:, 0])
    for one in sorted((one for one in affordable if one.model == model), key=lambda one: one.hours):
        wide = len(sizes) > 1 and max(sizes) / min(sizes) >= FORECAST_RANGE
        if len(sizes) > FORECAST_VALUES and wide:
            return
        inside = min(sizes) <= one.corpus_tokens <= max(sizes)
        if one.hours <= budget and (not inside or len(sizes) <= FORECAST_VALUES):
            budget -= one.hours
            sizes.add(one.corpus_tokens)
            yield _row(one) | {"variance_reduction": None, "why": "a forecast needs more sizes"}


def _row(one: Candidate) -> dict:
    return {
        "model": one.model,
        "size": one.size,
        "gpus": one.gpus,
        "corpus_tokens": one.corpus_tokens,
        "cost_rank_hours": one.hours,
    }


def _verdict(
    rows: list[dict], possible: list[Candidate], affordable: list[Candidate], budget: float, most: float
) -> str:
    if rows:
        cells = [f"{row['model']} {row['size']} ({row['why']})" for row in rows]
        hours = sum(row["cost_rank_hours"] for row in rows)
        return f"Next, for {rank_time(hours)} of {rank_time(budget)}: {join_and(cells)}."
    if not possible:
        return f"Stop, or get more text: the corpus has {short(float(f'{most:.2g}'))} tokens, and the grid uses them."
    if not affordable:
        least = min(one.hours for one in possible)
        return f"Stop, or spend more: the cheapest cell takes {rank_time(least)}, and there are {rank_time(budget)}."
    return f"Stop: no cell that can be afforded takes {percent(WORTH)} of a forecast's variance away."


def overlay(chosen: list[dict], axes: dict) -> dict:
    """A configuration that adds some cells to a grid and nothing else, for `snakemake --configfile`.

    Args:
        axes: `models`, `sizes`, `gpus` and `exclude` of the grid.
    """
    added = [grid.Cell(row["model"], row["size"], row["gpus"]) for row in chosen]
    sizes = sorted({*axes["sizes"], *(cell.size for cell in added)}, key=grid.size_order)
    # An exclusion that meets a chosen cell goes, and what else it excluded is excluded one by one.
    exclude = [dict(entry) for entry in axes["exclude"] if all(_keeps(entry, cell) for cell in added)]
    wanted = {*grid.cells(axes), *added}
    others: dict[tuple[str, str], list[int]] = {}
    for cell in grid.cells(axes | {"sizes": sizes, "exclude": exclude}):
        if cell not in wanted:
            others.setdefault((cell.model, cell.size), []).append(cell.gpus)
    for (model, size), gpus in others.items():
        every = {} if gpus == axes["gpus"] else {"gpus": gpus}
        exclude.append({"model": model, "size": size, **every})
    return {"sizes": sizes, "exclude": exclude}


def _keeps(entry: dict, cell: grid.Cell) -> bool:
    """Whether an exclusion leaves a cell in the grid."""
    return any(grid.cells({"models": [cell.model], "sizes": [cell.size], "gpus": [cell.gpus], "exclude": [entry]}))
