"""The use of some rank-hours: the best cell, the returns of more text, and where models cross over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gridlaw.arrays import Array
from gridlaw.decisions.pareto import DRAWS, Cells
from gridlaw.laws.judging import LAW, REFUSED, WITHDRAWN
from gridlaw.laws.law import Law
from gridlaw.words import percent, rank_time, short

# Number of budgets on a curve.
STEPS = 12

# A smaller expected regret is not worth a number.
LEAST_REGRET = 0.001


@dataclass(frozen=True)
class Choice:
    """A cell that a budget would buy.

    Args:
        measured: True for a cell of the grid, False for one that a law forecasts.
        losses: draws of its loss; shape (draws,).
    """

    model: str
    gpus: int
    corpus_tokens: float
    hours: float
    measured: bool
    losses: Array


def paces(cells: Cells) -> dict[tuple[str, int], float]:
    """Rank-hours per corpus token of each model and gpus value: the median over the larger half of its sizes."""
    rates = cells.table.assign(pace=cells.table["hours"] / cells.table["corpus_tokens"])
    medians = {}
    for key, group in rates.groupby(["model", "gpus"], sort=False):
        larger = group[group["corpus_tokens"] >= group["corpus_tokens"].median()]
        if larger["pace"].gt(0).any():
            medians[key] = float(larger["pace"].median())
    return medians


def choices(cells: Cells, laws: dict[str, Law], hours: float) -> Iterator[Choice]:
    """The cells that some rank-hours would buy: affordable cells of the grid; and for each model with a law the most
    tokens, up to the largest forecast that is not speculative."""
    for i, cell in enumerate(cells.table.itertuples()):
        if cell.hours <= hours:
            yield Choice(cell.model, cell.gpus, cell.corpus_tokens, cell.hours, True, cells.draws[:, i])
    for (model, gpus), pace in paces(cells).items():
        law = laws.get(model)
        if law and law.state == LAW:
            largest = law.points.scale.max()
            tokens = min(hours / pace, law.reach * largest)
            if tokens > largest:
                forecast, _ = law.forecast(np.array([[tokens]]))
                # Forecast errors of different models are independent.
                losses = forecast.draws(DRAWS, seed=1 + list(laws).index(model))[:, 0]
                yield Choice(model, gpus, tokens, tokens * pace, False, losses)


def best(cells: Cells, laws: dict[str, Law], hours: float) -> dict:
    """The choice with the lowest expected loss, and its expected regret, for a JSON file."""
    options = list(choices(cells, laws, hours))
    if not options:
        return {"rank_hours": hours, "verdict": f"{rank_time(hours)} are not enough for any cell of the grid."}
    losses = np.stack([option.losses for option in options])
    index = int(losses.mean(1).argmin())
    choice, regret = options[index], float((losses[index] - losses.min(0)).mean())
    # Cells with the same model and tokens hold the same model, at different costs.
    same = [(option.model, option.corpus_tokens) == (choice.model, choice.corpus_tokens) for option in options]
    probability = float(np.isin(losses.argmin(0), np.flatnonzero(same)).mean())
    low, high = map(float, np.quantile(choice.losses, [0.025, 0.975]))
    facts = {
        "rank_hours": hours,
        "model": choice.model,
        "gpus": choice.gpus,
        "corpus_tokens": choice.corpus_tokens,
        "cost_rank_hours": choice.hours,
        "measured": choice.measured,
        "loss": float(choice.losses.mean()),
        "low": low,
        "high": high,
        "options": len(options),
    }
    words = (
        f"For {rank_time(hours)}: {choice.model} on {short(choice.corpus_tokens)} tokens with gpus {choice.gpus}, loss"
    )
    words += (
        f" {choice.losses.mean():.3f} ({low:.3f} to {high:.3f}) {'as measured' if choice.measured else 'by its law'};"
    )
    if np.isnan(cells.noise):
        return facts | {"verdict": f"{words} how likely it is the best of {len(options)} cannot be said with one seed."}
    lost = f"{regret:.2g}" if regret >= LEAST_REGRET else f"less than {LEAST_REGRET}"
    words += f" {percent(probability)} likely the best of {len(options)}, expected regret {lost}."
    return facts | {"probability_best": probability, "expected_regret": regret, "verdict": words}


def steps(cells: Cells, most: float) -> list[float]:
    """Budgets from the cost of the cheapest cell to a largest one, in equal factors; none if no cell has a cost."""
    hours = cells.table["hours"]
    hours = hours[(hours > 0) & (hours <= most)]
    return np.geomspace(hours.min(), most, STEPS).tolist() if len(hours) else []


def returns(model: str, cells: Cells, law: Law) -> dict:
    """The gain in loss of doubling a model's text, compared with the scatter of seeds, for a JSON file."""
    facts = {"model": model, "state": law.state}
    pace = min((pace for (name, _), pace in paces(cells).items() if name == model), default=None)
    if law.state in (REFUSED, WITHDRAWN):
        return facts | {"verdict": f"{model}: nothing can be said of more text. {law.why}"}
    if pace is None:
        return facts | {"verdict": f"{model}: nothing can be said of more text, for no run says how long it takes."}
    largest = law.points.scale.max()
    now, then = law.forecaster.fit(np.array([[largest], [2 * largest]]))[0]
    gain, cost = float(now - then), float(2 * largest * pace)
    facts |= {"from_tokens": float(largest), "gain": gain, "cost_rank_hours": cost, "gain_per_rank_hour": gain / cost}
    if law.state == LAW and law.forecaster.fit.has_floor:
        facts["reducible_share"] = 1 - float(law.forecaster.fit.floor[0]) / float(now)
    noise = law.forecaster.noise * float(now)
    is_saturated = np.isfinite(noise) and noise > 0 and gain < noise
    facts["saturated"] = bool(is_saturated)
    trust = "" if law.state == LAW else " as far as the trend goes"
    words = f"{model}: doubling {short(largest)} tokens would lower the loss by {gain:.3f}{trust},"
    words += f" for {rank_time(cost)}"
    words += f"; {'less' if is_saturated else 'more'} than runs differ by ({noise:.3f})." if noise else "."
    if "reducible_share" in facts:
        words += f" {percent(facts['reducible_share'])} of the loss is above its floor."
    return facts | {"verdict": words}


