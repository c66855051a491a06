"""The cells to run next: those that reduce the variance of a forecast most per rank-hour.

The bootstrap samples of a law's parameters give the covariance of the log losses at any two sizes. A new cell is a
measurement of one of them with the noise of a run, and conditioning on it reduces the variance of the forecast as in
linear regression (the knowledge gradient; Frazier et al. 2009). Models without a law get the cells that one needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gridlaw.arrays import Array
from gridlaw.config import grid
from gridlaw.decisions.budget import paces
from gridlaw.decisions.pareto import Cells
from gridlaw.laws.judging import FORECAST_RANGE, FORECAST_VALUES
from gridlaw.laws.law import Law
from gridlaw.words import join_and, percent, rank_time, short

# The forecast to improve is that of this multiple of a model's largest size.
TARGET = 4.0
# A cell is worth running if it reduces the variance of a forecast by more than this share.
WORTH = 0.05
UNTIMED = "Stop: no run says how long it takes, so that nothing can be planned."
# Neighbouring sizes get a size between them only if it differs from both by this factor.
APART = 1.8


@dataclass(frozen=True)
class Candidate:
    """A cell that could be run.

    Args:
        hours: rank-hours of all its pre-training seeds, at the pace of the model's other cells.
    """

    model: str
    size: str
    gpus: int
    hours: float

    @property
    def corpus_tokens(self) -> float:
        """Its corpus tokens."""
        return float(grid.parse_size(self.size))


def candidates(model: str, law: Law, cells: Cells, most: float, ranks: list[int] | str) -> Iterator[Candidate]:
    """Sizes beyond a model's largest, and between its others, at the gpus value with the fewest rank-hours.

    Args:
        most: tokens of the corpus.
        ranks: gpus values that are fine-tuned, or `all`; cells on others would have no scores.
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
    """Plan the cells to run next within a budget, for a JSON file.

    Args:
        budget: rank-hours.
        most: tokens of the corpus.
        ranks: gpus values that are fine-tuned, or `all`.
    """
    possible = [cell for model, law in laws.items() for cell in candidates(model, law, cells, most, ranks)]
    affordable = [cell for cell in possible if cell.hours <= budget]
    rows = list(_reduce_variance(laws, affordable, budget))
    for model, law in laws.items():
        if not _has_samples(law):
            remaining = budget - sum(row["cost_rank_hours"] for row in rows)
            rows += _enable_law(model, law, affordable, remaining)
    facts = {"budget_rank_hours": budget, "cells": rows, "tokens_there_are": most}
    return facts | {
        "stop": not rows,
        "verdict": _verdict(rows, possible, affordable, budget, most) if paces(cells) else UNTIMED,
    }


def _has_samples(law: Law) -> bool:
    """Return whether a law has bootstrap samples and noise, from which the gain of a cell is computed."""
    return law.forecaster is not None and law.forecaster.draws is not None and law.forecaster.noise > 0


@dataclass
class Belief:
    """Losses of a model as its law sees them: samples of the log loss, centred, of candidates and of the target.

    Args:
        losses: at each candidate's size; shape (samples, candidates).
        target: at the size to forecast; shape (samples,).
        noise: standard deviation of a run's log loss.
    """

    losses: Array
    target: Array
    noise: float

    @classmethod
    def from_law(cls, law: Law, sizes: list[float], target: float) -> Belief:
        """The belief from a law's bootstrap samples.

        Args:
            sizes: of the candidates, in tokens.
            target: the size to forecast, in tokens.
        """
        draws = law.forecaster.draws
        losses, targets = (
            np.log(draws(np.array([[size] for size in places]))) for places in (sizes or [1.0], [target])
        )
        return cls(losses - losses.mean(0), targets[:, 0] - targets[:, 0].mean(), law.forecaster.noise)

    def condition(self, index: int, random: np.random.Generator) -> None:
        """Take a candidate as measured, by adding noise to its samples and regressing all others on it."""
        loss = self.losses[:, index]
        variance = loss.var() + self.noise**2
        measured = loss + random.normal(0, self.noise, len(loss))
        self.target = self.target - (loss * self.target).mean() / variance * measured
        self.losses = self.losses - (loss[:, None] * self.losses).mean(0) / variance * measured[:, None]


def knowledge_gradient(loss: Array, target: Array, noise: float) -> float:
    """The share of a target's variance that a measurement removes.

    It is cov(loss, target)^2 / ((var(loss) + noise^2) var(target)), the R^2 of a regression of the target on the
    measurement.

    Args:
        loss: samples of the measured quantity, centred; shape (samples,).
        target: samples of the target, centred; shape (samples,).
        noise: standard deviation of the measurement's error.
    """
    covariance = (loss * target).mean()
    return float(covariance**2 / (loss.var() + noise**2) / max(target.var(), 1e-300))


