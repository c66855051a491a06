"""Cost estimates in words: compute, time, disk, energy and money of some steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gridlaw.cost import estimates
from gridlaw.words import amount, count, duration, interval, size
from gridlaw.workflow.steps import TRAININGS, Step

# Predictions for runs of the workflow: a line of JSON for each run that trains something.
PREDICTIONS = Path("logs/predictions.jsonl")


@dataclass(frozen=True)
class Limits:
    """Limits that jobs share; None for no limit.

    Args:
        cores: cores of this machine.
        jobs: parallel jobs on other machines.
        gpus: GPUs in use at the same time.
    """

    cores: int | None = None
    jobs: int | None = None
    gpus: int | None = None

    def __str__(self) -> str:
        parts = [f"{number} {name if number > 1 else name[:-1]}" for name, number in vars(self).items() if number]
        return f"on {' and '.join(parts)}" if parts else "one after the other"

    def makespan(self, estimate: estimates.Cost) -> estimates.Span:
        """Wall time of all steps of an estimate, in seconds."""
        # Only a dry run can lack both limits; Snakemake would not start otherwise.
        limits = (self.cores, self.gpus, self.jobs) if self.cores or self.jobs else (None, None, 1)
        middle = estimates.makespan(estimate.seconds, *limits)
        total = sum(estimate.seconds.values(), estimates.NOTHING)
        return total * (middle / total.middle) if total.middle else estimates.NOTHING


def step_counts(rates: estimates.Rates, steps: Collection[Step]) -> str:
    """The number of trainings of each kind, and of other jobs, among some steps."""
    numbers = Counter(step.rule for step in steps)
    runs = rates.runs(steps)
    trainings = {"pretrain": "pre-training", "trunk": "trunk section", "finetune": "fine-tuning"}
    parts = [count(numbers[rule], name) for rule, name in trainings.items() if numbers[rule]]
    if runs != numbers["finetune"]:
        parts[-1] += f" of {count(runs, 'run')}"
    others = len(steps) - sum(numbers[rule] for rule in trainings)
    return ", ".join([*parts, count(others, "other job")] if others else parts)


def bill(rates: estimates.Rates, steps: Collection[Step], limits: Limits) -> dict[str, str]:
    """The costs of some steps: texts by heading."""
    return dict(_bill(rates, rates.estimate(steps), limits))


def predicted(rates: estimates.Rates, steps: Collection[Step], limits: Limits) -> dict:
    """The costs in numbers, for a comparison with the actual ones.

    Returns:
        `trainings`; `measured`, the number of finished trainings behind the estimate; and low, middle and high of
        `rank_seconds`, `seconds` and `joules`.
    """
    estimate = rates.estimate(steps)
    return {
        "trainings": sum(step.rule in TRAININGS for step in steps),
        "measured": rates.measured,
        "rank_seconds": estimate.rank_seconds,
        "seconds": limits.makespan(estimate),
        "joules": estimate.joules,
    }


def _bill(rates: estimates.Rates, estimate: estimates.Cost, limits: Limits) -> Iterator[tuple[str, str]]:
    on_gpu, prices = rates.device == "gpu", rates.prices
    hours = estimate.rank_seconds * (1 / 3600)
    if hours.middle:
        unit, name = (1, "hours") if hours.high >= 1 else (60, "minutes")
        what = f"GPU-{name}" if on_gpu else f"rank-{name}, a rank being a CPU thread"
        yield "compute", f"{_about(hours * unit, amount)} {what}; {_basis(rates)}"
    yield "time", f"{_about(limits.makespan(estimate), duration)} {limits}"
    if estimate.disk:
        yield "disk", f"{size(estimate.disk)} of models" + (" and trunk states" if _has_trunk(estimate) else "")
    kilowatt_hours = estimate.joules and estimate.joules * (1 / 3.6e6)
    if kilowatt_hours:
        yield "energy", f"{_about(kilowatt_hours, amount)} kWh"
    price = hours * prices.get("price_per_gpu_hour", 0)
    if kilowatt_hours:
        price += kilowatt_hours * prices.get("price_per_kwh", 0)
    if price.middle:
        yield "money", f"{_about(price, amount)} {prices['currency']}"
    if estimate.unknown:
        left_out = (f"{count(number, 'training')} {why}" for why, number in sorted(estimate.unknown.items()))
        yield "without", "; ".join(left_out)


def _basis(rates: estimates.Rates) -> str:
    if rates.measured:
        return f"by {count(rates.measured, 'finished training')}"
    giga = rates.assumed() / 1e9
    pace = f"{amount(giga / 1e3)} TFLOP/s" if giga >= 1e3 else f"{amount(giga)} GFLOP/s"
    start = f"{estimates.ASSUMED_START:g} s of start-up"
    return f"a rough estimate, for no training is done: it assumes {pace} a rank and {start}"


def _has_trunk(estimate: estimates.Cost) -> bool:
    return any(step.rule == "trunk" for step in estimate.seconds)


def _about(span: estimates.Span, text: Callable[[float], str]) -> str:
    """An estimate with its interval, each number as `text` writes it."""
    return f"about {interval(*map(text, span))}"
