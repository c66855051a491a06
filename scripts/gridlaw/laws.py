"""Whether some points carry a law, which, and what it may be used for.

A law is *refused* where the points cannot determine one, a *trend* where they can but no forecast of theirs could be
tried, *withdrawn* where forecasts were tried and were no good, and a *law* else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gridlaw import holdout, powerlaw
from gridlaw.forecasting import LEVEL, Forecast, Forecaster
from gridlaw.points import Points
from gridlaw.powerlaw import Array, Fit
from gridlaw.words import amount, counted, listed, percent

REFUSED, TREND, WITHDRAWN, LAW = "refused", "trend", "withdrawn", "law"
# What would help: more different values, cells that tell the axes apart, more cells of any kind, or nothing.
VALUES, CORNERS, MORE, NOTHING = "values", "corners", "more", ""
# Distinct values on each axis that a forecast needs, and how far apart the ends have to be.
FORECAST_VALUES, FORECAST_RANGE = 4, 10.0
# Axes that go together more closely cannot be told apart.
COLLINEAR = 0.9
# Intervals that held less often than this are none.
LEAST_COVERAGE = 0.8
# How far a forecast may go in scale: farther than the first it is speculation, farther than the second there is none.
SPECULATIVE, TOO_FAR = 10.0, 100.0
# Resamples of forecasts that are made only to see whether their intervals hold.
TRIAL_RESAMPLES = 200
# Resamples that a record holds, and floors of a profile.
SHOWN, FLOORS = 100, 41

# Of each axis its symbol, those of its coefficient and exponent, and what it counts.
SYMBOLS = {"params": "N", "corpus_tokens": "D", "effective_tokens": "D"}
NAMES = {"params": ("A", "alpha"), "corpus_tokens": ("B", "beta"), "effective_tokens": ("B", "beta")}
WORDS = {"params": "params", "corpus_tokens": "tokens", "effective_tokens": "tokens"}
SOURCES = {
    1: "Hestness et al. 2017; Henighan et al. 2020, equation 1.1",
    2: "Hoffmann et al. 2022, equation 2, fitted by equation 3",
}


class Law:
    """A law of the loss over one or two axes, judged.

    Args:
        name: what it is a law of.
        axes: names of the points' axes: `params`, or `corpus_tokens` or `effective_tokens`, or one of each.
        others: back-tests of like curves.
        fixed: what is the same for all points: the parameters of a law by tokens, for example.
    """

    def __init__(
        self,
        name: str,
        points: Points,
        axes: list[str],
        others: Sequence[pd.DataFrame] = (),
        fixed: dict[str, float] | None = None,
    ):
        self.name, self.points, self.axes, self.fixed = name, points, axes, fixed or {}
        self.forecaster = Forecaster(points, others) if holdout.carries(points) else None
        self.hold_out = list(self._hold_out()) if self.forecaster else []
        self.levels = self._levels() if self.forecaster else []
        self.state, self.why, self.cure = self._judge()

    @property
    def form(self) -> str:
        """The equation."""
        floor = self.forecaster is None or self.forecaster.fit.has_floor
        return "L = " + "E + " * floor + " + ".join(f"{a} / {SYMBOLS[axis]}^{b}" for axis, (a, b) in self._symbols())

    @property
    def reach(self) -> float:
        """How many times beyond what was measured its forecasts are no speculation."""
        return min(SPECULATIVE, self.forecaster.farthest)

    @property
    def tried(self) -> int:
        """How many intervals for points that are known were tried."""
        return len(self.levels)

    @property
    def coverage(self) -> float:
        """How often those held what was measured; NaN of none."""
        return float(np.mean(np.array(self.levels) <= LEVEL)) if self.levels else np.nan

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
            "at_bound": self._bounds(),
            "back_test": {
                "cuts": int(table["cut"].nunique()),
                "forecasts": len(table),
                "rms_error": {name: number(rms(table[name])) for name in (*holdout.FORMS, *holdout.BASELINES)},
                "nominal_coverage": LEVEL,
                "achieved_coverage": number(self.coverage),
                "intervals_tried": self.tried,
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

    def at(self, x: Array, scale: Array | None = None) -> tuple[Forecast, list[str]]:
        """Forecasts, and of each what it is: empty, or why it is speculative or none."""
        forecast = self.forecaster.at(x, scale)
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

    def _bounds(self) -> list[str]:
        names = {f"exponent {k + 1}": exponent for k, (_, (_, exponent)) in enumerate(self._symbols())}
        return [names.get(name, name) for name in self.forecaster.fit.at_bound(self.points.y)]

    def _hold_out(self) -> Iterator[dict]:
        """The largest value of each axis and the largest scale left out in turn."""
        columns = dict(zip(self.axes, self.points.x.T, strict=True))
        if len(columns) > 1:
            columns["compute"] = self.points.scale
        for axis, values in columns.items():
            rest = values < values.max() / holdout.NEAR
            fitted, left = self.points.where(rest), self.points.where(~rest)
            if not holdout.carries(fitted):
                continue
            forecast = Forecaster(fitted).at(left.x, left.scale)
            baselines = {name: fit(fitted)(left.x) for name, fit in holdout.BASELINES.items()}
            for i in range(len(left)):
                yield {
                    "left_out": axis,
                    **dict(zip(self.axes, left.x[i].tolist(), strict=True)),
                    "actual": float(left.y[i]),
                    "predicted": float(forecast.value[i]),
                    "low": float(forecast.low[i]),
                    "high": float(forecast.high[i]),
                    "inside": bool(forecast.low[i] <= left.y[i] <= forecast.high[i]),
                    "error": float(forecast.value[i] / left.y[i] - 1),
                    "baselines": {name: float(values[i]) for name, values in baselines.items()},
                }

    def _levels(self) -> list[float]:
        """Of each point beyond each cut the level of the narrowest interval from there that holds it."""
        levels: list[float] = []
        for below in holdout.cuts(self.points):
            fitted, beyond = self.points.where(below), self.points.where(~below)
            trial = Forecaster(fitted, resamples=TRIAL_RESAMPLES)
            if len(trial.back_test):
                levels += trial.at(beyond.x, beyond.scale).level(beyond.y).tolist()
        return levels

    def _judge(self) -> tuple[str, str, str]:
        """The state, why, and what would help."""
        if not len(self.points):
            return REFUSED, "No law: there are no points.", NOTHING
        few = [
            f"{counted(values, 'value')} of {WORDS[axis]}"
            for axis, values in zip(self.axes, self.points.distinct(), strict=True)
            if values < holdout.LEAST_VALUES
        ]
        if few:
            are = "is" if len(few) == 1 and few[0].startswith("1 ") else "are"
            why = (
                f"No law: {listed(few)} {are} too few; it takes {holdout.LEAST_VALUES} different ones to see a curve"
                f" and {FORECAST_VALUES} for a forecast. The points can be compared with each other, no more."
            )
            return REFUSED, why, VALUES
        if self.forecaster is None:
            least = holdout.LEAST[len(self.axes)]
            return REFUSED, f"No law: it takes {least} points, and there are {len(self.points)}.", VALUES
        together = np.corrcoef(np.log(self.points.x.T))[0, 1] if len(self.axes) > 1 else 0.0
        if abs(together) > COLLINEAR:
            more, many, few = ("more", "many", "few") if together > 0 else ("fewer", "few", "many")
            why = (
                f"No law: larger models were also trained on {more} tokens, so that what is due to which cannot be told"
                f" apart. Cells of small models with {many} tokens, and of large models with {few}, would tell."
            )
            return REFUSED, why, CORNERS
        if np.ptp(np.log(self.points.y)) == 0:
            return REFUSED, "No law: the loss is the same everywhere.", NOTHING
        rises = [WORDS[axis] for k, axis in enumerate(self.axes) if not self._falls(k)]
        if rises:
            return REFUSED, f"No law: the loss does not fall with more {' or '.join(rises)}.", NOTHING
        return self._judge_trend() or self._judge_forecasts()

    def _judge_trend(self) -> tuple[str, str, str] | None:
        """Likewise where the points carry a curve and no forecast; None where they may."""
        short = [
            f"{WORDS[axis]} span {amount(values.max() / values.min())} times"
            for axis, values in zip(self.axes, self.points.x.T, strict=True)
            if values.max() / values.min() < FORECAST_RANGE
        ]
        few = [
            f"{values} different values of {WORDS[axis]}"
            for axis, values in zip(self.axes, self.points.distinct(), strict=True)
            if values < FORECAST_VALUES
        ]
        if short:
            lack, cure = f"{listed(short)}, and it takes {amount(FORECAST_RANGE)}", VALUES
        elif few:
            lack, cure = f"there are {listed(few)}, and it takes {FORECAST_VALUES}", VALUES
        elif not len(self.forecaster.back_test):
            lack, cure = "too few points are left to try", MORE
        elif self._bounds():
            lack, cure = (
                f"the points do not determine {listed(self._bounds())}, for the curve is too straight or too short",
                MORE,
            )
        else:
            return None
        return TREND, f"Not a forecast: {lack}. {self._describe()}", cure

    def _judge_forecasts(self) -> tuple[str, str, str]:
        """Likewise by forecasts of what is known."""
        ours = self.forecaster.error(self.forecaster.form)
        baselines = {name: self.forecaster.error(name) for name in holdout.baselines(self.points)}
        best = min(baselines, key=baselines.get)
        if baselines[best] <= ours:
            why = (
                f"No forecast: tried on larger cells that are known, the law was {percent(ours)} off, and the {best}"
                f" baseline {percent(baselines[best])}."
            )
            return WITHDRAWN, why, MORE
        if self.tried and self.coverage < LEAST_COVERAGE:
            why = (
                f"No forecast: of {self.tried} intervals for cells that are known only {percent(self.coverage)} held"
                f" what was measured, and it should have been {percent(LEVEL)}."
            )
            return WITHDRAWN, why, MORE
        held = f"; its 95 % intervals held {percent(self.coverage)} of them" if self.tried else ""
        why = (
            f"{self._describe()} Tried on {counted(self.forecaster.trials, 'forecast')} of larger cells from smaller"
            f" ones, it was {percent(ours)} off, the {best} baseline {percent(baselines[best])}{held}."
        )
        return LAW, why, NOTHING

    def _falls(self, k: int) -> bool:
        """Whether larger values of an axis go with smaller losses, what the other axis does left out."""
        logs = np.column_stack([np.ones(len(self.points)), np.log(self.points.x)])
        return np.linalg.lstsq(logs, np.log(self.points.y), rcond=None)[0][1 + k] < 0

    def _describe(self) -> str:
        """What the law says within its points."""
        best = self.forecaster.fit
        middle = np.exp(np.log(self.points.x).mean(0))
        says = []
        for k, axis in enumerate(self.axes):
            largest = middle.copy()
            largest[k] = self.points.x[:, k].max()
            half = largest.copy()
            half[k] /= 2
            gain = 1 - best(largest[None])[0, 0] / best(half[None])[0, 0]
            says.append(f"The last doubling of {WORDS[axis]} lowered the loss by {percent(gain)}.")
        return " ".join(says)


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
