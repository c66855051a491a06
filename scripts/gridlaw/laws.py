"""Laws of the loss: fitted, tried on points that are known, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridlaw import forecasting, holdout, judging, powerlaw
from gridlaw.axes import NAMES, SYMBOLS
from gridlaw.forecasting import LEVEL, Forecast, Forecaster
from gridlaw.points import Points
from gridlaw.powerlaw import Array, Fit
from gridlaw.words import amount

# How far a forecast may go in scale: farther than the first it is speculation, farther than the second there is none.
SPECULATIVE, TOO_FAR = 10.0, 100.0
# Resamples of forecasts that are made only to see whether their intervals hold.
TRIAL_RESAMPLES = 200
# Resamples that a record holds, and floors of a profile.
SHOWN, FLOORS = 100, 41

SOURCES = {
    1: "Hestness et al. 2017; Henighan et al. 2020, equation 1.1",
    2: "Hoffmann et al. 2022, equation 2, fitted by equation 3",
}


@dataclass(frozen=True, eq=False)
class Law:
    """A law of the loss over one or two axes, judged; `fit` makes one.

    Args:
        name: what it is a law of.
        points: that it is of.
        axes: names of the points' axes: `params`, or `corpus_tokens` or `effective_tokens`, or one of each.
        fixed: what is the same for all points: the parameters of a law by tokens, for example.
        forecaster: the fitted law; None where the points carry none.
        hold_out: forecasts of the largest points, a row each, as the record has them.
        levels: of each point beyond each cut the level of the narrowest interval from there that holds it.
        state: refused, trend, withdrawn or law.
        why: that in sentences.
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
        """How many times beyond what was measured its forecasts are no speculation."""
        return min(SPECULATIVE, self.forecaster.farthest)

    def record(self) -> dict:
        """All of it, for a JSON file."""
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
                "rms_error": {name: number(rms(table[name])) for name in (*holdout.FORMS, *holdout.BASELINES)},
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
        """Each parameter with its 95 % interval over resamples, null where there is none."""
        best, draws = self.forecaster.fit, self.forecaster.draws
        values = {name: (value, of(draws) if draws else None) for name, value, of in self._values(best)}
        return {name: _described(value, over) for name, (value, over) in values.items()}

    def _draws(self) -> dict[str, list[float]]:
        """Some of the resamples' parameters, for a picture of how they go together; empty where there are none."""
        draws = self.forecaster.draws
        if draws is None:
            return {}
        some = slice(None, None, max(1, len(draws) // SHOWN))
        return {name: [float(f"{value:.5g}") for value in of(draws)[some]] for name, _, of in self._values(draws)}

    def _profile(self) -> dict[str, list[float]]:
        """Floors from none to the smallest loss, and how far the best fit with each is off: mean |log loss|.

        It is what the fit makes least, but for errors below the Huber loss' bend.
        """
        x, y, best = self.points.x, self.points.y, self.forecaster.fit
        floors = y.min() * np.linspace(powerlaw.NO_FLOOR, 1, FLOORS, endpoint=False)
        floors = np.sort(np.append(floors, best.floor if best.has_floor else []))
        errors = np.abs(np.log(powerlaw.profile(best, x, y, floors)(x) / y)).mean(1)
        return {"E": [float(f"{floor:.5g}") for floor in floors], "error": [float(f"{one:.3g}") for one in errors]}

    def _residuals(self) -> Iterator[dict[str, float]]:
        """Each point with its log loss above that of the law."""
        away = np.log(self.points.y / self.forecaster.fit(self.points.x)[0])
        for x, loss, residual in zip(self.points.x, self.points.y, away, strict=True):
            yield {**dict(zip(self.axes, x.tolist(), strict=True)), "loss": float(loss), "residual": float(residual)}

    def forecast(self, x: Array, scale: Array | None = None) -> tuple[Forecast, list[str]]:
        """Forecasts, and of each what it is: empty, or why it is speculative or none."""
        forecast = self.forecaster.forecast(x, scale)
        return forecast, [self._distance(ratio) for ratio in forecast.ratio]

    def _distance(self, ratio: float) -> str:
        beyond = f"{amount(ratio)} times beyond what was measured"
        if ratio > TOO_FAR:
            return f"none: {beyond}, and no law reaches so far"
        if ratio > SPECULATIVE:
            return f"speculative: {beyond}"
        if ratio > self.forecaster.farthest:
            return f"speculative: {beyond}, and forecasts were tried to {amount(self.forecaster.farthest)} times"
        return ""

    def _symbols(self) -> list[tuple[str, tuple[str, str]]]:
        return [(axis, NAMES[axis]) for axis in self.axes]

    def _values(self, best: Fit) -> Iterator:
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
    """The law of some points, tried and judged.

    Args:
        name: what it is a law of.
        axes: names of the points' axes.
        like: back-tests of like curves.
        fixed: what is the same for all points.
    """
    forecaster = forecasting.fit(points, like) if holdout.carries(points) else None
    hold_out = list(_hold_out(points, axes)) if forecaster else []
    levels = _levels(points) if forecaster else []
    verdict = judging.judge(points, axes, forecaster, levels)
    return Law(name, points, axes, fixed or {}, forecaster, hold_out, levels, *verdict)


def _hold_out(points: Points, axes: list[str]) -> Iterator[dict]:
    """The largest value of each axis and the largest scale left out in turn."""
    columns = dict(zip(axes, points.x.T, strict=True))
    if len(columns) > 1:
        columns["compute"] = points.scale
    for axis, values in columns.items():
        rest = values < values.max() / holdout.NEAR
        fitted, left = points.where(rest), points.where(~rest)
        if not holdout.carries(fitted):
            continue
        forecast = forecasting.fit(fitted).forecast(left.x, left.scale)
        baselines = {name: predict(fitted)(left.x) for name, predict in holdout.BASELINES.items()}
        for i in range(len(left)):
            yield {
                "left_out": axis,
                **dict(zip(axes, left.x[i].tolist(), strict=True)),
                "actual": float(left.y[i]),
                "predicted": float(forecast.value[i]),
                "low": float(forecast.low[i]),
                "high": float(forecast.high[i]),
                "inside": bool(forecast.low[i] <= left.y[i] <= forecast.high[i]),
                "error": float(forecast.value[i] / left.y[i] - 1),
                "baselines": {name: float(values[i]) for name, values in baselines.items()},
            }


def _levels(points: Points) -> list[float]:
    """Of each point beyond each cut the level of the narrowest interval from there that holds it."""
    levels: list[float] = []
    for below in holdout.cuts(points):
        fitted, beyond = points.where(below), points.where(~below)
        # A forecast whose distance none of its own past tells of would try nothing.
        if next(holdout.cuts(fitted), None) is not None:
            trial = forecasting.fit(fitted, resamples=TRIAL_RESAMPLES)
            levels += trial.forecast(beyond.x, beyond.scale).level(beyond.y).tolist()
    return levels


def _described(value: float, over: Array | None) -> dict[str, float | None]:
    low, high = np.quantile(over, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if over is not None else (None, None)
    sd = over.std() if over is not None else None
    return {"value": float(value), "low": number(low), "high": number(high), "sd": number(sd)}


def rms(errors: pd.Series) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(errors.to_numpy(float) ** 2))) if len(errors) else np.nan


def number(value: float | None) -> float | None:
    """A number that JSON has."""
    return None if value is None or not np.isfinite(value) else float(value)
