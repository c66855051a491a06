"""What to do with some rank-hours: the best cell for them, what more would bring, and when it brings nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gridlaw.judging import LAW, REFUSED, WITHDRAWN
from gridlaw.laws import Law
from gridlaw.powerlaw import Array
from gridlaw.quality import DRAWS, Cells
from gridlaw.words import percent, rank_time, short

# Budgets of a curve.
STEPS = 12

# A loss less than this is none to speak of.
LEAST_REGRET = 0.001


@dataclass(frozen=True)
class Choice:
    """Something that a budget would buy.

    Args:
        measured: whether it is a cell of the grid, or one that a law forecasts.
        losses: that it could have; shape (draws,).
    """

    model: str
    gpus: int
    corpus_tokens: float
    hours: float
    measured: bool
    losses: Array


def paces(cells: Cells) -> dict[tuple[str, int], float]:
    """Rank-hours of a token of text, of each model and gpus value: the median over its larger half of sizes."""
    rates = cells.table.assign(pace=cells.table["hours"] / cells.table["corpus_tokens"])
    found = {}
    for key, group in rates.groupby(["model", "gpus"], sort=False):
        larger = group[group["corpus_tokens"] >= group["corpus_tokens"].median()]
        if larger["pace"].gt(0).any():
            found[key] = float(larger["pace"].median())
    return found


def choices(cells: Cells, laws: dict[str, Law], hours: float) -> Iterator[Choice]:
    """What some rank-hours would buy: each cell of the grid that they are enough for; of each model with a law the most
    tokens, up to the farthest that is no speculation."""
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
                # What one model turns out to be says nothing of another.
                losses = forecast.draws(DRAWS, seed=1 + list(laws).index(model))[:, 0]
                yield Choice(model, gpus, tokens, tokens * pace, False, losses)


def best(cells: Cells, laws: dict[str, Law], hours: float) -> dict:
    """The choice of lowest expected loss, and by how much another may turn out better, for a JSON file."""
    options = list(choices(cells, laws, hours))
    if not options:
        return {"rank_hours": hours, "verdict": f"{rank_time(hours)} are not enough for any cell of the grid."}
    losses = np.stack([option.losses for option in options])
    chosen = int(losses.mean(1).argmin())
    one, regret = options[chosen], float((losses[chosen] - losses.min(0)).mean())
    # Cells of one model at one size are one choice of what to train.
    same = [(option.model, option.corpus_tokens) == (one.model, one.corpus_tokens) for option in options]
    probability = float(np.isin(losses.argmin(0), np.flatnonzero(same)).mean())
    low, high = map(float, np.quantile(one.losses, [0.025, 0.975]))
    facts = {
        "rank_hours": hours,
        "model": one.model,
        "gpus": one.gpus,
        "corpus_tokens": one.corpus_tokens,
        "cost_rank_hours": one.hours,
        "measured": one.measured,
        "loss": float(one.losses.mean()),
        "low": low,
        "high": high,
        "options": len(options),
    }
    words = f"For {rank_time(hours)}: {one.model} on {short(one.corpus_tokens)} tokens with gpus {one.gpus}, loss"
    words += f" {one.losses.mean():.3f} ({low:.3f} to {high:.3f}) {'as measured' if one.measured else 'by its law'};"
    if np.isnan(cells.noise):
        return facts | {"verdict": f"{words} how likely it is the best of {len(options)} cannot be said with one seed."}
    lost = f"{regret:.2g}" if regret >= LEAST_REGRET else f"less than {LEAST_REGRET}"
    words += f" {percent(probability)} likely the best of {len(options)}, expected regret {lost}."
    return facts | {"probability_best": probability, "expected_regret": regret, "verdict": words}


def steps(cells: Cells, most: float) -> list[float]:
    """Budgets from that of the cheapest cell to a largest one, equal factors apart; none where no cell has its cost."""
    hours = cells.table["hours"]
    hours = hours[(hours > 0) & (hours <= most)]
    return np.geomspace(hours.min(), most, STEPS).tolist() if len(hours) else []


def returns(model: str, cells: Cells, law: Law) -> dict:
    """What doubling a model's text would bring, and whether that is more than seeds differ by, for a JSON file."""
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
    saturated = np.isfinite(noise) and noise > 0 and gain < noise
    facts["saturated"] = bool(saturated)
    trust = "" if law.state == LAW else " as far as the trend goes"
    words = f"{model}: doubling {short(largest)} tokens would lower the loss by {gain:.3f}{trust},"
    words += f" for {rank_time(cost)}"
    words += f"; {'less' if saturated else 'more'} than runs differ by ({noise:.3f})." if noise else "."
    if "reducible_share" in facts:
        words += f" {percent(facts['reducible_share'])} of the loss is above its floor."
    return facts | {"verdict": words}


def crossover(a: str, b: str, laws: dict[str, Law]) -> dict:
    """At how many tokens the better of two models changes, for a JSON file."""
    facts = {"a": a, "b": b}
    one, other = laws[a], laws[b]
    if one.state != LAW or other.state != LAW:
        return facts | {"verdict": f"{a} and {b}: no crossover can be told, for there is no law of both."}
    draws = one.forecaster.draws, other.forecaster.draws
    if None in draws:
        return facts | {"verdict": f"{a} and {b}: no crossover can be told, for nothing says how runs scatter."}
    least = max(law.points.scale.min() for law in (one, other))
    most = min(law.reach * law.points.scale.max() for law in (one, other))
    tokens = np.geomspace(least, most, 200)
    # Both were resampled with the same random numbers; a row farther on they are independent.
    ahead = draws[0](tokens[:, None]) < np.roll(draws[1](tokens[:, None]), 1, axis=0)
    changes = ahead[:, 1:] != ahead[:, :-1]
    crossing = changes.any(1)
    share = float(crossing.mean())
    facts |= {"share_of_draws": share, "searched": [float(least), float(most)]}
    span = f"from {short(least)} to {short(most)} tokens"
    first = a if ahead[:, 0].mean() > 0.5 else b
    if share < 0.05:
        return facts | {"verdict": f"{first} is ahead {span}, and no crossover is in sight."}
    low, middle, high = map(float, np.quantile(tokens[1:][changes[crossing].argmax(1)], [0.025, 0.5, 0.975]))
    facts |= {"corpus_tokens": middle, "low": low, "high": high}
    return facts | {
        "verdict": f"{a} and {b} cross {span} in {percent(share)} of resamples, at about {short(middle)} tokens"
        f" ({short(low)} to {short(high)})."
    }
