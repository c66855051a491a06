"""The cells that a law lacks, with their cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from gridlaw.arrays import Array
from gridlaw.laws.judging import CORNERS, FORECAST_RANGE, FORECAST_VALUES, MORE
from gridlaw.laws.law import Law
from gridlaw.laws.score_curve import SEEDS, ScoreLaw
from gridlaw.laws.speedup import AMDAHL
from gridlaw.words import count, join_and, rank_time, short

# A new value of one axis is combined with at most so many values of the other, spread over its range.
ACROSS = 4


@dataclass(frozen=True)
class Prices:
    """Costs of runs.

    Args:
        cost: cost of a run, by its parameters and tokens; NaN if unknown.
        words: writes a cost in words.
        most: tokens of the corpus.
        replicates: runs of a cell.
    """

    cost: Callable[[float, float], float]
    words: Callable[[float], str]
    most: float = np.inf
    replicates: int = 1

    @classmethod
    def measured(cls, runs: pd.DataFrame, params: str, most: float) -> Prices:
        """Costs in rank-hours, in proportion to parameters and tokens, from the larger sizes of the nearest model.

        Args:
            runs: comparable runs, with `model`, `corpus_tokens`, `hours` and `seed`.
            params: column with the parameters.
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
        """Costs in FLOPs of a training, 6 N D (Kaplan et al. 2020, section 2.1)."""
        return cls(lambda params, tokens: 6 * params * tokens, lambda flops: f"{flops:.1e} FLOPs")


def law_needs(law: Law, prices: Prices) -> dict | None:
    """The cells that a law lacks, for a JSON file; None if it lacks none, or none would help."""
    if not law.cure or not len(law.points):
        return None
    columns = dict(zip(law.axes, law.points.x.T, strict=True))
    if law.cure == CORNERS:
        return _needs("These would tell", _corners(law.points.x), prices)
    if law.cure == MORE:
        # More text is easier to get than more models.
        axis = law.axes[-1]
        new, verb = {axis: [2 * columns[axis].max(), 4 * columns[axis].max()]}, "would tell more"
    else:
        ends = {"corpus_tokens": prices.most}
        new = {axis: _ladder(column, ends.get(axis, np.inf)) for axis, column in columns.items()}
        verb = "would do"
    values_by_axis = {axis: [*new.get(axis, []), *_spread(column)] for axis, column in columns.items()}
    places = [dict(zip(values_by_axis, place, strict=True)) for place in product(*values_by_axis.values())]
    places = [law.fixed | place for place in places if any(place[axis] in values for axis, values in new.items())]
    what = join_and([_axis_words(axis, values) for axis, values in new.items() if values])
    text = {"corpus_tokens", "effective_tokens"}.intersection(places[0]).pop()
    return _needs(f"{what} {verb}", [(place["params"], place[text]) for place in places], prices)


def score_needs(law: ScoreLaw, cells: pd.DataFrame, prices: Prices) -> dict | None:
    """The cells that a curve of scores lacks, for a JSON file: more text for the best model, or one more seed.

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
    what = f"It would tell more to train {best['model']} on {_axis_words('corpus_tokens', tokens)}"
    return _needs(what, [(best["params"], number) for number in tokens], prices)


def speedup_needs(ranks: list[int], hours: float) -> dict | None:
    """The numbers of ranks that a law of throughput lacks, for a JSON file; None if it lacks none.

    Args:
        ranks: measured numbers of ranks.
        hours: rank-hours of a run on the largest of them.
    """
    new = [max(ranks) * 2**n for n in range(1, 1 + AMDAHL - len(ranks))] if ranks else []
    if not new:
        return None
    words = f"Runs with gpus {join_and(new)} would do, about {rank_time(len(new) * hours)}."
    return {"gpus": new, "cost": len(new) * hours, "words": words}


def verdict(why: str, needs: dict | None) -> str:
    """A law's verdict with the cells that it lacks."""
    return f"{why} {needs['words']}" if needs else why


def _ladder(values: Array, most: float) -> list[float]:
    """New values that a forecast lacks in number and range: doublings of the largest up to `most`, then halvings of the
    smallest."""
    ladder, new = sorted(set(values.tolist())), []
    while len(ladder) < FORECAST_VALUES or ladder[-1] / ladder[0] < FORECAST_RANGE:
        new.append(2 * ladder[-1] if 2 * ladder[-1] <= most else ladder[0] / 2)
        ladder = sorted([*ladder, new[-1]])
    return sorted(new)


def _corners(x: Array) -> list[tuple[float, float]]:
    """Cells that separate two correlated axes: small values of one with large values of the other."""
    (small, large), (few, many) = zip(x.min(0), x.max(0), strict=True)
    return [(small, many), (large, few)] if np.corrcoef(np.log(x.T))[0, 1] > 0 else [(small, few), (large, many)]


def _spread(values: Array) -> list[float]:
    """At most `ACROSS` of some values, evenly spread, both ends included."""
    distinct = np.unique(values)
    chosen = np.linspace(0, len(distinct) - 1, min(ACROSS, len(distinct))).round().astype(int)
    return distinct[chosen].tolist()


def _axis_words(axis: str, values: list[float]) -> str:
    """New values of an axis in words."""
    numbers = join_and([short(float(f"{value:.2g}")) for value in values])
    if axis != "params":
        return f"{numbers} tokens"
    return f"{'A model' if len(values) == 1 else 'Models'} of about {numbers} parameters"


def _needs(what: str, places: list[tuple[float, float]], prices: Prices) -> dict:
    """Needs, for a JSON file.

    Args:
        what: beginning of the sentence.
        places: parameters and tokens of the cells.
    """
    cost = prices.replicates * sum(prices.cost(*place) for place in places)
    known = np.isfinite(cost)
    about = f", about {prices.words(cost)}" if known else ""
    is_short = max(tokens for _, tokens in places) > prices.most
    but = f"; the corpus has {short(float(f'{prices.most:.2g}'))}" if is_short else ""
    return {
        "cells": [{"params": float(params), "corpus_tokens": float(tokens)} for params, tokens in places],
        "cost": float(cost) if known else None,
        "words": f"{what}: {count(len(places), 'cell')}{about}{but}.",
    }
