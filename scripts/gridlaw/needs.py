"""What a law lacks: the cells that would do for it, and what they would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from gridlaw.judging import CORNERS, FORECAST_RANGE, FORECAST_VALUES, MORE
from gridlaw.laws import Law
from gridlaw.powerlaw import Array
from gridlaw.sigmoid import SEEDS, ScoreLaw
from gridlaw.speedup import AMDAHL
from gridlaw.words import count, join_and, rank_time, short

# A new value of one axis goes with so many of the other at most, spread over those that are there.
ACROSS = 4


@dataclass(frozen=True)
class Prices:
    """What runs take.

    Args:
        cost: of a run with some parameters on some tokens; NaN where nothing tells.
        said: such a cost in words.
        most: tokens that there are.
        replicates: runs of a cell.
    """

    cost: Callable[[float, float], float]
    said: Callable[[float], str]
    most: float = np.inf
    replicates: int = 1

    @classmethod
    def measured(cls, runs: pd.DataFrame, params: str, most: float) -> Prices:
        """By the rank-hours of the nearest model's larger half of sizes, in proportion to parameters and tokens.

        Args:
            runs: comparable ones, with `model`, `corpus_tokens`, `hours` and `seed`.
            params: the column that has the parameters.
        """
        larger = runs["corpus_tokens"] >= runs.groupby("model")["corpus_tokens"].transform("median")
        paces = (runs["hours"] / runs["corpus_tokens"])[larger & (runs["hours"] > 0)].groupby(runs[params]).median()
        known = paces.index.to_numpy(float)

        def cost(parameters: float, tokens: float) -> float:
            if not len(known):
                return np.nan
            nearest = np.abs(np.log(known / parameters)).argmin()
            return float(paces.iloc[nearest] * tokens * parameters / known[nearest])

        return cls(cost, rank_time, most, runs["seed"].nunique())

    @classmethod
    def by_flops(cls) -> Prices:
        """By the arithmetic of a training, 6 N D (Kaplan et al. 2020, section 2.1)."""
        return cls(lambda params, tokens: 6 * params * tokens, lambda flops: f"{flops:.1e} FLOPs")


def law_needs(law: Law, prices: Prices) -> dict | None:
    """The cells that a law lacks, for a JSON file; None where it lacks none, or none would help."""
    if not law.cure or not len(law.points):
        return None
    columns = dict(zip(law.axes, law.points.x.T, strict=True))
    if law.cure == CORNERS:
        return _needs("These would tell", _corners(law.points.x), prices)
    if law.cure == MORE:
        # Text is had more easily than models.
        grown = law.axes[-1]
        new, verb = {grown: [2 * columns[grown].max(), 4 * columns[grown].max()]}, "would tell more"
    else:
        ends = {"corpus_tokens": prices.most}
        new = {axis: _ladder(column, ends.get(axis, np.inf)) for axis, column in columns.items()}
        verb = "would do"
    along = {axis: [*new.get(axis, []), *_spread(column)] for axis, column in columns.items()}
    places = [dict(zip(along, place, strict=True)) for place in product(*along.values())]
    places = [law.fixed | place for place in places if any(place[axis] in values for axis, values in new.items())]
    what = join_and([_named(axis, values) for axis, values in new.items() if values])
    text = {"corpus_tokens", "effective_tokens"}.intersection(places[0]).pop()
    return _needs(f"{what} {verb}", [(place["params"], place[text]) for place in places], prices)


def score_needs(law: ScoreLaw, cells: pd.DataFrame, prices: Prices) -> dict | None:
    """Likewise of a curve of scores: more text for the model that is best, or one more seed.

    Args:
        cells: with `model`, `params`, `corpus_tokens` and `loss`.
    """
    if law.cure == SEEDS:
        words = f"A second fine-tuning seed of {count(len(law.cells), 'cell')} would tell, without any pre-training."
        return {"cells": [], "cost": 0.0, "words": words}
    if not law.cure or cells.empty:
        return None
    best = cells.loc[cells["loss"].idxmin()]
    largest = cells.loc[cells["model"] == best["model"], "corpus_tokens"].max()
    tokens = [2 * largest, 4 * largest]
    what = f"It would tell more to train {best['model']} on {_named('corpus_tokens', tokens)}"
    return _needs(what, [(best["params"], number) for number in tokens], prices)


def speedup_needs(ranks: list[int], hours: float) -> dict | None:
    """Likewise of throughput.

    Args:
        ranks: that it was measured on.
        hours: rank-hours of a run on the most of them.
    """
    new = [max(ranks) * 2**n for n in range(1, 1 + AMDAHL - len(ranks))] if ranks else []
    if not new:
        return None
    words = f"Runs with gpus {join_and(new)} would do, about {rank_time(len(new) * hours)}."
    return {"gpus": new, "cost": len(new) * hours, "words": words}


def verdict(why: str, needs: dict | None) -> str:
    """A law's verdict, with what it lacks."""
    return f"{why} {needs['words']}" if needs else why


def _ladder(values: Array, most: float) -> list[float]:
    """What makes enough values over a wide enough range: doublings of the largest up to `most`, then halvings of the
    smallest."""
    have, new = sorted(set(values.tolist())), []
    while len(have) < FORECAST_VALUES or have[-1] / have[0] < FORECAST_RANGE:
        new.append(2 * have[-1] if 2 * have[-1] <= most else have[0] / 2)
        have = sorted([*have, new[-1]])
    return sorted(new)


def _corners(x: Array) -> list[tuple[float, float]]:
    """What tells two axes apart that go together: small values of one with large ones of the other."""
    (small, large), (few, many) = zip(x.min(0), x.max(0), strict=True)
    return [(small, many), (large, few)] if np.corrcoef(np.log(x.T))[0, 1] > 0 else [(small, few), (large, many)]


def _spread(values: Array) -> list[float]:
    """Values that are there, at most so many, the ends among them."""
    distinct = np.unique(values)
    chosen = np.linspace(0, len(distinct) - 1, min(ACROSS, len(distinct))).round().astype(int)
    return distinct[chosen].tolist()


def _named(axis: str, values: list[float]) -> str:
    numbers = join_and([short(float(f"{value:.2g}")) for value in values])
    if axis != "params":
        return f"{numbers} tokens"
    return f"{'A model' if len(values) == 1 else 'Models'} of about {numbers} parameters"


def _needs(what: str, places: list[tuple[float, float]], prices: Prices) -> dict:
    """Needs, for a JSON file.

    Args:
        what: would do, or tell.
        places: parameters and tokens of the cells.
    """
    cost = prices.replicates * sum(prices.cost(*place) for place in places)
    known = np.isfinite(cost)
    about = f", about {prices.said(cost)}" if known else ""
    wanting = max(tokens for _, tokens in places) > prices.most
    but = f"; the corpus has {short(float(f'{prices.most:.2g}'))}" if wanting else ""
    return {
        "cells": [{"params": float(params), "corpus_tokens": float(tokens)} for params, tokens in places],
        "cost": float(cost) if known else None,
        "words": f"{what}: {count(len(places), 'cell')}{about}{but}.",
    }
