"""Laws of the loss: fitted, back-tested and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlaw.arrays import Array
from gridlaw.laws import backtesting, forecasting, judging, powerlaw
from gridlaw.laws.axes import NAMES, SYMBOLS
from gridlaw.laws.forecasting import LEVEL, SPECULATIVE, TOO_FAR, Forecast, Forecaster
from gridlaw.laws.points import Points
from gridlaw.laws.powerlaw import Fit
from gridlaw.words import amount

# States of a forecast.
FORECAST, SPECULATION, NONE = "forecast", "speculative", "none"
# Bootstrap samples of forecasts that are made only to measure the coverage of their intervals.
TRIAL_RESAMPLES = 200
# Bootstrap samples that a record keeps, and values of E in a profile.
SHOWN, FLOORS = 100, 41

SOURCES = {
    1: "Hestness et al. 2017; Henighan et al. 2020, equation 1.1",
    2: "Hoffmann et al. 2022, equation 2, fitted by equation 3",
}


class Outlook(NamedTuple):
    """The state of a forecast at one place.

    Args:
        state: forecast, speculative or none.
        why: the reason in words; empty for a forecast.
    """

    state: str
    why: str


@dataclass(frozen=True, eq=False)
class Law:
    """A law of the loss over one or two axes, with its conclusion; made by `fit`.

    Args:
        name: what it is a law of.
        points: the fitted points.
        axes: names of the points' axes: `params`, or `corpus_tokens` or `effective_tokens`, or one of each.
        fixed: quantities that all points share, such as the parameters in a law by tokens.
        forecaster: the fitted law; None if the points are too few for one.
        hold_out: forecasts of the largest points, a row each, as in the record.
        levels: for each point beyond each cut, the level of the narrowest interval that contains it.
        state: refused, trend, withdrawn or law.
        why: the reasons in sentences.
        cure: what would help; see `judging.Verdict`.
    """

    name: str
    points: Points
    axes: list[str]
    fixed: dict[str, float]
    forecaster: Forecaster | None
    hold_out: list[dict]
    levels: list[float]
    state: str
    why: str
    cure: str

    @property
    def form(self) -> str:
        """The equation."""
        floor = self.forecaster is None or self.forecaster.fit.has_floor
        return "L = " + "E + " * floor + " + ".join(f"{a} / {SYMBOLS[axis]}^{b}" for axis, (a, b) in self._symbols())

    @property
    def reach(self) -> float:
        """Largest extrapolation factor at which its forecasts are not speculative."""
        return min(SPECULATIVE, self.forecaster.farthest)

    def record(self) -> dict:
        """The law with all its evidence, for a JSON file."""
        facts = {
            "name": self.name,
            "axes": self.axes,
            "form": self.form,
            "source": SOURCES[len(self.axes)],
            "state": self.state,
            "verdict": self.why,
            "points": len(self.points),
            "runs": int(self.points.replicates.sum()),
            "range": {
                axis: [float(column.min()), float(column.max())] if len(column) else None
                for axis, column in zip(self.axes, self.points.x.T, strict=True)
            },
            "run_sd": number(self.points.noise),
        }
        if self.forecaster is None:
            return facts
        table = self.forecaster.back_test
        return facts | {
            "parameters": self.parameters(),
            "objective": float(self.forecaster.fit.objective[0]),
            "residual_sd": number(self.forecaster.residual),
            "at_bound": judging.bounds(self.axes, self.forecaster),
            "back_test": {
                "cuts": int(table["cut"].nunique()),
                "forecasts": len(table),
                "rms_error": {name: number(rms(table[name])) for name in (*backtesting.FORMS, *backtesting.BASELINES)},
                "nominal_coverage": LEVEL,
                "achieved_coverage": number(judging.coverage(self.levels)),
                "intervals_tried": len(self.levels),
                "levels": self.levels,
            },
            "hold_out": self.hold_out,
            "residuals": list(self._residuals()),
            "draws": self._draws(),
            "profile": self._profile(),
        }

    def parameters(self) -> dict[str, dict[str, float | None]]:
        """Each parameter with its 95 % interval over bootstrap samples, null without samples."""
        best, draws = self.forecaster.fit, self.forecaster.draws
        return {name: _describe(value, select(draws) if draws else None) for name, value, select in self._values(best)}

    def _draws(self) -> dict[str, list[float]]:
        """Parameters of some bootstrap samples, to show how they are correlated; empty without samples."""
        draws = self.forecaster.draws
        if draws is None:
            return {}
        every = slice(None, None, max(1, len(draws) // SHOWN))
        return {
            name: [float(f"{value:.5g}") for value in select(draws)[every]] for name, _, select in self._values(draws)
        }

    def _profile(self) -> dict[str, list[float]]:
        """Values of E from zero to the smallest loss, and the mean |log error| of the best fit with each.

        The fit minimises this error, apart from residuals small enough for the quadratic part of the Huber loss.
        """
        x, y, best = self.points.x, self.points.y, self.forecaster.fit
        floors = y.min() * np.linspace(powerlaw.NO_FLOOR, 1, FLOORS, endpoint=False)
        floors = np.sort(np.append(floors, best.floor if best.has_floor else []))
        errors = np.abs(np.log(powerlaw.profile(best, x, y, floors)(x) / y)).mean(1)
        return {"E": [float(f"{floor:.5g}") for floor in floors], "error": [float(f"{error:.3g}") for error in errors]}

    def _residuals(self) -> Iterator[dict[str, float]]:
        """Each point with its residual in log loss."""
        residuals = np.log(self.points.y / self.forecaster.fit(self.points.x)[0])
        for x, loss, residual in zip(self.points.x, self.points.y, residuals, strict=True):
            yield {**dict(zip(self.axes, x.tolist(), strict=True)), "loss": float(loss), "residual": float(residual)}

    def forecast(self, x: Array, scale: Array | None = None) -> tuple[Forecast, list[Outlook]]:
        """Forecast the loss at some places, as `Forecaster.forecast` does, with the state of each forecast."""
        forecast = self.forecaster.forecast(x, scale)
        return forecast, [self._outlook(ratio) for ratio in forecast.ratio]

    def _outlook(self, ratio: float) -> Outlook:
        beyond = f"{amount(ratio)} times beyond what was measured"
        if ratio > TOO_FAR:
            return Outlook(NONE, f"{NONE}: {beyond}, and no law reaches so far")
        if ratio > SPECULATIVE:
            return Outlook(SPECULATION, f"{SPECULATION}: {beyond}")
        if ratio > self.forecaster.farthest:
            tested = amount(self.forecaster.farthest)
            return Outlook(SPECULATION, f"{SPECULATION}: {beyond}, and forecasts were tried to {tested} times")
        return Outlook(FORECAST, "")

    def _symbols(self) -> list[tuple[str, tuple[str, str]]]:
        return [(axis, NAMES[axis]) for axis in self.axes]

    def _values(self, best: Fit) -> Iterator[tuple[str, float, Callable[[Fit], Array]]]:
        """Each parameter's name, its value in the first sample, and a function that selects it from all samples."""
        if best.has_floor:
            yield "E", best.floor[0], lambda fit: fit.floor
        for k, (_, (scale, exponent)) in enumerate(self._symbols()):
            yield scale, best.scales[0, k], lambda fit, k=k: fit.scales[:, k]
            yield exponent, best.exponents[0, k], lambda fit, k=k: fit.exponents[:, k]