def crossover(a: str, b: str, laws: dict[str, Law]) -> dict:
    """The number of tokens at which the better of two models changes, for a JSON file."""
    facts = {"a": a, "b": b}
    both = laws[a], laws[b]
    if any(law.state != LAW for law in both):
        return facts | {"verdict": f"{a} and {b}: no crossover can be told, for there is no law of both."}
    draws = [law.forecaster.draws for law in both]
    if None in draws:
        return facts | {"verdict": f"{a} and {b}: no crossover can be told, for nothing says how runs scatter."}
    least = max(law.points.scale.min() for law in both)
    most = min(law.reach * law.points.scale.max() for law in both)
    tokens = np.geomspace(least, most, 200)
    # Both laws were resampled with the same random numbers; shifted by one row they are independent.
    is_ahead = draws[0](tokens[:, None]) < np.roll(draws[1](tokens[:, None]), 1, axis=0)
    changes = is_ahead[:, 1:] != is_ahead[:, :-1]
    has_crossing = changes.any(1)
    share = float(has_crossing.mean())
    facts |= {"share_of_draws": share, "searched": [float(least), float(most)]}
    span = f"from {short(least)} to {short(most)} tokens"
    first = a if is_ahead[:, 0].mean() > 0.5 else b
    if share < 0.05:
        return facts | {"verdict": f"{first} is ahead {span}, and no crossover is in sight."}
    low, middle, high = map(float, np.quantile(tokens[1:][changes[has_crossing].argmax(1)], [0.025, 0.5, 0.975]))
    facts |= {"corpus_tokens": middle, "low": low, "high": high}
    return facts | {
        "verdict": f"{a} and {b} cross {span} in {percent(share)} of resamples, at about {short(middle)} tokens"
        f" ({short(low)} to {short(high)})."
    }