def _reduce_variance(laws: dict[str, Law], possible: list[Candidate], budget: float) -> Iterator[dict]:
    """Cells that reduce the variance of their model's forecast, the largest gain per rank-hour first."""
    cells = {
        model: [cell for cell in possible if cell.model == model] for model, law in laws.items() if _has_samples(law)
    }
    targets = {model: TARGET * laws[model].points.scale.max() for model in cells}
    beliefs = {
        model: Belief.from_law(laws[model], [cell.corpus_tokens for cell in candidates], targets[model])
        for model, candidates in cells.items()
    }
    remaining, spent, random = [cell for cell in possible if cell.model in cells], 0.0, np.random.default_rng(0)
    while remaining:
        gains = {}
        for cell in remaining:
            belief = beliefs[cell.model]
            loss = belief.losses[:, cells[cell.model].index(cell)]
            gains[cell] = knowledge_gradient(loss, belief.target, belief.noise)
        worth = [cell for cell in remaining if gains[cell] > WORTH and spent + cell.hours <= budget]
        if not worth:
            return
        chosen = max(worth, key=lambda cell: gains[cell] / cell.hours)
        remaining.remove(chosen)
        spent += chosen.hours
        target = short(float(f"{targets[chosen.model]:.2g}"))
        why = f"it would take {percent(gains[chosen])} off the variance of the forecast at {target} tokens"
        yield _row(chosen) | {"variance_reduction": gains[chosen], "why": why}
        beliefs[chosen.model].condition(cells[chosen.model].index(chosen), random)


def _enable_law(model: str, law: Law, affordable: list[Candidate], budget: float) -> Iterator[dict]:
    """The cheapest cells that a model lacks for a forecast, within the budget."""
    sizes = set(law.points.x[:, 0])
    for cell in sorted((cell for cell in affordable if cell.model == model), key=lambda cell: cell.hours):
        is_wide = len(sizes) > 1 and max(sizes) / min(sizes) >= FORECAST_RANGE
        if len(sizes) > FORECAST_VALUES and is_wide:
            return
        is_inside = min(sizes) <= cell.corpus_tokens <= max(sizes)
        if cell.hours <= budget and (not is_inside or len(sizes) <= FORECAST_VALUES):
            budget -= cell.hours
            sizes.add(cell.corpus_tokens)
            yield _row(cell) | {"variance_reduction": None, "why": "a forecast needs more sizes"}


def _row(cell: Candidate) -> dict:
    return {
        "model": cell.model,
        "size": cell.size,
        "gpus": cell.gpus,
        "corpus_tokens": cell.corpus_tokens,
        "cost_rank_hours": cell.hours,
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
        least = min(cell.hours for cell in possible)
        return f"Stop, or spend more: the cheapest cell takes {rank_time(least)}, and there are {rank_time(budget)}."
    return f"Stop: no cell that can be afforded takes {percent(WORTH)} of a forecast's variance away."


def overlay(chosen: list[dict], axes: dict) -> dict:
    """A configuration that adds exactly some cells to a grid, for `snakemake --configfile`.

    Args:
        axes: `models`, `sizes`, `gpus` and `exclude` of the grid.
    """
    new = [grid.Cell(row["model"], row["size"], row["gpus"]) for row in chosen]
    sizes = sorted({*axes["sizes"], *(cell.size for cell in new)}, key=grid.size_order)
    # An exclusion that matches a new cell is replaced by exclusions of the other cells that it matched.
    exclude = [dict(entry) for entry in axes["exclude"] if all(_keeps(entry, cell) for cell in new)]
    cells_to_keep = {*grid.cells(axes), *new}
    others: dict[tuple[str, str], list[int]] = {}
    for cell in grid.cells(axes | {"sizes": sizes, "exclude": exclude}):
        if cell not in cells_to_keep:
            others.setdefault((cell.model, cell.size), []).append(cell.gpus)
    for (model, size), gpus in others.items():
        every = {} if gpus == axes["gpus"] else {"gpus": gpus}
        exclude.append({"model": model, "size": size, **every})
    return {"sizes": sizes, "exclude": exclude}


def _keeps(entry: dict, cell: grid.Cell) -> bool:
    """Return whether an exclusion leaves a cell in the grid."""
    return any(grid.cells({"models": [cell.model], "sizes": [cell.size], "gpus": [cell.gpus], "exclude": [entry]}))