def fit(
    name: str,
    points: Points,
    axes: list[str],
    like: Sequence[pd.DataFrame] = (),
    fixed: dict[str, float] | None = None,
) -> Law:
    """Fit a law to some points, back-test it and judge it.

    Args:
        name: what it is a law of.
        axes: names of the points' axes.
        like: back-tests of similar curves.
        fixed: quantities that all points share.
    """
    forecaster = forecasting.fit(points, like) if backtesting.carries(points) else None
    hold_out = list(_hold_out(points, axes)) if forecaster else []
    levels = _levels(points) if forecaster else []
    verdict = judging.judge(points, axes, forecaster, levels)
    return Law(name, points, axes, fixed or {}, forecaster, hold_out, levels, *verdict)


def _hold_out(points: Points, axes: list[str]) -> Iterator[dict]:
    """Forecasts of the points that are largest on an axis or in scale, from the others."""
    columns = dict(zip(axes, points.x.T, strict=True))
    if len(columns) > 1:
        columns["compute"] = points.scale
    for axis, values in columns.items():
        is_fitted = values < values.max() / backtesting.NEAR
        fitted, largest = points.select(is_fitted), points.select(~is_fitted)
        if not backtesting.carries(fitted):
            continue
        forecast = forecasting.fit(fitted).forecast(largest.x, largest.scale)
        baselines = {name: predict(fitted)(largest.x) for name, predict in backtesting.BASELINES.items()}
        for i in range(len(largest)):
            yield {
                "left_out": axis,
                **dict(zip(axes, largest.x[i].tolist(), strict=True)),
                "actual": float(largest.y[i]),
                "predicted": float(forecast.value[i]),
                "low": float(forecast.low[i]),
                "high": float(forecast.high[i]),
                "inside": bool(forecast.low[i] <= largest.y[i] <= forecast.high[i]),
                "error": float(forecast.value[i] / largest.y[i] - 1),
                "baselines": {name: float(values[i]) for name, values in baselines.items()},
            }


def _levels(points: Points) -> list[float]:
    """For each point beyond each cut, the level of the narrowest interval forecast from the cut that contains it."""
    levels: list[float] = []
    for below in backtesting.cuts(points):
        fitted, beyond = points.select(below), points.select(~below)
        # Without back-tests of its own a forecast has no interval to validate.
        if next(backtesting.cuts(fitted), None) is not None:
            trial = forecasting.fit(fitted, resamples=TRIAL_RESAMPLES)
            levels += trial.forecast(beyond.x, beyond.scale).level(beyond.y).tolist()
    return levels


def _describe(value: float, samples: Array | None) -> dict[str, float | None]:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if samples is not None else (None, None)
    sd = samples.std() if samples is not None else None
    return {"value": float(value), "low": number(low), "high": number(high), "sd": number(sd)}


def rms(errors: pd.Series) -> float:
    """Root mean square; NaN without values."""
    return float(np.sqrt(np.mean(errors.to_numpy(float) ** 2))) if len(errors) else np.nan


def number(value: float | None) -> float | None:
    """A number as JSON can hold it: null for NaN and infinity."""
    return None if value is None or not np.isfinite(value) else float(value)
